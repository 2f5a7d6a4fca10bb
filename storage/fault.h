// Fault: what can go wrong below the log, as the few cases a caller tells apart.
#pragma once

#include <string>
#include <utility>

namespace storage {

enum class FaultKind {
    io,            // The disk refused (EIO, EROFS, EACCES …): the log directory goes offline.
    no_space,      // ENOSPC, EDQUOT: this write is refused, reads go on, a later write may succeed.
    corrupt,       // Bytes that were once durable are gone or changed: this partition only.
    not_found,     // No such file or directory; the log directory's own when it is gone itself.
    locked,        // Another process holds the log directory.
    foreign,       // A log directory of another broker or cluster, or of a newer format.
    out_of_range,  // The offset is not in the log: OFFSET_OUT_OF_RANGE(1).
    busy,          // The log is being truncated: ask again when that has finished.
    would_block,   // Under NoWait only: the bytes are on the disk and not in memory.
};

struct Fault {
    Fault(FaultKind what, std::string more) : kind(what), detail(std::move(more)) {}

    FaultKind kind;
    std::string detail;  // For people: call, file, position, reason. Nothing is decided on it.
};

}  // namespace storage
