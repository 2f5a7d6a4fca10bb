// Index files: from an offset to a position, from a time to an offset, and which
// transactions were aborted. A short sum of facts/kafka.md §2.2, byte for byte:
//
//     NNN.index      8 bytes each   int32 last offset of a batch - base, int32 its position
//     NNN.timeindex 12 bytes each   int64 largest timestamp so far, int32 last offset of the
//                                   batch that has it - base
//     NNN.txnindex  34 bytes each   int16 0, int64 producer, int64 first offset, int64 last
//                                   offset (the marker's), int64 last stable offset after it
//
// Valid if and only if, from entry to entry: .index rises strictly in both columns;
// .timeindex rises strictly in time and does not fall in offset; .txnindex rises strictly in
// last offset. What follows the first entry that breaks this is not part of the index (a
// crash leaves zeros there).
//
// A log's active segment keeps the entries that are not in the files yet in memory (a
// tail). All others are read where they lie, a few bytes at a time, from the kernel's cache:
// neither mapped nor loaded. An index is a hint: who follows an entry of .index looks whether
// the batch it names is there, and reads the segment from its front if not.
#pragma once

#include "protocol/base/types.h"
#include "storage/disk.h"
#include "storage/producers.h"

#include <optional>
#include <span>
#include <vector>

namespace storage {

struct OffsetEntry {
    static constexpr std::size_t size = 8;
    base::Offset last;  // Absolute.
    std::uint32_t position = 0;

    friend bool operator==(const OffsetEntry&, const OffsetEntry&) = default;
};

struct TimeEntry {
    static constexpr std::size_t size = 12;
    std::int64_t timestamp = -1;
    base::Offset last;  // Absolute.

    friend bool operator==(const TimeEntry&, const TimeEntry&) = default;
};

constexpr std::size_t aborted_entry_bytes = 34;

// Entries that are not in the files yet, and how many are.
struct IndexTails {
    std::vector<OffsetEntry> offsets;
    std::vector<TimeEntry> times;
    std::vector<AbortedTransaction> aborted;
    std::uint32_t offsets_on_disk = 0;
    std::uint32_t times_on_disk = 0;
    std::uint32_t aborted_on_disk = 0;
};

std::vector<std::byte> encode(std::span<const OffsetEntry> entries, base::Offset base);
std::vector<std::byte> encode(std::span<const TimeEntry> entries, base::Offset base);
std::vector<std::byte> encode(std::span<const AbortedTransaction> entries);

// The valid entries at the front of a file's bytes.
std::vector<OffsetEntry> decode_offsets(std::span<const std::byte> bytes, base::Offset base);
std::vector<TimeEntry> decode_times(std::span<const std::byte> bytes, base::Offset base);
// Nothing when the bytes are not whole entries of a known version.
std::optional<std::vector<AbortedTransaction>> decode_aborted(std::span<const std::byte> bytes);

// The last of the first `count` entries of a file whose offset is at most `offset`.
// Faults: io.
[[nodiscard]] base::Result<std::optional<OffsetEntry>, Fault> find_offset(
    const File& file, std::uint32_t count, base::Offset base, base::Offset offset);
// The first whose position is at least `position`.
[[nodiscard]] base::Result<std::optional<OffsetEntry>, Fault> find_position(
    const File& file, std::uint32_t count, base::Offset base, std::uint64_t position);
// The last whose timestamp is less than `timestamp`.
[[nodiscard]] base::Result<std::optional<TimeEntry>, Fault> find_time_before(
    const File& file, std::uint32_t count, base::Offset base, std::int64_t timestamp);

}  // namespace storage
