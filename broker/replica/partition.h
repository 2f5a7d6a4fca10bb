// Partition: this broker's copy of one topic partition, and its role in it.
//
//     append (any network thread)                     whoever finds no writer is the writer, or a
//                                                     job of the disk pool while the disk is slow
//       lock: role? reserve offsets, queue, wait        lock: take the queue; unlock
//       unlock                                          one write, outside the lock
//       write_queued() ------------------------------>  lock: end offset, high watermark,
//                                                             take the waiters; unlock
//       done(error) <---------------------------------  call them
//
// A Fetch that must wait parks here as a FetchWaiter and is woken by the move of the high
// watermark that satisfies it, or of the log's end where a follower waits. Nothing polls.
//
//     none ---- become_leader ----> leader      appends for clients; its Isr says what is committed
//       ^ \                          ^  |
//       |  `--- become_follower --> follower    appends what its fetcher brings; truncates
//       resign
//
// A role begins when what the last one queued is written or has failed.
//
// Invariants:
//   - only the leader appends for clients, and only it answers followers and clients that do not
//     say that any replica will do
//   - log start offset <= high watermark <= log end offset
//   - whoever was queued is told once: when what it waited for is true, or that it failed
//   - after a failed fdatasync nothing is acknowledged any more
//   - while the log moves to another directory it is not compacted, and while its copy takes over
//     nobody writes or syncs: appends are queued
//
// Threads: a monitor. mutex_ is held for look-ups and short changes, never across a write, an
// fdatasync, a wait or a call of a waiter. Another partition's lock is never taken under it.
//
// Limits: waiters are bounded by the requests in flight, which connections bound.
#pragma once

#include "broker/replica/fetch_waiter.h"
#include "broker/replica/isr.h"
#include "broker/replica/write_pace.h"
#include "protocol/base/result.h"
#include "protocol/base/types.h"
#include "protocol/schema/error_code.h"
#include "storage/log.h"
#include "storage/log_directory.h"

#include <boost/asio/thread_pool.hpp>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace storage {
struct CleaningHooks;
struct CleaningOutlook;
struct CleaningReport;
struct CleaningSettings;
}  // namespace storage

namespace broker {

// When an append is answered.
enum class Acks {
    leader,  // It can be read by followers: it is in this broker's log.
    all,     // Every in-sync replica has it.
};

struct AppendError {
    protocol::ErrorCode code;
    std::string detail;
};

// Kafka's error for records that a log did not take, and for what befell it.
protocol::ErrorCode code_of(storage::RefusalKind kind) noexcept;
protocol::ErrorCode code_of(const storage::Fault& fault) noexcept;

struct Appended {
    storage::Reserved reserved;
    base::Offset log_start;
};

// Where the records of a partition stand for a client.
struct Positions {
    base::Offset log_start;
    base::Offset high_watermark;
    base::Offset last_stable;
    base::Offset log_end;
    base::LeaderEpoch leader_epoch;
    // What was committed under the last leader may lie above the high watermark: nobody knows yet
    // up to where.
    bool is_catching_up = false;
};

struct PartitionRead {
    protocol::ErrorCode error = protocol::ErrorCode::none;
    bool would_block = false;  // DiskUse::never only. Nothing else is told then.
    Positions positions;       // -1 each when there is an error that hides them.
    storage::ReadResult data;  // Empty with an error.
    std::optional<storage::EpochEnd> diverging;
};

// Up to where a reader may read.
enum class ReadBound {
    high_watermark,
    last_stable,  // Isolation level read_committed: up to the first open transaction.
    log_end,      // Followers: also what is not committed yet.
};

// From whom a reader may read.
enum class ReadFrom {
    leader,
    any_replica,  // Consumers that know of replicas: a follower has all that is committed there.
};

// Whether a read may wait for the disk.
enum class DiskUse {
    as_needed,  // It may; what it gives may still have to be waited for when it is sent.
    never,      // Answers would_block when look-up or records are not in memory.
    load,       // It may, and the records are in memory then.
};

struct ReadRequest {
    base::Offset from;
    std::size_t bytes_max = 0;
    bool at_least_one_batch = false;
    ReadBound bound = ReadBound::high_watermark;
    ReadFrom whom = ReadFrom::leader;
    base::LeaderEpoch current_leader_epoch{-1};  // What the client believes; -1: not said.
    base::LeaderEpoch last_fetched_epoch{-1};    // For divergence; -1: not said.
    DiskUse disk = DiskUse::as_needed;
};

// An ISR that the controller is to be asked for, by the leader of this term.
struct IsrRequest {
    base::LeaderEpoch leader_epoch;
    Isr::Proposal proposal;
};

// What a follower goes on from.
struct FollowerPosition {
    base::Offset end;
    base::LeaderEpoch last_epoch{-1};  // Of what it has; -1: nothing.
    base::Offset log_start;
    base::Offset high_watermark;
};

// What a leader sent to a follower, and told beside it.
struct Fetched {
    std::span<std::byte> batches;  // Whole ones that records::Batch::read accepts; maybe none.
    base::Offset high_watermark;
    base::Offset log_start;
};

class Partition : public std::enable_shared_from_this<Partition> {
public:
    using Done = std::move_only_function<void(protocol::ErrorCode)>;
    // Called without locks; they must not wait.
    struct Hooks {
        // It has gone offline: files of its log are damaged or gone, or the disk under it fails.
        std::function<void(const storage::Fault&)> failed;
        // The log has bytes that are not synced: once after it was clean, again whenever another
        // 64 MiB have come, and when a flush or a move has left some.
        std::function<void(std::uint64_t bytes, std::int64_t flush_ms)> dirtied;
    };

