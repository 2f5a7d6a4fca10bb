// Partition, the part about roles: who leads, who follows, and how a follower's log becomes the
// leader's.
//
// Rules: facts/kafka.md §3.3, §3.4, §3.6.

#include "broker/replica/partition.h"
#include "protocol/base/log.h"
#include "protocol/records/batch.h"
#include "storage/names.h"

#include <algorithm>
#include <future>
#include <utility>

namespace broker {

using base::BrokerId;
using base::LeaderEpoch;
using base::Offset;
using base::Result;
using base::Unexpected;
using protocol::ErrorCode;

ErrorCode code_of(storage::RefusalKind kind) noexcept {
    switch (kind) {
        case storage::RefusalKind::out_of_order_sequence:
            return ErrorCode::out_of_order_sequence_number;
        case storage::RefusalKind::stale_producer_epoch:
            return ErrorCode::invalid_producer_epoch;
        case storage::RefusalKind::invalid_transaction:
            return ErrorCode::invalid_txn_state;
        case storage::RefusalKind::coordinator_fenced:
            return ErrorCode::transaction_coordinator_fenced;
        case storage::RefusalKind::invalid_batch:
            return ErrorCode::invalid_record;
        case storage::RefusalKind::too_large:
            return ErrorCode::record_list_too_large;
        case storage::RefusalKind::not_behind_the_log:
            return ErrorCode::offset_out_of_range;
        case storage::RefusalKind::unavailable:
            return ErrorCode::kafka_storage_error;
    }
    return ErrorCode::unknown_server_error;
}

void Partition::Calls::make() {
    for (auto& each : told) each.done(each.error);
    for (const auto& waiter : woken) waiter->wake();
}

// ---- Roles -------------------------------------------------------------------------------

// Requires mutex_.
Partition::Calls Partition::leave_role(ErrorCode why) {
    if (state_ != State::offline) state_ = State::none;
    Calls calls{take_failed(Offset(0), why), std::exchange(fetches_, {})};
    for (auto* others : {&replica_fetches_, &deletions_})
        std::ranges::move(std::exchange(*others, {}), std::back_inserter(calls.woken));
    return calls;
}

// Wait until nothing that was queued is on its way to the log, and no flush if `with_flush`.
// Whoever queued it writes it, so it ends by itself. Nothing may be queued meanwhile.
void Partition::settle(std::unique_lock<std::mutex>& lock, bool with_flush) {
    ++settling_;
    idle_.wait(lock, [&] {
        return state_ == State::offline ||
               (!log_->has_reserved() && !(with_flush && log_->is_flushing()));
    });
    --settling_;
}

// A write or a flush has ended. Requires mutex_.
void Partition::step_ended() {
    if (settling_ > 0) idle_.notify_all();
}

void Partition::become_leader(LeaderEpoch epoch, Isr isr) {
    Calls calls;
    {
        std::unique_lock lock(mutex_);
        if (state_ == State::offline) return;
        // What was appended in an earlier term has that term's epoch, and has to come first.
        if (log_->has_reserved()) {
            calls = leave_role(ErrorCode::not_leader_or_follower);
            settle(lock, false);
            if (state_ == State::offline) return;
        }
        state_ = State::leader;
        leader_epoch_ = epoch;
        isr_ = std::move(isr);
        term_start_ = log_->end_offset();
        log_->assign_epoch(epoch);
        auto moves = take_moves();
        std::ranges::move(moves.told, std::back_inserter(calls.told));
        std::ranges::move(moves.woken, std::back_inserter(calls.woken));
    }
    calls.make();
}

void Partition::become_follower(LeaderEpoch epoch) {
    Calls calls;
    {
        std::unique_lock lock(mutex_);
        if (state_ == State::offline) return;
        calls = leave_role(ErrorCode::not_leader_or_follower);
        settle(lock, false);
        if (state_ == State::none) state_ = State::follower;
        leader_epoch_ = epoch;
        isr_ = Isr();
    }
    calls.make();
}

void Partition::resign() {
    Calls calls;
    {
        const std::lock_guard lock(mutex_);
        calls = leave_role(ErrorCode::not_leader_or_follower);
    }
    calls.make();
}

void Partition::go_offline() {
    Calls calls;
    {
        const std::lock_guard lock(mutex_);
        if (state_ == State::offline) return;
        calls = leave_role(ErrorCode::kafka_storage_error);
        state_ = State::offline;
        step_ended();
    }
    calls.make();
}

// ---- The leader and its followers ----------------------------------------------------------

// Requires mutex_.
std::size_t Partition::isr_min() const noexcept {
    return std::min(static_cast<std::size_t>(std::max(isr_min_, 1)), isr_.replica_count());
}

// After anything that may let the high watermark go on. Requires mutex_.
Partition::Calls Partition::take_moves() {
    Calls calls;
    calls.woken = move_high_watermark();
    calls.told = take_satisfied();
    return calls;
}

std::optional<IsrRequest> Partition::fetched_by(BrokerId follower, Offset from, std::int64_t now_ms,
                                                Offset log_start) {
    std::optional<Isr::Proposal> wanted;
    LeaderEpoch epoch;
    Calls calls;
    {
        const std::lock_guard lock(mutex_);
        if (state_ != State::leader) return std::nullopt;
        if (!isr_.fetched(follower, from, log_->end_offset(), now_ms)) return std::nullopt;
        calls = take_moves();
        if (isr_.starts_at(follower, log_start))
            std::ranges::copy(deletions_, std::back_inserter(calls.woken));
        wanted = isr_.expansion(follower, high_watermark_, term_start_);
        if (wanted) isr_.propose(*wanted);
        epoch = leader_epoch_;
    }
    calls.make();
    if (!wanted) return std::nullopt;
    return IsrRequest{epoch, std::move(*wanted)};
}

std::optional<IsrRequest> Partition::drop_laggards(std::int64_t now_ms) {
    const std::lock_guard lock(mutex_);
    if (state_ != State::leader || isr_.is_alone()) return std::nullopt;
    auto wanted = isr_.shrink(log_->end_offset(), now_ms);
    if (!wanted) return std::nullopt;
    isr_.propose(*wanted);
    return IsrRequest{leader_epoch_, std::move(*wanted)};
}

void Partition::isr_answered(LeaderEpoch epoch, std::optional<Isr::Members> state) {
    Calls calls;
    {
        const std::lock_guard lock(mutex_);
        if (state_ != State::leader || epoch != leader_epoch_) return;
        if (state) {
            isr_.commit(std::move(state->isr), state->partition_epoch);
        } else {
            isr_.reject();
        }
        calls = take_moves();
    }
    calls.make();
}

void Partition::set_isr_min(std::int32_t isr_min) {
    Calls calls;
    {
        const std::lock_guard lock(mutex_);
        isr_min_ = isr_min;
        calls = take_moves();
    }
    calls.make();
}

bool Partition::has_follower(BrokerId broker) const {
    const std::lock_guard lock(mutex_);
    return isr_.is_replica(broker);
}

bool Partition::is_in_sync(BrokerId follower) const {
    const std::lock_guard lock(mutex_);
    return isr_.is_in_sync(follower);
}

std::optional<BrokerId> Partition::follower_to_read(const Isr::Brokers& candidates,
                                                    Offset offset) const {
    const std::lock_guard lock(mutex_);
    if (state_ != State::leader) return std::nullopt;
    return isr_.best_of(candidates, offset);
}

// ---- The follower --------------------------------------------------------------------------

// Requires mutex_.
bool Partition::follows(LeaderEpoch epoch) const noexcept {
    return state_ == State::follower && leader_epoch_ == epoch;
}

Result<FollowerPosition, ErrorCode> Partition::follower_position(LeaderEpoch epoch) const {
    const std::lock_guard lock(mutex_);
    if (state_ == State::offline) return Unexpected(ErrorCode::kafka_storage_error);
    if (!follows(epoch)) return Unexpected(ErrorCode::fenced_leader_epoch);
    return FollowerPosition{log_->end_offset(), log_->latest_epoch().value_or(LeaderEpoch(-1)),
                            log_->log_start_offset(), high_watermark_};
}

// Requires mutex_.
Partition::Calls Partition::take_told(const Fetched& fetched) {
    Calls calls;
    const Offset committed = std::min(fetched.high_watermark, log_->end_offset());
    if (committed > high_watermark_) {
        high_watermark_ = committed;
        log_->high_watermark_moved(committed);
        calls.woken = fetches_;
    }
    log_->advance_log_start(std::min(fetched.log_start, high_watermark_));
    return calls;
}

ErrorCode Partition::append_fetched(LeaderEpoch epoch, const Fetched& fetched,
                                    std::int64_t wall_ms) {
    if (!fetched.batches.empty()) {
        std::promise<ErrorCode> written;
        {
            const std::lock_guard lock(mutex_);
            if (!follows(epoch)) return ErrorCode::fenced_leader_epoch;
            const storage::AppendRequest request{fetched.batches, storage::Origin::replication,
                                                 epoch};
            const auto reserved = log_->reserve(request);
            if (!reserved) {
                base::log_error(
                    "replica", storage::directory_name(id_) +
                                   ": what the leader sent is refused: " + reserved.error().detail);
                return code_of(reserved.error().kind);
            }
            auto done = [&](ErrorCode error) { written.set_value(error); };
            waiting_.emplace(reserved->last + 1, Waiting{Acks::leader, false, std::move(done)});
        }
        write_queued(wall_ms);
        if (const auto error = written.get_future().get(); error != ErrorCode::none) return error;
    }
    Calls calls;
    {
        const std::lock_guard lock(mutex_);
        if (!follows(epoch)) return ErrorCode::fenced_leader_epoch;
        calls = take_told(fetched);
    }
    calls.make();
    return ErrorCode::none;
}

ErrorCode Partition::cut_diverging(LeaderEpoch epoch, const storage::EpochEnd& diverging) {
    Offset end = diverging.end;
    {
        const std::lock_guard lock(mutex_);
        if (!follows(epoch)) return ErrorCode::fenced_leader_epoch;
        const auto ours = log_->end_of_epoch(diverging.epoch);
        // The leader has an epoch that this log has not: what the one before it left is common.
        if (ours.epoch >= LeaderEpoch(0)) {
            end = ours.epoch == diverging.epoch ? std::min(ours.end, end) : ours.end;
        }
    }
    return cut(epoch, end);
}

ErrorCode Partition::cut(LeaderEpoch epoch, Offset end) {
    return truncate(epoch, [end](storage::Log& log) {
        return log.begin_truncation(std::min(end, log.end_offset()));
    });
}

ErrorCode Partition::start_over(LeaderEpoch epoch, Offset start) {
    return truncate(epoch, [start](storage::Log& log) { return log.begin_restart(start); });
}

ErrorCode Partition::truncate(LeaderEpoch epoch,
                              const std::function<storage::TruncationPlan(storage::Log&)>& begin) {
    ++stops_cleaning_;
    const std::lock_guard no_cleaning(cleaning_);
    --stops_cleaning_;
    std::optional<storage::TruncationPlan> plan;
    {
        std::unique_lock lock(mutex_);
        settle(lock, true);
        if (!follows(epoch)) return ErrorCode::fenced_leader_epoch;
        // The copy in the other directory has what is to be cut. A move ends by itself.
        if (moves_ > 0) return ErrorCode::replica_not_available;
        is_truncating_ = true;
        plan = begin(*log_);
    }
    const Offset before = look([](const storage::Log& log) { return log.end_offset(); });
    auto cut = log_->truncate(*plan);
    if (!cut) {
        fail_disk(cut.error());
        return ErrorCode::kafka_storage_error;
    }
    const std::lock_guard lock(mutex_);
    log_->finish_truncation(std::move(*plan), std::move(*cut));
    is_truncating_ = false;
    const Offset end = log_->end_offset();
    high_watermark_ = std::clamp(high_watermark_, log_->log_start_offset(), end);
    synced_ = std::min(synced_, log_->recovery_point());
    base::log_info("replica", storage::directory_name(id_) + ": cut from offset " +
                                  std::to_string(before.value()) + " to " +
                                  std::to_string(end.value()) + ", as its leader has it");
    return ErrorCode::none;
}

}  // namespace broker
