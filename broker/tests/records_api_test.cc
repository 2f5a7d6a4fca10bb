// Produce, Fetch, ListOffsets, DeleteRecords, InitProducerId, OffsetForLeaderEpoch and
// DescribeProducers, through handle() on a real log.

#include "broker/tests/broker_fixture.h"
#include "broker/tests/wait_until.h"
#include "protocol/records/batch_builder.h"
#include "storage/tests/eviction.h"

#include <doctest/doctest.h>

namespace {

using base::Offset;
using base::PartitionIndex;
using protocol::ErrorCode;
using test::BrokerFixture;

struct Batch {
    std::vector<std::string> values;
    std::int64_t timestamp = 1'700'000'000'000;
    base::ProducerId producer{-1};
    std::int16_t epoch = -1;
    std::int32_t sequence = -1;
    records::Codec codec = records::Codec::none;
};

std::vector<std::byte> make(const Batch& wanted) {
    records::BatchSettings settings;
    settings.codec = wanted.codec;
    settings.producer_id = wanted.producer;
    settings.producer_epoch = wanted.epoch;
    settings.base_sequence = wanted.sequence;
    records::BatchBuilder builder(settings);
    std::int64_t timestamp = wanted.timestamp;
    for (const auto& value : wanted.values) {
        records::NewRecord record;
        record.timestamp = timestamp++;
        record.value = std::as_bytes(std::span(value));
        builder.append(record);
    }
    return builder.finish();
}

protocol::ProduceResponse::Topic::Partition produce(BrokerFixture& in, std::vector<std::byte> bytes,
                                                    std::int16_t version = 9, std::int16_t acks = -1,
                                                    const char* topic = "t", std::int32_t partition = 0) {
    protocol::ProduceRequest request;
    request.acks = acks;
    request.timeout_ms = 30'000;
    auto& asked = request.topic_data.emplace_back();
    asked.name = topic;
    auto& data = asked.partition_data.emplace_back();
    data.index = PartitionIndex(partition);
    data.records = wire::Payload(std::move(bytes));
    const auto response = in.call(std::move(request), version);
    REQUIRE(response.responses.size() == 1);
    return response.responses.front().partition_responses.front();
}

protocol::FetchRequest fetch_request(Offset from, std::int32_t max_wait_ms = 0, std::int32_t bytes_max = 1 << 20) {
    protocol::FetchRequest request;
    request.max_wait_ms = max_wait_ms;
    request.min_bytes = 1;
    request.max_bytes = 50 << 20;
    auto& topic = request.topics.emplace_back();
    topic.topic = "t";
    auto& partition = topic.partitions.emplace_back();
    partition.partition = PartitionIndex(0);
    partition.fetch_offset = from;
    partition.partition_max_bytes = bytes_max;
    return request;
}

// The bytes of the answer's records, read from the file where they are slices.
std::vector<std::byte> bytes_of(const protocol::FetchResponse& response) {
    const auto& records = response.responses.front().partitions.front().records;
    std::vector<std::byte> bytes(records.bytes().begin(), records.bytes().end());
    for (const auto& slice : records.slices()) {
        const std::size_t at = bytes.size();
        bytes.resize(at + slice->size());
        REQUIRE(slice->read(0, std::span(bytes).subspan(at)));
    }
    return bytes;
}

protocol::ListOffsetsResponse::Topic::Partition list_offset(BrokerFixture& in, std::int64_t timestamp,
                                                            std::int16_t version = 7) {
    protocol::ListOffsetsRequest request;
    request.replica_id = base::BrokerId(-1);
    auto& topic = request.topics.emplace_back();
    topic.name = "t";
    auto& partition = topic.partitions.emplace_back();
    partition.partition_index = PartitionIndex(0);
    partition.timestamp = timestamp;
    partition.max_num_offsets = 10;
    return in.call(std::move(request), version).topics.front().partitions.front();
}

// A request for an id without a transactional id.
protocol::InitProducerIdRequest idempotent() {
    protocol::InitProducerIdRequest request;
    request.transactional_id.reset();
    return request;
}

}  // namespace

