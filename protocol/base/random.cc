#include "protocol/base/random.h"

#include <algorithm>
#include <cstdlib>
#include <unistd.h>

namespace base {

namespace {

constexpr std::size_t bytes_at_once = 256;  // What getentropy() gives at most.

}  // namespace

void random_bytes(std::span<std::byte> into) {
    while (!into.empty()) {
        const auto some = into.first(std::min(into.size(), bytes_at_once));
        if (::getentropy(some.data(), some.size()) != 0) std::abort();
        into = into.subspan(some.size());
    }
}

}  // namespace base
