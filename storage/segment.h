// Segment: a stretch of a log, in one data file with its index files.
//
//     00000000000000003021.log        batches, nothing between them
//     00000000000000003021.index      see index.h
//     00000000000000003021.timeindex
//     00000000000000003021.txnindex   only when a transaction was aborted in it
//
// The last segment of a log is active: it grows. The others are sealed and change no more,
// until they are dropped or the log is truncated.
//
// Threads: what is marked [lock] belongs to the log owner's lock while the segment is
// active. The rest is constant, or guards itself; plans rely on that.
#pragma once

#include "storage/entry.h"
#include "storage/file_cache.h"
#include "storage/index.h"

#include <array>
#include <atomic>
#include <memory>
#include <mutex>

namespace storage {

// What the last write to a segment puts behind its indexes when the next one begins.
struct SegmentSeal {
    std::shared_ptr<class Segment> segment;
    IndexTails tails;  // With the final time entry.
};

class Segment {
public:
    Segment(FileCache& files, std::shared_ptr<Place> place, base::Offset base);

    base::Offset base() const noexcept { return base_; }
    std::filesystem::path path() const { return log_.path(); }

    CachedFile& log_file() const noexcept { return log_; }
    std::filesystem::path index_path(const char* suffix) const;

    // Raised by each truncation; a slice that was made before it is void.
    std::uint32_t generation() const noexcept { return generation_.load(std::memory_order_acquire); }
    void raise_generation() noexcept { generation_.fetch_add(1, std::memory_order_acq_rel); }

    // The part of the file that this process wrote or has checked.
    bool is_checked(std::uint64_t from, std::uint64_t to) const;
    void checked(std::uint64_t from, std::uint64_t to) const;
    void forget_checked();

    // [lock] while active.
    std::uint64_t bytes = 0;
    std::int64_t max_timestamp = -1;
    base::Offset max_timestamp_at{-1};  // Last offset of the batch that has it.
    std::int64_t first_timestamp = -1;  // Of the first batch; rolling by time goes by it.
    std::int64_t created_ms = 0;
    std::int64_t jitter_ms = 0;
    std::uint64_t bytes_since_index = 0;
    IndexTails tails;
    bool name_is_new = false;  // The directory has not been synced since the file was made.

    // The batches written last, by rising offsets, so that who reads at the end of the log
    // needs no search. [lock]
    struct Recent {
        base::Offset last;
        std::uint64_t position = 0;
    };
    std::vector<Recent> recent;

private:
    base::Offset base_;
    std::shared_ptr<Place> place_;
    mutable CachedFile log_;
    std::atomic<std::uint32_t> generation_ = 0;
    mutable std::mutex checked_mutex_;
    mutable std::uint64_t checked_from_ = 0;
    mutable std::uint64_t checked_to_ = 0;
};

}  // namespace storage
