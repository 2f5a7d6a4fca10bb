#include "broker/cluster/controller_tree.h"

#include "broker/tests/cluster_tree.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using base::BrokerId;
using base::LeaderEpoch;
using base::PartitionIndex;
using broker::TermOfTree;
using coordinator::ZkError;
using test::ClusterTree;
namespace control = coordinator::controller;
namespace path = broker::znodes::path;
using Kind = control::Outcome::Kind;

namespace {

constexpr base::Uuid made_id{std::byte{9}};

control::Brokers ids(std::initializer_list<std::int32_t> values) {
    control::Brokers brokers;
    for (const auto value : values) brokers.emplace_back(value);
    return brokers;
}

class Office : public ClusterTree {
public:
    Office() { create(std::string(path::controller_epoch), "1"); }

    TermOfTree term() const {
        return {0, [] { return made_id; }};
    }
    control::Tree read() {
        auto tree = broker::read_tree(store(), term());
        REQUIRE(tree);
        return *std::move(tree);
    }
    std::vector<Kind> write(std::vector<control::Write> writes, std::int32_t epoch_version = 0) {
        std::vector<Kind> kinds;
        for (const auto& outcome : broker::write(store(), {1, epoch_version, std::move(writes)})) {
            kinds.push_back(outcome.kind);
        }
        return kinds;
    }
};

control::StateWrite state_write(const std::string& topic, std::int32_t partition,
                                std::optional<std::int32_t> version, std::int32_t leader = 1) {
    return {{topic, PartitionIndex(partition)},
            {BrokerId(leader), LeaderEpoch(3), ids({1, 2}), 1},
            version};
}

constexpr const char* two = R"({"version":3,"topic_id":"CAAAAAAAAAAAAAAAAAAAAA",)"
                            R"("partitions":{"0":[1,2],"1":[2,1]},)"
                            R"("adding_replicas":{"1":[1]},"removing_replicas":{}})";
constexpr base::Uuid two_id{std::byte{8}};

}  // namespace

TEST_CASE("a controller reads brokers, topics, states and marks") {
    Office in;
    in.add_broker(1);
    in.add_broker(2);
    in.add_topic("t", two);
    in.create(path::partition_state("t", PartitionIndex(1)),
              R"({"controller_epoch":4,"leader":2,"version":1,"leader_epoch":5,"isr":[2]})");
    in.create("/config/topics/t",
              R"({"version":1,"config":{"unclean.leader.election.enable":"true"}})");
    in.create(path::delete_topic("gone"), "");
    const auto tree = in.read();
    REQUIRE(tree.brokers.size() == 2);
    CHECK(tree.brokers[1].id == BrokerId(2));
    CHECK(tree.brokers[1].epoch > tree.brokers[0].epoch);
    CHECK(tree.brokers[0].endpoints ==
          std::vector<control::Endpoint>{{"PLAINTEXT", "host1", 9092, 0}});
    REQUIRE(tree.topics.size() == 1);
    const auto& topic = tree.topics.front();
    CHECK(topic.id == two_id);
    CHECK(topic.unclean_elections == true);
    REQUIRE(topic.partitions.size() == 2);
    CHECK(!topic.partitions[0].stored);
    CHECK(topic.partitions[1].assignment == control::Assignment{ids({2, 1}), ids({1}), {}});
    CHECK(topic.partitions[1].stored ==
          control::StoredState{{BrokerId(2), LeaderEpoch(5), ids({2}), 4}, 0});
    CHECK(tree.deletions == std::vector<std::string>{"gone"});
}

TEST_CASE("a topic without an id gets one in the tree before anybody hears of it") {
    Office in;
    in.add_topic("old", R"({"version":1,"partitions":{"0":[1]}})");
    const auto tree = in.read();
    REQUIRE(tree.topics.size() == 1);
    CHECK(tree.topics[0].id == made_id);
    CHECK(tree.topics[0].version == 1);
    CHECK(in.topic("old").topic_id == made_id);
    CHECK(in.topic("old").partitions.at(PartitionIndex(0)) == ids({1}));
}

TEST_CASE("where the protocol knows no topic ids topics stay as they are") {
    Office in;
    in.add_topic("old", R"({"version":1,"partitions":{"0":[1]}})");
    in.add_topic("t", two);
    const auto tree = broker::read_tree(in.store(), {0, nullptr});
    REQUIRE(tree);
    REQUIRE(tree->topics.size() == 2);
    CHECK(tree->topics[0].id == base::Uuid{});
    CHECK(tree->topics[0].version == 0);
    CHECK(tree->topics[1].id == two_id);
    CHECK(!in.topic("old").topic_id);
    const control::TopicWrite more{
        "old", {}, {{PartitionIndex(0), {ids({1})}}, {PartitionIndex(1), {ids({1})}}}, 0, {}};
    CHECK(in.write({more}) == std::vector{Kind::done});
    CHECK(!in.topic("old").topic_id);
    CHECK(in.write({control::TopicRemoval{"old", base::Uuid{}}}) == std::vector{Kind::done});
    CHECK(!in.get(path::topic("old")));
}

TEST_CASE("whose term is over names no topics") {
    Office in;
    in.set(std::string(path::controller_epoch), "2");
    in.add_topic("old", R"({"version":1,"partitions":{"0":[1]}})");
    CHECK(broker::read_tree(in.store(), in.term()).error() == ZkError::bad_version);
    CHECK(!in.topic("old").topic_id);
}

