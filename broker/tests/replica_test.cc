// Partition in its roles: a leader and a follower, each with its log on a simulated disk.

#include "broker/tests/replica.h"

namespace {

using base::BrokerId;
using base::LeaderEpoch;
using base::Offset;
using broker::Acks;
using broker::Isr;
using broker::Partition;
using broker::ReadBound;
using protocol::ErrorCode;

using test::other;
using test::Replica;

}  // namespace

TEST_SUITE("broker/replica") {
    TEST_CASE("acks=all is answered when the follower asks for what comes behind") {
        Replica leader;
        Replica follower;
        leader.lead(0, {BrokerId(1), other});
        follower.partition->become_follower(LeaderEpoch(0));
        const auto all = leader.append();
        const auto one = leader.append(Acks::leader);
        REQUIRE(all);
        REQUIRE(one);
        CHECK(leader.answers[*one] == ErrorCode::none);
        CHECK(follower.fetch(leader, 0) == ErrorCode::none);  // It has them, and nobody knows.
        CHECK_FALSE(leader.answers[*all]);
        CHECK(leader.high_watermark() == Offset(0));
        CHECK(follower.fetch(leader, 0) == ErrorCode::none);
        CHECK(leader.answers[*all] == ErrorCode::none);
        CHECK(leader.high_watermark() == Offset(2));
        CHECK(follower.high_watermark() == Offset(0));
        CHECK(follower.fetch(leader, 0) == ErrorCode::none);
        CHECK(follower.high_watermark() == Offset(2));
    }

    TEST_CASE("consumers read up to the high watermark, followers to the end") {
        Replica leader;
        leader.lead(0, {BrokerId(1), other});
        REQUIRE(leader.append());
        broker::ReadRequest request;
        request.bytes_max = 1 << 20;
        request.at_least_one_batch = true;
        CHECK(leader.partition->read(request).data.size() == 0);
        request.bound = ReadBound::log_end;
        CHECK(leader.partition->read(request).data.size() > 0);
    }

    TEST_CASE("a follower that waits is woken by an append, a consumer by the high watermark") {
        Replica leader;
        leader.lead(0, {BrokerId(1), other});
        int consumer = 0;
        int replica = 0;
        const auto waits = [&](int& woken) {
            return std::make_shared<broker::FetchWaiter>(1, [&woken] { ++woken; });
        };
        REQUIRE(leader.partition->park(waits(consumer), Offset(0), ReadBound::high_watermark));
        REQUIRE(leader.partition->park(waits(replica), Offset(0), ReadBound::log_end));
        REQUIRE(leader.append());
        CHECK(replica == 1);
        CHECK(consumer == 0);
        (void)leader.partition->fetched_by(other, Offset(1), Replica::steady_ms());
        CHECK(consumer == 1);
    }

    TEST_CASE("acks=all is refused where the ISR is smaller than min.insync.replicas") {
        Replica leader;
        leader.partition->set_isr_min(2);
        leader.lead(0, {BrokerId(1)});
        const auto refused = leader.append();
        REQUIRE_FALSE(refused);
        CHECK(refused.error() == ErrorCode::not_enough_replicas);
        CHECK(leader.end() == Offset(0));
        CHECK(leader.append(Acks::leader));
        CHECK(leader.high_watermark() == Offset(0));  // Nothing is committed meanwhile.
    }

    TEST_CASE("min.insync.replicas above the number of replicas asks for all of them") {
        Replica alone;
        alone.partition->set_isr_min(3);
        alone.partition->become_leader(LeaderEpoch(0));
        const auto appended = alone.append();
        REQUIRE(appended);
        CHECK(alone.answers[*appended] == ErrorCode::none);
    }

    TEST_CASE("a follower that lags leaves the ISR, and what waited for it is answered") {
        Replica leader;
        const auto since_ms = Replica::steady_ms() - 2 * test::lag_ms;
        leader.lead(0, {BrokerId(1), other}, since_ms);
        const auto waits = leader.append();
        REQUIRE(waits);
        CHECK_FALSE(leader.partition->drop_laggards(since_ms + test::lag_ms));
        const auto wanted = leader.partition->drop_laggards(Replica::steady_ms());
        REQUIRE(wanted);
        CHECK(wanted->proposal.isr == Isr::Brokers{BrokerId(1)});
        CHECK_FALSE(leader.answers[*waits]);
        leader.partition->isr_answered(wanted->leader_epoch,
                                       Isr::Members{BrokerId(1), {}, wanted->proposal.isr, 1});
        CHECK(leader.answers[*waits] == ErrorCode::none);
    }

    TEST_CASE("a follower that has caught up is asked into the ISR once") {
        Replica leader;
        leader.lead(0, {BrokerId(1)});
        REQUIRE(leader.append());
        CHECK_FALSE(leader.partition->fetched_by(other, Offset(0), Replica::steady_ms()));
        const auto wanted = leader.partition->fetched_by(other, Offset(1), Replica::steady_ms());
        REQUIRE(wanted);
        CHECK(wanted->proposal.isr == Isr::Brokers{BrokerId(1), other});
        CHECK_FALSE(leader.partition->fetched_by(other, Offset(1), Replica::steady_ms()));
        leader.partition->isr_answered(LeaderEpoch(7), std::nullopt);  // Of another term.
        CHECK_FALSE(leader.partition->fetched_by(other, Offset(1), Replica::steady_ms()));
        leader.partition->isr_answered(LeaderEpoch(0), std::nullopt);
        CHECK(leader.partition->fetched_by(other, Offset(1), Replica::steady_ms()));
    }

    TEST_CASE("who waits at a leader that follows now is told so, and it takes no more") {
        Replica leader;
        leader.lead(0, {BrokerId(1), other});
        const auto waits = leader.append();
        REQUIRE(waits);
        leader.partition->become_follower(LeaderEpoch(1));
        CHECK(leader.answers[*waits] == ErrorCode::not_leader_or_follower);
        const auto refused = leader.append();
        REQUIRE_FALSE(refused);
        CHECK(refused.error() == ErrorCode::not_leader_or_follower);
        CHECK_FALSE(leader.partition->fetched_by(other, Offset(1), Replica::steady_ms()));
    }

    TEST_CASE("an old leader cuts what the new one does not have, and gets what that one has") {
        Replica a;
        Replica b;
        a.lead(0, {BrokerId(1), other});
        b.partition->become_follower(LeaderEpoch(0));
        REQUIRE(a.append());
        REQUIRE(b.fetch(a, 0) == ErrorCode::none);
        REQUIRE(a.append(Acks::leader));  // Nobody else has these two.
        REQUIRE(a.append(Acks::leader));
        // The other one leads, and a comes back.
        b.lead(1, {BrokerId(1)});
        REQUIRE(b.append());
        REQUIRE(b.append());
        a.partition->become_follower(LeaderEpoch(1));
        CHECK(a.end() == Offset(3));
        CHECK(a.fetch(b, 1) == ErrorCode::none);  // Told where they part.
        CHECK(a.end() == Offset(1));
        CHECK(a.fetch(b, 1) == ErrorCode::none);
        CHECK(a.end() == Offset(3));
        CHECK(a.epoch_at(0) == LeaderEpoch(0));
        CHECK(a.epoch_at(1) == LeaderEpoch(1));
        CHECK(a.epoch_at(2) == LeaderEpoch(1));
    }

    TEST_CASE("a term in which nothing was written leaves no trace at a follower") {
        Replica a;
        Replica b;
        a.lead(0, {BrokerId(1), other});
        b.partition->become_follower(LeaderEpoch(0));
        REQUIRE(a.append());
        REQUIRE(b.fetch(a, 0) == ErrorCode::none);
        a.lead(1, {BrokerId(1), other});  // And nothing is written in it.
        b.lead(2, {BrokerId(1)});
        REQUIRE(b.append());
        a.partition->become_follower(LeaderEpoch(2));
        for (int i = 0; i < 3; ++i) REQUIRE(a.fetch(b, 2) == ErrorCode::none);
        CHECK(a.end() == Offset(2));
        CHECK(a.epoch_at(1) == LeaderEpoch(2));
        CHECK(a.partition->look([](const storage::Log& log) {
            return log.end_of_epoch(LeaderEpoch(1)).epoch;
        }) == LeaderEpoch(0));
    }

    TEST_CASE("a fetcher of an earlier term changes nothing") {
        Replica leader;
        Replica follower;
        leader.lead(0, {BrokerId(1), other});
        REQUIRE(leader.append());
        follower.partition->become_follower(LeaderEpoch(1));
        CHECK(follower.fetch(leader, 0) == ErrorCode::fenced_leader_epoch);
        CHECK(follower.partition->cut(LeaderEpoch(0), Offset(0)) == ErrorCode::fenced_leader_epoch);
        CHECK(follower.end() == Offset(0));
    }

    TEST_CASE("records that do not lie behind the log are refused") {
        Replica leader;
        Replica follower;
        leader.lead(0, {BrokerId(1), other});
        REQUIRE(leader.append());
        follower.partition->become_follower(LeaderEpoch(0));
        REQUIRE(follower.fetch(leader, 0) == ErrorCode::none);
        auto again = leader.bytes.front();
        CHECK(follower.partition->append_fetched(LeaderEpoch(0), {again, Offset(1), Offset(0)},
                                                 1000) == ErrorCode::offset_out_of_range);
        CHECK(follower.end() == Offset(1));
    }

    TEST_CASE("a follower starts over where its leader's log begins, and follows its start") {
        Replica leader;
        Replica follower;
        leader.lead(0, {BrokerId(1)});
        for (int i = 0; i < 5; ++i) REQUIRE(leader.append());
        REQUIRE(leader.partition->delete_records(Offset(3)));
        follower.partition->become_follower(LeaderEpoch(0));
        CHECK(follower.fetch(leader, 0) == ErrorCode::offset_out_of_range);
        CHECK(follower.partition->start_over(LeaderEpoch(0), Offset(3)) == ErrorCode::none);
        CHECK(follower.fetch(leader, 0) == ErrorCode::none);
        CHECK(follower.end() == Offset(5));
        REQUIRE(leader.partition->delete_records(Offset(4)));
        CHECK(follower.fetch(leader, 0) == ErrorCode::none);
        CHECK(follower.partition->checkpoint_positions().log_start == Offset(4));
    }

    TEST_CASE("a follower leads from what it knows to be committed") {
        Replica leader;
        Replica follower;
        leader.lead(0, {BrokerId(1), other});
        follower.partition->become_follower(LeaderEpoch(0));
        REQUIRE(leader.append());
        for (int i = 0; i < 3; ++i) REQUIRE(follower.fetch(leader, 0) == ErrorCode::none);
        REQUIRE(leader.append());
        REQUIRE(follower.fetch(leader, 0) == ErrorCode::none);
        follower.lead(1, {BrokerId(1), other});
        CHECK(follower.end() == Offset(2));
        CHECK(follower.high_watermark() == Offset(1));
        REQUIRE(follower.append());
        CHECK(follower.epoch_at(1) == LeaderEpoch(0));
        CHECK(follower.epoch_at(2) == LeaderEpoch(1));
    }

    TEST_CASE("nobody knows where a new leader's records end before its followers have told") {
        Replica leader;
        Replica follower;
        leader.lead(0, {BrokerId(1), other});
        follower.partition->become_follower(LeaderEpoch(0));
        REQUIRE(leader.append());
        REQUIRE(follower.fetch(leader, 0) == ErrorCode::none);  // It has the record, and the leader
        CHECK(follower.high_watermark() == Offset(0));          // has told clients nothing of it.
        follower.lead(1, {BrokerId(1), other});
        CHECK(follower.partition->positions()->is_catching_up);
        (void)follower.partition->fetched_by(other, Offset(1), Replica::steady_ms());
        CHECK_FALSE(follower.partition->positions()->is_catching_up);
        // What is new in its own term is not waited for.
        REQUIRE(follower.append(Acks::leader));
        CHECK_FALSE(follower.partition->positions()->is_catching_up);
    }

    TEST_CASE("records are deleted when every follower that is alive has deleted them") {
        Replica leader;
        leader.lead(0, {BrokerId(1), other});
        for (int i = 0; i < 3; ++i) REQUIRE(leader.append(Acks::leader));
        const auto fetch = [&](std::int64_t log_start) {
            (void)leader.partition->fetched_by(other, Offset(3), Replica::steady_ms(),
                                               Offset(log_start));
        };
        const Isr::Brokers both{BrokerId(1), other};
        fetch(0);
        REQUIRE(leader.partition->delete_records(Offset(2)) == Offset(2));
        CHECK(leader.partition->low_watermark(both) == Offset(0));
        CHECK(leader.partition->low_watermark({BrokerId(1)}) == Offset(2));
        int wakes = 0;
        const auto waiter = std::make_shared<broker::FetchWaiter>(1, [&] { ++wakes; });
        CHECK_FALSE(leader.partition->park_for_low_watermark(waiter, both, Offset(1)));
        CHECK(leader.partition->park_for_low_watermark(waiter, both, Offset(0)));
        fetch(0);
        CHECK(wakes == 0);
        fetch(2);
        CHECK(wakes == 1);
        leader.partition->unpark(waiter);
        CHECK(leader.partition->low_watermark(both) == Offset(2));
    }

    TEST_CASE("whoever waits for a deletion looks again when brokers come or go, or the leader") {
        Replica leader;
        leader.lead(0, {BrokerId(1), other});
        const Isr::Brokers both{BrokerId(1), other};
        int wakes = 0;
        const auto park = [&] {
            auto waiter = std::make_shared<broker::FetchWaiter>(1, [&] { ++wakes; });
            CHECK(leader.partition->park_for_low_watermark(waiter, both, Offset(-1)));
            return waiter;
        };
        const auto first = park();
        leader.partition->wake_deletions();
        CHECK(wakes == 1);
        leader.partition->unpark(first);
        const auto second = park();
        leader.partition->become_follower(LeaderEpoch(1));
        CHECK(wakes == 2);
        CHECK(leader.partition->low_watermark(both) ==
              base::Unexpected(ErrorCode::not_leader_or_follower));
    }

    TEST_CASE(
        "a follower gives consumers what is committed, and nothing to whoever wants a leader") {
        Replica leader;
        Replica follower;
        leader.lead(0, {BrokerId(1), other});
        follower.partition->become_follower(LeaderEpoch(0));
        REQUIRE(leader.append());
        REQUIRE(leader.append());
        broker::ReadRequest request;
        request.bytes_max = std::size_t{1} << 20;
        CHECK(follower.partition->read(request).error == ErrorCode::not_leader_or_follower);
        request.whom = broker::ReadFrom::any_replica;
        CHECK(follower.partition->read(request).data.size() == 0);
        int wakes = 0;
        const auto waiter = std::make_shared<broker::FetchWaiter>(1, [&] { ++wakes; });
        CHECK_FALSE(follower.partition->park(waiter, Offset(0), ReadBound::high_watermark));
        CHECK(follower.partition->park(waiter, Offset(0), ReadBound::high_watermark,
                                       broker::ReadFrom::any_replica));
        for (const int seen : {0, 0, 1}) {  // Stored; told to the leader; heard that it is so.
            REQUIRE(follower.fetch(leader, 0) == ErrorCode::none);
            CHECK(wakes == seen);
        }
        const auto read = follower.partition->read(request);
        CHECK(read.error == ErrorCode::none);
        CHECK(read.data.size() == test::batch().size() * 2);
        request.current_leader_epoch = LeaderEpoch(1);
        CHECK(follower.partition->read(request).error == ErrorCode::unknown_leader_epoch);
    }
}
