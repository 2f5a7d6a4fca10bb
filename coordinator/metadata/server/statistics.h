// Statistics: what the four-letter words tell of the whole server.
//
// Threads: any.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <mutex>

namespace coordinator {

class Statistics {
public:
    struct Latency {
        std::int64_t min_ms = 0;
        std::int64_t max_ms = 0;
        std::int64_t total_ms = 0;
        std::int64_t count = 0;
    };

    void received() noexcept { received_.fetch_add(1, std::memory_order_relaxed); }
    void sent() noexcept { sent_.fetch_add(1, std::memory_order_relaxed); }

    // A request was answered so long after it came.
    void answered(std::int64_t took_ms) {
        const std::lock_guard lock(mutex_);
        latency_.min_ms = latency_.count == 0 ? took_ms : std::min(latency_.min_ms, took_ms);
        latency_.max_ms = std::max(latency_.max_ms, took_ms);
        latency_.total_ms += took_ms;
        ++latency_.count;
    }

    std::int64_t packets_received() const noexcept {
        return received_.load(std::memory_order_relaxed);
    }
    std::int64_t packets_sent() const noexcept { return sent_.load(std::memory_order_relaxed); }

    Latency latency() const {
        const std::lock_guard lock(mutex_);
        return latency_;
    }

    void reset() {
        received_ = 0;
        sent_ = 0;
        const std::lock_guard lock(mutex_);
        latency_ = {};
    }

private:
    std::atomic<std::int64_t> received_{0};
    std::atomic<std::int64_t> sent_{0};
    mutable std::mutex mutex_;
    Latency latency_;
};

}  // namespace coordinator
