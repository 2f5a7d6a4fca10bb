// EpochStarts: at which offset each leader's term began in this log.
//
// Invariant: epochs and start offsets both rise strictly.
// Threads: one at a time, which the partition's lock sees to.
// On disk: leader-epoch-checkpoint, checkpoint.h. Source: facts/kafka.md §3.6.
#pragma once

#include "protocol/base/types.h"

#include <optional>
#include <vector>

namespace storage {

struct EpochStart {
    base::LeaderEpoch epoch;
    base::Offset start;

    friend bool operator==(const EpochStart&, const EpochStart&) = default;
};

class EpochStarts {
public:
    // The records from `start` on are of this epoch. Entries that contradict it go. True
    // when something changed.
    bool assign(base::LeaderEpoch epoch, base::Offset start);

    std::optional<base::LeaderEpoch> latest() const noexcept;
    std::optional<base::LeaderEpoch> at(base::Offset offset) const noexcept;

    // Where the records of `epoch` end, in a log that ends at `log_end`: the greatest epoch
    // that is not above it, and the start of the next one. (-1, -1) when that is unknown.
    EpochStart end_of(base::LeaderEpoch epoch, base::Offset log_end) const noexcept;

    // Forget what starts at or above `end`. True when something changed.
    bool truncate_end(base::Offset end);
    // Forget what ends at or below `start`; the term that holds it begins there now.
    bool truncate_start(base::Offset start);

    const std::vector<EpochStart>& all() const noexcept { return starts_; }
    void restore(std::vector<EpochStart> starts) { starts_ = std::move(starts); }

private:
    std::vector<EpochStart> starts_;
};

}  // namespace storage
