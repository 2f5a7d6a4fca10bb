// Spread: how large something was, over many times. Histogram: with percentiles.
//
//     bucket   0 .. 15     16, 17   18, 19  ..  30, 31     32 .. 35  ...
//              one value each       eight buckets for each power of two above
//
// So a percentile is too high by an eighth of itself at most, and a value costs a few
// instructions and no memory.
//
// Threads: none; its owner's.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace coordinator {

struct Spread {
    std::int64_t min = 0;
    std::int64_t max = 0;
    std::int64_t sum = 0;
    std::int64_t count = 0;

    void add(std::int64_t value) {
        min = count == 0 ? value : std::min(min, value);
        max = count == 0 ? value : std::max(max, value);
        sum += value;
        ++count;
    }

    // To four places, as ZooKeeper tells it.
    double average() const {
        if (count == 0) return 0.0;
        return std::round(1e4 * static_cast<double>(sum) / static_cast<double>(count)) / 1e4;
    }
};

class Histogram {
public:
    static constexpr std::int64_t value_max = (std::int64_t{1} << 31) - 1;

    // What is below 0 counts as 0, what is above value_max as that.
    void add(std::int64_t value) {
        value = std::clamp<std::int64_t>(value, 0, value_max);
        spread_.add(value);
        ++counts_[bucket_of(value)];
    }

    const Spread& spread() const noexcept { return spread_; }

    // The value that `share` of all, 0 to 1, do not exceed; 0 when there are none.
    std::int64_t percentile(double share) const {
        const auto wanted = share * static_cast<double>(spread_.count);
        std::int64_t seen = 0;
        for (std::size_t bucket = 0; bucket < buckets; ++bucket) {
            seen += counts_[bucket];
            if (counts_[bucket] > 0 && static_cast<double>(seen) >= wanted) {
                return std::min(last_of(bucket), spread_.max);
            }
        }
        return 0;
    }

private:
    static constexpr int exact_bits = 4;  // Below 16 each value has a bucket.
    static constexpr int part_bits = 3;
    static constexpr std::size_t buckets = (1u << exact_bits) + ((31 - exact_bits) << part_bits);

    static std::size_t bucket_of(std::int64_t value) noexcept {
        const auto bits = static_cast<std::uint32_t>(value);
        const int power = std::bit_width(bits) - 1;
        if (power < exact_bits) return bits;
        const std::uint32_t part = bits >> (power - part_bits) & ((1u << part_bits) - 1);
        return (1u << exact_bits) + (static_cast<std::uint32_t>(power - exact_bits) << part_bits) +
               part;
    }

    static std::int64_t last_of(std::size_t bucket) noexcept {
        if (bucket < 1u << exact_bits) return static_cast<std::int64_t>(bucket);
        const std::size_t above = bucket - (1u << exact_bits);
        const int shift = exact_bits - part_bits + static_cast<int>(above >> part_bits);
        const std::size_t part = above & ((1u << part_bits) - 1);
        return (static_cast<std::int64_t>((1u << part_bits) + part + 1) << shift) - 1;
    }

    Spread spread_;
    std::array<std::int64_t, buckets> counts_{};
};

}  // namespace coordinator
