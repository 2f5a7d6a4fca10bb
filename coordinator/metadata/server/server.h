// MetadataServer: the metadata service on a TCP port, for ZooKeeper's clients.
//
//     listeners --> Connection each --> MetadataService
//
// Threads: one of its own for all sockets; start and stop are the owner's. The service's
// clients never wait for each other's sockets: all that goes to them passes an Outbox.
//
// Limits: connections_per_host_max (maxClientCnxns); one frame has at most frame_bytes_max
// bytes (jute.maxbuffer). Out of descriptors, it waits until one is free.
#pragma once

#include "coordinator/metadata/server/connection.h"
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
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

namespace coordinator {

class MetadataServer {
public:
    struct Settings {
        std::vector<std::string> hosts;  // Each an address or a name.
        std::uint16_t port = 0;          // 0: any free one, the same for all hosts.
        std::function<std::int64_t()> monotonic_ms;
        std::int32_t connections_per_host_max = 0;  // 0: no limit.
        std::uint32_t frame_bytes_max = 0xfffff;    // jute.maxbuffer's default.
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
    const std::string& serving() const noexcept {
        return serving_;
    }  // "127.0.0.1:2181, [::1]:2181"

private:
    MetadataServer(MetadataService& service, Settings settings);

    [[nodiscard]] base::Result<void, std::string> bind();
    boost::asio::awaitable<void> accept(boost::asio::ip::tcp::acceptor& acceptor);
    void admit(boost::asio::ip::tcp::socket socket);
    void answer(const std::string& word, std::function<void(std::string)> say);

    MetadataService& service_;
    const Settings settings_;
    const std::shared_ptr<Statistics> statistics_;
    boost::asio::io_context context_{1};
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
    std::vector<boost::asio::ip::tcp::acceptor> acceptors_;
    Connection::Home home_;
    std::unordered_set<std::shared_ptr<Connection>> held_;
    std::map<std::string, std::int32_t, std::less<>> per_host_;
    std::uint16_t port_ = 0;
    bool is_local_ = true;
    std::string serving_;
    std::thread thread_;
    bool stopped_ = false;
};

}  // namespace coordinator
