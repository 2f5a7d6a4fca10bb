// Flusher: which dirty logs are synced when. A pure policy; the disk pool does the work.
//
//     every log     when it is dirty: about once a second, or at 64 MiB, whichever is first,
//                   or sooner by its own flush.ms and flush.messages
//     many logs     above 64 dirty ones: one syncfs for the log directory and round, then
//                   each log's flush finds little left to do
//     checkpoint    the recovery-point file after a round that moved one, at most every 5 s
//
// Threads: one at a time; the owner has a lock. Times are monotonic milliseconds.
// Source: design.md §4.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

namespace storage {

struct FlusherLimits {
    std::int64_t age_ms = 1000;
    std::uint64_t bytes = std::uint64_t{64} << 20;
    std::size_t logs_synced_singly = 64;
    std::int64_t checkpoint_ms = 5000;
};

class Flusher {
public:
    using LogId = std::uint64_t;  // The owner's choice; unique within a log directory.

    explicit Flusher(FlusherLimits limits = {}) : limits_(limits) {}

    // Records were appended. `age_ms_max` is the log's flush.ms.
    void dirtied(LogId log, std::uint64_t bytes, std::int64_t now_ms, std::int64_t age_ms_max);
    void forget(LogId log);

    struct Round {
        std::vector<LogId> logs;    // Flush these, in this order.
        bool sync_everything = false;  // syncfs first.
        bool checkpoint = false;       // Then write the recovery points.
    };
    // What to do now; empty when nothing is due. Logs in it are clean until dirtied again.
    Round take_round(std::int64_t now_ms);

    // When to ask again: the next moment at which something is due; nothing-dirty gives
    // the largest number.
    std::int64_t next_ms() const noexcept;
    std::size_t dirty() const noexcept { return dirty_.size(); }

private:
    struct Dirty {
        std::uint64_t bytes = 0;
        std::int64_t due_ms = 0;
    };

    FlusherLimits limits_;
    std::unordered_map<LogId, Dirty> dirty_;
    bool moved_ = false;  // A recovery point moved since the last checkpoint.
    std::int64_t checkpoint_due_ms_ = 0;
};

}  // namespace storage
