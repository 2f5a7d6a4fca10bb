#include "broker/cluster/metadata_store.h"
#include "broker/tests/broker_fixture.h"

#include "coordinator/group/group_id.h"

using namespace protocol;
using test::BrokerFixture;
using wire::Payload;
using wire::Text;

namespace {

// While it lives, time passes for brokers when the test says so: no stall ends a session.
struct StandingClock {
    StandingClock() { BrokerFixture::stands_at_ms = 1'000'000; }
    ~StandingClock() { BrokerFixture::stands_at_ms = -1; }

    // Alarms are set by the machine's clock: who is due is awake as soon as it would be by that one.
    static void pass(std::int64_t ms) { BrokerFixture::stands_at_ms += ms; }
};

// A broker whose groups do not wait for others to come.
struct GroupsFixture : StandingClock, BrokerFixture {
    explicit GroupsFixture(std::vector<std::string> overrides = {"group.initial.rebalance.delay.ms=0"})
        : BrokerFixture(std::move(overrides)) {
        create_topic("t", 2);
        FindCoordinatorRequest request;
        request.key = Text("g");
        call(request, 0);
        settle_controller();
    }

    static JoinGroupRequest joins(const std::string& group, const std::string& member = "") {
        JoinGroupRequest request;
        request.group_id = Text(group);
        request.session_timeout_ms = 300'000;
        request.rebalance_timeout_ms = 300'000;
        request.member_id = Text(member);
        request.protocol_type = Text("consumer");
        auto& range = request.protocols.emplace_back();
        range.name = Text("range");
        range.metadata = Payload(std::vector<std::byte>(6));
        return request;
    }

    static SyncGroupRequest syncs(const std::string& group, const JoinGroupResponse& joined) {
        SyncGroupRequest request;
        request.group_id = Text(group);
        request.generation_id = joined.generation_id;
        request.member_id = joined.member_id;
        request.protocol_type = Text("consumer");
        request.protocol_name = Text("range");
        for (const auto& member : joined.members) {
            auto& each = request.assignments.emplace_back();
            each.member_id = member.member_id;
            each.assignment = Payload(std::vector<std::byte>{std::byte{7}});
        }
        return request;
    }

    // Joins in a version below 4, and gets its assignment.
    JoinGroupResponse settled(const std::string& group) {
        const auto joined = call(joins(group), 3);
        REQUIRE(joined.error_code == ErrorCode::none);
        const auto synced = call(syncs(group, joined), 3);
        REQUIRE(synced.error_code == ErrorCode::none);
        return joined;
    }

    ErrorCode commit(const std::string& group, std::int64_t offset, std::int16_t version,
                     const JoinGroupResponse* member = nullptr, const std::string& topic = "t") {
        OffsetCommitRequest request;
        request.group_id = Text(group);
        if (member) {
            request.member_id = member->member_id;
            request.generation_id_or_member_epoch = member->generation_id;
        }
        auto& each = request.topics.emplace_back();
        each.name = Text(topic);
        auto& partition = each.partitions.emplace_back();
        partition.committed_offset = base::Offset(offset);
        partition.committed_metadata = Text("m");
        const auto response = call(request, version);
        return response.topics.at(0).partitions.at(0).error_code;
    }

    std::int64_t committed(const std::string& group) {
        OffsetFetchRequest request;
        auto& asked = request.groups.emplace_back();
        asked.group_id = Text(group);
        auto& topic = asked.topics.emplace().emplace_back();
        topic.name = Text("t");
        topic.partition_indexes = {base::PartitionIndex(0)};
        const auto response = call(request, 8);
        REQUIRE(response.groups.at(0).error_code == ErrorCode::none);
        return response.groups.at(0).topics.at(0).partitions.at(0).committed_offset.value();
    }

    std::string state(const std::string& group) {
        DescribeGroupsRequest request;
        request.groups = {Text(group)};
        return call(request, 5).groups.at(0).group_state.str();
    }
};

}  // namespace

