// What brokers hear: channels, and messages made from the image.

#include "coordinator/controller/brokers.h"
#include "coordinator/controller/controller.h"

#include <unordered_map>
#include <utility>

namespace coordinator::controller {

using base::BrokerId;
using protocol::ErrorCode;

// A broker that comes learns everything: its own replicas, and everybody's leaders.
void Controller::open_channel(const Broker& broker) {
    Channel& channel = channels_.try_emplace(broker.id, broker.epoch).first->second;
    for (const Key key : image_.partitions_of(broker.id)) {
        Partition& partition = *image_.find(key);
        if (partition.topic->undeleted.contains({key, broker.id})) {
            channel.stop(key, true);
        } else if (partition.is_finishing && contains(partition.assignment.removing, broker.id)) {
            add(partition.stopping, broker.id);
            channel.stop(key, true);
        } else {
            tell_role(partition, broker.id);
        }
    }
    image_.for_each([&](const Partition& partition) { channel.tell_metadata(partition.key); });
}

void Controller::tell_metadata(Key partition) {
    for (auto& [id, channel] : channels_) channel.tell_metadata(partition);
}

void Controller::tell(const Partition& partition) {
    for (const BrokerId id : partition.told_replicas()) tell_role(partition, id);
    tell_metadata(partition.key);
}

void Controller::tell_role(const Partition& partition, BrokerId id) {
    const auto channel = channels_.find(id);
    if (channel == channels_.end() || !partition.stored || partition.topic->is_deleting) return;
    if (contains(partition.told_replicas(), id)) channel->second.lead_or_follow(partition.key);
}

void Controller::stop_replica(const Partition& partition, BrokerId id, bool deletes) {
    const auto channel = channels_.find(id);
    if (channel != channels_.end()) channel->second.stop(partition.key, deletes);
}

// ---- requests -----------------------------------------------------------------------------

void Controller::send() {
    for (auto& [id, channel] : channels_) {
        const std::uint64_t request = next_id_++;
        while (const auto message = channel.take(request)) {
            auto content = content_of(*message, id);
            if (!content) {  // All that it was about has gone.
                channel.answered(request);
                continue;
            }
            requests_.emplace(request, id);
            effects_.requests.push_back(
                {request, id, channel.broker_epoch(), image_.live_brokers(), *std::move(content)});
        }
    }
}

std::optional<Content> Controller::content_of(const Channel::Message& message, BrokerId to) const {
    switch (message.kind) {
        case Channel::Kind::lead_or_follow: {
            auto content = roles(message.partitions, to);
            if (content.partitions.empty()) return std::nullopt;
            return content;
        }
        case Channel::Kind::metadata:
            return metadata(message.partitions);
        case Channel::Kind::stop: {
            auto content = stops(message.stops);
            if (content.partitions.empty()) return std::nullopt;
            return content;
        }
    }
    return std::nullopt;
}

LeaderAndIsr Controller::roles(const std::vector<Key>& partitions, BrokerId to) const {
    LeaderAndIsr content;
    for (const Key key : partitions) {
        const Partition* partition = image_.find(key);
        if (partition == nullptr || !partition->stored || partition->topic->is_deleting) continue;
        const Brokers replicas = partition->told_replicas();
        if (!contains(replicas, to)) continue;
        const Assignment told =
            partition->is_finishing ? Assignment{replicas} : partition->assignment;
        content.partitions.push_back({partition->topic->name, partition->topic->id,
                                      partition->index, partition->stored->state,
                                      partition->stored->version, told,
                                      contains(partition->fresh, to)});
    }
    return content;
}

UpdateMetadata Controller::metadata(const std::vector<Key>& partitions) const {
    UpdateMetadata content;
    for (const Key key : partitions) {
        const Partition* partition = image_.find(key);
        if (partition == nullptr) continue;
        const bool goes = partition->topic->is_deleting;
        if (!partition->stored && !goes) continue;
        StoredState stored = partition->stored.value_or(StoredState{});
        if (goes) {
            stored.state.leader = BrokerId(during_deletion);
            stored.state.leader_epoch = base::LeaderEpoch(0);
            stored.version = 0;
        }
        content.partitions.push_back({partition->topic->name, partition->topic->id,
                                      partition->index, std::move(stored.state), stored.version,
                                      partition->assignment.replicas, image_.offline(*partition)});
    }
    return content;
}

StopReplica Controller::stops(const std::vector<Channel::Stop>& stops) const {
    StopReplica content;
    for (const Channel::Stop& stop : stops) {
        const Partition* partition = image_.find(stop.key);
        if (partition == nullptr) continue;
        base::LeaderEpoch epoch(during_deletion);
        if (!partition->topic->is_deleting && partition->stored) {
            epoch = partition->stored->state.leader_epoch;
        }
        content.partitions.push_back({partition->at(), epoch, stop.deletes && stop.stopped});
    }
    return content;
}

// ---- answers ------------------------------------------------------------------------------

void Controller::answered(std::uint64_t request, ErrorCode error,
                          const std::vector<PartitionError>& partitions) {
    const auto found = requests_.find(request);
    if (found == requests_.end()) return;
    const BrokerId id = found->second;
    Channel& channel = channels_.at(id);
    if (error == ErrorCode::stale_broker_epoch) {
        requests_.erase(found);
        return channel.close();
    }
    if (error != ErrorCode::none) return unanswered(request);
    requests_.erase(found);
    const auto message = channel.answered(request);
    if (!message) return;
    if (message->kind == Channel::Kind::lead_or_follow) {
        for (const PartitionError& each : partitions) {
            Partition* partition = image_.find(each.at);
            if (partition != nullptr) role_taken(*partition, id, each.error);
        }
    }
    if (message->stops.empty()) return;
    std::unordered_map<base::TopicPartition, ErrorCode> errors;
    for (const PartitionError& each : partitions) errors.emplace(each.at, each.error);
    for (const Channel::Stop& stop : message->stops) {
        const Partition* partition = image_.find(stop.key);
        if (partition == nullptr) continue;
        const auto at = errors.find(partition->at());
        replica_stopped(stop, id, at == errors.end() ? ErrorCode::none : at->second);
    }
}

void Controller::unanswered(std::uint64_t request) {
    const auto found = requests_.find(request);
    if (found == requests_.end()) return;
    channels_.at(found->second).unanswered(request);
    requests_.erase(found);
}

// A replica whose directory has failed counts as dead until its broker says otherwise.
void Controller::role_taken(Partition& partition, BrokerId id, ErrorCode error) {
    const bool failed = error == ErrorCode::kafka_storage_error;
    if (!failed && error != ErrorCode::none) return;
    if (failed != contains(partition.failed, id)) {
        if (failed) {
            partition.failed.push_back(id);
        } else {
            std::erase(partition.failed, id);
        }
        unsettled_.insert(partition.key);
        tell_metadata(partition.key);
    }
    if (!failed) std::erase(partition.fresh, id);
}

void Controller::replica_stopped(const Channel::Stop& stop, BrokerId id, ErrorCode error) {
    Partition& partition = *image_.find(stop.key);
    Topic& topic = *partition.topic;
    // Without its directory it cannot be deleted now: the topic waits for the broker's return.
    if (topic.is_deleting) {
        if (error != ErrorCode::none || !stop.deletes) return;
        topic.undeleted.erase({stop.key, id});
        if (topic.undeleted.empty()) topics_to_remove_.insert(topic.name);
    } else if (std::erase(partition.stopping, id) > 0) {
        end_move_if_removed(partition);
    }
}

}  // namespace coordinator::controller
