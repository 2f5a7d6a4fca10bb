#include "protocol/records/validate.h"

#include "protocol/base/crc32c.h"
#include "protocol/records/batch_format.h"
#include "protocol/records/tests/golden.h"
#include "protocol/records/tests/messages.h"
#include "protocol/wire/big_endian.h"

#include <doctest/doctest.h>

#include <limits>

using namespace records;
using base::Offset;
using base::ProducerId;
using test::all_codecs;
using test::Model;
using test::Random;
using test::read_all;

namespace {

__extension__ using Wide = __int128;

constexpr std::int64_t now = 1700000000000;
constexpr std::int64_t forever = std::numeric_limits<std::int64_t>::max();

// A partition's rules, a client's payload, and what the leader says to it.
struct Fixture {
    ConvertScratch scratch;
    ProduceRules rules{.now_ms = now};
    std::vector<std::byte> payload;

    base::Result<Accepted, Rejection> produce(std::vector<std::byte> bytes,
                                              std::int16_t version = 9) {
        payload = std::move(bytes);
        return validate_produce(payload, version, rules, scratch);
    }

    ProduceError error(std::vector<std::byte> bytes, std::int16_t version = 9) {
        const auto verdict = produce(std::move(bytes), version);
        REQUIRE_FALSE(verdict.has_value());
        CHECK_FALSE(verdict.error().message.empty());
        return verdict.error().error;
    }

