// Entry: one element of a log file, judged by its header alone.
//
// An entry is a v2 record batch, or a message of the formats 0 and 1 in logs that an old
// broker wrote. All share  int64 offset, int32 size, 4 bytes, int8 magic  at their front.
//
//     v2   bytes  0 base offset  8 length  12 leader epoch  16 magic  17 crc  21 attributes
//                23 last offset delta  27 base timestamp  35 max timestamp  43 producer id
//                51 producer epoch  53 base sequence  57 record count  61 records
//     v1   bytes  0 offset  8 size  12 crc  16 magic  17 attributes  18 timestamp  26 ...
//     v0   bytes  0 offset  8 size  12 crc  16 magic  17 attributes  18 ...
//
// A compressed v0 or v1 entry holds several records; its offset is that of the last one, so
// base and last are equal here although earlier offsets are inside.
//
// Valid if and only if the size is at least the format's smallest, the magic is 0, 1 or 2,
// the last offset delta is not negative and no offset overflows. The checksum is judged by
// entry_is_intact, with all bytes at hand.
//
// Source: facts/kafka.md §1.2, §1.5.
#pragma once

#include "protocol/base/types.h"
#include "storage/producers.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace storage {

constexpr std::size_t entry_prefix_bytes = 12;   // Offset and size; size counts what follows.
constexpr std::size_t entry_header_bytes = 61;   // Of v2; the others have less.
constexpr std::size_t entry_smallest_bytes = 26; // v0 without key and value.

struct EntryFacts {
    base::Offset base;
    base::Offset last;
    std::uint64_t bytes = 0;  // All of it, the prefix included.
    std::int8_t magic = 2;
    base::LeaderEpoch leader_epoch{-1};  // -1 before v2.
    std::int16_t attributes = 0;
    std::int64_t max_timestamp = -1;
    base::ProducerId producer{-1};
    std::int16_t producer_epoch = -1;
    std::int32_t base_sequence = -1;
    std::int32_t last_sequence = -1;
    std::int32_t record_count = 0;

    bool is_transactional() const noexcept { return (attributes & 0x10) != 0; }
    bool is_control() const noexcept { return (attributes & 0x20) != 0; }
    bool has_producer() const noexcept { return producer.value() >= 0; }
};

// The facts of the entry at the front of `bytes`, of which at least entry_header_bytes are
// there, or all up to the end of the file. Nothing when it is not valid, or its header is
// cut short. That all of the entry is there is for the caller to hold against `bytes`.
std::optional<EntryFacts> read_entry_header(std::span<const std::byte> bytes) noexcept;

// Whether a whole entry is valid, checksum included.
bool entry_is_intact(std::span<const std::byte> entry) noexcept;

// The marker in a control batch; nothing when it is no transaction marker.
std::optional<Marker> read_marker(std::span<const std::byte> entry, const EntryFacts& facts);

// What the producer state needs. Requires facts.has_producer().
ProducerBatch producer_batch(const EntryFacts& facts, const std::optional<Marker>& marker) noexcept;

}  // namespace storage
