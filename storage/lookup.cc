#include "storage/lookup.h"

#include <algorithm>
#include <array>
#include <limits>

namespace storage {

using base::Offset;
using base::Result;
using base::Unexpected;

namespace {

// An index file for reading; null when it is not there, which is as good as empty.
Result<std::shared_ptr<File>, Fault> open_index(Disk& disk, const SegmentView& view,
                                                std::string_view suffix) {
    auto file = disk.open(view.segment->path(suffix), OpenMode::read);
    if (!file && file.error().kind == FaultKind::not_found) return std::shared_ptr<File>();
    return file;
}

// How many entries an index file has in front of a tail of zeros that a crash of Apache
// Kafka leaves. `same_or_less` tells whether the last entry is no greater than the first.
template <class Entry>
Result<std::uint32_t, Fault> count_entries(
    const File& file, Offset base,
    std::vector<Entry> (*decode)(std::span<const std::byte>, Offset)) {
    const auto size = file.size();
    if (!size) return Unexpected(size.error());
    const std::uint64_t count = *size / Entry::size;
    if (count == 0) return 0u;
    std::array<std::byte, 2 * Entry::size> ends;
    const auto first = file.read(0, std::span(ends).first(Entry::size));
    if (!first) return Unexpected(first.error());
    const auto last =
        file.read((count - 1) * Entry::size, std::span(ends).subspan(Entry::size, Entry::size));
    if (!last) return Unexpected(last.error());
    if (count > 1 && decode(ends, base).size() == 2) return static_cast<std::uint32_t>(count);
    std::vector<std::byte> all(static_cast<std::size_t>(count * Entry::size));
    const auto read = file.read(0, all);
    if (!read) return Unexpected(read.error());
    all.resize(*read);
    return static_cast<std::uint32_t>(decode(all, base).size());
}

Result<std::uint32_t, Fault> offset_entries(const SegmentView& view, const File& file) {
    if (!view.is_sealed) return view.offsets_on_disk;
    auto learnt = view.segment->learnt();
    if (learnt.offset_entries) return *learnt.offset_entries;
    const auto count = count_entries<OffsetEntry>(file, view.segment->base(), decode_offsets);
    if (!count) return count;
    learnt.offset_entries = *count;
    view.segment->learn(learnt);
    return count;
}

Result<std::uint32_t, Fault> time_entries(const SegmentView& view, const File& file) {
    if (!view.is_sealed) return view.times_on_disk;
    auto learnt = view.segment->learnt();
    if (learnt.time_entries) return *learnt.time_entries;
    const auto count = count_entries<TimeEntry>(file, view.segment->base(), decode_times);
    if (!count) return count;
    learnt.time_entries = *count;
    view.segment->learn(learnt);
    return count;
}

// The last index entry on the disk that is at most `target`, or the front of the segment.
Result<OffsetEntry, Fault> index_entry(Disk& disk, const SegmentView& view, Offset target) {
    const auto file = open_index(disk, view, ".index");
    if (!file) return Unexpected(file.error());
    if (!*file) return OffsetEntry();
    const auto count = offset_entries(view, **file);
    if (!count) return Unexpected(count.error());
    const auto entry = find_offset(**file, *count, view.segment->base(), target);
    if (!entry) return Unexpected(entry.error());
    return *entry && (*entry)->position < view.bytes ? **entry : OffsetEntry();
}

// The entry that ends at `entry.last` and has the timestamp that the time index says.
Result<std::optional<FoundEntry>, Fault> confirm(Disk& disk, const File& file,
                                                 const SegmentView& view, const TimeEntry& entry,
                                                 std::optional<OffsetEntry> hint) {
    auto found = find_entry(disk, file, view, entry.last, hint);
    if (!found) return found;
    if (*found && ((*found)->facts.last != entry.last ||
                   (*found)->facts.max_timestamp != entry.timestamp)) {
        found->reset();
    }
    return found;
}

}  // namespace

Fault corrupt_at(const std::filesystem::path& file, std::uint64_t position, std::string_view why) {
    return Fault(FaultKind::corrupt, file.string() + " is damaged at byte " +
                                         std::to_string(position) + ": " + std::string(why));
}

Result<std::optional<FoundEntry>, Fault> find_entry(Disk& disk, const File& file,
                                                    const SegmentView& view, Offset target,
                                                    std::optional<OffsetEntry> hint) {
    if (!hint) {
        const auto entry = index_entry(disk, view, target);
        if (!entry) return Unexpected(entry.error());
        hint = *entry;
    }
    for (OffsetEntry from = *hint;; from = OffsetEntry()) {
        EntryScan scan(file, from.position, view.bytes, EntryScan::Depth::headers);
        // The offset that the index names is the last of the entry there, or of one that was
        // appended together with it.
        bool is_confirmed = from.position == 0;
        while (const EntryFacts* const entry = scan.next()) {
            if (!is_confirmed && entry->last > from.last) break;
            if (entry->last == from.last) is_confirmed = true;
            if (entry->last >= view.end) break;
            if (entry->last < target) continue;
            const FoundEntry found{scan.position(), *entry};
            if (entry->base <= target) return found;
            // A gap lies before it, or its first offset is wrong: the next entry tells.
            if (scan.next() != nullptr || scan.reached_end()) return found;
            break;
        }
        if (scan.fault()) return Unexpected(*scan.fault());
        if (scan.reached_end()) return std::optional<FoundEntry>();
        if (from.position == 0) {
            return Unexpected(corrupt_at(view.segment->path(".log"), scan.position(),
                                         "no valid entry"));
        }
    }
}

Result<TimeEntry, Fault> largest_time(Disk& disk, const SegmentView& view) {
    if (!view.is_sealed) return view.largest;
    auto learnt = view.segment->learnt();
    if (learnt.largest) return *learnt.largest;

    const auto file = view.segment->log_file().open();
    if (!file) return Unexpected(file.error());
    std::optional<TimeEntry> largest;
    const auto index = open_index(disk, view, ".timeindex");
    if (!index) return Unexpected(index.error());
    if (*index) {
        const auto count = time_entries(view, **index);
        if (!count) return Unexpected(count.error());
        const auto last = find_time_before(**index, *count, view.segment->base(),
                                           std::numeric_limits<std::int64_t>::max());
        if (!last) return Unexpected(last.error());
        if (*last) {
            const auto entry = confirm(disk, **file, view, **last, std::nullopt);
            if (!entry) return Unexpected(entry.error());
            if (*entry) largest = **last;
        }
    }
    if (!largest) {
        largest.emplace(TimeEntry{-1, view.segment->base()});
        EntryScan scan(**file, 0, view.bytes, EntryScan::Depth::headers);
        while (const EntryFacts* const entry = scan.next()) {
            if (entry->max_timestamp > largest->timestamp) {
                largest = TimeEntry{entry->max_timestamp, entry->last};
            }
        }
        if (scan.fault()) return Unexpected(*scan.fault());
        if (!scan.reached_end()) {
            return Unexpected(corrupt_at(view.segment->path(".log"), scan.position(),
                                         "no valid entry"));
        }
    }
    learnt = view.segment->learnt();
    learnt.largest = largest;
    view.segment->learn(learnt);
    return *largest;
}

Result<std::uint64_t, Fault> position_of_time(Disk& disk, const File& file,
                                              const SegmentView& view, std::int64_t timestamp,
                                              std::span<const TimeEntry> times,
                                              std::span<const OffsetEntry> offsets) {
    std::optional<TimeEntry> before;
    const auto in_memory = std::ranges::lower_bound(times, timestamp, {}, &TimeEntry::timestamp);
    if (in_memory != times.begin()) {
        before = *std::prev(in_memory);
    } else if (const auto index = open_index(disk, view, ".timeindex"); !index) {
        return Unexpected(index.error());
    } else if (*index) {
        const auto count = time_entries(view, **index);
        if (!count) return Unexpected(count.error());
        const auto entry = find_time_before(**index, *count, view.segment->base(), timestamp);
        if (!entry) return Unexpected(entry.error());
        before = *entry;
    }
    if (!before) return std::uint64_t{0};

    std::optional<OffsetEntry> hint;
    const auto after = std::ranges::upper_bound(offsets, before->last, {}, &OffsetEntry::last);
    if (after != offsets.begin()) hint = *std::prev(after);
    const auto entry = confirm(disk, file, view, *before, hint);
    if (!entry) return Unexpected(entry.error());
    if (!*entry) return std::uint64_t{0};
    return (*entry)->position + (*entry)->facts.bytes;
}

Result<std::vector<AbortedTransaction>, Fault> aborted_in(Disk& disk, const SegmentView& view) {
    const auto path = view.segment->path(".txnindex");
    auto bytes = read_whole(disk, path, std::uint64_t{1} << 30);
    if (!bytes && bytes.error().kind == FaultKind::not_found) return std::vector<AbortedTransaction>();
    if (!bytes) return Unexpected(bytes.error());
    if (!view.is_sealed) {
        bytes->resize(std::min(bytes->size(), view.aborted_on_disk * aborted_entry_bytes));
    }
    auto entries = decode_aborted(*bytes);
    if (!entries) return Unexpected(corrupt_at(path, 0, "no valid index of aborted transactions"));
    return std::move(*entries);
}

Result<std::optional<Offset>, Fault> offsets_before(Disk& disk, const SegmentView& view,
                                                    std::uint64_t position) {
    const auto file = open_index(disk, view, ".index");
    if (!file) return Unexpected(file.error());
    if (!*file) return std::optional<Offset>();
    const auto count = offset_entries(view, **file);
    if (!count) return Unexpected(count.error());
    const auto entry = find_position(**file, *count, view.segment->base(), position);
    if (!entry) return Unexpected(entry.error());
    if (!*entry) return std::optional<Offset>();
    return std::optional((*entry)->last);
}

}  // namespace storage
