#include "broker/cluster/controller_driver.h"

#include "broker/tests/cluster_tree.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using base::BrokerId;
using base::LeaderEpoch;
using base::PartitionIndex;
using base::TopicPartition;
using broker::ControllerDriver;
using broker::PlacesToLook;
using protocol::ErrorCode;
namespace control = coordinator::controller;
namespace path = broker::znodes::path;

namespace {

control::Brokers ids(std::initializer_list<std::int32_t> values) {
    control::Brokers brokers;
    for (const auto value : values) brokers.emplace_back(value);
    return brokers;
}

const TopicPartition t0{"t", PartitionIndex(0)};

// A tree, broker 1 as candidate, and brokers that answer when they are let.
class World : public test::ClusterTree {
public:
    World() {
        broker::ControllerDriver::Ports ports;
        ports.wall_ms = [] { return std::int64_t{1'000'000}; };
        ports.random_id = [] { return base::Uuid{std::byte{9}}; };
        ports.later = [this](std::function<void()> work) { later_.push_back(std::move(work)); };
        ports.send = [this](const control::Term& term, control::BrokerRequest request) {
            epoch_ = term.epoch;
            requests_.push_back(std::move(request));
        };
        ports.hang_up = [this] { requests_.clear(); };
        driver = std::make_unique<ControllerDriver>(
            store(), ControllerDriver::Settings{.self = BrokerId(1)}, std::move(ports));
    }

    // Everything happens that can, with brokers that do as they are told.
    void settle() {
        while (!requests_.empty() || !later_.empty()) {
            for (const auto& work : std::exchange(later_, {})) work();
            for (const auto& request : std::exchange(requests_, {})) answer(request);
        }
    }
    void look() {
        driver->look(PlacesToLook::everywhere());
        settle();
    }
    // Whoever is told something does not answer.
    void ignore() {
        for (const auto& request : std::exchange(requests_, {}))
            driver->unanswered(epoch_, request.id);
    }
    // One moment later, in which no broker answers.
    void wait() {
        for (const auto& work : std::exchange(later_, {})) work();
    }
    bool is_waiting() const { return !later_.empty(); }

    // Three brokers, one topic on them all.
    void begin() {
        for (const auto id : {1, 2, 3}) add_broker(id);
        add_topic("t", R"({"version":1,"partitions":{"0":[2,3,1]}})");
        look();
        REQUIRE(driver->is_controller());
    }

    const std::vector<control::BrokerRequest>& requests() const { return requests_; }

    control::IsrChange isr_change(const control::Brokers& isr) {
        const auto now = state("t", 0);
        const auto version = get(path::partition_state("t", PartitionIndex(0)))->stat.version;
        return {t0, now.leader_epoch, version, isr};
    }
    std::int64_t broker_epoch(std::int32_t id) {
        return get(path::broker(BrokerId(id)))->stat.czxid.value();
    }

    std::unique_ptr<ControllerDriver> driver;
    std::vector<control::BrokerRequest> told;  // What was answered.

private:
    void answer(const control::BrokerRequest& request) {
        std::vector<control::PartitionError> partitions;
        if (const auto* roles = std::get_if<control::LeaderAndIsr>(&request.content)) {
            for (const auto& each : roles->partitions) {
                partitions.push_back({{each.topic, each.index}});
            }
        }
        told.push_back(request);
        driver->answered(epoch_, request.id, ErrorCode::none, partitions);
    }

    std::vector<std::function<void()>> later_;
    std::vector<control::BrokerRequest> requests_;
    std::int32_t epoch_ = 0;
};

template <class Content>
std::size_t count(const std::vector<control::BrokerRequest>& requests, std::int32_t broker) {
    return static_cast<std::size_t>(std::ranges::count_if(requests, [&](const auto& each) {
        return each.broker == BrokerId(broker) && std::holds_alternative<Content>(each.content);
    }));
}

}  // namespace

TEST_CASE("a controller chooses leaders, writes them down, and tells the brokers") {
    World in;
    in.begin();
    CHECK(broker::znodes::parse_controller(in.get(std::string(path::controller))->data.value())
              ->broker == BrokerId(1));
    CHECK(in.get(std::string(path::controller_epoch))->data == "1");
    CHECK(in.topic("t").topic_id == base::Uuid{std::byte{9}});
    const auto state = in.state("t", 0);
    CHECK(state.leader == BrokerId(2));
    CHECK(state.isr == ids({2, 3, 1}));
    CHECK(state.controller_epoch == 1);
    for (const auto id : {1, 2, 3}) {
        CHECK(count<control::LeaderAndIsr>(in.told, id) == 1);
        CHECK(count<control::UpdateMetadata>(in.told, id) >= 1);
    }
}

