// allocations: how much memory a piece of code takes, counted in operator new.
//
// Linking allocations.cc replaces the global operator new of the test program.
#pragma once

#include <cstddef>

namespace test {

// The most bytes that were allocated at one time, beyond what was before, since the
// Allocations were made. Threads: counts its own thread only.
class Allocations {
public:
    Allocations() noexcept;
    std::size_t peak() const noexcept;
};

}  // namespace test
