// WritePace: whether writes to a log directory have made their writers wait lately.
//
// A write into the page cache takes microseconds, until the kernel holds writers back or the disk
// stalls: then it takes as long as the disk does, and with it every connection of the thread that
// writes. After one slow write a directory's writes are done on the disk pool, until none has been
// slow for a while.
//
// Threads: any.
#pragma once

#include <atomic>
#include <chrono>

namespace broker {

class WritePace {
public:
    using Clock = std::chrono::steady_clock;

    static constexpr std::chrono::milliseconds slow{20};
    static constexpr std::chrono::milliseconds memory{2000};

    void wrote(Clock::time_point began, Clock::time_point ended) noexcept {
        if (ended - began < slow) return;
        wary_until_.store((ended + memory).time_since_epoch().count(), std::memory_order_relaxed);
    }

    bool is_wary(Clock::time_point now) const noexcept {
        return now.time_since_epoch().count() < wary_until_.load(std::memory_order_relaxed);
    }

private:
    std::atomic<Clock::rep> wary_until_{Clock::time_point::min().time_since_epoch().count()};
};

}  // namespace broker