TEST_CASE("when a leader dies another of the ISR leads, in the next epoch") {
    World in;
    in.begin();
    in.kill_broker(2);
    in.told.clear();
    in.look();
    CHECK(in.state("t", 0).leader == BrokerId(3));
    CHECK(in.state("t", 0).leader_epoch == LeaderEpoch(1));
    CHECK(in.state("t", 0).isr == ids({3, 1}));
    CHECK(count<control::LeaderAndIsr>(in.told, 3) == 1);
    CHECK(count<control::LeaderAndIsr>(in.told, 2) == 0);
    in.add_broker(2);
    in.look();
    CHECK(count<control::LeaderAndIsr>(in.told, 2) == 1);
    CHECK(in.state("t", 0).leader == BrokerId(3));
}

TEST_CASE("a state that somebody else has written is read, and built upon") {
    World in;
    in.begin();
    in.set(path::partition_state("t", PartitionIndex(0)),
           R"({"controller_epoch":1,"leader":2,"version":1,"leader_epoch":0,"isr":[2,1]})");
    in.kill_broker(2);
    in.look();
    CHECK(in.state("t", 0).leader == BrokerId(1));
    CHECK(in.state("t", 0).isr == ids({1}));
    CHECK(in.get(path::partition_state("t", PartitionIndex(0)))->stat.version == 2);
}

TEST_CASE("while another is controller nothing is done; when it goes its place is taken") {
    World in;
    const auto other = in.create_ephemeral(std::string(path::controller),
                                           R"({"version":1,"brokerid":7,"timestamp":"1"})");
    in.create(std::string(path::controller_epoch), "4");
    in.add_broker(1);
    in.add_topic("t", R"({"version":1,"partitions":{"0":[1]}})");
    in.look();
    CHECK(!in.driver->is_controller());
    CHECK(!in.get(path::partition_state("t", PartitionIndex(0))));
    bool asked =
        in.driver->shut_down(BrokerId(1), 1, [](const auto&) { FAIL("no answer is due"); });
    CHECK(!asked);
    in.end(other);
    in.look();
    CHECK(in.driver->is_controller());
    CHECK(in.get(std::string(path::controller_epoch))->data == "5");
    CHECK(in.state("t", 0).controller_epoch == 5);
}

TEST_CASE("a controller that was deposed writes nothing, answers who waits, and stands again") {
    World in;
    in.begin();
    in.kill_broker(2);
    in.set(std::string(path::controller_epoch), "8");
    std::optional<ErrorCode> answer;
    REQUIRE(in.driver->alter_partition(
        BrokerId(2), in.driver->image()->find_broker(BrokerId(2))->epoch,
        {in.isr_change(ids({2, 3}))},
        [&](const control::AlterPartitionAnswer& given) { answer = given.error; }));
    CHECK(answer == ErrorCode::not_controller);
    CHECK(!in.driver->is_controller());
    CHECK(in.state("t", 0).isr == ids({2, 3, 1}));
    in.settle();
    CHECK(in.driver->is_controller());
    CHECK(in.get(std::string(path::controller_epoch))->data == "9");
    CHECK(in.state("t", 0).leader == BrokerId(3));
}

TEST_CASE("a lost session ends the term, and whoever holds the office then is not disturbed") {
    World in;
    in.begin();
    in.remove(std::string(path::controller));
    in.create_ephemeral(std::string(path::controller),
                        R"({"version":1,"brokerid":3,"timestamp":"1"})");
    in.driver->session_lost();
    CHECK(!in.driver->is_controller());
    CHECK(in.get(std::string(path::controller_epoch))->data == "1");
}

TEST_CASE("while the tree cannot be reached nothing is concluded, and afterwards everything") {
    World in;
    in.begin();
    in.kill_broker(2);
    in.store().is_cut = true;
    in.driver->look({.brokers = true});
    in.wait();
    CHECK(in.is_waiting());
    CHECK(in.driver->is_controller());
    CHECK(in.state("t", 0).leader == BrokerId(2));
    CHECK(in.requests().empty());
    in.store().is_cut = false;
    in.settle();
    CHECK(in.state("t", 0).leader == BrokerId(3));
    CHECK(in.driver->image()->live() == ids({1, 3}));
}

TEST_CASE("a write whose answer was lost is read before anybody is told of it") {
    World in;
    in.begin();
    in.store().loses_next_answer = true;
    std::optional<control::AlteredPartition> answer;
    REQUIRE(in.driver->alter_partition(
        BrokerId(2), in.broker_epoch(2), {in.isr_change(ids({2, 3}))},
        [&](const control::AlterPartitionAnswer& given) { answer = given.partitions.front(); }));
    CHECK(!answer);
    in.settle();
    REQUIRE(answer);
    CHECK(answer->error == ErrorCode::none);
    CHECK(answer->now.state.isr == ids({2, 3}));
    CHECK(answer->now.version ==
          in.get(path::partition_state("t", PartitionIndex(0)))->stat.version);
    CHECK(in.get(path::partition_state("t", PartitionIndex(0)))->stat.version == 1);
}

