// IsrKeeper against a controller on a socket.

#include "broker/cluster/isr_keeper.h"

#include "broker/config/load.h"
#include "broker/tests/peer.h"
#include "broker/tests/replica.h"
#include "broker/tests/wait_until.h"

#include <doctest/doctest.h>

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace {

using base::BrokerId;
using protocol::AlterPartitionApi;
using protocol::AlterPartitionRequest;
using protocol::AlterPartitionResponse;
using test::Replica;

constexpr base::Uuid topic_id{std::byte{1}};

// Broker 9. It does what it is asked, and remembers in which version, and by what.
class Controller {
public:
    struct Asked {
        std::int16_t version = 0;
        std::string name = {};
        base::Uuid id{};

        friend bool operator==(const Asked&, const Asked&) = default;
    };

    broker::ImagePointer image() const {
        broker::ConfigInputs inputs;
        inputs.overrides = {"log.dirs=/none", "broker.id=1"};
        auto image = std::make_shared<broker::ClusterImage>();
        image->config = broker::load_config(inputs).config;
        image->self = BrokerId(1);
        image->controller = BrokerId(9);
        image->brokers = {
            {BrokerId(9), {}, {{"PLAINTEXT", peer_.address().host, peer_.address().port}}}};
        return image;
    }
    std::vector<Asked> asked() {
        const std::lock_guard lock(mutex_);
        return asked_;
    }

private:
    test::Reply answer(const protocol::RequestHeader& header, wire::Reader& body) {
        if (header.request_api_key == protocol::ApiVersionsApi::key)
            return test::answer_to(
                header, test::speaks({{AlterPartitionApi::key, AlterPartitionApi::version_max}}));
        const auto version = header.request_api_version;
        const auto request = AlterPartitionRequest::read(body, version);
        CHECK(!body.failed());
        const auto& topic = request.topics.at(0);
        const auto& partition = topic.partitions.at(0);
        AlterPartitionResponse response;
        auto& answered = response.topics.emplace_back();
        answered.topic_name = topic.topic_name;
        answered.topic_id = topic.topic_id;
        auto& now = answered.partitions.emplace_back();
        now.leader_id = BrokerId(1);
        now.leader_epoch = partition.leader_epoch;
        now.partition_epoch = partition.partition_epoch + 1;
        now.isr = partition.new_isr;
        for (const auto& member : partition.new_isr_with_epochs)
            now.isr.push_back(member.broker_id);
        const std::lock_guard lock(mutex_);
        asked_.push_back({version, topic.topic_name.str(), topic.topic_id});
        return test::answer_to(header, response);
    }

    std::mutex mutex_;
    std::vector<Asked> asked_;
    test::Peer peer_{[this](const auto& header, auto& body) { return answer(header, body); }};
};

}  // namespace

TEST_CASE("the controller is asked by name while the topic has no id, and by its id then") {
    Replica leader;
    Controller controller;
    leader.lead(0, {BrokerId(1)});
    const auto image = controller.image();
    broker::IsrKeeper keeper(
        {[&] { return image; }, [] { return std::int64_t{40}; }, Replica::steady_ms, nullptr});
    keeper.start();
    const auto becomes = [&](bool in_sync) {
        test::wait_until([&] { return leader.partition->is_in_sync(test::other) == in_sync; });
    };

    auto wish = leader.partition->fetched_by(test::other, leader.end(), Replica::steady_ms());
    REQUIRE(wish);
    keeper.ask(leader.partition, *wish);
    becomes(true);
    leader.partition->name_topic(topic_id);
    REQUIRE(leader.append(broker::Acks::leader));
    wish = leader.partition->drop_laggards(Replica::steady_ms() + 2 * test::lag_ms);
    REQUIRE(wish);
    keeper.ask(leader.partition, *wish);
    becomes(false);
    keeper.stop();
    const std::vector<Controller::Asked> both{{1, "orders", {}}, {3, "", topic_id}};
    CHECK(controller.asked() == both);
}
