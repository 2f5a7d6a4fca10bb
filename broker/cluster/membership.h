// Membership: who this broker and its cluster are, and how both are known in the tree.
//
//     identify    /cluster/id, the broker's id, meta.properties
//     look_for_company    whether other brokers are alive
//     join        one transaction: /brokers/ids/N replaced, /controller taken, its epoch raised;
//                 in company the first of them only, as ControllerOffice stands for election
//     mend        the same for what has been lost of it since
//
// The broker comes back to its session at a restart, so what it finds under its id is its own.
// What another session holds there is another broker, or this one before it lost its session:
// nobody can tell, so the id is waited for as long as a session lives without its owner.
//
// Threads: as ClusterCore; look_again() from any thread.
#pragma once

#include "broker/cluster/cluster_core.h"
#include "broker/cluster/znodes.h"

#include <atomic>
#include <condition_variable>
#include <mutex>

namespace broker {

class Membership {
public:
    explicit Membership(ClusterCore& core) : core_(core) {}

    // Errors are one line for people.
    [[nodiscard]] base::Result<void, std::string> identify();
    // Sets ClusterCore::has_company when others are registered.
    [[nodiscard]] base::Result<void, std::string> look_for_company();
    // Sets it too when another has become controller meanwhile.
    [[nodiscard]] base::Result<void, std::string> join(std::vector<BrokerEndpoint> endpoints);

    // Keep the key of the store's session beside meta.properties, to come back to it.
    [[nodiscard]] base::Result<void, std::string> keep_session();

    // Make registration and controllership anew where they are gone: the session was lost, or
    // somebody deleted the nodes. Does nothing before join().
    void mend();

    // A broker's registration has gone, or may have: join() may wait for that.
    void look_again();

    // The zxid that made the registration. Any thread.
    std::int64_t broker_epoch() const noexcept { return broker_epoch_; }

private:
    // What the tree says of this broker, of the controller, and of what that one says.
    struct Seen {
        std::optional<coordinator::NodeView> broker;
        std::optional<coordinator::NodeView> controller;
        std::optional<coordinator::NodeView> epoch;
        std::optional<coordinator::NodeView> feature;
    };

    [[nodiscard]] base::Result<void, std::string> store_cluster_id(
        const std::optional<storage::Identity>& stored);
    [[nodiscard]] base::Result<base::BrokerId, std::string> choose_id(
        const std::optional<storage::Identity>& stored);
    [[nodiscard]] base::Result<Seen, std::string> look();
    bool is_ours(const std::optional<coordinator::NodeView>& node) const;
    bool is_foreign(const std::optional<coordinator::NodeView>& node) const;
    [[nodiscard]] base::Result<Seen, std::string> wait_for_id();
    [[nodiscard]] base::Result<void, coordinator::ZkError> enter(const Seen& seen, bool renew);

    ClusterCore& core_;
    znodes::BrokerRegistration registration_;
    bool joined_ = false;
    std::atomic<std::int64_t> broker_epoch_ = -1;

    std::mutex mutex_;
    std::condition_variable wake_;
    bool moved_ = false;  // Since join() has looked.
};

}  // namespace broker
