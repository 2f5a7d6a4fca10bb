// ReplicaControl: this broker in company: what the controller, be it another broker or this one,
// tells it to lead and to follow, and tells it of the cluster.
//
//     controller --LeaderAndIsr---> roles of our partitions, logs made, fetchers set on leaders
//                --UpdateMetadata-> brokers, topics, leaders: the image
//                --StopReplica----> no role any more; the log goes if it is to be deleted
//
// A request of an earlier controller, or meant for this broker before it restarted, is refused; so
// is a role of a term that is over. A controller repeats itself, so that is nothing unusual. In the
// term that runs it may still give the topic its id, if that had none (clusters before Kafka 2.8).
//
// A log of another topic of the same name stays what it is until it is to be deleted; the new one
// is answered inconsistent_topic_id meanwhile.
//
// Threads: the controller's, all but ask_for_isr().
//
// Rules: facts/kafka.md §3.3; facts/zookeeper-mode-cluster.md §1, §2, §4.
#pragma once

#include "broker/cluster/cluster_core.h"
#include "broker/cluster/isr_keeper.h"
#include "broker/cluster/replica_fetchers.h"
#include "protocol/schema/api/leader_and_isr.h"
#include "protocol/schema/api/stop_replica.h"
#include "protocol/schema/api/update_metadata.h"

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

namespace broker {

class ReplicaControl {
public:
    struct Ports {
        std::function<std::int64_t()> broker_epoch;  // Any thread.
        std::function<void(const std::set<std::string>&)> topics_gone;
        std::function<void()> roles_moved;  // Something is led here that was not, or not any more.
    };

    ReplicaControl(ClusterCore& core, Ports ports);

    // From now on there is a controller. What is led here already goes on, and nothing older than
    // that is obeyed.
    void start();
    // Nothing is fetched and nobody is asked any more.
    void stop();

    protocol::LeaderAndIsrResponse apply(const protocol::LeaderAndIsrRequest& request);
    protocol::UpdateMetadataResponse apply(const protocol::UpdateMetadataRequest& request);
    protocol::StopReplicaResponse apply(const protocol::StopReplicaRequest& request);

    void ask_for_isr(const std::shared_ptr<Partition>& partition, IsrRequest request) {
        isr_keeper_.ask(partition, std::move(request));
    }

    // The controller hears of it.
    void directory_failed() { isr_keeper_.directory_failed(); }

private:
    using RoleRequest = protocol::LeaderAndIsrRequest;
    using Role = RoleRequest::PartitionState;

    protocol::ErrorCode fence(base::BrokerId controller, std::int32_t controller_epoch,
                              std::int64_t broker_epoch);
    std::shared_ptr<TopicImage> draft_topic(ClusterImage& image, const std::string& name,
                                            const base::Uuid& id) const;
    std::shared_ptr<Partition> local_of(const ClusterImage& image,
                                        const base::TopicPartition& at) const;
    protocol::ErrorCode judge(const ClusterImage& image, const base::TopicPartition& at,
                              const base::Uuid& id, const Role& role) const;
    bool gives_id(const ClusterImage& image, const base::TopicPartition& at, const base::Uuid& id,
                  base::LeaderEpoch term) const;
    void take_role(TopicImage& topic, const Role& role, const ClusterImage& image);
    void take_brokers(ClusterImage& image, const protocol::UpdateMetadataRequest& request) const;
    void forget_deleted(ClusterImage& image, const std::set<std::string>& topics);
    protocol::ErrorCode stop_one(const base::TopicPartition& at, base::LeaderEpoch epoch,
                                 bool deletes, std::set<base::TopicPartition>& deleted);
    void delete_logs(const std::set<base::TopicPartition>& deleted);

    ClusterCore& core_;
    const Ports ports_;
    std::int32_t controller_epoch_ = 0;
    std::map<base::TopicPartition, base::LeaderEpoch> terms_;             // Of the roles taken.
    std::map<base::TopicPartition, std::shared_ptr<Partition>> stopped_;  // Of topics that went.
    IsrKeeper isr_keeper_;
    ReplicaFetchers fetchers_;
};

}  // namespace broker
