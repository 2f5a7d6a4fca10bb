// ElectLeaders, AlterPartitionReassignments and ListPartitionReassignments of a broker that is
// alone; AlterPartition and ControlledShutdown, which brokers send one another.

#include "broker/tests/broker_fixture.h"
#include "protocol/schema/api/alter_partition.h"
#include "protocol/schema/api/alter_partition_reassignments.h"
#include "protocol/schema/api/controlled_shutdown.h"
#include "protocol/schema/api/elect_leaders.h"
#include "protocol/schema/api/list_partition_reassignments.h"

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <vector>

namespace {

using base::BrokerId;
using base::PartitionIndex;
using protocol::ErrorCode;
using test::BrokerFixture;

using Target = std::optional<std::vector<BrokerId>>;

// The error of one partition, and of the whole.
struct Refusal {
    ErrorCode whole = ErrorCode::none;
    ErrorCode error = ErrorCode::none;
    std::string message;
};

Refusal elect(BrokerFixture& in, const std::string& topic, std::int32_t index, std::int8_t type = 0,
              std::int16_t version = 2) {
    protocol::ElectLeadersRequest request;
    request.election_type = type;
    auto& asked = request.topic_partitions.emplace().emplace_back();
    asked.topic = wire::Text(topic);
    asked.partitions = {PartitionIndex(index)};
    const auto response = in.call(std::move(request), version);
    REQUIRE(response.replica_election_results.size() == 1);
    CHECK(response.replica_election_results[0].topic == topic);
    const auto& result = response.replica_election_results[0].partition_result.at(0);
    CHECK(result.partition_id == PartitionIndex(index));
    return {response.error_code, result.error_code,
            result.error_message ? result.error_message->str() : ""};
}

Refusal reassign(BrokerFixture& in, const std::string& topic, const Target& target,
                 bool may_change_factor = true) {
    protocol::AlterPartitionReassignmentsRequest request;
    request.allow_replication_factor_change = may_change_factor;
    auto& asked = request.topics.emplace_back();
    asked.name = wire::Text(topic);
    auto& partition = asked.partitions.emplace_back();
    partition.partition_index = PartitionIndex(0);
    partition.replicas = target;
    const auto response = in.call(std::move(request), 1);
    REQUIRE(response.responses.size() == 1);
    const auto& answer = response.responses[0].partitions.at(0);
    return {response.error_code, answer.error_code,
            answer.error_message ? answer.error_message->str() : ""};
}

}  // namespace

TEST_CASE("the only broker leads already: no election is needed") {
    BrokerFixture in;
    in.create_topic("t", 2);
    for (const std::int8_t type : {0, 1}) {
        const auto refusal = elect(in, "t", 1, type);
        CHECK(refusal.whole == ErrorCode::none);
        CHECK(refusal.error == ErrorCode::election_not_needed);
        CHECK(refusal.message == "the partition has the leader that it should have");
    }
    CHECK(elect(in, "t", 7).error == ErrorCode::unknown_topic_or_partition);
    CHECK(elect(in, "nobody", 0).error == ErrorCode::unknown_topic_or_partition);
    CHECK(elect(in, "t", 0, 5, 0).error ==
          ErrorCode::election_not_needed);  // Version 0 has no type.
    CHECK(elect(in, "t", 0, 5).whole == ErrorCode::invalid_request);
}

TEST_CASE("of an election of all partitions only those are told that needed one") {
    BrokerFixture in;
    in.create_topic("t", 2);
    protocol::ElectLeadersRequest request;
    request.topic_partitions.reset();
    const auto response = in.call(std::move(request), 2);
    CHECK(response.error_code == ErrorCode::none);
    CHECK(response.replica_election_results.empty());
}

TEST_CASE("a partition may be moved to the broker that has it, and to no other") {
    BrokerFixture in;
    in.create_topic("t");
    const auto same = reassign(in, "t", Target({BrokerId(1)}));
    CHECK(same.whole == ErrorCode::none);
    CHECK(same.error == ErrorCode::none);
    CHECK(same.message.empty());
    constexpr auto invalid = ErrorCode::invalid_replica_assignment;
    const auto unknown = reassign(in, "t", Target({BrokerId(1), BrokerId(2)}));
    CHECK(unknown.error == invalid);
    CHECK(unknown.message.find("alive") != std::string::npos);
    CHECK(reassign(in, "t", Target(std::vector<BrokerId>())).error == invalid);
    CHECK(reassign(in, "t", Target({BrokerId(1), BrokerId(1)})).error == invalid);
    CHECK(reassign(in, "t", Target({BrokerId(-1)})).error == invalid);
    CHECK(reassign(in, "nobody", Target({BrokerId(1)})).error ==
          ErrorCode::unknown_topic_or_partition);
    CHECK(reassign(in, "t", std::nullopt).error == ErrorCode::no_reassignment_in_progress);
}

TEST_CASE("who wants the replication factor kept is refused another") {
    BrokerFixture in;
    in.create_topic("t");
    CHECK(reassign(in, "t", Target({BrokerId(1)}), false).error == ErrorCode::none);
    const auto refusal = reassign(in, "t", Target({BrokerId(1), BrokerId(2)}), false);
    CHECK(refusal.error == ErrorCode::invalid_replication_factor);
    CHECK(refusal.message == "The replication factor would change from 1 to 2.");
}

TEST_CASE("nothing moves where there is nowhere to move to") {
    BrokerFixture in;
    in.create_topic("t");
    for (const bool all : {true, false}) {
        protocol::ListPartitionReassignmentsRequest request;
        if (all) {
            request.topics.reset();
        } else {
            auto& topic = request.topics.emplace().emplace_back();
            topic.name = "t";
            topic.partition_indexes = {PartitionIndex(0), PartitionIndex(7)};
        }
        const auto response = in.call(std::move(request), 0);
        CHECK(response.error_code == ErrorCode::none);
        CHECK(response.topics.empty());
    }
}
