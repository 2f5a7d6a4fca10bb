// ClusterImage: the cluster as this broker knows it at one moment.
//
// Made from the metadata tree by Cluster, published as a whole, never changed. Requests read
// it without a lock.
//
// Threads: immutable, so any. The Partitions in it are monitors.
#pragma once

#include "broker/cluster/sharded_map.h"
#include "broker/config/broker_config.h"
#include "broker/config/topic_config.h"
#include "broker/replica/partition.h"
#include "protocol/base/types.h"
#include "protocol/schema/error_code.h"

#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace broker {

struct BrokerEndpoint {
    std::string listener;
    std::string host;
    std::int32_t port = 0;
};

struct BrokerImage {
    base::BrokerId id;
    std::optional<std::string> rack;
    std::vector<BrokerEndpoint> endpoints;

    const BrokerEndpoint* find_endpoint(std::string_view listener) const noexcept;
};

struct PartitionImage {
    base::BrokerId leader{-1};  // -1: none.
    base::LeaderEpoch leader_epoch{-1};
    std::vector<base::BrokerId> replicas;  // The preferred leader first.
    std::vector<base::BrokerId> isr;
    std::vector<base::BrokerId> offline;  // Replicas that the controller calls so.
    std::shared_ptr<Partition>
        local;  // This broker's copy; null when it has none or cannot open it.

    // What to answer about a partition that is not `local`: kafka_storage_error when this broker
    // should have a copy and cannot open it, else not_leader_or_follower.
    protocol::ErrorCode why_not_local(base::BrokerId self) const noexcept;
};

struct TopicImage {
    std::string name;
    base::Uuid id{};
    std::vector<PartitionImage> partitions;  // By partition index.
    std::shared_ptr<const TopicConfig> config;
    bool is_internal = false;
    bool is_held = false;  // Imported, and nobody knows its configuration: nothing of it is deleted.
    std::int64_t czxid = 0;  // Of its node: one that was deleted and made again has another.

    // The settings of its logs.
    storage::LogConfig log_settings(const BrokerConfig& broker) const;

    // Null when there is no such partition.
    const PartitionImage* find(base::PartitionIndex index) const noexcept;
};

using TopicPointer = std::shared_ptr<const TopicImage>;

struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
        return std::hash<std::string_view>()(text);
    }
};

struct UuidHash {
    std::size_t operator()(const base::Uuid& id) const noexcept {
        std::size_t hash;
        std::memcpy(&hash, id.data() + 8, sizeof hash);
        return hash;
    }
};

// Internal topics are the coordinators' own; clients cannot write to them.
bool is_internal_topic(std::string_view name) noexcept;

class ClusterImage {
public:
    std::string cluster_id;
    base::BrokerId self;
    base::BrokerId controller{-1};
    std::vector<BrokerImage> brokers;  // Those that are alive, by id.
    std::shared_ptr<const BrokerConfig> config;

    // Null when there is none.
    const TopicImage* find_topic(std::string_view name) const noexcept;
    const TopicImage* find_topic(const base::Uuid& id) const noexcept;
    TopicPointer share_topic(std::string_view name) const;
    const BrokerImage* find_broker(base::BrokerId id) const noexcept;
    // Whether a replica serves nobody: its broker is away, or its log directory has failed.
    bool is_offline(const PartitionImage& partition, base::BrokerId replica) const noexcept;
    // Null where nobody leads: its broker is away, or leads here without its log directory.
    const BrokerImage* leader_of(const PartitionImage& partition) const noexcept;

    std::size_t topic_count() const noexcept { return by_name_.size(); }
    // Sorted by name.
    std::vector<TopicPointer> topics() const;

    // For whoever makes the next image.
    void set_topic(TopicPointer topic);
    void erase_topic(std::string_view name);

private:
    ShardedMap<std::string, TopicPointer, TextHash> by_name_;
    ShardedMap<base::Uuid, TopicPointer, UuidHash> by_id_;
};

using ImagePointer = std::shared_ptr<const ClusterImage>;

}  // namespace broker
