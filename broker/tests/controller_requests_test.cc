#include "broker/cluster/controller_requests.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

using base::BrokerId;
using base::LeaderEpoch;
using base::PartitionIndex;
using protocol::ErrorCode;
namespace control = coordinator::controller;

namespace {

constexpr control::Term term{BrokerId(1), 7, 6};
constexpr base::Uuid a_id{std::byte{1}};
constexpr base::Uuid b_id{std::byte{2}};

control::BrokerRequest request_of(control::Content content) {
    const std::vector<control::Broker> live{
        {BrokerId(1), 40, {{"INNER", "one", 9091, 0}, {"OUTER", "one.example", 9092, 1}}, "r1"},
        {BrokerId(2), 41, {{"OUTER", "two.example", 9092, 1}}}};
    return {3, BrokerId(2), 41, std::make_shared<const std::vector<control::Broker>>(live),
            std::move(content)};
}

control::LeaderAndIsr::Partition role(const std::string& topic, const base::Uuid& id,
                                      std::int32_t partition, std::int32_t leader) {
    return {topic,
            id,
            PartitionIndex(partition),
            {BrokerId(leader), LeaderEpoch(5), {BrokerId(leader)}, 6, true},
            9,
            {{BrokerId(1), BrokerId(2)}, {BrokerId(2)}, {}},
            true};
}

control::StopReplica::Partition stop(const std::string& topic, bool deletes) {
    return {{topic, PartitionIndex(0)}, LeaderEpoch(5), deletes};
}

}  // namespace

TEST_CASE("roles are grouped by topic, and name the leaders that can be reached") {
    const auto what = request_of(control::LeaderAndIsr{
        {role("a", a_id, 0, 1), role("a", a_id, 1, 2), role("b", b_id, 0, 1)}});
    const auto request = broker::leader_and_isr(term, what, "INNER", 7);
    CHECK(request.controller_id == BrokerId(1));
    CHECK(request.controller_epoch == 7);
    CHECK(request.broker_epoch == 41);
    CHECK(!request.is_kraft_controller);
    CHECK(request.type == 0);
    CHECK(request.ungrouped_partition_states.empty());
    REQUIRE(request.topic_states.size() == 2);
    CHECK(request.topic_states[0].topic_id == a_id);
    REQUIRE(request.topic_states[0].partition_states.size() == 2);
    const auto& first = request.topic_states[0].partition_states[0];
    CHECK(first.controller_epoch == 6);
    CHECK(first.leader == BrokerId(1));
    CHECK(first.partition_epoch == 9);
    CHECK(first.adding_replicas == std::vector{BrokerId(2)});
    CHECK(first.is_new);
    CHECK(first.leader_recovery_state == 1);
    REQUIRE(request.live_leaders.size() == 1);  // Broker 2 has no such listener.
    CHECK(request.live_leaders[0].host_name == std::string("one"));
    CHECK(request.live_leaders[0].port == 9091);
}

TEST_CASE("an old broker is told partition by partition") {
    const auto roles = request_of(control::LeaderAndIsr{{role("a", a_id, 0, 1)}});
    const auto old = broker::leader_and_isr(term, roles, "INNER", 1);
    CHECK(old.topic_states.empty());
    REQUIRE(old.ungrouped_partition_states.size() == 1);
    CHECK(old.ungrouped_partition_states[0].topic_name == std::string("a"));
}

TEST_CASE("metadata name all live brokers with all their end points") {
    control::UpdateMetadata::Partition partition{
        "a", a_id,          PartitionIndex(0), {BrokerId(control::during_deletion)},
        2,   {BrokerId(2)}, {BrokerId(2)}};
    const auto what = request_of(control::UpdateMetadata{{partition}});
    const auto request = broker::update_metadata(term, what, 8);
    REQUIRE(request.topic_states.size() == 1);
    const auto& state = request.topic_states[0].partition_states[0];
    CHECK(state.leader == BrokerId(-2));
    CHECK(state.zk_version == 2);
    CHECK(state.offline_replicas == std::vector{BrokerId(2)});
    REQUIRE(request.live_brokers.size() == 2);
    CHECK(request.live_brokers[0].endpoints.size() == 2);
    CHECK(request.live_brokers[0].endpoints[1].security_protocol == 1);
    CHECK(request.live_brokers[0].rack == wire::Text("r1"));
    CHECK(!request.live_brokers[1].rack);
    CHECK(broker::update_metadata(term, what, 4).ungrouped_partition_states.size() == 1);
}

TEST_CASE("what is stopped and what is deleted are two requests where the version has one word") {
    const auto what =
        request_of(control::StopReplica{{stop("a", false), stop("b", true), stop("c", false)}});
    const auto now = broker::stop_replica(term, what, 4);
    REQUIRE(now.size() == 1);
    REQUIRE(now[0].topic_states.size() == 3);
    CHECK(!now[0].topic_states[0].partition_states[0].delete_partition);
    CHECK(now[0].topic_states[1].partition_states[0].delete_partition);
    CHECK(now[0].topic_states[0].partition_states[0].leader_epoch == LeaderEpoch(5));
    const auto old = broker::stop_replica(term, what, 2);
    REQUIRE(old.size() == 2);
    CHECK(!old[0].delete_partitions);
    CHECK(old[0].topics.size() == 2);
    CHECK(old[1].delete_partitions);
    CHECK(old[1].topics.size() == 1);
    CHECK(broker::stop_replica(term, what, 0)[0].ungrouped_partitions.size() == 2);
}

TEST_CASE("old versions name no topic ids") {
    const auto roles = request_of(control::LeaderAndIsr{{role("a", a_id, 0, 1)}});
    const auto id_of = [](const auto& request) { return request.topic_states.at(0).topic_id; };
    CHECK(id_of(broker::leader_and_isr(term, roles, "INNER", 4)) == base::Uuid{});
    CHECK(id_of(broker::leader_and_isr(term, roles, "INNER", 5)) == a_id);
    control::UpdateMetadata metadata;
    metadata.partitions.emplace_back().topic = "a";
    metadata.partitions[0].topic_id = a_id;
    const auto news = request_of(metadata);
    CHECK(id_of(broker::update_metadata(term, news, 6)) == base::Uuid{});
    CHECK(id_of(broker::update_metadata(term, news, 7)) == a_id);
}

TEST_CASE("answers name partitions by topic id, or by name; others are left out") {
    const control::LeaderAndIsr asked{{role("a", a_id, 0, 1), role("b", b_id, 0, 1)}};
    protocol::LeaderAndIsrResponse response;
    protocol::LeaderAndIsrResponse::PartitionError error;
    error.partition_index = PartitionIndex(3);
    error.error_code = ErrorCode::kafka_storage_error;
    response.topics.push_back({b_id, {error}});
    response.topics.push_back({base::Uuid{std::byte{5}}, {error}});
    const auto by_id = broker::errors_of(asked, response, 5);
    REQUIRE(by_id.size() == 1);
    CHECK(by_id[0].at == base::TopicPartition{"b", PartitionIndex(3)});
    CHECK(by_id[0].error == ErrorCode::kafka_storage_error);
    error.topic_name = "a";
    response.partition_errors.push_back(error);
    const auto by_name = broker::errors_of(asked, response, 4);
    REQUIRE(by_name.size() == 1);
    CHECK(by_name[0].at == base::TopicPartition{"a", PartitionIndex(3)});
}
