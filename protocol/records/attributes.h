// Codec, TimestampType: what the attribute bits of batches and messages stand for.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

namespace records {

// The values are those on the wire, in bits 0-2 of the attributes.
enum class Codec : std::int8_t { none = 0, gzip = 1, snappy = 2, lz4 = 3, zstd = 4 };

enum class TimestampType : std::int8_t { create_time = 0, log_append_time = 1 };

constexpr std::int64_t no_timestamp = -1;

constexpr std::int64_t no_producer_id = -1;
constexpr std::int16_t no_producer_epoch = -1;
constexpr std::int32_t no_sequence = -1;

// Nothing for the values 5 to 7, which no codec has.
constexpr std::optional<Codec> codec_of(std::int16_t attributes) noexcept {
    const int bits = attributes & 0x07;
    if (bits > 4) return std::nullopt;
    return static_cast<Codec>(bits);
}

// As `compression.type` and the tools spell it: none, gzip, snappy, lz4, zstd.
constexpr std::string_view name_of(Codec codec) noexcept {
    switch (codec) {
        case Codec::none:
            return "none";
        case Codec::gzip:
            return "gzip";
        case Codec::snappy:
            return "snappy";
        case Codec::lz4:
            return "lz4";
        case Codec::zstd:
            return "zstd";
    }
    return "unknown";
}

// A sequence number `count` further on. They wrap: 0 follows 2147483647.
// Requires sequence >= 0 and count >= 0.
constexpr std::int32_t sequence_after(std::int32_t sequence, std::int32_t count) noexcept {
    constexpr std::int32_t last = std::numeric_limits<std::int32_t>::max();
    if (sequence > last - count) return count - (last - sequence) - 1;
    return sequence + count;
}

}  // namespace records
