// topic_on: the request for a topic of one partition, on brokers of the test's choice.
#pragma once

#include "protocol/base/types.h"
#include "protocol/schema/api/create_topics.h"

#include <string>
#include <utility>
#include <vector>

namespace test {

inline protocol::CreateTopicsRequest topic_on(const std::string& name,
                                              std::vector<base::BrokerId> replicas) {
    protocol::CreateTopicsRequest request;
    request.timeout_ms = 300'000;
    auto& topic = request.topics.emplace_back();
    topic.name = wire::Text(name);
    topic.num_partitions = -1;
    topic.replication_factor = -1;
    auto& assigned = topic.assignments.emplace_back();
    assigned.partition_index = base::PartitionIndex(0);
    assigned.broker_ids = std::move(replicas);
    return request;
}

}  // namespace test
