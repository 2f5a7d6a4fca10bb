#include "protocol/records/record.h"

#include "protocol/records/batch_builder.h"
#include "protocol/records/batch_format.h"
#include "protocol/records/tests/golden.h"
#include "protocol/records/tests/model.h"
#include "protocol/records/varint.h"
#include "protocol/wire/big_endian.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <limits>
#include <random>

using namespace records;
using base::Offset;
using base::ProducerId;
using test::all_codecs;
using test::append;
using test::Model;
using test::Random;
using test::read_all;

namespace {

// A batch of `count` records with the encoded `region` in it.
std::vector<std::byte> batch_around(std::int32_t count, Bytes region) {
    auto bytes = BatchBuilder().finish();
    bytes.insert(bytes.end(), region.begin(), region.end());
    wire::store(std::span(bytes), batch_format::batch_length_at,
                static_cast<std::int32_t>(bytes.size() - batch_format::length_field_end));
    wire::store(std::span(bytes), batch_format::record_count_at, count);
    set_crc(bytes);
    return bytes;
}

}  // namespace

TEST_CASE("the records of a producer's batch are walked with keys, nulls, headers and times") {
    const auto all = read_all(golden::two_records());
    REQUIRE(all);
    CHECK(*all == std::vector<Model>{{0, 1700000000000, "k", "v1", {{"h", "x"}}},
                                     {1, 1700000000005, std::nullopt, "v2"}});
}

TEST_CASE("a batch that is built is the one that others build") {
    BatchBuilder builder;
    const std::array headers{Header{"h", bytes_of("x")}};
    builder.append({.timestamp = 1700000000000,
                    .key = bytes_of("k"),
                    .value = bytes_of("v1"),
                    .headers = headers});
    builder.append({.timestamp = 1700000000005, .value = bytes_of("v2")});
    CHECK(builder.finish() == golden::two_records());
}

TEST_CASE("markers that are built are those of Kafka") {
    for (const auto& [type, bytes] : {std::pair(ControlType::commit, golden::commit_marker()),
                                      std::pair(ControlType::abort, golden::abort_marker())}) {
        auto marker = build_marker({.type = type,
                                    .producer_id = ProducerId(1000),
                                    .producer_epoch = 0,
                                    .coordinator_epoch = 3,
                                    .timestamp = 1700000000000});
        place(marker, Offset(2), base::LeaderEpoch(0));
        CHECK(marker == bytes);
    }
}

TEST_CASE("a marker tells its type and the epoch of its coordinator") {
    const auto bytes = golden::abort_marker();
    const auto batch = Batch::read(bytes);
    REQUIRE(batch);
    CHECK(batch->is_control());
    CHECK(batch->is_transactional());
    CHECK(batch->base_sequence() == -1);
    const auto control = read_control(*batch);
    REQUIRE(control);
    CHECK(control->is(ControlType::abort));
    CHECK(control->coordinator_epoch == 3);
}

TEST_CASE("a control record of an unknown type is read, one that is too short is not") {
    const auto control = [](Bytes key, std::optional<Bytes> value) {
        BatchBuilder builder({.control = true});
        builder.append({.key = key, .value = value});
        const auto bytes = builder.finish();
        return read_control(*Batch::read(bytes));
    };
    const auto leader_change = test::hex("00000002");
    const auto commit = test::hex("00000001");
    CHECK(control(leader_change, std::nullopt)->type == 2);
    CHECK(control(leader_change, std::nullopt)->coordinator_epoch == -1);
    CHECK(control(test::hex("000000"), std::nullopt).error() == RecordFault::cut_short);
    CHECK(control(commit, std::nullopt).error() == RecordFault::cut_short);
    CHECK(control(commit, test::hex("0000000000")).error() == RecordFault::cut_short);
    const auto empty = BatchBuilder({.control = true}).finish();
    CHECK(read_control(*Batch::read(empty)).error() == RecordFault::cut_short);
}

