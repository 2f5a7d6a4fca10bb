#include "broker/cluster/controller_office.h"

#include <boost/asio/post.hpp>

#include <chrono>
#include <utility>

namespace broker {

namespace {

constexpr std::chrono::milliseconds a_moment{100};
// Kafka's: the first look at the balance comes soon after the election.
constexpr std::int64_t first_rebalance_seconds = 5;

control::ControllerSettings settings_of(const BrokerConfig& config) {
    control::ControllerSettings settings;
    settings.unclean_elections = config.unclean_leader_election_enable;
    settings.imbalance_percentage = config.leader_imbalance_per_broker_percentage;
    return settings;
}

}  // namespace

ControllerOffice::ControllerOffice(ClusterCore& core, ReplicaControl& replicas,
                                   boost::asio::thread_pool& controller)
    : core_(core),
      replicas_(replicas),
      controller_(controller),
      moment_(controller),
      rebalance_(controller) {}

// ---- opening and closing ------------------------------------------------------------------

void ControllerOffice::open() {
    if (driver_ || closed_) return;
    const auto config = core_.image()->config;
    channels_ = std::make_unique<BrokerChannels>(channel_settings());
    driver_.emplace(*core_.store,
                    ControllerDriver::Settings{.self = core_.self,
                                               .controller = settings_of(*config),
                                               .deletes_topics = config->delete_topic_enable,
                                               .versions = core_.versions()},
                    ports());
    if (config->auto_leader_rebalance_enable) wait_to_rebalance(first_rebalance_seconds);
    driver_->look(PlacesToLook::everywhere());
}

void ControllerOffice::close() {
    closed_ = true;
    if (!driver_) return;
    driver_->leave_office();
    driver_.reset();
    channels_.reset();
    later_.clear();
    moment_.cancel();
    rebalance_.cancel();
}

BrokerChannels::Settings ControllerOffice::channel_settings() {
    const auto config = core_.image()->config;
    BrokerChannels::Settings settings;
    settings.listener = config->inter_broker_listener();
    settings.patience = std::chrono::milliseconds(config->controller_socket_timeout_ms);
    settings.versions = core_.versions();
    settings.here.id = core_.self;
    settings.here.roles = [this](const auto& request) { return replicas_.apply(request); };
    settings.here.metadata = [this](const auto& request) { return replicas_.apply(request); };
    settings.here.stops = [this](const auto& request) { return replicas_.apply(request); };
    settings.replied = [this](BrokerChannels::Reply reply) {
        boost::asio::post(controller_,
                          [this, reply = std::move(reply)]() mutable { take(std::move(reply)); });
    };
    return settings;
}

ControllerDriver::Ports ControllerOffice::ports() {
    ControllerDriver::Ports ports;
    ports.wall_ms = core_.settings.wall_ms;
    ports.random_id = [this] { return core_.random_uuid(); };
    ports.later = [this](std::function<void()> work) { later(std::move(work)); };
    ports.send = [this](const control::Term& term, control::BrokerRequest request) {
        channels_->send(term, std::move(request));
    };
    ports.hang_up = [this] { channels_->hang_up(); };
    return ports;
}

// ---- what happens -------------------------------------------------------------------------

void ControllerOffice::look(PlacesToLook places) {
    if (driver_) driver_->look(std::move(places));
}

void ControllerOffice::session_lost() {
    if (driver_) driver_->session_lost();
}

void ControllerOffice::config_changed() {
    if (!driver_) return;
    const auto config = core_.image()->config;
    driver_->default_unclean_elections_changed(config->unclean_leader_election_enable);
}

const control::Term* ControllerOffice::term() const {
    return driver_ ? driver_->term() : nullptr;
}

void ControllerOffice::take(BrokerChannels::Reply reply) {
    if (!driver_) return;
    if (!reply.is_answered) return driver_->unanswered(reply.controller_epoch, reply.request);
    driver_->answered(reply.controller_epoch, reply.request, reply.error, reply.partitions);
}

// ---- time ---------------------------------------------------------------------------------

void ControllerOffice::later(std::function<void()> work) {
    later_.push_back(std::move(work));
    if (later_.size() > 1) return;
    moment_.expires_after(a_moment);
    moment_.async_wait([this](boost::system::error_code error) {
        if (error) return;
        for (const auto& each : std::exchange(later_, {})) each();
    });
}

void ControllerOffice::wait_to_rebalance(std::int64_t seconds) {
    rebalance_.expires_after(std::chrono::seconds(seconds));
    rebalance_.async_wait([this](boost::system::error_code error) {
        if (error || !driver_) return;
        driver_->rebalance_leaders();
        wait_to_rebalance(core_.image()->config->leader_imbalance_check_interval_seconds);
    });
}

}  // namespace broker
