#include "broker/cluster/metadata_store.h"
#include "broker/cluster/znodes.h"
#include "broker/tests/broker_fixture.h"
#include "coordinator/metadata/service.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using base::BrokerId;
using base::LeaderEpoch;
using base::PartitionIndex;
using broker::ConfigMap;
namespace path = broker::znodes::path;

namespace {

// What old tools do: they write into the tree and leave the rest to the brokers.
class Tree : public test::BrokerFixture {
public:
    using BrokerFixture::BrokerFixture;

    // By somebody who is not the broker; what follows from it has been done when it returns.
    void write(std::vector<coordinator::Op> ops) {
        const auto done =
            cluster().metadata()->submit_and_wait(std::move(ops), {{}, {{"super", ""}}});
        REQUIRE_MESSAGE(done, coordinator::to_string(done.error().error));
        settle_controller();
    }
    void create(std::string where, std::string data) {
        coordinator::Create create;
        create.path = std::move(where);
        create.data = std::move(data);
        write({create});
    }
    void notify(std::string data) {
        coordinator::Create create;
        create.path = path::config_change_prefix;
        create.data = std::move(data);
        create.sequential = true;
        write({create});
    }
    void set(std::string where, std::string data) {
        write({coordinator::SetData{std::move(where), std::move(data)}});
    }
    void remove(std::string where) { write({coordinator::Delete{std::move(where)}}); }
    void remove_topic_nodes(const std::string& topic) {
        for (const auto& name : children(path::partitions(topic))) {
            remove(path::partitions(topic) + "/" + name + "/state");
            remove(path::partitions(topic) + "/" + name);
        }
        remove(path::partitions(topic));
        remove(path::topic(topic));
    }

    std::optional<std::string> get(const std::string& where) {
        const auto node = cluster().store().get(where);
        REQUIRE(node);
        return *node ? (*node)->data : std::nullopt;
    }
    bool has(const std::string& where) { return cluster().store().get(where)->has_value(); }
    std::vector<std::string> children(const std::string& where) {
        return cluster().store().children(where).value();
    }

    broker::TopicPointer topic(const std::string& name) {
        return cluster().image()->share_topic(name);
    }
    std::optional<base::Uuid> topic_id(const std::string& name) {
        return broker::znodes::parse_topic(get(path::topic(name)).value())->topic_id;
    }
    broker::znodes::PartitionState state(const std::string& name, std::int32_t partition) {
        return broker::znodes::parse_partition_state(
                   get(path::partition_state(name, PartitionIndex(partition))).value())
            .value();
    }
};

constexpr const char* two_partitions = R"({"version":1,"partitions":{"0":[1],"1":[1]}})";
constexpr const char* three_partitions = R"({"version":1,"partitions":{"0":[1],"1":[1],"2":[1]}})";

}  // namespace

TEST_CASE("a topic that a tool writes into the tree is served") {
    Tree in;
    in.create("/config/topics/old", R"({"version":1,"config":{"retention.ms":"5000"}})");
    in.create(path::topic("old"), two_partitions);
    REQUIRE(in.topic("old"));
    const auto id = in.topic("old")->id;
    REQUIRE(in.topic("old")->partitions.size() == 2);
    CHECK(in.topic("old")->partitions[1].leader == BrokerId(1));
    CHECK(in.topic("old")->partitions[1].local);
    CHECK(in.topic("old")->config->overrides() == ConfigMap{{"retention.ms", "5000"}});
    CHECK(in.state("old", 1).isr == std::vector{BrokerId(1)});
    CHECK(in.topic_id("old") == id);

    in.restart();
    REQUIRE(in.topic("old"));
    CHECK(in.topic("old")->id == id);
    CHECK(in.topic("old")->partitions[0].local);
}

TEST_CASE("a topic gets the partitions that a tool adds, keeps its id, and loses none") {
    Tree in;
    in.create(path::topic("old"), two_partitions);
    const auto id = in.topic("old")->id;
    in.set(path::topic("old"), three_partitions);
    CHECK(in.topic("old")->partitions.size() == 3);
    CHECK(in.topic("old")->partitions[2].local);
    CHECK(in.topic("old")->id == id);
    CHECK(in.state("old", 2).leader == BrokerId(1));
    CHECK(in.topic_id("old") == id);
    in.set(path::topic("old"), two_partitions);
    CHECK(in.topic("old")->partitions.size() == 3);
}

TEST_CASE(
    "a topic whose nodes are deleted is gone with its logs, and another one in its place is new") {
    Tree in;
    in.create(path::topic("old"), two_partitions);
    const auto id = in.topic("old")->id;
    in.remove_topic_nodes("old");
    CHECK(!in.topic("old"));
    CHECK(in.cluster().logs().directories().front().partitions.empty());
    in.create(path::topic("old"), three_partitions);
    REQUIRE(in.topic("old"));
    CHECK(in.topic("old")->id != id);
    CHECK(in.topic("old")->partitions.size() == 3);
}

