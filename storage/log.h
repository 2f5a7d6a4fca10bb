// Log: the records of one partition on the local disk.
//
//     log_start_offset                    recovery_point          end_offset   reserved end
//     |                                   |                       |            |
//     v                                   v                       v            v
//     [segment 0   ][segment 1840      ][segment 3021 (active)    ]............
//                                        synced up to here         being written
//
// It knows files, offsets and batches; no requests, no waiting, no clock. Its owner has one
// lock, and every function says in its comment on which side of that lock it belongs:
//
//     L   under the lock. Never blocks, touches no disk.
//     D   without the lock: reads or writes the disk. Takes a plan that an L function made,
//         and changes nothing that L functions look at.
//
// What changes the log goes L, D, L:
//
//     append      reserve (L, any number of times)   offsets given, producer checked, queued
//                 take_group (L)                     whoever gets a group is the writer
//                 write (D)                          roll if needed, one write for the group
//                 commit or roll_back (L)            end offset and indexes move, or nothing did
//     flush       begin_flush (L), flush (D), finish_flush (L)
//     truncation  begin_truncation (L), truncate (D), finish_truncation (L)
//     retention   retention_plan (L), judge (D), drop_segments (L), then Dropped::rename and
//                 Dropped::remove (D)
//     compaction  cleaning_plan (L), Cleaning (D); begin_swap (L), put_in_place (D), finish_swap
//     (L) moving      a copy is a log of its own: finish_copy (L), close (D), trade_places (L)
//
// What reads takes a plan under the lock and works without it, on segments that the plan
// keeps alive: locate (L), read (D), and so on.
//
// Invariants:
//   - log_start_offset <= end_offset, recovery_point <= end_offset
//   - segments follow one another; the last one is active and the only one that grows
//   - at most one group, one flush, one swap and one truncation are out at a time; none of the
//     first three while a truncation is
//   - the committed producer state and the leader epochs are what a replay of the log gives
//
// Threads: the owner's lock for L functions. D functions may run on any thread, also beside
// L functions and one another.
//
// Limits: one group is what was reserved since the last, which the owner's requests bound.
//
// On disk: Apache Kafka's format, facts/kafka.md §2; names.h, index.h, producer_snapshot.h
// and checkpoint.h have the byte tables.
#pragma once

#include "protocol/base/result.h"
#include "protocol/base/types.h"
#include "protocol/wire/payload.h"
#include "storage/disk.h"
#include "storage/epochs.h"
#include "storage/log_config.h"
#include "storage/producers.h"
#include "storage/segment.h"

#include <deque>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace storage {

class CleanedPiece;
class CleaningPlan;
class FileCache;

// Who makes an append, which decides what is checked and what is assigned.
enum class Origin {
    client,       // One batch; sequence checks; offsets and leader epoch are assigned.
    coordinator,  // As client, and control batches (transaction markers) are let in.
    replication,  // Batches of the leader, any number: stored as they are, never refused
                  // for what a producer did.
};

struct AppendRequest {
    // Whole v2 batches that records::Batch has accepted, from a log also entries of the older
    // formats. They are written from here, so the bytes stay where they are until the group they
    // are in is committed or rolled back. Assigned fields are changed in place.
    std::span<std::byte> batches;
    Origin origin = Origin::client;
    base::LeaderEpoch leader_epoch;  // Ignored for replication.
};

struct Reserved {
    base::Offset first;
    base::Offset last;
    // Set when nothing was queued because the batch repeats one that is in the log, or is on
    // its way there (is_reserved: answer when the end offset has passed `last`, or fail with it).
    std::optional<Repetition> repetition;
};

// The batches that one write puts into one segment.
class AppendGroup {
public:
    base::Offset first() const noexcept { return first_; }
    base::Offset end() const noexcept { return end_; }  // After the last record.
    std::uint64_t bytes() const noexcept { return bytes_; }
    bool rolls() const noexcept { return before_ != nullptr; }

private:
    friend class Log;

    struct Item {
        std::span<const std::byte> bytes;
        EntryFacts facts;
        std::optional<Marker> marker;
    };

    std::vector<Item> items_;
    base::Offset first_;
    base::Offset end_;
    std::uint64_t bytes_ = 0;
    std::uint64_t position_ = 0;            // Where in the file it goes.
    std::uint64_t reserves_ = 0;            // Room that a new file takes (preallocate) ...
    std::uint64_t sealed_bytes_ = 0;        // ... and where the sealed one then ends.
    std::shared_ptr<Segment> segment_;      // Where it goes: the active segment, or ...
    std::shared_ptr<Segment> before_;       // ... a new one behind this, which is then sealed.
    IndexTails sealing_;                    // What the sealed one's index files still lack.
    std::vector<ProducerFacts> producers_;  // For the snapshot between the two.
};