    // `pace` is its directory's, and outlives the partition, as that of every directory that it
    // moves to. `high_watermark`: the last one that is known, within the log; nothing where there
    // can be only one replica.
    Partition(base::TopicPartition id, base::Uuid topic_id, std::unique_ptr<storage::Log> log,
              boost::asio::thread_pool& disk, WritePace& pace, Hooks hooks,
              std::optional<base::Offset> high_watermark = std::nullopt);

    const base::TopicPartition& id() const noexcept { return id_; }
    // Zero until its topic has one: topics of clusters before 2.8 have none.
    base::Uuid topic_id() const noexcept {
        return is_named_.load(std::memory_order_acquire) ? topic_id_ : base::Uuid{};
    }
    // Requires that the topic had no id; from one thread at a time.
    void name_topic(const base::Uuid& topic_id);

    // Lead from now on: as the only replica, or with the followers that `isr` knows.
    // Blocks until what the role before has queued is written.
    void become_leader(base::LeaderEpoch epoch, Isr isr = {});

    // Follow from now on: appends are append_fetched()'s. Those who wait are told
    // not_leader_or_follower. Blocks likewise.
    void become_follower(base::LeaderEpoch epoch);

    // No role any more: it is being deleted, moved or shut down. Waiters are answered.
    void resign();

    // ---- The leader and its followers. `now_ms`: steady clock.

    // A follower, whose log begins at `log_start` (-1: it does not say), has asked for records from
    // `from` on in this term. Gives the ISR to ask the controller for, when this Fetch has brought
    // the follower up; isr_answered() has to follow.
    std::optional<IsrRequest> fetched_by(base::BrokerId follower, base::Offset from,
                                         std::int64_t now_ms,
                                         base::Offset log_start = base::Offset(-1));
    // The same when time has passed: without those who lag.
    std::optional<IsrRequest> drop_laggards(std::int64_t now_ms);
    // What the controller's state is now, or nothing when it refused. Of another term: no effect.
    void isr_answered(base::LeaderEpoch epoch, std::optional<Isr::Members> state);
    // min.insync.replicas of the topic; more than there are replicas is all of them.
    void set_isr_min(std::int32_t isr_min);
    bool has_follower(base::BrokerId broker) const;
    bool is_in_sync(base::BrokerId follower) const;
    // The follower in sync, out of these, that a consumer at this offset had best read from.
    // Nothing when none has the offset, or this is not the leader.
    std::optional<base::BrokerId> follower_to_read(const Isr::Brokers& candidates,
                                                   base::Offset offset) const;

