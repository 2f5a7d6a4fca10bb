// Partitioner: which partition a record goes to, as the Java client decides it.
//
//     with a key      murmur2(key) mod partitions: the same key always goes the same way
//     without a key   one partition until a batch is full, then another at random
#pragma once

#include "protocol/base/types.h"

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

namespace broker::inline client {

// MurmurHash2 with Kafka's seed, as the Java client has it (a 32-bit signed number there).
std::uint32_t murmur2(std::span<const std::byte> bytes) noexcept;

// Requires partitions > 0.
base::PartitionIndex partition_of_key(std::span<const std::byte> key,
                                      std::int32_t partitions) noexcept;

// One partition for a run of records. `random_seed` makes the choices.
class StickyPartition {
public:
    explicit StickyPartition(std::uint64_t random_seed) : random_(random_seed) {}

    // The partition for a record of `bytes`: that of the last one unless the run has reached
    // `run_bytes`. `available` are those that have a leader, or all if none has.
    // Requires that `available` is not empty.
    base::PartitionIndex take(const std::vector<base::PartitionIndex>& available, std::size_t bytes,
                              std::size_t run_bytes);

private:
    std::mt19937_64 random_;
    base::PartitionIndex current_{-1};
    std::size_t run_ = 0;
};

}  // namespace broker
