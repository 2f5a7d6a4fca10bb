// ReplicaFetchers: the fetchers of this broker, num.replica.fetchers for each leader it follows.
//
// A partition has its place among the fetchers of its leader by its name, so that it comes back to
// the same one. A leader that moved to another address gets new ones.
//
// While followers take more than follower.replication.throttled.rate, throttled partitions that are
// not in sync are not asked for.
//
// Threads: the controller's.
#pragma once

#include "broker/cluster/image.h"
#include "broker/replica/replica_fetcher.h"
#include "broker/replica/replication_quota.h"

#include <functional>
#include <map>
#include <memory>
#include <utility>

namespace broker {

class ReplicaFetchers {
public:
    struct Ports {
        std::function<ImagePointer()> image;  // Any thread, as the clocks.
        std::function<std::int64_t()> wall_ms;
        std::function<std::int64_t()> steady_ms;
    };

    explicit ReplicaFetchers(Ports ports) : ports_(std::move(ports)) {}

    // Fetch for a follower of that term, from `leader` at `address`, and from nobody else.
    void follow(const std::shared_ptr<Partition>& partition, base::LeaderEpoch epoch,
                base::BrokerId leader, const Address& address, const ClusterImage& image);
    // Nothing is stored in it any more when this returns.
    void leave(const base::TopicPartition& at);
    void stop();

private:
    using Key = std::pair<base::BrokerId, std::size_t>;

    std::unique_ptr<ReplicaFetcher> make(const Key& key, const Address& address,
                                         const ClusterImage& image);

    bool is_throttled(const ClusterImage& image, const base::TopicPartition& at) const;
    bool is_held_back(const base::TopicPartition& at) const;
    void took(const base::TopicPartition& at, std::size_t bytes);

    const Ports ports_;
    ReplicationQuota quota_;  // follower.replication.throttled.rate
    std::map<Key, std::unique_ptr<ReplicaFetcher>> fetchers_;
    // Who is fetched by which, and of which term.
    std::map<base::TopicPartition,
             std::pair<Key, std::pair<std::shared_ptr<Partition>, base::LeaderEpoch>>>
        followed_;
};

}  // namespace broker
