// Partition, the part about reading: what clients and followers may see of the log, and the wait
// for more of it.
//
// Rules: facts/kafka.md §2.9, §3.6, §3.7, §3.9.

#include "broker/replica/partition.h"
#include "protocol/base/log.h"
#include "storage/names.h"
#include "storage/no_wait.h"

#include <algorithm>
#include <utility>

namespace broker {

using base::BrokerId;
using base::LeaderEpoch;
using base::Offset;
using base::Result;
using base::Unexpected;
using protocol::ErrorCode;
using storage::FaultKind;

namespace {

constexpr Positions hidden{Offset(-1), Offset(-1), Offset(-1), Offset(-1), LeaderEpoch(-1)};

}  // namespace

// Compaction changes the names of files under a reader: then the plan is made again.
PartitionRead Partition::read(const ReadRequest& request) {
    constexpr int tries = 3;
    bool again = true;
    PartitionRead answer;
    for (int i = 0; i < tries && again; ++i) answer = read_once(request, again);
    return answer;
}

PartitionRead Partition::read_once(const ReadRequest& request, bool& again) {
    again = false;
    PartitionRead answer;
    answer.positions = hidden;
    std::optional<storage::ReadPlan> plan;
    {
        const std::lock_guard lock(mutex_);
        if (const auto no = refuses(request.current_leader_epoch, request.whom)) {
            answer.error = *no;
            return answer;
        }
        const Positions at = positions_locked();
        if (request.last_fetched_epoch >= LeaderEpoch(0)) {
            const auto end = log_->end_of_epoch(request.last_fetched_epoch);
            if (end.epoch < LeaderEpoch(0)) {  // Nothing is known of it, or of any before it.
                answer.error = ErrorCode::offset_out_of_range;
                return answer;
            }
            if (end.epoch < request.last_fetched_epoch || end.end < request.from) {
                answer.positions = at;
                answer.diverging = end;
                return answer;
            }
        }
        storage::ReadLimits limits;
        limits.bound = bound_of(request.bound);
        limits.bytes_max = request.bytes_max;
        limits.at_least_one_batch = request.at_least_one_batch;
        limits.with_aborted = request.bound == ReadBound::last_stable;
        limits.load = request.disk == DiskUse::load;
        auto located = log_->locate(request.from, limits);
        if (!located) {
            answer.error = code_of(located.error());
            // A client that is out of range may know where the range is.
            if (located.error().kind == FaultKind::out_of_range)
                answer.positions.log_start = at.log_start;
            return answer;
        }
        answer.positions = at;
        plan = std::move(*located);
    }
    std::optional<storage::NoWait> guard;
    if (request.disk == DiskUse::never) guard.emplace();
    auto data = log_->read(*plan);
    if (data) {
        answer.data = std::move(*data);
        return answer;
    }
    answer.would_block = data.error().kind == FaultKind::would_block;
    if (answer.would_block) return answer;
    again = data.error().kind == FaultKind::busy;
    read_failed(data.error());
    answer.error = code_of(data.error());
    answer.positions = hidden;
    return answer;
}

// Only what the disk itself refuses takes anything offline: a file may be damaged or missing alone.
void Partition::read_failed(const storage::Fault& fault) {
    if (fault.kind == FaultKind::io) return fail_disk(fault);
    if (fault.kind != FaultKind::busy) base::log_error("storage", fault.detail);
}

// Requires mutex_.
Offset Partition::bound_of(ReadBound bound) const noexcept {
    switch (bound) {
        case ReadBound::high_watermark:
            return high_watermark_;
        case ReadBound::last_stable:
            return log_->last_stable_offset(high_watermark_);
        case ReadBound::log_end:
            break;
    }
    return log_->end_offset();
}

bool Partition::park(const std::shared_ptr<FetchWaiter>& waiter, Offset seen, ReadBound bound,
                     ReadFrom whom) {
    const std::lock_guard lock(mutex_);
    if (refuses(LeaderEpoch(-1), whom) || bound_of(bound) != seen) return false;
    (bound == ReadBound::log_end ? replica_fetches_ : fetches_).push_back(waiter);
    return true;
}

void Partition::unpark(const std::shared_ptr<FetchWaiter>& waiter) {
    const std::lock_guard lock(mutex_);
    for (auto* fetches : {&fetches_, &replica_fetches_, &deletions_}) {
        const auto found = std::ranges::find(*fetches, waiter);
        if (found == fetches->end()) continue;
        *found = std::move(fetches->back());
        fetches->pop_back();
        return;
    }
}

Result<Positions, ErrorCode> Partition::positions(LeaderEpoch current_leader_epoch) const {
    const std::lock_guard lock(mutex_);
    if (const auto no = refuses(current_leader_epoch)) return Unexpected(*no);
    return positions_locked();
}

template <class Search>
Result<std::optional<storage::TimestampedOffset>, ErrorCode> Partition::search_times(
    bool committed_only, LeaderEpoch current_leader_epoch, Search search) {
    Result<storage::TimePlan, storage::Fault> plan =
        Unexpected(storage::Fault(FaultKind::busy, ""));
    Offset bound;
    {
        const std::lock_guard lock(mutex_);
        if (const auto no = refuses(current_leader_epoch)) return Unexpected(*no);
        bound = bound_of(committed_only ? ReadBound::last_stable : ReadBound::high_watermark);
        plan = log_->time_plan();
    }
    if (!plan) return Unexpected(code_of(plan.error()));
    const auto found = search(*plan);
    if (!found) {
        read_failed(found.error());
        return Unexpected(code_of(found.error()));
    }
    if (*found && (*found)->offset >= bound) return std::nullopt;
    return *found;
}

Result<std::optional<storage::TimestampedOffset>, ErrorCode> Partition::find_time(
    std::int64_t timestamp, bool committed_only, LeaderEpoch current_leader_epoch) {
    return search_times(committed_only, current_leader_epoch,
                        [&](const auto& plan) { return log_->find_time(plan, timestamp); });
}

Result<std::optional<storage::TimestampedOffset>, ErrorCode> Partition::find_largest_time(
    bool committed_only, LeaderEpoch current_leader_epoch) {
    return search_times(committed_only, current_leader_epoch,
                        [&](const auto& plan) { return log_->find_largest_time(plan); });
}

Result<storage::EpochEnd, ErrorCode> Partition::end_of_epoch(
    LeaderEpoch epoch, LeaderEpoch current_leader_epoch) const {
    const std::lock_guard lock(mutex_);
    if (const auto no = refuses(current_leader_epoch)) return Unexpected(*no);
    return log_->end_of_epoch(epoch);
}

std::optional<LeaderEpoch> Partition::epoch_at(Offset offset) const {
    const std::lock_guard lock(mutex_);
    return log_->epoch_at(offset);
}

std::vector<Partition::SegmentStart> Partition::segment_starts() const {
    // From the file names: only clients of 2012 to 2016 ask.
    std::vector<SegmentStart> starts;
    const auto where = directory();
    const auto entries = storage::real_disk().list(where);
    if (!entries) return starts;
    for (const auto& entry : *entries) {
        const auto name = storage::parse_file_name(entry.name);
        if (!name || name->suffix != ".log") continue;
        const auto facts = storage::real_disk().facts(where / entry.name);
        if (facts) starts.push_back({name->offset, facts->modified_ms});
    }
    return starts;
}

Result<Offset, ErrorCode> Partition::delete_records(Offset before) {
    const std::lock_guard lock(mutex_);
    if (const auto no = refuses(LeaderEpoch(-1))) return Unexpected(*no);
    if (!log_->config().deletes) return Unexpected(ErrorCode::policy_violation);
    const Offset target = before == Offset(-1) ? high_watermark_ : before;
    if (target < Offset(0) || target > high_watermark_)
        return Unexpected(ErrorCode::offset_out_of_range);
    if (target > log_->log_start_offset()) log_->advance_log_start(target);
    return target;
}

Result<Offset, ErrorCode> Partition::low_watermark(const Isr::Brokers& live) const {
    const std::lock_guard lock(mutex_);
    if (const auto no = refuses(LeaderEpoch(-1))) return Unexpected(*no);
    return isr_.low_watermark(log_->log_start_offset(), live);
}

bool Partition::park_for_low_watermark(const std::shared_ptr<FetchWaiter>& waiter,
                                       const Isr::Brokers& live, Offset seen) {
    const std::lock_guard lock(mutex_);
    if (refuses(LeaderEpoch(-1))) return false;
    if (isr_.low_watermark(log_->log_start_offset(), live) != seen) return false;
    deletions_.push_back(waiter);
    return true;
}

void Partition::wake_deletions() {
    std::vector<std::shared_ptr<FetchWaiter>> woken;
    {
        const std::lock_guard lock(mutex_);
        woken = deletions_;
    }
    for (const auto& waiter : woken) waiter->wake();
}

Result<std::vector<storage::ProducerFacts>, ErrorCode> Partition::producers() const {
    const std::lock_guard lock(mutex_);
    if (const auto no = refuses(LeaderEpoch(-1))) return Unexpected(*no);
    return log_->producers().facts();
}

}  // namespace broker
