// Allowance: so many bytes a second, over all that share it. Every byte costs its time; who is
// ahead of the clock waits until it has caught up. Unused time is not saved up.
//
// Threads: one at a time; the owner has a lock. Times are monotonic milliseconds.
#pragma once

#include <algorithm>
#include <cstdint>

namespace broker {

class Allowance {
public:
    // How long to wait before going on. Requires bytes_per_second > 0.
    std::int64_t spend(std::uint64_t bytes, double bytes_per_second, std::int64_t now_ms) {
        paid_until_ms_ = std::max(paid_until_ms_, double(now_ms));
        paid_until_ms_ += std::min(double(bytes) * 1000 / bytes_per_second, wait_ms_max);
        return static_cast<std::int64_t>(paid_until_ms_ - double(now_ms));
    }

private:
    static constexpr double wait_ms_max = 3'600'000;  // Of one piece of work.

    double paid_until_ms_ = 0;
};

}  // namespace broker
