#include "coordinator/metadata/server/server.h"

#include "coordinator/metadata/server/words.h"
#include "coordinator/metadata/turn.h"
#include "protocol/base/log.h"
#include "protocol/net/buffer.h"
#include "protocol/wire/big_endian.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
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
      work_(context_->get_executor()),
      doorway_(*context_, [this](Connection& silent) {
          statistics_->count(&Statistics::Figures::connections_silent);
          silent.close("it does not say what it wants");
      }) {
    home_.context = context_;
    home_.service = &service_;
    home_.statistics = statistics_;
    home_.wall_ms = settings_.wall_ms;
    home_.monotonic_ms = settings_.monotonic_ms;
    started_ms_ = settings_.monotonic_ms();
    home_.frame_bytes_max = settings_.frame_bytes_max;
    home_.doorway = &doorway_;
    home_.word = [this](const std::string& word, std::span<const std::byte> rest,
                        std::function<void(std::string)> say) {
        answer(word, rest, std::move(say));
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
    if (const auto& admin = server->settings_.admin) {
        auto made = AdminServer::start(
            *server->context_, *admin,
            {[at = server.get()](Depth depth, std::function<void(const Observation*)> tell) {
                 at->observe(depth, std::move(tell));
             },
             [at = server.get()](Act act) { at->act(act); }});
        if (!made && admin->is_wanted) return Unexpected(made.error());
        if (!made) base::log_warn("metadata", made.error() + "; it is left out");
        if (made) server->admin_ = std::move(*made);
    }
    for (auto& acceptor : server->acceptors_) {
        asio::co_spawn(*server->context_, server->accept(acceptor), asio::detached);
    }
    server->thread_ = std::thread([&context = *server->context_] {
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
        if (host.empty()) {
            addresses.emplace(tcp::v6(), port_);
            addresses.emplace(tcp::v4(), port_);
            continue;
        }
        boost::system::error_code error;
        tcp::resolver resolver(*context_);
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
        tcp::acceptor acceptor(*context_);
        const auto error = listen_on(acceptor, at);
        if (error == asio::error::address_in_use) {
            return Unexpected("port " + std::to_string(port_) + " of " + at.address().to_string() +
                              ", for ZooKeeper's clients, is in use by another process; stop it, "
                              "or set " +
                              settings_.port_key + " to another port");
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
    asio::post(*context_, [this] {
        boost::system::error_code ignored;
        for (auto& acceptor : acceptors_) acceptor.close(ignored);
        if (admin_) admin_->stop();
        const auto held = held_;
        for (const auto& each : held) each->close("");
        work_.reset();
    });
    thread_.join();
}

asio::awaitable<void> MetadataServer::accept(tcp::acceptor& acceptor) {
    asio::steady_timer pause(*context_);
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
    const bool is_welcome =
        settings_.connections_per_host_max == 0 || count < settings_.connections_per_host_max;
    if (!is_welcome) {
        statistics_->count(&Statistics::Figures::connections_refused);
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

// ---- What people ask ----------------------------------------------------------------------

void MetadataServer::answer(const std::string& word, std::span<const std::byte> rest,
                            std::function<void(std::string)> say) {
    if (!words::is_word(word)) return say("");
    statistics_->received(word.size());
    const auto is_listed = [&](std::string_view one) {
        return std::ranges::find(settings_.words, one) != settings_.words.end();
    };
    if (!is_listed("*") && !is_listed(word)) {
        return say(word + " is not executed because it is not in the whitelist.\n");
    }
    if (word == "srst") act(Act::reset_server);
    if (word == "crst") act(Act::reset_connections);
    if (word == "stmk" && rest.size() >= sizeof trace_mask_) {
        trace_mask_ = wire::load<std::int64_t>(rest, 0);
    }
    observe(words::depth_of(word), [word, say = std::move(say)](const Observation* seen) {
        say(seen != nullptr ? words::answer(word, *seen)
                            : "This ZooKeeper instance is not currently serving requests\n");
    });
}

void MetadataServer::act(Act act) {
    if (act == Act::reset_server) {
        statistics_->reset();
        service_.take_turn(WatcherId(0), [](Turn& turn) { turn.reset_figures(); }, [](bool) {});
    }
    if (act != Act::reset_connections) return;
    for (const auto& each : held_) each->reset_figures();
}

void MetadataServer::observe(Depth depth, std::function<void(const Observation*)> tell) {
    const MetadataService::Settings& told = service_.settings();
    auto seen = std::make_shared<Observation>();
    seen->facts = {.port = port_,
                   .data_directory = told.directory,
                   .journal_directory =
                       told.journal_directory.empty() ? told.directory : told.journal_directory,
                   .tick_ms = told.tick_ms,
                   .connections_per_host_max = settings_.connections_per_host_max,
                   .session_timeout_min_ms = told.session_timeout_min_ms,
                   .session_timeout_max_ms = told.session_timeout_max_ms,
                   .configuration = settings_.configuration};
    seen->wall_ms = settings_.wall_ms();
    seen->monotonic_ms = settings_.monotonic_ms();
    seen->uptime_ms = seen->monotonic_ms - started_ms_;
    seen->trace_mask = trace_mask_;
    if (depth.files) seen->bytes = service_.file_bytes();
    seen->figures = statistics_->figures();
    for (const auto& each : held_) seen->connections.push_back(each->state());
    service_.take_turn(
        WatcherId(0), [this, depth, seen](Turn& turn) { look_at_tree(turn, depth, *seen); },
        [seen, tell = std::move(tell)](bool serves) { tell(serves ? seen.get() : nullptr); });
}

void MetadataServer::look_at_tree(Turn& turn, Depth depth, Observation& seen) const {
    const Tree& tree = turn.tree();
    seen.zxid = tree.last_zxid();
    seen.nodes = tree.node_count() + 1;
    seen.data_bytes = tree.data_bytes();
    seen.watches = turn.all_watches().entries();
    seen.service = turn.figures();
    seen.sessions = turn.deadlines();
    for (const auto& [id, session] : tree.sessions()) {
        seen.ephemerals += session.ephemerals.size();
        if (!depth.sessions || session.ephemerals.empty()) continue;
        auto& paths = seen.ephemerals_of[id];
        paths.assign(session.ephemerals.begin(), session.ephemerals.end());
    }
    if (!depth.watches) return;
    for (const auto& [path, watchers] : turn.all_watches().data_watches()) {
        auto& sessions = seen.data_watches[path];
        for (const WatcherId watcher : watchers) sessions.insert(turn.session_of(watcher));
    }
}

}  // namespace coordinator
