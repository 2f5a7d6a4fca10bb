// TopicLoader: at the start, the topics of the tree and the logs of the directories become the
// first image.
//
//     /brokers/topics/** --> what there should be --> logs opened, missing ones made --> image
//                                                           |
//                              states that do not fit  <----+   (leader, epoch, ISR)
//
// Threads: the one that starts the broker.
#pragma once

#include "broker/cluster/cluster_core.h"
#include "broker/cluster/znodes.h"

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace broker {

class TopicLoader {
public:
    explicit TopicLoader(ClusterCore& core) : core_(core) {}

    // Publishes the first image. The error is one line for people.
    [[nodiscard]] base::Result<void, std::string> load();

private:
    struct Stored {
        znodes::TopicAssignment assignment;
        std::int32_t version = 0;  // Of its node.
        std::map<base::PartitionIndex, znodes::PartitionState> states;
        std::set<base::PartitionIndex> unreadable;  // Whose states are something else.
        std::shared_ptr<TopicImage> topic;
    };

    [[nodiscard]] base::Result<void, coordinator::ZkError> read_topics(ClusterImage& image);
    [[nodiscard]] base::Result<void, coordinator::ZkError> read_states();
    [[nodiscard]] base::Result<void, coordinator::ZkError> name_topics();
    bool are_shared() const;
    [[nodiscard]] base::Result<void, std::string> open_logs(const ClusterImage& image);
    PartitionImage partition(const Stored& stored, const base::TopicPartition& at,
                             const std::vector<base::BrokerId>& replicas,
                             const ClusterImage& image);
    void put_together(ClusterImage& image);

    ClusterCore& core_;
    std::map<std::string, Stored> topics_;
    std::map<base::TopicPartition, std::shared_ptr<Partition>> logs_;
    std::vector<std::string> complaints_;
    std::vector<coordinator::Op> repairs_;
};

}  // namespace broker
