// LogMove: one partition on its way to another log directory of this broker.
//
//     copy        pieces of the partition's log are appended to a log of its own,
//                 topic-N.<id>-future in the other directory
//     take over   with the end of the log in sight: appends are queued, the copy gets the last
//                 piece, producers and leader epochs, is synced and gets the partition's name, and
//                 the two logs trade places
//     leave       the old directory gets the suffix -delete (LogManager)
//
// A copy that the end of the process interrupts is gone on with, when its last batch is in the
// partition's log as well, byte for byte, and no compaction has been there since; else it is made
// anew. What stands in both directories after a crash in the take-over is told apart by its note
// (storage/move_note.h).
//
// Invariants:
//   - the copy is a prefix of the partition's log, from its first entry or one before it on
//   - the partition's log is not compacted from the first byte that is copied until the end
//
// Threads: one at a time, but progress() and abandon(), which any may call.
//
// Limits: one piece in memory.
#pragma once

#include "broker/replica/partition.h"
#include "storage/log_directory.h"

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace broker {

class LogMove {
public:
    struct Target {
        storage::LogDirectory& directory;
        WritePace& pace;
        std::function<base::Uuid()> random_id;
        // Make durable what the directory's checkpoints say of the copy, which progress() tells.
        std::function<base::Result<void, storage::Fault>()> save_positions;
    };

    // Compaction ends, for as long as this lives.
    LogMove(std::shared_ptr<Partition> partition, Target target);
    ~LogMove();

    const std::shared_ptr<Partition>& partition() const noexcept { return partition_; }
    const storage::LogDirectory& target() const noexcept { return target_.directory; }

    // Make an empty copy. Faults: io, no_space, corrupt.
    [[nodiscard]] base::Result<void, storage::Fault> begin(std::int64_t now_ms);
    // Go on with a copy that an earlier process left, or with a new one if that cannot be.
    [[nodiscard]] base::Result<void, storage::Fault> resume(
        const storage::LogDirectory::Found& found, std::int64_t now_ms);

    struct Step {
        std::uint64_t bytes = 0;  // Copied.
        bool has_moved = false;   // The copy has taken over; old_log() is what it was copied from.
    };
    struct Failure {
        storage::Fault fault;
        bool is_targets;  // Of the directory that the partition moves to.
    };
    // Copy a piece of about so many bytes, and take over if that was the last.
    [[nodiscard]] base::Result<Step, Failure> advance(std::size_t bytes_max, std::int64_t now_ms);

    storage::Log& old_log() noexcept { return *copy_; }
    // The copy's directory is not wanted any more.
    void discard();
    // Close the copy, so that the next start reads little of it.
    void close();

    struct Progress {
        base::Offset end;  // Of the copy.
        base::Offset first;
        base::Offset recovery_point;
        std::uint64_t bytes;
    };
    Progress progress() const noexcept;

    // No more steps: who would take the next one ends the move.
    void abandon() noexcept { is_abandoned_ = true; }
    bool is_abandoned() const noexcept { return is_abandoned_; }

private:
    [[nodiscard]] base::Result<void, storage::Fault> start_over(std::int64_t now_ms);
    [[nodiscard]] base::Result<bool, storage::Fault> is_prefix();
    [[nodiscard]] base::Result<std::vector<std::byte>, storage::Fault> read_entries(
        base::Offset from, std::size_t bytes_max, base::Offset& end) const;
    [[nodiscard]] base::Result<std::uint64_t, Failure> copy_piece(std::size_t bytes_max,
                                                                  std::int64_t now_ms,
                                                                  base::Offset& end);
    [[nodiscard]] base::Result<void, storage::Fault> append(std::span<std::byte> entries,
                                                            std::int64_t now_ms);
    [[nodiscard]] base::Result<void, storage::Fault> write(storage::AppendGroup group);
    [[nodiscard]] base::Result<void, storage::Fault> flush();
    [[nodiscard]] base::Result<void, Failure> settle(std::int64_t now_ms);
    void publish() noexcept;

    const std::shared_ptr<Partition> partition_;
    const Target target_;
    base::Offset cleaned_to_;
    std::unique_ptr<storage::Log> copy_;
    std::atomic<bool> is_abandoned_ = false;

    // As of the last step.
    std::atomic<std::int64_t> end_ = 0;
    std::atomic<std::int64_t> first_ = 0;
    std::atomic<std::int64_t> recovery_point_ = 0;
    std::atomic<std::uint64_t> bytes_ = 0;
};

}  // namespace broker
