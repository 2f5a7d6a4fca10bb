#include "broker/cluster/image.h"

#include "broker/replica/log_manager.h"

#include <algorithm>

namespace broker {

const BrokerEndpoint* BrokerImage::find_endpoint(std::string_view listener) const noexcept {
    const auto found = std::ranges::find(endpoints, listener, &BrokerEndpoint::listener);
    return found == endpoints.end() ? nullptr : &*found;
}

protocol::ErrorCode PartitionImage::why_not_local(base::BrokerId self) const noexcept {
    const bool is_ours = std::ranges::find(replicas, self) != replicas.end();
    return is_ours ? protocol::ErrorCode::kafka_storage_error : protocol::ErrorCode::not_leader_or_follower;
}

const PartitionImage* TopicImage::find(base::PartitionIndex index) const noexcept {
    const auto at = index.value();
    if (at < 0 || static_cast<std::size_t>(at) >= partitions.size()) return nullptr;
    return &partitions[static_cast<std::size_t>(at)];
}

storage::LogConfig TopicImage::log_settings(const BrokerConfig& broker) const {
    auto settings = log_config(*config, broker.producer_id_expiration_ms);
    if (is_held) settings.deletes = settings.compacts = false;
    return settings;
}

bool is_internal_topic(std::string_view name) noexcept {
    return name == "__consumer_offsets" || name == "__transaction_state" || name == "__share_group_state";
}

const TopicImage* ClusterImage::find_topic(std::string_view name) const noexcept {
    const auto* found = by_name_.find(name);
    return found ? found->get() : nullptr;
}

const TopicImage* ClusterImage::find_topic(const base::Uuid& id) const noexcept {
    const auto* found = by_id_.find(id);
    return found ? found->get() : nullptr;
}

TopicPointer ClusterImage::share_topic(std::string_view name) const {
    const auto* found = by_name_.find(name);
    return found ? *found : nullptr;
}

const BrokerImage* ClusterImage::find_broker(base::BrokerId id) const noexcept {
    const auto found = std::ranges::find(brokers, id, &BrokerImage::id);
    return found == brokers.end() ? nullptr : &*found;
}

bool ClusterImage::is_offline(const PartitionImage& partition,
                              base::BrokerId replica) const noexcept {
    if (replica == self) return !partition.local || partition.local->is_offline();
    return !find_broker(replica) ||
           std::ranges::find(partition.offline, replica) != partition.offline.end();
}

const BrokerImage* ClusterImage::leader_of(const PartitionImage& partition) const noexcept {
    const bool has_failed = partition.leader == self && is_offline(partition, self);
    return has_failed ? nullptr : find_broker(partition.leader);
}

std::vector<TopicPointer> ClusterImage::topics() const {
    std::vector<TopicPointer> all;
    all.reserve(by_name_.size());
    by_name_.each([&](const std::string&, const TopicPointer& topic) { all.push_back(topic); });
    std::ranges::sort(all, {}, [](const TopicPointer& topic) -> const std::string& { return topic->name; });
    return all;
}

void ClusterImage::set_topic(TopicPointer topic) {
    if (const auto* old = by_name_.find(topic->name); old && (*old)->id != topic->id) by_id_.erase((*old)->id);
    if (topic->id != base::Uuid{}) by_id_.set(topic->id, topic);
    const std::string name = topic->name;
    by_name_.set(name, std::move(topic));
}

void ClusterImage::erase_topic(std::string_view name) {
    const auto* found = by_name_.find(name);
    if (!found) return;
    by_id_.erase((*found)->id);
    by_name_.erase(std::string(name));
}

}  // namespace broker
