// EntryScan: walks the entries of a segment file, one behind the other.
//
//     EntryScan scan(file, from, to, EntryScan::Depth::headers);
//     while (const EntryFacts* entry = scan.next()) use(*entry, scan.position());
//     if (scan.fault()) ...            the disk failed
//     if (!scan.reached_end()) ...     an entry at scan.position() is not valid
//
// An entry that overlaps the offsets of the one before it is not valid either.
//
// Threads: one at a time. Limits: the buffer is as long as the longest entry, which is never
// longer than what is left of the file.
#pragma once

#include "storage/disk.h"
#include "storage/entry.h"

#include <vector>

namespace storage {

class EntryScan {
public:
    enum class Depth {
        headers,  // Only headers are read and judged.
        whole,    // Every entry is read and its checksum judged.
    };

    // Requires that `file` outlives it. `above`: all offsets are greater.
    EntryScan(const File& file, std::uint64_t from, std::uint64_t to, Depth depth,
              base::Offset above = base::Offset(-1));

    // The next entry; null at the end, at an entry that is not valid, and at a fault.
    const EntryFacts* next();

    // Of the entry that next() gave, or where it stopped.
    std::uint64_t position() const noexcept { return position_; }
    bool reached_end() const noexcept { return position_ == to_; }
    const std::optional<Fault>& fault() const noexcept { return fault_; }
    base::Offset last() const noexcept { return last_; }  // Of the entries so far.
    // It stopped because an entry begins below the end of the one before it: one of the two
    // has a wrong first offset.
    bool overlaps() const noexcept { return overlaps_; }

    // All bytes of the entry that next() gave. Nothing when they cannot be read (see
    // fault()) or, at headers depth, are not intact.
    std::span<const std::byte> bytes();

private:
    bool load(std::uint64_t position, std::size_t count);
    std::span<const std::byte> loaded(std::uint64_t position, std::size_t count) const;

    const File& file_;
    std::uint64_t position_;
    std::uint64_t next_;  // Where the entry after this one begins.
    std::uint64_t to_;
    Depth depth_;
    base::Offset last_;
    bool overlaps_ = false;
    EntryFacts facts_;
    std::optional<Fault> fault_;
    std::vector<std::byte> buffer_;
    std::uint64_t buffer_from_ = 0;
    std::size_t buffer_bytes_ = 0;
};

}  // namespace storage
