#include "protocol/tests/allocations.h"

#include <algorithm>
#include <cstdlib>
#include <malloc.h>
#include <new>

namespace {

thread_local std::ptrdiff_t live = 0;  // Allocated minus freed by this thread.
thread_local std::ptrdiff_t start = 0;
thread_local std::ptrdiff_t most = 0;

}  // namespace

// The thread sanitizer brings its own, which may not be replaced: nothing is counted under it.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MILENA_COUNTS_NOTHING
#endif
#endif

#ifndef MILENA_COUNTS_NOTHING

void* operator new(std::size_t size) {
    void* made = std::malloc(size);
    if (!made) throw std::bad_alloc();
    live += static_cast<std::ptrdiff_t>(malloc_usable_size(made));
    most = std::max(most, live);
    return made;
}

void operator delete(void* made) noexcept {
    if (made) live -= static_cast<std::ptrdiff_t>(malloc_usable_size(made));
    std::free(made);
}

void operator delete(void* made, std::size_t) noexcept {
    operator delete(made);
}

#endif

namespace test {

Allocations::Allocations() noexcept {
    start = most = live;
}

std::size_t Allocations::peak() const noexcept {
    return static_cast<std::size_t>(most - start);
}

}  // namespace test
