#include "storage/log.h"

#include "protocol/base/ensure.h"
#include "protocol/base/plant.h"
#include "protocol/records/batch.h"
#include "storage/checkpoint.h"
#include "storage/names.h"
#include "storage/producer_snapshot.h"
#include "storage/recovery.h"
#include "storage/segment_files.h"

#include <algorithm>
#include <array>
#include <limits>

namespace storage {

using base::LeaderEpoch;
using base::Offset;
using base::Result;
using base::Unexpected;
using std::filesystem::path;

namespace {

// Replaying this much after a crash takes a fraction of a second.
constexpr std::uint64_t bytes_between_snapshots = std::uint64_t{32} << 20;

constexpr std::int64_t relative_offset_max = std::numeric_limits<std::int32_t>::max();

// SplitMix64: enough for a jitter, and a seed gives the same run again.
std::uint64_t next_random(std::uint64_t& state) noexcept {
    std::uint64_t mixed = (state += 0x9e3779b97f4a7c15u);
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return mixed ^ (mixed >> 31);
}

Unexpected<Refusal> refuse(RefusalKind kind, std::string detail) {
    return Unexpected(Refusal{kind, std::move(detail)});
}

// The entry at the front; empty when there is no whole one. Only what comes out of a log may be
// of one of the old formats.
std::span<const std::byte> first_entry(std::span<const std::byte> bytes, Origin origin) {
    if (const auto batch = records::Batch::view(bytes)) return batch->bytes();
    if (origin != Origin::replication) return {};
    const auto facts = read_entry_header(bytes);
    return facts && facts->bytes <= bytes.size() ? bytes.first(facts->bytes)
                                                 : std::span<const std::byte>();
}

Result<void, Fault> write_snapshot(Disk& disk, const path& name,
                                   std::span<const ProducerFacts> producers) {
    const auto bytes = encode_snapshot(producers);
    return write_tail(disk, name, 0, bytes, true);
}

template <class Entry>
void erase_front(std::vector<Entry>& entries, std::size_t count) {
    entries.erase(entries.begin(), entries.begin() + std::ptrdiff_t(count));
}

}  // namespace

Truncated::Truncated() = default;
Truncated::Truncated(Truncated&&) noexcept = default;
Truncated& Truncated::operator=(Truncated&&) noexcept = default;
Truncated::~Truncated() = default;

Result<std::unique_ptr<Log>, Fault> Log::open(Disk& disk, FileCache& files, LogOptions options,
                                              RecoveryReport* report) {
    RecoveryReport unread;
    auto place = std::make_shared<Place>(options.directory);
    auto recovered = recover(disk, files, place, options, report != nullptr ? *report : unread);
    if (!recovered) return Unexpected(recovered.error());
    std::unique_ptr<Log> log(new Log(disk, files, std::move(place), options.config, options.seed,
                                     std::move(*recovered)));
    log->cleaned_to_ = std::min(options.cleaned_to, log->end_);
    log->directory_is_new_ = options.is_new;
    return log;
}

Log::Log(Disk& disk, FileCache& files, std::shared_ptr<Place> place, const LogConfig& config,
         std::uint64_t seed, Recovered recovered)
    : disk_(disk), files_(files), config_(config), place_(std::move(place)), random_(seed) {
    adopt(std::move(recovered));
}

Log::~Log() = default;

void Log::adopt(Recovered recovered) {
    segments_ = std::move(recovered.segments);
    log_start_ = recovered.log_start;
    end_ = reserved_end_ = recovered.end;
    recovery_point_ = recovered.recovery_point;
    producers_ = std::move(recovered.producers);
    epochs_ = std::move(recovered.epochs);
    epochs_are_dirty_ = recovered.epochs_are_dirty;
    snapshot_ = recovered.snapshot;
    size_bytes_ = 0;
    unflushed_bytes_ = 0;
    for (std::size_t index = 0; index < segments_.size(); ++index) {
        const auto& segment = segments_[index];
        size_bytes_ += segment->bytes;
        if (view(index).end > recovery_point_) unflushed_bytes_ += segment->bytes;
        if (config_.segment_jitter_ms > 0) {
            segment->jitter_ms =
                std::int64_t(next_random(random_) % std::uint64_t(config_.segment_jitter_ms));
        }
    }
    check_invariants();
}

void Log::check_invariants() const noexcept {
    base::ensure(!segments_.empty(), "a log has an active segment");
    base::ensure(log_start_ <= end_, "a log does not end before it starts");
    base::ensure(end_ <= reserved_end_, "offsets are reserved behind the end");
    base::ensure(recovery_point_ <= end_, "only what was appended can be synced");
}

path Log::directory() const {
    return place_->path();
}

void Log::moved_to(const path& directory) {
    place_->move_to(directory);
}

Offset Log::last_stable_offset(Offset high_watermark) const noexcept {
    if (base::is_planted(base::Plant::unstable_is_stable)) return high_watermark;
    const auto unstable = producers_.first_unstable(high_watermark);
    return std::max(log_start_, unstable ? std::min(high_watermark, *unstable) : high_watermark);
}

// ---- Append ------------------------------------------------------------------------------

Result<Reserved, Refusal> Log::reserve(const AppendRequest& request) {
    if (failed_ || truncating_) return refuse(RefusalKind::unavailable, directory().string());

    // First look at everything, then change anything: a refusal leaves no trace.
    std::vector<AppendGroup::Item> items;
    std::vector<ProducerBatch> producer_batches;
    Offset next = reserved_end_;
    for (auto rest = request.batches; !rest.empty();) {
        const auto bytes = first_entry(rest, request.origin);
        if (bytes.empty()) return refuse(RefusalKind::invalid_batch, "not a whole record batch");
        auto facts = read_entry_header(bytes);
        if (!facts) return refuse(RefusalKind::invalid_batch, "an offset that is none");
        if (request.origin == Origin::replication) {
            if (facts->base < next) {
                return refuse(RefusalKind::not_behind_the_log,
                              "offset " + std::to_string(facts->base.value()) +
                                  " where the log ends at " + std::to_string(next.value()));
            }
        } else {
            if (facts->bytes > std::uint64_t(config_.segment_bytes)) {
                return refuse(RefusalKind::too_large, std::to_string(facts->bytes) +
                                                          " bytes, segment.bytes is " +
                                                          std::to_string(config_.segment_bytes));
            }
            if (request.origin == Origin::client && facts->is_control()) {
                return refuse(RefusalKind::invalid_batch, "a control batch from a client");
            }
            const auto count = facts->last - facts->base;
            if (next.value() > std::numeric_limits<std::int64_t>::max() - count - 1) {
                return refuse(RefusalKind::invalid_batch, "no offsets are left");
            }
            facts->base = next;
            facts->last = next + count;
            facts->leader_epoch = request.leader_epoch;
        }
        std::optional<Marker> marker;
        if (facts->is_control()) marker = read_marker(bytes, *facts);
        if (facts->has_producer() && (marker || !facts->is_control())) {
            const auto producer = producer_batch(*facts, marker);
            if (request.origin != Origin::replication) {
                if (!marker && producer.first_sequence < 0) {
                    return refuse(RefusalKind::invalid_batch, "a producer id without a sequence");
                }
                if (bytes.size() != request.batches.size()) {
                    return refuse(RefusalKind::invalid_batch, "more than one batch of a producer");
                }
                const auto repetition = producers_.check(producer);
                if (!repetition) return Unexpected(repetition.error());
                if (*repetition) {
                    return Reserved{(*repetition)->first, (*repetition)->last, *repetition};
                }
            }
            producer_batches.push_back(producer);
        }
        items.push_back({bytes, *facts, marker});
        next = facts->last + 1;
        rest = rest.subspan(bytes.size());
    }
    if (items.empty()) return refuse(RefusalKind::invalid_batch, "no batch");

    if (request.origin != Origin::replication) {
        auto rest = request.batches;
        for (const AppendGroup::Item& item : items) {
            records::place(rest.first(item.bytes.size()), item.facts.base, request.leader_epoch);
            rest = rest.subspan(item.bytes.size());
        }
    }
    for (const ProducerBatch& batch : producer_batches) producers_.reserve(batch);
    const Reserved reserved{items.front().facts.base, items.back().facts.last, std::nullopt};
    std::ranges::move(items, std::back_inserter(queue_));
    reserved_end_ = next;
    return reserved;
}

// Source of the rules: facts/kafka.md §2.3. Only positions that fit the index are given out,
// whatever segment.bytes says.
bool Log::must_roll(const Segment& segment, std::uint64_t bytes, std::size_t batches,
                    const EntryFacts& facts, std::int64_t now_ms) const noexcept {
    if (facts.last - segment.base() > relative_offset_max) return true;
    if (bytes == 0) return false;
    if (bytes + facts.bytes > std::uint64_t(config_.segment_bytes)) return true;

    const auto limit_ms = config_.compacts
                              ? std::min(config_.segment_ms, config_.max_compaction_lag_ms)
                              : config_.segment_ms;
    const auto age_ms = segment.first_timestamp >= 0 && facts.max_timestamp >= 0
                            ? facts.max_timestamp - segment.first_timestamp
                            : now_ms - segment.created_ms;
    if (age_ms > limit_ms - segment.jitter_ms) return true;

    const auto entries_max = std::uint64_t(config_.segment_index_bytes) / OffsetEntry::size;
    const auto times_max = std::uint64_t(config_.segment_index_bytes) / TimeEntry::size;
    const auto entries = segment.tails.offsets_on_disk + segment.tails.offsets.size() + batches;
    const auto times = segment.tails.times_on_disk + segment.tails.times.size() + batches + 1;
    return entries >= std::max<std::uint64_t>(entries_max, 1) ||
           times >= std::max<std::uint64_t>(times_max, 2);
}

// The group begins a new segment: copy what the files of the one before it still lack.
void Log::start_segment(AppendGroup& group, Offset base, std::int64_t now_ms) {
    group.before_ = segments_.back();
    group.sealing_ = group.before_->tails;
    if (const auto entry = group.before_->final_time_entry())
        group.sealing_.times.push_back(*entry);
    group.producers_ = producers_.facts();
    if (config_.preallocate) group.reserves_ = std::uint64_t(config_.segment_bytes);
    group.sealed_bytes_ = group.before_->bytes;
    group.segment_ = std::make_shared<Segment>(files_, place_, base);
    group.segment_->created_ms = now_ms;
    group.segment_->name_is_new = true;
    group.segment_->recent_floor = end_ + std::int64_t{-1};
    if (config_.segment_jitter_ms > 0) {
        group.segment_->jitter_ms =
            std::int64_t(next_random(random_) % std::uint64_t(config_.segment_jitter_ms));
    }
}

std::optional<AppendGroup> Log::take_group(std::int64_t now_ms) {
    if (writing_ || queue_.empty() || truncating_ || failed_) return std::nullopt;
    AppendGroup group;
    const Segment& active = *segments_.back();
    if (must_roll(active, active.bytes, 0, queue_.front().facts, now_ms)) {
        start_segment(group, queue_.front().facts.base, now_ms);
    } else {
        group.segment_ = segments_.back();
        group.position_ = active.bytes;
    }
    while (!queue_.empty()) {
        AppendGroup::Item& item = queue_.front();
        if (!group.items_.empty() && must_roll(*group.segment_, group.position_ + group.bytes_,
                                               group.items_.size(), item.facts, now_ms)) {
            break;
        }
        group.bytes_ += item.bytes.size();
        group.items_.push_back(std::move(item));
        queue_.pop_front();
    }
    group.first_ = group.items_.front().facts.base;
    group.end_ = group.items_.back().facts.last + 1;
    writing_ = true;
    return group;
}

std::optional<AppendGroup> Log::take_roll(std::int64_t now_ms) {
    if (writing_ || !queue_.empty() || truncating_ || failed_ || segments_.back()->bytes == 0) {
        return std::nullopt;
    }
    AppendGroup group;
    start_segment(group, end_, now_ms);
    group.first_ = group.end_ = end_;
    writing_ = true;
    return group;
}

// Close the segment before the group's, and make the group's file.
Result<void, Fault> Log::seal(const AppendGroup& group) {
    if (auto done = write_indexes(disk_, *group.before_, group.sealing_, true); !done) return done;
    const path snapshot = place_->path() / file_name(group.segment_->base(), ".snapshot");
    if (auto done = write_snapshot(disk_, snapshot, group.producers_); !done) return done;
    const auto file = group.segment_->log_file().create();
    if (!file) return Unexpected(file.error());
    if (auto done = (*file)->truncate(0); !done || group.reserves_ == 0) return done;
    if (auto done = (*file)->reserve(group.reserves_); !done) return done;
    const auto before = group.before_->log_file().open();
    if (!before) return Unexpected(before.error());
    return (*before)->truncate(group.sealed_bytes_);
}

Result<void, Fault> Log::write(AppendGroup& group) {
    const auto written = [&]() -> Result<void, Fault> {
        if (group.before_) {
            if (auto done = seal(group); !done) return done;
        }
        if (group.items_.empty()) return {};
        const auto file = group.segment_->log_file().open();
        if (!file) return Unexpected(file.error());
        if (group.items_.size() == 1) return (*file)->write(group.position_, group.items_[0].bytes);
        std::vector<std::span<const std::byte>> pieces;
        pieces.reserve(group.items_.size());
        for (const AppendGroup::Item& item : group.items_) pieces.push_back(item.bytes);
        return (*file)->write(group.position_, pieces);
    }();
    if (written) return {};

    // Put the files back as they were, so that the next write finds them so. Where even that
    // fails the disk is no good.
    const auto failed = [&](const Fault& more) {
        return Unexpected(Fault(FaultKind::io, written.error().detail + "; then " + more.detail));
    };
    if (group.before_) {
        group.segment_->log_file().close();
        for (const auto suffix : {".log", ".snapshot"}) {
            const auto removed = disk_.remove_file(group.segment_->path(suffix));
            if (!removed && removed.error().kind != FaultKind::not_found)
                return failed(removed.error());
        }
    } else {
        const auto file = group.segment_->log_file().open();
        if (!file) return failed(file.error());
        if (auto cut = (*file)->truncate(group.position_); !cut) return failed(cut.error());
    }
    return written;
}

void Log::commit(AppendGroup group) {
    base::ensure(writing_, "only a group that is out is committed");
    writing_ = false;
    if (group.before_) {
        Segment& sealed = *group.before_;
        sealed.tails.offsets_on_disk += std::uint32_t(group.sealing_.offsets.size());
        sealed.tails.times_on_disk += std::uint32_t(group.sealing_.times.size());
        sealed.tails.aborted_on_disk += std::uint32_t(group.sealing_.aborted.size());
        sealed.tails.offsets = {};
        sealed.tails.times = {};
        sealed.tails.aborted = {};
        sealed.recent = {};
        sealed.indexes_are_new = true;
        sealed.learn({.offset_entries = sealed.tails.offsets_on_disk,
                      .time_entries = sealed.tails.times_on_disk,
                      .largest = sealed.largest});
        segments_.push_back(group.segment_);
    }
    Segment& active = *segments_.back();
    for (const AppendGroup::Item& item : group.items_) {
        active.add(item.facts, config_.index_interval_bytes);
        if (item.facts.has_producer() && (item.marker || !item.facts.is_control())) {
            const auto aborted = producers_.commit(producer_batch(item.facts, item.marker));
            if (aborted) {
                active.tails.aborted.push_back(*aborted);
                active.has_aborted = true;
            }
        }
        const auto latest = epochs_.latest();
        if (!latest || *latest < item.facts.leader_epoch) {
            if (epochs_.assign(item.facts.leader_epoch, item.facts.base)) epochs_are_dirty_ = true;
        }
    }
    end_ = group.end_;
    size_bytes_ += group.bytes_;
    unflushed_bytes_ += group.bytes_;
    bytes_since_snapshot_ += group.bytes_;
    if (group.before_) bytes_since_snapshot_ = group.bytes_;
    check_invariants();
}

void Log::roll_back(AppendGroup group) {
    base::ensure(writing_, "only a group that is out is rolled back");
    base::ensure(group.first_ == end_ || group.items_.empty() || group.first_ > end_,
                 "a group lies behind the end");
    writing_ = false;
    queue_.clear();
    producers_.forget_reserved();
    reserved_end_ = end_;
}

Result<Reserved, Refusal> Log::append(const AppendRequest& request, std::int64_t now_ms) {
    const auto reserved = reserve(request);
    while (auto group = take_group(now_ms)) {
        if (const auto written = write(*group); !written) {
            roll_back(std::move(*group));
            return refuse(RefusalKind::unavailable, written.error().detail);
        }
        commit(std::move(*group));
    }
    return reserved;
}

// ---- Leader epochs -----------------------------------------------------------------------

void Log::assign_epoch(LeaderEpoch epoch) {
    if (const auto latest = epochs_.latest(); latest && *latest >= epoch) return;
    if (epochs_.assign(epoch, end_)) epochs_are_dirty_ = true;
}

EpochEnd Log::end_of_epoch(LeaderEpoch epoch) const noexcept {
    const auto found = epochs_.end_of(epoch, end_);
    return {found.epoch, found.start};
}

// ---- Flush -------------------------------------------------------------------------------

std::optional<FlushPlan> Log::begin_flush(FlushKind kind) {
    if (flushing_ || truncating_ || failed_) return std::nullopt;
    if (recovery_point_ == end_ && !epochs_are_dirty_ && segments_.back()->tails.offsets.empty()) {
        return std::nullopt;
    }
    FlushPlan plan;
    plan.end_ = end_;
    plan.kind_ = kind;
    plan.directory_is_new_ = directory_is_new_;
    plan.bytes_ = unflushed_bytes_;
    const auto& active = segments_.back();
    for (std::size_t index = 0; index < segments_.size(); ++index) {
        const auto& segment = segments_[index];
        const bool is_dirty = segment == active ? end_ > recovery_point_
                                                : segments_[index + 1]->base() > recovery_point_;
        if (!is_dirty && !segment->indexes_are_new) continue;
        plan.segments_.push_back(segment);
        plan.with_indexes_.push_back(segment->indexes_are_new);
        if (segment->name_is_new || segment->indexes_are_new) plan.names_are_new_ = true;
    }
    plan.tails_.offsets_on_disk = active->tails.offsets_on_disk;
    plan.tails_.times_on_disk = active->tails.times_on_disk;
    plan.tails_.aborted_on_disk = active->tails.aborted_on_disk;
    plan.tails_.aborted = active->tails.aborted;
    if (plan.segments_.empty() || plan.segments_.back() != active) {
        plan.segments_.push_back(active);
        plan.with_indexes_.push_back(false);
    }
    if (!plan.tails_.aborted.empty()) plan.names_are_new_ = true;
    if (kind == FlushKind::checkpoint) {
        plan.tails_.offsets = active->tails.offsets;
        plan.tails_.times = active->tails.times;
        if (bytes_since_snapshot_ >= bytes_between_snapshots && end_ != active->base()) {
            plan.producers_ = producers_.facts();
            plan.old_snapshot_ = snapshot_;
        }
    }
    if (epochs_are_dirty_) plan.epochs_ = epochs_.all();
    epochs_are_dirty_ = false;
    flushing_ = true;
    return plan;
}

Result<void, Fault> Log::flush(FlushPlan& plan) {
    const auto written = write_flush(plan);
    plan.had_no_space_ = !written && written.error().kind == FaultKind::no_space;
    return written;
}

Result<void, Fault> Log::write_flush(const FlushPlan& plan) {
    const path directory = place_->path();
    const Segment& active = *plan.segments_.back();
    if (plan.directory_is_new_) {
        if (auto done = sync_new_directory(); !done) return done;
    }
    for (std::size_t i = 0; i < plan.segments_.size(); ++i) {
        const auto file = plan.segments_[i]->log_file().open();
        if (!file) return Unexpected(file.error());
        if (!base::is_planted(base::Plant::checkpoint_before_data)) {
            if (auto done = (*file)->sync(); !done) return done;
        }
        if (!plan.with_indexes_[i]) continue;
        if (auto done = sync_indexes(disk_, *plan.segments_[i]); !done) return done;
    }
    if (auto done = write_indexes(disk_, active, plan.tails_, false); !done) return done;
    if (!plan.tails_.aborted.empty()) {
        // Without it an aborted transaction would be read after a crash.
        if (auto done = sync_if_there(disk_, active.path(".txnindex")); !done) return done;
    }
    if (plan.producers_) {
        if (auto done = write_snapshot(disk_, directory / file_name(plan.end_, ".snapshot"),
                                       *plan.producers_);
            !done) {
            return done;
        }
        if (plan.old_snapshot_ && *plan.old_snapshot_ != plan.end_) {
            const auto removed =
                disk_.remove_file(directory / file_name(*plan.old_snapshot_, ".snapshot"));
            if (!removed && removed.error().kind != FaultKind::not_found) return removed;
        }
    }
    if (plan.epochs_) return write_epochs(disk_, directory / epochs_file, *plan.epochs_);
    if (plan.names_are_new_ && !base::is_planted(base::Plant::names_not_synced)) {
        return disk_.sync_directory(directory);
    }
    return {};
}

// Nothing that was promised depended on them before there were records.
Result<void, Fault> Log::sync_new_directory() {
    const path directory = place_->path();
    if (auto done = sync_if_there(disk_, directory / partition_metadata_file); !done) return done;
    if (auto done = disk_.sync_directory(directory); !done) return done;
    return disk_.sync_directory(directory.parent_path());
}

void Log::finish_flush(FlushPlan plan, bool succeeded) {
    base::ensure(flushing_, "only a flush that is out is finished");
    flushing_ = false;
    if (!succeeded) {
        if (!plan.had_no_space_) failed_ = true;
        if (plan.epochs_) epochs_are_dirty_ = true;
        return;
    }
    recovery_point_ = std::max(recovery_point_, plan.end_);
    if (plan.directory_is_new_) directory_is_new_ = false;
    unflushed_bytes_ -= std::min(unflushed_bytes_, plan.bytes_);
    for (std::size_t i = 0; i < plan.segments_.size(); ++i) {
        plan.segments_[i]->name_is_new = false;
        if (plan.with_indexes_[i]) plan.segments_[i]->indexes_are_new = false;
    }
    // A roll meanwhile has written the same entries and forgotten the tails.
    IndexTails& tails = plan.segments_.back()->tails;
    if (plan.segments_.back() == segments_.back()) {
        erase_front(tails.offsets, plan.tails_.offsets.size());
        erase_front(tails.times, plan.tails_.times.size());
        erase_front(tails.aborted, plan.tails_.aborted.size());
        tails.offsets_on_disk += std::uint32_t(plan.tails_.offsets.size());
        tails.times_on_disk += std::uint32_t(plan.tails_.times.size());
        tails.aborted_on_disk += std::uint32_t(plan.tails_.aborted.size());
    }
    if (plan.producers_) {
        snapshot_ = plan.end_;
        bytes_since_snapshot_ = 0;
    }
    check_invariants();
}

// ---- Truncation --------------------------------------------------------------------------

TruncationPlan Log::begin_truncation(Offset target) {
    base::ensure(!writing_ && !flushing_ && !swapping_ && !truncating_ && queue_.empty(),
                 "nothing else is under way while a log is truncated");
    truncating_ = true;
    TruncationPlan plan;
    plan.target_ = std::min(target, end_);
    plan.segments_ = segments_;
    plan.epochs_ = epochs_.all();
    plan.created_ms_ = segments_.back()->created_ms;
    plan.log_start_ = log_start_;
    plan.recovery_point_ = recovery_point_;
    plan.config_ = config_;
    for (const auto& segment : segments_) {
        if (segment == segments_.back() || segment->base() >= plan.target_)
            segment->raise_generation();
    }
    // The segment that holds the target is loaded anew, whichever it is.
    segments_[segment_of(plan.target_)]->raise_generation();
    return plan;
}

TruncationPlan Log::begin_restart(Offset target) {
    auto plan = begin_truncation(Offset(0));
    plan.target_ = target;
    plan.restarts_ = true;
    for (const auto& segment : segments_) segment->raise_generation();
    return plan;
}

Result<Truncated, Fault> Log::truncate(const TruncationPlan& plan) {
    // The files are read anew, so nothing may be left that is only in memory.
    const auto& active = plan.segments_.back();
    if (auto done = write_indexes(disk_, *active, active->tails, true); !done) {
        return Unexpected(done.error());
    }
    if (auto done = write_epochs(disk_, place_->path() / epochs_file, plan.epochs_); !done) {
        return Unexpected(done.error());
    }
    const LogOptions options{.directory = place_->path(),
                             .config = plan.config_,
                             .recovery_point = plan.recovery_point_,
                             .log_start_offset = plan.log_start_,
                             .was_clean = false,
                             .now_ms = plan.created_ms_,
                             .seed = 0};
    auto recovered = plan.restarts_ ? start_over(disk_, files_, place_, options, plan.target_)
                                    : cut_back(disk_, files_, place_, options, plan.target_);
    if (!recovered) return Unexpected(recovered.error());
    Truncated truncated;
    truncated.state_ = std::make_unique<Recovered>(std::move(*recovered));
    return truncated;
}

void Log::finish_truncation(TruncationPlan plan, Truncated truncated) {
    base::ensure(truncating_ && truncated.state_ != nullptr,
                 "a truncation has begun and succeeded");
    truncating_ = false;
    for (const auto& segment : plan.segments_) segment->log_file().close();
    adopt(std::move(*truncated.state_));
    cleaned_to_ = std::min(cleaned_to_, end_);
    // A term that left nothing here would be taken for one that the leader does not know, for ever.
    if (epochs_.truncate_end(end_)) epochs_are_dirty_ = true;
}

// ---- The start of the log ----------------------------------------------------------------

void Log::advance_log_start(Offset offset) {
    base::ensure(offset <= end_, "a log does not start behind its end");
    if (offset <= log_start_) return;
    log_start_ = offset;
    if (epochs_.truncate_start(offset)) epochs_are_dirty_ = true;
}

RetentionPlan Log::retention_plan(Offset high_watermark) const {
    RetentionPlan plan;
    plan.total_bytes_ = size_bytes_;
    plan.log_start_ = log_start_;
    plan.config_ = config_;
    if (truncating_) return plan;
    for (std::size_t index = 0; index < segments_.size(); ++index) {
        auto candidate = view(index);
        if (candidate.end > high_watermark) break;
        if (!candidate.is_sealed && candidate.bytes == 0) break;
        plan.candidates_.push_back(std::move(candidate));
    }
    return plan;
}

Dropped Log::drop_segments(Offset keep_from) {
    Dropped dropped;
    dropped.disk_ = &disk_;
    while (!swapping_ && segments_.size() > 1 && segments_[1]->base() <= keep_from) {
        dropped.bytes_ += segments_.front()->bytes;
        size_bytes_ -= segments_.front()->bytes;
        dropped.segments_.push_back(std::move(segments_.front()));
        segments_.erase(segments_.begin());
    }
    if (dropped.segments_.empty()) return dropped;
    log_start_ = std::max(log_start_, segments_.front()->base());
    recovery_point_ = std::max(recovery_point_, std::min(segments_.front()->base(), end_));
    if (epochs_.truncate_start(log_start_)) epochs_are_dirty_ = true;
    check_invariants();
    return dropped;
}

// ---- The end of its life -----------------------------------------------------------------

Result<void, Fault> Log::close() {
    base::ensure(!writing_ && !flushing_ && !swapping_ && !truncating_ && queue_.empty(),
                 "a log is closed when nobody works with it");
    Segment& active = *segments_.back();
    const path directory = place_->path();
    auto tails = active.tails;
    if (const auto entry = active.final_time_entry()) tails.times.push_back(*entry);
    if (auto done = write_indexes(disk_, active, tails, true); !done) return done;
    if (end_ != active.base() || producers_.size() > 0) {
        const path snapshot = directory / file_name(end_, ".snapshot");
        if (auto done = write_snapshot(disk_, snapshot, producers_.facts()); !done) return done;
        if (auto done = sync_if_there(disk_, snapshot); !done) return done;
        if (snapshot_ && *snapshot_ != end_) {
            const auto old = disk_.remove_file(directory / file_name(*snapshot_, ".snapshot"));
            if (!old && old.error().kind != FaultKind::not_found) return old;
        }
    }
    for (const auto& segment : segments_) {
        const bool is_active = segment == segments_.back();
        if (!is_active && !segment->indexes_are_new &&
            segments_[segment_of(segment->base()) + 1]->base() <= recovery_point_) {
            continue;
        }
        if (is_active && end_ == recovery_point_ && segment->bytes == 0 && !segment->name_is_new) {
            continue;
        }
        const auto file = segment->log_file().open();
        if (!file) return Unexpected(file.error());
        if (is_active && config_.preallocate) {
            if (auto done = (*file)->truncate(segment->bytes); !done) return done;
        }
        if (auto done = (*file)->sync(); !done) return done;
        if (auto done = sync_indexes(disk_, *segment); !done) return done;
        segment->log_file().close();
    }
    if (epochs_are_dirty_) {
        if (auto done = write_epochs(disk_, directory / epochs_file, epochs_.all()); !done)
            return done;
    }
    epochs_are_dirty_ = false;
    if (auto done = directory_is_new_ ? sync_new_directory() : disk_.sync_directory(directory);
        !done) {
        return done;
    }
    directory_is_new_ = false;
    active.tails.offsets_on_disk += std::uint32_t(tails.offsets.size());
    active.tails.times_on_disk += std::uint32_t(tails.times.size());
    active.tails.aborted_on_disk += std::uint32_t(tails.aborted.size());
    if (!tails.times.empty()) active.indexed_timestamp = tails.times.back().timestamp;
    active.tails.offsets = {};
    active.tails.times = {};
    active.tails.aborted = {};
    snapshot_ = end_ == active.base() ? std::nullopt : std::optional(end_);
    recovery_point_ = end_;
    unflushed_bytes_ = 0;
    return {};
}

}  // namespace storage
