// Company: a broker that was alone meets others, and is one of those who may be controller.

#include "broker/cluster/metadata_store.h"
#include "broker/cluster/znodes.h"
#include "broker/tests/broker_fixture.h"
#include "broker/tests/new_topic.h"
#include "broker/tests/wait_until.h"
#include "coordinator/metadata/service.h"
#include "protocol/schema/api/api_versions.h"
#include "protocol/schema/api/create_partitions.h"
#include "protocol/schema/api/create_topics.h"
#include "protocol/schema/api/delete_topics.h"
#include "protocol/schema/api/leader_and_isr.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <vector>

using base::BrokerId;
using base::LeaderEpoch;
using base::PartitionIndex;
using protocol::ErrorCode;
namespace path = broker::znodes::path;

namespace {

// Broker 1, and others of which only the tree knows: nobody answers at their addresses.
class Company : public test::BrokerFixture {
public:
    // Who never fetches stays in sync, however long a test takes.
    Company() : BrokerFixture({"replica.lag.time.max.ms=3600000"}) {}

    void come(std::int32_t id, std::optional<std::string> rack = std::nullopt) {
        broker::znodes::BrokerRegistration broker;
        broker.rack = std::move(rack);
        broker.endpoints.push_back({"PLAINTEXT", "127.0.0.1", 1, "PLAINTEXT"});
        sessions_[id] = create_ephemeral(path::broker(BrokerId(id)), broker::znodes::write(broker));
        CHECK(becomes([&](const auto& image) { return image.find_broker(BrokerId(id)); }));
    }
    void go(std::int32_t id) {
        REQUIRE(service().close_session(sessions_.extract(id).mapped()));
        CHECK(becomes([&](const auto& image) { return !image.find_broker(BrokerId(id)); }));
    }
    // In place of whoever is controller now.
    void seize_office(std::int32_t id) {
        const broker::znodes::Controller controller{BrokerId(id), 0};
        sessions_[id] =
            create_ephemeral(std::string(path::controller), broker::znodes::write(controller),
                             {coordinator::Delete{std::string(path::controller)},
                              coordinator::SetData{std::string(path::controller_epoch),
                                                   std::to_string(controller_epoch() + 1)}});
    }

    // Within a time that only a fault uses up.
    bool becomes(std::function<bool(const broker::ClusterImage&)> holds) {
        return await(cluster().until(std::move(holds), std::chrono::seconds(300)));
    }
    bool becomes_led(const std::string& topic, std::int32_t leader) {
        return becomes([&](const broker::ClusterImage& image) {
            const auto* const known = image.find_topic(topic);
            return known && known->partitions.at(0).leader == BrokerId(leader) &&
                   known->partitions.at(0).leader_epoch >= LeaderEpoch(0);
        });
    }

    void write(std::vector<coordinator::Op> ops) {
        const auto done = service().submit_and_wait(std::move(ops), {{}, {{"super", ""}}});
        REQUIRE_MESSAGE(done, coordinator::to_string(done.error().error));
        settle_controller();
    }
    std::string get(const std::string& where) {
        const auto node = cluster().store().get(where);
        REQUIRE(node);
        REQUIRE_MESSAGE(node->has_value(), where);
        return (*node)->data.value_or("");
    }
    int controller_epoch() { return std::stoi(get(std::string(path::controller_epoch))); }
    broker::znodes::PartitionState state(const std::string& topic, std::int32_t partition = 0) {
        return *broker::znodes::parse_partition_state(
            get(path::partition_state(topic, PartitionIndex(partition))));
    }
    broker::PartitionImage partition(const std::string& topic, std::size_t at = 0) {
        const auto known = cluster().image()->share_topic(topic);
        REQUIRE_MESSAGE(known, topic);
        REQUIRE(known->partitions.size() > at);
        return known->partitions[at];
    }

