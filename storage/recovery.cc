#include "storage/recovery.h"

#include "protocol/base/plant.h"
#include "storage/checkpoint.h"
#include "storage/lookup.h"
#include "storage/names.h"
#include "storage/producer_snapshot.h"
#include "storage/segment_files.h"

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <set>

namespace storage {

using base::LeaderEpoch;
using base::Offset;
using base::Result;
using base::Unexpected;
using std::filesystem::path;

namespace {

constexpr std::uint64_t index_bytes_max = std::uint64_t{1} << 31;
constexpr std::uint64_t snapshot_bytes_max = std::uint64_t{1} << 31;

class Recovery {
public:
    Recovery(Disk& disk, FileCache& files, const std::shared_ptr<Place>& place,
             const LogOptions& options, RecoveryReport& report)
        : disk_(disk), files_(files), place_(place), options_(options), report_(report),
          directory_(place->path()) {}

    Result<Recovered, Fault> run();
    Result<Recovered, Fault> cut_back(Offset target);
    Result<Recovered, Fault> start_over(Offset target);

private:
    // How far the index files of a segment may be believed.
    struct Trusted {
        std::vector<OffsetEntry> offsets;
        std::vector<TimeEntry> times;
        std::uint64_t position = 0;  // Of the entry that the last one names; walk from here.
    };

    Result<Recovered, Fault> begin();
    Result<void, Fault> look_around();
    Result<void, Fault> finish_interrupted_work(std::vector<DirectoryEntry>& entries);
    Result<void, Fault> lower_recovery_point();
    void pass_over_moved_point();
    Result<void, Fault> lower_recovery_point_to(Offset offset);
    Result<void, Fault> check_segments();
    Result<void, Fault> check(std::size_t index, bool believes_index);
    Result<Trusted, Fault> trust(const Segment& segment, const File& file, Offset below) const;
    Result<void, Fault> cut(std::size_t index, std::uint64_t position);
    Result<void, Fault> drop_from(std::size_t index);
    Result<void, Fault> build_missing_indexes(std::size_t index);
    Result<void, Fault> write_indexes(Segment& segment);
    Result<void, Fault> place_log_start();
    Result<void, Fault> load_producers();
    Result<void, Fault> replay(Offset from, Offset aborted_from);
    Result<void, Fault> load_epochs();
    Result<bool, Fault> epochs_hold(std::span<const EpochStart> starts) const;
    Result<void, Fault> add_empty(Offset base);
    Result<void, Fault> remove_files(Offset base);
    Result<void, Fault> remove(const path& name);

    SegmentView view(std::size_t index) const;
    Offset end_of(std::size_t index) const;
    void note(std::string text) { report_.notes.push_back(std::move(text)); }

    Disk& disk_;
    FileCache& files_;
    std::shared_ptr<Place> place_;
    const LogOptions& options_;
    RecoveryReport& report_;
    path directory_;

