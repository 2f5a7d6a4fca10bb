// Socket: a TCP connection with deadlines, for programs that may block.
//
// Names are resolved at each connect, and all addresses are tried in the resolver's order.
// Threads: one at a time. The descriptor never blocks by itself; waiting is poll().
#pragma once

#include "broker/client/address.h"
#include "broker/client/fault.h"

#include <chrono>
#include <cstddef>
#include <span>
#include <utility>

namespace broker::inline client {

using Deadline = std::chrono::steady_clock::time_point;

inline Deadline after(std::chrono::milliseconds time) {
    return std::chrono::steady_clock::now() + time;
}

// For poll(): what is left until `deadline`, in ms, rounded up; 0 when it has passed.
int milliseconds_left(Deadline deadline);

// Wait that long, whatever happens elsewhere.
void wait_for(std::chrono::milliseconds time);

class Socket {
public:
    Socket() = default;
    ~Socket();
    Socket(Socket&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
    Socket& operator=(Socket&& other) noexcept;

    // Faults: unreachable, timed_out.
    [[nodiscard]] static ClientResult<Socket> connect(const Address& to, Deadline deadline);

    // Faults: unreachable, timed_out; the connection cannot be used after one.
    [[nodiscard]] ClientResult<void> write(std::span<const std::byte> bytes, Deadline deadline);

    // Fill all of `into`. Faults: unreachable (also at the end of the stream), timed_out.
    [[nodiscard]] ClientResult<void> read(std::span<std::byte> into, Deadline deadline);

    int descriptor() const noexcept { return descriptor_; }
    bool is_open() const noexcept { return descriptor_ >= 0; }

private:
    explicit Socket(int descriptor) : descriptor_(descriptor) {}

    int descriptor_ = -1;
};

}  // namespace broker
