// Who leads, and who is in sync: the rules one by one.

#include "coordinator/controller/elections.h"

#include "coordinator/controller/reassignment.h"

#include <doctest/doctest.h>

using namespace coordinator::controller;
using base::BrokerId;
using protocol::ErrorCode;

namespace {

Brokers brokers(std::initializer_list<int> ids) {
    Brokers list;
    for (const int id : ids) list.emplace_back(id);
    return list;
}

PartitionState state(int leader, int epoch, std::initializer_list<int> isr) {
    return {BrokerId(leader), base::LeaderEpoch(epoch), brokers(isr)};
}

Electorate of(std::initializer_list<int> replicas, std::initializer_list<int> alive) {
    return {brokers(replicas), brokers(alive)};
}

IsrChange change(int epoch, int version, std::initializer_list<int> isr) {
    return {{"t", base::PartitionIndex(0)}, base::LeaderEpoch(epoch), version, brokers(isr)};
}

}  // namespace

TEST_CASE("a new partition is led by its first living replica, with all living ones in sync") {
    CHECK(first_state(of({3, 1, 2}, {1, 2})) == state(1, 0, {1, 2}));
    CHECK_FALSE(first_state(of({3, 1}, {})));
}

TEST_CASE("when the leader dies, the first living replica in sync leads the next epoch") {
    CHECK(settled(state(1, 4, {3, 1, 2}), of({1, 2, 3}, {2, 3})) == state(2, 5, {3, 2}));
    CHECK(settled(state(1, 4, {1, 3}), of({1, 2, 3}, {2, 3})) == state(3, 5, {3}));
}

TEST_CASE("a follower that dies leaves the ISR, in a new leader epoch") {
    CHECK(settled(state(1, 4, {1, 2}), of({1, 2}, {1})) == state(1, 5, {1}));
    CHECK_FALSE(settled(state(1, 4, {1}), of({1, 2}, {1})));
}

TEST_CASE("whoever is in sync when all die is waited for") {
    CHECK(settled(state(1, 4, {1, 2}), of({1, 2, 3}, {3})) == state(-1, 5, {1, 2}));
    CHECK_FALSE(settled(state(-1, 5, {1, 2}), of({1, 2, 3}, {3})));
    CHECK(settled(state(-1, 5, {1, 2}), of({1, 2, 3}, {2, 3})) == state(2, 6, {2}));
}

TEST_CASE(
    "where unclean elections are allowed any living replica leads when nobody in sync lives") {
    auto electorate = of({1, 2, 3}, {3});
    electorate.unclean = true;
    CHECK(settled(state(1, 4, {1, 2}), electorate) == state(3, 5, {3}));
    electorate.alive = brokers({2, 3});
    CHECK(settled(state(1, 4, {1, 2}), electorate) == state(2, 5, {2}));
}

TEST_CASE("who retires hands over, unless there is nobody else") {
    auto electorate = of({1, 2}, {1, 2});
    electorate.retiring = brokers({1});
    CHECK(settled(state(1, 4, {1, 2}), electorate) == state(2, 5, {2}));
    CHECK(settled(state(2, 4, {1, 2}), electorate) == state(2, 5, {2}));
    CHECK_FALSE(settled(state(1, 4, {1}), electorate));
}

TEST_CASE("who is no replica any more leaves the ISR, but not as the last who has everything") {
    CHECK(settled(state(1, 4, {1, 2}), of({2, 3}, {1, 2, 3})) == state(2, 5, {2}));
    CHECK_FALSE(settled(state(1, 4, {1}), of({2, 3}, {1, 2, 3})));
}

TEST_CASE("the preferred leader leads again when it is alive and in sync") {
    CHECK(prefer(state(2, 4, {2, 1}), of({1, 2}, {1, 2})) == state(1, 5, {2, 1}));
    CHECK(prefer(state(1, 4, {1, 2}), of({1, 2}, {1, 2})).error() ==
          ErrorCode::election_not_needed);
    CHECK(prefer(state(2, 4, {2}), of({1, 2}, {1, 2})).error() ==
          ErrorCode::preferred_leader_not_available);
    CHECK(prefer(state(2, 4, {2, 1}), of({1, 2}, {2})).error() ==
          ErrorCode::preferred_leader_not_available);
}

