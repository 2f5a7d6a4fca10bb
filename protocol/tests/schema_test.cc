#include "protocol/schema/all_messages.h"
#include "protocol/schema/api/fetch.h"
#include "protocol/schema/api/metadata.h"
#include "protocol/schema/error_code.h"
#include "protocol/schema/headers.h"
#include "protocol/schema/journal/group_metadata_key.h"
#include "protocol/schema/journal/offset_commit_key.h"
#include "protocol/schema/journal/offset_commit_value.h"
#include "protocol/schema/journal/transaction_log_key.h"
#include "protocol/schema/journal/transaction_log_value.h"
#include "protocol/schema/journal_record.h"
#include "protocol/tests/hex.h"
#include "protocol/wire/reader.h"
#include "protocol/wire/writer.h"

#include <doctest/doctest.h>

using namespace protocol;
using test::hex;

namespace {

template <class Message>
std::vector<std::byte> encoded(const Message& message, std::int16_t version) {
    std::vector<std::byte> out;
    wire::Writer writer(out);
    message.write(writer, version);
    return out;
}

}  // namespace

TEST_CASE("the records of committed offsets are Kafka's, byte for byte") {
    OffsetCommitKey key;
    key.group = "my-group";
    key.topic = "orders";
    key.partition = base::PartitionIndex(3);
    const auto key_bytes = hex("000100086d792d67726f757000066f726465727300000003");
    CHECK(encode_key(key) == key_bytes);
    CHECK(record_type(key_bytes) == OffsetCommitKey::record_type);
    CHECK(decode_key<OffsetCommitKey>(key_bytes) == key);

    OffsetCommitValue value;
    value.offset = base::Offset(42);
    value.leader_epoch = base::LeaderEpoch(7);
    value.metadata = "meta";
    value.commit_timestamp = 1700000000000;
    const auto value_bytes = hex("0003000000000000002a0000000700046d6574610000018bcfe56800");
    CHECK(encode_value(value, 3) == value_bytes);
    CHECK(decode_value<OffsetCommitValue>(value_bytes) == value);
}

TEST_CASE("the records of groups and transactions are Kafka's, byte for byte") {
    GroupMetadataKey group;
    group.group = "my-group";
    CHECK(encode_key(group) == hex("000200086d792d67726f7570"));

    TransactionLogKey key;
    key.transactional_id = "my-txn-1";
    CHECK(encode_key(key) == hex("000000086d792d74786e2d31"));

    TransactionLogValue value;
    value.producer_id = base::ProducerId(1000);
    value.transaction_timeout_ms = 60000;
    value.transaction_status = 1;
    value.transaction_last_update_timestamp_ms = 1700000000000;
    value.transaction_start_timestamp_ms = 1700000000000;
    TransactionLogValue::TransactionPartition orders;
    orders.topic = "orders";
    orders.partition_ids = {base::PartitionIndex(3)};
    value.transaction_partitions->push_back(orders);
    const auto bytes =
        hex("000000000000000003e800000000ea60010000000100066f7264657273000000010000000300"
            "00018bcfe568000000018bcfe56800");
    CHECK(encode_value(value, 0) == bytes);
    CHECK(decode_value<TransactionLogValue>(bytes) == value);
}

TEST_CASE("a record cut anywhere, or of an unknown version, is not decoded") {
    const auto bytes = hex("0003000000000000002a0000000700046d6574610000018bcfe56800");
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        CHECK_FALSE(decode_value<OffsetCommitValue>(std::span(bytes).first(size)));
    }
    auto later = bytes;
    later[1] = std::byte{5};
    CHECK_FALSE(decode_value<OffsetCommitValue>(later));
}

TEST_CASE("a header has the form that key and version ask for") {
    CHECK(request_header_version(7, 0) == 0);
    CHECK(request_header_version(7, 1) == 1);
    CHECK(request_header_version(1, 11) == 1);
    CHECK(request_header_version(1, 12) == 2);
    CHECK(response_header_version(1, 12) == 1);
    CHECK(request_header_version(18, 3) == 2);
    CHECK(response_header_version(18, 3) == 0);
    CHECK(request_header_version(18, 99) == 1);
    CHECK(request_header_version(12345, 9) == 1);

    // Fetch v12, correlation id 7, client "c", one tagged field that nobody knows; then a body.
    auto bytes = hex("0001000c00000007000163010502aabbff");
    wire::Reader reader{std::span(bytes)};
    const auto header = read_request_header(reader);
    CHECK(header.request_api_key == FetchApi::key);
    CHECK(header.request_api_version == 12);
    CHECK(header.correlation_id == 7);
    CHECK(header.client_id == wire::Text("c"));
    CHECK(reader.rest().size() == 1);
}

TEST_CASE("a Fetch request of version 12 reads back as it was written") {
    FetchRequest request;
    request.cluster_id = "cluster";
    request.replica_id = base::BrokerId(2);
    request.max_wait_ms = 500;
    FetchRequest::Topic topic;
    topic.topic = "orders";
    FetchRequest::Topic::Partition partition;
    partition.partition = base::PartitionIndex(1);
    partition.fetch_offset = base::Offset(42);
    topic.partitions = {partition};
    request.topics = {topic};

    auto bytes = encoded(request, 12);
    wire::Reader reader{std::span(bytes)};
    CHECK(FetchRequest::read(reader, 12) == request);
    CHECK(reader.finish());
}

TEST_CASE("null topics ask for all, and only where the version knows null") {
    MetadataRequest request;
    request.topics = std::nullopt;
    CHECK(encoded(request, 1) == hex("ffffffff"));
    CHECK(encoded(request, 0) == hex("00000000"));  // Version 0: empty asks for all.

    const auto null = hex("ffffffff");
    wire::Reader v0{std::span(null)};
    MetadataRequest::read(v0, 0);
    CHECK(v0.failed());
    wire::Reader v1{std::span(null)};
    CHECK_FALSE(MetadataRequest::read(v1, 1).topics);
    CHECK(v1.finish());
}

TEST_CASE("all messages and APIs are in the tables, once each") {
    CHECK(all_apis().size() == 95);
    CHECK(all_messages().size() == 264);
    for (std::int16_t key = 0; key < 95; ++key) {
        REQUIRE(find_api(key));
        CHECK(find_api(key)->key == key);
    }
    CHECK_FALSE(find_api(95));
    CHECK_FALSE(find_api(-1));
    CHECK(error_name(ErrorCode::not_leader_or_follower) == "NOT_LEADER_OR_FOLLOWER");
    CHECK(is_retriable(ErrorCode::not_leader_or_follower));
    CHECK_FALSE(is_retriable(ErrorCode(9999)));
}
