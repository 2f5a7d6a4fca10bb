// Segment: a stretch of a log, in one data file with its index files.
//
//     00000000000000003021.log        entries, nothing between them
//     00000000000000003021.index      see index.h
//     00000000000000003021.timeindex
//     00000000000000003021.txnindex   only when a transaction was aborted in it
//
// The last segment of a log is active: it grows. The others are sealed and change no more,
// until they are dropped or the log is truncated.
//
// Threads: the public fields belong to the lock of the log's owner; what works without that
// lock takes a SegmentView. The functions guard themselves.
#pragma once

#include "storage/entry.h"
#include "storage/file_cache.h"
#include "storage/index.h"

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace storage {

class Segment {
public:
    Segment(FileCache& files, std::shared_ptr<Place> place, base::Offset base);

    base::Offset base() const noexcept { return base_; }
    CachedFile& log_file() const noexcept { return log_; }

    // The path of one of its files: ".index" and so on, as they are called now.
    std::filesystem::path path(std::string_view suffix) const;

    // Its files get names with one more suffix, "" for the plain ones. `rename` does it on the
    // disk. Who looked for a file meanwhile sees by names() that it may have been another one.
    [[nodiscard]] base::Result<void, Fault> rename_files(
        std::string suffix, const std::function<base::Result<void, Fault>()>& rename);
    std::string extra_suffix() const;
    // Its directory gets another name from now on: who looked before it looks again.
    void moves_away() noexcept { names_.fetch_add(1, std::memory_order_acq_rel); }
    std::uint32_t names() const noexcept { return names_.load(std::memory_order_acquire); }

    // Raised by each truncation: a slice that was made before it is void.
    std::uint32_t generation() const noexcept {
        return generation_.load(std::memory_order_acquire);
    }
    void raise_generation() noexcept { generation_.fetch_add(1, std::memory_order_acq_rel); }

    // The part of the file that this process wrote, or read and found intact: everything from
    // some position on, and one stretch before it.
    bool is_checked(std::uint64_t from, std::uint64_t to) const;
    void checked(std::uint64_t from, std::uint64_t to) const;
    // An earlier process wrote what lies before `position`. New segments begin with 0.
    void is_foreign_before(std::uint64_t position);

    // What is learnt of a sealed segment when somebody first asks (lookup.h).
    struct Learnt {
        std::optional<std::uint32_t> offset_entries;
        std::optional<std::uint32_t> time_entries;
        std::optional<TimeEntry> largest;  // Timestamp -1 when no record has one.
    };
    Learnt learnt() const;
    void learn(const Learnt& learnt) const;

    // Take a batch that has been written at the end: positions, timestamps, index entries.
    void add(const EntryFacts& facts, std::int64_t index_interval_bytes);

    // The time entry that is due when the segment is sealed or closed.
    std::optional<TimeEntry> final_time_entry() const noexcept;

    // The last offset that lies before everything in `recent`.
    base::Offset recent_floor{-1};
    struct Recent {
        base::Offset last;
        std::uint64_t position = 0;
    };
    // The batches written last, so that who reads at the end of the log needs no search.
    std::vector<Recent> recent;

    std::uint64_t bytes = 0;
    TimeEntry largest;                  // Of all records; offset of its batch's last record.
    std::int64_t first_timestamp = -1;  // Largest of the first batch; rolling by time goes by it.
    std::int64_t created_ms = 0;
    std::int64_t jitter_ms = 0;
    std::uint64_t bytes_since_index = 0;
    std::int64_t indexed_timestamp = -1;  // Of the last time entry.
    IndexTails tails;
    bool has_aborted = false;      // There is a .txnindex, or will be.
    bool name_is_new = false;      // The directory has not been synced since the file was made.
    bool indexes_are_new = false;  // Sealed, and its index files have not been synced.

private:
    base::Offset base_;
    std::shared_ptr<Place> place_;
    mutable CachedFile log_;
    std::atomic<std::uint32_t> generation_ = 0;
    std::atomic<std::uint32_t> names_ = 0;  // How often they changed: before and after each time.
    mutable std::mutex mutex_;              // Guards what follows; a leaf.
    mutable std::uint64_t own_from_ = 0;
    mutable std::uint64_t checked_from_ = 0;
    mutable std::uint64_t checked_to_ = 0;
    mutable Learnt learnt_;
    std::string extra_suffix_;
};

// A segment as it stood when a plan was made.
struct SegmentView {
    std::shared_ptr<const Segment> segment;
    std::uint64_t bytes = 0;
    base::Offset end;  // Its last offset lies below this one.
    bool is_sealed = true;
    std::uint32_t offsets_on_disk = 0;  // Of the active one; sealed ones are asked.
    std::uint32_t times_on_disk = 0;
    std::uint32_t aborted_on_disk = 0;
    TimeEntry largest;  // Of the active one.
    std::uint32_t generation = 0;
    std::uint32_t names = 0;

    // Neither truncated nor renamed since.
    bool still_holds() const noexcept {
        return segment->generation() == generation && segment->names() == names;
    }
};

}  // namespace storage
