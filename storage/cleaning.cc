#include "storage/cleaning.h"

#include "protocol/records/message_set.h"
#include "storage/lookup.h"
#include "storage/names.h"
#include "storage/segment_files.h"

#include <algorithm>
#include <limits>

namespace storage {

using base::Offset;
using base::Result;
using base::Unexpected;

namespace {

// Where an index entry can point to.
constexpr std::uint64_t segment_bytes_max = std::numeric_limits<std::int32_t>::max();

constexpr const char* made_suffix = ".cleaned";
constexpr const char* swap_suffix = ".swap";

constexpr std::array<std::string_view, 4> without_snapshot{".log", ".index", ".timeindex",
                                                           ".txnindex"};

Unexpected<Fault> stopped() {
    return Unexpected(Fault(FaultKind::busy, "the compaction was told to stop"));
}

// The end of those segments at the front whose records are all old enough.
Result<std::size_t, Fault> old_enough(Disk& disk, std::span<const SegmentView> segments,
                                      Offset from, std::int64_t before_ms) {
    for (std::size_t i = 0; i < segments.size(); ++i) {
        if (segments[i].end <= from) continue;
        const auto largest = largest_time(disk, segments[i]);
        if (!largest) return Unexpected(largest.error());
        if (largest->timestamp > before_ms) return i;
    }
    return segments.size();
}

Result<std::optional<std::int64_t>, Fault> first_time(const SegmentView& view) {
    const auto file = view.segment->log_file().open();
    if (!file) return Unexpected(file.error());
    EntryScan scan(**file, 0, view.bytes, EntryScan::Depth::headers);
    const EntryFacts* const first = scan.next();
    if (scan.fault()) return Unexpected(*scan.fault());
    if (first == nullptr || first->max_timestamp <= 0) return std::optional<std::int64_t>();
    return std::optional(first->max_timestamp);
}

}  // namespace

// ---- What there is to do -----------------------------------------------------------------

Result<CleaningOutlook, Fault> Cleaning::look(const CleaningPlan& plan, std::int64_t now_ms) {
    CleaningOutlook outlook;
    const LogConfig& config = plan.config_;
    std::span<const SegmentView> segments = plan.segments_;
    if (config.min_compaction_lag_ms > 0) {
        const auto count =
            old_enough(*plan.disk_, segments, plan.from_, now_ms - config.min_compaction_lag_ms);
        if (!count) return Unexpected(count.error());
        segments = segments.first(*count);
    }
    for (const SegmentView& view : segments) {
        if (view.end <= plan.from_) {
            outlook.clean_bytes += view.bytes;
            continue;
        }
        outlook.dirty_bytes += view.bytes;
        if (outlook.is_overdue || config.max_compaction_lag_ms == never_ms) continue;
        const auto first = first_time(view);
        if (!first) return Unexpected(first.error());
        outlook.is_overdue = *first && **first < now_ms - config.max_compaction_lag_ms;
    }
    outlook.is_due = outlook.dirty_bytes > 0 &&
                     (outlook.is_overdue || outlook.ratio() > config.min_cleanable_dirty_ratio);
    return outlook;
}

Cleaning::Cleaning(CleaningPlan plan, const CleaningSettings& settings, const CleaningHooks& hooks,
                   std::int64_t now_ms)
    : plan_(std::move(plan)),
      settings_(settings),
      hooks_(hooks),
      now_ms_(now_ms),
      newest_(settings.map_bytes, settings.map_load,
              plan_.segments_.empty() ? 0
                                      : std::uint64_t(std::max<std::int64_t>(
                                            plan_.segments_.back().end - plan_.from_, 0))),
      end_(plan_.from_) {}

// Bytes were read or written. Faults: busy when it shall stop.
Result<void, Fault> Cleaning::went_on(std::uint64_t bytes) {
    hooks_.moved(bytes);
    if (hooks_.stops()) return stopped();
    return {};
}

Result<std::vector<AbortedTransaction>, Fault> Cleaning::aborted_since(Offset offset) const {
    std::vector<AbortedTransaction> all;
    for (const SegmentView& view : plan_.aborted_in_) {
        const auto some = aborted_in(*plan_.disk_, view);
        if (!some) return Unexpected(some.error());
        all.insert(all.end(), some->begin(), some->end());
    }
    all.insert(all.end(), plan_.aborted_.begin(), plan_.aborted_.end());
    std::erase_if(all, [&](const AbortedTransaction& one) { return one.last < offset; });
    return all;
}

// ---- The newest offsets ------------------------------------------------------------------

Result<void, Fault> Cleaning::read_keys() {
    if (plan_.config_.min_compaction_lag_ms > 0) {
        const auto count = old_enough(*plan_.disk_, plan_.segments_, plan_.from_,
                                      now_ms_ - plan_.config_.min_compaction_lag_ms);
        if (!count) return Unexpected(count.error());
        plan_.segments_.resize(*count);
    }
    auto aborted = aborted_since(plan_.from_);
    if (!aborted) return Unexpected(aborted.error());
    CleanedTransactions transactions(std::move(*aborted));
    for (const SegmentView& view : plan_.segments_) {
        if (view.end <= plan_.from_) continue;
        const auto took_all = read_keys_of(view, transactions);
        if (!took_all) return Unexpected(took_all.error());
        if (!*took_all) break;
        end_ = view.end;
    }
    auto all = aborted_since(Offset(0));
    if (!all) return Unexpected(all.error());
    transactions_.emplace(std::move(*all));
    return judge_old_tombstones();
}

// False when the map is full before the segment's end.
Result<bool, Fault> Cleaning::read_keys_of(const SegmentView& view,
                                           CleanedTransactions& transactions) {
    const auto file = view.segment->log_file().open();
    if (!file) return Unexpected(file.error());
    std::uint64_t start = 0;
    if (view.segment->base() < plan_.from_) {
        const auto found = find_entry(*plan_.disk_, **file, view, plan_.from_, std::nullopt);
        if (!found) return Unexpected(found.error());
        start = *found ? (*found)->position : view.bytes;
    }
    EntryScan scan(**file, start, view.bytes, EntryScan::Depth::whole);
    while (const EntryFacts* const facts = scan.next()) {
        if (auto done = went_on(facts->bytes); !done) return Unexpected(done.error());
        const auto entry = scan.bytes();
        if (entry.empty()) break;
        if (facts->is_control()) {
            transactions.take_control(*facts, read_marker(entry, *facts));
        } else if (!transactions.take_data(*facts)) {
            const auto took_all = take_keys(entry, *facts);
            if (!took_all)
                return Unexpected(corrupt_at(view.segment->path(".log"), scan.position(),
                                             took_all.error().detail));
            if (!*took_all) return false;
        }
        end_ = std::max(end_, facts->last + 1);
    }
    if (scan.fault()) return Unexpected(*scan.fault());
    if (!scan.reached_end()) {
        return Unexpected(corrupt_at(view.segment->path(".log"), scan.position(),
                                     "no valid entry, or a wrong checksum"));
    }
    return true;
}

// The keys of one entry. False when the map is full: end_ is then behind the last that went in.
Result<bool, Fault> Cleaning::take_keys(std::span<const std::byte> entry, const EntryFacts& facts) {
    const auto damaged = [] {
        return Unexpected(Fault(FaultKind::corrupt, "records that do not decode"));
    };
    const auto take_all = [&](auto& walk) {
        while (const records::Record* const record = walk.next()) {
            if (!record->key || record->offset < plan_.from_) continue;
            if (!newest_.put(*record->key, record->offset)) return false;
            end_ = record->offset + 1;
        }
        return true;
    };
    if (facts.magic == records::batch_format::magic) {
        const auto batch = records::Batch::view(entry);
        if (!batch) return damaged();
        auto walk =
            records::RecordWalk::open(*batch, scratch_.inflater, records::filtered_bytes_max);
        if (!walk) return damaged();
        const bool took_all = take_all(*walk);
        if (walk->fault()) return damaged();
        return took_all;
    }
    const auto message = records::Message::read(entry);
    if (!message) return damaged();
    auto walk =
        records::MessageWalk::open(*message, scratch_.inflater, records::filtered_bytes_max);
    if (!walk) return damaged();
    return take_all(*walk);
}

// Tombstones of the formats 0 and 1 have no horizon of their own: they go delete.retention.ms
// after the last clean segment was written.
Result<void, Fault> Cleaning::judge_old_tombstones() {
    for (const SegmentView& view : plan_.segments_) {
        if (view.segment->base() >= plan_.from_) break;
        const auto facts = plan_.disk_->facts(view.segment->path(".log"));
        if (!facts) return Unexpected(facts.error());
        old_tombstones_since_ms_ = facts->modified_ms - plan_.config_.delete_retention_ms;
    }
    return {};
}

// ---- The segments anew -------------------------------------------------------------------

// Writes one piece.
class Cleaning::Writer {
public:
    Writer(Cleaning& cleaning, const std::shared_ptr<Segment>& made)
        : cleaning_(cleaning), made_(made) {}