TEST_SUITE("broker/group apis") {
    TEST_CASE("who looks for a coordinator first has its topic made, and finds it then, in every version") {
        BrokerFixture in;
        for (std::int16_t version = 0; version <= 6; ++version) {
            CAPTURE(version);
            FindCoordinatorRequest request;
            request.key = Text("g");
            request.coordinator_keys = {Text("g"), Text("h")};
            auto response = in.call(request, version);
            if (version == 0) {
                CHECK(response.error_code == ErrorCode::coordinator_not_available);
                CHECK(response.node_id == base::BrokerId(-1));
                CHECK(response.host.empty());
                CHECK(response.port == -1);
                in.settle_controller();
                response = in.call(request, version);
            }
            if (version >= 4) {
                REQUIRE(response.coordinators.size() == 2);
                CHECK(response.coordinators[1].key == "h");
                CHECK(response.coordinators[1].error_code == ErrorCode::none);
                CHECK(response.coordinators[1].node_id == base::BrokerId(1));
                CHECK(response.coordinators[1].port == 9092);
            } else {
                CHECK(response.error_code == ErrorCode::none);
                CHECK(response.node_id == base::BrokerId(1));
                CHECK(response.host == "127.0.0.1");
                CHECK(response.port == 9092);
            }
        }
        FindCoordinatorRequest odd;
        odd.key_type = 9;
        odd.key = Text("g");
        CHECK(in.call(odd, 1).error_code == ErrorCode::invalid_request);
    }

    TEST_CASE("without the topic of offsets nobody coordinates") {
        BrokerFixture in;
        in.create_topic("t");
        CHECK(in.call(GroupsFixture::joins("g"), 3).error_code == ErrorCode::not_coordinator);
        HeartbeatRequest beat;
        beat.group_id = Text("g");
        CHECK(in.call(beat, 0).error_code == ErrorCode::not_coordinator);
        DescribeGroupsRequest describe;
        describe.groups = {Text("g")};
        CHECK(in.call(describe, 0).groups.at(0).error_code == ErrorCode::not_coordinator);
        CHECK(in.call(ListGroupsRequest(), 0).groups.empty());
    }

    TEST_CASE("a member joins, syncs, beats, commits and leaves, in every version") {
        GroupsFixture in;
        for (std::int16_t version = 0; version <= 9; ++version) {
            CAPTURE(version);
            const std::string group = "g" + std::to_string(version);
            auto joined = in.call(in.joins(group), version);
            if (version >= 4) {
                CHECK(joined.error_code == ErrorCode::member_id_required);
                joined = in.call(in.joins(group, joined.member_id.str()), version);
            }
            REQUIRE(joined.error_code == ErrorCode::none);
            CHECK(joined.generation_id == 1);
            CHECK(joined.leader == joined.member_id);
            CHECK(joined.members.size() == 1);
            CHECK(joined.protocol_name->view() == "range");

            const auto synced = in.call(in.syncs(group, joined), std::min<std::int16_t>(version, 5));
            CHECK(synced.error_code == ErrorCode::none);
            CHECK(synced.assignment.size() == 1);
            CHECK(in.state(group) == "Stable");

            HeartbeatRequest beat;
            beat.group_id = Text(group);
            beat.member_id = joined.member_id;
            beat.generation_id = joined.generation_id;
            CHECK(in.call(beat, std::min<std::int16_t>(version, 4)).error_code == ErrorCode::none);

            // Version 0 says nothing of members, so it commits only for a group without.
            if (version > 0) CHECK(in.commit(group, 40 + version, version, &joined) == ErrorCode::none);
            if (version > 0) CHECK(in.committed(group) == 40 + version);

            LeaveGroupRequest leave;
            leave.group_id = Text(group);
            leave.member_id = joined.member_id;
            leave.members.emplace_back().member_id = joined.member_id;
            const auto left = in.call(leave, std::min<std::int16_t>(version, 5));
            CHECK(left.error_code == ErrorCode::none);
            if (version >= 3) CHECK(left.members.at(0).error_code == ErrorCode::none);
            CHECK(in.state(group) == "Empty");
        }
    }

    TEST_CASE("a sync of version 5 names its protocol") {
        GroupsFixture in;
        const auto joined = in.call(in.joins("g"), 3);
        auto request = in.syncs("g", joined);
        request.protocol_name.reset();
        CHECK(in.call(request, 5).error_code == ErrorCode::inconsistent_group_protocol);
        CHECK(in.call(in.syncs("g", joined), 5).error_code == ErrorCode::none);
    }

    TEST_CASE("offsets are fetched in the form of each version") {
        GroupsFixture in;
        CHECK(in.commit("g", 5, 2) == ErrorCode::none);
        for (std::int16_t version = 1; version <= 9; ++version) {
            CAPTURE(version);
            OffsetFetchRequest request;
            request.group_id = Text("g");
            auto& topic = request.topics.emplace().emplace_back();
            topic.name = Text("t");
            topic.partition_indexes = {base::PartitionIndex(0), base::PartitionIndex(1)};
            auto& group = request.groups.emplace_back();
            group.group_id = Text("g");
            auto& asked = group.topics.emplace().emplace_back();
            asked.name = Text("t");
            asked.partition_indexes = topic.partition_indexes;
            request.require_stable = version >= 7;
            const auto response = in.call(request, version);
            const auto look = [&](const auto& partitions) {
                REQUIRE(partitions.size() == 2);
                CHECK(partitions[0].committed_offset == base::Offset(5));
                CHECK(partitions[0].metadata->view() == "m");
                CHECK(partitions[0].error_code == ErrorCode::none);
                CHECK(partitions[1].committed_offset == base::Offset(-1));
                CHECK(partitions[1].metadata->view() == "");
                CHECK(partitions[1].error_code == ErrorCode::none);
            };
            if (version >= 8) {
                look(response.groups.at(0).topics.at(0).partitions);
            } else {
                look(response.topics.at(0).partitions);
            }
        }
        OffsetFetchRequest all;
        all.group_id = Text("g");
        all.topics.reset();
        const auto response = in.call(all, 2);
        REQUIRE(response.topics.size() == 1);
        CHECK(response.topics[0].partitions.size() == 1);
    }

    TEST_CASE("version 0 keeps offsets in the tree, beside those of the coordinator") {
        GroupsFixture in;
        CHECK(in.commit("g", 6, 0) == ErrorCode::none);
        CHECK(in.commit("g", 5, 2) == ErrorCode::none);
        CHECK(in.commit("g", 7, 0) == ErrorCode::none);
        CHECK(in.committed("g") == 5);
        CHECK(in.cluster().store().get("/consumers/g/offsets/t/0").value()->data == "7");
        OffsetFetchRequest request;
        request.group_id = Text("g");
        auto& topic = request.topics.emplace().emplace_back();
        topic.name = Text("t");
        topic.partition_indexes = {base::PartitionIndex(0), base::PartitionIndex(1), base::PartitionIndex(9)};
        const auto response = in.call(request, 0);
        // What cannot be asked for comes first.
        const auto& partitions = response.topics.at(0).partitions;
        REQUIRE(partitions.size() == 3);
        CHECK(partitions[0].partition_index == base::PartitionIndex(9));
        CHECK(partitions[0].error_code == ErrorCode::unknown_topic_or_partition);
        CHECK(partitions[1].committed_offset == base::Offset(7));
        CHECK(partitions[1].metadata->view() == "");
        CHECK(partitions[1].error_code == ErrorCode::none);
        CHECK(partitions[2].committed_offset == base::Offset(-1));
        CHECK(partitions[2].error_code == ErrorCode::unknown_topic_or_partition);
        CHECK(in.commit("a/b", 1, 0) == ErrorCode::invalid_group_id);
        CHECK(in.commit("g", 1, 0, nullptr, "nosuch") == ErrorCode::unknown_topic_or_partition);
    }

    TEST_CASE("a commit is judged partition by partition") {
        GroupsFixture in;
        CHECK(in.commit("g", 1, 8, nullptr, "nosuch") == ErrorCode::unknown_topic_or_partition);
        OffsetCommitRequest request;
        request.group_id = Text("g");
        auto& topic = request.topics.emplace_back();
        topic.name = Text("t");
        for (const int index : {0, 9, 1}) {
            auto& each = topic.partitions.emplace_back();
            each.partition_index = base::PartitionIndex(index);
            each.committed_offset = base::Offset(index);
            if (index == 1) each.committed_metadata = Text(std::string(4097, 'x'));
        }
        const auto response = in.call(request, 8);
        const auto& partitions = response.topics.at(0).partitions;
        CHECK(partitions.at(0).error_code == ErrorCode::none);
        CHECK(partitions.at(1).error_code == ErrorCode::unknown_topic_or_partition);
        CHECK(partitions.at(2).error_code == ErrorCode::offset_metadata_too_large);
    }

    TEST_CASE("a join that waits is answered from the thread of whoever completes the rebalance") {
        GroupsFixture in;
        const auto leader = in.settled("g");
        auto newcomer = in.start(in.joins("g"), 3);
        // The leader hears of it by its heartbeat.
        HeartbeatRequest beat;
        beat.group_id = Text("g");
        beat.member_id = leader.member_id;
        beat.generation_id = leader.generation_id;
        CHECK(in.call(beat, 4).error_code == ErrorCode::rebalance_in_progress);
        const auto again = in.call(in.joins("g", leader.member_id.str()), 3);
        const auto joined = in.got(std::move(newcomer));
        CHECK(again.generation_id == 2);
        CHECK(joined.generation_id == 2);
        CHECK(joined.leader == leader.member_id);
        auto waits = in.start(in.syncs("g", joined), 3);
        CHECK(in.call(in.syncs("g", again), 3).error_code == ErrorCode::none);
        CHECK(in.got(std::move(waits)).assignment.size() == 1);
    }

    TEST_CASE("a member whose session ends makes way for those who wait") {
        GroupsFixture in({"group.initial.rebalance.delay.ms=0", "group.min.session.timeout.ms=1"});
        auto silent = in.joins("g");
        silent.session_timeout_ms = 50;
        const auto joined = in.call(silent, 3);
        CHECK(in.call(in.syncs("g", joined), 3).error_code == ErrorCode::none);
        auto waits = in.start(in.joins("g"), 3);
        CHECK(in.state("g") == "PreparingRebalance");  // Behind the join, on the same thread.
        in.pass(50);
        const auto next = in.got(std::move(waits));
        CHECK(next.generation_id == 2);
        CHECK(next.leader == next.member_id);
    }

    TEST_CASE("the first member waits group.initial.rebalance.delay.ms for others") {
        GroupsFixture in({"group.initial.rebalance.delay.ms=20"});
        auto a = in.start(in.joins("g"), 3);
        auto b = in.start(in.joins("g"), 3);
        CHECK(in.state("g") == "PreparingRebalance");  // Behind both joins, on the same thread.
        // More than once: the second one made it begin anew.
        while (a.wait_for(std::chrono::milliseconds(20)) != std::future_status::ready) in.pass(20);
        CHECK(in.got(std::move(a)).generation_id == 1);
        CHECK(in.got(std::move(b)).generation_id == 1);
    }

    TEST_CASE("groups are listed by state and type, and described") {
        GroupsFixture in;
        in.settled("live");
        CHECK(in.commit("simple", 1, 2) == ErrorCode::none);
        for (std::int16_t version = 0; version <= 5; ++version) {
            CHECK(in.call(ListGroupsRequest(), version).groups.size() == 2);
        }
        ListGroupsRequest request;
        request.states_filter = {Text("stable")};
        auto listed = in.call(request, 4);
        REQUIRE(listed.groups.size() == 1);
        CHECK(listed.groups[0].group_id == "live");
        CHECK(listed.groups[0].protocol_type == "consumer");
        CHECK(listed.groups[0].group_type == "classic");
        request.states_filter.clear();
        request.types_filter = {Text("share")};
        CHECK(in.call(request, 5).groups.empty());

        DescribeGroupsRequest describe;
        describe.groups = {Text("live"), Text("simple"), Text("nobody")};
        describe.include_authorized_operations = true;
        const auto described = in.call(describe, 5);
        CHECK(described.groups.at(0).protocol_data == "range");
        CHECK(described.groups.at(0).members.at(0).client_host == "/127.0.0.1");
        CHECK(described.groups.at(0).members.at(0).member_assignment.size() == 1);
        CHECK(described.groups.at(0).authorized_operations > 0);
        CHECK(described.groups.at(1).group_state == "Empty");
        CHECK(described.groups.at(2).group_state == "Dead");
        CHECK(described.groups.at(2).error_code == ErrorCode::none);
    }

    TEST_CASE("groups and offsets are deleted") {
        GroupsFixture in;
        in.settled("live");
        CHECK(in.commit("a", 1, 2) == ErrorCode::none);
        CHECK(in.commit("b", 2, 2) == ErrorCode::none);
        DeleteGroupsRequest request;
        request.groups_names = {Text("a"), Text("live"), Text("nobody"), Text("a")};
        const auto deleted = in.call(request, 2);
        REQUIRE(deleted.results.size() == 3);
        CHECK(deleted.results[0].error_code == ErrorCode::none);
        CHECK(deleted.results[1].error_code == ErrorCode::non_empty_group);
        CHECK(deleted.results[2].error_code == ErrorCode::group_id_not_found);
        CHECK(in.committed("a") == -1);

        OffsetDeleteRequest offsets;
        offsets.group_id = Text("b");
        auto& topic = offsets.topics.emplace_back();
        topic.name = Text("t");
        topic.partitions.emplace_back();
        CHECK(in.call(offsets, 0).topics.at(0).partitions.at(0).error_code == ErrorCode::none);
        CHECK(in.committed("b") == -1);
        offsets.group_id = Text("nobody");
        CHECK(in.call(offsets, 0).error_code == ErrorCode::group_id_not_found);
    }

    TEST_CASE("offsets of a deleted topic are gone with it") {
        GroupsFixture in;
        CHECK(in.commit("g", 5, 2) == ErrorCode::none);
        DeleteTopicsRequest request;
        request.topic_names = {Text("t")};
        CHECK(in.call(request, 3).responses.at(0).error_code == ErrorCode::none);
        in.create_topic("t", 2);
        CHECK(in.committed("g") == -1);
    }

    TEST_CASE("groups and offsets are as they were after a restart") {
        GroupsFixture in;
        const auto member = in.settled("g");
        for (std::int64_t offset = 1; offset <= 100; ++offset) {
            REQUIRE(in.commit("g", offset, 8, &member) == ErrorCode::none);
        }
        CHECK(in.commit("simple", 7, 2) == ErrorCode::none);
        in.restart();
        // Until they are loaded the answer is to ask again.
        DescribeGroupsRequest describe;
        describe.groups = {Text("g"), Text("simple")};
        const auto loads = [](const auto& group) { return group.error_code == ErrorCode::coordinator_load_in_progress; };
        auto described = in.call(describe, 5);
        while (std::ranges::any_of(described.groups, loads)) described = in.call(describe, 5);
        CHECK(described.groups.at(0).group_state == "Stable");
        CHECK(in.committed("g") == 100);
        CHECK(in.committed("simple") == 7);
        HeartbeatRequest beat;
        beat.group_id = Text("g");
        beat.member_id = member.member_id;
        beat.generation_id = member.generation_id;
        CHECK(in.call(beat, 4).error_code == ErrorCode::none);
        CHECK(in.commit("g", 101, 8, &member) == ErrorCode::none);
    }

    TEST_CASE("who waits when the broker stops is told to look elsewhere") {
        GroupsFixture in;
        in.settled("g");
        auto waits = in.start(in.joins("g"), 3);
        CHECK(in.state("g") == "PreparingRebalance");  // Behind the join, on the same thread.
        in.services().groups.stop();
        CHECK(in.got(std::move(waits)).error_code == ErrorCode::not_coordinator);
        CHECK(in.call(in.joins("g"), 3).error_code == ErrorCode::not_coordinator);
    }
}
