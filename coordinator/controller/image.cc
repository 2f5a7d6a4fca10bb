#include "coordinator/controller/image.h"

#include "coordinator/controller/brokers.h"
#include "coordinator/controller/reassignment.h"

namespace coordinator::controller {

using base::BrokerId;

base::TopicPartition Partition::at() const {
    return {topic->name, index};
}

Brokers Partition::told_replicas() const {
    return is_finishing ? assignment.target() : assignment.replicas;
}

// ---- brokers ------------------------------------------------------------------------------

void Image::share() {
    auto all = std::make_shared<std::vector<Broker>>();
    for (const auto& [id, broker] : brokers_) all->push_back(broker);
    shared_ = std::move(all);
}

void Image::set_broker(Broker broker) {
    const BrokerId id = broker.id;
    brokers_.insert_or_assign(id, std::move(broker));
    share();
}

void Image::erase_broker(BrokerId id) {
    brokers_.erase(id);
    retiring_.erase(id);
    for (const Key key : partitions_of(id)) std::erase(slots_[key]->failed, id);
    share();
}

const Broker* Image::find_broker(BrokerId id) const {
    const auto found = brokers_.find(id);
    return found == brokers_.end() ? nullptr : &found->second;
}

Brokers Image::live() const {
    Brokers ids;
    for (const auto& [id, broker] : brokers_) ids.push_back(id);
    return ids;
}

// ---- topics and partitions ----------------------------------------------------------------

Topic& Image::add_topic(const TopicNode& node) {
    auto topic = std::make_unique<Topic>();
    topic->name = node.name;
    topic->id = node.id;
    topic->version = node.version;
    topic->unclean_elections = node.unclean_elections;
    Topic& added = *topic;
    topics_.insert_or_assign(node.name, std::move(topic));
    return added;
}

Partition& Image::add_partition(Topic& topic, const PartitionNode& node) {
    const auto key = static_cast<Key>(slots_.size());
    auto& slot = slots_.emplace_back(std::make_unique<Partition>());
    indexed_.emplace_back();
    slot->key = key;
    slot->topic = &topic;
    slot->index = node.index;
    slot->assignment = node.assignment;
    slot->stored = node.stored;
    topic.partitions.emplace(node.index, key);
    ++count_;
    index(*slot);
    return *slot;
}

void Image::erase_topic(const std::string& name) {
    const auto found = topics_.find(name);
    if (found == topics_.end()) return;
    for (const auto& [at, key] : found->second->partitions) {
        for (const BrokerId id : indexed_[key]) by_broker_[id].erase(key);
        indexed_[key].clear();
        slots_[key].reset();
        --count_;
    }
    topics_.erase(found);
}

Topic* Image::find_topic(const std::string& name) {
    const auto found = topics_.find(name);
    return found == topics_.end() ? nullptr : found->second.get();
}

const Topic* Image::find_topic(const std::string& name) const {
    const auto found = topics_.find(name);
    return found == topics_.end() ? nullptr : found->second.get();
}

Partition* Image::find(Key key) {
    return key < slots_.size() ? slots_[key].get() : nullptr;
}

const Partition* Image::find(Key key) const {
    return key < slots_.size() ? slots_[key].get() : nullptr;
}

Partition* Image::find(const base::TopicPartition& at) {
    const Partition* const found = std::as_const(*this).find(at);
    return found == nullptr ? nullptr : find(found->key);
}

const Partition* Image::find(const base::TopicPartition& at) const {
    const Topic* topic = find_topic(at.topic);
    if (topic == nullptr) return nullptr;
    const auto found = topic->partitions.find(at.partition);
    return found == topic->partitions.end() ? nullptr : find(found->second);
}

const std::set<Key>& Image::partitions_of(BrokerId id) const {
    static const std::set<Key> none;
    const auto found = by_broker_.find(id);
    return found == by_broker_.end() ? none : found->second;
}

void Image::index(Partition& partition) {
    Brokers now = joined(partition.assignment.replicas, partition.leaving);
    if (partition.stored) now = joined(std::move(now), partition.stored->state.isr);
    const auto& undeleted = partition.topic->undeleted;
    for (auto at = undeleted.lower_bound({partition.key, BrokerId(0)});
         at != undeleted.end() && at->first == partition.key; ++at) {
        add(now, at->second);
    }
    Brokers& before = indexed_[partition.key];
    for (const BrokerId id : without(before, now)) by_broker_[id].erase(partition.key);
    for (const BrokerId id : without(now, before)) by_broker_[id].insert(partition.key);
    before = std::move(now);
}

// ---- what happened to a partition ---------------------------------------------------------

void Image::store(Partition& partition, std::optional<StoredState> stored) {
    partition.stored = std::move(stored);
    index(partition);
}

void Image::assign(Partition& partition, Assignment assignment) {
    const Brokers dropped = without(partition.assignment.replicas, assignment.replicas);
    const Brokers gained = without(assignment.replicas, partition.assignment.replicas);
    partition.fresh = joined(without(partition.fresh, dropped), gained);
    partition.leaving = joined(without(partition.leaving, assignment.replicas), dropped);
    partition.assignment = std::move(assignment);
    partition.is_finishing = false;
    partition.stopping.clear();
    index(partition);
}

Brokers Image::release(Partition& partition) {
    Brokers released = std::exchange(partition.leaving, {});
    index(partition);
    return released;
}

// ---- what follows -------------------------------------------------------------------------

bool Image::can_serve(const Partition& partition, BrokerId id) const {
    return brokers_.contains(id) && !contains(partition.failed, id);
}

Electorate Image::electorate(const Partition& partition) const {
    return electorate(partition, partition.told_replicas());
}

Electorate Image::electorate(const Partition& partition, Brokers replicas) const {
    Electorate electorate{replicas, replicas, {}, false};
    if (partition.stored) {
        electorate.alive = joined(std::move(electorate.alive), partition.stored->state.isr);
    }
    electorate.alive =
        filter(electorate.alive, [&](BrokerId id) { return can_serve(partition, id); });
    electorate.retiring =
        filter(electorate.alive, [&](BrokerId id) { return retiring_.contains(id); });
    electorate.unclean = unclean_elections(*partition.topic);
    return electorate;
}

Brokers Image::offline(const Partition& partition) const {
    return filter(partition.assignment.replicas,
                  [&](BrokerId id) { return !can_serve(partition, id) || retiring_.contains(id); });
}

bool Image::unclean_elections(const Topic& topic) const {
    return topic.unclean_elections.value_or(settings_.unclean_elections);
}

}  // namespace coordinator::controller
