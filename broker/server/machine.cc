#include "broker/server/machine.h"

#include <chrono>

namespace broker {

namespace {

template <class Clock>
std::int64_t ms_of() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now().time_since_epoch())
        .count();
}

}  // namespace

std::int64_t wall_ms() {
    return ms_of<std::chrono::system_clock>();
}

std::int64_t monotonic_ms() {
    return ms_of<std::chrono::steady_clock>();
}

}  // namespace broker