    Result<void, Fault> begin() {
        const auto file = made_->log_file().create();
        if (!file) return Unexpected(file.error());
        file_ = *file;
        return file_->truncate(0);
    }

    // What filter() puts here becomes an entry.
    std::vector<std::byte>& buffer() noexcept { return buffer_; }

    // Take the entry that lies in the buffer from `at` on.
    Result<void, Fault> take(std::size_t at) {
        const auto facts = read_entry_header(std::span(buffer_).subspan(at));
        if (!facts || made_->bytes + facts->bytes > segment_bytes_max) {
            return Unexpected(
                Fault(FaultKind::corrupt,
                      made_->path(".log").string() + " would become longer than a segment can be"));
        }
        made_->add(*facts, cleaning_.plan_.config_.index_interval_bytes);
        if (buffer_.size() >= cleaning_.settings_.buffer_bytes) return flush();
        return {};
    }

    void take(const AbortedTransaction& one) {
        made_->tails.aborted.push_back(one);
        made_->has_aborted = true;
    }

    Result<void, Fault> finish(std::int64_t modified_ms) {
        if (auto done = flush(); !done) return done;
        if (auto done = file_->sync(); !done) return done;
        if (auto done = file_->set_modified(modified_ms); !done) return done;
        IndexTails& tails = made_->tails;
        if (const auto entry = made_->final_time_entry()) tails.times.push_back(*entry);
        Disk& disk = *cleaning_.plan_.disk_;
        if (auto done = write_indexes(disk, *made_, tails, true); !done) return done;
        if (auto done = sync_indexes(disk, *made_); !done) return done;
        made_->learn({.offset_entries = std::uint32_t(tails.offsets.size()),
                      .time_entries = std::uint32_t(tails.times.size()),
                      .largest = made_->largest});
        tails = IndexTails{.offsets = {},
                           .times = {},
                           .aborted = {},
                           .offsets_on_disk = std::uint32_t(tails.offsets.size()),
                           .times_on_disk = std::uint32_t(tails.times.size()),
                           .aborted_on_disk = std::uint32_t(tails.aborted.size())};
        made_->recent = {};
        made_->log_file().close();
        return {};
    }

private:
    Result<void, Fault> flush() {
        if (buffer_.empty()) return {};
        if (auto done = file_->write(written_, buffer_); !done) return done;
        written_ += buffer_.size();
        const auto bytes = buffer_.size();
        buffer_.clear();
        return cleaning_.went_on(bytes);
    }

