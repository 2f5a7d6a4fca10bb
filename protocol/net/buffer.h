// Buffer: memory that a socket fills and that requests are views into.
//
// A frame holds its buffer, so the buffer lives until the last request that was cut from it
// is answered; then it goes back to the pool of the thread that let go of it.
//
// Limits: a thread keeps at most pool_bytes_max of free buffers; only threads that called
// keep_buffers() keep any.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

namespace net {

class Buffer {
public:
    explicit Buffer(std::size_t capacity);

    std::span<std::byte> bytes() const noexcept { return {data_.get(), capacity_}; }
    std::size_t capacity() const noexcept { return capacity_; }

private:
    std::unique_ptr<std::byte[]> data_;
    std::size_t capacity_;
};

// A buffer of at least `capacity` bytes, whose content is whatever it was.
std::shared_ptr<Buffer> take_buffer(std::size_t capacity);

// From now on this thread keeps free buffers for the next take_buffer().
void keep_buffers() noexcept;

}  // namespace net
