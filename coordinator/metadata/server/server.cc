#include "coordinator/metadata/server/server.h"

#include "coordinator/metadata/server/words.h"
#include "coordinator/metadata/turn.h"
#include "protocol/base/log.h"
#include "protocol/net/buffer.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <pthread.h>
#include <set>
#include <utility>

namespace coordinator {

namespace asio = boost::asio;
using asio::ip::tcp;
using base::Result;
using base::Unexpected;

namespace {

constexpr auto as_value = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::milliseconds rest_without_descriptors{100};

std::string text_of(const tcp::endpoint& at) {
    const std::string host = at.address().to_string();
    return (at.address().is_v6() ? "[" + host + "]" : host) + ":" + std::to_string(at.port());
}

boost::system::error_code listen_on(tcp::acceptor& acceptor, const tcp::endpoint& at) {
    boost::system::error_code error;
    acceptor.open(at.protocol(), error);
    if (error) return error;
    acceptor.set_option(asio::socket_base::reuse_address(true), error);
    if (at.address().is_v6()) acceptor.set_option(asio::ip::v6_only(true), error);
    acceptor.bind(at, error);
    if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
    return error;
}

}  // namespace

MetadataServer::MetadataServer(MetadataService& service, Settings settings)
    : service_(service),
      settings_(std::move(settings)),
      statistics_(std::make_shared<Statistics>()),
      work_(context_.get_executor()) {
    home_.service = &service_;
    home_.statistics = statistics_;
    home_.monotonic_ms = settings_.monotonic_ms;
    home_.frame_bytes_max = settings_.frame_bytes_max;
    home_.word = [this](const std::string& word, std::function<void(std::string)> say) {
        answer(word, std::move(say));
    };
    home_.ended = [this](Connection& gone) {
        const auto count = per_host_.find(gone.host());
        if (count != per_host_.end() && --count->second == 0) per_host_.erase(count);
        held_.erase(gone.shared_from_this());
    };
}

MetadataServer::~MetadataServer() {
    stop();
}

Result<std::unique_ptr<MetadataServer>, std::string> MetadataServer::start(MetadataService& service,
                                                                           Settings settings) {
    std::unique_ptr<MetadataServer> server(new MetadataServer(service, std::move(settings)));
    if (const auto bound = server->bind(); !bound) return Unexpected(bound.error());
    for (auto& acceptor : server->acceptors_) {
        asio::co_spawn(server->context_, server->accept(acceptor), asio::detached);
    }
    server->thread_ = std::thread([&context = server->context_] {
        ::pthread_setname_np(::pthread_self(), "metadata-net");
        net::keep_buffers();
        context.run();
    });
    return server;
}

Result<void, std::string> MetadataServer::bind() {
    std::set<tcp::endpoint> addresses;
    port_ = settings_.port;
    for (const std::string& host : settings_.hosts) {
        boost::system::error_code error;
        tcp::resolver resolver(context_);
        const auto found =
            resolver.resolve(host, std::to_string(port_), tcp::resolver::passive, error);
        if (error) {
            return Unexpected("the metadata service's host " + host +
                              " cannot be resolved: " + error.message());
        }
        for (const auto& each : found) addresses.insert(each.endpoint());
    }
    std::string refused;
    for (tcp::endpoint at : addresses) {
        at.port(port_);  // Port 0: the second address takes what the first one got.
        tcp::acceptor acceptor(context_);
        const auto error = listen_on(acceptor, at);
        if (error == asio::error::address_in_use) {
            return Unexpected("port " + std::to_string(port_) + " of " + at.address().to_string() +
                              ", for ZooKeeper's clients, is in use by another process; stop it, "
                              "or set milena.metadata.port to another port or to -1 for none");
        }
        if (error) {
            refused = at.address().to_string() + ": " + error.message();
            continue;
        }
        port_ = acceptor.local_endpoint().port();
        if (!at.address().is_loopback()) is_local_ = false;
        at.port(port_);
        serving_ += (serving_.empty() ? "" : ", ") + text_of(at);
        acceptors_.push_back(std::move(acceptor));
    }
    if (acceptors_.empty()) return Unexpected("the metadata service cannot listen on " + refused);
    return {};
}

void MetadataServer::stop() {
    if (std::exchange(stopped_, true) || !thread_.joinable()) return;
    asio::post(context_, [this] {
        boost::system::error_code ignored;
        for (auto& acceptor : acceptors_) acceptor.close(ignored);
        const auto held = held_;
        for (const auto& each : held) each->close("");
        work_.reset();
    });
    thread_.join();
}

asio::awaitable<void> MetadataServer::accept(tcp::acceptor& acceptor) {
    asio::steady_timer pause(context_);
    while (acceptor.is_open()) {
        auto [error, accepted] = co_await acceptor.async_accept(as_value);
        if (!error) {
            admit(std::move(accepted));
        } else if (error == asio::error::operation_aborted ||
                   error == asio::error::bad_descriptor) {
            break;
        } else {
            pause.expires_after(rest_without_descriptors);
            co_await pause.async_wait(as_value);
        }
    }
}

void MetadataServer::admit(tcp::socket socket) {
    net::Stream stream(std::move(socket));
    auto& count = per_host_[stream.remote_host()];
    if (settings_.connections_per_host_max > 0 && count >= settings_.connections_per_host_max) {
        base::log_warn("metadata", "Too many connections of " + stream.remote_host() +
                                       ", at most " +
                                       std::to_string(settings_.connections_per_host_max));
        stream.close();
        return;
    }
    ++count;
    const auto connection = std::make_shared<Connection>(std::move(stream), home_);
    held_.insert(connection);
    connection->start();
}

void MetadataServer::answer(const std::string& word, std::function<void(std::string)> say) {
    words::State state;
    for (const auto& each : held_) {
        state.connections.push_back(
            {each->peer(), each->queued(), each->received(), each->session()});
    }
    state.packets_received = statistics_->packets_received();
    state.packets_sent = statistics_->packets_sent();
    state.latency = statistics_->latency();
    if (word == "srst") statistics_->reset();
    if (word == "crst") {
        for (const auto& each : held_) each->reset_received();
    }
    auto shared = std::make_shared<words::State>(std::move(state));
    service_.take_turn(
        WatcherId(0),
        [shared](Turn& turn) {
            const Tree& tree = turn.tree();
            shared->zxid = tree.last_zxid();
            shared->nodes = tree.node_count();
            shared->watches = turn.all_watches().size();
            shared->sessions = tree.sessions().size();
            for (const auto& [id, session] : tree.sessions()) {
                shared->ephemerals += session.ephemerals.size();
            }
        },
        [shared, word, say = std::move(say)](bool serves) {
            say(serves ? words::answer(word, *shared).value_or("")
                       : "This ZooKeeper instance is not currently serving requests\n");
        });
}

}  // namespace coordinator
