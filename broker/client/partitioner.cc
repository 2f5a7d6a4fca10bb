#include "broker/client/partitioner.h"

#include <algorithm>

namespace broker::inline client {

std::uint32_t murmur2(std::span<const std::byte> bytes) noexcept {
    constexpr std::uint32_t seed = 0x9747b28c;
    constexpr std::uint32_t factor = 0x5bd1e995;
    constexpr int shift = 24;
    const auto byte = [&](std::size_t at) { return std::to_integer<std::uint32_t>(bytes[at]); };

    auto hash = seed ^ static_cast<std::uint32_t>(bytes.size());
    std::size_t at = 0;
    for (; at + 4 <= bytes.size(); at += 4) {
        auto word = byte(at) | byte(at + 1) << 8 | byte(at + 2) << 16 | byte(at + 3) << 24;
        word *= factor;
        word ^= word >> shift;
        word *= factor;
        hash *= factor;
        hash ^= word;
    }
    if (at < bytes.size()) {
        for (auto left = bytes.size(); left > at; --left)
            hash ^= byte(left - 1) << (8 * (left - 1 - at));
        hash *= factor;
    }
    hash ^= hash >> 13;
    hash *= factor;
    hash ^= hash >> 15;
    return hash;
}

base::PartitionIndex partition_of_key(std::span<const std::byte> key,
                                      std::int32_t partitions) noexcept {
    const auto positive = static_cast<std::int32_t>(murmur2(key) & 0x7fffffffU);
    return base::PartitionIndex(positive % partitions);
}

base::PartitionIndex StickyPartition::take(const std::vector<base::PartitionIndex>& available,
                                           std::size_t bytes, std::size_t run_bytes) {
    const bool is_there = std::ranges::binary_search(available, current_);
    if (!is_there || run_ >= run_bytes) {
        auto next = available[random_() % available.size()];
        if (next == current_ && available.size() > 1) {
            const auto at = std::ranges::lower_bound(available, next) - available.begin();
            next = available[static_cast<std::size_t>(at + 1) % available.size()];
        }
        current_ = next;
        run_ = 0;
    }
    run_ += bytes;
    return current_;
}

}  // namespace broker
