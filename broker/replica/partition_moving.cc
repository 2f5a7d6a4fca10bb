#include "broker/replica/partition.h"

#include <algorithm>

namespace broker {

using base::Offset;
using base::Result;
using base::Unexpected;
using storage::Fault;
using storage::FaultKind;

Offset Partition::begin_move() {
    ++stops_cleaning_;
    const std::lock_guard idle(cleaning_);
    const std::lock_guard lock(mutex_);
    ++moves_;
    --stops_cleaning_;
    return log_->cleaned_to();
}

void Partition::end_move() {
    const std::lock_guard lock(mutex_);
    --moves_;
}

Result<Partition::Piece, Fault> Partition::read_piece(Offset from, std::size_t bytes_max) const {
    Piece piece;
    std::optional<storage::ReadPlan> plan;
    {
        const std::lock_guard lock(mutex_);
        if (state_ == State::offline) {
            return Unexpected(Fault(FaultKind::io, log_->directory().string() + " is offline"));
        }
        piece.end = log_->end_offset();
        auto located = log_->locate(
            from, {.bound = piece.end, .bytes_max = bytes_max, .at_least_one_batch = true});
        if (!located) return Unexpected(located.error());
        plan = std::move(*located);
    }
    auto data = log_->read(*plan);
    if (!data) return Unexpected(data.error());
    piece.data = std::move(*data);
    return piece;
}

Result<void, Fault> Partition::take_over(storage::Log& copy, WritePace& pace,
                                         const std::function<Result<void, Fault>()>& settle,
                                         std::int64_t now_ms) {
    std::condition_variable idle;
    {
        std::unique_lock lock(mutex_);
        held_ = &idle;
        idle.wait(lock,
                  [&] { return !log_->is_writing() && !log_->is_flushing() && !is_retaining_; });
    }
    auto settled = settle();
    std::vector<Told> told;
    Dirt dirt;
    {
        const std::lock_guard lock(mutex_);
        held_ = nullptr;
        if (settled && state_ == State::offline) {
            settled = Unexpected(Fault(FaultKind::io, log_->directory().string() + " is offline"));
        }
        if (settled) {
            log_->trade_places(copy);
            pace_.store(&pace, std::memory_order_relaxed);
            synced_ = std::max(synced_, log_->recovery_point());
        }
        // A flush that was asked for meanwhile was none.
        dirty_told_ = 0;
        dirt = take_dirt();
        told = take_satisfied();
        if (awaits_sync() && !is_syncing_ && state_ != State::offline) start_sync();
    }
    if (dirt.bytes > 0) hooks_.dirtied(dirt.bytes, dirt.flush_ms);
    for (auto& each : told) each.done(each.error);
    write_queued(now_ms);  // What was queued meanwhile.
    return settled;
}

}  // namespace broker
