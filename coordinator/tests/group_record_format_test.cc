#include "coordinator/group/group_record_format.h"

#include "coordinator/group/group_id.h"
#include "coordinator/group/subscription.h"
#include "coordinator/tests/group_fixture.h"
#include "protocol/tests/hex.h"

using namespace test;
using coordinator::decode;
using coordinator::encode;
using coordinator::GroupRecord;
using coordinator::OffsetRecord;
using coordinator::Record;
using coordinator::RecordFault;

namespace {

Record back(const coordinator::EncodedRecord& encoded) {
    std::optional<std::span<const std::byte>> value;
    if (encoded.value) value = *encoded.value;
    const auto decoded = decode(encoded.key, value);
    REQUIRE(decoded);
    return *decoded;
}

GroupRecord some_group() {
    coordinator::GroupSnapshot snapshot;
    snapshot.protocol_type = "consumer";
    snapshot.generation = 7;
    snapshot.protocol = "range";
    snapshot.leader = "m1";
    snapshot.state_ms = 1'700'000'000'000;
    snapshot.members = {
        {"m1", std::nullopt, "c", "/::1", 60'000, 10'000, subscription({"t"}), blob("a1")},
        {"m2", "i2", "c", "/::1", 60'000, 10'000, subscription({"t"}), blob("")}};
    return {"my-group", snapshot};
}

}  // namespace

TEST_SUITE("coordinator/group_record_format") {
    TEST_CASE("an offset's record has the bytes that Apache Kafka writes") {
        OffsetRecord record;
        record.group_id = "my-group";
        record.partition = at("orders", 3);
        record.committed = CommittedOffset{Offset(42), base::LeaderEpoch(7), "meta", 1'700'000'000'000, {}};
        const auto encoded = encode(record);
        CHECK(encoded.key == hex("000100086d792d67726f757000066f726465727300000003"));
        CHECK(encoded.value == hex("0003000000000000002a0000000700046d6574610000018bcfe56800"));
        CHECK(back(encoded) == Record(record));
    }

    TEST_CASE("an offset with a retention of its own is written as version 1") {
        OffsetRecord record{"g", at("t", 0), CommittedOffset{Offset(1), base::LeaderEpoch(-1), "", 5, 99}};
        const auto encoded = encode(record);
        CHECK(encoded.value->at(1) == std::byte{1});
        CHECK(back(encoded) == Record(record));
    }

    TEST_CASE("a group's key has the bytes that Apache Kafka writes, its value comes back") {
        const auto encoded = encode(some_group());
        CHECK(encoded.key == hex("000200086d792d67726f7570"));
        CHECK(encoded.value->at(1) == std::byte{3});
        CHECK(back(encoded) == Record(some_group()));
    }

    TEST_CASE("a null value is a tombstone") {
        CHECK(back(encode(GroupRecord{"g", std::nullopt})) == Record(GroupRecord{"g", std::nullopt}));
        const OffsetRecord offset{"g", at("t", 1), std::nullopt};
        CHECK(back(encode(offset)) == Record(offset));
    }

    TEST_CASE("keys of type 0 are offsets too, keys of unknown types are passed over") {
        auto key = encode(OffsetRecord{"g", at("t", 1), std::nullopt}).key;
        key[1] = std::byte{0};
        CHECK(decode(key, std::nullopt));
        for (const int type : {3, 8, 16, 99}) {
            key[1] = static_cast<std::byte>(type);
            const auto other = decode(key, std::nullopt);
            REQUIRE_FALSE(other);
            CHECK(other.error() == RecordFault::other_type);
        }
    }

    TEST_CASE("a record that is cut anywhere is damaged and nothing worse") {
        const auto encoded = encode(some_group());
        for (std::size_t size = 0; size < encoded.key.size(); ++size) {
            const auto cut = decode(std::span(encoded.key).first(size), std::nullopt);
            REQUIRE_FALSE(cut);
            CHECK(cut.error() == RecordFault::damaged);
        }
        for (std::size_t size = 0; size < encoded.value->size(); ++size) {
            CHECK_FALSE(decode(encoded.key, std::span<const std::byte>(*encoded.value).first(size)));
        }
    }

    TEST_CASE("a group lives in the partition that Java's hash gives it") {
        struct {
            const char* id;
            std::int32_t hash;
            int partition;
        } const rows[] = {{"", 0, 0},
                          {"test-group", 627841412, 12},
                          {"my-group", -1906497762, 12},
                          {"orders-consumer", -1204742690, 40},
                          {"perf-consumer-12", -412512652, 2},
                          {"connect-cluster", 1440343063, 13},
                          {"Überraschung", 453868536, 36},
                          {"😀", 1772899, 49},
                          {"polygenelubricants", std::numeric_limits<std::int32_t>::min(), 0}};
        for (const auto& row : rows) {
            CAPTURE(row.id);
            CHECK(coordinator::java_hash(row.id) == row.hash);
            CHECK(coordinator::partition_of(row.id, 50) == PartitionIndex(row.partition));
        }
    }

    TEST_CASE("bytes that are no UTF-8 hash as the replacement character") {
        CHECK(coordinator::java_hash("\xff") == coordinator::java_hash("\uFFFD"));
        CHECK(coordinator::java_hash("a\xe2\x82") == coordinator::java_hash("a\uFFFD\uFFFD"));
        CHECK(coordinator::java_hash("\xed\xa0\x80") == coordinator::java_hash("\uFFFD\uFFFD\uFFFD"));
    }

    TEST_CASE("a subscription gives its topics, and bytes that are none are refused at any length") {
        const auto metadata = subscription({"orders", "t"});
        std::set<std::string> topics;
        CHECK(coordinator::read_subscription(metadata.bytes(), topics));
        CHECK(topics == std::set<std::string>{"orders", "t"});
        const std::size_t needed = 2 + 4 + 2 + 6 + 2 + 1;
        for (std::size_t size = 0; size < needed; ++size) {
            CHECK_FALSE(coordinator::read_subscription(metadata.bytes().first(size), topics));
        }
        CHECK_FALSE(coordinator::read_subscription(hex("0000 7fffffff 0001 61"), topics));
        CHECK_FALSE(coordinator::read_subscription(hex("0000 ffffffff"), topics));
        CHECK_FALSE(coordinator::read_subscription(hex("0000 00000001 ffff"), topics));
    }
}
