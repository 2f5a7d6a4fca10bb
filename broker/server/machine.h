// Machine: its clocks and its randomness, for those who get them as arguments.
//
// Threads: any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace broker {

std::int64_t wall_ms();       // Since 1970.
std::int64_t monotonic_ms();  // Never goes back.

// What nobody can guess.
void random_bytes(std::span<std::byte> into);

}  // namespace broker
