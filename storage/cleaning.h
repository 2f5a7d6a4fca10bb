// Cleaning: compaction of one log (cleanup.policy=compact): of records with the same key the
// newest stays.
//
//     clean, one record a key  |  dirty                            |  not yet
//     ^ first segment          ^ cleaned_to                        ^ bound          ^ log end
//
//     look       how much is dirty, and whether that is enough              facts/kafka.md §2.8
//     read_keys  the newest offset of each key of the dirty part, in a map of bounded size; when
//                it is full this cleaning ends there, and the next goes on
//     next       segments from the front, as many as fit into one, written anew as
//                NNN.log.cleaned with its indexes, and synced
//     a swap     begin_swap (L)   the segments are still there
//                put_in_place (D) .cleaned -> .swap, old files -> .deleted, .swap -> plain
//                finish_swap (L)  readers get the new one from now on
//
// What is left of a log: every offset at or above the bound, and below it of each key the record
// with the greatest offset, a tombstone until its delete horizon, the last batch of each producer
// that is known (empty, if need be), and a marker while anything of its transaction is left. An
// aborted transaction's records go. Order and offsets never change.
//
// A crash leaves one of: .cleaned files, which go; a whole set of .swap files, which takes the
// place of what it covers; new files. Directory syncs stand between the steps, so that a power
// cut cannot mix them.
//
// Threads: D, one at a time for a log; what L means is in log.h. Readers of the old segments go
// on, and read again when a name changed under them (SegmentView::still_holds).
//
// Limits: the map's memory, one entry and its inflated records, one output buffer.
#pragma once

#include "protocol/records/filter.h"
#include "storage/cleaned_transactions.h"
#include "storage/entry_scan.h"
#include "storage/log.h"
#include "storage/offset_map.h"

#include <functional>
#include <mutex>
#include <unordered_map>

namespace storage {

struct CleaningSettings {
    std::uint64_t map_bytes = std::uint64_t{128} << 20;  // log.cleaner.dedupe.buffer.size
    double map_load = 0.9;                               // log.cleaner.io.buffer.load.factor
    std::size_t buffer_bytes = 256 << 10;                // Written at once.
};

// All are called without locks.
struct CleaningHooks {
    std::function<void(std::uint64_t)> moved = [](std::uint64_t) {};  // Bytes read or written.
    std::function<bool()> stops = [] { return false; };               // Give up now.
    std::function<void(Dropped)> replaced = [](Dropped) {};  // Files to remove some time later.
};

// What a cleaning starts from, taken under the lock.
class CleaningPlan {
private:
    friend class Log;
    friend class Cleaning;

    // The last that a producer left in the log.
    struct LastOfProducer {
        std::optional<base::Offset> data;
        std::int16_t epoch = -1;
    };

    Disk* disk_ = nullptr;
    FileCache* files_ = nullptr;
    std::shared_ptr<Place> place_;
    LogConfig config_;
    base::Offset from_;                  // The first dirty offset.
    std::vector<SegmentView> segments_;  // Sealed and below the bound, oldest first.
    std::vector<SegmentView> aborted_in_;
    std::vector<AbortedTransaction> aborted_;  // Of the active segment, not on the disk yet.
    std::unordered_map<base::ProducerId, LastOfProducer> producers_;
};

struct CleaningOutlook {
    std::uint64_t clean_bytes = 0;
    std::uint64_t dirty_bytes = 0;  // That may be cleaned now.
    bool is_overdue = false;        // Something dirty is older than max.compaction.lag.ms.
    bool is_due = false;            // Clean it now; otherwise it is not dirty enough.

    double ratio() const noexcept {
        const auto all = double(clean_bytes + dirty_bytes);
        return all > 0 ? double(dirty_bytes) / all : 0;
    }
};

struct CleaningReport {
    base::Offset cleaned_to;
    std::uint64_t bytes_before = 0;  // Of the segments that were replaced.
    std::uint64_t bytes_after = 0;
    std::size_t segments_replaced = 0;
};

// One new segment, and those it takes the place of.
class CleanedPiece {
public:
    // D. Requires that begin_swap() said yes. Faults: io, no_space, not_found; the log goes on
    // with the old segments, and the next start finishes what was begun.
    [[nodiscard]] base::Result<void, Fault> put_in_place(Disk& disk);
    // D. Remove its files; it is not wanted any more.
    void give_up(Disk& disk);