TEST_CASE("a topic whose replicas are all elsewhere has no leader") {
    Tree in;
    in.create(path::topic("far"), R"({"version":1,"partitions":{"0":[7,8]}})");
    REQUIRE(in.topic("far"));
    CHECK(in.topic("far")->partitions[0].leader == BrokerId(-1));
    CHECK(!in.topic("far")->partitions[0].local);
}

TEST_CASE("a topic deleted while its metadata are not ours any more is kept") {
    Tree in;
    in.create_topic("precious");
    in.set("/cluster/id", R"({"version":"1","id":"another-cluster-entirely"})");
    in.remove_topic_nodes("precious");
    CHECK(in.topic("precious"));
}

TEST_CASE("a topic marked for deletion is deleted") {
    Tree in;
    in.create_topic("doomed", 2);
    in.create(path::delete_topic("doomed"), "");
    CHECK(!in.topic("doomed"));
    CHECK(!in.has(path::topic("doomed")));
    CHECK(!in.has("/config/topics/doomed"));
    CHECK(in.children("/admin/delete_topics").empty());

    in.create(path::delete_topic("never-there"), "");
    CHECK(in.children("/admin/delete_topics").empty());
}

TEST_CASE("without delete.topic.enable a topic stays marked for deletion") {
    Tree in({"delete.topic.enable=false"});
    in.create_topic("marked");
    in.create(path::delete_topic("marked"), "");
    CHECK(in.topic("marked"));
    in.restart();
    CHECK(in.topic("marked"));
    CHECK(in.children("/admin/delete_topics") == std::vector<std::string>{"marked"});
}

TEST_CASE("a configuration is read when any release's notification names it") {
    Tree in;
    in.create_topic("t");
    const auto with = [&](const std::string& value, const std::string& notification) {
        in.set("/config/topics/t", R"({"version":1,"config":{"retention.ms":")" + value + "\"}}");
        in.notify(notification);
        return in.topic("t")->config->overrides() == ConfigMap{{"retention.ms", value}};
    };
    CHECK(with("1001", R"("t")"));
    CHECK(with("1002", R"({"version":1,"entity_type":"topics","entity_name":"t"})"));
    CHECK(with("1003", R"({"version":2,"entity_path":"topics/t"})"));

    in.create("/config/brokers/<default>",
              R"({"version":1,"config":{"log.retention.ms":"77777"}})");
    in.notify(R"({"version":2,"entity_path":"brokers/<default>"})");
    CHECK(in.cluster().config()->log_retention_ms == 77'777);
}

TEST_CASE("notifications are kept for fifteen minutes") {
    Tree in;
    in.create_topic("t");
    in.notify(R"({"version":2,"entity_path":"topics/t"})");
    in.restart();
    in.settle_controller();
    CHECK(in.children("/config/changes").size() == 1);
    Tree::wall_ahead_ms += 15 * 60 * 1000 + 1;
    in.restart();
    in.settle_controller();
    CHECK(in.children("/config/changes").empty());
}

TEST_CASE("requests of administrators are carried out and taken away") {
    Tree in;
    in.create(path::topic("t"), R"({"version":1,"partitions":{"0":[1,2]}})");
    const auto epoch = in.state("t", 0).leader_epoch;

    in.create("/admin/preferred_replica_election",
              R"({"version":1,"partitions":[{"topic":"t","partition":0}]})");
    CHECK(!in.has("/admin/preferred_replica_election"));
    CHECK(in.state("t", 0).leader_epoch == epoch);

    in.create("/admin/reassign_partitions",
              R"({"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[3]}]})");
    CHECK(!in.has("/admin/reassign_partitions"));
    CHECK(in.topic("t")->partitions[0].replicas == std::vector{BrokerId(1), BrokerId(2)});

    in.create("/admin/reassign_partitions",
              R"({"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[1]}]})");
    CHECK(!in.has("/admin/reassign_partitions"));
    CHECK(in.topic("t")->partitions[0].replicas == std::vector{BrokerId(1)});
    CHECK(in.state("t", 0).leader_epoch == epoch + 1);
    CHECK(
        broker::znodes::parse_topic(*in.get(path::topic("t")))->partitions.at(PartitionIndex(0)) ==
        std::vector{BrokerId(1)});
}

