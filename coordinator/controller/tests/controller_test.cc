// The controller over a tree in which every write succeeds: what it writes, says and answers.

#include "coordinator/controller/controller.h"

#include "coordinator/controller/tests/sim_tree.h"

#include <doctest/doctest.h>

#include <deque>

using namespace test;
using base::PartitionIndex;
using base::TopicPartition;
using protocol::ErrorCode;

namespace {

Brokers brokers(std::initializer_list<int> ids) {
    Brokers list;
    for (const int id : ids) list.emplace_back(id);
    return list;
}

struct Cluster {
    explicit Cluster(int count) {
        for (int id = 1; id <= count; ++id) tree.brokers[BrokerId(id)] = {BrokerId(id), 100 + id};
        tree.goes = [](const std::string&, const SimTopic&) {};
    }

    void topic(const std::string& name, std::initializer_list<int> replicas) {
        tree.create(name, {brokers(replicas)});
        if (!controller) return;
        controller->topic_seen(tree.read(name));
        run();
    }

    void take_office(const ControllerSettings& settings = {}) {
        controller.emplace(tree.elect(BrokerId(1)), settings, tree.read());
        run();
    }

    // Until nothing is left to do; every broker answers without an error, but for `silent` ones.
    void run() {
        for (;;) {
            Effects effects = controller->take_effects();
            for (Answer& answer : effects.answers) answers.push_back(std::move(answer));
            for (BrokerRequest& request : effects.requests) sent.push_back(std::move(request));
            if (effects.writes) {
                std::vector<Outcome> outcomes;
                for (const Write& one : effects.writes->writes) {
                    outcomes.push_back(tree.write(one, effects.writes->epoch_version, tree.epoch));
                }
                controller->written(effects.writes->id, outcomes);
            } else if (!answer_one()) {
                break;
            }
        }
        CHECK(tree.fault == "");
    }

    bool answer_one() {
        while (answered < sent.size()) {
            const BrokerRequest& request = sent[answered++];
            if (silent == request.broker) continue;
            controller->answered(request.id, ErrorCode::none, errors);
            return true;
        }
        return false;
    }

    void die(int id) {
        tree.brokers.erase(BrokerId(id));
        controller->broker_gone(BrokerId(id));
        run();
    }

    void come(int id, std::int64_t epoch) {
        tree.brokers[BrokerId(id)] = {BrokerId(id), epoch};
        controller->broker_seen(tree.brokers[BrokerId(id)]);
        run();
    }

    PartitionState state(const std::string& topic) {
        return tree.state({topic, PartitionIndex(0)}).value().state;
    }

    // What was said to a broker of this kind since `sent` was cleared.
    template <class Kind>
    std::vector<typename decltype(Kind::partitions)::value_type> told(int id) {
        std::vector<typename decltype(Kind::partitions)::value_type> all;
        for (const BrokerRequest& request : sent) {
            const auto* content = std::get_if<Kind>(&request.content);
            if (content == nullptr || request.broker != BrokerId(id)) continue;
            all.insert(all.end(), content->partitions.begin(), content->partitions.end());
        }
        return all;
    }

    void forget() {
        sent.clear();
        answered = 0;
    }

    SimTree tree;
    std::optional<Controller> controller;
    std::vector<Answer> answers;
    std::vector<BrokerRequest> sent;
    std::vector<PartitionError> errors;
    std::size_t answered = 0;
    BrokerId silent{-1};
};

const TopicPartition first{"t", PartitionIndex(0)};

}  // namespace

TEST_CASE("a new topic gets a leader, its replicas learn their roles, and everybody hears of it") {
    Cluster in(3);
    in.take_office();
    in.forget();
    in.topic("t", {2, 3});
    CHECK(in.state("t").leader == BrokerId(2));
    CHECK(in.state("t").controller_epoch == 1);
    const auto roles = in.told<LeaderAndIsr>(3);
    REQUIRE(roles.size() == 1);
    CHECK(roles[0].is_new);
    CHECK(roles[0].state.isr == brokers({2, 3}));
    CHECK(in.told<LeaderAndIsr>(1).empty());
    CHECK(in.told<UpdateMetadata>(1).size() == 1);
    CHECK(in.controller->is_idle());
}

