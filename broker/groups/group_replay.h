// group_replay: what is in a partition of `__consumer_offsets` becomes groups again.
#pragma once

#include "broker/replica/partition.h"
#include "coordinator/group/group_shard.h"
#include "coordinator/runtime/journaled.h"

#include <cstddef>

namespace broker {

// Read the partition from its start to its end, `buffer_bytes` at a time, into a shard for as long
// as that is loading. Records that cannot be read are passed over, with a line in the log. False
// when the log cannot be read, or is not led here any more. Blocks.
[[nodiscard]] bool replay_groups(Partition& partition,
                                 coordinator::Journaled<coordinator::GroupShard>& shard,
                                 std::size_t buffer_bytes);

}  // namespace broker
