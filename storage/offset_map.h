// OffsetMap: the newest offset of each key of a part of a log, in a bounded piece of memory.
//
//     24 bytes a slot: 16 of the key's SHA-256, 8 of the offset; open addressing
//
// Two keys with the same 16 bytes would be one key: nobody can make such two.
//
// Threads: one at a time. Limits: memory is what the caller allows, taken at once and given
// back with the object. At most load_factor of the slots is used, so that a look-up is short.
#pragma once

#include "protocol/base/types.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace storage {

class OffsetMap {
public:
    static constexpr std::size_t bytes_per_key = 24;

    // Room for `keys` keys if `bytes` of memory are enough for them at `load_factor`.
    OffsetMap(std::uint64_t bytes, double load_factor, std::uint64_t keys);
    ~OffsetMap();

    // False when it is full and does not know the key. Offsets of a key rise.
    [[nodiscard]] bool put(std::span<const std::byte> key, base::Offset offset);
    std::optional<base::Offset> find(std::span<const std::byte> key) const;

    std::size_t size() const noexcept { return size_; }
    std::size_t capacity() const noexcept { return capacity_; }

private:
    using Digest = std::array<std::byte, 16>;
    struct Slot {
        Digest digest;
        std::int64_t offset = -1;  // -1: nobody's.
    };
    struct Hasher;

    Digest digest_of(std::span<const std::byte> key) const;
    std::size_t slot_of(const Digest& digest) const noexcept;  // Its own, or the free one for it.

    std::unique_ptr<Hasher> hasher_;
    std::vector<Slot> slots_;
    std::size_t capacity_ = 0;
    std::size_t size_ = 0;
};

}  // namespace storage
