// random_bytes: what nobody can guess, from the system.
//
// Not from a library's generator, which a process would have in memory from its first id on.
//
// Threads: any.
#pragma once

#include <cstddef>
#include <span>

namespace base {

// Fill it. The process ends where the system has no randomness at all.
void random_bytes(std::span<std::byte> into);

}  // namespace base
