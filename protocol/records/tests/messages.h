// messages: message sets of formats 0 and 1, built from models.
#pragma once

#include "protocol/records/message_set.h"
#include "protocol/records/tests/model.h"
#include "protocol/wire/big_endian.h"

#include <algorithm>
#include <zlib.h>

namespace test {

inline std::vector<std::byte> message(std::int8_t magic, const Model& model,
                                      std::int8_t attributes = 0) {
    std::vector<std::byte> bytes;
    records::append_message(bytes, magic, base::Offset(model.offset), attributes, model.timestamp,
                            borrowed(model.key), borrowed(model.value));
    return bytes;
}

inline std::vector<std::byte> messages(std::int8_t magic, const std::vector<Model>& models) {
    std::vector<std::byte> bytes;
    for (const Model& model : models) {
        const auto one = message(magic, model);
        bytes.insert(bytes.end(), one.begin(), one.end());
    }
    return bytes;
}

// A wrapper around any bytes.
inline std::vector<std::byte> wrapper_around(std::int8_t magic, Codec codec, std::int64_t offset,
                                             Bytes inner, std::int64_t timestamp = 5) {
    records::Deflater deflater;
    std::vector<std::byte> value, bytes;
    deflater.deflate(codec, inner, value, std::nullopt,
                     magic == 0 ? records::Lz4Header::legacy : records::Lz4Header::correct);
    records::append_message(bytes, magic, base::Offset(offset), static_cast<std::int8_t>(codec),
                            timestamp, std::nullopt, value);
    return bytes;
}

// A wrapper at `offset` around messages whose offsets are as they shall stand inside.
inline std::vector<std::byte> wrapper(std::int8_t magic, Codec codec, std::int64_t offset,
                                      const std::vector<Model>& inner) {
    std::int64_t timestamp = records::no_timestamp;
    for (const Model& model : inner) timestamp = std::max(timestamp, model.timestamp);
    return wrapper_around(magic, codec, offset, messages(magic, inner), timestamp);
}

inline void set_message_crc(std::vector<std::byte>& bytes) {
    const auto from = Bytes(bytes).subspan(records::message_format::checksummed_from);
    const auto crc = crc32_z(0, reinterpret_cast<const Bytef*>(from.data()), from.size());
    wire::store(std::span(bytes), records::message_format::crc_at, static_cast<std::uint32_t>(crc));
}

// Everything in a message set, plain or wrapped.
inline std::vector<Model> read_messages(Bytes bytes) {
    std::vector<Model> all;
    while (true) {
        const auto one = records::take_message(bytes);
        REQUIRE(one);
        if (!*one) return all;
        records::Inflater inflater;
        auto walk = records::MessageWalk::open(**one, inflater);
        REQUIRE(walk);
        while (const Record* record = walk->next()) all.push_back(model_of(*record));
    }
}

}  // namespace test
