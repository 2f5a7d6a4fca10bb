// Controller: one term of office of a cluster's controller, as a state machine.
//
//     brokers and topics in the tree ----+                    +--> writes, each with conditions
//     what brokers and clients ask ------+--> unsettled --+---+
//     what was written, read, answered --+    wishes    --+   +--> reads
//          |                                                  |
//          v  (a write that succeeded)                        |
//        Image ------> Channel, one a broker ----------------+--> requests to brokers
//
// Nothing here is a script of steps. An event changes a fact and marks the partitions that it
// concerns; take_effects() asks of each marked one what its state should be (elections.h) and
// writes the difference. What a deposed controller left half done is therefore nothing
// special: the next one finds partitions that are not as they should be.
//
// Invariants:
//   - one batch of writes is under way at most, and no partition is in it twice
//   - the image changes and brokers hear of it only after the write has succeeded
//   - whatever became of a write that was refused or lost is read before the partition is written
//     again
//   - a broker that comes back is taken in when everything that its going asked for is done, so its
//     return never hides that it was away
//
// Threads: none; every call from one at a time. No clock: the driver waits before it hands in
// unanswered(), and calls rebalance_leaders() every leader.imbalance.check.interval.seconds.
//
// Source: facts/kafka.md 3.2, 3.5 and 3.10; facts/zookeeper-mode-cluster.md 1, 2 and 4.
#pragma once

#include "coordinator/controller/channel.h"
#include "coordinator/controller/effects.h"
#include "coordinator/controller/image.h"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

namespace coordinator::controller {

struct Reassignment {
    base::TopicPartition at;
    std::optional<Brokers> target;  // Nothing: cancel the one that runs.
};

class Controller {
public:
    // Take office, with the tree as it was read after /controller_epoch was raised.
    Controller(const Term& term, const ControllerSettings& settings, const Tree& tree);

    // What is to be done now; to be asked for after each event, or after several.
    Effects take_effects();

    // ---- What the tree says. To be told again is harmless.

    void broker_seen(Broker broker);
    void broker_gone(base::BrokerId id);
    // A new topic, more partitions of one, or the answer to Reads::topics.
    void topic_seen(const TopicNode& node);
    void topic_gone(const std::string& name);
    // It is to be deleted.
    void topic_marked(const std::string& name);
    // Somebody else has written these states (/isr_change_notification).
    void states_changed(const std::vector<base::TopicPartition>& partitions);
    // unclean.leader.election.enable; nothing: the topic has no value of its own.
    void unclean_elections_changed(const std::string& topic, std::optional<bool> enabled);
    void default_unclean_elections_changed(bool enabled);
    // A log directory of the broker went offline (/log_dir_event_notification): it is asked which
    // replicas it has lost.
    void log_directory_failed(base::BrokerId broker);

    // ---- What became of effects. Ids that are not known any more do nothing.

    // One outcome a write, in their order.
    void written(std::uint64_t batch, const std::vector<Outcome>& outcomes);
    // The answer to Reads::states; nothing where there is no node.
    void state_read(const base::TopicPartition& at, std::optional<StoredState> stored);
    // A broker's answer. With an error for the whole it is told again, but for stale_broker_epoch:
    // then another registration is about to be seen.
    void answered(std::uint64_t request, protocol::ErrorCode error,
                  const std::vector<PartitionError>& partitions);
    // The request was lost, or may have been: it is made again, with what is so by then.
    void unanswered(std::uint64_t request);

    // ---- What brokers and clients ask. Each gets one Answer, now or later.

    // Errors for the whole: stale_broker_epoch; for partitions: see altered(), and
    // unknown_topic_or_partition.
    void alter_partition(Ticket ticket, base::BrokerId broker, std::int64_t broker_epoch,
                         std::vector<IsrChange> changes);
    // Nothing: all partitions, and then those that need no election are not answered.
    void elect_leaders(Ticket ticket, ElectionKind kind,
                       const std::optional<std::vector<base::TopicPartition>>& partitions);
    // Answered when the move has begun. Errors: see reassigned(), and unknown_topic_or_partition.
    void reassign(Ticket ticket, std::vector<Reassignment> reassignments);
    // The broker is about to stop: others lead its partitions. Errors: stale_broker_epoch,
    // unknown_server_error for a broker that is not alive.
    void shut_down(Ticket ticket, base::BrokerId broker, std::int64_t broker_epoch);

    // Give partitions back to their preferred leaders, of each broker that leads too few of those
    // that prefer it.
    void rebalance_leaders();

    // The term is over: whoever waits gets not_controller, and no effect follows.
    void resign();

    const Image& image() const noexcept { return image_; }
    const Term& term() const noexcept { return term_; }
    // Nothing is being written or read, and nobody is told anything.
    bool is_idle() const;

private:
    struct Alteration {
        base::BrokerId sender;
        IsrChange change;
    };
    using Target = std::optional<Brokers>;

    // What somebody asks of one partition.
    struct Wish {
        enum class Stage { open, writing, fulfilled };

