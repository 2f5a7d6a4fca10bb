// SimTree: the znode tree as a cluster's controllers see it, and the watchman of its rules.
//
// It honours the conditions that a write brings and no others: not even the session of the writer
// matters. What must not happen is noted in `fault`, the first time.
#pragma once

#include "coordinator/controller/effects.h"

#include <functional>
#include <map>
#include <set>
#include <string>

namespace test {

using namespace coordinator::controller;
using base::BrokerId;

struct SimTopic {
    base::Uuid id{};
    std::int32_t version = 0;
    std::map<base::PartitionIndex, Assignment> partitions;
};

struct SimTree {
    BrokerId controller{-1};
    std::int32_t epoch = 0;  // Of the controller; its node's version is the same.
    std::int64_t zxid = 100;
    std::map<BrokerId, Broker> brokers;
    std::map<std::string, SimTopic> topics;
    std::map<base::TopicPartition, StoredState> states;
    std::set<std::string> marks;
    std::string fault;
    // Told of each topic that is about to go.
    std::function<void(const std::string&, const SimTopic&)> goes;

    void expect(bool holds, const std::string& what);

    // Of a new controller, or of one topic.
    Tree read() const;
    TopicNode read(const std::string& topic) const;
    std::optional<StoredState> state(const base::TopicPartition& at) const;

    Term elect(BrokerId id);
    void create(const std::string& topic, std::vector<Brokers> assignment);
    void add_partition(const std::string& topic, Brokers replicas);

    // What a controller of the term `writer` has sent.
    Outcome write(const Write& write, std::int32_t epoch_version, std::int32_t writer);

private:
    Outcome write(const StateWrite& write);
    Outcome write(const TopicWrite& write);
    Outcome write(const TopicRemoval& write);
};

}  // namespace test
