// Acceptor: the listening sockets, and who may come in.
//
// A host name stands for all its addresses and each is bound; one that this machine does not
// have (no IPv6, say) is left out as long as another one is there. An empty host is every
// interface. No SO_REUSEPORT: two brokers must not share a port in silence.
//
// Limits: max.connections, max.connections.per.ip and its overrides. Out of descriptors, it
// waits until one is free.
//
// Threads: the sockets live on the first I/O thread; bind, start and stop are the owner's.
#pragma once

#include "broker/config/broker_config.h"
#include "broker/server/io_threads.h"
#include "protocol/base/result.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace broker {

class Acceptor {
public:
    struct Bound {
        Listener listener;
        std::uint16_t port = 0;  // The actual one.
    };

    Acceptor(IoThreads& threads, Services& services) : threads_(threads), services_(services) {}

    // Bind and listen, without accepting yet. The error is one line for people.
    [[nodiscard]] base::Result<void, std::string> bind(const std::vector<Listener>& listeners, int backlog);

    // The listeners in the order given, with the ports they got.
    const std::vector<Bound>& bound() const noexcept { return bound_; }

    void start();
    void stop();

private:
    struct Socket {
        boost::asio::ip::tcp::acceptor acceptor;
        std::size_t listener;  // Index into bound_.
    };

    boost::asio::awaitable<void> accept(Socket& socket);
    void admit(boost::asio::ip::tcp::socket socket, IoThread& home, const Bound& bound);
    bool count_in(const std::string& host, const BrokerConfig& config);
    void count_out(const std::string& host);

    IoThreads& threads_;
    Services& services_;
    std::vector<Bound> bound_;
    std::vector<std::unique_ptr<Socket>> sockets_;
    bool accepting_ = false;
    std::uint64_t next_connection_ = 1;

    std::mutex mutex_;
    std::map<std::string, int, std::less<>> per_host_;
    std::size_t connections_ = 0;
};

}  // namespace broker
