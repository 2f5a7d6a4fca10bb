// NoWait: while one exists, reads of its thread fail with would_block where they would have to
// wait for the disk, because the bytes are not in the page cache.
//
//     const NoWait guard;
//     auto read = log.read(plan);       would_block: read again on a thread that may wait
//
// A scope and not an argument: a look-up in a log passes through indexes, scans and caches,
// none of which decides anything on it.
//
// Threads: each has its own.
// Limits: opening a file and reading its size may still touch the disk for metadata.
#pragma once

#include <utility>

namespace storage {

class NoWait {
public:
    NoWait() noexcept : was_on_(std::exchange(is_on_, true)) {}
    NoWait(const NoWait&) = delete;
    NoWait& operator=(const NoWait&) = delete;
    ~NoWait() { is_on_ = was_on_; }

    static bool is_on() noexcept { return is_on_; }

private:
    static inline thread_local bool is_on_ = false;
    bool was_on_;
};

}  // namespace storage