TEST_CASE("an unclean election on demand is for partitions without a living leader") {
    CHECK(elect_anyone(state(-1, 4, {1}), of({1, 2}, {2})) == state(2, 5, {2}));
    CHECK(elect_anyone(state(1, 4, {1}), of({1, 2}, {1, 2})).error() ==
          ErrorCode::election_not_needed);
    CHECK(elect_anyone(state(-1, 4, {1}), of({1, 2}, {})).error() ==
          ErrorCode::eligible_leaders_not_available);
}

TEST_CASE("a leader changes its ISR within its epoch") {
    const StoredState stored{state(1, 4, {1}), 7};
    const auto electorate = of({1, 2, 3}, {1, 2});
    const auto ask = [&](const IsrChange& wanted, int sender = 1) {
        return altered(stored, wanted, BrokerId(sender), electorate);
    };
    CHECK(ask(change(4, 7, {1, 2})).value() == state(1, 4, {1, 2}));
    CHECK(ask(change(4, 7, {1})).value() == std::nullopt);
    CHECK(ask(change(4, 6, {1})).value() == std::nullopt);
    CHECK(ask(change(5, 7, {1, 2})).error() == ErrorCode::not_controller);
    CHECK(ask(change(3, 7, {1, 2})).error() == ErrorCode::fenced_leader_epoch);
    CHECK(ask(change(4, 8, {1, 2})).error() == ErrorCode::not_controller);
    CHECK(ask(change(4, 6, {1, 2})).error() == ErrorCode::invalid_update_version);
    CHECK(ask(change(4, 7, {1, 3})).error() == ErrorCode::ineligible_replica);
    CHECK(ask(change(4, 7, {1, 9})).error() == ErrorCode::invalid_request);
    CHECK(ask(change(4, 7, {1, 1})).error() == ErrorCode::invalid_request);
    CHECK(ask(change(4, 7, {2})).error() == ErrorCode::invalid_request);
    CHECK(ask(change(4, 7, {1, 2}), 2).error() == ErrorCode::invalid_request);
}

TEST_CASE("a move keeps the old replicas until the new ones are in sync") {
    const Assignment moving = moved_to({brokers({1, 2})}, brokers({2, 3}));
    CHECK(moving == Assignment{brokers({2, 3, 1}), brokers({3}), brokers({1})});
    CHECK(moving.origin() == brokers({2, 1}));
    CHECK_FALSE(is_caught_up(moving, brokers({1, 2})));
    CHECK(is_caught_up(moving, brokers({1, 2, 3})));
    CHECK(finished(moving) == Assignment{brokers({2, 3})});
}

TEST_CASE("a cancelled move returns to the old replicas, and another target replaces it") {
    const auto live = brokers({1, 2, 3, 4});
    const Assignment moving = moved_to({brokers({1, 2})}, brokers({2, 3}));
    CHECK(reassigned(moving, std::nullopt, live, state(1, 0, {1, 2})) ==
          Assignment{brokers({2, 1})});
    CHECK(reassigned(moving, brokers({4, 1}), live, state(1, 0, {1, 2})) ==
          Assignment{brokers({4, 1, 2}), brokers({4}), brokers({2})});
    CHECK(reassigned({brokers({1})}, std::nullopt, live, {}).error() ==
          ErrorCode::no_reassignment_in_progress);
    CHECK(reassigned(moving, std::nullopt, live, state(3, 0, {3})).error() ==
          ErrorCode::eligible_leaders_not_available);
}

TEST_CASE("a target has different brokers, and new ones are alive") {
    const Assignment now{brokers({1, 2})};
    const auto refused = [&](std::initializer_list<int> target) {
        return reassigned(now, brokers(target), brokers({1, 3}), state(1, 0, {1})).error();
    };
    CHECK(refused({}) == ErrorCode::invalid_replica_assignment);
    CHECK(refused({3, 3}) == ErrorCode::invalid_replica_assignment);
    CHECK(refused({4}) == ErrorCode::invalid_replica_assignment);
    CHECK(reassigned(now, brokers({2, 3}), brokers({1, 3}), state(1, 0, {1})).has_value());
}