TEST_CASE("what was produced is fetched with the offsets it was answered with") {
    BrokerFixture in;
    in.create_topic("t");
    const auto first = produce(in, make({{"one", "two"}}));
    CHECK(first.error_code == ErrorCode::none);
    CHECK(first.base_offset == Offset(0));
    CHECK(first.log_append_time_ms == -1);
    CHECK(produce(in, make({{"three"}})).base_offset == Offset(2));

    const auto response = in.call(fetch_request(Offset(0)), 11);
    const auto& partition = response.responses.front().partitions.front();
    CHECK(partition.high_watermark == Offset(3));
    auto expected = make({{"one", "two"}});
    const auto got = bytes_of(response);
    REQUIRE(got.size() > expected.size());
    // Base offset 0 as sent; the leader epoch is the broker's; the rest is untouched.
    CHECK(std::equal(expected.begin(), expected.begin() + 12, got.begin()));
    CHECK(std::equal(expected.begin() + 16, expected.end(), got.begin() + 16));
    CHECK(records::Batch::read(std::span(got)).has_value());
}

TEST_CASE("records survive a restart, and the offsets go on") {
    BrokerFixture in;
    in.create_topic("t");
    produce(in, make({{"one", "two"}}));
    in.restart();
    CHECK(produce(in, make({{"three"}})).base_offset == Offset(2));
    CHECK(list_offset(in, -1).offset == Offset(3));
}