    bool in_place(const Accepted& accepted) const {
        return accepted.rebuilt.empty() && accepted.bytes.data() == payload.data();
    }
};

std::vector<Model> three() {
    return {
        {0, now - 5, "a", "1", {{"h", "x"}}}, {1, now + 7, "b", std::nullopt}, {2, now, "c", "3"}};
}

std::vector<std::byte> batch_of(const std::vector<Model>& models, BatchSettings settings = {}) {
    BatchBuilder builder(settings);
    for (const Model& model : models) test::append(builder, model);
    return builder.finish();
}

template <class T>
std::vector<std::byte> changed(std::vector<std::byte> bytes, std::size_t at, T value) {
    wire::store(std::span(bytes), at, value);
    set_crc(bytes);
    return bytes;
}

std::vector<std::byte> joined(std::vector<std::byte> a, const std::vector<std::byte>& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

}  // namespace

TEST_CASE("a good batch of any codec is appended as it came, in place") {
    for (const Codec codec : all_codecs) {
        Fixture in;
        const auto sent = batch_of(three(), {.codec = codec,
                                             .producer_id = ProducerId(5),
                                             .producer_epoch = 1,
                                             .base_sequence = 40,
                                             .transactional = true});
        const auto accepted = in.produce(sent);
        REQUIRE(accepted);
        CHECK(in.in_place(*accepted));
        CHECK(in.payload == sent);
        CHECK(accepted->bytes.size() == sent.size());
        CHECK(accepted->record_count == 3);
        CHECK(accepted->last_offset_delta == 2);
        CHECK(accepted->max_timestamp == now + 7);
        CHECK(accepted->max_timestamp_delta == 1);
        CHECK(accepted->log_append_time == -1);
        CHECK(accepted->producer_id == ProducerId(5));
        CHECK(accepted->producer_epoch == 1);
        CHECK(accepted->base_sequence == 40);
        CHECK(accepted->last_sequence == 42);
        CHECK(accepted->transactional);
        CHECK(inflates(in.payload) == (codec != Codec::none));
    }
}

TEST_CASE("a verdict that is moved keeps its bytes") {
    Fixture in;
    in.rules.codec = Codec::gzip;
    auto verdict = in.produce(batch_of(three()));
    REQUIRE(verdict);
    const Accepted moved = *std::move(verdict);
    CHECK(moved.bytes.data() == moved.rebuilt.data());
    CHECK(*read_all(moved.bytes) == three());
}

TEST_CASE("since version 3 a partition gets exactly one batch of format 2") {
    Fixture in;
    const auto one = batch_of(three());
    CHECK(in.error({}) == ProduceError::invalid_record);
    CHECK(in.error(test::hex("00000000")) == ProduceError::invalid_record);
    CHECK(in.error(joined(one, one)) == ProduceError::invalid_record);
    CHECK(in.error(golden::message_v1(), 3) == ProduceError::invalid_record);
    CHECK(in.error(joined(one, golden::message_v1()), 3) == ProduceError::invalid_record);
}

TEST_CASE("bytes that do not make an entry are passed over behind the batch") {
    Fixture in;
    const auto one = batch_of(three());
    const auto accepted = in.produce(joined(one, test::hex("0000000000000000 000000")));
    REQUIRE(accepted);
    CHECK(accepted->bytes.size() == one.size());
    auto cut = one;
    cut.pop_back();
    CHECK(in.error(cut) == ProduceError::invalid_record);
    CHECK(in.produce(joined(one, cut)));
}

TEST_CASE("an empty set of an old producer is nothing to append, and no error") {
    Fixture in;
    for (const std::int16_t version : {0, 1, 2}) {
        const auto accepted = in.produce({}, version);
        REQUIRE(accepted);
        CHECK(accepted->bytes.empty());
        CHECK(accepted->record_count == 0);
    }
}

TEST_CASE("entries whose length or format cannot be are corrupt") {
    using namespace batch_format;
    Fixture in;
    const auto good = batch_of(three());
    CHECK(in.error(changed<std::int32_t>(good, batch_length_at, 13)) ==
          ProduceError::corrupt_message);
    CHECK(in.error(changed<std::int32_t>(good, batch_length_at, -1)) ==
          ProduceError::corrupt_message);
    CHECK(in.error(changed<std::int32_t>(good, batch_length_at, 48)) ==
          ProduceError::corrupt_message);
    CHECK(in.error(changed<std::int8_t>(good, magic_at, 3)) == ProduceError::corrupt_message);
    CHECK(in.error(changed<std::int8_t>(good, magic_at, -1)) == ProduceError::corrupt_message);
}

TEST_CASE("a batch with any byte changed behind its epoch is never accepted") {
    Fixture in;
    for (const Codec codec : all_codecs) {
        const auto good = batch_of(three(), {.codec = codec});
        for (std::size_t at = 0; at < good.size(); ++at) {
            auto bytes = good;
            bytes[at] ^= std::byte{0x10};
            const bool epoch = at >= batch_format::leader_epoch_at && at < batch_format::magic_at;
            CHECK(in.produce(bytes).has_value() == epoch);
        }
    }
}

TEST_CASE("a checksum over the wrong range is corrupt") {
    Fixture in;
    auto bytes = batch_of(three());
    wire::store(std::span(bytes), batch_format::crc_at, base::crc32c(std::span(bytes).subspan(16)));
    CHECK(in.error(bytes) == ProduceError::corrupt_message);
}

TEST_CASE("headers that no producer may write are refused, the checksum right or not") {
    using namespace batch_format;
    Fixture in;
    const auto good = batch_of(three());
    const auto invalid = ProduceError::invalid_record;
    CHECK(in.error(changed<std::int64_t>(good, base_offset_at, 1)) == invalid);
    CHECK(in.error(changed<std::int64_t>(good, base_offset_at, -1)) == invalid);
    CHECK(in.error(changed<std::int32_t>(good, last_offset_delta_at, -1)) == invalid);
    CHECK(in.error(changed<std::int32_t>(good, last_offset_delta_at, 3)) == invalid);
    CHECK(in.error(changed<std::int32_t>(good, record_count_at, 0)) == invalid);
    CHECK(in.error(changed<std::int32_t>(good, record_count_at, -1)) == invalid);
    CHECK(in.error(changed<std::int32_t>(good, record_count_at, 2)) == invalid);
    CHECK(in.error(changed<std::int64_t>(good, producer_id_at, 1)) == invalid);  // No sequence.
    CHECK(in.error(changed<std::int16_t>(good, attributes_at, 5)) ==
          ProduceError::unsupported_compression_type);
    CHECK(in.error(build_marker({.type = ControlType::commit,
                                 .producer_id = ProducerId(1),
                                 .producer_epoch = 0,
                                 .coordinator_epoch = 0,
                                 .timestamp = now})) == invalid);
    // Count and offsets agree with each other, and not with the records.
    auto more = changed<std::int32_t>(good, record_count_at, 4);
    CHECK(in.error(changed<std::int32_t>(more, last_offset_delta_at, 3)) == invalid);
    auto fewer = changed<std::int32_t>(good, record_count_at, 2);
    CHECK(in.error(changed<std::int32_t>(fewer, last_offset_delta_at, 1)) == invalid);
    auto many =
        changed<std::int32_t>(good, record_count_at, std::numeric_limits<std::int32_t>::max());
    CHECK(in.error(changed<std::int32_t>(many, last_offset_delta_at,
                                         std::numeric_limits<std::int32_t>::max() - 1)) == invalid);
}

TEST_CASE("records with a byte changed under a right checksum are refused or still whole") {
    std::size_t refused = 0;
    for (const Codec codec : all_codecs) {
        Fixture in;
        in.rules.timestamp_after_ms_max = forever;
        const auto good = batch_of(three(), {.codec = codec});
        for (std::size_t at = batch_format::header_bytes; at < good.size(); ++at) {
            for (const unsigned flip : {0x01u, 0x80u, 0xffu}) {
                auto bytes = good;
                bytes[at] ^= static_cast<std::byte>(flip);
                set_crc(bytes);
                const auto verdict = in.produce(bytes);
                refused += !verdict;
                if (!verdict) continue;
                const auto records = read_all(verdict->bytes);
                REQUIRE(records);
                CHECK(records->size() == 3);
                CHECK(records->back().offset == 2);
            }
        }
    }
    CHECK(refused > 100);
}

TEST_CASE("max.message.bytes holds for what comes and for what is made of it") {
    Fixture in;
    const auto sent = batch_of(three());
    in.rules.message_bytes_max = static_cast<std::int32_t>(sent.size());
    CHECK(in.produce(sent));
    in.rules.message_bytes_max -= 1;
    CHECK(in.error(sent) == ProduceError::message_too_large);

    const auto packed = batch_of({{0, now, "a", std::string(5000, 'x')}}, {.codec = Codec::gzip});
    in.rules.message_bytes_max = 1000;
    CHECK(in.produce(packed));
    in.rules.codec = Codec::none;
    CHECK(in.error(packed) == ProduceError::message_too_large);
}

TEST_CASE("the size is asked before the checksum, and the base offset before the size") {
    Fixture in;
    auto bytes = batch_of(three());
    bytes.back() ^= std::byte{1};
    in.rules.message_bytes_max = 10;
    CHECK(in.error(bytes) == ProduceError::message_too_large);
    wire::store(std::span(bytes), 0, std::int64_t{1});
    CHECK(in.error(bytes) == ProduceError::invalid_record);
}

TEST_CASE("more than a segment holds is refused") {
    Fixture in;
    const auto sent = batch_of(three());
    in.rules.segment_bytes = static_cast<std::int32_t>(sent.size());
    CHECK(in.produce(sent));
    in.rules.segment_bytes -= 1;
    CHECK(in.error(sent) == ProduceError::record_list_too_large);
}

TEST_CASE("zstd needs version 7") {
    Fixture in;
    const auto sent = batch_of(three(), {.codec = Codec::zstd});
    CHECK(in.error(sent, 6) == ProduceError::unsupported_compression_type);
    CHECK(in.produce(sent, 7));
}

TEST_CASE("compression.type makes the batch anew, and everything in it stays") {
    for (const Codec source : all_codecs) {
        for (const Codec target : all_codecs) {
            Fixture in;
            in.rules.codec = target;
            const auto accepted = in.produce(batch_of(three(), {.codec = source,
                                                                .producer_id = ProducerId(5),
                                                                .producer_epoch = 1,
                                                                .base_sequence = 40,
                                                                .transactional = true}));
            REQUIRE(accepted);
            CHECK(in.in_place(*accepted) == (source == target));
            CHECK(accepted->batch().codec() == target);
            CHECK(*read_all(accepted->bytes) == three());
            CHECK(accepted->producer_id == ProducerId(5));
            CHECK(accepted->base_sequence == 40);
            CHECK(accepted->transactional);
            CHECK(accepted->max_timestamp == now + 7);
        }
    }
}

TEST_CASE("compressed batches whose inner offsets are in disorder are put in a row") {
    const std::vector<Model> odd{{0, now, "a", "1", {{"h", std::nullopt}}}, {5, now, "b", "2"}};
    for (const Codec codec : all_codecs) {
        Fixture in;
        auto sent = batch_of(odd, {.codec = codec,
                                   .producer_id = ProducerId(5),
                                   .producer_epoch = 1,
                                   .base_sequence = 40});
        sent = changed<std::int32_t>(sent, batch_format::last_offset_delta_at, 1);
        if (codec == Codec::none) {
            CHECK(in.error(sent) == ProduceError::invalid_record);
            continue;
        }
        const auto accepted = in.produce(sent);
        REQUIRE(accepted);
        CHECK_FALSE(in.in_place(*accepted));
        auto wanted = odd;
        wanted[1].offset = 1;
        CHECK(*read_all(accepted->bytes) == wanted);
        CHECK(accepted->batch().codec() == codec);
        CHECK(accepted->last_offset_delta == 1);
        CHECK(accepted->producer_id == ProducerId(5));
        CHECK(accepted->base_sequence == 40);
    }
}

TEST_CASE("a maximum timestamp that lies is put right") {
    for (const Codec codec : all_codecs) {
        Fixture in;
        const auto good = batch_of(three(), {.codec = codec});
        const auto accepted = in.produce(changed(good, batch_format::max_timestamp_at, now + 99));
        REQUIRE(accepted);
        CHECK(in.in_place(*accepted));
        CHECK(Batch::read(accepted->bytes));
        CHECK(in.payload == good);
    }
}

TEST_CASE("on a topic with append time the batch gets the time of the broker") {
    for (const Codec codec : all_codecs) {
        Fixture in;
        in.rules.timestamp_type = TimestampType::log_append_time;
        in.rules.timestamp_before_ms_max = 0;
        const auto accepted = in.produce(batch_of(three(), {.codec = codec}));
        REQUIRE(accepted);
        CHECK(accepted->log_append_time == now);
        CHECK(accepted->max_timestamp == now);
        const auto batch = Batch::read(accepted->bytes);
        REQUIRE(batch);
        CHECK(batch->timestamp_type() == TimestampType::log_append_time);
        CHECK(batch->max_timestamp() == now);
        in.rules.codec = Codec::lz4;
        const auto rebuilt = in.produce(batch_of(three(), {.codec = codec}));
        REQUIRE(rebuilt);
        CHECK(Batch::read(rebuilt->bytes)->timestamp_type() == TimestampType::log_append_time);
    }
}

TEST_CASE("records of a compacted topic need keys, and all that have none are named") {
    const std::vector<Model> models{{0, now, "a", "1"},
                                    {1, now, std::nullopt, "2"},
                                    {2, now, "", "3"},
                                    {3, now, std::nullopt, "4"}};
    for (const Codec codec : all_codecs) {
        Fixture in;
        CHECK(in.produce(batch_of(models, {.codec = codec})));
        in.rules.compacted = true;
        in.rules.validate_compressed = false;  // Keys are looked at all the same.
        const auto verdict = in.produce(batch_of(models, {.codec = codec}));
        REQUIRE_FALSE(verdict);
        CHECK(verdict.error().error == ProduceError::invalid_record);
        REQUIRE(verdict.error().records.size() == 2);
        CHECK(verdict.error().records[0].batch_index == 1);
        CHECK(verdict.error().records[1].batch_index == 3);
        CHECK(in.produce(batch_of(three(), {.codec = codec})));
    }
}

TEST_CASE("timestamps outside of the window are refused, at its ends and without timestamp not") {
    struct Row {
        std::int64_t timestamp;
        bool good;
    };
    const Row rows[] = {{now, true},          {-1, true},        {now - 1000, true},
                        {now - 1001, false},  {now + 500, true}, {now + 501, false},
                        {0, false},           {-2, false},       {forever, false},
                        {-forever - 1, false}};
    for (const auto& [timestamp, good] : rows) {
        for (const Codec codec : {Codec::none, Codec::lz4}) {
            CAPTURE(timestamp);
            Fixture in;
            in.rules.timestamp_before_ms_max = 1000;
            in.rules.timestamp_after_ms_max = 500;
            const auto sent =
                batch_of({{0, now, "a", "1"}, {1, timestamp, "b", "2"}}, {.codec = codec});
            const auto verdict = in.produce(sent);
            CHECK(verdict.has_value() == good);
            if (good) continue;
            CHECK(verdict.error().error == ProduceError::invalid_timestamp);
            REQUIRE(verdict.error().records.size() == 1);
            CHECK(verdict.error().records[0].batch_index == 1);
            in.rules.timestamp_before_ms_max = in.rules.timestamp_after_ms_max = forever;
            CHECK(in.produce(sent));
            in.rules.timestamp_type = TimestampType::log_append_time;
            in.rules.timestamp_before_ms_max = in.rules.timestamp_after_ms_max = 0;
            CHECK(in.produce(sent));
        }
    }
}

TEST_CASE("an error of timestamps outweighs one of keys, and long lists of offenders are cut") {
    Fixture in;
    in.rules.compacted = true;
    std::vector<Model> models{{0, now, std::nullopt, "1"}, {1, now * 2, "b", "2"}};
    const auto both = in.produce(batch_of(models));
    REQUIRE_FALSE(both);
    CHECK(both.error().error == ProduceError::invalid_timestamp);
    CHECK(both.error().records.size() == 2);
    for (std::int64_t i = 2; i < 5000; ++i) models.push_back({i, now, std::nullopt, "x"});
    const auto many = in.produce(batch_of(models));
    REQUIRE_FALSE(many);
    CHECK(many.error().records.size() == record_errors_max);
}

TEST_CASE("the claim of append time is refused, or taken back where Kafka does that") {
    Fixture in;
    const auto claim = [](std::int64_t timestamp) {
        return batch_of({{0, now - 5, "a", "1"}, {1, now - 9, "b", "2"}},
                        {.append_time = timestamp});
    };
    CHECK(in.error(claim(-1)) == ProduceError::invalid_timestamp);
    CHECK(in.error(claim(now * 2)) == ProduceError::invalid_timestamp);
    const auto accepted = in.produce(claim(now));
    REQUIRE(accepted);
    CHECK(Batch::read(accepted->bytes)->timestamp_type() == TimestampType::create_time);
    CHECK(accepted->max_timestamp == now - 5);
    CHECK(accepted->batch().max_timestamp() == now - 5);
    // The records' own timestamps then count.
    in.rules.timestamp_before_ms_max = 7;
    CHECK(in.error(claim(now)) == ProduceError::invalid_timestamp);
    in.rules.timestamp_type = TimestampType::log_append_time;
    const auto verdict = in.produce(claim(now));
    REQUIRE_FALSE(verdict);
    CHECK(verdict.error().error == ProduceError::invalid_timestamp);
    CHECK(verdict.error().records.size() == 2);
}

TEST_CASE("what only inflates too much for the caller can be judged again with more") {
    const std::string zeros(std::size_t{2} << 20, '\0');
    Fixture in;
    in.rules.inflated_bytes_max = std::size_t{1} << 20;
    const auto sent = batch_of({{0, now, "a", zeros}}, {.codec = Codec::lz4});
    const auto before = in.scratch.inflater.inflated_bytes();
    const auto refused = in.produce(sent);
    REQUIRE(!refused);
    CHECK(refused.error().is_too_much);
    const auto inflated = in.scratch.inflater.inflated_bytes() - before;
    CHECK(inflated >= in.rules.inflated_bytes_max);
    CHECK(inflated < zeros.size());
    in.rules.inflated_bytes_max = std::size_t{3} << 20;
    CHECK(validate_produce(in.payload, 9, in.rules, in.scratch));
    CHECK(in.scratch.inflater.inflated_bytes() - before > zeros.size());
    const auto broken = in.produce(batch_of(three(), {.codec = Codec::none}), 9);
    CHECK(broken);
}

TEST_CASE("what is compressed anew is told from its front") {
    ProduceRules rules{.now_ms = now};
    const auto gzip = batch_of(three(), {.codec = Codec::gzip});
    const auto plain = batch_of(three());
    CHECK(!deflates(gzip, rules));
    CHECK(!deflates(plain, rules));
    CHECK(deflates(test::wrapper(1, Codec::gzip, 0, three()), rules));
    rules.codec = Codec::gzip;
    CHECK(!deflates(gzip, rules));
    CHECK(deflates(plain, rules));
    rules.codec = Codec::none;
    CHECK(!deflates(gzip, rules));
    CHECK(!deflates({}, rules));
}

TEST_CASE("the shape of a payload is judged by its headers alone") {
    auto sent = batch_of(three());
    sent.back() ^= std::byte{1};  // The checksum does not match.
    CHECK(!check_shape(sent, 9));
    CHECK(!check_front(sent));
    auto two = sent;
    two.insert(two.end(), sent.begin(), sent.end());
    CHECK(check_shape(two, 9)->error == ProduceError::invalid_record);
    CHECK(!check_shape(two, 2));
    CHECK(check_shape({}, 3)->error == ProduceError::invalid_record);
    CHECK(!check_shape({}, 2));
    CHECK(!check_front({}));
    const std::vector<std::byte> garbage(30);
    CHECK(check_front(garbage)->error == ProduceError::corrupt_message);
    two.resize(sent.size());
    two.insert(two.end(), garbage.begin(), garbage.end());
    CHECK(!check_front(two));
    CHECK(check_shape(two, 2)->error == ProduceError::corrupt_message);
    CHECK(check_shape(two, 9)->error == ProduceError::corrupt_message);
}

TEST_CASE("without validate_compressed the headers of compressed batches are believed") {
    Fixture in;
    in.rules.validate_compressed = false;
    auto sent = batch_of(three(), {.codec = Codec::gzip});
    sent[80] ^= std::byte{0xff};
    set_crc(sent);
    const auto accepted = in.produce(sent);
    REQUIRE(accepted);
    CHECK(in.in_place(*accepted));
    CHECK(accepted->record_count == 3);
    CHECK(accepted->max_timestamp == now + 7);
    const auto late = batch_of({{0, now * 2, "a", "1"}}, {.codec = Codec::gzip});
    CHECK(in.error(late) == ProduceError::invalid_timestamp);
    in.rules.codec = Codec::lz4;  // To be compressed anew it is inflated.
    CHECK(in.error(sent) == ProduceError::invalid_record);
    in.rules = {.now_ms = now};
    CHECK(in.error(sent) == ProduceError::invalid_record);
}

TEST_CASE("CVE-2023-34455: a bomb in a batch is refused, and the next batch is taken") {
    const std::string zeros(std::size_t{6} << 20, '\0');
    for (const Codec codec : all_codecs) {
        if (codec == Codec::none) continue;
        Fixture in;
        in.rules.inflated_bytes_max = std::size_t{5} << 20;
        CHECK(in.error(batch_of({{0, now, "a", zeros}}, {.codec = codec})) ==
              ProduceError::invalid_record);
        CHECK(in.produce(batch_of(three(), {.codec = codec})));
        CHECK(in.scratch.inflater.buffer_bytes() <= std::size_t{4} << 20);
    }
    for (const std::int8_t magic : {0, 1}) {
        for (const Codec codec : {Codec::gzip, Codec::snappy, Codec::lz4}) {
            Fixture in;
            in.rules.inflated_bytes_max = std::size_t{5} << 20;
            const auto bomb = test::wrapper(magic, codec, 0, {{0, now, "a", zeros}});
            CHECK(in.error(bomb, 2) == ProduceError::invalid_record);
            CHECK(in.error(test::wrapper_around(magic, codec, 0, bomb), 2) ==
                  ProduceError::invalid_record);
        }
    }
}

TEST_CASE("messages of old producers become one batch of format 2") {
    for (const std::int8_t magic : {0, 1}) {
        for (const Codec source : {Codec::none, Codec::gzip, Codec::snappy, Codec::lz4}) {
            for (const std::optional<Codec> target :
                 {std::optional<Codec>(), std::optional(Codec::none), std::optional(Codec::zstd)}) {
                Fixture in;
                in.rules.codec = target;
                auto models = three();
                for (Model& model : models) {
                    model.headers.clear();
                    if (magic == 0) model.timestamp = no_timestamp;
                }
                const auto accepted =
                    in.produce(source == Codec::none ? test::messages(magic, models)
                                                     : test::wrapper(magic, source, 2, models),
                               magic == 0 ? 1 : 2);
                REQUIRE(accepted);
                CHECK(*read_all(accepted->bytes) == models);
                CHECK(accepted->batch().codec() == target.value_or(source));
                CHECK(accepted->last_offset_delta == 2);
                CHECK(accepted->producer_id == ProducerId(-1));
                CHECK(accepted->max_timestamp == (magic == 0 ? -1 : now + 7));
                CHECK(accepted->max_timestamp_delta == (magic == 0 ? 0 : 1));
            }
        }
    }
}

TEST_CASE("old messages on a topic with append time get the time of the broker") {
    Fixture in;
    in.rules.timestamp_type = TimestampType::log_append_time;
    const auto accepted = in.produce(golden::message_v0(), 0);
    REQUIRE(accepted);
    CHECK(accepted->log_append_time == now);
    CHECK(read_all(accepted->bytes)->at(0).timestamp == now);
}

TEST_CASE("old messages are held to the rules of keys, times, checksums and company") {
    Fixture in;
    const auto good = golden::message_v1();
    auto damaged = good;
    damaged.back() ^= std::byte{1};
    CHECK(in.error(joined(good, damaged), 2) == ProduceError::corrupt_message);
    auto inner = good;
    inner.back() ^= std::byte{1};
    CHECK(in.error(test::wrapper_around(1, Codec::gzip, 0, inner), 2) ==
          ProduceError::corrupt_message);
    CHECK(
        in.error(test::wrapper_around(1, Codec::gzip, 0, test::wrapper(1, Codec::gzip, 0, three())),
                 2) == ProduceError::invalid_record);
    CHECK(in.error(joined(good, golden::message_v0()), 2) == ProduceError::invalid_record);
    CHECK(in.error(joined(good, golden::two_records()), 2) == ProduceError::invalid_record);
    CHECK(in.error(joined(good, test::wrapper(1, Codec::gzip, 2, three())), 2) ==
          ProduceError::invalid_record);
    auto zstd = good;
    zstd[message_format::attributes_at] = std::byte{4};
    test::set_message_crc(zstd);
    CHECK(in.error(zstd, 2) == ProduceError::unsupported_compression_type);
    auto claims = good;
    claims[message_format::attributes_at] = std::byte{8};
    test::set_message_crc(claims);
    CHECK(in.produce(claims, 2));
    in.rules.timestamp_type = TimestampType::log_append_time;
    CHECK(in.error(claims, 2) == ProduceError::invalid_timestamp);

    in.rules = {.now_ms = now * 2, .timestamp_before_ms_max = 1000};
    CHECK(in.error(good, 2) == ProduceError::invalid_timestamp);
    CHECK(in.produce(golden::message_v0(), 2));
    in.rules = {.now_ms = now, .compacted = true};
    CHECK(in.produce(good, 2));
    CHECK(in.error(test::message(1, {0, now, std::nullopt, "v"}), 2) ==
          ProduceError::invalid_record);
    in.rules = {.now_ms = now, .message_bytes_max = static_cast<std::int32_t>(good.size())};
    CHECK(in.error(good, 2) == ProduceError::message_too_large);  // As a batch it is larger.
}

TEST_CASE("a batch of format 2 may also come in an old version") {
    Fixture in;
    CHECK(in.produce(golden::two_records(), 1));
    CHECK(in.error(joined(golden::two_records(), golden::two_records()), 1) ==
          ProduceError::invalid_record);
}

TEST_CASE("whatever random rules say, what is accepted is what was sent, whole and in a row") {
    for (std::uint64_t seed = 0; seed < 300; ++seed) {
        CAPTURE(seed);
        Random random(seed);
        Fixture in;
        const auto models = random.records(0, false);
        in.rules.compacted = random.below(3) == 0;
        if (random.below(2) == 0) in.rules.timestamp_before_ms_max = 1'000'000;
        in.rules.timestamp_after_ms_max =
            random.below(2) == 0 ? forever : static_cast<std::int64_t>(random.below(200'000));
        if (random.below(4) == 0) in.rules.timestamp_type = TimestampType::log_append_time;
        if (random.below(2) == 0) in.rules.codec = all_codecs[random.below(all_codecs.size())];
        const auto source = all_codecs[random.below(all_codecs.size())];
        const auto verdict = in.produce(batch_of(models, {.codec = source}));

        const bool append_time = in.rules.timestamp_type == TimestampType::log_append_time;
        std::vector<std::int32_t> offenders;
        for (std::size_t i = 0; i < models.size(); ++i) {
            const auto age = static_cast<Wide>(now) - models[i].timestamp;
            const bool outside = (in.rules.timestamp_before_ms_max != forever &&
                                  age > in.rules.timestamp_before_ms_max) ||
                                 -age > in.rules.timestamp_after_ms_max;
            const bool late = !append_time && models[i].timestamp != no_timestamp && outside;
            if (late || (in.rules.compacted && !models[i].key)) {
                offenders.push_back(static_cast<std::int32_t>(i));
            }
        }
        CHECK(verdict.has_value() == offenders.empty());
        if (!verdict) {
            std::vector<std::int32_t> named;
            for (const RecordError& record : verdict.error().records)
                named.push_back(record.batch_index);
            CHECK(named == offenders);
            continue;
        }
        auto wanted = models;
        if (append_time) {
            for (Model& model : wanted) model.timestamp = now;
        }
        CHECK(*read_all(verdict->bytes) == wanted);
        CHECK(verdict->batch().codec() == in.rules.codec.value_or(source));
    }
}
