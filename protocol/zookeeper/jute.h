// Jute: ZooKeeper's encoding of records, read and written by one declaration of their fields.
//
//     struct DeleteRequest {
//         std::string path;
//         std::int32_t version = -1;
//
//         static void fields(auto& self, auto&& visit) { visit(self.path, self.version); }
//     };
//
//     auto request = jute::read<DeleteRequest>(reader);     then ask reader.failed()
//     jute::write(writer, request);
//
// On the wire: bool one byte; int and long big-endian; ustring and buffer an int length and
// bytes, vector an int count and elements, each with -1 for null; a record its fields.
//
// A std::string and a std::vector are never null, and a null that comes for one fails the
// Reader; where null means something the field is a std::optional of it.
//
// Limits: those of wire::Reader: a length or a count is held against the bytes that are left
// before anything is allocated.
//
// Source: Apache ZooKeeper's BinaryInputArchive and BinaryOutputArchive.
#pragma once

#include "protocol/wire/reader.h"
#include "protocol/wire/writer.h"

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace zookeeper::jute {

template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};

template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};

// The fewest bytes that a T takes: what a count is held against.
template <class T>
constexpr std::size_t smallest() {
    if constexpr (std::is_same_v<T, std::int64_t>) {
        return 8;
    } else if constexpr (std::is_same_v<T, bool>) {
        return 1;
    } else {
        return 4;  // A length, a count, or a record, which begins with one of these or an int.
    }
}

template <class T>
T read(wire::Reader& reader);

inline std::optional<std::string> read_text(wire::Reader& reader) {
    const std::int32_t length = reader.int32();
    if (length == -1) return std::nullopt;
    if (length < 0) {
        reader.fail();
        return std::nullopt;
    }
    const auto bytes = reader.take(static_cast<std::size_t>(length));
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

template <class T>
void read_into(wire::Reader& reader, T& value) {
    if constexpr (std::is_same_v<T, bool>) {
        value = reader.boolean();
    } else if constexpr (std::is_enum_v<T>) {
        value = static_cast<T>(reader.int32());
    } else if constexpr (std::is_same_v<T, std::int32_t>) {
        value = reader.int32();
    } else if constexpr (std::is_same_v<T, std::int64_t>) {
        value = reader.int64();
    } else if constexpr (std::is_same_v<T, std::optional<std::string>>) {
        value = read_text(reader);
    } else if constexpr (std::is_same_v<T, std::string>) {
        auto text = read_text(reader);
        if (text) {
            value = std::move(*text);
        } else {
            reader.fail();
        }
    } else if constexpr (IsOptional<T>::value) {
        using Element = typename T::value_type::value_type;
        value = reader.nullable_array<Element>(false, true, smallest<Element>(),
                                               [&] { return read<Element>(reader); });
    } else if constexpr (IsVector<T>::value) {
        using Element = typename T::value_type;
        value = reader.array<Element>(false, smallest<Element>(),
                                      [&] { return read<Element>(reader); });
    } else {
        T::fields(value, [&](auto&... field) { (read_into(reader, field), ...); });
    }
}

// Empty fields, and a Reader that has failed, when the bytes are no T.
template <class T>
T read(wire::Reader& reader) {
    T value{};
    read_into(reader, value);
    return value;
}

inline void write_text(wire::Writer& writer, std::string_view text) {
    writer.int32(static_cast<std::int32_t>(text.size()));
    writer.bytes(std::as_bytes(std::span(text)));
}

template <class T>
void write(wire::Writer& writer, const T& value) {
    if constexpr (std::is_same_v<T, bool>) {
        writer.boolean(value);
    } else if constexpr (std::is_enum_v<T>) {
        writer.int32(static_cast<std::int32_t>(value));
    } else if constexpr (std::is_same_v<T, std::int32_t>) {
        writer.int32(value);
    } else if constexpr (std::is_same_v<T, std::int64_t>) {
        writer.int64(value);
    } else if constexpr (std::is_same_v<T, std::string>) {
        write_text(writer, value);
    } else if constexpr (IsOptional<T>::value) {
        if (value) {
            write(writer, *value);
        } else {
            writer.int32(-1);
        }
    } else if constexpr (IsVector<T>::value) {
        writer.int32(static_cast<std::int32_t>(value.size()));
        for (const auto& each : value) write(writer, each);
    } else {
        T::fields(value, [&](const auto&... field) { (write(writer, field), ...); });
    }
}

}  // namespace zookeeper::jute
