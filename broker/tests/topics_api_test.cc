// Metadata, CreateTopics, DeleteTopics, CreatePartitions and their kin, through handle().

#include "broker/tests/broker_fixture.h"

#include <doctest/doctest.h>

namespace {

using base::PartitionIndex;
using protocol::ErrorCode;
using test::BrokerFixture;

protocol::CreateTopicsResponse::Topic create(BrokerFixture& in, const std::string& name, std::int32_t partitions = 1,
                                             std::int16_t replicas = 1,
                                             std::vector<std::pair<std::string, std::string>> configs = {},
                                             bool validate_only = false) {
    protocol::CreateTopicsRequest request;
    auto& topic = request.topics.emplace_back();
    topic.name = name;
    topic.num_partitions = partitions;
    topic.replication_factor = replicas;
    for (auto& [key, value] : configs) topic.configs.push_back({wire::Text(key), wire::Text(value)});
    request.validate_only = validate_only;
    return in.call(std::move(request), 7).topics.front();
}

protocol::MetadataResponse metadata(BrokerFixture& in, std::vector<std::string> names, std::int16_t version = 12,
                                    bool may_create = false) {
    protocol::MetadataRequest request;
    request.topics.emplace();
    for (auto& name : names) request.topics->emplace_back().name = wire::Text(name);
    request.allow_auto_topic_creation = may_create;
    return in.call(std::move(request), version);
}

ErrorCode remove(BrokerFixture& in, const std::string& name) {
    protocol::DeleteTopicsRequest request;
    request.topic_names.push_back(wire::Text(name));
    return in.call(std::move(request), 5).responses.front().error_code;
}

}  // namespace

TEST_CASE("a created topic is in the metadata at once, and after a restart") {
    BrokerFixture in;
    const auto created = create(in, "orders", 3);
    CHECK(created.error_code == ErrorCode::none);
    CHECK(created.num_partitions == 3);
    CHECK(created.topic_id != base::Uuid{});
    for (int i = 0; i < 2; ++i) {
        const auto topic = metadata(in, {"orders"}).topics.front();
        CHECK(topic.error_code == ErrorCode::none);
        CHECK(topic.topic_id == created.topic_id);
        REQUIRE(topic.partitions.size() == 3);
        CHECK(topic.partitions[2].leader_id == base::BrokerId(1));
        in.restart();
    }
}

TEST_CASE("CreateTopics answers each mistake with Apache Kafka's code") {
    BrokerFixture in;
    create(in, "a.b");
    CHECK(create(in, "a.b").error_code == ErrorCode::topic_already_exists);
    CHECK(create(in, "a_b").error_code == ErrorCode::invalid_topic_exception);
    CHECK(create(in, "../etc").error_code == ErrorCode::invalid_topic_exception);
    CHECK(create(in, std::string(249, 'x')).error_code == ErrorCode::none);
    CHECK(create(in, std::string(250, 'x')).error_code == ErrorCode::invalid_topic_exception);
    CHECK(create(in, "").error_code == ErrorCode::invalid_topic_exception);
    CHECK(create(in, "..").error_code == ErrorCode::invalid_topic_exception);
    CHECK(create(in, "t", 0).error_code == ErrorCode::invalid_partitions);
    CHECK(create(in, "t", 1, 0).error_code == ErrorCode::invalid_replication_factor);
    CHECK(create(in, "t", 1, 2).error_code == ErrorCode::invalid_replication_factor);
    CHECK(create(in, "t", 1, 1, {{"retention.ms", "soon"}}).error_code == ErrorCode::invalid_config);
    CHECK(create(in, "t", 1, 1, {{"no.such.key", "1"}}).error_code == ErrorCode::invalid_config);
    CHECK(create(in, "t", 1, 1, {}, true).error_code == ErrorCode::none);
    CHECK(metadata(in, {"t"}).topics.front().error_code == ErrorCode::unknown_topic_or_partition);
}

TEST_CASE("a deleted topic is gone, its id too, and its name can be used again") {
    BrokerFixture in;
    const auto old_id = create(in, "t").topic_id;
    CHECK(remove(in, "t") == ErrorCode::none);
    CHECK(remove(in, "t") == ErrorCode::unknown_topic_or_partition);
    CHECK(metadata(in, {"t"}).topics.front().error_code == ErrorCode::unknown_topic_or_partition);
    CHECK(create(in, "t").topic_id != old_id);
    in.restart();
    CHECK(metadata(in, {"t"}).topics.front().error_code == ErrorCode::none);
}