    Cleaning& cleaning_;
    std::shared_ptr<Segment> made_;
    std::shared_ptr<File> file_;
    std::vector<std::byte> buffer_;
    std::uint64_t written_ = 0;
};

// Whether a segment goes into what is being written too, even if all of it stays.
Result<bool, Fault> Cleaning::fits(const SegmentView& view, const Segment& made) const {
    const auto index_bytes = [&](std::string_view suffix) -> Result<std::uint64_t, Fault> {
        const auto facts = plan_.disk_->facts(view.segment->path(suffix));
        if (!facts && facts.error().kind == FaultKind::not_found) return 0;
        if (!facts) return Unexpected(facts.error());
        return facts->bytes;
    };
    const auto offsets = index_bytes(".index");
    if (!offsets) return Unexpected(offsets.error());
    const auto times = index_bytes(".timeindex");
    if (!times) return Unexpected(times.error());
    const auto index_max = std::uint64_t(plan_.config_.segment_index_bytes);
    return made.bytes + view.bytes <= std::uint64_t(plan_.config_.segment_bytes) &&
           made.tails.offsets.size() * OffsetEntry::size + *offsets <= index_max &&
           made.tails.times.size() * TimeEntry::size + *times <= index_max &&
           view.end - made.base() <= std::int64_t(segment_bytes_max);
}

Result<std::optional<CleanedPiece>, Fault> Cleaning::next() {
    while (next_ < plan_.segments_.size() && plan_.segments_[next_].segment->base() < end_) {
        CleanedPiece piece;
        piece.made_ = std::make_shared<Segment>(*plan_.files_, plan_.place_,
                                                plan_.segments_[next_].segment->base());
        const auto named =
            piece.made_->rename_files(made_suffix, [] { return Result<void, Fault>(); });
        if (!named) return Unexpected(named.error());
        is_changed_ = false;
        if (auto done = write(piece); !done) {
            piece.give_up(*plan_.disk_);
            return Unexpected(done.error());
        }
        // A segment that lost nothing, and got no horizon, stays the file it is.
        if (piece.sources() > 1 || is_changed_) return std::optional(std::move(piece));
        piece.give_up(*plan_.disk_);
    }
    return std::optional<CleanedPiece>();
}

// As many segments as one takes, judged by what is left of them.
Result<void, Fault> Cleaning::write(CleanedPiece& piece) {
    Writer out(*this, piece.made_);
    if (auto done = out.begin(); !done) return done;
    std::int64_t modified_ms = 0;
    while (next_ < plan_.segments_.size()) {
        const SegmentView& view = plan_.segments_[next_];
        if (piece.sources() > 0) {
            if (view.segment->base() >= end_) break;
            const auto takes_it = fits(view, *piece.made_);
            if (!takes_it) return Unexpected(takes_it.error());
            if (!*takes_it) break;
        }
        const auto facts = plan_.disk_->facts(view.segment->path(".log"));
        if (!facts) return Unexpected(facts.error());
        modified_ms = facts->modified_ms;
        old_tombstones_stay_ = modified_ms > old_tombstones_since_ms_;
        if (auto done = write(view, out); !done) return done;
        piece.sources_.push_back(std::const_pointer_cast<Segment>(view.segment));
        piece.bytes_before_ += view.bytes;
        ++next_;
    }
    return out.finish(modified_ms);
}

Result<void, Fault> Cleaning::write(const SegmentView& view, Writer& out) {
    const auto file = view.segment->log_file().open();
    if (!file) return Unexpected(file.error());
    EntryScan scan(**file, 0, view.bytes, EntryScan::Depth::whole,
                   view.segment->base() + std::int64_t{-1});
    while (const EntryFacts* const entry = scan.next()) {
        if (auto done = went_on(entry->bytes); !done) return done;
        const auto bytes = scan.bytes();
        if (bytes.empty()) break;
        if (auto done = filter(view, bytes, *entry, out); !done) return done;
    }
    if (scan.fault()) return Unexpected(*scan.fault());
    if (!scan.reached_end()) {
        return Unexpected(corrupt_at(view.segment->path(".log"), scan.position(),
                                     "no valid entry, or a wrong checksum"));
    }
    if (!view.still_holds()) return stopped();
    return {};
}

// What a new start must find of a producer: its last batch, or its last marker if there is no
// other.
bool Cleaning::is_last_of_producer(const EntryFacts& facts) const noexcept {
    if (!facts.has_producer()) return false;
    const auto last = plan_.producers_.find(facts.producer);
    if (last == plan_.producers_.end()) return false;
    if (last->second.data) return facts.last == *last->second.data;
    return facts.is_control() && facts.producer_epoch == last->second.epoch;
}

bool Cleaning::stays(const records::Record& record, bool tombstones_stay) const {
    if (record.offset >= end_) return true;
    if (!record.key) return false;
    const auto newest = newest_.find(*record.key);
    if (newest && record.offset < *newest) return false;
    return record.value || tombstones_stay;
}

Result<void, Fault> Cleaning::filter(const SegmentView& view, std::span<const std::byte> entry,
                                     const EntryFacts& facts, Writer& out) {
    const auto damaged = [&] {
        return Unexpected(Fault(FaultKind::corrupt, view.segment->path(".log").string() +
                                                        ": offset " +
                                                        std::to_string(facts.base.value()) +
                                                        " holds records that do not decode"));
    };
    auto& buffer = out.buffer();
    const auto at = buffer.size();
    Result<std::size_t, records::ConvertFault> kept = std::size_t{0};
    if (facts.magic != records::batch_format::magic) {
        const auto message = records::Message::read(entry);
        if (!message) return damaged();
        kept = records::filter_message(
            *message,
            [&](const records::Record& record) { return stays(record, old_tombstones_stay_); },
            scratch_, buffer);
    } else {
        const auto batch = records::Batch::view(entry);
        if (!batch) return damaged();
        const bool horizon_has_passed =
            batch->has_delete_horizon() && batch->base_timestamp() <= now_ms_;
        bool may_go = false;
        if (facts.is_control()) {
            const auto ended = transactions_->take_control(facts, read_marker(entry, facts));
            may_go = ended.nothing_is_left;
            if (ended.keeps) out.take(*ended.keeps);
        } else {
            may_go = transactions_->take_data(facts);
        }
        const bool goes = may_go && (!facts.is_control() || horizon_has_passed);
        const records::BatchRetention retention{
            .delete_horizon = now_ms_ + plan_.config_.delete_retention_ms,
            .has_marker = may_go && facts.is_control(),
            .keeps_header = is_last_of_producer(facts)};
        kept = records::filter_batch(
            *batch, retention,
            [&](const records::Record& record) {
                return !goes && (facts.is_control() || stays(record, !horizon_has_passed));
            },
            scratch_, buffer);
    }
    if (!kept) return damaged();
    const auto made = std::span(buffer).subspan(at);
    is_changed_ |= !std::ranges::equal(made, entry);
    if (made.empty()) return {};
    return out.take(at);
}

// ---- In place ----------------------------------------------------------------------------

Result<void, Fault> CleanedPiece::put_in_place(Disk& disk) {
    const auto directory = made_->path("").parent_path();
    // All names are there for good before one of them changes: a start that finds a .cleaned
    // file knows that the .swap files beside it are not all of them.
    if (auto done = disk.sync_directory(directory); !done) return done;
    if (auto done = rename_files(disk, *made_, without_snapshot, swap_suffix); !done) return done;
    if (auto done = disk.sync_directory(directory); !done) return done;
    // From here on a start puts the new files in the place of what is left of the old ones.
    for (const auto& source : sources_) {
        const std::span all(segment_suffixes);
        const auto files = source == sources_.front() ? all.first(all.size() - 1) : all;
        if (auto done = rename_files(disk, *source, files, ".deleted"); !done) return done;
    }
    if (auto done = disk.sync_directory(directory); !done) return done;
    // The data file for good before the rest: while it waits, what has its name already goes.
    const auto plain = [&](std::string_view suffix) {
        return directory / file_name(made_->base(), suffix);
    };
    return made_->rename_files("", [&]() -> Result<void, Fault> {
        if (auto done = disk.rename(made_->path(".log"), plain(".log")); !done) return done;
        if (auto done = disk.sync_directory(directory); !done) return done;
        for (const auto suffix : index_suffixes) {
            const auto done = disk.rename(made_->path(suffix), plain(suffix));
            if (!done && done.error().kind != FaultKind::not_found) return done;
        }
        return disk.sync_directory(directory);
    });
}

void CleanedPiece::give_up(Disk& disk) {
    // What cannot be removed now goes at the next start.
    static_cast<void>(remove_files(disk, *made_));
}

Result<CleaningReport, Fault> clean(Log& log, std::mutex& mutex, Offset high_watermark,
                                    const CleaningSettings& settings, const CleaningHooks& hooks,
                                    std::int64_t now_ms) {
    const auto locked = [&](auto work) {
        const std::lock_guard lock(mutex);
        return work();
    };
    Cleaning cleaning(locked([&] { return log.cleaning_plan(high_watermark); }), settings, hooks,
                      now_ms);
    if (auto done = cleaning.read_keys(); !done) return Unexpected(done.error());
    CleaningReport report;
    for (;;) {
        auto piece = cleaning.next();
        if (!piece) return Unexpected(piece.error());
        if (!*piece) break;
        Disk& disk = log.disk();
        if (!locked([&] { return log.begin_swap(**piece); })) {
            (*piece)->give_up(disk);
            return stopped();
        }
        report.bytes_before += (*piece)->bytes_before();
        report.bytes_after += (*piece)->bytes();
        report.segments_replaced += (*piece)->sources();
        const auto placed = (*piece)->put_in_place(disk);
        auto dropped =
            locked([&] { return log.finish_swap(std::move(**piece), placed.has_value()); });
        if (!placed) return Unexpected(placed.error());
        hooks.replaced(std::move(dropped));
    }
    report.cleaned_to = cleaning.end();
    locked([&] { log.cleaned(cleaning.end()); });
    return report;
}

}  // namespace storage
