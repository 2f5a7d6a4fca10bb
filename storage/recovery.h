// Recovery: what the files of a partition hold, when a log is opened or was truncated.
//
//     1  leftovers of interrupted deletions and cleanings go     facts/kafka.md §2.6, 3a-b
//     2  after a clean stop only the end of the last segment is looked at, from its last
//        index entry on; after any other everything from the recovery point on is checked,
//        checksums included
//     3  the first entry that is not valid ends the log if it lies at or above the recovery
//        point: the file is cut there, later segments go. Below it, it was durable once:
//        `corrupt`, and every file stays as it is
//     4  producer state: the newest valid snapshot and a replay of what lies behind it
//     5  leader epochs: the checkpoint, and what the checked batches say
//
// An index that is not there or not right is built again. A truncation leaves a note of how
// far the recovery point went back (recovery-point.milena), since the directory's checkpoint
// may still name a higher one when the process is killed; it counts until a clean stop.
#pragma once

#include "storage/epochs.h"
#include "storage/log.h"
#include "storage/producers.h"
#include "storage/segment.h"

namespace storage {

constexpr const char* lowered_recovery_point_file = "recovery-point.milena";

struct Recovered {
    std::vector<std::shared_ptr<Segment>> segments;  // At least one; the last one is active.
    base::Offset log_start;
    base::Offset end;
    base::Offset recovery_point;
    Producers producers;
    EpochStarts epochs;
    bool epochs_are_dirty = false;
    std::optional<base::Offset> snapshot;  // The newest that is used, if it is no segment's base.
};

// Find out, and mend what may be mended. Faults: io, no_space, corrupt.
[[nodiscard]] base::Result<Recovered, Fault> recover(Disk& disk, FileCache& files,
                                                     const std::shared_ptr<Place>& place,
                                                     const LogOptions& options,
                                                     RecoveryReport& report);

// Cut a log whose files are as its segments say, and load what is left.
[[nodiscard]] base::Result<Recovered, Fault> cut_back(Disk& disk, FileCache& files,
                                                      const std::shared_ptr<Place>& place,
                                                      const LogOptions& options,
                                                      base::Offset target);

// Remove everything and start an empty log at `target`.
[[nodiscard]] base::Result<Recovered, Fault> start_over(Disk& disk, FileCache& files,
                                                        const std::shared_ptr<Place>& place,
                                                        const LogOptions& options,
                                                        base::Offset target);

}  // namespace storage
