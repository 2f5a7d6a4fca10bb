// ControllerDriver: this broker's terms as controller of the cluster: between the state machine,
// the tree and the brokers.
//
//     where to look --> the tree, read --> events --> Controller --> writes --> the tree
//                                             ^                 +--> reads ---> the tree
//     what is asked, what brokers answer -----+                 +--> requests to brokers, answers
//
// A term begins when nobody is controller, and ends when /controller is another's or nobody's, when
// the session ended, or when a write is refused because of the epoch; all that was known goes with
// it. Then the broker stands for election again.
//
// Invariants:
//   - while the tree cannot be reached the term goes on, and nothing is concluded: what was to be
//     read or looked at is done when it can be reached again
//   - an outcome that nobody knows is handed in only then, so nothing is tried in a circle
//
// Threads: the controller's; everything blocks on the store.
//
// Source: facts/zookeeper-mode-cluster.md 1, 2 and 4.
#pragma once

#include "broker/cluster/controller_tree.h"
#include "broker/config/interbroker_versions.h"
#include "coordinator/controller/controller.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace broker {

// Where something in the tree may have changed. To look once more than needed is harmless.
struct PlacesToLook {
    bool office = false;  // /controller
    bool brokers = false;
    std::set<std::string> topics = {};
    bool all_topics = false;
    bool deletions = false;
    bool elections = false;      // /admin/preferred_replica_election
    bool reassignments = false;  // /admin/reassign_partitions
    bool notes = false;          // /isr_change_notification, /log_dir_event_notification

    static PlacesToLook everywhere();
    bool is_empty() const;
    void add(PlacesToLook others);
};

class ControllerDriver {
public:
    struct Settings {
        base::BrokerId self;
        control::ControllerSettings controller = {};
        bool deletes_topics = true;  // delete.topic.enable
        InterbrokerVersions versions = interbroker_versions("");
    };

    struct Ports {
        std::function<std::int64_t()> wall_ms;
        std::function<base::Uuid()> random_id;
        // Call it on the controller's thread after a moment.
        std::function<void(std::function<void()>)> later;
        // Send it; answered() or unanswered() is to be called for it, later, on the controller's
        // thread.
        std::function<void(const control::Term&, control::BrokerRequest)> send;
        // The term is over: nothing of it is to be sent any more.
        std::function<void()> hang_up;
    };

    ControllerDriver(MetadataStore& store, Settings settings, Ports ports);

    // Take office if nobody has, and look at these places if in office.
    void look(PlacesToLook places);
    // The session has ended, and with it the term.
    void session_lost();
    // The term ends, and none begins until the next look(). /controller goes with the session.
    void leave_office();

    bool is_controller() const noexcept { return controller_.has_value(); }
    // Null without a term, as is image(), the cluster as this controller knows it.
    const control::Term* term() const;
    const control::Image* image() const;

    // ---- What became of a request. Those of earlier terms do nothing. What was refused as a
    // whole, or had no answer, is made again after a moment.

    void answered(std::int32_t controller_epoch, std::uint64_t request, protocol::ErrorCode error,
                  const std::vector<control::PartitionError>& partitions);
    void unanswered(std::int32_t controller_epoch, std::uint64_t request);

    // ---- What is asked. `done` is called once, now or later, on the controller's thread. Without
    // a term nothing is called, and the result is false.

    template <class Answer>
    using Done = std::function<void(const Answer&)>;

    [[nodiscard]] bool alter_partition(base::BrokerId broker, std::int64_t broker_epoch,
                                       std::vector<control::IsrChange> changes,
                                       Done<control::AlterPartitionAnswer> done);
    [[nodiscard]] bool elect_leaders(
        control::ElectionKind kind,
        const std::optional<std::vector<base::TopicPartition>>& partitions,
        Done<control::ElectLeadersAnswer> done);
    [[nodiscard]] bool reassign(std::vector<control::Reassignment> reassignments,
                                Done<control::ReassignmentAnswer> done);
    [[nodiscard]] bool shut_down(base::BrokerId broker, std::int64_t broker_epoch,
                                 Done<control::ShutdownAnswer> done);

    // The moves that run, of these partitions or of all.
    control::MovesAnswer moves(
        const std::optional<std::vector<base::TopicPartition>>& partitions) const;

    // ---- Settings that change, and what is done from time to time.

    void unclean_elections_changed(const std::string& topic, std::optional<bool> enabled);
    void default_unclean_elections_changed(bool enabled);
    void rebalance_leaders();

private:
    struct Unreported {
        std::uint64_t batch = 0;
        std::vector<control::Outcome> outcomes;
    };
    using Continuation = std::function<void(const control::Answer&)>;

    // Whether there is a term, and the tree can be reached.
    bool is_in_office();
    bool is_term(std::int32_t controller_epoch) const;
    TermOfTree term_of_tree(const control::Term& term) const;
    bool take_office();
    void forget_term(const control::Effects& last);
    void try_again();

    void look_around();
    [[nodiscard]] base::Result<void, coordinator::ZkError> look_at_brokers();
    [[nodiscard]] base::Result<void, coordinator::ZkError> look_at_topics(
        const std::set<std::string>& names, bool all);
    [[nodiscard]] base::Result<void, coordinator::ZkError> look_at_deletions();
    [[nodiscard]] base::Result<void, coordinator::ZkError> look_at_notes();
    [[nodiscard]] base::Result<void, coordinator::ZkError> take_notes(
        std::string_view folder, const std::function<void(const std::string&)>& take);
    [[nodiscard]] base::Result<void, coordinator::ZkError> look_at_elections();
    [[nodiscard]] base::Result<void, coordinator::ZkError> look_at_reassignments();
    void end_reassignments();
    void remove(std::string_view node);

    void carry_out();
    void write(const control::WriteBatch& batch);
    [[nodiscard]] base::Result<void, coordinator::ZkError> read();
    void deliver(const control::Answer& answer);
    template <class Answer>
    control::Ticket wait_for(Done<Answer> done);

    MetadataStore& store_;
    Settings settings_;
    const Ports ports_;

    std::optional<control::Controller> controller_;
    PlacesToLook places_;  // Still to be looked at.
    bool tries_again_ = false;

    // Of the term.
    std::optional<Unreported> unreported_;
    std::set<base::TopicPartition> states_to_read_;
    std::set<std::string> topics_to_read_;
    std::set<base::BrokerId> seen_;                        // Brokers it was told of.
    std::optional<std::set<base::TopicPartition>> moves_;  // Of /admin/reassign_partitions.
    std::map<control::Ticket, Continuation> waiting_;
    control::Ticket next_ticket_ = 1;
};

}  // namespace broker