TEST_CASE("the first that brokers hear of a controller is who lives") {
    Cluster in(2);
    in.topic("t", {1, 2});
    in.take_office();
    REQUIRE(in.sent.size() >= 4);
    const auto& greeting = std::get<UpdateMetadata>(in.sent[0].content);
    CHECK(greeting.partitions.empty());
    CHECK(in.sent[0].live->size() == 2);
    CHECK(in.sent[0].broker_epoch == 101);
}

TEST_CASE("a dead leader's partitions are led by others, and it learns of them when it returns") {
    Cluster in(3);
    in.take_office();
    in.topic("t", {1, 2, 3});
    in.topic("other", {3});
    in.forget();
    in.die(1);
    CHECK(in.state("t") == PartitionState{BrokerId(2), base::LeaderEpoch(1), brokers({2, 3}), 1});
    CHECK(in.state("other").leader_epoch == base::LeaderEpoch(0));
    const auto metadata = in.told<UpdateMetadata>(3);
    CHECK(metadata.back().offline == brokers({1}));
    in.forget();
    in.come(1, 500);
    const auto roles = in.told<LeaderAndIsr>(1);
    REQUIRE(roles.size() == 1);
    CHECK(roles[0].state.leader == BrokerId(2));
    CHECK(in.told<UpdateMetadata>(1).size() >= 2);
}

TEST_CASE("a broker that comes back before its death was seen has been away all the same") {
    Cluster in(2);
    in.take_office();
    in.topic("t", {1, 2});
    in.come(1, 500);
    CHECK(in.state("t") == PartitionState{BrokerId(2), base::LeaderEpoch(1), brokers({2}), 1});
}

TEST_CASE("nobody hears of a write that failed, and what is there is read") {
    Cluster in(2);
    in.take_office();
    in.topic("t", {1, 2});
    in.forget();
    in.controller->broker_gone(BrokerId(1));
    Effects effects = in.controller->take_effects();
    REQUIRE(effects.writes);
    for (const BrokerRequest& request : effects.requests) {
        CHECK_FALSE(std::holds_alternative<LeaderAndIsr>(request.content));
    }
    in.controller->written(effects.writes->id, {{Outcome::Kind::conflict}});
    effects = in.controller->take_effects();
    CHECK_FALSE(effects.writes);
    CHECK(effects.reads.states == std::vector{first});
    in.tree.states[first] = {{BrokerId(1), base::LeaderEpoch(7), brokers({1, 2}), 1}, 40};
    in.controller->state_read(first, in.tree.state(first));
    in.run();
    CHECK(in.state("t") == PartitionState{BrokerId(2), base::LeaderEpoch(8), brokers({2}), 1});
}

TEST_CASE("a controller whose epoch has passed resigns, and says so to whoever waits") {
    Cluster in(2);
    in.take_office();
    in.topic("t", {1, 2});
    in.tree.elect(BrokerId(2));
    in.controller->elect_leaders(5, ElectionKind::preferred, {{first}});
    in.controller->alter_partition(6, BrokerId(1), 101,
                                   {{first, base::LeaderEpoch(0), 0, brokers({1})}});
    Effects effects = in.controller->take_effects();
    REQUIRE(effects.writes);
    CHECK(effects.writes->epoch_version == 1);
    in.controller->written(effects.writes->id, {{Outcome::Kind::deposed}});
    effects = in.controller->take_effects();
    CHECK(effects.resign);
    REQUIRE(effects.answers.size() == 1);
    CHECK(std::get<AlterPartitionAnswer>(effects.answers[0]).error == ErrorCode::not_controller);
    in.controller->broker_gone(BrokerId(1));
    CHECK_FALSE(in.controller->take_effects().writes);
}