TEST_CASE("a topic that a client asks for is created, and the client is told to ask again") {
    BrokerFixture in;
    CHECK(metadata(in, {"wanted"}, 12, true).topics.front().error_code == ErrorCode::leader_not_available);
    in.settle_controller();
    CHECK(metadata(in, {"wanted"}).topics.front().error_code == ErrorCode::none);
    CHECK(metadata(in, {"bad/name"}, 12, true).topics.front().error_code == ErrorCode::invalid_topic_exception);
}

TEST_CASE("no list of topics is all of them; an empty one is none but in version 0") {
    BrokerFixture in;
    create(in, "a");
    create(in, "b");
    protocol::MetadataRequest everything;
    everything.topics.reset();
    CHECK(in.call(std::move(everything), 1).topics.size() == 2);
    CHECK(metadata(in, {}, 1).topics.empty());
    CHECK(metadata(in, {}, 0).topics.size() == 2);
}

TEST_CASE("partitions can be added and not taken away") {
    BrokerFixture in;
    create(in, "t", 2);
    const auto grow = [&](std::int32_t count) {
        protocol::CreatePartitionsRequest request;
        auto& topic = request.topics.emplace_back();
        topic.name = "t";
        topic.count = count;
        topic.assignments.reset();
        return in.call(std::move(request), 3).results.front().error_code;
    };
    CHECK(grow(2) == ErrorCode::invalid_partitions);
    CHECK(grow(1) == ErrorCode::invalid_partitions);
    CHECK(grow(5) == ErrorCode::none);
    CHECK(metadata(in, {"t"}).topics.front().partitions.size() == 5);
    in.restart();
    CHECK(metadata(in, {"t"}).topics.front().partitions.size() == 5);
}

TEST_CASE("DescribeTopicPartitions gives a page and says where the next one begins") {
    BrokerFixture in;
    create(in, "a", 3);
    create(in, "b", 2);
    protocol::DescribeTopicPartitionsRequest request;
    request.response_partition_limit = 2;
    const auto first = in.call(request, 0);
    REQUIRE(first.next_cursor);
    CHECK(first.topics.front().partitions.size() == 2);
    CHECK(first.next_cursor->topic_name == "a");
    CHECK(first.next_cursor->partition_index == PartitionIndex(2));
    protocol::DescribeTopicPartitionsRequest::Cursor cursor;
    cursor.topic_name = first.next_cursor->topic_name;
    cursor.partition_index = first.next_cursor->partition_index;
    request.cursor = cursor;
    request.response_partition_limit = 2000;
    const auto second = in.call(request, 0);
    CHECK(!second.next_cursor);
    REQUIRE(second.topics.size() == 2);
    CHECK(second.topics[0].partitions.size() == 1);
    CHECK(second.topics[1].partitions.size() == 2);
}

TEST_CASE("DescribeLogDirs names the directory, its partitions and their sizes") {
    BrokerFixture in;
    create(in, "t", 2);
    protocol::DescribeLogDirsRequest request;
    request.topics.reset();
    const auto response = in.call(std::move(request), 4);
    REQUIRE(response.results.size() == 1);
    CHECK(response.results.front().topics.front().partitions.size() == 2);
    CHECK(response.results.front().total_bytes > 0);
}

TEST_CASE("DescribeCluster names this broker as its controller") {
    BrokerFixture in;
    const auto response = in.call(protocol::DescribeClusterRequest(), 1);
    CHECK(response.controller_id == base::BrokerId(1));
    REQUIRE(response.brokers.size() == 1);
    CHECK(response.brokers.front().port == 9092);
    protocol::DescribeClusterRequest controllers;
    controllers.endpoint_type = 2;
    CHECK(in.call(std::move(controllers), 1).error_code == ErrorCode::mismatched_endpoint_type);
}

TEST_CASE("SASL has no place on a listener that does not ask for it") {
    BrokerFixture in;
    protocol::SaslHandshakeRequest handshake;
    handshake.mechanism = "PLAIN";
    const auto answer = in.call(std::move(handshake), 1);
    CHECK(answer.error_code == ErrorCode::illegal_sasl_state);
    CHECK(answer.mechanisms.empty());
    CHECK(in.call(protocol::SaslAuthenticateRequest{}, 2).error_code == ErrorCode::illegal_sasl_state);
}
