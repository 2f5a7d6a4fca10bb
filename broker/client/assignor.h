// assign_ranges: who of a consumer group reads which partition, by the "range" strategy.
//
// Per topic, the members that subscribe to it stand in the order of their ids (static
// members by their instance ids, before the others), and each gets a run of neighbouring
// partitions; the first ones get one more when it does not come out even.
#pragma once

#include "protocol/base/types.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace broker::inline client {

struct Subscriber {
    std::string member_id;
    std::optional<std::string> instance_id;
    std::vector<std::string> topics;
};

using Assignments = std::map<std::string, std::vector<base::TopicPartition>>;  // By member id.

// `partition_counts` has the topics that exist; others are nobody's. Every subscriber is in
// the result.
Assignments assign_ranges(std::vector<Subscriber> subscribers,
                          const std::map<std::string, std::int32_t>& partition_counts);

}  // namespace broker
