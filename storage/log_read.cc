#include "protocol/records/message_set.h"
#include "protocol/records/record.h"
#include "storage/file_slice.h"
#include "storage/log.h"
#include "storage/lookup.h"
#include "storage/no_wait.h"

#include <algorithm>
#include <limits>

namespace storage {

using base::Offset;
using base::Result;
using base::Unexpected;

namespace {

Unexpected<Fault> busy(const SegmentView& view) {
    return Unexpected(Fault(FaultKind::busy, view.segment->path(".log").string() +
                                                 " was truncated or compacted while it was read"));
}

// What goes wrong in a file that is being truncated or replaced is no fault of its own.
template <class T>
Result<T, Fault> unless_truncated(const SegmentView& view, Result<T, Fault> result) {
    if (!view.still_holds()) return busy(view);
    return result;
}

// What is read ahead of a reader that the disk must be waited for.
constexpr std::uint64_t ahead_bytes = std::uint64_t{4} << 20;

// What this process wrote last is in memory: so much at the end of a log needs no look.
constexpr std::uint64_t fresh_bytes = std::uint64_t{4} << 20;

// Where `offset` lies if it is in the part that is remembered.
struct RecentPosition {
    std::uint64_t position;
    std::optional<std::uint64_t> next;
};
std::optional<RecentPosition> recent_position(const Segment& segment, Offset offset) {
    if (segment.recent.empty() || offset <= segment.recent_floor) return std::nullopt;
    const auto at = std::ranges::lower_bound(segment.recent, offset, {}, &Segment::Recent::last);
    if (at == segment.recent.end()) return std::nullopt;
    const auto next = std::next(at);
    return RecentPosition{at->position,
                          next == segment.recent.end() ? segment.bytes : next->position};
}

// The index entry in memory from which on to look for `offset`.
std::optional<OffsetEntry> index_entry(const Segment& segment, Offset offset) {
    const auto& entries = segment.tails.offsets;
    const auto after = std::ranges::upper_bound(entries, offset, {}, &OffsetEntry::last);
    if (after != entries.begin()) return *std::prev(after);
    if (segment.tails.offsets_on_disk == 0) return OffsetEntry();
    return std::nullopt;
}

// How far a reader may go in bytes it gets from the disk for the first time: everything up to
// the end that it wants, or whole entries that are intact. Damage behind the first entry
// ends it there; the first entry itself is `corrupt`.
Result<std::uint64_t, Fault> check(const File& file, const SegmentView& view, Offset from,
                                   std::uint64_t start, std::uint64_t end) {
    EntryScan scan(file, start, view.bytes, EntryScan::Depth::whole,
                   view.segment->base() + std::int64_t{-1});
    std::uint64_t good = start;
    // A first offset is under no checksum. An entry that leaves a gap before it counts when
    // the one behind it does not contradict it.
    std::optional<std::uint64_t> doubtful;
    Offset expected = from;
    std::uint64_t first_behind = start;
    bool is_damaged = true;
    while (const EntryFacts* const entry = scan.next()) {
        if (entry->last >= view.end) break;
        if (doubtful) good = *std::exchange(doubtful, std::nullopt);
        if (scan.position() >= end) {
            is_damaged = false;
            break;
        }
        const std::uint64_t behind = scan.position() + entry->bytes;
        if (scan.position() == start) first_behind = behind;
        if (entry->base > expected) {
            doubtful = behind;
        } else {
            good = behind;
        }
        expected = entry->last + 1;
    }
    if (scan.fault()) return Unexpected(*scan.fault());
    if (doubtful && scan.reached_end()) good = *doubtful;
    if (scan.reached_end()) is_damaged = false;
    // Nothing stands before the first one to say that it is not the wrong one of the two.
    if (scan.overlaps() && scan.position() == first_behind) good = start;
    if (is_damaged && good == start) {
        return Unexpected(corrupt_at(view.segment->path(".log"), scan.position(),
                                     "no valid entry, or a wrong checksum"));
    }
    return std::min(good, end);
}

}  // namespace

std::size_t Log::segment_of(Offset offset) const noexcept {
    const auto after = std::ranges::upper_bound(
        segments_, offset, {}, [](const auto& segment) { return segment->base(); });
    return after == segments_.begin() ? 0 : std::size_t(after - segments_.begin()) - 1;
}

SegmentView Log::view(std::size_t index) const {
    const auto& segment = segments_[index];
    const bool is_sealed = index + 1 < segments_.size();
    return {.segment = segment,
            .bytes = segment->bytes,
            .end = is_sealed ? segments_[index + 1]->base() : end_,
            .is_sealed = is_sealed,
            .offsets_on_disk = segment->tails.offsets_on_disk,
            .times_on_disk = segment->tails.times_on_disk,
            .aborted_on_disk = segment->tails.aborted_on_disk,
            .largest = segment->largest,
            .generation = segment->generation(),
            .names = segment->names()};
}

Result<ReadPlan, Fault> Log::locate(Offset from, const ReadLimits& limits) const {
    if (truncating_) return Unexpected(Fault(FaultKind::busy, "the log is being truncated"));
    if (from < log_start_ || from > end_) {
        return Unexpected(
            Fault(FaultKind::out_of_range, "offset " + std::to_string(from.value()) +
                                               " is not in [" + std::to_string(log_start_.value()) +
                                               ", " + std::to_string(end_.value()) + "]"));
    }
    ReadPlan plan;
    plan.from_ = from;
    plan.limits_ = limits;
    plan.limits_.bound = std::min(limits.bound, end_);
    if (from >= plan.limits_.bound) return plan;

    std::size_t index = segment_of(from);
    while (index + 1 < segments_.size() && segments_[index]->bytes == 0) ++index;
    const Segment& segment = *segments_[index];
    if (segment.bytes == 0) return plan;
    plan.segment_ = view(index);
    if (const auto recent = recent_position(segment, from)) {
        plan.start_ = recent->position;
        plan.second_ = recent->next;
    } else {
        plan.search_ = index_entry(segment, from);
    }
    const Offset bound = plan.limits_.bound;
    if (bound >= plan.segment_->end) {
        plan.bound_ = segment.bytes;
    } else if (const auto recent = recent_position(segment, bound)) {
        plan.bound_ = recent->position;
    } else {
        plan.bound_search_ = index_entry(segment, bound);
    }
    if (!plan.start_ && plan.segment_->is_sealed) {
        std::size_t next = index + 1;
        while (next + 1 < segments_.size() && segments_[next]->bytes == 0) ++next;
        if (segments_[next]->bytes > 0) plan.next_ = view(next);
    }
    if (limits.with_aborted) {
        for (; index < segments_.size(); ++index) {
            if (segments_[index]->has_aborted) plan.aborted_in_.push_back(view(index));
            if (segments_[index]->base() >= bound) break;
        }
        plan.aborted_ = segments_.back()->tails.aborted;
    }
    return plan;
}

Result<ReadResult, Fault> Log::read(const ReadPlan& plan) const {
    ReadResult result;
    result.upper = plan.from_;
    if (!plan.segment_) return result;

    SegmentView view = *plan.segment_;
    auto file = view.segment->log_file().open();
    if (!file) return unless_truncated<ReadResult>(view, Unexpected(file.error()));
    std::optional<std::uint64_t> start = plan.start_;
    std::optional<std::uint64_t> second = plan.second_;
    bool went_on = false;
    if (!start) {
        auto found = find_entry(disk_, **file, view, plan.from_, plan.search_);
        if (!found) return unless_truncated<ReadResult>(view, Unexpected(found.error()));
        if (!*found && plan.next_) {
            went_on = true;
            view = *plan.next_;
            file = view.segment->log_file().open();
            if (!file) return unless_truncated<ReadResult>(view, Unexpected(file.error()));
            found = find_entry(disk_, **file, view, plan.from_, OffsetEntry());
            if (!found) return unless_truncated<ReadResult>(view, Unexpected(found.error()));
        }
        if (!*found) return unless_truncated<ReadResult>(view, result);
        start = (*found)->position;
        second = (*found)->position + (*found)->facts.bytes;
    }

    const Offset bound = plan.limits_.bound;
    std::optional<std::uint64_t> end = went_on ? std::nullopt : plan.bound_;
    if (!end && bound >= view.end) end = view.bytes;
    if (!end) {
        const auto found =
            find_entry(disk_, **file, view, bound, went_on ? std::nullopt : plan.bound_search_);
        if (!found) return unless_truncated<ReadResult>(view, Unexpected(found.error()));
        end = *found ? (*found)->position : view.bytes;
    }
    if (*end <= *start) return unless_truncated<ReadResult>(view, result);

    const std::uint64_t first_bytes = *second - *start;
    std::uint64_t bytes = std::min<std::uint64_t>(*end - *start, plan.limits_.bytes_max);
    if (bytes < first_bytes) {
        if (plan.limits_.at_least_one_batch) {
            bytes = first_bytes;
        } else {
            result.first_batch_is_cut = true;
        }
    }
    const bool is_cut_short = *start + bytes < *end;
    const bool is_fresh = plan.start_ && view.bytes - *start <= fresh_bytes;
    if (NoWait::is_on() && !is_fresh && !(*file)->is_in_memory(*start, bytes)) {
        return Unexpected(Fault(FaultKind::would_block, "the records are not in memory"));
    }
    if (plan.limits_.load && bytes > 0) (*file)->load(*start, bytes, ahead_bytes);
    if (bytes > 0 && !result.first_batch_is_cut &&
        !view.segment->is_checked(*start, *start + bytes)) {
        const auto good = check(**file, view, plan.from_, *start, *start + bytes);
        if (!good) return unless_truncated<ReadResult>(view, Unexpected(good.error()));
        view.segment->checked(*start, *good);
        bytes = *good - *start;
    }
    result.slice = std::make_shared<FileSlice>(view.segment, *file, *start,
                                               static_cast<std::size_t>(bytes), view.generation);
    result.upper = std::min(bound, view.end);
    if (!plan.limits_.with_aborted) return unless_truncated<ReadResult>(view, std::move(result));

    if (is_cut_short && (!plan.aborted_in_.empty() || !plan.aborted_.empty())) {
        const auto before = offsets_before(disk_, view, *start + bytes);
        if (!before) return unless_truncated<ReadResult>(view, Unexpected(before.error()));
        if (*before) result.upper = std::min(result.upper, **before + std::int64_t{1});
    }
    bool is_done = false;
    const auto take = [&](const AbortedTransaction& one) {
        if (is_done) return;
        if (one.last >= plan.from_ && one.first < result.upper) result.aborted.push_back(one);
        if (one.last_stable_offset >= result.upper) is_done = true;
    };
    for (const SegmentView& holder : plan.aborted_in_) {
        if (is_done) break;
        const auto on_disk = aborted_in(disk_, holder);
        if (!on_disk) return unless_truncated<ReadResult>(view, Unexpected(on_disk.error()));
        for (const AbortedTransaction& one : *on_disk) take(one);
    }
    for (const AbortedTransaction& one : plan.aborted_) take(one);
    std::ranges::sort(result.aborted, {}, &AbortedTransaction::first);
    return unless_truncated<ReadResult>(view, std::move(result));
}

// ---- By time -----------------------------------------------------------------------------

namespace {

// The first record of an entry, at `from` or above, whose timestamp is at least `timestamp`.
Result<std::optional<TimestampedOffset>, Fault> find_record(std::span<const std::byte> entry,
                                                            const EntryFacts& facts, Offset from,
                                                            std::int64_t timestamp,
                                                            records::Inflater& inflater) {
    const auto damaged = [] {
        return Unexpected(Fault(FaultKind::corrupt, "records that do not decode"));
    };
    const auto first_of = [&](auto& walk) -> std::optional<TimestampedOffset> {
        while (const records::Record* const record = walk.next()) {
            if (record->offset >= from && record->timestamp >= timestamp) {
                return TimestampedOffset{record->offset, record->timestamp, facts.leader_epoch};
            }
        }
        return std::nullopt;
    };
    if (facts.magic == 2) {
        const auto batch = records::Batch::view(entry);
        if (!batch) return damaged();
        auto walk = records::RecordWalk::open(*batch, inflater);
        if (!walk) return damaged();
        auto found = first_of(*walk);
        if (walk->fault()) return damaged();
        return found;
    }
    const auto message = records::Message::read(entry);
    if (!message) return damaged();
    auto walk = records::MessageWalk::open(*message, inflater);
    if (!walk) return damaged();
    return first_of(*walk);
}

}  // namespace

Result<TimePlan, Fault> Log::time_plan() const {
    if (truncating_) return Unexpected(Fault(FaultKind::busy, "the log is being truncated"));
    TimePlan plan;
    for (std::size_t index = segment_of(log_start_); index < segments_.size(); ++index) {
        if (segments_[index]->bytes > 0) plan.segments_.push_back(view(index));
    }
    plan.times_ = segments_.back()->tails.times;
    plan.offsets_ = segments_.back()->tails.offsets;
    plan.from_ = log_start_;
    return plan;
}

Result<std::optional<TimestampedOffset>, Fault> Log::find_time(const TimePlan& plan,
                                                               std::int64_t timestamp) const {
    using Answer = std::optional<TimestampedOffset>;
    records::Inflater inflater;
    for (const SegmentView& view : plan.segments_) {
        const auto largest = largest_time(disk_, view);
        if (!largest) return unless_truncated<Answer>(view, Unexpected(largest.error()));
        if (largest->timestamp < timestamp) continue;
        const auto file = view.segment->log_file().open();
        if (!file) return unless_truncated<Answer>(view, Unexpected(file.error()));
        const auto position = position_of_time(
            disk_, **file, view, timestamp,
            view.is_sealed ? std::span<const TimeEntry>() : std::span(plan.times_),
            view.is_sealed ? std::span<const OffsetEntry>() : std::span(plan.offsets_));
        if (!position) return unless_truncated<Answer>(view, Unexpected(position.error()));
        EntryScan scan(**file, *position, view.bytes, EntryScan::Depth::headers);
        while (const EntryFacts* const entry = scan.next()) {
            if (entry->max_timestamp < timestamp || entry->last < plan.from_) continue;
            const auto bytes = scan.bytes();
            if (bytes.empty()) break;
            auto found = find_record(bytes, *entry, plan.from_, timestamp, inflater);
            if (!found) return unless_truncated<Answer>(view, Unexpected(found.error()));
            if (*found) return unless_truncated<Answer>(view, std::move(*found));
        }
        if (scan.fault()) return unless_truncated<Answer>(view, Unexpected(*scan.fault()));
        if (!scan.reached_end()) {
            return unless_truncated<Answer>(
                view, Unexpected(corrupt_at(view.segment->path(".log"), scan.position(),
                                            "no valid entry")));
        }
    }
    return Answer();
}

Result<std::optional<TimestampedOffset>, Fault> Log::find_largest_time(const TimePlan& plan) const {
    std::int64_t timestamp = -1;
    for (const SegmentView& view : plan.segments_) {
        const auto largest = largest_time(disk_, view);
        if (!largest) {
            return unless_truncated<std::optional<TimestampedOffset>>(view,
                                                                      Unexpected(largest.error()));
        }
        timestamp = std::max(timestamp, largest->timestamp);
    }
    if (timestamp < 0) return std::optional<TimestampedOffset>();
    return find_time(plan, timestamp);
}

// ---- Retention ---------------------------------------------------------------------------

// Source of the rules: facts/kafka.md §2.7.
Result<RetentionVerdict, Fault> Log::judge(const RetentionPlan& plan, std::int64_t now_ms) const {
    RetentionVerdict verdict;
    const auto& candidates = plan.candidates_;
    std::size_t gone = 0;
    std::uint64_t bytes = plan.total_bytes_;
    const auto take_while = [&](const char* why, const auto& goes) -> Result<void, Fault> {
        for (; gone < candidates.size(); ++gone) {
            const Result<bool, Fault> answer = goes(candidates[gone]);
            if (!candidates[gone].still_holds()) return busy(candidates[gone]);
            if (!answer) return Unexpected(answer.error());
            if (!*answer) return {};
            bytes -= std::min(bytes, candidates[gone].bytes);
            if (!verdict.reason.contains(why)) {
                verdict.reason += (verdict.reason.empty() ? "" : ", ") + std::string(why);
            }
        }
        return {};
    };
    const auto below_start = [&](const SegmentView& view) -> Result<bool, Fault> {
        return view.is_sealed && view.end <= plan.log_start_;
    };
    if (auto done = take_while("log start", below_start); !done) return Unexpected(done.error());
    if (plan.config_.deletes && plan.config_.retention_bytes >= 0) {
        const auto limit = std::uint64_t(plan.config_.retention_bytes);
        const auto too_much = [&](const SegmentView& view) -> Result<bool, Fault> {
            return bytes >= limit && bytes - limit >= view.bytes;
        };
        if (auto done = take_while("retention.bytes", too_much); !done)
            return Unexpected(done.error());
    }
    if (plan.config_.deletes && plan.config_.retention_ms >= 0) {
        const auto too_old = [&](const SegmentView& view) -> Result<bool, Fault> {
            const auto largest = largest_time(disk_, view);
            if (!largest && largest.error().kind == FaultKind::corrupt) return false;
            if (!largest) return Unexpected(largest.error());
            std::int64_t newest = largest->timestamp;
            if (newest < 0) {
                const auto facts = disk_.facts(view.segment->path(".log"));
                if (!facts) return Unexpected(facts.error());
                newest = facts->modified_ms;
            }
            return now_ms - newest > plan.config_.retention_ms;
        };
        if (auto done = take_while("retention.ms", too_old); !done) return Unexpected(done.error());
    }
    verdict.segments = gone;
    if (gone > 0) {
        verdict.keep_from = candidates[gone - 1].end;
        verdict.active_goes = !candidates[gone - 1].is_sealed;
    }
    return verdict;
}

}  // namespace storage
