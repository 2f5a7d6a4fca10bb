// Timing: how long something took, over many times.
#pragma once

#include <algorithm>
#include <cstdint>

namespace coordinator {

struct Timing {
    std::int64_t min_ms = 0;
    std::int64_t max_ms = 0;
    std::int64_t total_ms = 0;
    std::int64_t count = 0;

    void took(std::int64_t ms) {
        min_ms = count == 0 ? ms : std::min(min_ms, ms);
        max_ms = std::max(max_ms, ms);
        total_ms += ms;
        ++count;
    }

    double average_ms() const {
        return count == 0 ? 0.0 : static_cast<double>(total_ms) / static_cast<double>(count);
    }
};

}  // namespace coordinator