    protocol::CreateTopicsResponse::Topic create_topic_on(const std::string& name,
                                                          std::vector<BrokerId> replicas) {
        return call(test::topic_on(name, std::move(replicas)), 7).topics.at(0);
    }
    bool lists(std::int16_t api) {
        protocol::ApiVersionsRequest request;
        const auto listed = call(request, 0).api_keys;
        return std::ranges::any_of(listed, [&](const auto& each) { return each.api_key == api; });
    }

private:
    coordinator::MetadataService& service() { return *cluster().metadata(); }
    coordinator::SessionId create_ephemeral(std::string where, std::string data,
                                            std::vector<coordinator::Op> first = {}) {
        const auto key = service().open_session(10'000);
        REQUIRE(key);
        coordinator::Create node;
        node.path = std::move(where);
        node.data = std::move(data);
        node.kind = coordinator::NodeKind::ephemeral;
        first.push_back(std::move(node));
        REQUIRE(service().submit_and_wait(std::move(first), coordinator::ourselves(key->id)));
        settle_controller();
        return key->id;
    }

    std::map<std::int32_t, coordinator::SessionId> sessions_;
};

const std::vector<BrokerId> both{BrokerId(1), BrokerId(2)};
const std::vector<BrokerId> only_one{BrokerId(1)};

}  // namespace

TEST_CASE("who was alone takes office anew when another registers, and leads on in the same term") {
    Company in;
    in.create_topic("t");
    const auto before = in.controller_epoch();
    const auto state = in.state("t");
    CHECK(!in.cluster().has_company());
    CHECK(!in.lists(protocol::LeaderAndIsrApi::key));

    in.come(2);
    CHECK(in.cluster().has_company());
    CHECK(in.lists(protocol::LeaderAndIsrApi::key));
    CHECK(in.controller_epoch() == before + 1);
    CHECK(in.cluster().image()->controller == BrokerId(1));
    CHECK(in.cluster().image()->brokers.size() == 2);
    CHECK(in.state("t").leader_epoch == state.leader_epoch);
    CHECK(in.partition("t").leader == BrokerId(1));
    CHECK(in.partition("t").local->look([](const auto& log) { return log.end_offset(); }) ==
          base::Offset(0));
}

TEST_CASE("a controller creates, extends and deletes topics, and waits for their leaders") {
    Company in;
    in.come(2);
    CHECK(in.create_topic_on("t", both).error_code == ErrorCode::none);
    CHECK(in.partition("t").leader == BrokerId(1));
    CHECK(in.partition("t").isr == both);
    CHECK(in.partition("t").local);
    CHECK(in.state("t").isr == both);
    CHECK(in.create_topic_on("t", both).error_code == ErrorCode::topic_already_exists);

    protocol::CreatePartitionsRequest more;
    more.timeout_ms = 300'000;
    auto& wanted = more.topics.emplace_back();
    wanted.name = wire::Text(std::string("t"));
    wanted.count = 3;
    wanted.assignments.reset();
    CHECK(in.call(more, 2).results.at(0).error_code == ErrorCode::none);
    CHECK(in.partition("t", 2).replicas.size() == 2);
    CHECK(in.state("t", 2).leader == in.partition("t", 2).leader);

    REQUIRE(in.create_topic_on("ours", only_one).error_code == ErrorCode::none);
    protocol::DeleteTopicsRequest remove;
    remove.timeout_ms = 300'000;
    remove.topic_names.push_back(wire::Text(std::string("ours")));
    CHECK(in.call(remove, 4).responses.at(0).error_code == ErrorCode::none);
    CHECK(!in.cluster().image()->find_topic("ours"));
}

TEST_CASE("nothing is placed while only some brokers have a rack, but by hand") {
    Company in;
    in.come(2, "a");
    protocol::CreateTopicsRequest request;
    auto& topic = request.topics.emplace_back();
    topic.name = wire::Text("placed");
    topic.num_partitions = 1;
    topic.replication_factor = 1;
    const auto refusal = in.call(request, 7).topics.at(0);
    CHECK(refusal.error_code == ErrorCode::unknown_server_error);
    CHECK(refusal.error_message.value().view().contains("broker.rack"));
    CHECK(in.create_topic_on("by-hand", only_one).error_code == ErrorCode::none);
}

TEST_CASE("when another broker goes, its partitions are led by who is in sync") {
    Company in;
    in.come(2);
    REQUIRE(in.create_topic_on("t", {BrokerId(2), BrokerId(1)}).error_code == ErrorCode::none);
    CHECK(in.partition("t").leader == BrokerId(2));
    in.go(2);
    CHECK(in.becomes_led("t", 1));
    CHECK(in.state("t").isr == only_one);
}

TEST_CASE(
    "who comes back alone to partitions of others leads what it has in sync, and nothing else") {
    Company in;
    in.come(2);
    REQUIRE(in.create_topic_on("shared", both).error_code == ErrorCode::none);
    REQUIRE(in.create_topic_on("theirs", both).error_code == ErrorCode::none);
    auto state = in.state("theirs");
    state.leader = BrokerId(2);
    state.isr = {BrokerId(2)};
    const auto where = path::partition_state("theirs", PartitionIndex(0));
    in.write({coordinator::SetData{where, broker::znodes::write(state)}});
    in.go(2);

    in.restart();
    CHECK(in.cluster().has_company());
    CHECK(in.becomes_led("shared", 1));
    CHECK(in.becomes_led("theirs", -1));
    CHECK(in.state("theirs").isr == std::vector{BrokerId(2)});
}

TEST_CASE("unclean elections are held as soon as the topic's configuration allows them") {
    Company in;
    in.come(2);
    REQUIRE(in.create_topic_on("t", both).error_code == ErrorCode::none);
    auto state = in.state("t");
    state.leader = BrokerId(-1);
    state.isr = {BrokerId(2)};
    in.write({coordinator::SetData{path::partition_state("t", PartitionIndex(0)),
                                   broker::znodes::write(state)}});
    in.go(2);
    in.restart();
    REQUIRE(in.becomes_led("t", -1));
    in.write({coordinator::SetData{
        "/config/topics/t",
        R"({"version":1,"config":{"unclean.leader.election.enable":"true"}})"}});
    coordinator::Create change;
    change.path = path::config_change_prefix;
    change.data = R"({"version":2,"entity_path":"topics/t"})";
    change.sequential = true;
    in.write({change});
    CHECK(in.becomes_led("t", 1));
    CHECK(in.state("t").isr == only_one);
}

TEST_CASE(
    "who is not controller refuses changes of topics, and takes office when nobody holds it") {
    Company in;
    in.come(2);
    in.seize_office(3);
    CHECK(in.create_topic_on("t", both).error_code == ErrorCode::not_controller);
    const auto epoch = in.controller_epoch();
    in.go(3);
    test::wait_until([&] {
        in.settle_controller();
        return in.controller_epoch() != epoch;
    });
    CHECK(in.controller_epoch() == epoch + 1);
    CHECK(in.create_topic_on("t", both).error_code == ErrorCode::none);
}
