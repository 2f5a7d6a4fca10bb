#include "protocol/records/convert.h"

#include "protocol/records/batch_format.h"
#include "protocol/records/tests/golden.h"
#include "protocol/records/tests/messages.h"

#include <doctest/doctest.h>

using namespace records;
using base::Offset;
using base::ProducerId;
using test::all_codecs;
using test::Model;
using test::Random;
using test::read_all;

namespace {

constexpr std::array legacy_codecs{Codec::none, Codec::gzip, Codec::snappy, Codec::lz4};

struct Fixture {
    ConvertScratch scratch;
    ConvertLimits limits;

    base::Result<std::vector<std::byte>, ConvertFault> to_batch(Bytes messages, Codec codec) {
        std::vector<std::byte> out;
        const auto done = records::to_batch(messages, codec, std::nullopt, limits, scratch, out);
        if (!done) return base::Unexpected(done.error());
        return out;
    }

    base::Result<std::vector<std::byte>, ConvertFault> to_messages(Bytes entries, std::int8_t magic,
                                                                   std::int64_t fetch_offset = 0) {
        std::vector<std::byte> out{std::byte{42}};
        const auto done =
            records::to_messages(entries, magic, Offset(fetch_offset), limits, scratch, out);
        CHECK(out.front() == std::byte{42});
        if (!done) {
            CHECK(out.size() == 1);
            return base::Unexpected(done.error());
        }
        out.erase(out.begin());
        return out;
    }

    base::Result<std::vector<std::byte>, ConvertFault> recompress(Bytes batch, Codec codec) {
        std::vector<std::byte> out;
        const auto done =
            records::recompress(*Batch::read(batch), codec, std::nullopt, limits, scratch, out);
        if (!done) return base::Unexpected(done.error());
        return out;
    }
};

// As a client of format `magic` sees them.
std::vector<Model> seen_by(std::int8_t magic, std::vector<Model> models) {
    for (Model& model : models) {
        model.headers.clear();
        if (magic == 0) model.timestamp = no_timestamp;
    }
    return models;
}

std::vector<Model> in_a_row(std::vector<Model> models) {
    for (std::size_t i = 0; i < models.size(); ++i) models[i].offset = static_cast<std::int64_t>(i);
    return models;
}

std::vector<std::byte> batch_of(const std::vector<Model>& models, BatchSettings settings = {}) {
    BatchBuilder builder(settings);
    for (const Model& model : models) test::append(builder, model);
    return builder.finish();
}

}  // namespace

TEST_CASE("messages of an old producer, plain or wrapped, become one batch") {
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
        CAPTURE(seed);
        Random random(seed);
        Fixture in;
        const auto magic = static_cast<std::int8_t>(random.below(2));
        const auto source = legacy_codecs[random.below(legacy_codecs.size())];
        const auto target = all_codecs[random.below(all_codecs.size())];
        const auto models = seen_by(magic, in_a_row(random.records(0, false)));
        const auto bytes = source == Codec::none
                               ? test::messages(magic, models)
                               : test::wrapper(magic, source, models.back().offset, models);
        const auto batch = in.to_batch(bytes, target);
        REQUIRE(batch);
        CHECK(*read_all(*batch) == models);
        const auto header = Batch::read(*batch);
        CHECK(header->codec() == target);
        CHECK_FALSE(header->has_producer_id());
        CHECK(header->last_offset_delta() + 1 == static_cast<std::int32_t>(models.size()));
    }
}

TEST_CASE("offsets that an old producer sends do not matter") {
    Fixture in;
    const std::vector<Model> sent{{-1, 5, "a", "1"}, {-1, 6, "b", "2"}, {77, 7, "c", "3"}};
    const auto batch = in.to_batch(test::messages(1, sent), Codec::none);
    REQUIRE(batch);
    CHECK(*read_all(*batch) == in_a_row(sent));
}

