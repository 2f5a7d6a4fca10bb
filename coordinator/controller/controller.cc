#include "coordinator/controller/controller.h"

#include "coordinator/controller/brokers.h"

#include <utility>

namespace coordinator::controller {

using base::BrokerId;

Controller::Controller(const Term& term, const ControllerSettings& settings, const Tree& tree)
    : term_(term), settings_(settings), image_(settings) {
    for (const Broker& broker : tree.brokers) image_.set_broker(broker);
    for (const TopicNode& node : tree.topics) add_topic(node);
    for (const Broker& broker : tree.brokers) open_channel(broker);
    for (const std::string& name : tree.deletions) topic_marked(name);
}

Effects Controller::take_effects() {
    if (!resigned_) {
        advance();
        send();
    }
    return std::exchange(effects_, {});
}

bool Controller::is_idle() const {
    return is_settled() && !batch_ && arrivals_.empty() && asked_.empty() && requests_.empty() &&
           topics_to_write_.empty() && topics_to_remove_.empty() &&
           std::ranges::all_of(channels_, [](const auto& each) { return each.second.is_idle(); });
}

void Controller::resign() {
    if (std::exchange(resigned_, true)) return;
    effects_ = {};
    effects_.resign = true;
    for (const auto& [id, asked] : asked_) answer(asked);
    for (const Leaving& each : shutdowns_) {
        effects_.answers.push_back(
            ShutdownAnswer{each.ticket, protocol::ErrorCode::not_controller});
    }
    asked_.clear();
    shutdowns_.clear();
}

// ---- brokers ------------------------------------------------------------------------------

void Controller::broker_seen(Broker broker) {
    const Broker* known = image_.find_broker(broker.id);
    if (known != nullptr && *known == broker) return;
    if (known != nullptr && known->epoch == broker.epoch) {
        image_.set_broker(std::move(broker));
        for (auto& [id, channel] : channels_) channel.tell_brokers();
        return;
    }
    if (known != nullptr) broker_gone(broker.id);
    const BrokerId id = broker.id;
    arrivals_.insert_or_assign(id, std::move(broker));
}

void Controller::broker_gone(BrokerId id) {
    arrivals_.erase(id);
    if (image_.find_broker(id) == nullptr) return;
    channels_.erase(id);
    std::erase_if(requests_, [&](const auto& request) { return request.second == id; });
    image_.erase_broker(id);
    for (auto& [other, channel] : channels_) channel.tell_brokers();
    unsettle_all_of(id);
    for (const Key key : image_.partitions_of(id)) {
        Partition& partition = *image_.find(key);
        if (std::erase(partition.stopping, id) > 0) end_move_if_removed(partition);
    }
}

// Its partitions may need another leader, and everybody shows it as offline or not.
void Controller::unsettle_all_of(BrokerId id) {
    for (const Key key : image_.partitions_of(id)) {
        unsettled_.insert(key);
        tell_metadata(key);
    }
}

// At a moment when nothing waits that its absence asked for.
void Controller::take_in_arrivals() {
    for (auto& [id, broker] : std::exchange(arrivals_, {})) {
        image_.set_broker(broker);
        for (auto& [other, channel] : channels_) channel.tell_brokers();
        open_channel(broker);
        unsettle_all_of(id);
    }
}

void Controller::log_directory_failed(BrokerId broker) {
    for (const Key key : image_.partitions_of(broker)) tell_role(*image_.find(key), broker);
}

// ---- topics -------------------------------------------------------------------------------

void Controller::add_topic(const TopicNode& node) {
    Topic& topic = image_.add_topic(node);
    for (const PartitionNode& partition : node.partitions) add_partition(topic, partition);
    if (marked_.erase(node.name) > 0) begin_deletion(topic);
}

void Controller::add_partition(Topic& topic, const PartitionNode& node) {
    Partition& partition = image_.add_partition(topic, node);
    // Whoever began the move may not have come to the epoch in which its replicas learn of it.
    partition.wants_epoch = node.assignment.is_moving();
    if (topic.is_deleting) {
        for (const BrokerId id : node.assignment.replicas) delete_replica(topic, partition, id);
        return;
    }
    if (partition.stored) {
        tell(partition);
    } else {
        partition.fresh = node.assignment.replicas;
    }
    unsettled_.insert(partition.key);
}

void Controller::topic_seen(const TopicNode& node) {
    Topic* topic = image_.find_topic(node.name);
    if (topic != nullptr && topic->id != node.id && topic->id != base::Uuid{}) {
        forget(node.name);
        topic = nullptr;
    }
    if (topic == nullptr) return add_topic(node);
    if (topic->is_writing) {
        topic->reads_again = true;
        return;
    }
    topic->is_reading = false;
    topic->version = node.version;
    topic->id = node.id;
    for (const PartitionNode& each : node.partitions) {
        Partition* partition = image_.find({node.name, each.index});
        if (partition == nullptr) {
            add_partition(*topic, each);
        } else if (const auto next = std::exchange(partition->next, std::nullopt)) {
            // A write whose outcome nobody knew, or one that has not begun.
            if (*next == each.assignment) assigned(*partition, *next);
            unsettled_.insert(partition->key);
        }
    }
    topics_to_write_.erase(node.name);
    reopen_moves(node.name);
}

void Controller::topic_gone(const std::string& name) {
    if (marked_.erase(name) > 0) topics_to_remove_.insert(name);
    forget(name);
}

void Controller::forget(const std::string& name) {
    const Topic* topic = image_.find_topic(name);
    if (topic == nullptr) return;
    reopen_moves(name);
    for (const auto& [index, key] : topic->partitions) reading_ -= image_.find(key)->is_reading;
    topics_to_write_.erase(name);
    topics_to_remove_.erase(name);
    image_.erase_topic(name);
}

void Controller::unclean_elections_changed(const std::string& name, std::optional<bool> enabled) {
    Topic* topic = image_.find_topic(name);
    if (topic == nullptr || topic->unclean_elections == enabled) return;
    topic->unclean_elections = enabled;
    unsettle_leaderless();
}

void Controller::default_unclean_elections_changed(bool enabled) {
    image_.set_unclean_elections(enabled);
    unsettle_leaderless();
}

void Controller::unsettle_leaderless() {
    image_.for_each([&](const Partition& partition) {
        if (partition.stored && partition.stored->state.leader == no_leader) {
            unsettled_.insert(partition.key);
        }
    });
}

// ---- deletion -----------------------------------------------------------------------------

void Controller::topic_marked(const std::string& name) {
    Topic* topic = image_.find_topic(name);
    if (topic == nullptr) {
        topics_to_remove_.insert(name);
    } else if (!topic->is_deleting) {
        begin_deletion(*topic);
    }
}

// Nothing of it is written any more: it goes when no broker has a replica of it. A move that runs
// goes with it, as all who take part in it are replicas.
void Controller::begin_deletion(Topic& topic) {
    topic.is_deleting = true;
    topics_to_write_.erase(topic.name);
    reopen_moves(topic.name);
    for (const auto& [index, key] : topic.partitions) {
        Partition& partition = *image_.find(key);
        partition.next.reset();
        for (const BrokerId id : joined(partition.assignment.replicas, partition.leaving)) {
            delete_replica(topic, partition, id);
        }
    }
    if (topic.undeleted.empty()) topics_to_remove_.insert(topic.name);
}

void Controller::delete_replica(Topic& topic, const Partition& partition, BrokerId id) {
    topic.undeleted.emplace(partition.key, id);
    stop_replica(partition, id, true);
    tell_metadata(partition.key);
}

void Controller::states_changed(const std::vector<base::TopicPartition>& partitions) {
    for (const auto& at : partitions) {
        Partition* partition = image_.find(at);
        if (partition != nullptr) read(*partition);
    }
}

}  // namespace coordinator::controller
