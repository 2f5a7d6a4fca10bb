#include "protocol/base/ensure.h"
#include "storage/log.h"

#include <utility>

namespace storage {

std::optional<AppendGroup> Log::take_gap(base::Offset end, std::int64_t now_ms) {
    base::ensure(end > end_, "a gap ends behind the log's end");
    if (writing_ || !queue_.empty() || truncating_ || failed_) return std::nullopt;
    AppendGroup group;
    start_segment(group, end, now_ms);
    group.first_ = group.end_ = reserved_end_ = end;
    writing_ = true;
    return group;
}

void Log::finish_copy(Log& copy) const {
    base::ensure(copy.end_ == end_, "a copy is finished when it holds everything");
    copy.producers_ = Producers();
    copy.producers_.restore(producers_.facts());
    copy.epochs_ = epochs_;
    copy.epochs_are_dirty_ = true;
}

// Positions of offsets, producers, leader epochs and what is queued are this log's and stay. What
// tells where bytes lie changes sides.
void Log::trade_places(Log& copy) {
    base::ensure(!writing_ && !flushing_ && !swapping_ && !truncating_,
                 "nobody works with the files of a log that moves");
    base::ensure(copy.end_ == end_ && copy.recovery_point_ == end_,
                 "a copy takes over when everything in it is durable");
    std::swap(place_, copy.place_);
    std::swap(segments_, copy.segments_);
    std::swap(recovery_point_, copy.recovery_point_);
    std::swap(size_bytes_, copy.size_bytes_);
    std::swap(unflushed_bytes_, copy.unflushed_bytes_);
    std::swap(snapshot_, copy.snapshot_);
    std::swap(bytes_since_snapshot_, copy.bytes_since_snapshot_);
    std::swap(directory_is_new_, copy.directory_is_new_);
    // The copy was closed with these epochs, or newer ones come with the next flush.
    epochs_are_dirty_ = true;
    for (const auto& segment : copy.segments_) segment->moves_away();
    check_invariants();
}

}  // namespace storage
