// znode_json: what the JSON in Kafka's znodes is read and written with. Of znodes.h's own files.
//
// Every reader gives nothing for what is not what it should be.
#pragma once

#include <charconv>
#include <concepts>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace broker::znodes {

using Json = nlohmann::ordered_json;  // Keys stay in the order in which they were put in.

inline std::string text_of(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// What the text says if it is a JSON object.
inline std::optional<Json> parse_object(std::string_view text) {
    auto json = Json::parse(text, nullptr, false);
    if (!json.is_object()) return std::nullopt;
    return json;
}

inline const Json* member(const Json& object, const char* key) {
    const auto at = object.find(key);
    return at == object.end() || at->is_null() ? nullptr : &*at;
}

template <std::integral T>
std::optional<T> parse_integer(std::string_view text) {
    T value{};
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
    if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
    return value;
}

// A number, or a string that holds one: some keys are one or the other by version.
template <std::integral T>
std::optional<T> integer(const Json& json) {
    if (json.is_string()) return parse_integer<T>(json.get_ref<const std::string&>());
    if (json.is_number_unsigned()) {
        const auto value = json.get<std::uint64_t>();
        if (!std::in_range<T>(value)) return std::nullopt;
        return static_cast<T>(value);
    }
    if (!json.is_number_integer()) return std::nullopt;
    const auto value = json.get<std::int64_t>();
    if (!std::in_range<T>(value)) return std::nullopt;
    return static_cast<T>(value);
}

template <std::integral T>
std::optional<T> integer(const Json& object, const char* key) {
    const Json* value = member(object, key);
    return value == nullptr ? std::nullopt : integer<T>(*value);
}

inline std::optional<std::string> string(const Json& object, const char* key) {
    const Json* value = member(object, key);
    if (value == nullptr || !value->is_string()) return std::nullopt;
    return value->get<std::string>();
}

inline std::string joined(std::string_view parent, std::string_view child) {
    std::string path(parent);
    path += '/';
    path += child;
    return path;
}

}  // namespace broker::znodes