TEST_CASE("a leader's change of its ISR is written and told to all but as a new role") {
    Cluster in(3);
    in.take_office();
    in.topic("t", {1, 2});
    in.forget();
    in.controller->alter_partition(6, BrokerId(1), 101,
                                   {{first, base::LeaderEpoch(0), 0, brokers({1})}});
    in.run();
    const auto& answer = std::get<AlterPartitionAnswer>(in.answers.at(0));
    CHECK(answer.ticket == 6);
    CHECK(answer.partitions.at(0).now == StoredState{in.state("t"), 1});
    CHECK(in.state("t").isr == brokers({1}));
    CHECK(in.told<LeaderAndIsr>(2).empty());
    CHECK(in.told<UpdateMetadata>(3).size() == 1);

    in.controller->alter_partition(7, BrokerId(1), 100, {});
    in.run();
    CHECK(std::get<AlterPartitionAnswer>(in.answers.at(1)).error == ErrorCode::stale_broker_epoch);
    IsrChange late{first, base::LeaderEpoch(0), 1, brokers({1, 2}), false, {101, 50}};
    in.controller->alter_partition(8, BrokerId(1), 101, {late});
    in.run();
    CHECK(std::get<AlterPartitionAnswer>(in.answers.at(2)).partitions.at(0).error ==
          ErrorCode::ineligible_replica);
}

TEST_CASE("a topic goes when each of its replicas has been stopped and then deleted") {
    Cluster in(2);
    in.take_office();
    in.topic("t", {1, 2});
    in.forget();
    in.tree.marks.insert("t");
    in.controller->topic_marked("t");
    in.run();
    const auto stops = in.told<StopReplica>(2);
    REQUIRE(stops.size() == 2);
    CHECK_FALSE(stops[0].deletes);
    CHECK(stops[1].deletes);
    CHECK(stops[1].leader_epoch == base::LeaderEpoch(-2));
    CHECK(in.told<UpdateMetadata>(1).at(0).state.leader == BrokerId(-2));
    CHECK(in.tree.topics.empty());
    CHECK(in.tree.marks.empty());
    CHECK(in.controller->image().partition_count() == 0);
}

TEST_CASE("a deletion waits for a broker that is away, and is all that it hears when it returns") {
    Cluster in(2);
    in.take_office();
    in.topic("t", {1, 2});
    in.die(2);
    in.tree.marks.insert("t");
    in.controller->topic_marked("t");
    in.run();
    CHECK(in.tree.topics.size() == 1);
    in.forget();
    in.come(2, 500);
    CHECK(in.told<LeaderAndIsr>(2).empty());
    CHECK(in.told<StopReplica>(2).size() == 2);
    CHECK(in.tree.topics.empty());
}

TEST_CASE("a replica whose directory is offline leads no more, and blocks the deletion") {
    Cluster in(2);
    in.take_office();
    in.topic("t", {1, 2});
    in.silent = BrokerId(1);
    in.forget();
    in.controller->log_directory_failed(BrokerId(1));
    in.run();
    REQUIRE(in.told<LeaderAndIsr>(1).size() == 1);
    in.controller->answered(in.sent.at(0).id, ErrorCode::none,
                            {{first, ErrorCode::kafka_storage_error}});
    in.run();
    CHECK(in.state("t").leader == BrokerId(2));
    CHECK(in.state("t").isr == brokers({2}));
}

TEST_CASE("a broker that shuts down leads nothing that others can lead") {
    Cluster in(3);
    in.take_office();
    in.topic("t", {1, 2});
    in.topic("single", {1});
    in.topic("followed", {2, 1});
    in.forget();
    in.controller->shut_down(9, BrokerId(1), 101);
    in.run();
    const auto& answer = std::get<ShutdownAnswer>(in.answers.at(0));
    CHECK(answer.error == ErrorCode::none);
    CHECK(answer.remaining.empty());
    CHECK(in.state("t").leader == BrokerId(2));
    CHECK(in.state("single").leader == BrokerId(1));
    CHECK(in.state("followed").isr == brokers({2}));
    CHECK(in.told<StopReplica>(1).size() == 2);
    CHECK_FALSE(in.told<StopReplica>(1).at(0).deletes);

    in.die(2);
    in.controller->shut_down(10, BrokerId(3), 1);
    in.controller->shut_down(11, BrokerId(2), 102);
    in.run();
    CHECK(std::get<ShutdownAnswer>(in.answers.at(1)).error == ErrorCode::stale_broker_epoch);
    CHECK(std::get<ShutdownAnswer>(in.answers.at(2)).error == ErrorCode::unknown_server_error);
}