struct ReadLimits {
    // Records at and above it are not given: high watermark, last stable offset or log end.
    base::Offset bound;
    std::size_t bytes_max = 0;
    bool at_least_one_batch = false;  // The first batch whole, even if it is longer.
    bool with_aborted = false;        // List the aborted transactions (read_committed).
    bool load = false;  // Bring what is given into memory, and begin with what follows.
};

// Where to look for an offset. Holds what it names alive; made by locate().
class ReadPlan {
private:
    friend class Log;

    base::Offset from_;
    ReadLimits limits_;                    // The bound is at most the log's end.
    std::optional<SegmentView> segment_;   // Where the offset lies; none: nothing to give.
    std::optional<SegmentView> next_;      // Where to go on if there is a gap up to its end.
    std::optional<std::uint64_t> start_;   // Position of the first entry, when it is known.
    std::optional<std::uint64_t> second_;  // And of the one behind it.
    std::optional<OffsetEntry> search_;    // Otherwise: the index entry to search from, if
    std::optional<std::uint64_t> bound_;   // it is not on the disk. The same for the bound.
    std::optional<OffsetEntry> bound_search_;
    std::vector<SegmentView> aborted_in_;      // Segments with a .txnindex.
    std::vector<AbortedTransaction> aborted_;  // Those that are not on the disk yet.
};

struct ReadResult {
    // One range of one segment file; null when there is nothing to give.
    std::shared_ptr<const wire::Slice> slice;
    // The limit was smaller than the first batch and at_least_one_batch was not set: the
    // slice holds no whole batch (Fetch v3+ answers with no bytes then).
    bool first_batch_is_cut = false;
    base::Offset upper{};                     // No record of the slice lies at or above it.
    std::vector<AbortedTransaction> aborted;  // By first offset; overlap [from, upper).

    std::size_t size() const noexcept { return slice ? slice->size() : 0; }
    wire::Payload payload() const {
        wire::Payload made;
        if (slice) made.append(slice);
        return made;
    }
};

struct TimestampedOffset {
    base::Offset offset;
    std::int64_t timestamp = -1;
    base::LeaderEpoch leader_epoch{-1};
};

class TimePlan {
private:
    friend class Log;

    std::vector<SegmentView> segments_;
    std::vector<TimeEntry> times_;      // Of the active one, those not on the disk yet.
    std::vector<OffsetEntry> offsets_;  // Likewise.
    base::Offset from_;
};

// What a flush writes beside the records. Either way the records up to the plan's end are
// durable afterwards.
enum class FlushKind {
    records,     // Only what makes the records safe: group commit before an answer.
    checkpoint,  // Indexes, epochs and (now and then) a producer snapshot too, so that the next
                 // start after a crash reads little. The background flusher's.
};

class FlushPlan {
public:
    base::Offset end() const noexcept { return end_; }  // Durable once flush() has succeeded.

private:
    friend class Log;

    base::Offset end_;
    std::uint64_t bytes_ = 0;  // That became dirty before it.
    FlushKind kind_ = FlushKind::records;
    std::vector<std::shared_ptr<Segment>>
        segments_;                    // With something to sync; the active one last.
    std::vector<bool> with_indexes_;  // Beside each: sync its index files too.
    IndexTails tails_;                // Of the active one.
    std::optional<std::vector<EpochStart>> epochs_;
    std::optional<std::vector<ProducerFacts>> producers_;
    std::optional<base::Offset> old_snapshot_;  // To be removed when the new one is there.
    bool names_are_new_ = false;
    bool directory_is_new_ = false;
    bool had_no_space_ = false;
};

class TruncationPlan {
public:
    base::Offset target() const noexcept { return target_; }

private:
    friend class Log;

    base::Offset target_;
    bool restarts_ = false;  // Empty, at the target.
    std::vector<std::shared_ptr<Segment>> segments_;
    std::vector<EpochStart> epochs_;
    base::Offset log_start_;
    base::Offset recovery_point_;
    LogConfig config_;
    std::int64_t created_ms_ = 0;
};

struct Recovered;  // What a scan of the files finds; recovery.h.

// The new end of a log that was truncated.
class Truncated {
private:
    friend class Log;

