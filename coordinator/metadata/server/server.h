// MetadataServer: the metadata service on a TCP port, for ZooKeeper's clients.
//
//     listeners --> Connection each --> MetadataService
//     AdminServer, four-letter words --> observe(): what all of it looks like
//
// Threads: one of its own for all sockets; start and stop are the owner's. The service's
// clients never wait for each other's sockets: all that goes to them passes an Outbox.
//
// Limits: connections_per_host_max (maxClientCnxns); one frame has at most frame_bytes_max
// bytes (jute.maxbuffer). Out of descriptors, it waits until one is free.
#pragma once

#include "coordinator/metadata/server/admin_server.h"
#include "coordinator/metadata/server/connection.h"
#include "coordinator/metadata/server/observation.h"
#include "coordinator/metadata/server/statistics.h"
#include "coordinator/metadata/service.h"
#include "protocol/base/result.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

namespace coordinator {

class MetadataServer {
public:
    struct Settings {
        std::vector<std::string> hosts;  // Each an address or a name; "" is every interface.
        std::uint16_t port = 0;          // 0: any free one, the same for all hosts.
        std::string port_key = "milena.metadata.port";  // For people, when the port is taken.
        std::function<std::int64_t()> wall_ms;
        std::function<std::int64_t()> monotonic_ms;
        std::int32_t connections_per_host_max = 0;  // 0: no limit.
        std::uint32_t frame_bytes_max = 0xfffff;    // jute.maxbuffer's default.
        std::vector<std::string> words = {"*"};     // 4lw.commands.whitelist; "*" is all.
        std::string configuration = {};             // The file it was told by, for people.
        std::optional<AdminSettings> admin = {};    // ZooKeeper's AdminServer; nothing: none.
    };

    // Bind, listen and accept. A host that this machine does not have is left out as long as
    // another one is there. The error is one line for people. Requires that `service` outlives
    // the server.
    [[nodiscard]] static base::Result<std::unique_ptr<MetadataServer>, std::string> start(
        MetadataService& service, Settings settings);
    ~MetadataServer();

    // Close all connections and end the thread. Sessions live on.
    void stop();

    std::uint16_t port() const noexcept { return port_; }
    bool is_local() const noexcept { return is_local_; }  // All addresses are loopback.
    // "127.0.0.1:2181, [::1]:2181"
    const std::string& serving() const noexcept { return serving_; }
    // Of the admin server; 0 without one.
    std::uint16_t admin_port() const noexcept { return admin_ ? admin_->port() : 0; }

private:
    MetadataServer(MetadataService& service, Settings settings);

    [[nodiscard]] base::Result<void, std::string> bind();
    boost::asio::awaitable<void> accept(boost::asio::ip::tcp::acceptor& acceptor);
    void admit(boost::asio::ip::tcp::socket socket);
    void answer(const std::string& word, std::span<const std::byte> rest,
                std::function<void(std::string)> say);
    void act(Act act);
    // `tell` gets what is seen, on the service thread; null when the service has failed.
    void observe(Depth depth, std::function<void(const Observation*)> tell);
    void look_at_tree(Turn& turn, Depth depth, Observation& seen) const;

    MetadataService& service_;
    const Settings settings_;
    const std::shared_ptr<Statistics> statistics_;
    const std::shared_ptr<boost::asio::io_context> context_ =
        std::make_shared<boost::asio::io_context>(1);
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
    std::vector<boost::asio::ip::tcp::acceptor> acceptors_;
    Doorway doorway_;
    Connection::Home home_;
    std::unordered_set<std::shared_ptr<Connection>> held_;
    std::map<std::string, std::int32_t, std::less<>> per_host_;
    std::unique_ptr<AdminServer> admin_;
    std::int64_t started_ms_ = 0;
    std::int64_t trace_mask_ = 0x132;  // ZooKeeper's default; kept, and without effect.
    std::uint16_t port_ = 0;
    bool is_local_ = true;
    std::string serving_;
    std::thread thread_;
    bool stopped_ = false;
};

}  // namespace coordinator
