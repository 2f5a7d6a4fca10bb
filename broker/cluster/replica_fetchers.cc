#include "broker/cluster/replica_fetchers.h"

#include <algorithm>

namespace broker {

using base::TopicPartition;

std::unique_ptr<ReplicaFetcher> ReplicaFetchers::make(const Key& key, const Address& address,
                                                      const ClusterImage& image) {
    const BrokerConfig& config = *image.config;
    ReplicaFetcher::Settings settings;
    settings.self = image.self;
    settings.leader = address;
    settings.client_id =
        "broker-" + std::to_string(image.self.value()) + "-fetcher-" + std::to_string(key.second);
    settings.wait_ms = config.replica_fetch_wait_max_ms;
    settings.bytes_min = config.replica_fetch_min_bytes;
    settings.bytes_max = config.replica_fetch_response_max_bytes;
    settings.partition_bytes_max = config.replica_fetch_max_bytes;
    settings.backoff = std::chrono::milliseconds(config.replica_fetch_backoff_ms);
    settings.versions = interbroker_versions(config.inter_broker_protocol_version);
    settings.timeout = std::chrono::milliseconds(config.replica_socket_timeout_ms);
    settings.wall_ms = ports_.wall_ms;
    settings.is_held_back = [this](const TopicPartition& at) { return is_held_back(at); };
    settings.took = [this](const TopicPartition& at, std::size_t bytes) { took(at, bytes); };
    return std::make_unique<ReplicaFetcher>(std::move(settings));
}

// Followers under the quota, while they are not in sync.
bool ReplicaFetchers::is_throttled(const ClusterImage& image, const TopicPartition& at) const {
    const TopicImage* const topic = image.find_topic(at.topic);
    const PartitionImage* const partition = topic ? topic->find(at.partition) : nullptr;
    if (!partition || std::ranges::find(partition->isr, image.self) != partition->isr.end())
        return false;
    return names_replica(topic->config->follower_replication_throttled_replicas, at.partition,
                         image.self);
}

// Fetchers call it.
bool ReplicaFetchers::is_held_back(const TopicPartition& at) const {
    const auto image = ports_.image();
    const auto rate = image->config->follower_replication_throttled_rate;
    return quota_.is_exceeded(rate, ports_.steady_ms()) && is_throttled(*image, at);
}

// Fetchers call it.
void ReplicaFetchers::took(const TopicPartition& at, std::size_t bytes) {
    const auto image = ports_.image();
    if (bytes > 0 && is_throttled(*image, at)) quota_.charge(bytes, ports_.steady_ms());
}

void ReplicaFetchers::follow(const std::shared_ptr<Partition>& partition, base::LeaderEpoch epoch,
                             base::BrokerId leader, const Address& address,
                             const ClusterImage& image) {
    const TopicPartition& at = partition->id();
    leave(at);
    const auto count = static_cast<std::size_t>(std::max(image.config->num_replica_fetchers, 1));
    const auto place =
        std::hash<std::string>()(at.topic) * 31 + static_cast<std::size_t>(at.partition.value());
    const Key key(leader, place % count);
    auto& fetcher = fetchers_[key];
    if (!fetcher || fetcher->leader() != address) {
        fetcher = make(key, address, image);
        for (const auto& [other, followed] : followed_) {
            if (followed.first == key) fetcher->add(followed.second.first, followed.second.second);
        }
    }
    followed_.insert_or_assign(at, std::pair(key, std::pair(partition, epoch)));
    fetcher->add(partition, epoch);
}

void ReplicaFetchers::leave(const TopicPartition& at) {
    const auto found = followed_.find(at);
    if (found == followed_.end()) return;
    const auto fetcher = fetchers_.find(found->second.first);
    if (fetcher != fetchers_.end()) fetcher->second->remove(at);
    followed_.erase(found);
}

void ReplicaFetchers::stop() {
    followed_.clear();
    fetchers_.clear();
}

}  // namespace broker
