// AdminServer: ZooKeeper's AdminServer: GET /commands/NAME, answered as JSON over HTTP/1.1.
//
// Threads: those of the io_context, one. What is observed comes from the service thread and is
// posted back.
//
// Limits: connections_max at a time; a request's head has at most 8 KiB and no body; who says
// nothing for 30 s is closed.
#pragma once

#include "coordinator/metadata/server/observation.h"
#include "protocol/base/result.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace coordinator {

struct AdminSettings {
    std::string host = "0.0.0.0";
    std::uint16_t port = 8080;  // 0: any free one.
    std::string url = "/commands";
    bool is_wanted = false;  // Somebody asked for it: it is there, or there is no start.
};

class AdminServer {
public:
    struct Source {
        // `tell` gets what is seen on another thread; null: nothing can be seen.
        std::function<void(Depth, std::function<void(const Observation*)> tell)> observe;
        std::function<void(Act)> act;
    };

    // Bind and accept. The error is one line for people. Requires that the context outlives this,
    // and that stop() was called before the context runs out of work.
    [[nodiscard]] static base::Result<std::unique_ptr<AdminServer>, std::string> start(
        boost::asio::io_context& context, const AdminSettings& settings, Source source);

    // On the context's thread.
    void stop();

    std::uint16_t port() const noexcept { return port_; }

private:
    struct Shared;

    AdminServer(std::shared_ptr<Shared> shared, std::uint16_t port)
        : shared_(std::move(shared)), port_(port) {}

    static boost::asio::awaitable<void> accept(std::shared_ptr<Shared> shared);
    static boost::asio::awaitable<void> serve(std::shared_ptr<Shared> shared,
                                              boost::asio::ip::tcp::socket socket);
    static boost::asio::awaitable<std::string> answer(std::shared_ptr<Shared> shared,
                                                      std::string name);

    const std::shared_ptr<Shared> shared_;
    const std::uint16_t port_;
};

}  // namespace coordinator
