#include "broker/cluster/topic_rules.h"

#include "storage/names.h"

#include <algorithm>
#include <set>

namespace broker {

using base::BrokerId;
using base::Result;
using base::Unexpected;
using protocol::ErrorCode;

namespace {

Result<Assignment, TopicFault> check_assignment(const NewTopic& topic, const std::vector<Seat>& alive) {
    const auto no = [](std::string why) {
        return Unexpected(TopicFault{ErrorCode::invalid_replica_assignment, std::move(why)});
    };
    Assignment made;
    for (const auto& [index, replicas] : topic.assignment) {
        if (index.value() != static_cast<std::int32_t>(made.size())) {
            return no("Partitions should be a consecutive 0-based integer sequence.");
        }
        if (replicas.empty()) return no("The manual assignment of partition " + std::to_string(index.value()) + " has no replicas.");
        if (std::set(replicas.begin(), replicas.end()).size() != replicas.size()) {
            return no("The manual assignment of partition " + std::to_string(index.value()) + " names a broker twice.");
        }
        if (!made.empty() && made.front().size() != replicas.size()) {
            return no("All partitions should have the same number of replicas.");
        }
        for (const BrokerId id : replicas) {
            if (!std::ranges::binary_search(alive, id, {}, &Seat::broker)) {
                return no("The manual assignment of partition " + std::to_string(index.value()) +
                          " names broker " + std::to_string(id.value()) + ", which is not registered.");
            }
        }
        made.push_back(replicas);
    }
    return made;
}

}  // namespace

ConfigMap internal_topic_config(std::string_view name, const BrokerConfig& config) {
    ConfigMap made;
    if (name == "__consumer_offsets") {
        made["segment.bytes"] = std::to_string(config.offsets_topic_segment_bytes);
        made["cleanup.policy"] = "compact";
        made["compression.type"] = "producer";
    } else if (name == "__transaction_state") {
        made["cleanup.policy"] = "compact";
        made["compression.type"] = "uncompressed";
        made["unclean.leader.election.enable"] = "false";
    }
    return made;
}

Result<void, TopicFault> check_topic_name(std::string_view name) {
    if (storage::is_topic_name(name)) return {};
    const auto invalid = [](std::string why) {
        return Unexpected(TopicFault{ErrorCode::invalid_topic_exception, std::move(why)});
    };
    if (name.empty()) return invalid("Topic name is invalid: it must not be empty");
    if (name == "." || name == "..") return invalid("Topic name is invalid: it cannot be \".\" or \"..\"");
    if (name.size() > 249) {
        return invalid("Topic name is invalid: it has " + std::to_string(name.size()) +
                       " characters, more than 249");
    }
    return invalid("Topic name is invalid: '" + std::string(name) +
                   "' contains characters other than ASCII letters, digits, '.', '_' and '-'");
}

std::string collision_key(std::string_view name) {
    std::string key(name);
    std::ranges::replace(key, '.', '_');
    return key;
}

Result<void, TopicFault> PartitionBudget::take(std::int64_t partitions) {
    if (partitions > left_) {
        return Unexpected(TopicFault{ErrorCode::policy_violation, "Excessively large number of partitions per request."});
    }
    left_ -= std::max<std::int64_t>(partitions, 0);
    return {};
}

Result<Assignment, TopicFault> assign(const NewTopic& topic, const BrokerConfig& config,
                                      const std::vector<Seat>& alive, std::uint32_t start,
                                      std::uint32_t shift) {
    if (!topic.assignment.empty()) {
        if (topic.partitions != -1 || topic.replication_factor != -1) {
            return Unexpected(TopicFault{ErrorCode::invalid_request,
                                         "Both numPartitions or replicationFactor and replicasAssignments were set. "
                                         "Both cannot be used at the same time."});
        }
        return check_assignment(topic, alive);
    }
    const std::int32_t count = topic.partitions == -1 ? config.num_partitions : topic.partitions;
    const std::int32_t factor =
        topic.replication_factor == -1 ? config.default_replication_factor : topic.replication_factor;
    if (count <= 0) {
        return Unexpected(TopicFault{ErrorCode::invalid_partitions, "Number of partitions must be larger than 0."});
    }
    if (factor <= 0) {
        return Unexpected(TopicFault{ErrorCode::invalid_replication_factor, "Replication factor must be larger than 0."});
    }
    if (static_cast<std::size_t>(factor) > alive.size()) {
        return Unexpected(TopicFault{ErrorCode::invalid_replication_factor,
                                     "Replication factor: " + std::to_string(factor) +
                                         " larger than available brokers: " + std::to_string(alive.size()) + "."});
    }
    if (has_racks_in_part(alive)) {
        return Unexpected(TopicFault{ErrorCode::unknown_server_error, std::string(racks_in_part_sentence)});
    }
    return spread(count, static_cast<std::int16_t>(factor), alive, start, shift);
}

}  // namespace broker
