#include "coordinator/tests/group_fixture.h"

using namespace test;

namespace {

coordinator::GroupSettings without_delay() {
    coordinator::GroupSettings settings;
    settings.initial_rebalance_delay_ms = 0;
    return settings;
}

const std::vector<coordinator::Protocol> both{{"range", subscription({"t"})},
                                              {"sticky", subscription({"t"})}};

// Two members, Stable at generation 2: the first leads.
struct Pair {
    std::string leader, follower;
    std::int32_t generation;
};

Pair pair_of(GroupFixture& in, const std::string& group, Joins first = {}, Joins second = {}) {
    const auto leader = in.settled(group, first);
    const auto other = in.join(group, second);
    first.member_id = leader.id;
    const auto again = in.join(group, first);
    const auto follower = in.joined(other).member_id;
    const auto generation = in.joined(other).generation;
    REQUIRE(in.joined(again).leader == leader.id);
    const auto waits = in.sync(group, {follower, second.instance}, generation);
    in.sync(group, {leader.id, first.instance}, generation,
            {{leader.id, blob("a")}, {follower, blob("b")}});
    REQUIRE(text(in.synced(waits).assignment) == "b");
    REQUIRE(in.state(group) == "Stable");
    return {leader.id, follower, generation};
}

}  // namespace

