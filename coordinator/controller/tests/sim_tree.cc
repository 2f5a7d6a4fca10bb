#include "coordinator/controller/tests/sim_tree.h"

#include <algorithm>
#include <cstring>

namespace test {

void SimTree::expect(bool holds, const std::string& what) {
    if (!holds && fault.empty()) fault = what;
}

Tree SimTree::read() const {
    Tree tree;
    for (const auto& [id, broker] : brokers) tree.brokers.push_back(broker);
    for (const auto& [name, topic] : topics) tree.topics.push_back(read(name));
    tree.deletions.assign(marks.begin(), marks.end());
    return tree;
}

TopicNode SimTree::read(const std::string& name) const {
    const SimTopic& topic = topics.at(name);
    TopicNode node{name, topic.id, topic.version};
    for (const auto& [index, assignment] : topic.partitions) {
        node.partitions.push_back({index, assignment, state({name, index})});
    }
    return node;
}

std::optional<StoredState> SimTree::state(const base::TopicPartition& at) const {
    const auto found = states.find(at);
    if (found == states.end()) return std::nullopt;
    return found->second;
}

Term SimTree::elect(BrokerId id) {
    controller = id;
    ++epoch;
    return {id, epoch, epoch};
}

void SimTree::create(const std::string& name, std::vector<Brokers> assignment) {
    SimTopic& topic = topics[name];
    ++zxid;
    std::memcpy(topic.id.data(), &zxid, sizeof zxid);
    std::int32_t index = 0;
    for (Brokers& replicas : assignment) {
        topic.partitions[base::PartitionIndex(index++)] = {std::move(replicas)};
    }
}

void SimTree::add_partition(const std::string& name, Brokers replicas) {
    SimTopic& topic = topics.at(name);
    const auto next = static_cast<std::int32_t>(topic.partitions.size());
    topic.partitions[base::PartitionIndex(next)] = {std::move(replicas)};
    ++topic.version;
}

Outcome SimTree::write(const Write& one, std::int32_t epoch_version, std::int32_t writer) {
    if (epoch_version != -1 && epoch_version != epoch) return {Outcome::Kind::deposed};
    expect(writer == epoch, "a controller wrote after it was deposed");
    return std::visit([&](const auto& each) { return write(each); }, one);
}

Outcome SimTree::write(const StateWrite& one) {
    const auto topic = topics.find(one.at.topic);
    if (topic == topics.end() || !topic->second.partitions.contains(one.at.partition)) {
        return {Outcome::Kind::conflict};
    }
    const auto found = states.find(one.at);
    const bool exists = found != states.end();
    const auto version = exists ? std::optional(found->second.version) : std::nullopt;
    if (version != one.version) return {Outcome::Kind::conflict};
    if (!exists) {
        states[one.at] = {one.next, 0};
        return {Outcome::Kind::done, 0};
    }
    const PartitionState& before = found->second.state;
    const auto raised = one.next.leader_epoch - before.leader_epoch;
    expect(raised == 0 || raised == 1, "a leader epoch went back, or leapt");
    expect(raised == 1 || one.next.leader == before.leader, "a leader changed within its epoch");
    expect(!one.next.isr.empty(), "an ISR became empty");
    found->second = {one.next, *version + 1};
    return {Outcome::Kind::done, *version + 1};
}

Outcome SimTree::write(const TopicWrite& one) {
    const auto found = topics.find(one.topic);
    if (found == topics.end() || found->second.version != one.version) {
        return {Outcome::Kind::conflict};
    }
    const bool current = std::ranges::all_of(one.states, [&](const StateWrite& each) {
        const auto stored = state(each.at);
        return stored && stored->version == each.version;
    });
    if (!current) return {Outcome::Kind::conflict};
    for (const StateWrite& each : one.states) write(each);
    SimTopic& topic = found->second;
    expect(topic.partitions.size() == one.partitions.size(), "a write dropped partitions");
    for (const auto& [index, assignment] : one.partitions) topic.partitions[index] = assignment;
    return {Outcome::Kind::done, ++topic.version};
}

Outcome SimTree::write(const TopicRemoval& one) {
    const auto found = topics.find(one.topic);
    if (found != topics.end() && !one.id) return {Outcome::Kind::conflict};
    if (found != topics.end() && *one.id != found->second.id) return {};
    marks.erase(one.topic);
    if (found == topics.end()) return {};
    goes(one.topic, found->second);
    std::erase_if(states, [&](const auto& each) { return each.first.topic == one.topic; });
    topics.erase(found);
    return {};
}

}  // namespace test