    std::unique_ptr<Recovered> state_;

public:
    Truncated();
    Truncated(Truncated&&) noexcept;
    Truncated& operator=(Truncated&&) noexcept;
    ~Truncated();
};

class RetentionPlan {
private:
    friend class Log;

    std::vector<SegmentView> candidates_;  // Oldest first; those the high watermark lets go.
    std::uint64_t total_bytes_ = 0;
    base::Offset log_start_;
    LogConfig config_;
};

struct RetentionVerdict {
    base::Offset keep_from;    // Segments that end at or below it go.
    bool active_goes = false;  // The active one too: roll first (take_roll).
    std::size_t segments = 0;
    std::string reason;  // For people: "retention.ms" and the like; empty: nothing.
};

// Segments that are out of the log and still on the disk.
class Dropped {
public:
    Dropped() = default;

    bool empty() const noexcept { return segments_.empty(); }
    std::uint64_t bytes() const noexcept { return bytes_; }

    // D. Give the files the suffix .deleted. Readers that hold slices go on.
    [[nodiscard]] base::Result<void, Fault> rename();
    // D. Remove them, file.delete.delay.ms after rename().
    [[nodiscard]] base::Result<void, Fault> remove();

private:
    friend class Log;

    Disk* disk_ = nullptr;
    std::vector<std::shared_ptr<Segment>> segments_;
    std::uint64_t bytes_ = 0;
};

struct EpochEnd {
    base::LeaderEpoch epoch{-1};
    base::Offset end{-1};
};

struct LogOptions {
    std::filesystem::path directory;
    LogConfig config;
    base::Offset recovery_point{};    // From the checkpoint; 0 when it is not there.
    base::Offset log_start_offset{};  // Likewise.
    base::Offset cleaned_to{};        // Likewise.
    bool was_clean = false;           // The directory was stopped cleanly.
    bool is_new = false;              // Made just now: its names are synced with its first records.
    std::int64_t now_ms = 0;
    std::uint64_t seed = 0;  // Of the roll jitter.
};

// What opening a log did, for the broker's own log.
struct RecoveryReport {
    std::uint64_t bytes_scanned = 0;
    std::uint64_t bytes_cut = 0;
    std::vector<std::string>
        notes;  // One line each: what was cut, rebuilt or set aside, and where.
};

class Log {
public:
    // D. Load the log of a directory; an empty directory becomes an empty log. After an
    // unclean stop everything from the recovery point on is checked, a torn tail is cut, and
    // indexes, producer state and leader epochs are built again. Damage below the recovery
    // point is `corrupt`, names file and position, and leaves every file as it is.
    // Faults: io, no_space, corrupt.
    [[nodiscard]] static base::Result<std::unique_ptr<Log>, Fault> open(
        Disk& disk, FileCache& files, LogOptions options, RecoveryReport* report = nullptr);
    ~Log();

    // ---- Where it stands. All L.
    base::Offset log_start_offset() const noexcept { return log_start_; }
    base::Offset end_offset() const noexcept { return end_; }
    base::Offset recovery_point() const noexcept { return recovery_point_; }
    std::uint64_t size_bytes() const noexcept { return size_bytes_; }
    // At most what lies behind the recovery point; after a kill there is some from the start.
    std::uint64_t unflushed_bytes() const noexcept { return unflushed_bytes_; }
    std::size_t segment_count() const noexcept { return segments_.size(); }
    base::Offset first_base() const noexcept { return segments_.front()->base(); }
    base::Offset active_base() const noexcept { return segments_.back()->base(); }
    std::filesystem::path directory() const;
    const LogConfig& config() const noexcept { return config_; }
    void set_config(const LogConfig& config) { config_ = config; }

    // min(high watermark, first offset of a transaction that is open or whose marker the
    // high watermark has not passed).
    base::Offset last_stable_offset(base::Offset high_watermark) const noexcept;

    const Producers& producers() const noexcept { return producers_; }
    void high_watermark_moved(base::Offset high_watermark) {
        producers_.replicated_to(high_watermark);
    }
    void expire_producers(std::int64_t now_ms) {
        producers_.expire(now_ms, config_.producer_id_expiration_ms);
    }

