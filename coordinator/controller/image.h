// Image: the cluster as the controller knows it: what is in the tree, and what is only here.
//
// The tree's part changes when a write has succeeded or a node was read again, never before.
// Beside it stand the facts of this term: whose log directory failed, who retires, which
// replicas have still to be stopped.
//
// Partitions are known by keys, which are never used twice: a key that is kept somewhere after its
// topic has gone finds nothing.
//
// Invariants:
//   - a broker's partitions are those that have it among their replicas, in their ISR, among those
//     that leave or among those that are to be deleted with their topic
//
// Threads: the controller's. Limits: made for 200,000 partitions; what a broker's coming and going
// costs hangs on its own partitions alone.
#pragma once

#include "coordinator/controller/elections.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace coordinator::controller {

using Key = std::uint32_t;  // Of a partition, for the term.

struct Topic;

struct Partition {
    Key key = 0;
    Topic* topic = nullptr;
    base::PartitionIndex index;
    Assignment assignment;
    std::optional<StoredState> stored = {};

    Brokers failed = {};        // Replicas whose log directory is offline.
    Brokers fresh = {};         // Replicas that have not made their log yet.
    Brokers leaving = {};       // No replicas any more; to be stopped once they are out of the ISR.
    Brokers stopping = {};      // Removed ones that have not confirmed it yet.
    bool is_finishing = false;  // The move is over but for the removed replicas.
    bool wants_epoch = false;   // Its replicas may not have learnt of its assignment.
    bool is_writing = false;
    bool is_reading = false;
    bool reads_again = false;             // It changed while it was being written or read.
    std::optional<Assignment> next = {};  // To be written.

    base::TopicPartition at() const;
    // Those who have to follow it now: the target alone when a move is all but over.
    Brokers told_replicas() const;
    bool is_busy() const noexcept { return is_writing || is_reading; }
};

struct Topic {
    std::string name;
    base::Uuid id{};
    std::int32_t version = 0;
    std::optional<bool> unclean_elections = {};
    std::map<base::PartitionIndex, Key> partitions = {};
    bool is_deleting = false;
    bool is_writing = false;   // Its own node.
    bool is_reading = false;   // Likewise.
    bool reads_again = false;  // It changed while it was being written.
    // Replicas that are to be deleted before it can go.
    std::set<std::pair<Key, base::BrokerId>> undeleted = {};
};

class Image {
public:
    explicit Image(const ControllerSettings& settings) : settings_(settings) {}

    // ---- brokers
    void set_broker(Broker broker);
    void erase_broker(base::BrokerId id);
    const Broker* find_broker(base::BrokerId id) const;
    Brokers live() const;
    // All that are alive, by id. The same object until one changes.
    const std::shared_ptr<const std::vector<Broker>>& live_brokers() const { return shared_; }
    void retire(base::BrokerId id) { retiring_.insert(id); }
    bool is_retiring(base::BrokerId id) const { return retiring_.contains(id); }

    // ---- topics and partitions
    Topic& add_topic(const TopicNode& node);
    Partition& add_partition(Topic& topic, const PartitionNode& node);
    void erase_topic(const std::string& name);
    Topic* find_topic(const std::string& name);
    const Topic* find_topic(const std::string& name) const;
    Partition* find(Key key);
    const Partition* find(Key key) const;
    Partition* find(const base::TopicPartition& at);
    const Partition* find(const base::TopicPartition& at) const;
    std::size_t partition_count() const noexcept { return count_; }

    // Those of a broker, in the order of their keys.
    const std::set<Key>& partitions_of(base::BrokerId id) const;
    // All, in the order of their keys.
    template <class Each>
    void for_each(Each each) const {
        for (const auto& partition : slots_)
            if (partition) each(std::as_const(*partition));
    }

    // ---- what happened to a partition
    void store(Partition& partition, std::optional<StoredState> stored);
    void assign(Partition& partition, Assignment assignment);
    // Those who leave have been told so.
    Brokers release(Partition& partition);

    // ---- what follows
    Electorate electorate(const Partition& partition) const;
    // The same, if these were its replicas.
    Electorate electorate(const Partition& partition, Brokers replicas) const;
    bool can_serve(const Partition& partition, base::BrokerId id) const;
    Brokers offline(const Partition& partition) const;
    bool unclean_elections(const Topic& topic) const;
    void set_unclean_elections(bool enabled) { settings_.unclean_elections = enabled; }

private:
    void index(Partition& partition);
    void share();

    ControllerSettings settings_;
    std::map<base::BrokerId, Broker> brokers_;
    std::set<base::BrokerId> retiring_;
    std::shared_ptr<const std::vector<Broker>> shared_ =
        std::make_shared<const std::vector<Broker>>();
    std::unordered_map<std::string, std::unique_ptr<Topic>> topics_;
    std::vector<std::unique_ptr<Partition>> slots_;  // By key.
    std::size_t count_ = 0;
    std::unordered_map<base::BrokerId, std::set<Key>> by_broker_;
    std::vector<Brokers> indexed_;  // By key: under whom it stands in by_broker_.
};

}  // namespace coordinator::controller
