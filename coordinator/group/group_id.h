// group_id: which partition of an internal topic a group, or a transactional id, lives in.
#pragma once

#include "protocol/base/types.h"

#include <cstdint>
#include <string_view>

namespace coordinator {

// The hash that Java gives a string: h = 31 * h + unit over its UTF-16 code units, in
// 32 bits, from 0. `text` is UTF-8; a byte that is not counts as U+FFFD.
std::int32_t java_hash(std::string_view text) noexcept;

// The partition of `__consumer_offsets` that holds the group: |hash| mod `partitions`,
// where the absolute value of the smallest integer counts as 0 (facts: Kafka's own abs).
// Requires partitions > 0.
base::PartitionIndex partition_of(std::string_view id, std::int32_t partitions) noexcept;

}  // namespace coordinator