TEST_CASE("what is built in any codec, with gaps or without, is what is walked") {
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
        CAPTURE(seed);
        Random random(seed);
        const auto codec = all_codecs[random.below(all_codecs.size())];
        const auto base_offset = static_cast<std::int64_t>(random.below(1'000'000));
        const bool gaps = random.below(2) == 0;
        const auto wanted = random.records(base_offset, gaps);
        BatchBuilder builder({.codec = codec, .base_offset = Offset(base_offset)});
        for (const Model& model : wanted) append(builder, model);
        const auto bytes = builder.finish();
        CHECK(builder.empty());

        const auto batch = Batch::read(bytes);
        REQUIRE(batch);
        CHECK(batch->codec() == codec);
        CHECK(batch->last_offset().value() == wanted.back().offset);
        const auto got = read_all(bytes);
        REQUIRE(got);
        CHECK(*got == wanted);

        Inflater inflater;
        const auto region = inflater.inflate(codec, batch->records());
        REQUIRE(region);
        const auto found =
            validate_records(*region, batch->record_count(), batch->base_timestamp());
        REQUIRE(found);
        std::int64_t most = no_timestamp, least = no_timestamp;
        std::int32_t most_at = -1, null_keys = 0;
        bool in_row = true;
        for (std::size_t i = 0; i < wanted.size(); ++i) {
            const auto time = wanted[i].timestamp;
            if (time > most) {
                most = time;
                most_at = static_cast<std::int32_t>(i);
            }
            if (time != no_timestamp && (least == no_timestamp || time < least)) least = time;
            null_keys += !wanted[i].key;
            in_row = in_row && wanted[i].offset - base_offset == static_cast<std::int64_t>(i);
        }
        CHECK(found->max_timestamp == most);
        CHECK(batch->max_timestamp() == most);
        CHECK(found->max_timestamp_index == most_at);
        CHECK(found->min_timestamp == least);
        CHECK(found->null_keys == null_keys);
        CHECK(found->offsets_in_row == in_row);
    }
}

TEST_CASE("a builder makes one batch after the other, with the same settings") {
    for (const Codec codec : all_codecs) {
        BatchBuilder builder({.codec = codec, .producer_id = ProducerId(4)});
        Deflater deflater;
        std::vector<std::byte> out;
        const Model model{0, 5, "k", "v"};
        append(builder, model);
        builder.finish(deflater, out);
        const auto first = out;
        append(builder, model);
        builder.finish(deflater, out);
        CHECK(out.size() == 2 * first.size());
        CHECK(std::ranges::equal(Bytes(out).subspan(first.size()), first));
        CHECK(*read_all(Bytes(out).subspan(first.size())) == std::vector{model});
    }
}

TEST_CASE("with append time every record has the time of its batch") {
    BatchBuilder builder({.append_time = 1800000000000});
    builder.append({.timestamp = 5, .value = bytes_of("a")});
    builder.append({.timestamp = 9, .value = bytes_of("b")});
    const auto all = read_all(builder.finish());
    REQUIRE(all);
    CHECK(all->at(0).timestamp == 1800000000000);
    CHECK(all->at(1).timestamp == 1800000000000);
}

TEST_CASE("a batch without records keeps its offsets and producer") {
    BatchBuilder builder({.codec = Codec::zstd,
                          .base_offset = Offset(10),
                          .producer_id = ProducerId(4),
                          .producer_epoch = 1,
                          .base_sequence = 20});
    builder.end_at(Offset(14));
    const auto bytes = builder.finish();
    CHECK(bytes.size() == batch_format::header_bytes);
    const auto batch = Batch::read(bytes);
    REQUIRE(batch);
    CHECK(batch->codec() == Codec::none);
    CHECK(batch->last_offset() == Offset(14));
    CHECK(batch->last_sequence() == 24);
    CHECK(batch->record_count() == 0);
    CHECK(read_all(bytes)->empty());
}

TEST_CASE("records that lie about their lengths, counts and headers are refused") {
    struct Row {
        const char* records;
        std::int32_t count;
        RecordFault fault;
    };
    // length, attributes, time delta, offset delta, key, value, headers
    const Row rows[] = {
        {"0c 00 00 00 01 01 00", 2, RecordFault::cut_short},      // One record, two declared.
        {"0c 00 00 00 01 01 00", 0, RecordFault::bytes_left},     // One record, none declared.
        {"0c 00 00 00 01 01 00 00", 1, RecordFault::bytes_left},  // A byte too many.
        {"0e 00 00 00 01 01 00", 1, RecordFault::cut_short},      // Longer than what is there.
        {"0e 00 00 00 01 01 00 00", 1, RecordFault::bad_length},  // Longer than its fields.
        {"0a 00 00 00 01 01 00", 1, RecordFault::bad_varint},     // Shorter than its fields.
        {"01 00 00 00 01 01 00", 1, RecordFault::bad_length},     // Length -1.
        {"00 00 00 00 01 01 00", 1, RecordFault::bad_length},     // Length 0.
        {"ff ff ff ff ff 7f 00", 1, RecordFault::bad_varint},     // Length of six bytes.
        {"0c 00 00 01 01 01 00", 1, RecordFault::bad_offset},     // Offset delta -1.
        {"0c 00 00 00 10 01 00", 1, RecordFault::bad_length},     // Key of 8 bytes.
        {"0c 00 00 00 01 10 00", 1, RecordFault::bad_length},     // Value of 8 bytes.
        {"14 00 00 00 fe ff ff ff 0f 01 00", 1, RecordFault::bad_length},  // Key of 2^31 - 1.
        {"0c 00 00 00 01 01 01", 1, RecordFault::bad_headers},             // -1 headers.
        {"0c 00 00 00 01 01 02", 1, RecordFault::bad_headers},             // One header, not there.
        {"14 00 00 00 01 01 fe ff ff ff 0f", 1, RecordFault::bad_headers},  // 2^31 - 1 headers.
        {"10 00 00 00 01 01 02 01 01", 1, RecordFault::bad_headers},  // Header with a null key.
        {"10 00 00 00 01 01 02 02 01", 1,
         RecordFault::bad_varint},  // Its value's length is missing.
        {"20 00 ff ff ff ff ff ff ff ff ff 7f 00 01 01 00 00", 1, RecordFault::bad_varint},
    };
    for (const Row& row : rows) {
        CAPTURE(row.records);
        const auto region = test::hex(row.records);
        const auto found = validate_records(region, row.count, 0);
        REQUIRE_FALSE(found.has_value());
        CHECK(found.error() == row.fault);
        const auto walked = read_all(batch_around(row.count, region));
        REQUIRE_FALSE(walked.has_value());
        CHECK(walked.error() == row.fault);
    }
}

