// Strong: a number or a string that is only itself.
//
//     using Offset = Strong<std::int64_t, struct OffsetTag>;
//
// An Offset does not turn into a LeaderEpoch, nor an int64 into an Offset by
// accident. Two offsets differ by a plain count, and offset + count is an offset.
#pragma once

#include <compare>
#include <concepts>
#include <cstddef>
#include <functional>
#include <type_traits>
#include <utility>

namespace base {

template <class T, class Tag>
class Strong {
public:
    Strong() = default;
    constexpr explicit Strong(T value) : value_(std::move(value)) {}

    constexpr const T& value() const noexcept { return value_; }

    friend constexpr auto operator<=>(const Strong&, const Strong&) = default;

    friend constexpr Strong operator+(const Strong& from, T count) requires std::integral<T> {
        return Strong(static_cast<T>(from.value_ + count));
    }

    friend constexpr T operator-(const Strong& to, const Strong& from) requires std::integral<T> {
        return static_cast<T>(to.value_ - from.value_);
    }

private:
    T value_{};
};

// What goes on the wire for a plain value, an enumerator or a Strong.
template <class T>
constexpr decltype(auto) raw(const T& value) noexcept {
    if constexpr (std::is_enum_v<T>) {
        return std::to_underlying(value);
    } else if constexpr (requires { value.value(); }) {
        return value.value();
    } else {
        return (value);
    }
}

}  // namespace base

template <class T, class Tag>
struct std::hash<base::Strong<T, Tag>> {
    std::size_t operator()(const base::Strong<T, Tag>& strong) const noexcept {
        return std::hash<T>()(strong.value());
    }
};
