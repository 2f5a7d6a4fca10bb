// Machine: its clocks, for those who get them as arguments.
//
// Threads: any.
#pragma once

#include <cstdint>

namespace broker {

std::int64_t wall_ms();       // Since 1970.
std::int64_t monotonic_ms();  // Never goes back.

}  // namespace broker
