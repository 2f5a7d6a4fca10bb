#include "coordinator/controller/reassignment.h"

#include "coordinator/controller/brokers.h"

#include <set>

namespace coordinator::controller {

using base::BrokerId;
using base::Unexpected;
using protocol::ErrorCode;

Brokers Assignment::origin() const {
    return without(replicas, adding);
}

Brokers Assignment::target() const {
    return without(replicas, removing);
}

Assignment moved_to(const Assignment& now, const Brokers& target) {
    const Brokers origin = now.origin();
    const Brokers replicas = joined(target, origin);
    return {replicas, without(replicas, origin), without(replicas, target)};
}

base::Result<Assignment, ErrorCode> reassigned(const Assignment& now,
                                               const std::optional<Brokers>& target,
                                               const Brokers& live,
                                               const std::optional<PartitionState>& state) {
    if (!target && !now.is_moving()) return Unexpected(ErrorCode::no_reassignment_in_progress);
    const Brokers wanted = target ? *target : now.origin();
    const bool distinct = std::set(wanted.begin(), wanted.end()).size() == wanted.size();
    if (wanted.empty() || !distinct) return Unexpected(ErrorCode::invalid_replica_assignment);
    Assignment next = moved_to(now, wanted);
    if (!contains_all(live, next.adding)) return Unexpected(ErrorCode::invalid_replica_assignment);
    const bool someone_stays = !state || std::ranges::any_of(state->isr, [&](BrokerId id) {
        return contains(next.replicas, id) && contains(live, id);
    });
    const Brokers dropped = without(now.replicas, next.replicas);
    if (!dropped.empty() && !someone_stays) {
        return Unexpected(ErrorCode::eligible_leaders_not_available);
    }
    return next;
}

bool is_caught_up(const Assignment& assignment, const Brokers& isr) {
    return assignment.is_moving() && contains_all(isr, assignment.target());
}

Assignment finished(const Assignment& assignment) {
    return {assignment.target()};
}

}  // namespace coordinator::controller
