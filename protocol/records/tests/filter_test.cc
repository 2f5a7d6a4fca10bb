#include "protocol/records/filter.h"

#include <doctest/doctest.h>

#include <string>

using base::Offset;
using records::bytes_of;

namespace {

constexpr std::int64_t horizon = 99'000;

std::vector<std::byte> three(records::BatchSettings settings = {}) {
    settings.base_offset = Offset(10);
    settings.leader_epoch = base::LeaderEpoch(4);
    records::BatchBuilder builder(settings);
    builder.append({.timestamp = 1000, .key = bytes_of("a"), .value = bytes_of("1")});
    builder.append({.timestamp = 1007, .key = bytes_of("b"), .value = std::nullopt});
    builder.append({.timestamp = 1003, .key = bytes_of("c"), .value = bytes_of("3")});
    return builder.finish();
}

struct Filtered {
    std::size_t kept = 0;
    std::vector<std::byte> bytes;

    records::Batch batch() const {
        auto read = records::Batch::read(bytes);
        REQUIRE(read);
        return *read;
    }
    // "offset:key@timestamp" each.
    std::vector<std::string> records() const {
        records::Inflater inflater;
        auto walk = records::RecordWalk::open(batch(), inflater);
        REQUIRE(walk);
        std::vector<std::string> all;
        while (const auto* const record = walk->next()) {
            all.push_back(std::to_string(record->offset.value()) + ":" +
                          std::string(records::text_of(*record->key)) + "@" +
                          std::to_string(record->timestamp));
        }
        CHECK_FALSE(walk->fault());
        return all;
    }
};

Filtered filter(const std::vector<std::byte>& bytes, const std::string& keys,
                records::BatchRetention retention = {.delete_horizon = horizon}) {
    Filtered out;
    records::ConvertScratch scratch;
    const auto kept = records::filter_batch(
        *records::Batch::read(bytes), retention,
        [&](const records::Record& record) { return keys.contains(records::text_of(*record.key)); },
        scratch, out.bytes);
    REQUIRE(kept);
    out.kept = *kept;
    return out;
}

}  // namespace

TEST_SUITE("records/filter") {
    TEST_CASE("a batch without some of its records keeps its place, its producer and its codec") {
        for (const auto codec : {records::Codec::none, records::Codec::zstd}) {
            const auto out = filter(three({.codec = codec,
                                           .producer_id = base::ProducerId(7),
                                           .producer_epoch = 2,
                                           .base_sequence = 30,
                                           .transactional = true}),
                                    "ac");
            const auto batch = out.batch();
            CHECK(out.kept == 2);
            CHECK(out.records() == std::vector<std::string>{"10:a@1000", "12:c@1003"});
            CHECK(batch.base_offset() == Offset(10));
            CHECK(batch.last_offset() == Offset(12));
            CHECK(batch.max_timestamp() == 1003);
            CHECK(batch.codec() == codec);
            CHECK(batch.producer_id() == base::ProducerId(7));
            CHECK(batch.last_sequence() == 32);
            CHECK(batch.is_transactional());
            CHECK(batch.leader_epoch() == base::LeaderEpoch(4));
            CHECK_FALSE(batch.has_delete_horizon());
        }
    }

    TEST_CASE("a batch that loses nothing and holds no tombstone is the same bytes") {
        records::BatchBuilder builder;
        builder.append({.timestamp = 5, .key = bytes_of("a"), .value = bytes_of("1")});
        const auto bytes = builder.finish();
        CHECK(filter(bytes, "a").bytes == bytes);
    }

    TEST_CASE("a batch with a tombstone gets a delete horizon once, and keeps its timestamps") {
        const auto first = filter(three(), "abc");
        CHECK(first.kept == 3);
        CHECK(first.batch().has_delete_horizon());
        CHECK(first.batch().base_timestamp() == horizon);
        CHECK(first.batch().max_timestamp() == 1007);
        CHECK(first.records() == std::vector<std::string>{"10:a@1000", "11:b@1007", "12:c@1003"});
        CHECK(filter(first.bytes, "abc", {.delete_horizon = horizon + 5}).bytes == first.bytes);
        const auto second = filter(first.bytes, "bc", {.delete_horizon = horizon + 5});
        CHECK(second.batch().base_timestamp() == horizon);
        CHECK(second.records() == std::vector<std::string>{"11:b@1007", "12:c@1003"});
        CHECK(second.batch().base_offset() == Offset(10));
    }

    TEST_CASE("LogAppendTime stays the time of all that is left") {
        const auto out = filter(three({.append_time = 7777}), "c");
        CHECK(out.records() == std::vector<std::string>{"12:c@7777"});
        CHECK(out.batch().timestamp_type() == records::TimestampType::log_append_time);
    }

    TEST_CASE("a batch of which nothing is left goes, or stays as a header") {
        const auto bytes = three({.codec = records::Codec::gzip,
                                  .producer_id = base::ProducerId(7),
                                  .producer_epoch = 2,
                                  .base_sequence = 30});
        CHECK(filter(bytes, "").bytes.empty());
        const auto out = filter(bytes, "", {.keeps_header = true});
        CHECK(out.kept == 0);
        const auto batch = out.batch();
        CHECK(batch.size() == 61);
        CHECK(batch.record_count() == 0);
        CHECK(batch.last_offset() == Offset(12));
        CHECK(batch.last_sequence() == 32);
        CHECK(batch.max_timestamp() == 1007);
        CHECK(batch.codec() == records::Codec::none);
        CHECK(filter(out.bytes, "", {.keeps_header = true}).bytes == out.bytes);
    }

    TEST_CASE("records that do not decode are a fault, and nothing is put out") {
        auto bytes = three();
        bytes[61] = std::byte{0x01};  // A length below zero.
        records::set_crc(bytes);
        records::ConvertScratch scratch;
        std::vector<std::byte> out{std::byte{1}};
        const auto kept = records::filter_batch(
            *records::Batch::read(bytes), {}, [](const records::Record&) { return true; }, scratch,
            out);
        REQUIRE_FALSE(kept);
        CHECK(kept.error() == records::ConvertFault::corrupt);
        CHECK(out.size() == 1);
    }
}
