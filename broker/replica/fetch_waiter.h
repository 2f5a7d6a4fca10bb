// FetchWaiter: one parked Fetch, on all the partitions it looks at.
//
// Appends count down what it still wants; the first that brings it to zero, or any event
// that changes the answer (a partition that goes away), wakes it. It is woken once.
//
// Threads: any. The wake is called without locks and posts to the waiter's own thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <utility>

namespace broker {

class FetchWaiter {
public:
    FetchWaiter(std::int64_t bytes_wanted, std::function<void()> wake)
        : wanted_(bytes_wanted), wake_(std::move(wake)) {}

    // More can be read now.
    void arrived(std::int64_t bytes) {
        if (wanted_.fetch_sub(bytes, std::memory_order_acq_rel) <= bytes) wake();
    }

    // Look again, whatever there is.
    void wake() {
        if (!woken_.exchange(true, std::memory_order_acq_rel)) wake_();
    }

private:
    std::atomic<std::int64_t> wanted_;
    std::atomic<bool> woken_{false};
    const std::function<void()> wake_;
};

}  // namespace broker