    // ---- The follower's fetcher, one thread at a time. Errors: fenced_leader_epoch when it is not
    // follower of that term (any more), kafka_storage_error, those of records; and, of what cuts,
    // replica_not_available while the log moves to another directory.

    [[nodiscard]] base::Result<FollowerPosition, protocol::ErrorCode> follower_position(
        base::LeaderEpoch epoch) const;
    // Store the records as they are, take over what the leader told. Blocks until it is written.
    [[nodiscard]] protocol::ErrorCode append_fetched(base::LeaderEpoch epoch,
                                                     const Fetched& fetched, std::int64_t wall_ms);
    // The leader's log of `diverging.epoch`, the last one that both may have, ends at its `end`:
    // cut what it does not have. Where this log has that epoch not either, the next Fetch tells
    // more.
    [[nodiscard]] protocol::ErrorCode cut_diverging(base::LeaderEpoch epoch,
                                                    const storage::EpochEnd& diverging);
    // Cut at `end`; or drop everything and go on, empty, at `start`.
    [[nodiscard]] protocol::ErrorCode cut(base::LeaderEpoch epoch, base::Offset end);
    [[nodiscard]] protocol::ErrorCode start_over(base::LeaderEpoch epoch, base::Offset start);

    // Queue records and write whatever is queued, unless somebody else is writing already.
    // `done` is called once, on any thread and maybe before this returns, when the records
    // are where `acks` wants them (and on the disk, if flush.messages records would not be there
    // otherwise), or with
    // the error that befell them. It keeps the memory of `request.batches` alive until then.
    // With an error returned here `done` is never called. A repetition of a batch that is in
    // the log already is answered like the batch itself.
    [[nodiscard]] base::Result<Appended, AppendError> append(const storage::AppendRequest& request,
                                                             Acks acks, std::int64_t now_ms,
                                                             Done done);

    // What a client may see from an offset on. Waits for the disk as `request.disk` says. A disk
    // that does not give back what it holds takes the partition offline, here and in ListOffsets.
    PartitionRead read(const ReadRequest& request);

    // Park until bytes arrive; see FetchWaiter. False when something is there already, that is
    // when `seen` is not the position any more at which the caller looked.
    bool park(const std::shared_ptr<FetchWaiter>& waiter, base::Offset seen, ReadBound bound,
              ReadFrom whom = ReadFrom::leader);
    void unpark(const std::shared_ptr<FetchWaiter>& waiter);

    // Errors: not_leader_or_follower, kafka_storage_error, fenced or unknown leader epoch.
    [[nodiscard]] base::Result<Positions, protocol::ErrorCode> positions(
        base::LeaderEpoch current_leader_epoch = base::LeaderEpoch(-1)) const;

    // ListOffsets. Nothing when no record is that young; bounded by what the client may see.
    [[nodiscard]] base::Result<std::optional<storage::TimestampedOffset>, protocol::ErrorCode>
    find_time(std::int64_t timestamp, bool committed_only, base::LeaderEpoch current_leader_epoch);
    [[nodiscard]] base::Result<std::optional<storage::TimestampedOffset>, protocol::ErrorCode>
    find_largest_time(bool committed_only, base::LeaderEpoch current_leader_epoch);

    // OffsetForLeaderEpoch.
    [[nodiscard]] base::Result<storage::EpochEnd, protocol::ErrorCode> end_of_epoch(
        base::LeaderEpoch epoch, base::LeaderEpoch current_leader_epoch) const;
    // The leader epoch that the record at `offset` was written in.
    std::optional<base::LeaderEpoch> epoch_at(base::Offset offset) const;

    // Where segments begin, ascending, and when each was last written (ListOffsets version 0).
    struct SegmentStart {
        base::Offset base;
        std::int64_t modified_ms;
    };
    std::vector<SegmentStart> segment_starts() const;