TEST_CASE(
    "a state that cannot be read has no leader, and a topic that makes no sense is left out") {
    Office in;
    in.add_topic("t", two);
    in.add_topic("broken", "nonsense");
    in.create(path::partition_state("t", PartitionIndex(0)), "nonsense");
    const auto tree = in.read();
    REQUIRE(tree.topics.size() == 1);
    CHECK(tree.topics[0].partitions[0].stored == control::StoredState{});
}

TEST_CASE("states are made and changed, each if it has its version") {
    Office in;
    in.add_topic("t", two);
    CHECK(in.write({state_write("t", 0, std::nullopt), state_write("t", 1, std::nullopt)}) ==
          std::vector{Kind::done, Kind::done});
    CHECK(in.state("t", 1).isr == ids({1, 2}));
    const auto outcomes =
        broker::write(in.store(), {2, 0, {state_write("t", 0, 0, 2), state_write("t", 1, 7, 2)}});
    CHECK(outcomes[0].kind == Kind::done);
    CHECK(outcomes[0].version == 1);
    CHECK(outcomes[1].kind == Kind::conflict);
    CHECK(in.state("t", 0).leader == BrokerId(2));
    CHECK(in.state("t", 1).leader == BrokerId(1));
    CHECK(in.write({state_write("t", 0, std::nullopt)}) == std::vector{Kind::conflict});
}

TEST_CASE("no state brings back a topic that is gone") {
    Office in;
    CHECK(in.write({state_write("t", 0, std::nullopt)}) == std::vector{Kind::conflict});
    CHECK(!in.get(path::topic("t")));
}

TEST_CASE("nothing is written in a term that is over") {
    Office in;
    in.add_topic("t", two);
    in.set(std::string(path::controller_epoch), "2");
    CHECK(in.write({state_write("t", 0, std::nullopt), control::TopicRemoval{"t", two_id}})[0] ==
          Kind::deposed);
    CHECK(in.write({control::TopicRemoval{"t", two_id}}) == std::vector{Kind::deposed});
    CHECK(in.get(path::topic("t")));
    CHECK(!in.get(path::partition_state("t", PartitionIndex(0))));
}

TEST_CASE("what a lost answer leaves unknown is said to be, and nothing more is tried") {
    Office in;
    in.add_topic("t", two);
    in.store().bytes_max = 700;  // Each write in a transaction of its own.
    in.store().loses_next_answer = true;
    CHECK(in.write({state_write("t", 0, std::nullopt), state_write("t", 1, std::nullopt)}) ==
          std::vector{Kind::unknown, Kind::unknown});
    CHECK(in.get(path::partition_state("t", PartitionIndex(0))));
    CHECK(!in.get(path::partition_state("t", PartitionIndex(1))));
}

TEST_CASE("an assignment is stored with the states that tell of it, or not at all") {
    Office in;
    in.add_topic("t", two);
    REQUIRE(in.write({state_write("t", 0, std::nullopt)}) == std::vector{Kind::done});
    control::TopicWrite move{"t",
                             two_id,
                             {{PartitionIndex(0), {ids({3, 1, 2}), ids({3}), ids({1, 2})}},
                              {PartitionIndex(1), {ids({2, 1})}}},
                             0,
                             {state_write("t", 0, 5, 2)}};
    CHECK(in.write({move}) == std::vector{Kind::conflict});
    CHECK(in.topic("t").partitions.at(PartitionIndex(0)) == ids({1, 2}));
    move.states[0].version = 0;
    const auto outcomes = broker::write(in.store(), {1, 0, {move}});
    CHECK(outcomes[0].kind == Kind::done);
    CHECK(outcomes[0].version == 1);
    const auto stored = in.topic("t");
    CHECK(stored.topic_id == two_id);
    CHECK(stored.partitions.at(PartitionIndex(0)) == ids({3, 1, 2}));
    CHECK(stored.adding_replicas.at(PartitionIndex(0)) == ids({3}));
    CHECK(stored.removing_replicas.at(PartitionIndex(0)) == ids({1, 2}));
    CHECK(!stored.adding_replicas.contains(PartitionIndex(1)));
    CHECK(in.state("t", 0).leader == BrokerId(2));
}

TEST_CASE("a topic goes with all its nodes, in as many transactions as it takes") {
    for (const std::size_t room : {std::size_t{1} << 20, std::size_t{500}}) {
        CAPTURE(room);
        Office in;
        in.add_topic("t", two);
        in.create("/config/topics/t", R"({"version":1,"config":{}})");
        in.create(path::delete_topic("t"), "");
        REQUIRE(in.write({state_write("t", 0, std::nullopt), state_write("t", 1, std::nullopt)}) ==
                std::vector{Kind::done, Kind::done});
        in.store().bytes_max = room;
        CHECK(in.write({control::TopicRemoval{"t", two_id}}) == std::vector{Kind::done});
        CHECK(!in.get(path::topic("t")));
        CHECK(!in.get("/config/topics/t"));
        CHECK(!in.get(path::delete_topic("t")));
        CHECK(in.write({control::TopicRemoval{"t", two_id}}) == std::vector{Kind::done});
    }
}

TEST_CASE("a topic that has taken the name of a deleted one stays, and so does its mark") {
    Office in;
    in.add_topic("t", two);
    in.create(path::delete_topic("t"), "");
    CHECK(in.write({control::TopicRemoval{"t", made_id}}) == std::vector{Kind::done});
    CHECK(in.write({control::TopicRemoval{"t", std::nullopt}}) == std::vector{Kind::conflict});
    CHECK(in.get(path::topic("t")));
    CHECK(in.get(path::delete_topic("t")));
}
