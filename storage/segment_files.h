// Files of a segment: index entries written behind those on the disk, files synced and renamed.
//
// Threads: any, one at a time for a segment.
#pragma once

#include "storage/segment.h"

#include <array>

namespace storage {

constexpr std::array<std::string_view, 3> index_suffixes{".index", ".timeindex", ".txnindex"};
// With what stands for the producers before it, which a new segment at the same place keeps.
constexpr std::array<std::string_view, 5> segment_suffixes{".log", ".index", ".timeindex",
                                                           ".txnindex", ".snapshot"};

// Put bytes behind the first `position` ones of a file, which is made if need be, and make it end
// there if `ends_there`. Faults: io, no_space.
[[nodiscard]] base::Result<void, Fault> write_tail(Disk& disk, const std::filesystem::path& name,
                                                   std::uint64_t position,
                                                   std::span<const std::byte> bytes,
                                                   bool ends_there);

// All three of a segment; without `ends_there` only those with something to add. Faults: io,
// no_space.
[[nodiscard]] base::Result<void, Fault> write_indexes(Disk& disk, const Segment& segment,
                                                      const IndexTails& tails, bool ends_there);

// Faults: io.
[[nodiscard]] base::Result<void, Fault> sync_if_there(Disk& disk,
                                                      const std::filesystem::path& name);
[[nodiscard]] base::Result<void, Fault> sync_indexes(Disk& disk, const Segment& segment);

// Give those of its files that are there one more suffix instead of the one they have now, the
// data file first: index files without one go with the next start. Faults: io, no_space.
[[nodiscard]] base::Result<void, Fault> rename_files(Disk& disk, Segment& segment,
                                                     std::span<const std::string_view> files,
                                                     const std::string& extra_suffix);

// Remove what is there of all its files. Faults: io.
[[nodiscard]] base::Result<void, Fault> remove_files(Disk& disk, Segment& segment);

}  // namespace storage