TEST_CASE("what nobody else can lead remains with the broker that shuts down") {
    Cluster in(2);
    in.take_office();
    in.topic("t", {1, 2});
    in.die(2);
    in.controller->shut_down(9, BrokerId(1), 101);
    in.run();
    CHECK(std::get<ShutdownAnswer>(in.answers.at(0)).remaining == std::vector{first});
}

TEST_CASE("leaders return to where they are preferred, on demand and by the balance") {
    Cluster in(2);
    in.take_office();
    in.topic("t", {1, 2});
    in.die(1);
    in.come(1, 500);
    in.controller->alter_partition(1, BrokerId(2), 102,
                                   {{first, base::LeaderEpoch(1), 1, brokers({2, 1})}});
    in.run();
    in.controller->elect_leaders(2, ElectionKind::preferred, {{first, {"no", PartitionIndex(0)}}});
    in.run();
    const auto& answer = std::get<ElectLeadersAnswer>(in.answers.at(1));
    CHECK(answer.partitions.at(0).error == ErrorCode::none);
    CHECK(answer.partitions.at(1).error == ErrorCode::unknown_topic_or_partition);
    CHECK(in.state("t") == PartitionState{BrokerId(1), base::LeaderEpoch(2), brokers({2, 1}), 1});
    in.controller->elect_leaders(3, ElectionKind::preferred, std::nullopt);
    in.run();
    CHECK(std::get<ElectLeadersAnswer>(in.answers.at(2)).partitions.empty());

    in.die(1);
    in.come(1, 600);
    in.controller->alter_partition(4, BrokerId(2), 102,
                                   {{first, base::LeaderEpoch(3), 4, brokers({2, 1})}});
    in.run();
    in.controller->rebalance_leaders();
    in.run();
    CHECK(in.state("t").leader == BrokerId(1));
}

TEST_CASE("a move adds the new replicas, and removes the old ones when the new are in sync") {
    Cluster in(3);
    in.take_office();
    in.topic("t", {1, 2});
    in.forget();
    in.controller->reassign(1, {{first, brokers({2, 3})}});
    in.run();
    CHECK(std::get<ReassignmentAnswer>(in.answers.at(0)).partitions.at(0).error == ErrorCode::none);
    CHECK(in.tree.topics["t"].partitions[PartitionIndex(0)] ==
          Assignment{brokers({2, 3, 1}), brokers({3}), brokers({1})});
    CHECK(in.state("t").leader_epoch == base::LeaderEpoch(1));
    REQUIRE(in.told<LeaderAndIsr>(3).size() == 1);
    CHECK(in.told<LeaderAndIsr>(3)[0].is_new);
    CHECK(in.told<LeaderAndIsr>(3)[0].assignment.adding == brokers({3}));

    in.forget();
    in.controller->alter_partition(2, BrokerId(1), 101,
                                   {{first, base::LeaderEpoch(1), 1, brokers({1, 2, 3})}});
    in.run();
    CHECK(in.state("t") == PartitionState{BrokerId(2), base::LeaderEpoch(2), brokers({2, 3}), 1});
    CHECK(in.tree.topics["t"].partitions[PartitionIndex(0)] == Assignment{brokers({2, 3})});
    CHECK(in.told<LeaderAndIsr>(3).at(0).assignment == Assignment{brokers({2, 3})});
    CHECK(in.told<LeaderAndIsr>(1).empty());
    CHECK(in.told<StopReplica>(1).size() == 2);
    CHECK(in.controller->image().partitions_of(BrokerId(1)).empty());
}

