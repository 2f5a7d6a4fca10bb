#include "coordinator/tests/group_fixture.h"

using namespace test;

namespace {

coordinator::GroupSettings without_delay() {
    coordinator::GroupSettings settings;
    settings.initial_rebalance_delay_ms = 0;
    settings.retention_ms = 1000;
    return settings;
}

coordinator::FetchedOffsets fetch(const GroupFixture& in, const std::string& group, bool require_stable = false,
                                  std::optional<std::vector<TopicPartition>> partitions = std::nullopt) {
    return in.shard->read([&](const GroupShard& s) {
        return s.fetch_offsets(group, partitions, require_stable);
    });
}

void expire(GroupFixture& in) {
    in.happen([&](GroupShard& s) { return s.expire_offsets(in.now); });
}

PartitionsReply delete_offsets(GroupFixture& in, const std::string& group, const std::vector<TopicPartition>& partitions) {
    const auto ticket = ++in.tickets;
    in.happen([&](GroupShard& s) { return s.delete_offsets(ticket, group, partitions, in.now); });
    return in.answer<PartitionsReply>(ticket);
}

ErrorCode delete_group(GroupFixture& in, const std::string& group) {
    const auto ticket = ++in.tickets;
    in.happen([&](GroupShard& s) { return s.delete_group(ticket, group, in.now); });
    return in.answer<coordinator::DeleteReply>(ticket).error;
}

}  // namespace