    std::uint64_t bytes_before() const noexcept { return bytes_before_; }
    std::uint64_t bytes() const noexcept { return made_->bytes; }
    std::size_t sources() const noexcept { return sources_.size(); }

private:
    friend class Log;
    friend class Cleaning;

    std::vector<std::shared_ptr<Segment>> sources_;
    std::shared_ptr<Segment> made_;
    std::uint64_t bytes_before_ = 0;
};

class Cleaning {
public:
    // D. Faults: io, corrupt (an entry that says nothing of its time).
    [[nodiscard]] static base::Result<CleaningOutlook, Fault> look(const CleaningPlan& plan,
                                                                   std::int64_t now_ms);

    // `now_ms` is wall time.
    Cleaning(CleaningPlan plan, const CleaningSettings& settings, const CleaningHooks& hooks,
             std::int64_t now_ms);

    // D. Faults: io; corrupt names file and position: the log cannot be cleaned; busy: it was
    // told to stop, or the log changed.
    [[nodiscard]] base::Result<void, Fault> read_keys();
    // D, after read_keys(). Nothing when there is nothing more to write. Faults: as read_keys();
    // no_space: its files are gone again.
    [[nodiscard]] base::Result<std::optional<CleanedPiece>, Fault> next();

    // Everything below is clean when all pieces are in place.
    base::Offset end() const noexcept { return end_; }

private:
    class Writer;

    [[nodiscard]] base::Result<std::vector<AbortedTransaction>, Fault> aborted_since(
        base::Offset offset) const;
    [[nodiscard]] base::Result<bool, Fault> read_keys_of(const SegmentView& view,
                                                         CleanedTransactions& transactions);
    [[nodiscard]] base::Result<bool, Fault> take_keys(std::span<const std::byte> entry,
                                                      const EntryFacts& facts);
    [[nodiscard]] base::Result<void, Fault> judge_old_tombstones();
    [[nodiscard]] base::Result<bool, Fault> fits(const SegmentView& view,
                                                 const Segment& made) const;
    [[nodiscard]] base::Result<void, Fault> write(CleanedPiece& piece);
    [[nodiscard]] base::Result<void, Fault> write(const SegmentView& view, Writer& out);
    [[nodiscard]] base::Result<void, Fault> filter(const SegmentView& view,
                                                   std::span<const std::byte> entry,
                                                   const EntryFacts& facts, Writer& out);
    bool is_last_of_producer(const EntryFacts& facts) const noexcept;
    bool stays(const records::Record& record, bool tombstones_stay) const;
    [[nodiscard]] base::Result<void, Fault> went_on(std::uint64_t bytes);

    CleaningPlan plan_;
    CleaningSettings settings_;
    const CleaningHooks& hooks_;
    std::int64_t now_ms_;
    OffsetMap newest_;
    base::Offset end_;
    std::size_t next_ = 0;  // Of the plan's segments.
    std::optional<CleanedTransactions> transactions_;
    std::int64_t old_tombstones_since_ms_ =
        0;                             // Segments modified later keep those of format 0 and 1.
    bool old_tombstones_stay_ = true;  // Of the segment that is read.
    bool is_changed_ = false;          // Some entry of the piece is not what it was.
    records::ConvertScratch scratch_;
};

// The whole of it. `mutex` is the owner's lock, which must not be held. Faults: as above; what was
// replaced until then stays so. Requires log.config().compacts for a sensible result.
[[nodiscard]] base::Result<CleaningReport, Fault> clean(Log& log, std::mutex& mutex,
                                                        base::Offset high_watermark,
                                                        const CleaningSettings& settings,
                                                        const CleaningHooks& hooks,
                                                        std::int64_t now_ms);

}  // namespace storage
