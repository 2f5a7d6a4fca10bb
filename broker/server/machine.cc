#include "broker/server/machine.h"

#include <chrono>
#include <cstdlib>
#include <openssl/rand.h>

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

void random_bytes(std::span<std::byte> into) {
    // OpenSSL's generator fails only when the system has no entropy at all.
    if (RAND_bytes(reinterpret_cast<unsigned char*>(into.data()), static_cast<int>(into.size())) !=
        1)
        std::abort();
}

}  // namespace broker