TEST_SUITE("coordinator/group join") {
    TEST_CASE("one consumer waits the initial delay, then leads generation 1") {
        GroupFixture in;
        const auto asked = in.join("g");
        CHECK(in.state("g") == "PreparingRebalance");
        in.pass(2999);
        CHECK(in.waits(asked));
        in.pass(1);
        const auto& reply = in.joined(asked);
        CHECK(reply.generation == 1);
        CHECK(reply.leader == reply.member_id);
        CHECK(reply.protocol_type == "consumer");
        CHECK(reply.protocol_name == "range");
        CHECK(reply.members.size() == 1);
        CHECK(in.state("g") == "CompletingRebalance");
    }

    TEST_CASE("two consumers that come within the delay share one generation") {
        GroupFixture in;
        const auto a = in.join("g");
        in.pass(1000);
        const auto b = in.join("g");
        in.pass(2000);
        CHECK(in.waits(a));  // Somebody came, so the window opens again.
        in.pass(3000);
        CHECK(in.joined(a).generation == 1);
        CHECK(in.joined(b).generation == 1);
        CHECK(in.joined(a).members.size() == 2);
        CHECK(in.joined(b).members.empty());
        CHECK(in.joined(b).leader == in.joined(a).member_id);
    }

    TEST_CASE("the initial delay is extended no longer than the rebalance time-out") {
        GroupFixture in;
        Joins says;
        says.rebalance_ms = 7000;
        const auto first = in.join("g", says);
        for (int second = 0; second < 6; ++second) {
            in.pass(1000);
            in.join("g", says);
            CHECK(in.waits(first));
        }
        in.pass(1000);
        CHECK(in.joined(first).generation == 1);
    }

    TEST_CASE("what is wrong with a join is said at once") {
        GroupFixture in(without_delay());
        in.settled("g");
        struct {
            const char* name;
            const char* group;
            Joins says;
            ErrorCode error;
        } const rows[] = {
            {"no group id", "", {}, ErrorCode::invalid_group_id},
            {"session too short", "g", {.session_ms = 5999}, ErrorCode::invalid_session_timeout},
            {"session too long", "g", {.session_ms = 1'800'001}, ErrorCode::invalid_session_timeout},
            {"unknown member", "g", {.member_id = "x"}, ErrorCode::unknown_member_id},
            {"unknown group", "h", {.member_id = "x"}, ErrorCode::unknown_member_id},
            {"other type", "g", {.protocol_type = "connect"}, ErrorCode::inconsistent_group_protocol},
            {"no common protocol", "g", {.protocols = {{"other", {}}}}, ErrorCode::inconsistent_group_protocol},
            {"no protocol", "h", {.protocols = {}}, ErrorCode::inconsistent_group_protocol},
            {"no type", "h", {.protocol_type = ""}, ErrorCode::inconsistent_group_protocol},
            {"static, not its id", "g", {.member_id = "x", .instance = "i"}, ErrorCode::unknown_member_id},
            {"endless client id", "g", {.client = std::string(32767, 'c')}, ErrorCode::invalid_request},
            {"endless metadata", "g", {.protocols = {{"range", Blob(std::vector<std::byte>((1 << 20) + 1))}}}, ErrorCode::invalid_request},
        };
        for (const auto& row : rows) {
            CAPTURE(row.name);
            CHECK(in.joined(in.join(row.group, row.says)).error == row.error);
        }
        CHECK(in.state("g") == "Stable");
        CHECK(in.state("h") == "Dead");
        CHECK(in.census.groups == 1);
    }

    TEST_CASE("from version 4 on a new member gets an id and comes again with it") {
        GroupFixture in(without_delay());
        Joins says{.version = 4};
        const auto& told = in.joined(in.join("g", says));
        CHECK(told.error == ErrorCode::member_id_required);
        CHECK(told.member_id.starts_with("client-"));
        CHECK(in.state("g") == "Empty");
        says.member_id = told.member_id;
        const auto& reply = in.joined(in.join("g", says));
        CHECK(reply.error == ErrorCode::none);
        CHECK(reply.member_id == told.member_id);
        CHECK(in.census.member_ids == 1);
    }

    TEST_CASE("an id that was handed out holds up a rebalance until it joins or its time is up") {
        GroupFixture in(without_delay());
        const auto member = in.settled("g");
        Joins newcomer{.version = 4};
        newcomer.member_id = in.joined(in.join("g", newcomer)).member_id;
        const auto again = in.join("g", {.member_id = member.id});
        CHECK(in.waits(again));

        SUBCASE("it joins") {
            in.join("g", newcomer);
            CHECK(in.joined(again).members.size() == 2);
        }
        SUBCASE("it leaves") {
            CHECK(in.leave("g", {{newcomer.member_id, {}}}) == std::vector{ErrorCode::none});
            CHECK(in.joined(again).members.size() == 1);
        }
        SUBCASE("its session time is up") {
            in.pass(9'999);
            CHECK(in.waits(again));
            in.pass(1);
            CHECK(in.joined(again).members.size() == 1);
        }
        CHECK(in.joined(again).generation == 2);
    }

    TEST_CASE("group.max.size turns newcomers away, not members") {
        auto settings = without_delay();
        settings.members_max = 1;
        GroupFixture in(settings);
        const auto member = in.settled("g");
        CHECK(in.joined(in.join("g")).error == ErrorCode::group_max_size_reached);
        const auto again = in.join("g", {.member_id = member.id});
        CHECK(in.joined(again).error == ErrorCode::none);
    }

    TEST_CASE("a member that joins twice while it waits is answered on its second request") {
        GroupFixture in;
        const auto asked = in.join("g");
        in.pass(3000);
        const auto id = in.joined(asked).member_id;
        in.sync("g", {id, {}}, 1);
        in.join("g", {.version = 4});  // An id is out: rebalances wait for it.
        const auto first = in.join("g", {.member_id = id});
        const auto second = in.join("g", {.member_id = id});
        CHECK(in.joined(first).error == ErrorCode::rebalance_in_progress);
        in.pass(10'000);
        CHECK(in.joined(second).error == ErrorCode::none);
        CHECK(in.joined(second).generation == 2);
    }

    TEST_CASE("a follower that rejoins unchanged while Stable is told the same generation") {
        GroupFixture in(without_delay());
        const auto pair = pair_of(in, "g");
        const auto& reply = in.joined(in.join("g", {.member_id = pair.follower}));
        CHECK(reply.generation == pair.generation);
        CHECK(reply.members.empty());
        CHECK(in.state("g") == "Stable");
    }

    TEST_CASE("a leader that rejoins, or a follower with new metadata, starts a rebalance") {
        GroupFixture in(without_delay());
        const auto pair = pair_of(in, "g");
        SUBCASE("leader") { in.join("g", {.member_id = pair.leader}); }
        SUBCASE("follower, as a cooperative one does") {
            in.join("g", {.member_id = pair.follower, .protocols = {{"range", subscription({"t", "u"})}}});
        }
        CHECK(in.state("g") == "PreparingRebalance");
        CHECK(in.heartbeat("g", {pair.leader, {}}, pair.generation) == ErrorCode::rebalance_in_progress);
    }

    TEST_CASE("a member that did not hear the answer of its join is told again") {
        GroupFixture in(without_delay());
        const auto& first = in.joined(in.join("g"));
        const auto& again = in.joined(in.join("g", {.member_id = first.member_id}));
        CHECK(again.generation == first.generation);
        CHECK(again.members.size() == 1);
        CHECK(in.state("g") == "CompletingRebalance");
    }

    TEST_CASE("the protocol that most members like best is chosen, of those that all support") {
        GroupFixture in;
        const auto a = in.join("g", {.protocols = {{"range", {}}, {"sticky", {}}}});
        const auto b = in.join("g", {.protocols = {{"sticky", {}}, {"range", {}}}});
        const auto c = in.join("g", {.protocols = {{"own", {}}, {"sticky", {}}, {"range", {}}}});
        in.pass(6000);
        CHECK(in.joined(a).protocol_name == "sticky");
        CHECK(in.joined(b).protocol_name == "sticky");
        CHECK(in.joined(c).protocol_name == "sticky");
    }

    TEST_CASE("at the rebalance time-out the round ends without those who did not come") {
        GroupFixture in(without_delay());
        const auto pair = pair_of(in, "g", {.session_ms = 100'000}, {.session_ms = 100'000});
        const auto again = in.join("g", {.member_id = pair.follower, .protocols = both, .session_ms = 100'000});
        in.pass(59'999);
        CHECK(in.waits(again));
        in.pass(1);
        CHECK(in.joined(again).generation == pair.generation + 1);
        CHECK(in.joined(again).leader == pair.follower);
        CHECK(in.members("g") == 1);
        CHECK(in.heartbeat("g", {pair.leader, {}}, pair.generation) == ErrorCode::unknown_member_id);
    }

    TEST_CASE("a newcomer that never hears from us is forgotten after five minutes") {
        auto settings = without_delay();
        GroupFixture in(settings);
        const auto member = in.settled("g", {.session_ms = 1'000'000, .rebalance_ms = 1'000'000});
        const auto newcomer = in.join("g");
        in.pass(5 * 60 * 1000 - 1);
        CHECK(in.waits(newcomer));
        in.pass(1);
        CHECK(in.joined(newcomer).error == ErrorCode::unknown_member_id);
        CHECK(in.joined(newcomer).member_id.empty());
        CHECK(in.members("g") == 1);
        (void)member;
    }

    TEST_CASE("when the broker has as many groups as it may, others are told to look elsewhere") {
        GroupFixture in(without_delay());
        in.census.groups = coordinator::GroupCensus::groups_max;
        CHECK(in.joined(in.join("g")).error == ErrorCode::coordinator_not_available);
        CHECK(in.commit_one("g", 1) == ErrorCode::coordinator_not_available);
    }

    TEST_CASE("when the broker has as many member ids as it may, newcomers are turned away") {
        GroupFixture in(without_delay());
        const auto member = in.settled("g");
        in.census.member_ids = coordinator::GroupCensus::member_ids_max;
        CHECK(in.joined(in.join("g", {.version = 4})).error == ErrorCode::group_max_size_reached);
        CHECK(in.heartbeat("g", {member.id, {}}, member.generation) == ErrorCode::none);
    }
}

TEST_SUITE("coordinator/group sync") {
    TEST_CASE("members wait for the leader's assignment and for its record") {
        GroupFixture in(without_delay());
        const auto pair = pair_of(in, "g");
        const auto again = in.join("g", {.member_id = pair.leader});
        in.join("g", {.member_id = pair.follower});
        const auto generation = in.joined(again).generation;
        const auto waits = in.sync("g", {pair.follower, {}}, generation);
        in.holds_commits = true;
        const auto leads = in.sync("g", {pair.leader, {}}, generation, {{pair.leader, blob("x")}});
        CHECK(in.waits(leads));
        CHECK(in.waits(waits));
        CHECK(in.state("g") == "CompletingRebalance");
        in.commit_all();
        CHECK(text(in.synced(leads).assignment) == "x");
        CHECK(in.synced(waits).error == ErrorCode::none);
        CHECK(in.synced(waits).assignment.empty());  // The leader said nothing of it.
        CHECK(in.synced(waits).protocol_name == "range");
        CHECK(in.state("g") == "Stable");
    }

    TEST_CASE("what is wrong with a sync is said at once") {
        GroupFixture in(without_delay());
        const auto member = in.settled("g");
        CHECK(in.synced(in.sync("", {member.id, {}}, 1)).error == ErrorCode::invalid_group_id);
        CHECK(in.synced(in.sync("g", {"x", {}}, 1)).error == ErrorCode::unknown_member_id);
        CHECK(in.synced(in.sync("h", {member.id, {}}, 1)).error == ErrorCode::unknown_member_id);
        CHECK(in.synced(in.sync("g", {member.id, {}}, 2)).error == ErrorCode::illegal_generation);
        CHECK(in.synced(in.sync("g", {member.id, "i"}, 1)).error == ErrorCode::unknown_member_id);
        coordinator::SyncRequest other;
        other.ticket = ++in.tickets;
        other.group_id = "g";
        other.member = {member.id, {}};
        other.generation = 1;
        other.protocol_name = "sticky";
        in.happen([&](GroupShard& s) { return s.sync(other, in.now); });
        CHECK(in.synced(other.ticket).error == ErrorCode::inconsistent_group_protocol);
    }

    TEST_CASE("a member that syncs while Stable is told its assignment again") {
        GroupFixture in(without_delay());
        const auto member = in.settled("g");
        CHECK(text(in.synced(in.sync("g", {member.id, {}}, member.generation)).assignment) == "mine");
    }

    TEST_CASE("a rebalance that begins while members wait for their assignment sends them back") {
        GroupFixture in(without_delay());
        const auto a = in.joined(in.join("g")).member_id;
        in.join("g");
        const auto again = in.join("g", {.member_id = a});
        const auto generation = in.joined(again).generation;
        REQUIRE(in.joined(again).members.size() == 2);
        std::string follower;
        for (const auto& each : in.joined(again).members) {
            if (each.member_id != a) follower = each.member_id;
        }
        const auto waits = in.sync("g", {follower, {}}, generation);
        in.join("g");
        CHECK(in.synced(waits).error == ErrorCode::rebalance_in_progress);
        CHECK(in.synced(in.sync("g", {a, {}}, generation)).error == ErrorCode::rebalance_in_progress);
    }

    TEST_CASE("members that never sync are removed at the rebalance time-out") {
        GroupFixture in(without_delay());
        const auto pair = pair_of(in, "g", {.session_ms = 100'000}, {.session_ms = 100'000});
        const auto again = in.join("g", {.member_id = pair.leader, .session_ms = 100'000});
        in.join("g", {.member_id = pair.follower, .session_ms = 100'000});
        const auto generation = in.joined(again).generation;
        in.sync("g", {pair.leader, {}}, generation);
        in.pass(59'999);
        CHECK(in.members("g") == 2);
        in.pass(1);
        CHECK(in.members("g") == 1);
        CHECK(in.state("g") == "PreparingRebalance");
    }

    TEST_CASE("an assignment that the journal refuses sends all back, with the code for it") {
        struct {
            ErrorCode journal, client;
        } const rows[] = {
            {ErrorCode::not_enough_replicas, ErrorCode::coordinator_not_available},
            {ErrorCode::unknown_topic_or_partition, ErrorCode::coordinator_not_available},
            {ErrorCode::not_leader_or_follower, ErrorCode::not_coordinator},
            {ErrorCode::kafka_storage_error, ErrorCode::not_coordinator},
            {ErrorCode::message_too_large, ErrorCode::unknown_server_error},
            {ErrorCode::request_timed_out, ErrorCode::rebalance_in_progress},
        };
        for (const auto& row : rows) {
            GroupFixture in(without_delay());
            const auto member = in.joined(in.join("g")).member_id;
            in.refuses = row.journal;
            CHECK(in.synced(in.sync("g", {member, {}}, 1)).error == row.client);
            CHECK(in.state("g") == "PreparingRebalance");
            in.refuses.reset();
            CHECK(in.joined(in.join("g", {.member_id = member})).generation == 2);
        }
    }

    TEST_CASE("an assignment that is not committed in time sends all back") {
        GroupFixture in(without_delay());
        const auto member = in.joined(in.join("g")).member_id;
        in.holds_commits = true;
        const auto waits = in.sync("g", {member, {}}, 1, {{member, blob("x")}});
        in.pass(5000);
        CHECK(in.synced(waits).error == ErrorCode::rebalance_in_progress);
        CHECK(in.state("g") == "PreparingRebalance");
        in.commit_all();
        CHECK(in.state("g") == "PreparingRebalance");
    }
}

TEST_SUITE("coordinator/group life") {
    TEST_CASE("heartbeats keep a member, silence for its session time-out removes it") {
        GroupFixture in(without_delay());
        const auto member = in.settled("g");
        for (int beat = 0; beat < 5; ++beat) {
            in.pass(9'000);
            CHECK(in.heartbeat("g", {member.id, {}}, member.generation) == ErrorCode::none);
        }
        in.pass(9'999);
        CHECK(in.state("g") == "Stable");
        in.pass(1);
        CHECK(in.state("g") == "Empty");
        CHECK(in.heartbeat("g", {member.id, {}}, member.generation) == ErrorCode::unknown_member_id);
    }

    TEST_CASE("a heartbeat is judged by group, member and generation") {
        GroupFixture in(without_delay());
        const auto member = in.settled("g", {.instance = "i"});
        CHECK(in.heartbeat("", {member.id, {}}, 1) == ErrorCode::invalid_group_id);
        CHECK(in.heartbeat("h", {member.id, {}}, 1) == ErrorCode::unknown_member_id);
        CHECK(in.heartbeat("g", {"x", {}}, 1) == ErrorCode::unknown_member_id);
        CHECK(in.heartbeat("g", {"x", "i"}, 1) == ErrorCode::fenced_instance_id);
        CHECK(in.heartbeat("g", {member.id, "j"}, 1) == ErrorCode::unknown_member_id);
        CHECK(in.heartbeat("g", {member.id, "i"}, 2) == ErrorCode::illegal_generation);
        CHECK(in.heartbeat("g", {member.id, "i"}, 1) == ErrorCode::none);
    }

    TEST_CASE("a wall clock that jumps expires nobody") {
        GroupFixture in(without_delay());
        const auto member = in.settled("g");
        in.now.wall_ms += 86'400'000;
        in.pass(1000);
        CHECK(in.heartbeat("g", {member.id, {}}, member.generation) == ErrorCode::none);
        in.now.wall_ms -= 2 * 86'400'000;
        in.pass(1000);
        CHECK(in.heartbeat("g", {member.id, {}}, member.generation) == ErrorCode::none);
    }

    TEST_CASE("members that leave are judged one by one, and the rest rebalances") {
        GroupFixture in(without_delay());
        const auto pair = pair_of(in, "g", {}, {.instance = "i"});
        const auto errors = in.leave("g", {{"x", {}}, {"", "j"}, {"", {}}, {"x", "i"}, {"", "i"}});
        CHECK(errors == std::vector{ErrorCode::unknown_member_id, ErrorCode::unknown_member_id,
                                    ErrorCode::unknown_member_id, ErrorCode::fenced_instance_id,
                                    ErrorCode::none});
        CHECK(in.state("g") == "PreparingRebalance");
        CHECK(in.leave("g", {{pair.leader, {}}}) == std::vector{ErrorCode::none});
        CHECK(in.state("g") == "Empty");
        CHECK(in.leave("h", {{"x", {}}}) == std::vector{ErrorCode::unknown_member_id});
    }

    TEST_CASE("an emptied group is written with its next generation and no members") {
        GroupFixture in(without_delay());
        const auto member = in.settled("g");
        in.leave("g", {{member.id, {}}});
        const auto& last = std::get<coordinator::GroupRecord>(in.journal.back());
        REQUIRE(last.snapshot);
        CHECK(last.snapshot->generation == member.generation + 1);
        CHECK(last.snapshot->members.empty());
        CHECK_FALSE(last.snapshot->protocol);
        CHECK(last.snapshot->protocol_type == "consumer");
    }

    TEST_CASE("describe shows metadata and assignment only while Stable") {
        GroupFixture in(without_delay());
        const auto member = in.settled("g");
        const auto look = [&] {
            return in.shard->read([](const GroupShard& s) { return s.describe("g"); });
        };
        CHECK(look().protocol == "range");
        CHECK(text(look().members.at(0).assignment) == "mine");
        CHECK(look().members.at(0).client_host == "/127.0.0.1");
        in.join("g");
        CHECK(look().state == "PreparingRebalance");
        CHECK(look().protocol.empty());
        CHECK(look().members.at(0).assignment.empty());
        CHECK(in.state("nobody") == "Dead");
        const auto listed = in.shard->read([](const GroupShard& s) { return s.list(); });
        REQUIRE(listed.size() == 1);
        CHECK(listed[0].protocol_type == "consumer");
        (void)member;
    }
}

TEST_SUITE("coordinator/group static members") {
    TEST_CASE("a static member that restarts while Stable takes over without a rebalance") {
        GroupFixture in(without_delay());
        const auto pair = pair_of(in, "g", {}, {.instance = "i"});
        const auto& back = in.joined(in.join("g", {.instance = "i", .version = 5}));
        CHECK(back.error == ErrorCode::none);
        CHECK(back.generation == pair.generation);
        CHECK(back.member_id != pair.follower);
        CHECK(back.leader == pair.leader);
        CHECK(in.state("g") == "Stable");
        CHECK(in.heartbeat("g", {pair.follower, "i"}, pair.generation) == ErrorCode::fenced_instance_id);
        CHECK(in.heartbeat("g", {pair.follower, {}}, pair.generation) == ErrorCode::unknown_member_id);
        CHECK(in.heartbeat("g", {back.member_id, "i"}, pair.generation) == ErrorCode::none);
        CHECK(text(in.synced(in.sync("g", {back.member_id, "i"}, pair.generation)).assignment) == "b");
    }

    TEST_CASE("a static leader that restarts learns from version 9 on that it leads and assigns nothing") {
        GroupFixture in(without_delay());
        const auto pair = pair_of(in, "g", {.instance = "i"});
        SUBCASE("version 9") {
            const auto& back = in.joined(in.join("g", {.instance = "i", .version = 9}));
            CHECK(back.skip_assignment);
            CHECK(back.leader == back.member_id);
            CHECK(back.members.size() == 2);
        }
        SUBCASE("version 8") {
            const auto& back = in.joined(in.join("g", {.instance = "i", .version = 8}));
            CHECK_FALSE(back.skip_assignment);
            CHECK(back.leader == pair.leader);
            CHECK(back.members.empty());
        }
        CHECK(in.state("g") == "Stable");
    }

    TEST_CASE("a static member that comes back with another choice of protocol starts a rebalance") {
        GroupFixture in(without_delay());
        pair_of(in, "g", {.protocols = both}, {.instance = "i", .protocols = both});
        const auto back = in.join("g", {.instance = "i", .protocols = {{"sticky", subscription({"t"})}}});
        CHECK(in.waits(back));
        CHECK(in.state("g") == "PreparingRebalance");
    }

    TEST_CASE("the old incarnation of a static member is fenced where it waits") {
        GroupFixture in(without_delay());
        const auto leader = in.settled("g");
        const auto old = in.join("g", {.instance = "i"});
        CHECK(in.waits(old));
        in.join("g", {.instance = "i"});
        CHECK(in.joined(old).error == ErrorCode::fenced_instance_id);
        CHECK(in.members("g") == 2);
        (void)leader;
    }

    TEST_CASE("a static member that was replaced while it waits for its assignment is fenced there") {
        GroupFixture in(without_delay());
        const auto pair = pair_of(in, "g", {}, {.instance = "i"});
        const auto again = in.join("g", {.member_id = pair.leader});
        in.join("g", {.member_id = pair.follower, .instance = "i"});
        const auto waits = in.sync("g", {pair.follower, "i"}, in.joined(again).generation);
        const auto back = in.join("g", {.instance = "i"});
        CHECK(in.synced(waits).error == ErrorCode::fenced_instance_id);
        CHECK(in.waits(back));
        CHECK(in.state("g") == "PreparingRebalance");
    }

    TEST_CASE("a static member that misses a round stays, until its session ends") {
        GroupFixture in(without_delay());
        const auto pair = pair_of(in, "g", {}, {.instance = "i", .session_ms = 90'000});
        const auto again = in.join("g", {.member_id = pair.leader});
        in.pass(60'000);
        CHECK(in.joined(again).members.size() == 2);
        CHECK(in.heartbeat("g", {pair.follower, "i"}, in.joined(again).generation) == ErrorCode::none);
    }

    TEST_CASE("when no static member comes to a round it is tried again until their sessions end") {
        GroupFixture in(without_delay());
        const auto leader = in.settled("g", {.instance = "i", .session_ms = 100'000, .rebalance_ms = 0});
        in.join("g", {.version = 4});
        in.leave("g", {{"", "nobody"}});
        in.join("g", {.client = "d", .session_ms = 6'000});  // Starts the round, then leaves.
        in.pass(1'000'000);
        CHECK(in.state("g") == "Empty");
        (void)leader;
    }

    TEST_CASE("a replacement that the journal refuses is taken back") {
        GroupFixture in(without_delay());
        const auto pair = pair_of(in, "g", {}, {.instance = "i"});
        in.refuses = ErrorCode::not_enough_replicas;
        const auto& back = in.joined(in.join("g", {.instance = "i", .version = 5}));
        CHECK(back.error == ErrorCode::coordinator_not_available);
        CHECK(back.member_id.empty());
        CHECK(in.heartbeat("g", {pair.follower, "i"}, pair.generation) == ErrorCode::none);
        CHECK(in.state("g") == "Stable");
    }

    TEST_CASE("a rebalance that begins while a replacement is written answers it when it ends") {
        GroupFixture in(without_delay());
        const auto pair = pair_of(in, "g", {}, {.instance = "i"});
        in.holds_commits = true;
        const auto back = in.join("g", {.instance = "i", .version = 9});
        CHECK(in.waits(back));
        const auto again = in.join("g", {.member_id = pair.leader});
        CHECK(in.joined(back).generation == pair.generation + 1);
        CHECK(in.joined(again).generation == pair.generation + 1);
        in.commit_all();
    }
}

TEST_SUITE("coordinator/group restart") {
    TEST_CASE("a Stable group is Stable after a restart, and its members notice nothing") {
        GroupFixture in(without_delay());
        const auto pair = pair_of(in, "g", {}, {.instance = "i"});
        in.restart();
        CHECK(in.state("g") == "Stable");
        CHECK(in.heartbeat("g", {pair.leader, {}}, pair.generation) == ErrorCode::none);
        CHECK(in.heartbeat("g", {pair.follower, "i"}, pair.generation) == ErrorCode::none);
        CHECK(text(in.synced(in.sync("g", {pair.follower, "i"}, pair.generation)).assignment) == "b");
        const auto& back = in.joined(in.join("g", {.instance = "i", .version = 9}));
        CHECK(back.generation == pair.generation);
        in.pass(10'000);
        CHECK(in.state("g") == "Empty");
    }

    TEST_CASE("a static replacement keeps its assignment over a restart") {
        GroupFixture in(without_delay());
        const auto pair = pair_of(in, "g", {}, {.instance = "i"});
        const auto id = in.joined(in.join("g", {.instance = "i", .version = 9})).member_id;
        in.restart();
        CHECK(text(in.synced(in.sync("g", {id, "i"}, pair.generation)).assignment) == "b");
    }

    TEST_CASE("a generation that was not assigned is forgotten, and its members join again") {
        GroupFixture in(without_delay());
        const auto pair = pair_of(in, "g");
        in.join("g", {.member_id = pair.leader});
        in.join("g", {.member_id = pair.follower});
        in.restart();
        CHECK(in.state("g") == "Stable");
        CHECK(in.heartbeat("g", {pair.leader, {}}, pair.generation + 1) == ErrorCode::illegal_generation);
        CHECK(in.heartbeat("g", {pair.leader, {}}, pair.generation) == ErrorCode::none);
    }

    TEST_CASE("a group above a lowered group.max.size rebalances when it is loaded") {
        GroupFixture in(without_delay());
        const auto pair = pair_of(in, "g");
        in.settings.members_max = 1;
        in.restart();
        CHECK(in.state("g") == "PreparingRebalance");
        in.join("g", {.member_id = pair.leader});
        CHECK(in.joined(in.join("g", {.member_id = pair.follower})).error ==
              ErrorCode::group_max_size_reached);
        CHECK(in.members("g") == 1);
    }

    TEST_CASE("while groups are loaded each request is put off in its own way") {
        GroupFixture in(without_delay());
        in.start();
        CHECK(in.joined(in.join("g")).error == ErrorCode::coordinator_load_in_progress);
        CHECK(in.synced(in.sync("g", {"m", {}}, 1)).error == ErrorCode::rebalance_in_progress);
        CHECK(in.heartbeat("g", {"m", {}}, 1) == ErrorCode::none);
        CHECK(in.commit_one("g", 1) == ErrorCode::coordinator_load_in_progress);
        const auto fetched = in.shard->read([](const GroupShard& s) { return s.fetch_offsets("g", std::nullopt, false); });
        CHECK(fetched.error == ErrorCode::coordinator_load_in_progress);
    }

    TEST_CASE("when the partition is led elsewhere all who wait are told so, and all who ask") {
        GroupFixture in;
        const auto waits = in.join("g");
        in.holds_commits = true;
        const auto commits = in.commit("h", {}, -1, {{at("t", 0), in.committed(1)}});
        in.happen([&](GroupShard& s) { return s.unload(in.now); });
        CHECK(in.joined(waits).error == ErrorCode::not_coordinator);
        CHECK(in.answer<PartitionsReply>(commits).partitions.at(0) == ErrorCode::not_coordinator);
        CHECK(in.joined(in.join("g")).error == ErrorCode::not_coordinator);
        CHECK(in.heartbeat("g", {"m", {}}, 1) == ErrorCode::not_coordinator);
        CHECK(in.census.groups == 0);
        CHECK(in.census.member_ids == 0);
        in.commit_all();
    }

    TEST_CASE("a damaged snapshot makes a group that works") {
        GroupFixture in(without_delay());
        coordinator::GroupSnapshot odd;
        odd.protocol_type = "consumer";
        odd.generation = std::numeric_limits<std::int32_t>::max();
        odd.leader = "nobody";
        odd.members = {{"m", "i", "c", "h", -5, -5, {}, {}}, {"m", "j", "c", "h", 0, 0, {}, {}},
                       {"n", "i", "c", "h", 0, 0, {}, {}}};
        in.journal.push_back(coordinator::GroupRecord{"g", odd});
        in.restart();
        in.pass(1);
        CHECK(in.state("g") == "Empty");
        in.settled("g");
    }
}
