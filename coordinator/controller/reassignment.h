// Reassignment: replicas of a partition move to other brokers. Pure functions on assignments.
//
//     [1,2]  --to [2,3]-->  [2,3,1] adding 3, removing 1
//                             | 3 catches up: 2 and 3 are in the ISR
//                             v
//                           led from [2,3], ISR [2,3]; 1 stops and deletes
//                             v
//                           [2,3]
//
// A new target takes the place of a running one; a cancel is the target that was there before.
// What was being added and is not wanted any more leaves at once.
//
// Source: facts/kafka.md 3.10; facts/zookeeper-mode-cluster.md 4.13.
#pragma once

#include "coordinator/controller/effects.h"
#include "protocol/base/result.h"

#include <optional>

namespace coordinator::controller {

// The assignment that begins the move to `target`.
Assignment moved_to(const Assignment& now, const Brokers& target);

// What a request makes of an assignment; without a target it cancels. Errors:
// no_reassignment_in_progress; invalid_replica_assignment (empty, negative, twice the same, or a
// new broker that is not alive); eligible_leaders_not_available (nobody who stays is in sync).
[[nodiscard]] base::Result<Assignment, protocol::ErrorCode> reassigned(
    const Assignment& now, const std::optional<Brokers>& target, const Brokers& live,
    const std::optional<PartitionState>& state);

// Whether everybody of the target is in the ISR, so that the others can go.
bool is_caught_up(const Assignment& assignment, const Brokers& isr);

// When the others have gone.
Assignment finished(const Assignment& assignment);

}  // namespace coordinator::controller
