// ZkShell: ZooKeeper's command line: one command after another on one connection.
//
// Commands, output and exit codes are those of Apache ZooKeeper's shell; `rmr` and `ls2` are
// those of its older ones.
//
// Threads: one at a time; events of watches are printed by the client's thread as they come.
#pragma once

#include "broker/tools/zk_text.h"
#include "coordinator/metadata/client/client.h"

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace broker {

class ZkShell {
public:
    using Words = std::vector<std::string>;

    struct Settings {
        std::string server = "localhost:2181";  // With a chroot or without.
        std::int32_t timeout_ms = 30'000;
        bool may_be_read_only = false;
    };

    // Begins to connect. Faults: ShellError when `server` is no address.
    explicit ZkShell(Settings settings);

    // The session lives on for its time-out, unless a command ended it.
    ~ZkShell();

    // Wait for a server, as long as the session's time-out. False when there is none.
    bool wait_connected();

    // Run one command and print what it comes to. Returns the exit code: 0, 1, or 127 when
    // there is no such command.
    int run(const Words& words);

    // The same with a line that somebody typed; what was typed is kept for `history`.
    int run_line(const std::string& line);

    bool has_quit() const noexcept { return has_quit_; }
    std::string prompt() const;

    // Names of commands, and paths of nodes, that begin so.
    std::vector<std::string> complete(std::string_view beginning);

    static std::string usage();

    // To standard output, whole, beside the events.
    void print(const std::string& text);

private:
    friend struct ZkCommands;

    void connect(const std::string& server);
    void complain(const std::string& text);
    void tell(const std::string& event);
    coordinator::MetadataClient& client();

    // The answer, or a ShellError that names `path`.
    template <class T>
    T ask(coordinator::Request<T> request, std::string_view path) {
        auto answer = client().ask(std::move(request));
        if (!answer) throw ShellError(zk_text::error(answer.error(), path));
        return std::move(*answer);
    }
    coordinator::OpResult commit(coordinator::Op op, std::string_view path);
    void booked(coordinator::WatchBook::Kind kind, const std::string& path);

    const Settings settings_;
    std::string server_;
    std::unique_ptr<coordinator::MetadataClient> client_;
    std::vector<std::string> history_;
    bool has_quit_ = false;

    std::condition_variable told_;
    std::mutex mutex_;  // Of what follows, and of both streams.
    bool prints_watches_ = true;
    bool has_told_connected_ = false;
    coordinator::WatchBook watches_;
};

}  // namespace broker
