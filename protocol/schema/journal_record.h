// journal_record: keys and values of the coordinators' journals as the bytes of a record.
//
//     key     i16 type of the record, then the key's fields
//     value   i16 version, then the value's fields in that version
//
// On disk: __consumer_offsets and __transaction_state of Apache Kafka, the same bytes.
#pragma once

#include "protocol/wire/reader.h"
#include "protocol/wire/writer.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace protocol {

template <class Key>
std::vector<std::byte> encode_key(const Key& key) {
    std::vector<std::byte> out;
    wire::Writer writer(out);
    writer.int16(Key::record_type);
    key.write(writer, 0);
    return out;
}

// Requires Value::version_min <= version <= Value::version_max.
template <class Value>
std::vector<std::byte> encode_value(const Value& value, std::int16_t version) {
    std::vector<std::byte> out;
    wire::Writer writer(out);
    writer.int16(version);
    value.write(writer, version);
    return out;
}

// The type of a record, -1 when the key is too short to have one.
inline std::int16_t record_type(std::span<const std::byte> key) {
    wire::Reader reader(key);
    const auto type = reader.int16();
    return reader.failed() ? std::int16_t{-1} : type;
}

// Nothing when the bytes are not such a key. What is decoded borrows from `key`.
template <class Key>
std::optional<Key> decode_key(std::span<const std::byte> key) {
    wire::Reader reader(key);
    reader.int16();
    auto decoded = Key::read(reader, 0);
    return reader.finish() ? std::optional(std::move(decoded)) : std::nullopt;
}

// Nothing when the version is unknown or the bytes are not such a value. What is decoded
// borrows from `value`, and must not be written through.
template <class Value>
std::optional<Value> decode_value(std::span<const std::byte> value) {
    wire::Reader reader(value);
    const auto version = reader.int16();
    if (version < Value::version_min || version > Value::version_max) return std::nullopt;
    auto decoded = Value::read(reader, version);
    return reader.finish() ? std::optional(std::move(decoded)) : std::nullopt;
}

}  // namespace protocol