TEST_CASE("no messages, damaged ones and bombs do not become a batch") {
    Fixture in;
    CHECK(in.to_batch({}, Codec::none).error() == ConvertFault::corrupt);
    auto bytes = golden::message_v1();
    bytes.back() ^= std::byte{1};
    CHECK(in.to_batch(bytes, Codec::none).error() == ConvertFault::corrupt);
    CHECK(in.to_batch(golden::two_records(), Codec::none).error() == ConvertFault::corrupt);
    const std::vector<Model> models{{0, 5, std::nullopt, std::string(100'000, 'x')}};
    auto twice = test::wrapper(1, Codec::gzip, 0, models);
    const auto once = twice;
    twice.insert(twice.end(), once.begin(), once.end());
    in.limits.inflated_bytes_max = 150'000;
    CHECK(in.to_batch(once, Codec::none));
    CHECK(in.to_batch(twice, Codec::none).error() == ConvertFault::too_large);
}

TEST_CASE("batches become messages for old clients, in their codec, without headers") {
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
        CAPTURE(seed);
        Random random(seed);
        Fixture in;
        const auto magic = static_cast<std::int8_t>(random.below(2));
        const auto codec = legacy_codecs[random.below(legacy_codecs.size())];
        const auto base = static_cast<std::int64_t>(random.below(1000));
        const auto models = random.records(base, random.below(2) == 0);
        const auto batch = batch_of(models, {.codec = codec,
                                             .base_offset = Offset(base),
                                             .producer_id = ProducerId(3),
                                             .producer_epoch = 1,
                                             .base_sequence = 9});
        const auto out = in.to_messages(batch, magic);
        REQUIRE(out);
        CHECK(test::read_messages(*out) == seen_by(magic, models));
        const auto first = Message::read(*out);
        REQUIRE(first);
        CHECK(first->magic() == magic);
        CHECK(first->codec() == codec);
    }
}

TEST_CASE("uncompressed records below the fetch offset are dropped, compressed ones are kept") {
    Fixture in;
    const std::vector<Model> models{{10, 5, "a", "1"}, {11, 6, "b", "2"}, {12, 7, "c", "3"}};
    const auto plain = batch_of(models, {.base_offset = Offset(10)});
    for (const std::int8_t magic : {0, 1}) {
        const auto tail = seen_by(magic, {models.begin() + 1, models.end()});
        CHECK(test::read_messages(*in.to_messages(plain, magic, 11)) == tail);
        CHECK(in.to_messages(plain, magic, 13)->empty());
        const auto packed = batch_of(models, {.codec = Codec::gzip, .base_offset = Offset(10)});
        CHECK(test::read_messages(*in.to_messages(packed, magic, 12)) == seen_by(magic, models));
    }
    // The same for messages of format 1 that become format 0.
    CHECK(test::read_messages(*in.to_messages(test::messages(1, models), 0, 12)) ==
          seen_by(0, {models.back()}));
    CHECK(test::read_messages(*in.to_messages(test::wrapper(1, Codec::lz4, 12, in_a_row(models)), 0,
                                              12)) == seen_by(0, models));
}

TEST_CASE("a wrapper for format 1 counts from its first message and lies at its last") {
    Fixture in;
    const std::vector<Model> models{{12, 5, "a", "1"}, {15, 9, "b", "2"}, {17, 7, "c", "3"}};
    const auto out =
        in.to_messages(batch_of(models, {.codec = Codec::gzip, .base_offset = Offset(10)}), 1);
    REQUIRE(out);
    const auto wrapper = Message::read(*out);
    REQUIRE(wrapper);
    CHECK(wrapper->offset() == Offset(17));
    CHECK(wrapper->timestamp() == 9);
    Inflater inflater;
    Bytes inner = *inflater.inflate(Codec::gzip, *wrapper->value());
    CHECK((*take_message(inner))->offset() == Offset(0));
    CHECK((*take_message(inner))->offset() == Offset(3));
    CHECK((*take_message(inner))->offset() == Offset(5));
}

TEST_CASE("append time reaches clients of format 1 as such") {
    Fixture in;
    for (const Codec codec : {Codec::none, Codec::gzip}) {
        const auto out = in.to_messages(batch_of({{0, 5, "a", "1"}, {1, 9, "b", "2"}},
                                                 {.codec = codec, .append_time = 1800000000000}),
                                        1);
        REQUIRE(out);
        CHECK(Message::read(*out)->timestamp_type() == TimestampType::log_append_time);
        CHECK(Message::read(*out)->timestamp() == 1800000000000);
        for (const Model& model : test::read_messages(*out))
            CHECK(model.timestamp == 1800000000000);
    }
}

TEST_CASE("control batches and batches without records are dropped for old clients") {
    Fixture in;
    auto bytes = golden::commit_marker();
    const auto emptied = BatchBuilder({.base_offset = Offset(3)}).finish();
    bytes.insert(bytes.end(), emptied.begin(), emptied.end());
    CHECK(in.to_messages(bytes, 0)->empty());
    CHECK(in.to_messages(bytes, 1)->empty());
}

TEST_CASE("zstd cannot be had by old clients") {
    Fixture in;
    auto bytes = batch_of({{0, 5, "a", "1"}});
    const auto zstd =
        batch_of({{1, 5, "a", "1"}}, {.codec = Codec::zstd, .base_offset = Offset(1)});
    bytes.insert(bytes.end(), zstd.begin(), zstd.end());
    CHECK(in.to_messages(bytes, 1).error() == ConvertFault::not_possible);
}

TEST_CASE("entries that a client can read are handed on as they are, a cut one is left out") {
    Fixture in;
    const auto v0 = golden::message_v0();
    auto v1 = golden::message_v1();
    auto bytes = v0;
    bytes.insert(bytes.end(), v1.begin(), v1.end());
    const auto whole = bytes;
    const auto v2 = golden::two_records();
    bytes.insert(bytes.end(), v2.begin(), v2.end() - 1);
    CHECK(*in.to_messages(bytes, 1) == whole);
    const auto for_v0 = in.to_messages(bytes, 0);
    REQUIRE(for_v0);
    CHECK(test::read_messages(*for_v0) ==
          std::vector<Model>{{0, -1, "k", "v1"}, {0, -1, "k", "v1"}});
}

TEST_CASE("damaged batches are not converted") {
    Fixture in;
    auto bytes = golden::two_records();
    bytes.back() ^= std::byte{1};
    CHECK(in.to_messages(bytes, 1).error() == ConvertFault::corrupt);
    const auto bomb = batch_of({{0, 5, "a", std::string(2'000'000, 'x')}}, {.codec = Codec::gzip});
    in.limits.inflated_bytes_max = 1'000'000;
    CHECK(in.to_messages(bomb, 1).error() == ConvertFault::too_large);
}

TEST_CASE("a partial entry looks like a message that the fetch size has cut") {
    std::vector<std::byte> out;
    partial_entry(1000, out);
    CHECK(out == test::hex("ffffffffffffffff 000003e8"));
    Bytes rest = out;
    CHECK_FALSE(take_message(rest)->has_value());
}

TEST_CASE("a batch in another codec says the same, producer, flags, gaps and all") {
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
        CAPTURE(seed);
        Random random(seed);
        Fixture in;
        const auto source = all_codecs[random.below(all_codecs.size())];
        const auto target = all_codecs[random.below(all_codecs.size())];
        BatchSettings settings{.codec = source,
                               .base_offset = Offset(50),
                               .leader_epoch = base::LeaderEpoch(4),
                               .producer_id = ProducerId(8),
                               .producer_epoch = 2,
                               .base_sequence = 77,
                               .transactional = random.below(2) == 0};
        if (random.below(2) == 0) settings.append_time = 1800000000000;
        BatchBuilder builder(settings);
        for (const Model& model : random.records(50, true)) test::append(builder, model);
        builder.end_at(Offset(100'000));
        const auto before = builder.finish();
        const auto after = in.recompress(before, target);
        REQUIRE(after);
        CHECK(*read_all(*after) == *read_all(before));
        const auto a = Batch::read(before), b = Batch::read(*after);
        CHECK(b->codec() == target);
        CHECK(b->last_offset() == Offset(100'000));
        CHECK(b->leader_epoch() == a->leader_epoch());
        CHECK(b->attributes() - static_cast<int>(target) ==
              a->attributes() - static_cast<int>(source));
        CHECK(b->max_timestamp() == a->max_timestamp());
        CHECK(b->base_timestamp() == a->base_timestamp());
        CHECK(b->producer_id() == ProducerId(8));
        CHECK(b->producer_epoch() == 2);
        CHECK(b->base_sequence() == 77);
        CHECK(*in.recompress(*after, source) == before);
    }
}

TEST_CASE("control batches and batches without records are never compressed") {
    Fixture in;
    CHECK(*in.recompress(golden::abort_marker(), Codec::zstd) == golden::abort_marker());
    const auto emptied = BatchBuilder({.base_offset = Offset(3)}).finish();
    CHECK(*in.recompress(emptied, Codec::gzip) == emptied);
}

TEST_CASE("messages to batch and back are the same messages") {
    for (std::uint64_t seed = 0; seed < 40; ++seed) {
        CAPTURE(seed);
        Random random(seed);
        Fixture in;
        const auto magic = static_cast<std::int8_t>(random.below(2));
        const auto models = seen_by(magic, random.records(0, false));
        const auto codec = legacy_codecs[random.below(legacy_codecs.size())];
        const auto batch = in.to_batch(test::messages(magic, models), codec);
        REQUIRE(batch);
        const auto back = in.to_messages(*batch, magic);
        REQUIRE(back);
        CHECK(test::read_messages(*back) == models);
        if (codec == Codec::none) CHECK(*back == test::messages(magic, models));
    }
}
