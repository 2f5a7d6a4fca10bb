// keep_last: of a partition that a request names twice, the last wish counts.
//
// Apache Kafka puts the partitions of such requests into a map by their number.
#pragma once

#include "protocol/base/types.h"

#include <algorithm>
#include <set>
#include <vector>

namespace broker {

// Requires elements with a partition_index. Keeps the order of those that stay.
template <class Partition>
void keep_last(std::vector<Partition>& partitions) {
    if (partitions.size() < 2) return;
    std::set<base::PartitionIndex> seen;
    std::ranges::reverse(partitions);
    std::erase_if(partitions,
                  [&](const Partition& one) { return !seen.insert(one.partition_index).second; });
    std::ranges::reverse(partitions);
}

}  // namespace broker
