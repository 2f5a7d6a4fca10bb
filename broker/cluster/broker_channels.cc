#include "broker/cluster/broker_channels.h"

#include "broker/client/connection.h"
#include "broker/cluster/controller_requests.h"
#include "protocol/base/log.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <iterator>
#include <mutex>
#include <optional>
#include <pthread.h>
#include <sys/socket.h>
#include <thread>
#include <type_traits>
#include <utility>

namespace broker {

using base::BrokerId;
using control::BrokerRequest;
using control::Term;
using protocol::ErrorCode;

namespace {

// ---- what is said, to whomever ------------------------------------------------------------

template <class Api>
std::int16_t newest_of(const InterbrokerVersions& versions) {
    if constexpr (std::is_same_v<Api, protocol::LeaderAndIsrApi>) {
        return versions.leader_and_isr;
    } else if constexpr (std::is_same_v<Api, protocol::UpdateMetadataApi>) {
        return versions.update_metadata;
    } else {
        static_assert(std::is_same_v<Api, protocol::StopReplicaApi>);
        return versions.stop_replica;
    }
}

// A broker behind a socket.
class Remote {
public:
    Remote(Connection& connection, const InterbrokerVersions& newest, Deadline deadline)
        : connection_(connection), newest_(newest), deadline_(deadline) {}

    template <class Api>
    std::int16_t version() const {
        const auto known = connection_.versions().find(Api::key);
        const auto newest = newest_of<Api>(newest_);
        return known != connection_.versions().end() ? std::min(newest, known->second.most)
                                                     : newest;
    }

    // False when no answer comes; `take` has what it says.
    template <class Api, class Response, class Request, class Take>
    bool ask(const Request& request, Take take) {
        const auto answer =
            connection_.call<Api, Response>(request, deadline_, newest_of<Api>(newest_));
        if (!answer) {
            fault_ = answer.error().detail;
            return false;
        }
        take(**answer);
        return true;
    }

    const std::string& fault() const { return fault_; }

private:
    Connection& connection_;
    const InterbrokerVersions& newest_;
    const Deadline deadline_;
    std::string fault_;
};

// This broker.
class Local {
public:
    Local(const BrokerChannels::Here& here, const InterbrokerVersions& newest)
        : here_(here), newest_(newest) {}

    // It learns no more than the others do.
    template <class Api>
    std::int16_t version() const {
        return newest_of<Api>(newest_);
    }

    template <class Api, class Response, class Request, class Take>
    bool ask(const Request& request, Take take) {
        if constexpr (std::is_same_v<Api, protocol::LeaderAndIsrApi>) {
            take(here_.roles(request));
        } else if constexpr (std::is_same_v<Api, protocol::UpdateMetadataApi>) {
            take(here_.metadata(request));
        } else {
            take(here_.stops(request));
        }
        return true;
    }

private:
    const BrokerChannels::Here& here_;
    const InterbrokerVersions& newest_;
};

template <class Peer>
bool tell_roles(Peer& peer, const Term& term, const BrokerRequest& what, std::string_view listener,
                BrokerChannels::Reply& reply) {
    using Api = protocol::LeaderAndIsrApi;
    const auto version = peer.template version<Api>();
    return peer.template ask<Api, protocol::LeaderAndIsrResponse>(
        leader_and_isr(term, what, listener, version), [&](const auto& response) {
            reply.error = response.error_code;
            reply.partitions =
                errors_of(std::get<control::LeaderAndIsr>(what.content), response, version);
        });
}

template <class Peer>
bool tell_metadata(Peer& peer, const Term& term, const BrokerRequest& what,
                   BrokerChannels::Reply& reply) {
    using Api = protocol::UpdateMetadataApi;
    return peer.template ask<Api, protocol::UpdateMetadataResponse>(
        update_metadata(term, what, peer.template version<Api>()),
        [&](const auto& response) { reply.error = response.error_code; });
}

template <class Peer>
bool tell_stops(Peer& peer, const Term& term, const BrokerRequest& what,
                BrokerChannels::Reply& reply) {
    using Api = protocol::StopReplicaApi;
    for (const auto& request : stop_replica(term, what, peer.template version<Api>())) {
        const bool told = peer.template ask<Api, protocol::StopReplicaResponse>(
            request, [&](const auto& response) {
                reply.error = response.error_code;
                std::ranges::move(errors_of(response), std::back_inserter(reply.partitions));
            });
        if (!told) return false;
        if (reply.error != ErrorCode::none) return true;
    }
    return true;
}

template <class Peer>
BrokerChannels::Reply tell(Peer& peer, const Term& term, const BrokerRequest& what,
                           std::string_view listener) {
    BrokerChannels::Reply reply{term.epoch, what.id};
    if (std::holds_alternative<control::LeaderAndIsr>(what.content)) {
        reply.is_answered = tell_roles(peer, term, what, listener, reply);
    } else if (std::holds_alternative<control::UpdateMetadata>(what.content)) {
        reply.is_answered = tell_metadata(peer, term, what, reply);
    } else {
        reply.is_answered = tell_stops(peer, term, what, reply);
    }
    return reply;
}

std::optional<Address> address_of(const BrokerRequest& what, const std::string& listener) {
    const auto broker = std::ranges::find(*what.live, what.broker, &control::Broker::id);
    if (broker == what.live->end()) return std::nullopt;
    const auto endpoint =
        std::ranges::find(broker->endpoints, listener, &control::Endpoint::listener);
    if (endpoint == broker->endpoints.end()) return std::nullopt;
    return Address{endpoint->host, static_cast<std::uint16_t>(endpoint->port)};
}

}  // namespace

// ---- one broker ---------------------------------------------------------------------------

class BrokerChannels::Channel {
public:
    Channel(const Settings& settings, BrokerId broker, std::int64_t broker_epoch)
        : settings_(settings), broker_(broker), broker_epoch_(broker_epoch), thread_([this] {
              ::pthread_setname_np(::pthread_self(), "controller-send");
              run();
              ended_ = true;
          }) {}