TEST_CASE("a broker that does not answer is told again, after a moment") {
    World in;
    in.begin();
    in.kill_broker(2);
    in.told.clear();
    in.driver->look({.brokers = true});
    const auto open = in.requests().size();
    REQUIRE(open > 0);
    in.ignore();
    CHECK(in.requests().empty());
    in.wait();
    CHECK(in.requests().size() == open);
    in.settle();
    CHECK(count<control::LeaderAndIsr>(in.told, 3) == 1);
}

TEST_CASE("a marked topic goes when its replicas have gone") {
    World in;
    in.begin();
    in.create(path::delete_topic("t"), "");
    in.driver->look({.deletions = true});
    CHECK(count<control::StopReplica>(in.requests(), 3) +
              count<control::UpdateMetadata>(in.requests(), 3) >
          0);
    CHECK(in.get(path::topic("t")));
    in.settle();
    CHECK(!in.get(path::topic("t")));
    CHECK(!in.get(path::delete_topic("t")));
    CHECK(in.driver->image()->find_topic("t") == nullptr);
}

TEST_CASE("a topic that somebody else makes gets leaders, and one that vanishes is forgotten") {
    World in;
    in.begin();
    in.add_topic("later", R"({"version":1,"partitions":{"0":[3]}})");
    in.driver->look({.topics = {"later"}});
    in.settle();
    CHECK(in.state("later", 0).leader == BrokerId(3));
    in.remove(path::partition_state("later", PartitionIndex(0)));
    in.remove(path::partition("later", PartitionIndex(0)));
    in.remove(path::partitions("later"));
    in.remove(path::topic("later"));
    in.look();
    CHECK(in.driver->image()->find_topic("later") == nullptr);
    CHECK(in.driver->image()->find_topic("t") != nullptr);
}

TEST_CASE("a reassignment in the tree is carried out, and its node goes when it is over") {
    World in;
    in.begin();
    in.add_broker(4);
    in.look();
    in.create(std::string(path::reassign_partitions),
              R"({"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[4,2,3]}]})");
    in.look();
    CHECK(in.topic("t").adding_replicas.at(PartitionIndex(0)) == ids({4}));
    CHECK(in.get(std::string(path::reassign_partitions)));
    bool taken = false;
    REQUIRE(in.driver->alter_partition(BrokerId(2), in.broker_epoch(2),
                                       {in.isr_change(ids({2, 3, 1, 4}))},
                                       [&](const auto&) { taken = true; }));
    in.settle();
    CHECK(taken);
    CHECK(in.topic("t").partitions.at(PartitionIndex(0)) == ids({4, 2, 3}));
    CHECK(in.topic("t").removing_replicas.empty());
    CHECK(in.state("t", 0).isr == ids({2, 3, 4}));
    CHECK(count<control::StopReplica>(in.told, 1) >= 1);
    CHECK(!in.get(std::string(path::reassign_partitions)));
}

TEST_CASE("a preferred leader that the tree asks for is elected, and the node goes") {
    World in;
    in.begin();
    in.kill_broker(2);
    in.look();
    in.add_broker(2);
    in.look();
    REQUIRE(in.driver->alter_partition(BrokerId(3), in.broker_epoch(3),
                                       {in.isr_change(ids({3, 1, 2}))}, [](const auto&) {}));
    in.settle();
    in.create(std::string(path::preferred_replica_election),
              R"({"version":1,"partitions":[{"topic":"t","partition":0}]})");
    in.look();
    CHECK(in.state("t", 0).leader == BrokerId(2));
    CHECK(!in.get(std::string(path::preferred_replica_election)));
}

TEST_CASE("what brokers leave as notes is read, told on, and removed") {
    World in;
    in.begin();
    in.set(path::partition_state("t", PartitionIndex(0)),
           R"({"controller_epoch":1,"leader":2,"version":1,"leader_epoch":0,"isr":[2,1]})");
    const std::string note = std::string(path::isr_change_prefix) + "0000000001";
    in.create(note, R"({"version":1,"partitions":[{"topic":"t","partition":0}]})");
    in.told.clear();
    in.driver->look({.notes = true});
    in.settle();
    CHECK(!in.get(note));
    CHECK(count<control::UpdateMetadata>(in.told, 3) >= 1);
}

TEST_CASE("a broker that shuts down leads nothing any more when it is answered") {
    World in;
    in.begin();
    std::optional<control::ShutdownAnswer> answer;
    REQUIRE(in.driver->shut_down(BrokerId(2), in.broker_epoch(2),
                                 [&](const control::ShutdownAnswer& given) { answer = given; }));
    in.settle();
    REQUIRE(answer);
    CHECK(answer->error == ErrorCode::none);
    CHECK(answer->remaining.empty());
    CHECK(in.state("t", 0).leader == BrokerId(3));
    CHECK(in.state("t", 0).isr == ids({3, 1}));
}