TEST_CASE("a cancelled move leaves the old replicas and deletes what was new") {
    Cluster in(3);
    in.take_office();
    in.topic("t", {1, 2});
    in.controller->reassign(1, {{first, brokers({3})}});
    in.run();
    in.forget();
    in.controller->reassign(2, {{first, std::nullopt}});
    in.run();
    CHECK(in.tree.topics["t"].partitions[PartitionIndex(0)] == Assignment{brokers({1, 2})});
    CHECK(in.told<StopReplica>(3).size() == 2);
    in.controller->reassign(3, {{first, std::nullopt}});
    in.run();
    CHECK(std::get<ReassignmentAnswer>(in.answers.at(2)).partitions.at(0).error ==
          ErrorCode::no_reassignment_in_progress);
}

TEST_CASE("another controller ends the move that the last one began") {
    Cluster in(3);
    in.take_office();
    in.topic("t", {1, 2});
    in.controller->reassign(1, {{first, brokers({2, 3})}});
    in.run();
    in.take_office();
    CHECK(in.state("t").leader_epoch == base::LeaderEpoch(2));
    in.controller->alter_partition(2, BrokerId(1), 101,
                                   {{first, base::LeaderEpoch(2), 2, brokers({1, 2, 3})}});
    in.run();
    CHECK(in.tree.topics["t"].partitions[PartitionIndex(0)] == Assignment{brokers({2, 3})});
}

TEST_CASE("where unclean elections become allowed, a partition without a leader gets one") {
    Cluster in(3);
    in.take_office();
    in.topic("t", {1, 2});
    in.die(2);
    in.die(1);
    in.come(2, 500);
    CHECK(in.state("t").leader == no_leader);
    in.controller->unclean_elections_changed("t", true);
    in.run();
    CHECK(in.state("t").leader == BrokerId(2));
    CHECK(in.state("t").isr == brokers({2}));
}

TEST_CASE("a broker that is slow to answer is told the newest only") {
    Cluster in(2);
    in.take_office();
    in.topic("t", {1, 2});
    in.silent = BrokerId(2);
    in.forget();
    for (int epoch = 500; epoch < 510; ++epoch) {
        in.come(1, epoch);
        in.controller->alter_partition(1, BrokerId(2), 102, {});
    }
    CHECK(in.told<LeaderAndIsr>(2).size() <= 1);
    REQUIRE_FALSE(in.sent.empty());
    in.silent = BrokerId(-1);
    std::uint64_t open = 0;
    for (const auto& request : in.sent) {
        if (request.broker == BrokerId(2)) open = request.id;
    }
    in.forget();
    in.controller->unanswered(open);
    in.run();
    REQUIRE(in.told<LeaderAndIsr>(2).size() == 1);
    CHECK(in.told<LeaderAndIsr>(2)[0].state == in.state("t"));
}

TEST_CASE("a mark for deletion of a topic that is not there goes, of one that is new it stays") {
    Cluster in(2);
    in.take_office();
    in.tree.marks.insert("gone");
    in.controller->topic_marked("gone");
    in.run();
    CHECK(in.tree.marks.empty());

    in.tree.create("t", {brokers({1, 2})});
    in.tree.marks.insert("t");
    in.controller->topic_marked("t");
    in.run();
    CHECK(in.tree.topics.size() == 1);
    in.controller->topic_seen(in.tree.read("t"));
    in.run();
    CHECK(in.tree.topics.empty());
    CHECK(in.tree.marks.empty());
}

TEST_CASE("a broker that did not hear who lives is told so again before its roles") {
    Channel channel(1);
    channel.lead_or_follow(7);
    REQUIRE(channel.take(1)->kind == Channel::Kind::metadata);
    channel.unanswered(1);
    REQUIRE(channel.take(2)->kind == Channel::Kind::metadata);
    REQUIRE(channel.answered(2));
    CHECK(channel.take(3)->kind == Channel::Kind::lead_or_follow);
}