    // ---- Append.
    // L. Check, assign offsets and leader epoch in place, queue. Records get the offsets
    // behind everything that was reserved before.
    [[nodiscard]] base::Result<Reserved, Refusal> reserve(const AppendRequest& request);
    // L. What is queued, as far as one segment takes it; nothing when nothing is queued or
    // another group is out. The caller then calls write(), and commit() or roll_back(), and
    // asks again. `now_ms` decides about rolling by time.
    [[nodiscard]] std::optional<AppendGroup> take_group(std::int64_t now_ms);
    // L. An empty group that only starts a new segment; nothing when a group is out or the
    // active segment is empty.
    [[nodiscard]] std::optional<AppendGroup> take_roll(std::int64_t now_ms);
    // D. After a fault the files are as before (if they cannot be put back the fault is io).
    // Faults: io, no_space.
    [[nodiscard]] base::Result<void, Fault> write(AppendGroup& group);
    // L. Requires that write() succeeded. The records can be read from now on.
    void commit(AppendGroup group);
    // L. Requires that write() failed. Drops the group and everything reserved behind it:
    // whoever waits for an offset at or above the end offset has failed.
    void roll_back(AppendGroup group);
    bool is_writing() const noexcept { return writing_; }  // L. A group is out.
    bool has_reserved() const noexcept { return !queue_.empty() || writing_; }
    bool is_flushing() const noexcept { return flushing_; }  // L. A flush is out.

    // All four steps at once, for owners without other threads. Faults as write().
    [[nodiscard]] base::Result<Reserved, Refusal> append(const AppendRequest& request,
                                                         std::int64_t now_ms);

    // ---- Read.
    // L. Faults: out_of_range below the log start or above the end; busy.
    [[nodiscard]] base::Result<ReadPlan, Fault> locate(base::Offset from,
                                                       const ReadLimits& limits) const;
    // D. Starts with the batch that holds the offset, or the next one there is. Bytes that
    // this process has not written are checked (CRC-32C, offsets) the first time they are
    // read. Faults: io; corrupt names file and position; busy when the log was truncated
    // meanwhile; would_block under NoWait, also when only the records are not in memory.
    [[nodiscard]] base::Result<ReadResult, Fault> read(const ReadPlan& plan) const;

    // L, then D. The earliest offset whose record has a timestamp of `timestamp` or more;
    // nothing when there is none. Requires timestamp >= 0. Faults: io, corrupt, busy.
    [[nodiscard]] base::Result<TimePlan, Fault> time_plan() const;
    [[nodiscard]] base::Result<std::optional<TimestampedOffset>, Fault> find_time(
        const TimePlan& plan, std::int64_t timestamp) const;
    // D. The first record with the largest timestamp; nothing in an empty log.
    [[nodiscard]] base::Result<std::optional<TimestampedOffset>, Fault> find_largest_time(
        const TimePlan& plan) const;

    // ---- Leader epochs (facts/kafka.md §3.6). All L.
    // A leader's first act in its term: records behind the end are of this epoch.
    void assign_epoch(base::LeaderEpoch epoch);
    std::optional<base::LeaderEpoch> latest_epoch() const noexcept { return epochs_.latest(); }
    EpochEnd end_of_epoch(base::LeaderEpoch epoch) const noexcept;
    std::optional<base::LeaderEpoch> epoch_at(base::Offset offset) const noexcept {
        return epochs_.at(offset);
    }

    // ---- Flush.
    // L. Nothing when a flush is out, or nothing is dirty.
    [[nodiscard]] std::optional<FlushPlan> begin_flush(FlushKind kind);
    // D. Faults: io, after which nothing of this log may be called durable again; no_space:
    // nothing is lost, and a later flush may succeed.
    [[nodiscard]] base::Result<void, Fault> flush(FlushPlan& plan);
    // L. Moves the recovery point to the plan's end if `succeeded`. After an io fault the log
    // takes no more records.
    void finish_flush(FlushPlan plan, bool succeeded);

    // ---- Truncation. Requires that no group, flush or swap is out, and reserves nothing
    // meanwhile. L. Cut everything at and above `target` off (a batch that holds it goes whole).
    // The cut itself notes in the directory that the recovery point went back with it.
    [[nodiscard]] TruncationPlan begin_truncation(base::Offset target);
    // L. Drop everything and go on, empty, at `target`.
    [[nodiscard]] TruncationPlan begin_restart(base::Offset target);
    // D. Faults: io, corrupt: the log stays unusable.
    [[nodiscard]] base::Result<Truncated, Fault> truncate(const TruncationPlan& plan);
    // L.
    void finish_truncation(TruncationPlan plan, Truncated truncated);