TEST_CASE("what was asked while the broker was away is done when it is back") {
    Tree in;
    in.create_topic("t");
    coordinator::Create ask;
    ask.path = "/admin/reassign_partitions";
    ask.data = R"({"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[1]}]})";
    coordinator::Create topic;
    topic.path = path::topic("new");
    topic.data = two_partitions;
    // The broker does not get to it before it ends.
    REQUIRE(in.cluster().metadata()->submit_and_wait({ask, topic}, {{}, {{"super", ""}}}));
    in.restart();
    in.settle_controller();
    CHECK(!in.has("/admin/reassign_partitions"));
    REQUIRE(in.topic("new"));
    CHECK(in.topic("new")->partitions[1].local);
}

TEST_CASE("the broker's own nodes are made again when somebody deletes them") {
    Tree in;
    const auto epoch = std::stoi(in.get("/controller_epoch").value());
    in.remove("/controller");
    CHECK(broker::znodes::parse_controller(in.get("/controller").value())->broker == BrokerId(1));
    CHECK(std::stoi(in.get("/controller_epoch").value()) == epoch + 1);
    in.remove("/brokers/ids/1");
    CHECK(broker::znodes::parse_broker(in.get("/brokers/ids/1").value())->endpoints.front().port ==
          9092);
}

TEST_CASE("what makes no sense in the tree harms nobody") {
    Tree in;
    in.create_topic("t");
    const std::vector<std::string> garbage{"",
                                           "\xff{",
                                           "[]",
                                           "{}",
                                           "null",
                                           R"({"version":1,"partitions":{"0":["x"]}})",
                                           R"({"version":1,"partitions":{"5":[1]}})",
                                           R"({"version":1,"partitions":[{"topic":7}]})",
                                           R"({"version":2,"entity_path":"topics"})",
                                           "-5"};
    for (const auto& each : garbage) {
        in.set(path::topic("t"), each);
        in.set(path::partition_state("t", PartitionIndex(0)), each);
        in.set("/config/topics/t", each);
        in.set("/controller_epoch", each);
        in.set("/latest_producer_id_block", each);
        in.notify(each);
        in.create("/admin/preferred_replica_election", each);
        in.create("/admin/reassign_partitions", each);
        in.create("/isr_change_notification/isr_change_0", each);
        in.create("/log_dir_event_notification/log_dir_event_0", each);
        in.create("/brokers/topics/junk", each);
        in.create("/brokers/topics/no such name!", each);
        in.remove("/controller");
        in.create("/brokers/ids/9", each);
        CHECK(in.topic("t")->partitions[0].local);
        CHECK(in.children("/isr_change_notification").empty());
        CHECK(in.children("/log_dir_event_notification").empty());
        CHECK(!in.has("/admin/reassign_partitions"));
        in.create_topic("after");
        in.create(path::delete_topic("after"), each);
        CHECK(!in.topic("after"));
        in.remove("/brokers/topics/junk");
        in.remove("/brokers/topics/no such name!");
        in.remove("/brokers/ids/9");
    }
    in.restart();
    in.create_topic("later");
    CHECK(in.topic("later")->partitions[0].local);
}

TEST_CASE("a broker that speaks as 2.6 writes what 2.6 does, and gives ids when it speaks as 3.9") {
    Tree in({"inter.broker.protocol.version=2.6"});
    in.create_topic("ours");
    in.create(path::topic("theirs"), two_partitions);
    CHECK(!in.topic_id("ours"));
    CHECK(!in.topic_id("theirs"));
    CHECK(in.topic("theirs")->partitions.size() == 2);
    const auto said = [&](const char* what) {
        return in.get(path::broker(BrokerId(1))).value().contains(what);
    };
    CHECK(said(R"("version":4)"));
    CHECK(!said("features"));
    CHECK(in.get(std::string(path::feature)) == R"({"features":{},"version":1,"status":0})");
    const auto kept = in.directory() / "ours-0" / "partition.metadata";
    CHECK(!std::filesystem::exists(kept));

    in.restart(std::vector<std::string>());
    CHECK(said(R"("version":5)"));
    CHECK(in.get(std::string(path::feature)) == R"({"features":{},"version":2,"status":1})");
    for (const char* name : {"ours", "theirs"}) {
        CAPTURE(std::string(name));
        REQUIRE(in.topic_id(name));
        CHECK(in.topic(name)->id == in.topic_id(name));
        CHECK(in.topic(name)->partitions[0].local->topic_id() == in.topic_id(name));
    }
    CHECK(std::filesystem::exists(kept));

    in.restart(std::vector<std::string>{"inter.broker.protocol.version=2.7"});
    CHECK(in.topic_id("ours"));
    CHECK(!std::filesystem::exists(kept));
    CHECK(in.get(std::string(path::feature)) == R"({"features":{},"version":1,"status":1})");
}
