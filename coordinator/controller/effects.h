// Effects: what the controller wants done, and what became of it, as plain values.
//
//     Controller  --- WriteBatch, Reads, BrokerRequest, Answer --->  driver
//                 <-- Outcome, what was read, answers of brokers ---
//
// A BrokerRequest never says what is not in the tree yet: it is made after the write it tells
// of has succeeded.
#pragma once

#include "coordinator/controller/cluster_state.h"
#include "protocol/schema/error_code.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace coordinator::controller {

// ---- writes into the tree -----------------------------------------------------------------

// /brokers/topics/T/partitions/P/state. Without a version the node is made, with its parents.
struct StateWrite {
    base::TopicPartition at;
    PartitionState next;
    std::optional<std::int32_t> version;
};

// /brokers/topics/T, if it still has that version, and with it the states of those partitions whose
// replicas are to learn of it: all or none.
struct TopicWrite {
    std::string topic;
    base::Uuid id{};
    std::vector<std::pair<base::PartitionIndex, Assignment>> partitions;
    std::int32_t version = 0;
    std::vector<StateWrite> states = {};
};

// All nodes of a topic, its configuration included, and at last its mark in /admin/delete_topics.
// What is gone already counts as deleted, and if a topic of another id has the name by now, that
// one and its mark stay. Without an id only the mark goes, and a topic of that name is a conflict.
struct TopicRemoval {
    std::string topic;
    std::optional<base::Uuid> id;
};

using Write = std::variant<StateWrite, TopicWrite, TopicRemoval>;

// Each write stands alone; those that share a transaction also share its fate. Every one is made
// only if /controller_epoch still has the version.
struct WriteBatch {
    std::uint64_t id = 0;
    std::int32_t epoch_version = 0;
    std::vector<Write> writes;
};

struct Outcome {
    enum class Kind {
        done,  // `version` is the node's new one: 0 of a new node; of a TopicWrite, the topic's.
        conflict,  // Another version, no such node, or one that is there already.
        unknown,   // The connection was lost: it may have happened.
        deposed,   // /controller_epoch has moved.
    };

    Kind kind = Kind::done;
    std::int32_t version = 0;
};

// Nodes whose content the controller has to know again.
struct Reads {
    std::vector<base::TopicPartition> states;
    std::vector<std::string> topics;
};

// ---- requests to brokers ------------------------------------------------------------------

struct LeaderAndIsr {
    struct Partition {
        std::string topic;
        base::Uuid topic_id{};
        base::PartitionIndex index;
        PartitionState state;
        std::int32_t partition_epoch = 0;
        Assignment assignment;
        bool is_new = false;  // The broker has no log of it yet.
    };

    std::vector<Partition> partitions;
};

struct UpdateMetadata {
    struct Partition {
        std::string topic;
        base::Uuid topic_id{};
        base::PartitionIndex index;
        PartitionState state;  // leader -2: the topic is being deleted.
        std::int32_t partition_epoch = 0;
        Brokers replicas;
        Brokers offline;
    };

    std::vector<Partition> partitions;  // Only what is new to the broker.
};

struct StopReplica {
    struct Partition {
        base::TopicPartition at;
        base::LeaderEpoch leader_epoch;  // -2: the topic is being deleted.
        bool deletes = false;
    };

    std::vector<Partition> partitions;
};

using Content = std::variant<LeaderAndIsr, UpdateMetadata, StopReplica>;

// At most one is open for each broker.
struct BrokerRequest {
    std::uint64_t id = 0;
    base::BrokerId broker;
    std::int64_t broker_epoch = -1;
    std::shared_ptr<const std::vector<Broker>> live;  // Of the cluster, by id.
    Content content;
};

struct PartitionError {
    base::TopicPartition at;
    protocol::ErrorCode error = protocol::ErrorCode::none;
};

// ---- what clients and brokers ask ---------------------------------------------------------

using Ticket = std::uint64_t;  // Whose answer it is; the driver's.

struct IsrChange {
    base::TopicPartition at;
    base::LeaderEpoch leader_epoch;
    std::int32_t partition_epoch = 0;
    Brokers isr;
    bool recovering = false;
    // Of the members, in their order, where the request says them (AlterPartition 3); -1, or none
    // at all: not said. They keep a request that comes late from taking in a broker that has
    // been away since.
    std::vector<std::int64_t> member_epochs = {};
};

struct AlteredPartition {
    base::TopicPartition at;
    protocol::ErrorCode error = protocol::ErrorCode::none;
    StoredState now = {};  // Without an error.
};

struct AlterPartitionAnswer {
    Ticket ticket = 0;
    protocol::ErrorCode error = protocol::ErrorCode::none;  // Of the whole: then no partitions.
    std::vector<AlteredPartition> partitions = {};
};

enum class ElectionKind { preferred, unclean };

struct ElectLeadersAnswer {
    Ticket ticket = 0;
    protocol::ErrorCode error = protocol::ErrorCode::none;  // Of the whole: then no partitions.
    std::vector<PartitionError> partitions = {};
};

struct ReassignmentAnswer {
    Ticket ticket = 0;
    protocol::ErrorCode error = protocol::ErrorCode::none;  // Of the whole: then no partitions.
    std::vector<PartitionError> partitions = {};
};

struct ShutdownAnswer {
    Ticket ticket = 0;
    protocol::ErrorCode error = protocol::ErrorCode::none;
    std::vector<base::TopicPartition> remaining = {};  // What the broker still leads.
};

// The moves that run, as ListPartitionReassignments shows them.
struct Move {
    base::TopicPartition at;
    Assignment assignment;
};

struct MovesAnswer {
    protocol::ErrorCode error = protocol::ErrorCode::none;  // Then no partitions.
    std::vector<Move> partitions = {};
};

using Answer =
    std::variant<AlterPartitionAnswer, ElectLeadersAnswer, ReassignmentAnswer, ShutdownAnswer>;

// ---- all together -------------------------------------------------------------------------

struct Effects {
    std::optional<WriteBatch> writes;
    Reads reads;
    std::vector<BrokerRequest> requests;
    std::vector<Answer> answers;
    bool resign = false;  // The term is over: this controller does nothing more.
};

}  // namespace coordinator::controller