TEST_CASE("a Fetch at the end waits until records come") {
    BrokerFixture in;
    in.create_topic("t");
    auto waiting = in.start(fetch_request(Offset(0), 600'000), 11);
    CHECK(produce(in, make({{"at last"}})).error_code == ErrorCode::none);
    const auto response = BrokerFixture::got(std::move(waiting));
    CHECK(!bytes_of(response).empty());
}

TEST_CASE("a Fetch beyond the log is out of range, one at its end is empty") {
    BrokerFixture in;
    in.create_topic("t");
    produce(in, make({{"one"}}));
    CHECK(in.call(fetch_request(Offset(2)), 11).responses.front().partitions.front().error_code ==
          ErrorCode::offset_out_of_range);
    const auto at_end = in.call(fetch_request(Offset(1)), 11);
    CHECK(at_end.responses.front().partitions.front().error_code == ErrorCode::none);
    CHECK(bytes_of(at_end).empty());
}

TEST_CASE("the first batch comes whole from version 3 on, however small the limit") {
    BrokerFixture in;
    in.create_topic("t");
    const auto batch = make({{std::string(5000, 'x')}});
    produce(in, batch);
    CHECK(bytes_of(in.call(fetch_request(Offset(0), 0, 100), 11)).size() == batch.size());
}

TEST_CASE("a client of version 0 gets messages of format 0, one of version 2 format 1") {
    BrokerFixture in;
    in.create_topic("t");
    produce(in, make({{"one", "two"}}));
    for (const std::int16_t version : {0, 1, 2, 3}) {
        CAPTURE(version);
        const auto bytes = bytes_of(in.call(fetch_request(Offset(0)), version));
        REQUIRE(bytes.size() > 17);
        CHECK(static_cast<int>(bytes[16]) == (version <= 1 ? 0 : 1));
    }
}

TEST_CASE("a batch with a wrong checksum is refused and leaves nothing") {
    BrokerFixture in;
    in.create_topic("t");
    auto batch = make({{"one"}});
    batch.back() ^= std::byte{1};
    CHECK(produce(in, batch).error_code == ErrorCode::corrupt_message);
    CHECK(list_offset(in, -1).offset == Offset(0));
}

TEST_CASE("the order of refusals is Apache Kafka's") {
    BrokerFixture in;
    in.create_topic("t");
    CHECK(produce(in, make({{"x"}}), 9, -1, "unknown").error_code == ErrorCode::unknown_topic_or_partition);
    CHECK(produce(in, make({{"x"}}), 9, -1, "t", 5).error_code == ErrorCode::unknown_topic_or_partition);
    CHECK(produce(in, make({{"x"}}), 9, 2).error_code == ErrorCode::invalid_required_acks);
    CHECK(produce(in, make({{"x"}}), 9, 2).base_offset == Offset(-1));
    CHECK(produce(in, {}).error_code == ErrorCode::invalid_record);
    auto two = make({{"x"}});
    const auto other = make({{"y"}});
    two.insert(two.end(), other.begin(), other.end());
    CHECK(produce(in, two).error_code == ErrorCode::invalid_record);
    CHECK(produce(in, make({{"x"}, 0, base::ProducerId(-1), -1, -1, records::Codec::zstd}), 6).error_code ==
          ErrorCode::unsupported_compression_type);
}

TEST_CASE("the shape of a payload is judged before acks, and its records after the leader") {
    BrokerFixture in;
    in.create_topic("t");
    in.create_topic("__consumer_offsets");
    auto corrupt = make({{"x"}});
    corrupt.back() ^= std::byte{1};
    auto two = make({{"x"}});
    two.insert(two.end(), corrupt.begin(), corrupt.end());
    const std::vector<std::byte> garbage(30);
    CHECK(produce(in, corrupt, 9, 7).error_code == ErrorCode::invalid_required_acks);
    CHECK(produce(in, corrupt, 9, 1, "__consumer_offsets").error_code == ErrorCode::invalid_topic_exception);
    CHECK(produce(in, corrupt, 9, 7, "t", 5).error_code == ErrorCode::unknown_topic_or_partition);
    CHECK(produce(in, two, 9, 7).error_code == ErrorCode::invalid_record);
    CHECK(produce(in, two, 9, 7, "__consumer_offsets").error_code == ErrorCode::invalid_record);
    CHECK(produce(in, two, 2, 7).error_code == ErrorCode::invalid_required_acks);
    CHECK(produce(in, two, 9, 7, "t", 5).error_code == ErrorCode::unknown_topic_or_partition);
    CHECK(produce(in, {}, 2, 7).error_code == ErrorCode::invalid_required_acks);
    CHECK(produce(in, garbage, 2, 7).error_code == ErrorCode::corrupt_message);
    CHECK(produce(in, garbage, 9, 7, "t", 5).error_code == ErrorCode::corrupt_message);
}

namespace {

// Keeps a pool of up to `threads` threads from doing anything until it is opened.
class Gate {
public:
    explicit Gate(boost::asio::thread_pool& pool, int threads) {
        const auto opened = opened_.get_future().share();
        for (int i = 0; i < threads; ++i) boost::asio::post(pool, [opened] { opened.wait(); });
    }
    ~Gate() { open(); }

    void open() {
        if (!std::exchange(is_open_, true)) opened_.set_value();
    }

private:
    std::promise<void> opened_;
    bool is_open_ = false;
};

// Some hundred kilobytes that inflate to 3 MiB.
std::vector<std::byte> heavy() {
    std::mt19937 random(1);
    std::string value(1 << 20, 'a');
    for (std::size_t at = 0; at < value.size(); at += 64) value[at] = static_cast<char>(random());
    Batch batch{{value, value, value}};
    batch.codec = records::Codec::gzip;
    return make(batch);
}

protocol::ProduceRequest produce_request(std::vector<std::byte> bytes, std::int16_t acks = -1) {
    protocol::ProduceRequest request;
    request.transactional_id.reset();
    request.acks = acks;
    request.timeout_ms = 30'000;
    auto& asked = request.topic_data.emplace_back();
    asked.name = "t";
    auto& data = asked.partition_data.emplace_back();
    data.index = PartitionIndex(0);
    data.records = wire::Payload(std::move(bytes));
    return request;
}

}  // namespace

TEST_CASE("what inflates a lot holds up no other request, and nothing overtakes it") {
    BrokerFixture in;
    in.create_topic("t");
    Gate gate(in.services().cpu, 1);
    auto first = in.start(produce_request(heavy()), 9);
    auto second = in.start(produce_request(make({{"after"}})), 9);
    auto third = in.start(produce_request(heavy()), 9);
    // The network thread answers, and nothing is in the log.
    CHECK(list_offset(in, -1).offset == Offset(0));
    gate.open();
    const auto base_of = [](auto future) {
        const auto answer = BrokerFixture::got(std::move(future)).responses.front().partition_responses.front();
        CHECK(answer.error_code == ErrorCode::none);
        return answer.base_offset;
    };
    CHECK(base_of(std::move(first)) == Offset(0));
    CHECK(base_of(std::move(second)) == Offset(3));
    CHECK(base_of(std::move(third)) == Offset(4));
    CHECK(produce(in, make({{"later"}})).base_offset == Offset(7));
}

TEST_CASE("what inflates a lot and wants no answer is written all the same, and a bad one closes") {
    BrokerFixture in;
    in.create_topic("t");
    CHECK_THROWS_WITH(BrokerFixture::got(in.start(produce_request(heavy(), 0), 9)), "no answer");
    test::wait_until([&] { return list_offset(in, -1).offset == Offset(3); });
    auto broken = heavy();
    broken.back() ^= std::byte{1};
    CHECK(produce(in, broken).error_code == ErrorCode::corrupt_message);
    CHECK(list_offset(in, -1).offset == Offset(3));
}

TEST_CASE("batches that are to be compressed anew leave the network thread when they are large") {
    BrokerFixture in;
    in.create_topic("t");
    protocol::IncrementalAlterConfigsRequest alter;
    auto& resource = alter.resources.emplace_back();
    resource.resource_type = 2;
    resource.resource_name = "t";
    auto& config = resource.configs.emplace_back();
    config.name = "compression.type";
    config.value = wire::Text("lz4");
    CHECK(in.call(std::move(alter), 1).responses.front().error_code == ErrorCode::none);
    Gate gate(in.services().cpu, 1);
    auto large = in.start(produce_request(make({{std::string(100'000, 'x')}})), 9);
    CHECK(list_offset(in, -1).offset == Offset(0));
    gate.open();
    CHECK(BrokerFixture::got(std::move(large)).responses.front().partition_responses.front().error_code == ErrorCode::none);
    CHECK(bytes_of(in.call(fetch_request(Offset(0)), 11)).size() < 10'000);
}

TEST_CASE("a bomb is refused, and the partition goes on") {
    BrokerFixture in;
    in.create_topic("t");
    Batch bomb{std::vector<std::string>(70, std::string(1 << 20, 'x'))};
    bomb.codec = records::Codec::gzip;
    CHECK(produce(in, make(bomb)).error_code == ErrorCode::invalid_record);
    CHECK(produce(in, make({{"fine"}})).base_offset == Offset(0));
}

TEST_CASE("an idempotent producer's repetition is answered and not appended") {
    BrokerFixture in;
    in.create_topic("t");
    const auto granted = in.call(idempotent(), 4);
    REQUIRE(granted.error_code == ErrorCode::none);
    CHECK(granted.producer_epoch == 0);
    const Batch batch{{"one", "two"}, 1'700'000'000'000, granted.producer_id, 0, 0};
    CHECK(produce(in, make(batch)).base_offset == Offset(0));
    CHECK(produce(in, make(batch)).base_offset == Offset(0));
    CHECK(list_offset(in, -1).offset == Offset(2));

    auto gap = batch;
    gap.sequence = 5;
    CHECK(produce(in, make(gap)).error_code == ErrorCode::out_of_order_sequence_number);
    auto old_epoch = batch;
    old_epoch.sequence = 2;
    old_epoch.epoch = 1;
    CHECK(produce(in, make(old_epoch)).error_code == ErrorCode::out_of_order_sequence_number);

    in.restart();  // What was known of the producer is known again.
    CHECK(produce(in, make(batch)).base_offset == Offset(0));
    auto next = batch;
    next.sequence = 2;
    CHECK(produce(in, make(next)).base_offset == Offset(2));
}

TEST_CASE("producer ids are never given twice, not even across restarts") {
    BrokerFixture in;
    std::set<base::ProducerId> given;
    for (int i = 0; i < 3; ++i) {
        for (int k = 0; k < 700; ++k) {
            const auto granted = in.call(idempotent(), 4);
            REQUIRE(granted.error_code == ErrorCode::none);
            CHECK(given.insert(granted.producer_id).second);
        }
        in.restart();
    }
}

TEST_CASE("a transactional id is refused at once with an error that clients take as final") {
    BrokerFixture in;
    protocol::InitProducerIdRequest request;
    request.transactional_id = wire::Text("tx");
    CHECK(in.call(std::move(request), 4).error_code == ErrorCode::transactional_id_authorization_failed);
}

TEST_CASE("offsets are found by time, also where times go back") {
    BrokerFixture in;
    in.create_topic("t");
    CHECK(list_offset(in, 0).offset == Offset(-1));
    produce(in, make({{"a"}, 3000}));
    produce(in, make({{"b"}, 1000}));
    produce(in, make({{"c"}, 4000}));
    CHECK(list_offset(in, -2).offset == Offset(0));
    CHECK(list_offset(in, -1).offset == Offset(3));
    CHECK(list_offset(in, 2000).offset == Offset(0));
    CHECK(list_offset(in, 2000).timestamp == 3000);
    CHECK(list_offset(in, 3001).offset == Offset(2));
    CHECK(list_offset(in, 4001).offset == Offset(-1));
    CHECK(list_offset(in, -3).offset == Offset(2));
    CHECK(list_offset(in, -3, 6).error_code == ErrorCode::unsupported_version);
    CHECK(list_offset(in, -1, 0).old_style_offsets == std::vector{Offset(3), Offset(0)});
}

TEST_CASE("deleted records are gone for readers, and stay gone after a restart") {
    BrokerFixture in;
    in.create_topic("t");
    produce(in, make({{"a"}}));
    produce(in, make({{"b"}}));
    const auto remove = [&](std::int64_t before) {
        protocol::DeleteRecordsRequest request;
        auto& topic = request.topics.emplace_back();
        topic.name = "t";
        topic.partitions.push_back({PartitionIndex(0), Offset(before)});
        return in.call(std::move(request), 1).topics.front().partitions.front();
    };
    CHECK(remove(7).error_code == ErrorCode::offset_out_of_range);
    CHECK(remove(1).low_watermark == Offset(1));
    CHECK(remove(0).low_watermark == Offset(1));
    CHECK(in.call(fetch_request(Offset(0)), 11).responses.front().partitions.front().error_code ==
          ErrorCode::offset_out_of_range);
    in.restart();
    CHECK(list_offset(in, -2).offset == Offset(1));
    CHECK(remove(-1).low_watermark == Offset(2));
}

TEST_CASE("a replica that is none of the partition's reads nothing (CVE-2018-1288)") {
    BrokerFixture in;
    in.create_topic("t");
    produce(in, make({{"a"}}));
    auto request = fetch_request(Offset(0));
    request.replica_id = base::BrokerId(7);
    const auto response = in.call(std::move(request), 11);
    CHECK(response.responses.front().partitions.front().error_code == ErrorCode::not_leader_or_follower);
    CHECK(bytes_of(response).empty());
}

TEST_CASE("a Fetch of what is not in memory waits on the disk pool, and holds up nobody") {
    BrokerFixture in;
    in.create_topic("t");
    for (int i = 0; i < 100; ++i) produce(in, make({{std::string(1000, 'x')}}));
    const auto partition = in.cluster().image()->find_topic("t")->find(PartitionIndex(0))->local;
    partition->flush(storage::FlushKind::checkpoint);
    const auto log = partition->directory() / "00000000000000000000.log";
    // A fast disk may have the bytes before anybody would wait for them: then it is no cold one.
    bool was_cold = false;
    for (int i = 0; i < 20 && !was_cold; ++i) {
        test::evict(log);
        Gate gate(in.services().disk, 2);
        auto fetch = in.start(fetch_request(Offset(0), 0, 10'000), 11);
        // The network thread answers this, and what was written last it reads without a look.
        CHECK(!bytes_of(in.call(fetch_request(Offset(95), 0, 1000), 11)).empty());
        was_cold = fetch.wait_for(std::chrono::seconds(0)) == std::future_status::timeout;
        gate.open();
        const auto found = bytes_of(BrokerFixture::got(std::move(fetch)));
        CHECK(found.size() > 1000);
        CHECK(found.size() <= 10'000);
        // Now it is in memory, and the disk pool is not asked.
        Gate again(in.services().disk, 2);
        CHECK(bytes_of(in.call(fetch_request(Offset(0), 0, 10'000), 11)) == found);
    }
    if (!was_cold) MESSAGE("nothing here is slower than memory");
}

TEST_CASE("a Fetch that waits is woken, and finds what left memory meanwhile") {
    BrokerFixture in;
    in.create_topic("t");
    for (int i = 0; i < 70; ++i) produce(in, make({{std::string(1000, 'x')}}));
    const auto partition = in.cluster().image()->find_topic("t")->find(PartitionIndex(0))->local;
    partition->flush(storage::FlushKind::checkpoint);
    auto request = fetch_request(Offset(0), 600'000);
    request.min_bytes = 75'000;
    auto waits = in.start(std::move(request), 11);
    test::evict(partition->directory() / "00000000000000000000.log");
    for (int i = 0; i < 10; ++i) produce(in, make({{std::string(1000, 'y')}}));
    CHECK(bytes_of(BrokerFixture::got(std::move(waits))).size() >= 75'000);
}

TEST_CASE("a partition that is not there is unknown to whatever asks for it") {
    BrokerFixture in;
    in.create_topic("t");
    constexpr auto unknown = ErrorCode::unknown_topic_or_partition;
    for (const std::string name : {"t", "nobody"}) {
        const PartitionIndex index(name == "t" ? 7 : 0);
        protocol::DeleteRecordsRequest remove;
        remove.topics.emplace_back().name = wire::Text(name);
        remove.topics.back().partitions.push_back({index, Offset(0)});
        CHECK(in.call(std::move(remove), 2).topics.at(0).partitions.at(0).error_code == unknown);
        protocol::OffsetForLeaderEpochRequest epochs;
        epochs.topics.emplace_back().topic = wire::Text(name);
        epochs.topics.back().partitions.emplace_back().partition = index;
        CHECK(in.call(std::move(epochs), 4).topics.at(0).partitions.at(0).error_code == unknown);
        protocol::DescribeProducersRequest producers;
        producers.topics.emplace_back().name = wire::Text(name);
        producers.topics.back().partition_indexes.push_back(index);
        const auto described = in.call(std::move(producers), 0).topics.at(0).partitions.at(0);
        CHECK(described.error_code == unknown);
        CHECK(described.error_message.has_value() == (name == "nobody"));
    }
}

TEST_CASE("where Apache Kafka 3.9 says nothing about topics, the message is null and not empty") {
    BrokerFixture in;
    const auto create = [&](const std::string& name, std::int32_t timeout_ms, bool validate_only) {
        protocol::CreateTopicsRequest request;
        auto& topic = request.topics.emplace_back();
        topic.name = wire::Text(name);
        topic.num_partitions = 1;
        topic.replication_factor = 1;
        request.timeout_ms = timeout_ms;
        request.validate_only = validate_only;
        return in.call(std::move(request), 7).topics.at(0);
    };
    CHECK(!create("t", 1000, true).error_message);
    CHECK(!create("t", 1000, false).error_message);
    CHECK(create("t", 1000, false).error_message);  // It exists.
    const auto late = create("late", 0, false);
    CHECK(late.error_code == ErrorCode::request_timed_out);
    CHECK(!late.error_message);
    protocol::DeleteTopicsRequest remove;
    remove.topics.emplace_back().name = wire::Text("t");
    remove.topics.emplace_back().name = wire::Text("nobody");
    remove.topics.emplace_back().name.reset();
    remove.topics.back().topic_id.back() = std::byte{9};
    const auto removed = in.call(std::move(remove), 6);
    REQUIRE(removed.responses.size() == 3);
    CHECK(removed.responses[0].error_code == ErrorCode::none);
    CHECK(removed.responses[1].error_code == ErrorCode::unknown_topic_or_partition);
    CHECK(removed.responses[2].error_code == ErrorCode::unknown_topic_id);
    for (const auto& each : removed.responses) CHECK(!each.error_message);
}
