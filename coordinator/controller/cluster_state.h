// ClusterState: what the znode tree says of brokers, topics and partitions, as plain values.
//
// The driver reads the tree and fills these in; the controller knows neither paths nor JSON.
// A partition's epoch is the version of its state node, as in Apache Kafka's ZooKeeper mode.
//
// Source: facts/zookeeper-mode-cluster.md 4.3, 4.13 and 4.16.
#pragma once

#include "protocol/base/types.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace coordinator::controller {

using Brokers = std::vector<base::BrokerId>;

inline constexpr base::BrokerId no_leader{-1};
// What UpdateMetadata names as leader, and StopReplica as leader epoch, of a topic that goes.
inline constexpr std::int32_t during_deletion = -2;

struct Endpoint {
    std::string listener;
    std::string host;
    std::int32_t port = 0;
    std::int16_t security_protocol = 0;  // 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL.

    friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

// A registration in /brokers/ids. `epoch` is the zxid that made the node: a broker that comes
// back has another one.
struct Broker {
    base::BrokerId id;
    std::int64_t epoch = -1;
    std::vector<Endpoint> endpoints = {};
    std::optional<std::string> rack = {};

    friend bool operator==(const Broker&, const Broker&) = default;
};

// What /brokers/topics/T/partitions/P/state holds.
struct PartitionState {
    base::BrokerId leader = no_leader;
    base::LeaderEpoch leader_epoch{0};
    Brokers isr = {};
    std::int32_t controller_epoch = 0;  // Of whoever wrote it.
    bool recovering = false;            // Elected uncleanly, and not over it yet.

    friend bool operator==(const PartitionState&, const PartitionState&) = default;
};

struct StoredState {
    PartitionState state;
    std::int32_t version = 0;  // Of the node: the partition epoch.

    friend bool operator==(const StoredState&, const StoredState&) = default;
};

// The replicas of a partition, the preferred leader first. While they are being moved, all of the
// old and the new ones are replicas.
struct Assignment {
    Brokers replicas;
    Brokers adding = {};
    Brokers removing = {};

    bool is_moving() const noexcept { return !adding.empty() || !removing.empty(); }
    Brokers origin() const;  // Without what is being added: what a cancel returns to.
    Brokers target() const;  // Without what is being removed: what it comes to.

    friend bool operator==(const Assignment&, const Assignment&) = default;
};

struct PartitionNode {
    base::PartitionIndex index;
    Assignment assignment;
    std::optional<StoredState> stored = {};  // Nothing: nobody has chosen a leader yet.
};

struct TopicNode {
    std::string name;
    base::Uuid id{};           // All zero: it has none yet.
    std::int32_t version = 0;  // Of /brokers/topics/T.
    std::vector<PartitionNode> partitions = {};
    // unclean.leader.election.enable of the topic; nothing: the cluster's.
    std::optional<bool> unclean_elections = {};
};

// The tree as a new controller reads it.
struct Tree {
    std::vector<Broker> brokers;
    std::vector<TopicNode> topics;
    std::vector<std::string> deletions;  // Children of /admin/delete_topics.
};

// One term of office.
struct Term {
    base::BrokerId controller;
    std::int32_t epoch = 0;          // What /controller_epoch holds.
    std::int32_t epoch_version = 0;  // The version of that node, on which each write depends.
};

// The keys of server.properties that rule the controller, with their defaults.
struct ControllerSettings {
    bool unclean_elections = false;          // unclean.leader.election.enable
    std::int32_t imbalance_percentage = 10;  // leader.imbalance.per.broker.percentage
    std::size_t writes_max = 2000;           // In one batch; what is left follows in the next.
};

}  // namespace coordinator::controller