TEST_CASE("a count of records that the bytes cannot hold is refused before the walk") {
    const auto bytes =
        batch_around(std::numeric_limits<std::int32_t>::max(), test::hex("0c00000001010000"));
    CHECK(read_all(bytes).error() == RecordFault::cut_short);
}

TEST_CASE("an offset above the largest is refused") {
    auto bytes = golden::two_records();
    wire::store(std::span(bytes), batch_format::last_offset_delta_at, std::int32_t{0});
    set_crc(bytes);
    place(bytes, Offset(std::numeric_limits<std::int64_t>::max()), base::LeaderEpoch(0));
    CHECK(read_all(bytes).error() == RecordFault::bad_offset);
}

TEST_CASE("walk and validation agree on records with any byte changed, and neither reads outside") {
    std::size_t refused = 0;
    for (const auto codec : {Codec::none, Codec::gzip, Codec::snappy, Codec::lz4, Codec::zstd}) {
        Random random(7);
        BatchBuilder builder({.codec = codec});
        for (const Model& model : random.records(0, false)) append(builder, model);
        const auto good = builder.finish();
        for (std::size_t at = batch_format::header_bytes; at < good.size(); ++at) {
            auto bytes = good;
            bytes[at] ^= static_cast<std::byte>(1 + random.below(255));
            REQUIRE_FALSE(Batch::read(bytes));
            set_crc(bytes);
            const auto batch = Batch::read(bytes);
            REQUIRE(batch);
            Inflater inflater;
            const auto region = inflater.inflate(codec, batch->records());
            const auto walked = read_all(bytes);
            if (!region) {
                CHECK_FALSE(walked);
                ++refused;
                continue;
            }
            const auto found =
                validate_records(*region, batch->record_count(), batch->base_timestamp());
            CHECK(found.has_value() == walked.has_value());
            refused += !found;
        }
    }
    CHECK(refused > 100);
}

TEST_CASE("numbers of every length are written as short as they can be and read back") {
    const auto round = [](auto value) {
        std::array<std::byte, 10> bytes{};
        std::byte* end = put_varint(bytes.data(), value);
        const auto size = static_cast<std::size_t>(end - bytes.data());
        CHECK(size == varint_bytes(value));
        Cursor in(std::span<const std::byte>(bytes).first(size));
        decltype(value) read = 0;
        CHECK(in.varint(read));
        CHECK(read == value);
        CHECK(in.left() == 0);
        for (std::size_t cut = 0; cut < size; ++cut) {
            Cursor shorter(std::span<const std::byte>(bytes).first(cut));
            CHECK_FALSE(shorter.varint(read));
        }
    };
    for (unsigned bit = 0; bit < 64; ++bit) {
        const auto value = static_cast<std::int64_t>(std::uint64_t{1} << bit);
        const auto before = static_cast<std::int64_t>((std::uint64_t{1} << bit) - 1);
        for (const std::int64_t near : {before, value, -before, ~value}) {
            round(near);
            if (bit < 31) round(static_cast<std::int32_t>(near));
        }
    }
    round(std::numeric_limits<std::int32_t>::min());
    round(std::numeric_limits<std::int32_t>::max());
    CHECK(varint_bytes(std::int32_t{63}) == 1);
    CHECK(varint_bytes(std::int32_t{64}) == 2);
    CHECK(varint_bytes(std::int32_t{-64}) == 1);
    CHECK(varint_bytes(std::int32_t{-65}) == 2);
}
