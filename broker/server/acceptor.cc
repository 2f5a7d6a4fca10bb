#include "broker/server/acceptor.h"

#include "protocol/base/log.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <future>
#include <set>

namespace broker {

namespace asio = boost::asio;
using asio::ip::tcp;
using base::Result;
using base::Unexpected;

namespace {

constexpr auto as_value = asio::as_tuple(asio::use_awaitable);

// The addresses that a listener's host stands for.
Result<std::vector<tcp::endpoint>, std::string> resolve(asio::io_context& context, const Listener& listener) {
    if (listener.host.empty()) {
        return std::vector{tcp::endpoint(tcp::v6(), listener.port), tcp::endpoint(tcp::v4(), listener.port)};
    }
    boost::system::error_code error;
    tcp::resolver resolver(context);
    const auto found = resolver.resolve(listener.host, std::to_string(listener.port),
                                        tcp::resolver::passive, error);
    if (error) {
        return Unexpected(to_string(listener) + ": the host cannot be resolved: " + error.message());
    }
    std::set<tcp::endpoint> unique;
    for (const auto& each : found) unique.insert(each.endpoint());
    if (listener.host == "localhost") {  // Both loopbacks, whatever /etc/hosts says.
        unique.insert(tcp::endpoint(asio::ip::address_v4::loopback(), listener.port));
        unique.insert(tcp::endpoint(asio::ip::address_v6::loopback(), listener.port));
    }
    return std::vector<tcp::endpoint>(unique.begin(), unique.end());
}

boost::system::error_code listen_on(tcp::acceptor& acceptor, const tcp::endpoint& at, int backlog) {
    boost::system::error_code error;
    acceptor.open(at.protocol(), error);
    if (error) return error;
    acceptor.set_option(asio::socket_base::reuse_address(true), error);
    if (at.address().is_v6()) acceptor.set_option(asio::ip::v6_only(true), error);
    acceptor.bind(at, error);
    if (!error) acceptor.listen(backlog, error);
    return error;
}

}  // namespace

Result<void, std::string> Acceptor::bind(const std::vector<Listener>& listeners, int backlog) {
    auto& context = threads_.first().context();
    for (const Listener& listener : listeners) {
        auto addresses = resolve(context, listener);
        if (!addresses) return Unexpected(addresses.error());
        Bound bound{listener, listener.port};
        std::string refused;
        std::size_t listening = 0;
        for (auto at : *addresses) {
            at.port(bound.port);  // Port 0: the second address takes what the first one got.
            auto socket = std::make_unique<Socket>(Socket{tcp::acceptor(context), bound_.size()});
            const auto error = listen_on(socket->acceptor, at, backlog);
            if (error == asio::error::address_in_use) {
                return Unexpected(to_string(listener) + ": port " + std::to_string(at.port()) + " of " +
                                  at.address().to_string() +
                                  " is in use by another process; stop it or change `listeners`");
            }
            if (error) {
                refused = at.address().to_string() + ": " + error.message();
                continue;
            }
            bound.port = socket->acceptor.local_endpoint().port();
            sockets_.push_back(std::move(socket));
            ++listening;
        }
        if (listening == 0) return Unexpected(to_string(listener) + ": cannot listen on " + refused);
        bound_.push_back(std::move(bound));
    }
    return {};
}

void Acceptor::start() {
    accepting_ = true;
    for (auto& socket : sockets_) {
        asio::co_spawn(threads_.first().context(), accept(*socket), asio::detached);
    }
}

void Acceptor::stop() {
    // A start that failed later on has bound them, and no thread runs.
    if (!accepting_) return;
    std::promise<void> closed;
    asio::post(threads_.first().context(), [&] {
        boost::system::error_code ignored;
        for (auto& socket : sockets_) socket->acceptor.close(ignored);
        closed.set_value();
    });
    closed.get_future().wait();
}

asio::awaitable<void> Acceptor::accept(Socket& socket) {
    const Bound& bound = bound_[socket.listener];
    asio::steady_timer pause(socket.acceptor.get_executor());
    while (socket.acceptor.is_open()) {
        auto& home = threads_.least_loaded();
        auto [error, accepted] = co_await socket.acceptor.async_accept(home.context(), as_value);
        if (!error) {
            admit(std::move(accepted), home, bound);
        } else if (error == asio::error::operation_aborted || error == asio::error::bad_descriptor) {
            break;
        } else if (error == asio::error::no_descriptors || error.value() == ENFILE ||
                   error == asio::error::no_memory) {
            base::log_error("network", "Cannot accept on " + to_string(bound.listener) + ": " + error.message());
            pause.expires_after(std::chrono::milliseconds(200));
            co_await pause.async_wait(as_value);
        }
    }
}

void Acceptor::admit(tcp::socket socket, IoThread& home, const Bound& bound) {
    const auto config = services_.cluster.config();
    net::Stream stream(std::move(socket));
    if (stream.remote_host().empty()) return;  // Gone before we looked.
    if (!count_in(stream.remote_host(), *config)) {
        stream.close();
        return;
    }
    Session session;
    session.listener = bound.listener.name;
    session.client_host = stream.remote_host();
    session.local_host = stream.local_host();
    session.local_port = bound.port;
    session.connection = next_connection_++;
    Connection::Limits limits;
    limits.frame_bytes_max = static_cast<std::uint32_t>(config->socket_request_max_bytes);
    limits.idle = std::chrono::milliseconds(config->connections_max_idle_ms);
    home.adopt(std::move(stream), std::move(session), limits, services_,
               [this](const Session& gone) { count_out(gone.client_host); });
}

bool Acceptor::count_in(const std::string& host, const BrokerConfig& config) {
    const std::lock_guard lock(mutex_);
    auto& here = per_host_[host];
    const bool welcome = connections_ < static_cast<std::size_t>(config.max_connections) &&
                         here < config.max_connections_per_ip;
    if (welcome) {
        ++here;
        ++connections_;
    } else if (here == 0) {
        per_host_.erase(host);
    }
    return welcome;
}

void Acceptor::count_out(const std::string& host) {
    const std::lock_guard lock(mutex_);
    --connections_;
    const auto here = per_host_.find(host);
    if (here != per_host_.end() && --here->second == 0) per_host_.erase(here);
}

}  // namespace broker