    // ---- The start of the log.
    // L. DeleteRecords, or what a leader says. Records below are gone for readers at once;
    // their segments go with the next retention. Requires offset <= end_offset().
    void advance_log_start(base::Offset offset);
    // L. Retention and log-start breach, of what the high watermark lets go.
    [[nodiscard]] RetentionPlan retention_plan(base::Offset high_watermark) const;
    // D. Faults: io.
    [[nodiscard]] base::Result<RetentionVerdict, Fault> judge(const RetentionPlan& plan,
                                                              std::int64_t now_ms) const;
    // L. Take the segments that end at or below `keep_from` out; never the active one, and none
    // while a swap is out.
    [[nodiscard]] Dropped drop_segments(base::Offset keep_from);

    // ---- Compaction (cleaning.h). At most one cleaning at a time.
    // L. What lies below is clean.
    base::Offset cleaned_to() const noexcept { return cleaned_to_; }
    // L. Sealed, synced segments of which the high watermark and the last stable offset let go.
    [[nodiscard]] CleaningPlan cleaning_plan(base::Offset high_watermark) const;
    // L. False when what the piece replaces is not all there any more.
    [[nodiscard]] bool begin_swap(const CleanedPiece& piece);
    // L. If `succeeded` the new segment is in the log, and the result's files may be removed.
    [[nodiscard]] Dropped finish_swap(CleanedPiece piece, bool succeeded);
    // L. A cleaning has come to its end.
    void cleaned(base::Offset end);
    Disk& disk() const noexcept { return disk_; }

    // ---- Moving to another log directory. The copy is filled with this log's bytes as a replica
    // is (Origin::replication); nothing but its owner uses it.
    // L. An empty group behind which a copy goes on at `end`, in a new segment: what it would copy
    // before that was compacted away. Requires that `end` is above the log's end.
    [[nodiscard]] std::optional<AppendGroup> take_gap(base::Offset end, std::int64_t now_ms);
    // L, of both logs. What a log knows beside its records: the producers whose records retention
    // has dropped, and leader epochs without records. Requires that both end at the same offset;
    // close() writes it down.
    void finish_copy(Log& copy) const;
    // L, of both logs. This log goes on with the files of the copy, the copy gets those of this
    // one. What is queued stays queued; who reads this one's old files plans again. Requires
    // that the copy was closed after finish_copy() and nothing was written since, and that of
    // neither a group, flush, swap or truncation is out.
    void trade_places(Log& copy);

    // ---- The end of its life.
    // D, with nobody else left: write out everything, cut files to size, snapshot, sync.
    // Afterwards the recovery point is the end. Faults: io, no_space.
    [[nodiscard]] base::Result<void, Fault> close();
    // L. The directory was renamed (deletion of the partition).
    void moved_to(const std::filesystem::path& directory);

private:
    Log(Disk& disk, FileCache& files, std::shared_ptr<Place> place, const LogConfig& config,
        std::uint64_t seed, Recovered recovered);

    SegmentView view(std::size_t index) const;
    std::size_t segment_of(base::Offset offset) const noexcept;
    bool must_roll(const Segment& segment, std::uint64_t bytes, std::size_t batches,
                   const EntryFacts& facts, std::int64_t now_ms) const noexcept;
    void start_segment(AppendGroup& group, base::Offset base, std::int64_t now_ms);
    [[nodiscard]] base::Result<void, Fault> seal(const AppendGroup& group);
    [[nodiscard]] base::Result<void, Fault> write_flush(const FlushPlan& plan);
    [[nodiscard]] base::Result<void, Fault> sync_new_directory();
    void adopt(Recovered recovered);
    void check_invariants() const noexcept;

    Disk& disk_;
    FileCache& files_;
    LogConfig config_;
    std::shared_ptr<Place> place_;  // The directory, which segments share.
    std::uint64_t random_;

    std::vector<std::shared_ptr<Segment>> segments_;  // By base; the last one is active.
    base::Offset log_start_;
    base::Offset end_;
    base::Offset reserved_end_;
    base::Offset recovery_point_;
    base::Offset cleaned_to_;
    std::uint64_t size_bytes_ = 0;
    std::uint64_t unflushed_bytes_ = 0;

    Producers producers_;
    EpochStarts epochs_;
    bool epochs_are_dirty_ = false;
    std::optional<base::Offset> snapshot_;    // The last one between two segment bases.
    std::uint64_t bytes_since_snapshot_ = 0;  // Of any kind.

    std::deque<AppendGroup::Item> queue_;
    bool directory_is_new_ =
        false;  // Its own name, and its partition.metadata, are not synced yet.
    bool writing_ = false;
    bool flushing_ = false;
    bool truncating_ = false;
    bool swapping_ = false;
    bool failed_ = false;
};

}  // namespace storage
