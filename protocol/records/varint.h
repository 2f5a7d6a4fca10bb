// varint, varlong: the zig-zag integers inside records, and a cursor that takes them.
//
// A number n is written as (n << 1) ^ (n >> 31 or 63), so that small negative ones are short
// too, 7 bits a byte, least bits first, the top bit set on all bytes but the last: at most 5
// bytes for 32 bits and 10 for 64.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

namespace records {

template <std::signed_integral T>
constexpr std::make_unsigned_t<T> zigzag(T value) noexcept {
    using Unsigned = std::make_unsigned_t<T>;
    return static_cast<Unsigned>(static_cast<Unsigned>(value) << 1) ^
           static_cast<Unsigned>(value >> (sizeof(T) * 8 - 1));
}

template <std::signed_integral T>
constexpr std::size_t varint_bytes(T value) noexcept {
    const auto bits = static_cast<std::size_t>(std::bit_width(zigzag(value)));
    return bits == 0 ? 1 : (bits + 6) / 7;
}

// Write `value` at `to` and return what follows it. Requires varint_bytes(value) there.
template <std::signed_integral T>
std::byte* put_varint(std::byte* to, T value) noexcept {
    auto rest = zigzag(value);
    while (rest >= 0x80) {
        *to++ = static_cast<std::byte>(rest | 0x80);
        rest >>= 7;
    }
    *to++ = static_cast<std::byte>(rest);
    return to;
}

// Takes bytes off the front of a range and never passes its end.
class Cursor {
public:
    explicit Cursor(std::span<const std::byte> bytes) noexcept
        : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

    std::size_t left() const noexcept { return static_cast<std::size_t>(end_ - at_); }
    const std::byte* at() const noexcept { return at_; }

    // Requires count <= left().
    void skip(std::size_t count) noexcept { at_ += count; }

    // Requires count <= left().
    std::span<const std::byte> take(std::size_t count) noexcept {
        const std::span<const std::byte> taken(at_, count);
        at_ += count;
        return taken;
    }

    // False when the bytes end first, or when it has more bits than T.
    template <std::signed_integral T>
    [[gnu::always_inline]] bool varint(T& value) noexcept {
        if (at_ == end_) [[unlikely]]
            return false;
        const auto first = std::to_integer<std::uint32_t>(*at_);
        if (first < 0x80) [[likely]] {
            ++at_;
            value = unzigzag<T>(first);
            return true;
        }
        return long_varint(value);
    }

private:
    template <class T>
    static constexpr T unzigzag(std::make_unsigned_t<T> raw) noexcept {
        using Unsigned = std::make_unsigned_t<T>;
        return static_cast<T>((raw >> 1) ^ (Unsigned{0} - (raw & 1)));
    }

    template <class T>
    bool long_varint(T& value) noexcept {
        using Unsigned = std::make_unsigned_t<T>;
        constexpr unsigned bits = sizeof(T) * 8;
        Unsigned raw = 0;
        for (unsigned shift = 0; shift < bits; shift += 7) {
            if (at_ == end_) return false;
            const auto byte = std::to_integer<Unsigned>(*at_++);
            const auto low = byte & 0x7f;
            if (shift + 7 > bits && (low >> (bits - shift)) != 0) return false;
            raw |= low << shift;
            if (byte < 0x80) {
                value = unzigzag<T>(raw);
                return true;
            }
        }
        return false;
    }

    const std::byte* at_;
    const std::byte* end_;
};

}  // namespace records
