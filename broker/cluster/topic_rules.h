// Topic rules: what a new topic must look like. Pure.
//
// Source: facts/kafka.md §6.4.
#pragma once

#include "broker/cluster/placement.h"
#include "broker/config/broker_config.h"
#include "protocol/base/result.h"
#include "protocol/base/types.h"
#include "protocol/schema/error_code.h"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace broker {

struct NewTopic {
    std::string name;
    std::int32_t partitions = -1;          // -1: num.partitions
    std::int16_t replication_factor = -1;  // -1: default.replication.factor
    std::map<base::PartitionIndex, std::vector<base::BrokerId>> assignment;  // By hand; or empty.
    ConfigMap configs;
};

// What one request may add, in all its topics, as Apache Kafka 4 has it: metadata for more would
// be held in memory before anything is refused.
constexpr std::int32_t partitions_per_request_max = 10'000;

struct TopicFault {
    protocol::ErrorCode code;
    std::string message;  // For the client.
};

// What the coordinators' own topics are created with; nothing for other names.
ConfigMap internal_topic_config(std::string_view name, const BrokerConfig& config);

// A name that may be a directory: INVALID_TOPIC_EXCEPTION otherwise.
[[nodiscard]] base::Result<void, TopicFault> check_topic_name(std::string_view name);

// "a.b" and "a_b" make the same metric names, so Kafka lets only one of them exist.
std::string collision_key(std::string_view name);

// Counts what one request adds: POLICY_VIOLATION for the topic that would go beyond the limit.
class PartitionBudget {
public:
    [[nodiscard]] base::Result<void, TopicFault> take(std::int64_t partitions);

private:
    std::int64_t left_ = partitions_per_request_max;
};

// Judge counts and assignment of `topic` and say where its replicas go. `alive`: sorted by broker;
// `start` and `shift` are random numbers.
[[nodiscard]] base::Result<Assignment, TopicFault> assign(const NewTopic& topic, const BrokerConfig& config,
                                                          const std::vector<Seat>& alive,
                                                          std::uint32_t start, std::uint32_t shift);

}  // namespace broker