    std::set<Offset> snapshots_;
    std::set<Offset> without_index_;
    Offset recovery_point_{};
    bool is_clean_ = false;
    bool cuts_ = false;  // For a truncation: the log may end below the recovery point.
    Offset checked_from_{};  // Entries from here on were checked: what they say is built again.
    Offset end_{};
    Recovered found_;
};

Offset Recovery::end_of(std::size_t index) const {
    return index + 1 < found_.segments.size() ? found_.segments[index + 1]->base() : end_;
}

SegmentView Recovery::view(std::size_t index) const {
    const auto& segment = found_.segments[index];
    const bool is_sealed = index + 1 < found_.segments.size();
    return {.segment = segment,
            .bytes = segment->bytes,
            .end = is_sealed ? end_of(index) : Offset(std::numeric_limits<std::int64_t>::max()),
            .is_sealed = is_sealed,
            .offsets_on_disk = segment->tails.offsets_on_disk,
            .times_on_disk = segment->tails.times_on_disk,
            .aborted_on_disk = segment->tails.aborted_on_disk,
            .largest = segment->largest,
            .generation = segment->generation(),
            .names = segment->names()};
}

Result<void, Fault> Recovery::remove(const path& name) {
    auto done = disk_.remove_file(name);
    if (!done && done.error().kind == FaultKind::not_found) return {};
    return done;
}

// The files of a segment; its data file last, so that an interruption leaves index files
// without a segment at worst, which the next start removes.
Result<void, Fault> Recovery::remove_files(Offset base) {
    for (const auto suffix : {".snapshot", ".index", ".timeindex", ".txnindex", ".log"}) {
        if (auto done = remove(directory_ / file_name(base, suffix)); !done) return done;
    }
    snapshots_.erase(base);
    return {};
}

// Steps a and b of facts/kafka.md §2.6.
Result<void, Fault> Recovery::finish_interrupted_work(std::vector<DirectoryEntry>& entries) {
    Offset first_cleaned(std::numeric_limits<std::int64_t>::max());
    std::vector<std::string> swaps;
    std::vector<DirectoryEntry> rest;
    for (const DirectoryEntry& entry : entries) {
        const auto name = parse_file_name(entry.name);
        if (name && name->suffix.ends_with(".cleaned")) {
            first_cleaned = std::min(first_cleaned, name->offset);
        }
        if (entry.name.ends_with(".deleted") || entry.name.ends_with(".cleaned") ||
            entry.name.ends_with(".tmp")) {
            if (auto done = remove(directory_ / entry.name); !done) return done;
        } else if (name && name->suffix.ends_with(".swap")) {
            swaps.push_back(entry.name);
        } else {
            rest.push_back(entry);
        }
    }
    // A replacement that stands beside unfinished work may be a part of it.
    std::erase_if(swaps, [&](const std::string& swap) {
        return parse_file_name(swap)->offset >= first_cleaned &&
               disk_.remove_file(directory_ / swap).has_value();
    });
    if (!swaps.empty()) {
        Offset low(std::numeric_limits<std::int64_t>::max());
        Offset high(0);
        for (const std::string& swap : swaps) {
            const auto name = parse_file_name(swap);
            if (name->suffix != ".log.swap") continue;
            low = std::min(low, name->offset);
            const auto file = disk_.open(directory_ / swap, OpenMode::read);
            if (!file) return Unexpected(file.error());
            const auto size = (*file)->size();
            if (!size) return Unexpected(size.error());
            EntryScan scan(**file, 0, *size, EntryScan::Depth::headers);
            while (scan.next() != nullptr) continue;
            if (scan.fault()) return Unexpected(*scan.fault());
            if (!scan.reached_end()) {
                return Unexpected(corrupt_at(directory_ / swap, scan.position(), "no valid entry"));
            }
            high = std::max(high, std::max(name->offset, scan.last()) + 1);
        }
        std::vector<DirectoryEntry> kept;
        for (const DirectoryEntry& entry : rest) {
            const auto name = parse_file_name(entry.name);
            const bool is_replaced = name && name->offset >= low && name->offset < high &&
                                     name->suffix != ".snapshot";
            if (!is_replaced) {
                kept.push_back(entry);
            } else if (auto done = remove(directory_ / entry.name); !done) {
                return done;
            }
        }
        rest = std::move(kept);
        for (const std::string& swap : swaps) {
            const std::string plain = swap.substr(0, swap.size() - std::string_view(".swap").size());
            if (auto done = disk_.rename(directory_ / swap, directory_ / plain); !done) return done;
            rest.push_back({plain, false});
        }
        note("finished an interrupted cleaning: " + std::to_string(swaps.size()) + " files");
        if (auto done = disk_.sync_directory(directory_); !done) return done;
    }
    entries = std::move(rest);
    return {};
}

Result<void, Fault> Recovery::look_around() {
    auto listed = disk_.list(directory_);
    if (!listed) return Unexpected(listed.error());
    if (auto done = finish_interrupted_work(*listed); !done) return done;

    std::map<Offset, std::set<std::string_view>> files;
    for (const DirectoryEntry& entry : *listed) {
        const auto name = parse_file_name(entry.name);
        if (name && !entry.is_directory) files[name->offset].insert(name->suffix);
    }
    for (const auto& [base, suffixes] : files) {
        if (suffixes.contains(".snapshot")) snapshots_.insert(base);
        if (!suffixes.contains(".log")) {
            for (const auto suffix : index_suffixes) {
                if (!suffixes.contains(suffix)) continue;
                if (auto done = remove(directory_ / file_name(base, suffix)); !done) return done;
            }
            continue;
        }
        auto segment = std::make_shared<Segment>(files_, place_, base);
        const auto facts = disk_.facts(directory_ / file_name(base, ".log"));
        if (!facts) return Unexpected(facts.error());
        segment->bytes = facts->bytes;
        segment->is_foreign_before(facts->bytes);
        segment->created_ms = std::min(facts->modified_ms, options_.now_ms);
        segment->has_aborted = suffixes.contains(".txnindex");
        if (!suffixes.contains(".index")) without_index_.insert(base);
        found_.segments.push_back(std::move(segment));
    }
    return {};
}

// What an earlier truncation noted counts until a clean stop.
Result<void, Fault> Recovery::lower_recovery_point() {
    recovery_point_ = options_.recovery_point;
    const path name = directory_ / lowered_recovery_point_file;
    if (is_clean_) return remove(name);
    const auto bytes = read_whole(disk_, name, 64);
    if (!bytes && bytes.error().kind == FaultKind::not_found) return {};
    if (!bytes) return Unexpected(bytes.error());
    std::int64_t noted = 0;
    for (const std::byte byte : *bytes) {
        const auto digit = std::to_integer<int>(byte) - '0';
        if (digit < 0 || digit > 9) break;
        if (noted > std::numeric_limits<std::int64_t>::max() / 10 - 10) break;
        noted = noted * 10 + digit;
    }
    recovery_point_ = std::min(recovery_point_, Offset(noted));
    return {};
}

// DeleteRecords moves Apache Kafka's recovery point along with the log's start, into the middle
// of a batch as may be. Such a point says nothing of what was synced.
void Recovery::pass_over_moved_point() {
    if (is_clean_ || recovery_point_ > options_.log_start_offset) return;
    const auto after = std::ranges::upper_bound(found_.segments, recovery_point_, {},
                                                [](const auto& s) { return s->base(); });
    if (after != found_.segments.begin()) recovery_point_ = (*std::prev(after))->base();
}

Result<void, Fault> Recovery::lower_recovery_point_to(Offset offset) {
    const std::string text = std::to_string(offset.value()) + "\n";
    return replace_file(disk_, directory_ / lowered_recovery_point_file,
                        std::as_bytes(std::span(text)));
}

// Which index entries are right: those in front of `below` that rise as they must, up to the
// last one that names an intact batch.
Result<Recovery::Trusted, Fault> Recovery::trust(const Segment& segment, const File& file,
                                                 Offset below) const {
    Trusted trusted;
    const auto offsets = read_whole(disk_, segment.path(".index"), index_bytes_max);
    if (!offsets && offsets.error().kind == FaultKind::io) return Unexpected(offsets.error());
    if (!offsets) return trusted;
    trusted.offsets = decode_offsets(*offsets, segment.base());
    std::erase_if(trusted.offsets, [&](const OffsetEntry& entry) {
        return entry.last >= below || entry.position >= segment.bytes;
    });

    Offset first_of_last{};
    TimeEntry last_of_last;
    for (; !trusted.offsets.empty(); trusted.offsets.pop_back()) {
        const OffsetEntry& entry = trusted.offsets.back();
        EntryScan scan(file, entry.position, segment.bytes, EntryScan::Depth::whole);
        const EntryFacts* const facts = scan.next();
        if (scan.fault()) return Unexpected(*scan.fault());
        // Apache Kafka names the last offset of an append, which may hold several batches.
        if (facts == nullptr || facts->last > entry.last || facts->base < segment.base()) continue;
        trusted.position = entry.position;
        first_of_last = facts->base;
        last_of_last = {facts->max_timestamp, facts->last};
        break;
    }
    if (trusted.offsets.empty()) return trusted;

    const auto times = read_whole(disk_, segment.path(".timeindex"), index_bytes_max);
    if (!times && times.error().kind == FaultKind::io) return Unexpected(times.error());
    if (times) trusted.times = decode_times(*times, segment.base());
    std::erase_if(trusted.times, [&](const TimeEntry& entry) {
        return entry.last >= first_of_last && entry != last_of_last;
    });
    // What lies behind the last time entry has no larger timestamp, or the entry would be a
    // later one. So it has to be right, and if there is none, a walk from the front tells.
    bool is_right = false;
    if (!trusted.times.empty()) {
        const TimeEntry& last = trusted.times.back();
        const auto before = std::ranges::upper_bound(trusted.offsets, last.last, {},
                                                     &OffsetEntry::last);
        const auto from =
            before == trusted.offsets.begin() ? 0 : std::prev(before)->position;
        EntryScan scan(file, from, segment.bytes, EntryScan::Depth::headers);
        while (const EntryFacts* const facts = scan.next()) {
            if (facts->last < last.last) continue;
            is_right = facts->last == last.last && facts->max_timestamp == last.timestamp;
            break;
        }
        if (scan.fault()) return Unexpected(*scan.fault());
    }
    if (!is_right) return Trusted();
    return trusted;
}

// Walk a segment to its end and take in what it says. The last index entries are kept as far
// as they are right; those of the part that is walked are built again.
Result<void, Fault> Recovery::check(std::size_t index, bool believes_index) {
    Segment& segment = *found_.segments[index];
    const std::uint64_t file_bytes = segment.bytes;
    const auto file = segment.log_file().open();
    if (!file) return Unexpected(file.error());

    Trusted trusted;
    if (believes_index) {
        auto result = trust(segment, **file, is_clean_ ? Offset(std::numeric_limits<std::int64_t>::max())
                                                       : recovery_point_);
        if (!result) return Unexpected(result.error());
        trusted = std::move(*result);
    }
    const std::uint64_t from = trusted.position;
    segment.bytes = from;
    segment.tails.offsets_on_disk = static_cast<std::uint32_t>(trusted.offsets.size());
    segment.tails.times_on_disk = static_cast<std::uint32_t>(trusted.times.size());
    if (!trusted.times.empty()) {
        segment.largest = trusted.times.back();
        segment.indexed_timestamp = segment.largest.timestamp;
    }
    if (from > 0) {
        EntryScan first(**file, 0, file_bytes, EntryScan::Depth::headers);
        if (const EntryFacts* const facts = first.next()) {
            segment.first_timestamp = facts->max_timestamp;
        }
    }

    EntryScan scan(**file, from, file_bytes, EntryScan::Depth::whole,
                   segment.base() + std::int64_t{-1});
    bool is_first = true;
    Offset expected = segment.base();
    if (from > 0) expected = trusted.offsets.back().last + 1;  // Not judged: it was before.
    const auto take = [&](const EntryFacts& facts) {
        if (is_first) {
            checked_from_ = std::min(checked_from_, facts.base);
            segment.recent_floor = facts.base + std::int64_t{-1};
            is_first = false;
        }
        segment.add(facts, options_.config.index_interval_bytes);
        end_ = facts.last + 1;
    };
    // A first offset is under no checksum. An entry that leaves a gap before it counts when
    // the one behind it does not contradict it.
    std::optional<EntryFacts> doubtful;
    while (const EntryFacts* const facts = scan.next()) {
        if (facts->last - segment.base() > std::numeric_limits<std::int32_t>::max()) break;
        // A recovery point was the end of the log once, so an entry ended or began there.
        if (!options_.config.compacts && expected < recovery_point_ &&
            facts->last >= recovery_point_ && facts->base != recovery_point_) {
            break;
        }
        if (doubtful) take(*std::exchange(doubtful, std::nullopt));
        if (facts->base > expected) {
            doubtful = *facts;
        } else {
            take(*facts);
        }
        expected = facts->last + 1;
    }
    if (scan.fault()) return Unexpected(*scan.fault());
    if (doubtful && scan.reached_end()) take(*doubtful);
    report_.bytes_scanned += segment.bytes - from;
    segment.is_foreign_before(from);
    if (is_first) {
        end_ = segment.base();
        checked_from_ = std::min(checked_from_, end_);
    }

    if (segment.bytes == file_bytes) return {};
    if (is_clean_ || end_ < recovery_point_) {
        return Unexpected(corrupt_at(
            segment.path(".log"), segment.bytes,
            "offset " + std::to_string(end_.value()) + " is not valid, but everything below " +
                std::to_string(std::max(recovery_point_, end_ + 1).value()) + " was synced once"));
    }
    return cut(index, segment.bytes);
}

// A torn tail, or what a truncation leaves. Later segments go with it.
Result<void, Fault> Recovery::cut(std::size_t index, std::uint64_t position) {
    Segment& segment = *found_.segments[index];
    const auto file = segment.log_file().open();
    if (!file) return Unexpected(file.error());
    const auto size = (*file)->size();
    if (!size) return Unexpected(size.error());
    report_.bytes_cut += *size - std::min(*size, position);
    note(segment.path(".log").string() + ": cut from " + std::to_string(*size) + " to " +
         std::to_string(position) + " bytes, at offset " + std::to_string(end_.value()));
    if (auto done = drop_from(index + 1); !done) return done;
    if (base::is_planted(base::Plant::torn_tail_kept)) return {};
    if (auto done = (*file)->truncate(position); !done) return done;
    return (*file)->sync();
}

Result<void, Fault> Recovery::drop_from(std::size_t index) {
    if (index >= found_.segments.size()) return {};
    // From the back, so that an interruption leaves no gap.
    while (found_.segments.size() > index) {
        Segment& segment = *found_.segments.back();
        note("removed the segment " + segment.path(".log").string() + " of " +
             std::to_string(segment.bytes) + " bytes, behind the cut");
        report_.bytes_cut += segment.bytes;
        segment.log_file().close();
        if (auto done = remove_files(segment.base()); !done) return done;
        found_.segments.pop_back();
    }
    return disk_.sync_directory(directory_);
}

// The index files of the walked segments: trusted entries stay, the rest is cut off. Sealed
// segments get all of theirs at once; the active one keeps its tail in memory. The next flush
// syncs them.
Result<void, Fault> Recovery::write_indexes(Segment& segment) {
    const bool is_active = &segment == found_.segments.back().get();
    const auto write = [&](std::string_view suffix, std::uint64_t kept,
                           std::span<const std::byte> tail) -> Result<void, Fault> {
        if (tail.empty()) {
            const auto facts = disk_.facts(segment.path(suffix));
            if (facts && facts->bytes == kept) return {};
            // The next flush makes it when there is something to put into it.
            const bool is_absent = !facts && facts.error().kind == FaultKind::not_found;
            if (is_absent && is_active && kept == 0) return {};
        }
        const auto file = disk_.open(segment.path(suffix), OpenMode::create);
        if (!file) return Unexpected(file.error());
        if (auto done = (*file)->truncate(kept); !done) return done;
        if (tail.empty()) return {};
        return (*file)->write(kept, tail);
    };
    if (is_active && is_clean_) return {};  // What is behind the entries that count is not wrong.
    IndexTails& tails = segment.tails;
    if (!is_active) {
        segment.indexes_are_new = true;
        if (const auto entry = segment.final_time_entry()) {
            tails.times.push_back(*entry);
            segment.indexed_timestamp = entry->timestamp;
        }
    }
    const auto offsets = is_active ? std::vector<std::byte>() : encode(tails.offsets, segment.base());
    const auto times = is_active ? std::vector<std::byte>() : encode(tails.times, segment.base());
    if (auto done = write(".index", tails.offsets_on_disk * OffsetEntry::size, offsets); !done) {
        return done;
    }
    if (auto done = write(".timeindex", tails.times_on_disk * TimeEntry::size, times); !done) {
        return done;
    }
    if (is_active) return {};
    tails.offsets_on_disk += static_cast<std::uint32_t>(tails.offsets.size());
    tails.times_on_disk += static_cast<std::uint32_t>(tails.times.size());
    tails.offsets = {};
    tails.times = {};
    segment.recent = {};
    return {};
}

Result<void, Fault> Recovery::check_segments() {
    auto& segments = found_.segments;
    const auto after =
        std::ranges::upper_bound(segments, recovery_point_, {}, [](const auto& s) { return s->base(); });
    std::size_t first = after == segments.begin() ? 0 : std::size_t(after - segments.begin()) - 1;
    if (is_clean_) first = segments.size() - 1;

    checked_from_ = Offset(std::numeric_limits<std::int64_t>::max());
    end_ = segments[first]->base();
    for (std::size_t index = first; index < segments.size(); ++index) {
        if (index > first && segments[index]->base() < end_) {
            return Unexpected(corrupt_at(segments[index]->path(".log"), 0,
                                         "it begins below the end of the segment before it"));
        }
        // Where nothing is ever compacted there are no gaps: the end of the segment before is
        // lost, without a torn entry to show for it.
        if (index > first && segments[index]->base() > end_ && !options_.config.compacts &&
            end_ >= recovery_point_) {
            if (auto done = cut(index - 1, segments[index - 1]->bytes); !done) return done;
            break;
        }
        const bool believes_index = index == first && !without_index_.contains(segments[index]->base());
        if (auto done = check(index, believes_index); !done) return done;
    }
    if (is_clean_ && recovery_point_ > Offset(0) && end_ > recovery_point_) {
        return Unexpected(corrupt_at(
            segments.back()->path(".log"), segments.back()->bytes,
            "the log ends at offset " + std::to_string(end_.value()) + ", but it was stopped at " +
                std::to_string(recovery_point_.value())));
    }
    if (cuts_) recovery_point_ = std::min(recovery_point_, end_);
    if (end_ < recovery_point_) {
        return Unexpected(corrupt_at(
            segments.back()->path(".log"), segments.back()->bytes,
            "the log ends at offset " + std::to_string(end_.value()) + ", but everything below " +
                std::to_string(recovery_point_.value()) + " was synced once"));
    }
    for (std::size_t index = first; index < segments.size(); ++index) {
        if (auto done = write_indexes(*segments[index]); !done) return done;
    }
    for (std::size_t index = 0; index < first; ++index) {
        if (!without_index_.contains(segments[index]->base())) continue;
        if (auto done = build_missing_indexes(index); !done) return done;
    }
    return {};
}

Result<void, Fault> Recovery::build_missing_indexes(std::size_t index) {
    Segment& segment = *found_.segments[index];
    const auto file = segment.log_file().open();
    if (!file) return Unexpected(file.error());
    const std::uint64_t file_bytes = segment.bytes;
    segment.bytes = 0;
    EntryScan scan(**file, 0, file_bytes, EntryScan::Depth::headers);
    while (const EntryFacts* const facts = scan.next()) {
        segment.add(*facts, options_.config.index_interval_bytes);
    }
    if (scan.fault()) return Unexpected(*scan.fault());
    if (!scan.reached_end()) {
        return Unexpected(corrupt_at(segment.path(".log"), scan.position(), "no valid entry"));
    }
    note("built the indexes of " + segment.path(".log").string() + " again");
    return write_indexes(segment);
}

Result<void, Fault> Recovery::add_empty(Offset base) {
    auto segment = std::make_shared<Segment>(files_, place_, base);
    const auto file = segment->log_file().create();
    if (!file) return Unexpected(file.error());
    if (!options_.is_new) {
        if (auto done = (*file)->truncate(0); !done) return done;
    }
    if (options_.config.preallocate) {
        if (auto done = (*file)->reserve(std::uint64_t(options_.config.segment_bytes)); !done) return done;
    }
    segment->created_ms = options_.now_ms;
    found_.segments.push_back(std::move(segment));
    end_ = base;
    if (options_.is_new) return {};
    return disk_.sync_directory(directory_);
}

// Step e: a start above the end means that the log lost more than DeleteRecords had deleted.
// Nothing is deleted for that: the old segments are set aside under names that nobody loads.
Result<void, Fault> Recovery::place_log_start() {
    found_.log_start = std::max(options_.log_start_offset, found_.segments.front()->base());
    if (found_.log_start <= end_) return {};
    if (is_clean_) {
        note(directory_.string() + ": the log start checkpoint says " +
             std::to_string(found_.log_start.value()) + ", above the log's end " +
             std::to_string(end_.value()) + " of a clean stop; it is ignored");
        found_.log_start = found_.segments.front()->base();
        return {};
    }
    note(directory_.string() + ": the log ends at " + std::to_string(end_.value()) +
         ", below its start offset " + std::to_string(found_.log_start.value()) +
         "; its files are set aside with the suffix .aside");
    for (const auto& segment : found_.segments) {
        segment->log_file().close();
        for (const auto suffix : {".log", ".index", ".timeindex", ".txnindex"}) {
            const auto from = segment->path(suffix);
            auto to = from;
            to += ".aside";
            const auto done = disk_.rename(from, to);
            if (!done && done.error().kind != FaultKind::not_found) return done;
        }
    }
    found_.segments.clear();
    recovery_point_ = std::min(recovery_point_, found_.log_start);
    return add_empty(found_.log_start);
}

// Apply all batches with a producer from `from` on; aborted transactions whose markers lie at
// `aborted_from` or above get their index entries.
Result<void, Fault> Recovery::replay(Offset from, Offset aborted_from) {
    for (std::size_t index = 0; index < found_.segments.size(); ++index) {
        if (end_of(index) <= from) continue;
        Segment& segment = *found_.segments[index];
        if (segment.bytes == 0) continue;
        const auto file = segment.log_file().open();
        if (!file) return Unexpected(file.error());
        const auto start = find_entry(disk_, **file, view(index), from, std::nullopt);
        if (!start) return Unexpected(start.error());
        if (!*start) continue;
        EntryScan scan(**file, (*start)->position, segment.bytes, EntryScan::Depth::headers);
        while (const EntryFacts* const facts = scan.next()) {
            if (!facts->has_producer()) continue;
            std::optional<Marker> marker;
            if (facts->is_control()) {
                marker = read_marker(scan.bytes(), *facts);
                if (!marker) continue;
            }
            const auto aborted = found_.producers.commit(producer_batch(*facts, marker));
            if (aborted && aborted->last >= aborted_from) {
                segment.tails.aborted.push_back(*aborted);
                segment.has_aborted = true;
            }
        }
        if (scan.fault()) return Unexpected(*scan.fault());
        if (!scan.reached_end()) {
            return Unexpected(corrupt_at(segment.path(".log"), scan.position(), "no valid entry"));
        }
    }
    return {};
}

Result<void, Fault> Recovery::load_producers() {
    // What lies behind the end, or was written beside entries that are gone, is no good.
    for (const Offset offset : std::vector(snapshots_.begin(), snapshots_.end())) {
        if (offset <= end_) continue;
        if (auto done = remove(directory_ / file_name(offset, ".snapshot")); !done) return done;
        snapshots_.erase(offset);
    }

    // Aborted transactions of the checked part are found again, for which the state at its
    // beginning is needed. After a clean stop the index files are complete.
    const Offset from_at_most = is_clean_ ? end_ : checked_from_;
    Offset from = found_.segments.front()->base();
    for (auto at = snapshots_.rbegin(); at != snapshots_.rend();) {
        const Offset offset = *at;
        if (offset > from_at_most || offset < from) {
            ++at;
            continue;
        }
        const path name = directory_ / file_name(offset, ".snapshot");
        const auto bytes = read_whole(disk_, name, snapshot_bytes_max);
        if (!bytes && bytes.error().kind == FaultKind::io) return Unexpected(bytes.error());
        if (const auto facts = bytes ? decode_snapshot(*bytes) : std::nullopt) {
            found_.producers.restore(*facts);
            from = offset;
            break;
        }
        note(name.string() + ": not valid, removed");
        if (auto done = remove(name); !done) return done;
        at = decltype(at)(snapshots_.erase(std::next(at).base()));
    }
    if (is_clean_) {
        Segment& active = *found_.segments.back();
        const auto facts = disk_.facts(active.path(".txnindex"));
        if (facts) active.tails.aborted_on_disk = std::uint32_t(facts->bytes / aborted_entry_bytes);
        if (!facts && facts.error().kind != FaultKind::not_found) return Unexpected(facts.error());
        return replay(from, Offset(std::numeric_limits<std::int64_t>::max()));
    }

    // The index entries of the checked part go, and come back from the replay.
    for (const auto& segment : found_.segments) {
        if (!segment->has_aborted || end_of(std::size_t(&segment - found_.segments.data())) <= checked_from_) {
            continue;
        }
        const auto bytes = read_whole(disk_, segment->path(".txnindex"), index_bytes_max);
        if (!bytes && bytes.error().kind == FaultKind::not_found) continue;
        if (!bytes) return Unexpected(bytes.error());
        const auto whole = std::span(*bytes).first(bytes->size() / aborted_entry_bytes * aborted_entry_bytes);
        std::uint32_t kept = 0;
        for (std::size_t at = 0; at < whole.size(); at += aborted_entry_bytes) {
            const auto one = decode_aborted(whole.subspan(at, aborted_entry_bytes));
            if (!one || one->front().last >= checked_from_) break;
            ++kept;
        }
        segment->tails.aborted_on_disk = kept;
        if (kept * aborted_entry_bytes == bytes->size()) continue;
        const auto file = disk_.open(segment->path(".txnindex"), OpenMode::create);
        if (!file) return Unexpected(file.error());
        if (auto done = (*file)->truncate(kept * aborted_entry_bytes); !done) return done;
        if (auto done = (*file)->sync(); !done) return done;
    }
    if (auto done = replay(from, checked_from_); !done) return done;
    for (const auto& segment : found_.segments) {
        IndexTails& tails = segment->tails;
        if (segment == found_.segments.back() || tails.aborted.empty()) continue;
        const auto file = disk_.open(segment->path(".txnindex"), OpenMode::create);
        if (!file) return Unexpected(file.error());
        if (auto done = (*file)->write(tails.aborted_on_disk * aborted_entry_bytes,
                                       encode(tails.aborted));
            !done) {
            return done;
        }
        tails.aborted = {};
    }
    return {};
}

// Whether each term begins with a batch that says so. The first one may have lost its first
// records, the last one may have none yet.
Result<bool, Fault> Recovery::epochs_hold(std::span<const EpochStart> starts) const {
    for (std::size_t i = 0; i < starts.size(); ++i) {
        const Offset start = starts[i].start;
        if (start >= end_ || start < found_.log_start) continue;
        if (i == 0 && start <= found_.log_start) continue;
        std::size_t index = 0;
        while (index + 1 < found_.segments.size() && found_.segments[index + 1]->base() <= start) {
            ++index;
        }
        if (found_.segments[index]->bytes == 0) continue;
        const auto file = found_.segments[index]->log_file().open();
        if (!file) return Unexpected(file.error());
        const auto entry = find_entry(disk_, **file, view(index), start, std::nullopt);
        if (!entry && entry.error().kind == FaultKind::corrupt) continue;
        if (!entry) return Unexpected(entry.error());
        if (!*entry || (*entry)->facts.magic < 2) continue;
        if ((*entry)->facts.base < start) return false;
        if ((*entry)->facts.base == start && (*entry)->facts.leader_epoch != starts[i].epoch) {
            return false;
        }
    }
    return true;
}

Result<void, Fault> Recovery::load_epochs() {
    const auto from_file = read_epochs(disk_, directory_ / epochs_file);
    if (!from_file && from_file.error().kind == FaultKind::io) return Unexpected(from_file.error());
    Offset walk_from = is_clean_ ? end_ : checked_from_;
    bool holds = from_file.has_value();
    if (holds) {
        const auto checked = epochs_hold(*from_file);
        if (!checked) return Unexpected(checked.error());
        holds = *checked;
    }
    if (holds) {
        found_.epochs.restore(*from_file);
    } else {
        if (end_ > found_.log_start) note(directory_.string() + ": leader epochs built again from the log");
        walk_from = found_.segments.front()->base();
        found_.epochs_are_dirty = end_ > found_.log_start;
    }
    if (found_.epochs.truncate_end(std::max(end_, found_.log_start) + 1)) found_.epochs_are_dirty = true;

    for (std::size_t index = 0; index < found_.segments.size(); ++index) {
        Segment& segment = *found_.segments[index];
        if (end_of(index) <= walk_from || segment.bytes == 0) continue;
        const auto file = segment.log_file().open();
        if (!file) return Unexpected(file.error());
        const auto start = find_entry(disk_, **file, view(index), walk_from, std::nullopt);
        if (!start) return Unexpected(start.error());
        if (!*start) continue;
        EntryScan scan(**file, (*start)->position, segment.bytes, EntryScan::Depth::headers);
        while (const EntryFacts* const facts = scan.next()) {
            const auto latest = found_.epochs.latest();
            if (latest && *latest >= facts->leader_epoch) continue;
            if (found_.epochs.assign(facts->leader_epoch, facts->base)) found_.epochs_are_dirty = true;
        }
        if (scan.fault()) return Unexpected(*scan.fault());
    }
    if (found_.epochs.truncate_start(found_.log_start)) found_.epochs_are_dirty = true;
    return {};
}

// In a directory that has just been made: there is nothing to look at.
Result<Recovered, Fault> Recovery::begin() {
    if (auto done = add_empty(options_.log_start_offset); !done) return Unexpected(done.error());
    found_.log_start = found_.end = found_.recovery_point = end_;
    return std::move(found_);
}

Result<Recovered, Fault> Recovery::run() {
    if (options_.is_new) return begin();
    is_clean_ = options_.was_clean;
    if (auto done = look_around(); !done) return Unexpected(done.error());
    if (auto done = lower_recovery_point(); !done) return Unexpected(done.error());
    pass_over_moved_point();
    if (found_.segments.empty()) {
        if (recovery_point_ > options_.log_start_offset) {
            return Unexpected(Fault(FaultKind::corrupt,
                                    directory_.string() + " holds no segment, but everything below " +
                                        "offset " + std::to_string(recovery_point_.value()) +
                                        " was synced once"));
        }
        checked_from_ = options_.log_start_offset;
        if (auto done = add_empty(options_.log_start_offset); !done) return Unexpected(done.error());
    } else if (auto done = check_segments(); !done) {
        return Unexpected(done.error());
    }
    if (auto done = place_log_start(); !done) return Unexpected(done.error());
    if (auto done = load_producers(); !done) return Unexpected(done.error());
    if (auto done = load_epochs(); !done) return Unexpected(done.error());

    found_.end = end_;
    found_.recovery_point = is_clean_ ? end_ : std::min(recovery_point_, end_);
    for (const Offset offset : snapshots_) {
        const bool is_base = std::ranges::any_of(
            found_.segments, [&](const auto& segment) { return segment->base() == offset; });
        if (!is_base) found_.snapshot = offset;
    }
    return std::move(found_);
}

Result<Recovered, Fault> Recovery::cut_back(Offset target) {
    cuts_ = true;
    if (auto done = look_around(); !done) return Unexpected(done.error());
    recovery_point_ = std::min(options_.recovery_point, target);

    std::size_t index = found_.segments.size();
    while (index > 1 && found_.segments[index - 1]->base() > target) --index;
    base::ensure(index > 0, "a log that is truncated has a segment");
    // The note comes before the cut: from now on the recovery point is no higher than this.
    if (auto done = lower_recovery_point_to(found_.segments[index - 1]->base()); !done) {
        return Unexpected(done.error());
    }
    if (auto done = drop_from(index); !done) return Unexpected(done.error());
    const auto file = found_.segments.back()->log_file().open();
    if (!file) return Unexpected(file.error());
    const auto entry =
        find_entry(disk_, **file, view(found_.segments.size() - 1), target, std::nullopt);
    if (!entry) return Unexpected(entry.error());
    if (*entry) {
        if (auto done = (*file)->truncate((*entry)->position); !done) return Unexpected(done.error());
        found_.segments.back()->bytes = (*entry)->position;
    }
    if (auto done = (*file)->sync(); !done) return Unexpected(done.error());

    // What is left is looked at as after a crash: index files end at the cut, producer state
    // and epochs go back with it.
    if (auto done = check_segments(); !done) return Unexpected(done.error());
    found_.log_start = std::min(std::max(options_.log_start_offset, found_.segments.front()->base()), end_);
    if (auto done = load_producers(); !done) return Unexpected(done.error());
    if (auto done = load_epochs(); !done) return Unexpected(done.error());
    if (auto done = write_epochs(disk_, directory_ / epochs_file, found_.epochs.all()); !done) {
        return Unexpected(done.error());
    }
    found_.epochs_are_dirty = false;
    found_.end = end_;
    found_.recovery_point = std::min(recovery_point_, end_);
    return std::move(found_);
}

Result<Recovered, Fault> Recovery::start_over(Offset target) {
    if (auto done = lower_recovery_point_to(Offset(0)); !done) return Unexpected(done.error());
    if (auto done = look_around(); !done) return Unexpected(done.error());
    if (auto done = drop_from(0); !done) return Unexpected(done.error());
    for (const Offset offset : snapshots_) {
        if (auto done = remove(directory_ / file_name(offset, ".snapshot")); !done) {
            return Unexpected(done.error());
        }
    }
    if (auto done = add_empty(target); !done) return Unexpected(done.error());
    if (auto done = write_epochs(disk_, directory_ / epochs_file, {}); !done) {
        return Unexpected(done.error());
    }
    found_.log_start = found_.end = found_.recovery_point = target;
    return std::move(found_);
}

}  // namespace

Result<Recovered, Fault> recover(Disk& disk, FileCache& files, const std::shared_ptr<Place>& place,
                                 const LogOptions& options, RecoveryReport& report) {
    return Recovery(disk, files, place, options, report).run();
}

Result<Recovered, Fault> cut_back(Disk& disk, FileCache& files, const std::shared_ptr<Place>& place,
                                  const LogOptions& options, Offset target) {
    RecoveryReport report;
    return Recovery(disk, files, place, options, report).cut_back(target);
}

Result<Recovered, Fault> start_over(Disk& disk, FileCache& files,
                                    const std::shared_ptr<Place>& place, const LogOptions& options,
                                    Offset target) {
    RecoveryReport report;
    return Recovery(disk, files, place, options, report).start_over(target);
}

}  // namespace storage