TEST_SUITE("coordinator/group offsets") {
    TEST_CASE("who may commit when") {
        GroupFixture in(without_delay());
        const auto member = in.settled("g", {.instance = "i"});
        const MemberIdentity self{member.id, "i"};
        CHECK(in.commit_one("simple", 1) == ErrorCode::none);
        CHECK(in.commit_one("simple", 2, {"m", {}}) == ErrorCode::none);
        CHECK(in.commit_one("simple", 2, {}, 0) == ErrorCode::unknown_member_id);
        CHECK(in.commit_one("absent", 1, {"m", {}}, 1) == ErrorCode::illegal_generation);
        CHECK(in.state("absent") == "Dead");
        CHECK(in.commit_one("absent", 1, {"m", {}}, -1) == ErrorCode::none);
        CHECK(in.state("absent") == "Empty");
        CHECK(in.commit_one("g", 1) == ErrorCode::unknown_member_id);
        CHECK(in.commit_one("g", 1, {"x", {}}, 1) == ErrorCode::unknown_member_id);
        CHECK(in.commit_one("g", 1, {"x", "i"}, 1) == ErrorCode::fenced_instance_id);
        CHECK(in.commit_one("g", 1, self, 2) == ErrorCode::illegal_generation);
        CHECK(in.commit_one("g", 5, self, 1) == ErrorCode::none);
        CHECK(in.fetched("g") == 5);

        in.join("g");
        CHECK(in.state("g") == "PreparingRebalance");
        CHECK(in.commit_one("g", 6, self, 1) == ErrorCode::none);
        const auto again = in.join("g", {.member_id = member.id, .instance = "i"});
        CHECK(in.state("g") == "CompletingRebalance");
        CHECK(in.commit_one("g", 7, self, in.joined(again).generation) == ErrorCode::rebalance_in_progress);
        CHECK(in.fetched("g") == 6);
    }

    TEST_CASE("a zombie's commit never moves an offset back") {
        GroupFixture in(without_delay());
        const auto old = in.settled("g");
        REQUIRE(in.commit_one("g", 10, {old.id, {}}, old.generation) == ErrorCode::none);
        in.leave("g", {{old.id, {}}});
        const auto next = in.settled("g");
        REQUIRE(in.commit_one("g", 20, {next.id, {}}, next.generation) == ErrorCode::none);
        CHECK(in.commit_one("g", 11, {old.id, {}}, old.generation) == ErrorCode::unknown_member_id);
        CHECK(in.commit_one("g", 11, {next.id, {}}, old.generation) == ErrorCode::illegal_generation);
        CHECK(in.fetched("g") == 20);
    }

    TEST_CASE("a commit counts as a sign of life") {
        GroupFixture in(without_delay());
        const auto member = in.settled("g");
        for (int turn = 0; turn < 4; ++turn) {
            in.pass(9'000);
            CHECK(in.commit_one("g", turn, {member.id, {}}, 1) == ErrorCode::none);
        }
        CHECK(in.state("g") == "Stable");
    }

    TEST_CASE("metadata is measured in characters as Java counts them") {
        GroupFixture in(without_delay());
        std::string text;
        for (int i = 0; i < 4096; ++i) text += "\u00fc";
        auto most = in.committed(1);
        most.metadata = text;
        auto large = in.committed(2);
        large.metadata = text + "m";
        const auto ticket = in.commit("g", {}, -1, {{at("t", 0), most}, {at("t", 1), large}});
        CHECK(in.answer<PartitionsReply>(ticket).partitions ==
              std::vector{ErrorCode::none, ErrorCode::offset_metadata_too_large});
    }

    TEST_CASE("metadata over 4096 bytes is refused for its partition alone") {
        GroupFixture in(without_delay());
        auto large = in.committed(1);
        large.metadata = std::string(4097, 'm');
        auto most = in.committed(2);
        most.metadata = std::string(4096, 'm');
        const auto ticket = in.commit("g", {}, -1, {{at("t", 0), large}, {at("t", 1), most}});
        CHECK(in.answer<PartitionsReply>(ticket).partitions ==
              std::vector{ErrorCode::offset_metadata_too_large, ErrorCode::none});
        CHECK(in.fetched("g", at("t", 0)) == -1);
        CHECK(in.fetched("g", at("t", 1)) == 2);
    }

    TEST_CASE("what was never committed is -1 without an error, in an unknown group too") {
        GroupFixture in(without_delay());
        in.commit_one("g", 3);
        for (const auto* group : {"g", "nobody"}) {
            const auto answer = fetch(in, group, true, std::vector{at("t", 9)});
            REQUIRE(answer.offsets.size() == 1);
            CHECK(answer.offsets[0].offset == Offset(-1));
            CHECK(answer.offsets[0].leader_epoch == base::LeaderEpoch(-1));
            CHECK(answer.offsets[0].metadata.empty());
            CHECK(answer.offsets[0].error == ErrorCode::none);
        }
        CHECK(fetch(in, "g").offsets.size() == 1);
        CHECK(fetch(in, "nobody").offsets.empty());
    }

    TEST_CASE("a commit is readable when its record is committed, and unstable until then") {
        GroupFixture in(without_delay());
        in.commit_one("g", 1);
        in.holds_commits = true;
        const auto ticket = in.commit("g", {}, -1, {{at("t", 0), in.committed(2)}});
        CHECK(in.waits(ticket));
        CHECK(in.fetched("g") == 1);
        CHECK(fetch(in, "g", true).offsets.at(0).error == ErrorCode::unstable_offset_commit);
        in.commit_all();
        CHECK(in.answer<PartitionsReply>(ticket).partitions == std::vector{ErrorCode::none});
        CHECK(in.fetched("g") == 2);
        CHECK(fetch(in, "g", true).offsets.at(0).error == ErrorCode::none);
    }

    TEST_CASE("a commit that the journal refuses leaves no trace") {
        GroupFixture in(without_delay());
        struct {
            ErrorCode journal, client;
        } const rows[] = {
            {ErrorCode::not_enough_replicas_after_append, ErrorCode::coordinator_not_available},
            {ErrorCode::kafka_storage_error, ErrorCode::not_coordinator},
            {ErrorCode::message_too_large, ErrorCode::invalid_commit_offset_size},
            {ErrorCode::request_timed_out, ErrorCode::coordinator_not_available},
        };
        in.commit_one("g", 1);
        for (const auto& row : rows) {
            in.refuses = row.journal;
            CHECK(in.commit_one("g", 9) == row.client);
            CHECK(in.commit_one("other", 9) == row.client);
        }
        CHECK(in.fetched("g") == 1);
        CHECK(fetch(in, "g", true).offsets.at(0).error == ErrorCode::none);
        CHECK(in.state("other") == "Dead");
        CHECK(in.census.groups == 1);
    }

    TEST_CASE("a commit that is late is answered in time, and counts when it comes through") {
        GroupFixture in(without_delay());
        in.holds_commits = true;
        const auto ticket = in.commit("g", {}, -1, {{at("t", 0), in.committed(2)}});
        in.pass(5000);
        CHECK(in.answer<PartitionsReply>(ticket).partitions == std::vector{ErrorCode::coordinator_not_available});
        in.commit_all();
        CHECK(in.fetched("g") == 2);
    }

    TEST_CASE("offsets of a transaction are held back until its marker") {
        GroupFixture in(without_delay());
        in.start();
        const coordinator::OffsetRecord record{"g", at("t", 0), in.committed(7)};
        const coordinator::OffsetRecord plain{"g", at("t", 0), in.committed(1)};
        in.shard->touch([&](GroupShard& s) {
            s.replay(plain);
            s.replay_transactional(base::ProducerId(5), record);
            s.replay_transactional(base::ProducerId(6), {"g", at("u", 0), in.committed(8)});
            s.replay_transactional(base::ProducerId(9), {"h", at("u", 0), in.committed(8)});
            s.replay_marker(base::ProducerId(6), false);
            s.replay_marker(base::ProducerId(9), false);
            s.replay_marker(base::ProducerId(77), true);
        });
        std::int64_t now = 1;
        SUBCASE("open") {}
        SUBCASE("committed") {
            in.shard->touch([&](GroupShard& s) { s.replay_marker(base::ProducerId(5), true); });
            now = 7;
        }
        in.settle(in.shard->happen([&](GroupShard& s) { return s.finish_loading(in.now); }, in.now));
        CHECK(in.fetched("g", at("t", 0)) == now);
        CHECK(in.fetched("g", at("u", 0)) == -1);
        const auto error = fetch(in, "g", true, std::vector{at("t", 0)}).offsets.at(0).error;
        CHECK((error == ErrorCode::unstable_offset_commit) == (now == 1));
        CHECK(in.state("h") == "Dead");
    }
}

TEST_SUITE("coordinator/group deletion") {
    TEST_CASE("a group is deleted with all its offsets when it is empty, not before") {
        GroupFixture in(without_delay());
        const auto member = in.settled("g");
        in.commit_one("g", 5, {member.id, {}}, 1);
        CHECK(delete_group(in, "g") == ErrorCode::non_empty_group);
        CHECK(delete_group(in, "nobody") == ErrorCode::group_id_not_found);
        in.leave("g", {{member.id, {}}});
        CHECK(delete_group(in, "g") == ErrorCode::none);
        CHECK(in.state("g") == "Dead");
        CHECK(in.fetched("g") == -1);
        CHECK(delete_group(in, "g") == ErrorCode::group_id_not_found);
        CHECK(in.journal.back() == coordinator::Record(coordinator::GroupRecord{"g", std::nullopt}));
        CHECK(in.census.groups == 0);
        in.restart();
        CHECK(in.fetched("g") == -1);
        CHECK(in.state("g") == "Dead");
    }

    TEST_CASE("a group that only kept offsets leaves no tombstone of its own") {
        GroupFixture in(without_delay());
        in.commit_one("g", 5);
        CHECK(delete_group(in, "g") == ErrorCode::none);
        CHECK(std::holds_alternative<coordinator::OffsetRecord>(in.journal.back()));
        CHECK(in.census.groups == 0);
    }

    TEST_CASE("while its tombstones are written a group takes nobody in, and if they fail it is as before") {
        GroupFixture in(without_delay());
        const auto member = in.settled("g");
        in.commit_one("g", 5, {member.id, {}}, 1);
        in.leave("g", {{member.id, {}}});
        SUBCASE("written") {
            in.holds_commits = true;
            const auto ticket = ++in.tickets;
            in.happen([&](GroupShard& s) { return s.delete_group(ticket, "g", in.now); });
            CHECK(in.joined(in.join("g")).error == ErrorCode::coordinator_not_available);
            CHECK(in.commit_one("g", 6) == ErrorCode::coordinator_not_available);
            CHECK(in.waits(ticket));
            in.commit_all();
            CHECK(in.answer<coordinator::DeleteReply>(ticket).error == ErrorCode::none);
            CHECK(in.joined(in.join("g")).generation == 1);
        }
        SUBCASE("failed") {
            in.refuses = ErrorCode::not_enough_replicas;
            CHECK(delete_group(in, "g") == ErrorCode::coordinator_not_available);
            in.refuses.reset();
            CHECK(in.state("g") == "Empty");
            CHECK(in.fetched("g") == 5);
        }
    }

    TEST_CASE("a commit in flight does not outlive the deletion behind it") {
        GroupFixture in(without_delay());
        in.holds_commits = true;
        in.commit("g", {}, -1, {{at("t", 0), in.committed(2)}});
        const auto ticket = ++in.tickets;
        in.happen([&](GroupShard& s) { return s.delete_group(ticket, "g", in.now); });
        in.commit_all();
        CHECK(in.fetched("g") == -1);
        CHECK(in.state("g") == "Dead");
    }

    TEST_CASE("offsets of topics that a live group reads cannot be deleted, others can") {
        GroupFixture in(without_delay());
        const auto member = in.settled("g");
        in.commit("g", {member.id, {}}, 1, {{at("t", 0), in.committed(1)}, {at("u", 0), in.committed(2)}});
        const auto reply = delete_offsets(in, "g", {at("t", 0), at("u", 0), at("u", 9)});
        CHECK(reply.partitions == std::vector{ErrorCode::group_subscribed_to_topic, ErrorCode::none, ErrorCode::none});
        CHECK(in.fetched("g", at("t", 0)) == 1);
        CHECK(in.fetched("g", at("u", 0)) == -1);
        in.leave("g", {{member.id, {}}});
        CHECK(delete_offsets(in, "g", {at("t", 0)}).partitions == std::vector{ErrorCode::none});
        CHECK(in.fetched("g", at("t", 0)) == -1);
    }

    TEST_CASE("offsets of a live group that is no consumer's cannot be deleted") {
        GroupFixture in(without_delay());
        in.settled("g", {.protocol_type = "connect"});
        CHECK(delete_offsets(in, "g", {at("t", 0)}).error == ErrorCode::non_empty_group);
        CHECK(delete_offsets(in, "nobody", {at("t", 0)}).error == ErrorCode::group_id_not_found);
    }

    TEST_CASE("offsets of partitions that are no more are forgotten, those in flight too") {
        GroupFixture in(without_delay());
        in.commit("g", {}, -1, {{at("t", 0), in.committed(1)}, {at("u", 0), in.committed(2)}});
        in.holds_commits = true;
        in.commit("g", {}, -1, {{at("t", 1), in.committed(3)}});
        in.happen([&](GroupShard& s) {
            return s.forget_partitions([](const TopicPartition& p) { return p.topic == "t"; }, in.now);
        });
        in.commit_all();
        CHECK(in.fetched("g", at("t", 0)) == -1);
        CHECK(in.fetched("g", at("t", 1)) == -1);
        CHECK(in.fetched("g", at("u", 0)) == 2);
    }
}

TEST_SUITE("coordinator/group expiry") {
    TEST_CASE("offsets of a group without members expire with the time since it became empty") {
        GroupFixture in(without_delay());
        const auto member = in.settled("g");
        in.commit_one("g", 5, {member.id, {}}, 1);
        in.pass(5000);
        in.leave("g", {{member.id, {}}});
        in.pass(999);
        expire(in);
        CHECK(in.fetched("g") == 5);
        in.pass(1);
        expire(in);
        CHECK(in.fetched("g") == -1);
        CHECK(in.state("g") == "Dead");
        CHECK(in.journal.back() == coordinator::Record(coordinator::GroupRecord{"g", std::nullopt}));
    }

    TEST_CASE("a live group keeps what it reads and forgets, by commit time, what it does not") {
        GroupFixture in(without_delay());
        const auto member = in.settled("g");
        in.commit("g", {member.id, {}}, 1, {{at("t", 0), in.committed(1)}, {at("u", 0), in.committed(2)}});
        in.pass(1000);
        expire(in);
        CHECK(in.fetched("g", at("t", 0)) == 1);
        CHECK(in.fetched("g", at("u", 0)) == -1);
        CHECK(in.state("g") == "Stable");
    }

    TEST_CASE("a live group whose subscriptions are not understood forgets nothing") {
        GroupFixture in(without_delay());
        Joins says;
        SUBCASE("no consumers") { says.protocol_type = "connect"; }
        SUBCASE("bytes of another kind") { says.protocols = {{"range", blob("?")}}; }
        const auto member = in.settled("g", says);
        in.commit("g", {member.id, {}}, 1, {{at("u", 0), in.committed(2)}});
        in.pass(5000);
        expire(in);
        CHECK(in.fetched("g", at("u", 0)) == 2);
    }

    TEST_CASE("offsets of a group that only keeps offsets expire one by one, by commit time") {
        GroupFixture in(without_delay());
        in.commit("g", {}, -1, {{at("t", 0), in.committed(1)}});
        in.pass(500);
        in.commit("g", {}, -1, {{at("t", 1), in.committed(2)}});
        in.pass(500);
        expire(in);
        CHECK(in.fetched("g", at("t", 0)) == -1);
        CHECK(in.fetched("g", at("t", 1)) == 2);
        in.pass(500);
        expire(in);
        CHECK(in.state("g") == "Dead");
    }

    TEST_CASE("a commit that named its retention keeps to that, longer or shorter") {
        GroupFixture in(without_delay());
        auto shorter = in.committed(1), longer = in.committed(2);
        shorter.expire_ms = in.now.wall_ms + 10;
        longer.expire_ms = in.now.wall_ms + 10'000;
        in.commit("g", {}, -1, {{at("t", 0), shorter}, {at("t", 1), longer}});
        in.pass(10);
        expire(in);
        CHECK(in.fetched("g", at("t", 0)) == -1);
        in.pass(5000);
        expire(in);
        CHECK(in.fetched("g", at("t", 1)) == 2);
    }

    TEST_CASE("an offset that is just being committed anew does not expire") {
        GroupFixture in(without_delay());
        in.commit_one("g", 1);
        in.pass(1000);
        in.holds_commits = true;
        in.commit("g", {}, -1, {{at("t", 0), in.committed(2)}});
        expire(in);
        in.commit_all();
        CHECK(in.fetched("g") == 2);
    }

    TEST_CASE("times that make no sense expire nothing before their time and break nothing") {
        GroupFixture in(without_delay());
        auto future = in.committed(1), past = in.committed(2);
        future.commit_ms = std::numeric_limits<std::int64_t>::max();
        past.commit_ms = std::numeric_limits<std::int64_t>::min();
        in.commit("g", {}, -1, {{at("t", 0), future}, {at("t", 1), past}});
        expire(in);
        CHECK(in.fetched("g", at("t", 0)) == 1);
        CHECK(in.fetched("g", at("t", 1)) == -1);
    }
}