    // DeleteRecords: -1 is the high watermark. Returns up to where is to be deleted now, which is
    // what low_watermark() has to reach.
    [[nodiscard]] base::Result<base::Offset, protocol::ErrorCode> delete_records(
        base::Offset before);
    // Up to where this leader and these of its followers have deleted; -1 while one has not told.
    [[nodiscard]] base::Result<base::Offset, protocol::ErrorCode> low_watermark(
        const Isr::Brokers& live) const;
    // Wake when that may have changed. False when it has since `seen`, or this is no leader.
    bool park_for_low_watermark(const std::shared_ptr<FetchWaiter>& waiter,
                                const Isr::Brokers& live, base::Offset seen);
    // Brokers came or went: have everybody look again who waits for what they have.
    void wake_deletions();

    // DescribeProducers.
    [[nodiscard]] base::Result<std::vector<storage::ProducerFacts>, protocol::ErrorCode> producers()
        const;

    // Without a lock: Metadata asks it of every partition.
    bool is_offline() const noexcept { return state_ == State::offline; }

    void set_config(const storage::LogConfig& config);
    std::uint64_t size_bytes() const;
    std::filesystem::path directory() const;

    // ---- For the disk pool: background work on the log. They block.

    // Sync what is dirty. `kind` as storage::Log::begin_flush.
    void flush(storage::FlushKind kind);

    struct CheckpointPositions {
        base::Offset recovery_point;
        base::Offset high_watermark;
        base::Offset log_start;
        bool log_start_is_above_segment;  // Only then it has to be written down.
        base::Offset cleaned_to;
        bool is_compacted;
    };
    CheckpointPositions checkpoint_positions() const;

    // The disk under the log cannot be trusted any more: nobody is acknowledged, nobody reads.
    void go_offline();

    // Rename the files for deletion. Requires resign() before. Faults as LogDirectory::retire.
    [[nodiscard]] base::Result<void, storage::Fault> retire(storage::LogDirectory& directory,
                                                            const base::Uuid& unique);

    // Drop segments by retention. Files are renamed; remove them with the result later.
    storage::Dropped apply_retention(std::int64_t now_ms);
    void expire_producers(std::int64_t now_ms);

    // How much compaction would find to do. Nothing is dirty where cleanup.policy has no compact.
    [[nodiscard]] base::Result<storage::CleaningOutlook, storage::Fault> cleaning_outlook(
        std::int64_t now_ms) const;
    // Compact. At most one at a time; retire() ends it. An io or not_found fault has taken the log
    // offline when this returns it. Other faults: those of storage::clean.
    [[nodiscard]] base::Result<storage::CleaningReport, storage::Fault> compact(
        const storage::CleaningSettings& settings, storage::CleaningHooks hooks,
        std::int64_t now_ms);

    // ---- Moving to another log directory: one move at a time, by LogMove (partition_moving.cc).

    // No compaction from now on; one that is under way gives up. Blocks until it has. Returns what
    // the log is clean below.
    base::Offset begin_move();
    void end_move();

    struct Piece {
        storage::ReadResult data;  // Empty at the end of the log.
        base::Offset end;          // Of the log, when it was read.
    };
    // What is in the log from an offset on, whole entries, of whichever role it has. Faults:
    // out_of_range, corrupt; io, also when the partition is offline.
    [[nodiscard]] base::Result<Piece, storage::Fault> read_piece(base::Offset from,
                                                                 std::size_t bytes_max) const;

    // Let `copy`, whose directory has `pace`, become the log. From the call of `settle` on nobody
    // writes or syncs; it copies what the copy lacks and makes it durable, and with its success
    // the two trade places. Faults: those of `settle`; io when the partition is offline.
    [[nodiscard]] base::Result<void, storage::Fault> take_over(
        storage::Log& copy, WritePace& pace,
        const std::function<base::Result<void, storage::Fault>()>& settle, std::int64_t now_ms);

    // Write everything out and end. Requires resign() before. The log is clean if true.
    bool close();

    // Call `look(const storage::Log&)` under the lock; it must be short and not block.
    template <class Look>
    auto look(Look look) const {
        const std::lock_guard lock(mutex_);
        return look(std::as_const(*log_));
    }

private:
    enum class State { leader, follower, none, offline };

