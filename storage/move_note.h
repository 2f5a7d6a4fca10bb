// MoveNote: what a copy of a partition says about the move that makes it (move.milena).
//
//     orders-3.0123…-future/move.milena     the copy is being made
//     orders-3/move.milena                  the copy has taken over. Another orders-3 is what it
//                                           was copied from, and goes; the note goes after it
//
// Apache Kafka knows no such file and leaves it alone. A copy that Apache Kafka makes has none.
//
// Format, replaced as a whole:
//
//     milena-move 1
//     cleaned-to <offset, decimal>
//
// The offset: how far the partition was compacted when the copy began. One that was compacted since
// has dropped records that the copy has, maybe with the tombstones that would have dropped them
// there. What is not these two lines, or is of a newer version, says nothing: the copy is then made
// anew, or has taken over, as the name of its directory tells.
#pragma once

#include "protocol/base/result.h"
#include "protocol/base/types.h"
#include "storage/disk.h"

#include <optional>

namespace storage {

// Faults of all: io; of the first no_space.
[[nodiscard]] base::Result<void, Fault> write_move_note(Disk& disk,
                                                        const std::filesystem::path& directory,
                                                        base::Offset cleaned_to);
// The offset; nothing when there is no note, or none that can be read.
[[nodiscard]] base::Result<std::optional<base::Offset>, Fault> read_move_note(
    Disk& disk, const std::filesystem::path& directory);
[[nodiscard]] base::Result<void, Fault> remove_move_note(Disk& disk,
                                                         const std::filesystem::path& directory);
// Whether there is one, whatever it says.
[[nodiscard]] base::Result<bool, Fault> has_move_note(Disk& disk,
                                                      const std::filesystem::path& directory);

}  // namespace storage
