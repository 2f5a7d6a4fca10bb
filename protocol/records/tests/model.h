// model: records that own what they say, at random from a seed, to compare with what was read.
#pragma once

#include "protocol/records/batch_builder.h"
#include "protocol/records/record.h"

#include <doctest/doctest.h>

#include <array>
#include <limits>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace test {

using records::Batch;
using records::BatchBuilder;
using records::Bytes;
using records::Codec;
using records::Record;
using records::RecordFault;

// A record that owns what it says, to compare with what was walked.
struct Model {
    std::int64_t offset;
    std::int64_t timestamp;
    std::optional<std::string> key, value;
    std::vector<std::pair<std::string, std::optional<std::string>>> headers = {};

    friend bool operator==(const Model&, const Model&) = default;
};

inline std::optional<std::string> owned(const std::optional<Bytes>& bytes) {
    if (!bytes) return std::nullopt;
    return std::string(records::text_of(*bytes));
}

inline std::optional<Bytes> borrowed(const std::optional<std::string>& text) {
    if (!text) return std::nullopt;
    return records::bytes_of(*text);
}

inline Model model_of(const Record& record) {
    Model model{record.offset.value(), record.timestamp, owned(record.key), owned(record.value)};
    for (const records::Header& header : record.headers) {
        model.headers.emplace_back(header.key, owned(header.value));
    }
    return model;
}

inline base::Result<std::vector<Model>, RecordFault> read_all(Bytes bytes) {
    const auto batch = Batch::read(bytes);
    REQUIRE(batch);
    records::Inflater inflater;
    auto walk = records::RecordWalk::open(*batch, inflater);
    if (!walk) return base::Unexpected(walk.error());
    std::vector<Model> all;
    while (const Record* record = walk->next()) all.push_back(model_of(*record));
    if (walk->fault()) return base::Unexpected(*walk->fault());
    return all;
}

inline void append(BatchBuilder& builder, const Model& model) {
    std::vector<records::Header> headers;
    for (const auto& [key, value] : model.headers) headers.push_back({key, borrowed(value)});
    builder.append_at(base::Offset(model.offset), {.timestamp = model.timestamp,
                                                   .key = borrowed(model.key),
                                                   .value = borrowed(model.value),
                                                   .headers = headers});
}

struct Random {
    std::mt19937_64 engine;

    explicit Random(std::uint64_t seed) : engine(seed) {}

    std::uint64_t below(std::uint64_t bound) { return engine() % bound; }

    std::string text(std::size_t bytes_max) {
        std::string made(below(bytes_max + 1), ' ');
        for (char& c : made) c = static_cast<char>('a' + below(4));
        return made;
    }

    std::optional<std::string> text_or_null(std::size_t bytes_max) {
        if (below(5) == 0) return std::nullopt;
        return text(bytes_max);
    }

    // At offsets from `base_offset` on, in a row or with gaps.
    std::vector<Model> records(std::int64_t base_offset, bool gaps) {
        std::vector<Model> made(1 + below(40));
        auto offset = base_offset - 1;
        for (Model& model : made) {
            offset += 1 + static_cast<std::int64_t>(gaps ? below(1000) : 0);
            model = {offset, static_cast<std::int64_t>(1700000000000 + below(100'000)),
                     text_or_null(20), text_or_null(below(10) == 0 ? 5000 : 100)};
            if (below(20) == 0) model.timestamp = records::no_timestamp;
            if (below(50) == 0) model.timestamp = std::numeric_limits<std::int64_t>::min();
            if (below(50) == 0) model.timestamp = std::numeric_limits<std::int64_t>::max();
            for (auto left = below(4); left > 1; --left) {
                model.headers.emplace_back(text(10), text_or_null(10));
            }
        }
        return made;
    }
};

inline constexpr std::array all_codecs{Codec::none, Codec::gzip, Codec::snappy, Codec::lz4,
                                       Codec::zstd};

}  // namespace test
