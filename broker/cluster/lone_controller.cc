#include "broker/cluster/lone_controller.h"

namespace broker {

using base::TopicPartition;
using protocol::ErrorCode;

namespace {

ErrorCode elect(const PartitionImage* partition, control::ElectionKind kind) {
    if (!partition) return ErrorCode::unknown_topic_or_partition;
    if (partition->leader >= base::BrokerId(0)) return ErrorCode::election_not_needed;
    return kind == control::ElectionKind::preferred ? ErrorCode::preferred_leader_not_available
                                                    : ErrorCode::eligible_leaders_not_available;
}

}  // namespace

control::ElectLeadersAnswer elect_alone(
    const ClusterImage& image, control::ElectionKind kind,
    const std::optional<std::vector<TopicPartition>>& partitions) {
    control::ElectLeadersAnswer answer;
    if (partitions) {
        for (const TopicPartition& at : *partitions) {
            const TopicImage* const topic = image.find_topic(at.topic);
            const auto* const partition = topic ? topic->find(at.partition) : nullptr;
            answer.partitions.push_back({at, elect(partition, kind)});
        }
        return answer;
    }
    for (const auto& topic : image.topics()) {
        for (std::size_t i = 0; i < topic->partitions.size(); ++i) {
            const auto error = elect(&topic->partitions[i], kind);
            const base::PartitionIndex index(static_cast<std::int32_t>(i));
            if (error != ErrorCode::election_not_needed)
                answer.partitions.push_back({{topic->name, index}, error});
        }
    }
    return answer;
}

control::ReassignmentAnswer reassign_alone(TopicControl& topics,
                                           const std::vector<control::Reassignment>& wanted) {
    control::ReassignmentAnswer answer;
    for (const auto& [at, target] : wanted) {
        auto error = ErrorCode::none;
        if (!topics.has(at)) {
            error = ErrorCode::unknown_topic_or_partition;
        } else if (!target) {
            error = ErrorCode::no_reassignment_in_progress;
        } else if (!topics.reassign(at, *target)) {
            error = ErrorCode::invalid_replica_assignment;
        }
        answer.partitions.push_back({at, error});
    }
    return answer;
}

}  // namespace broker