        base::TopicPartition at;
        std::variant<Alteration, ElectionKind, Target> wanted;
        Stage stage = Stage::open;
        protocol::ErrorCode error = protocol::ErrorCode::none;
        StoredState now = {};
    };

    enum class Question { alteration, election, election_of_all, reassignment };

    struct Asked {
        Question question;
        std::optional<Ticket> ticket;  // Nothing: nobody waits.
        std::vector<Wish> wishes;
        std::size_t unfulfilled = 0;
    };

    struct WishPlace {
        std::uint64_t asked = 0;
        std::size_t wish = 0;
    };

    // What is known of a write beside its content.
    struct Purpose {
        std::vector<WishPlace> wishes = {};
        bool by_leader = false;  // The leader asked for it and knows it.
        bool finishes = false;   // It ends a move but for the removal of old replicas.
    };

    struct Batch {
        WriteBatch content;
        std::vector<Purpose> purposes;

        bool is_full(std::size_t most) const { return content.writes.size() >= most; }
        void add(Write write, Purpose purpose);
    };

    struct Leaving {
        Ticket ticket = 0;
        base::BrokerId broker;
    };

    // controller.cc: facts
    void add_topic(const TopicNode& node);
    void add_partition(Topic& topic, const PartitionNode& node);
    void forget(const std::string& topic);
    void begin_deletion(Topic& topic);
    void delete_replica(Topic& topic, const Partition& partition, base::BrokerId id);
    void unsettle_all_of(base::BrokerId id);
    void unsettle_leaderless();

    // writes.cc: from facts to writes, and back
    void advance();
    bool is_settled() const;
    void settle(Batch& batch);
    std::optional<PartitionState> decide(const Partition& partition, Purpose& purpose) const;
    void write_state(Batch& batch, Partition& partition, PartitionState next, Purpose purpose);
    void write_topics(Batch& batch);
    void write_topic(Batch& batch, Topic& topic);
    void remove_topics(Batch& batch);
    void take_in_arrivals();
    void outcome_of(const StateWrite& write, const Purpose& purpose, const Outcome& outcome);
    void outcome_of(const TopicWrite& write, const Purpose& purpose, const Outcome& outcome);
    void outcome_of(const TopicRemoval& write, const Purpose& purpose, const Outcome& outcome);
    void stored(Partition& partition, const PartitionState& state, std::int32_t version,
                const Purpose& purpose);
    void assigned(Partition& partition, const Assignment& assignment);
    void remove_old_replicas(Partition& partition);
    void end_move_if_removed(Partition& partition);
    void read(Partition& partition);
    void read(Topic& topic);

    // wishes.cc: what is asked
    void ask(Question question, std::optional<Ticket> ticket, std::vector<Wish> wishes);
    void judge_wishes(Batch& batch);
    bool names_another_life(const IsrChange& change) const;
    void judge(Wish& wish, WishPlace place, Batch& batch);
    void grant(Batch& batch, Partition& partition, WishPlace place, Wish& wish, PartitionState next,
               bool by_leader);
    void fulfil(WishPlace place, protocol::ErrorCode error, const StoredState& now = {});
    void reopen(WishPlace place);
    void reopen_moves(const std::string& topic);
    void answer(const Asked& asked);
    void end_shutdowns();
    std::vector<base::TopicPartition> move_away_from(base::BrokerId broker);

    // telling.cc: what brokers hear
    void open_channel(const Broker& broker);
    void tell(const Partition& partition);
    void tell_metadata(Key partition);
    void tell_role(const Partition& partition, base::BrokerId id);
    void stop_replica(const Partition& partition, base::BrokerId id, bool deletes);
    void send();
    std::optional<Content> content_of(const Channel::Message& message, base::BrokerId to) const;
    LeaderAndIsr roles(const std::vector<Key>& partitions, base::BrokerId to) const;
    UpdateMetadata metadata(const std::vector<Key>& partitions) const;
    StopReplica stops(const std::vector<Channel::Stop>& stops) const;
    void role_taken(Partition& partition, base::BrokerId id, protocol::ErrorCode error);
    void replica_stopped(const Channel::Stop& stop, base::BrokerId id, protocol::ErrorCode error);

    const Term term_;
    const ControllerSettings settings_;
    Image image_;
    std::set<Key> unsettled_;
    std::size_t reading_ = 0;  // Partitions whose state is being read.
    std::set<std::string> topics_to_write_;
    std::set<std::string> topics_to_remove_;
    std::set<std::string> marked_;  // For deletion, and not seen yet.
    std::map<base::BrokerId, Broker> arrivals_;
    std::map<std::uint64_t, Asked> asked_;  // In the order in which they came.
    std::vector<Leaving> shutdowns_;
    std::optional<Batch> batch_;
    std::map<base::BrokerId, Channel> channels_;
    std::map<std::uint64_t, base::BrokerId> requests_;  // Open ones, and to whom.
    std::uint64_t next_id_ = 1;
    bool resigned_ = false;
    Effects effects_;
};

}  // namespace coordinator::controller
