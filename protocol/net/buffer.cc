#include "protocol/net/buffer.h"

#include <algorithm>
#include <array>
#include <bit>
#include <vector>

namespace net {

namespace {

constexpr std::size_t capacity_min = std::size_t{4} << 10;
constexpr std::size_t pooled_max = std::size_t{2} << 20;  // Larger ones go back to the system.
constexpr std::size_t pool_bytes_max = std::size_t{16} << 20;
constexpr std::size_t classes = 10;  // 4 KiB, 8 KiB, … 2 MiB.

static_assert(capacity_min << (classes - 1) == pooled_max);

struct Pool {
    bool keeps = false;
    std::size_t bytes = 0;
    std::array<std::vector<std::unique_ptr<Buffer>>, classes> free;
};

thread_local Pool pool;

std::size_t class_of(std::size_t capacity) noexcept {
    return static_cast<std::size_t>(std::countr_zero(capacity / capacity_min));
}

void give_back(Buffer* buffer) {
    std::unique_ptr<Buffer> owned(buffer);
    const std::size_t capacity = owned->capacity();
    if (!pool.keeps || capacity > pooled_max || pool.bytes + capacity > pool_bytes_max) return;
    pool.bytes += capacity;
    pool.free[class_of(capacity)].push_back(std::move(owned));
}

}  // namespace

Buffer::Buffer(std::size_t capacity)
    : data_(std::make_unique_for_overwrite<std::byte[]>(capacity)), capacity_(capacity) {}

std::shared_ptr<Buffer> take_buffer(std::size_t capacity) {
    if (capacity > pooled_max) return std::make_shared<Buffer>(capacity);
    const std::size_t rounded = std::bit_ceil(std::max(capacity, capacity_min));
    auto& free = pool.free[class_of(rounded)];
    if (free.empty()) return {new Buffer(rounded), give_back};
    auto buffer = std::move(free.back());
    free.pop_back();
    pool.bytes -= rounded;
    return {buffer.release(), give_back};
}

void keep_buffers() noexcept {
    pool.keeps = true;
}

}  // namespace net