    struct Waiting {
        Acks acks;
        bool synced;  // Also on the disk.
        Done done;
    };

    struct Told {
        Done done;
        protocol::ErrorCode error;
    };

    // Those to call when the lock is let go.
    struct Calls {
        std::vector<Told> told;
        std::vector<std::shared_ptr<FetchWaiter>> woken;

        void make();
    };

    std::optional<protocol::ErrorCode> refuses(base::LeaderEpoch current_leader_epoch,
                                               ReadFrom whom = ReadFrom::leader) const noexcept;
    base::Offset bound_of(ReadBound bound) const noexcept;
    template <class Search>
    [[nodiscard]] base::Result<std::optional<storage::TimestampedOffset>, protocol::ErrorCode>
    search_times(bool committed_only, base::LeaderEpoch current_leader_epoch, Search search);
    std::size_t isr_min() const noexcept;
    Calls leave_role(protocol::ErrorCode why);
    void settle(std::unique_lock<std::mutex>& lock, bool with_flush);
    void step_ended();
    Calls take_moves();
    bool follows(base::LeaderEpoch epoch) const noexcept;
    Calls take_told(const Fetched& fetched);
    protocol::ErrorCode truncate(
        base::LeaderEpoch epoch,
        const std::function<storage::TruncationPlan(storage::Log&)>& begin);
    void write_queued(std::int64_t now_ms);
    void tell_holder() noexcept;
    void start_sync();
    void sync_while_awaited();
    bool awaits_sync() const noexcept;
    std::vector<Told> take_satisfied();
    std::vector<Told> take_failed(base::Offset from, protocol::ErrorCode error);
    std::vector<Told> take_failed_syncs();
    std::vector<std::shared_ptr<FetchWaiter>> move_high_watermark();
    void fail_disk(const storage::Fault& fault);
    struct Dirt {
        std::uint64_t bytes = 0;
        std::int64_t flush_ms = 0;
    };
    Dirt take_dirt();
    storage::Dropped drop_old_segments(const storage::RetentionPlan& plan, std::int64_t now_ms);
    Positions positions_locked() const noexcept;
    PartitionRead read_once(const ReadRequest& request, bool& again);
    void read_failed(const storage::Fault& fault);

    const base::TopicPartition id_;
    base::Uuid topic_id_;  // Of whoever sees is_named_, and does not change any more then.
    std::atomic<bool> is_named_;
    boost::asio::thread_pool& disk_;
    std::atomic<WritePace*> pace_;
    const Hooks hooks_;

    std::mutex cleaning_;  // Held while the log is compacted; mutex_ is taken under it.
    std::atomic<int> stops_cleaning_{0};  // How many want compaction to end.
    mutable std::mutex mutex_;
    std::unique_ptr<storage::Log> log_;
    std::atomic<State> state_ = State::none;  // Changes under the lock.
    base::LeaderEpoch leader_epoch_{-1};
    Isr isr_;
    std::int32_t isr_min_ = 1;
    base::Offset term_start_;  // Where the log ended when this leader's term began.
    base::Offset high_watermark_;
    base::Offset synced_;  // Everything below is on the disk.
    bool is_syncing_ = false;
    int moves_ = 0;              // Two for a moment, when one begins as another ends.
    bool is_retaining_ = false;  // Files are being renamed for retention.
    // Set while nobody may begin to write or sync; told when somebody has ended.
    std::condition_variable* held_ = nullptr;
    std::uint64_t dirty_told_ =
        0;  // Unsynced bytes at which the hook is called next; 0: at the first.
    std::multimap<base::Offset, Waiting> waiting_;       // By the offset behind the records.
    std::vector<std::shared_ptr<FetchWaiter>> fetches_;  // For the high watermark to move.
    std::vector<std::shared_ptr<FetchWaiter>> replica_fetches_;  // For the log's end to move.
    std::vector<std::shared_ptr<FetchWaiter>> deletions_;  // For followers' log starts to move.
    bool is_truncating_ = false;
    int settling_ = 0;  // Threads that wait for idle_.
    std::condition_variable idle_;
};

}  // namespace broker
