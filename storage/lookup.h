// Lookup: finds entries in a segment without the lock, through its indexes and a short walk.
//
// An index is a hint here. If the entry it names is not where it says, the segment is walked
// from its front, and only what the walk finds counts.
//
// All block. Faults: io, and corrupt with file and position when the walk meets bytes that
// are no valid entry.
#pragma once

#include "storage/entry_scan.h"
#include "storage/segment.h"

namespace storage {

struct FoundEntry {
    std::uint64_t position = 0;
    EntryFacts facts;
};

// The first entry whose last offset is at least `target`; nothing when there is none.
// `hint` is an index entry that does not lie behind it, if the caller knows one; position 0
// is the front of the segment.
[[nodiscard]] base::Result<std::optional<FoundEntry>, Fault> find_entry(
    Disk& disk, const File& file, const SegmentView& view, base::Offset target,
    std::optional<OffsetEntry> hint);

// The largest timestamp of a segment and the last offset of the batch that has it;
// timestamp -1 when no record has one.
[[nodiscard]] base::Result<TimeEntry, Fault> largest_time(Disk& disk, const SegmentView& view);

// A position from which on to look for the first record with a timestamp of at least
// `timestamp`: nothing before it has one.
[[nodiscard]] base::Result<std::uint64_t, Fault> position_of_time(
    Disk& disk, const File& file, const SegmentView& view, std::int64_t timestamp,
    std::span<const TimeEntry> times, std::span<const OffsetEntry> offsets);

// The aborted transactions whose markers lie in a segment, as far as they are on the disk.
[[nodiscard]] base::Result<std::vector<AbortedTransaction>, Fault> aborted_in(
    Disk& disk, const SegmentView& view);

// An upper limit of the offsets before `position`; nothing when the index has none.
[[nodiscard]] base::Result<std::optional<base::Offset>, Fault> offsets_before(
    Disk& disk, const SegmentView& view, std::uint64_t position);

Fault corrupt_at(const std::filesystem::path& file, std::uint64_t position, std::string_view why);

}  // namespace storage
