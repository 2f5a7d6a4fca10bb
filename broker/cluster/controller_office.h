// ControllerOffice: this broker as candidate for controller of the cluster, and as its controller.
//
//     where to look, what is asked --> ControllerDriver --> BrokerChannels --> brokers
//                                            ^                   |
//                                            `---- answers ------'
//
// It ties the two together, with a timer for what is tried again and one for
// leader.imbalance.check.interval.seconds. It is open from the moment this broker has company until
// it stops.
//
// Threads: the controller's.
#pragma once

#include "broker/cluster/broker_channels.h"
#include "broker/cluster/cluster_core.h"
#include "broker/cluster/controller_driver.h"
#include "broker/cluster/replica_control.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace broker {

class ControllerOffice {
public:
    ControllerOffice(ClusterCore& core, ReplicaControl& replicas,
                     boost::asio::thread_pool& controller);

    // Stand for election from now on.
    void open();
    // For good: whoever waits is answered, and nothing is done any more. /controller goes with the
    // session.
    void close();

    // Does nothing while it is closed.
    void look(PlacesToLook places);
    void session_lost();
    // What the broker's configuration says of elections.
    void config_changed();

    // The term, while this broker is controller.
    const control::Term* term() const;
    // Null while it is closed.
    ControllerDriver* driver() noexcept { return driver_ ? &*driver_ : nullptr; }

private:
    ControllerDriver::Ports ports();
    BrokerChannels::Settings channel_settings();
    void later(std::function<void()> work);
    void take(BrokerChannels::Reply reply);
    void wait_to_rebalance(std::int64_t seconds);

    ClusterCore& core_;
    ReplicaControl& replicas_;
    boost::asio::thread_pool& controller_;
    std::optional<ControllerDriver> driver_;
    std::unique_ptr<BrokerChannels> channels_;
    bool closed_ = false;

    boost::asio::steady_timer moment_;
    std::vector<std::function<void()>> later_;  // To be done after it.
    boost::asio::steady_timer rebalance_;
};

}  // namespace broker
