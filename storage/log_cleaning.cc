#include "protocol/base/ensure.h"
#include "storage/cleaning.h"
#include "storage/segment_files.h"

#include <algorithm>

namespace storage {

using base::Offset;
using base::Result;

// Only what is synced is cleaned: recovery, which starts at the recovery point, then meets no gap
// that it could take for a loss. A flush may still have files of what it syncs to open.
CleaningPlan Log::cleaning_plan(Offset high_watermark) const {
    CleaningPlan plan;
    plan.disk_ = &disk_;
    plan.files_ = &files_;
    plan.place_ = place_;
    plan.config_ = config_;
    plan.from_ = cleaned_to_ < log_start_ || cleaned_to_ > active_base() ? log_start_ : cleaned_to_;
    if (truncating_ || failed_) return plan;
    const Offset bound = std::min(last_stable_offset(high_watermark), recovery_point_);
    for (std::size_t index = 0; index + 1 < segments_.size(); ++index) {
        auto one = view(index);
        if (one.end > bound || segments_[index]->indexes_are_new) break;
        plan.segments_.push_back(std::move(one));
    }
    for (std::size_t index = 0; index < segments_.size(); ++index) {
        if (segments_[index]->has_aborted) plan.aborted_in_.push_back(view(index));
    }
    plan.aborted_ = segments_.back()->tails.aborted;
    for (const ProducerFacts& one : producers_.facts()) {
        CleaningPlan::LastOfProducer last{.data = {}, .epoch = one.epoch};
        if (one.last_offset >= Offset(0)) last.data = one.last_offset;
        plan.producers_.emplace(one.producer, last);
    }
    return plan;
}

bool Log::begin_swap(const CleanedPiece& piece) {
    if (swapping_ || truncating_ || failed_) return false;
    const auto first = std::ranges::find(segments_, piece.sources_.front());
    const auto there = std::size_t(segments_.end() - first);
    if (there <= piece.sources_.size()) return false;
    if (!std::equal(piece.sources_.begin(), piece.sources_.end(), first)) return false;
    swapping_ = true;
    return true;
}

Dropped Log::finish_swap(CleanedPiece piece, bool succeeded) {
    base::ensure(swapping_, "only a swap that is out is finished");
    swapping_ = false;
    Dropped dropped;
    dropped.disk_ = &disk_;
    if (!succeeded) return dropped;
    const auto first = std::ranges::find(segments_, piece.sources_.front());
    *first = piece.made_;
    segments_.erase(first + 1, first + std::ptrdiff_t(piece.sources_.size()));
    dropped.bytes_ = piece.bytes_before_;
    size_bytes_ += piece.made_->bytes;
    size_bytes_ -= piece.bytes_before_;
    dropped.segments_ = std::move(piece.sources_);
    check_invariants();
    return dropped;
}

void Log::cleaned(Offset end) {
    cleaned_to_ = std::min(end, end_);
}

// ---- Segments that are out of the log ----------------------------------------------------

Result<void, Fault> Dropped::rename() {
    for (const auto& segment : segments_) {
        if (!segment->extra_suffix().empty()) continue;  // A swap that failed has renamed it.
        if (auto done = rename_files(*disk_, *segment, segment_suffixes, ".deleted"); !done)
            return done;
        // Oldest first and each for good, so that a power cut leaves no gap.
        if (auto done = disk_->sync_directory(segment->path("").parent_path()); !done) return done;
    }
    return {};
}

Result<void, Fault> Dropped::remove() {
    for (const auto& segment : segments_) {
        if (auto done = remove_files(*disk_, *segment); !done) return done;
    }
    return {};
}

}  // namespace storage