    ~Channel() {
        stop();
        thread_.join();
    }

    // Nothing is reported afterwards. The thread ends soon, or when a connection that it tries to
    // make comes or fails.
    void stop() {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        if (descriptor_ >= 0) ::shutdown(descriptor_, SHUT_RDWR);
        changed_.notify_all();
    }

    bool has_ended() const noexcept { return ended_; }

    std::int64_t broker_epoch() const noexcept { return broker_epoch_; }

    void send(const Term& term, BrokerRequest request) {
        const std::lock_guard lock(mutex_);
        next_.emplace(term, std::move(request));
        changed_.notify_all();
    }

private:
    void run() {
        std::unique_lock lock(mutex_);
        for (;;) {
            changed_.wait(lock, [&] { return stopping_ || next_; });
            if (stopping_) return;
            const auto [term, what] = *std::exchange(next_, std::nullopt);
            lock.unlock();
            auto reply = exchange(term, what);
            lock.lock();
            if (stopping_) return;
            settings_.replied(std::move(reply));
        }
    }

    Reply exchange(const Term& term, const BrokerRequest& what) {
        const auto deadline = after(settings_.patience);
        if (!connect(term, what, deadline)) return {term.epoch, what.id};
        Remote remote(*connection_, settings_.versions, deadline);
        auto reply = tell(remote, term, what, settings_.listener);
        if (!reply.is_answered) {
            complain(remote.fault());
            disconnect();
        }
        return reply;
    }

    bool connect(const Term& term, const BrokerRequest& what, Deadline deadline) {
        if (connection_) return true;
        const auto address = address_of(what, settings_.listener);
        if (!address) {
            complain("it has no listener " + settings_.listener);
            return false;
        }
        auto opened = Connection::open(*address, std::to_string(term.controller.value()), deadline);
        if (!opened) {
            complain(opened.error().detail);
            return false;
        }
        connection_ = std::move(*opened);
        complained_ = false;
        const std::lock_guard lock(mutex_);
        descriptor_ = connection_->descriptor();
        return !stopping_;
    }

    void disconnect() {
        {
            const std::lock_guard lock(mutex_);
            descriptor_ = -1;
        }
        connection_.reset();
    }

    // Once until it can be reached again.
    void complain(const std::string& why) {
        if (std::exchange(complained_, true)) return;
        base::log_warn("controller", "broker " + std::to_string(broker_.value()) +
                                         " cannot be told what has changed: " + why);
    }

    const Settings& settings_;
    const BrokerId broker_;
    const std::int64_t broker_epoch_;

    std::mutex mutex_;  // Of the four below.
    std::condition_variable changed_;
    std::optional<std::pair<Term, BrokerRequest>> next_;
    bool stopping_ = false;
    int descriptor_ = -1;

    std::optional<Connection> connection_;  // The thread's own, as is what follows.
    bool complained_ = false;
    std::atomic<bool> ended_ = false;
    std::thread thread_;  // Last: it uses all of them.
};

// ---- all of them --------------------------------------------------------------------------

BrokerChannels::BrokerChannels(Settings settings) : settings_(std::move(settings)) {}
BrokerChannels::~BrokerChannels() = default;

void BrokerChannels::send(const Term& term, BrokerRequest request) {
    if (request.broker == settings_.here.id) {
        Local local(settings_.here, settings_.versions);
        return settings_.replied(tell(local, term, request, settings_.listener));
    }
    close_unless([&](BrokerId id, const Channel& channel) {
        const auto broker = std::ranges::find(*request.live, id, &control::Broker::id);
        return broker != request.live->end() && broker->epoch == channel.broker_epoch();
    });
    auto& channel = channels_[request.broker];
    if (!channel) {
        channel = std::make_unique<Channel>(settings_, request.broker, request.broker_epoch);
    }
    channel->send(term, std::move(request));
}

void BrokerChannels::hang_up() {
    close_unless([](BrokerId, const Channel&) { return false; });
}

// Nobody waits here for a thread that waits for a host that does not answer.
template <class Keep>
void BrokerChannels::close_unless(Keep keep) {
    std::erase_if(closing_, [](const auto& channel) { return channel->has_ended(); });
    for (auto each = channels_.begin(); each != channels_.end();) {
        if (keep(each->first, *each->second)) {
            ++each;
            continue;
        }
        each->second->stop();
        closing_.push_back(std::move(each->second));
        each = channels_.erase(each);
    }
}

}  // namespace broker
