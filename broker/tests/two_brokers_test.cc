// Two brokers in one process, with the metadata behind a port: whole servers, and sockets between
// them.

#include "broker/client/connection.h"
#include "broker/tests/new_topic.h"
#include "broker/tests/whole_broker.h"
#include "coordinator/metadata/server/server.h"
#include "coordinator/tests/sim_disk.h"
#include "protocol/base/random.h"
#include "protocol/schema/api/create_topics.h"
#include "protocol/schema/api/fetch.h"
#include "protocol/schema/api/metadata.h"
#include "protocol/schema/api/produce.h"
#include "storage/tests/batches.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using base::BrokerId;
using base::Offset;
using base::PartitionIndex;
using protocol::ErrorCode;

// Only a fault uses it up.
constexpr std::chrono::seconds patience{300};

std::int64_t now_ms() {
    using namespace std::chrono;
    return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
}

class Metadata {
public:
    Metadata() {
        coordinator::MetadataService::Settings settings;
        settings.disk = &disk_;
        settings.directory = "/d";
        settings.wall_ms = settings.monotonic_ms = now_ms;
        settings.random = base::random_bytes;
        auto started = coordinator::MetadataService::start(settings);
        REQUIRE(started);
        service_ = std::move(*started);
        coordinator::MetadataServer::Settings at;
        at.hosts = {"127.0.0.1"};
        at.wall_ms = at.monotonic_ms = now_ms;
        auto serving = coordinator::MetadataServer::start(*service_, at);
        REQUIRE_MESSAGE(serving, serving.error());
        server_ = std::move(*serving);
    }

    std::string address() const { return "127.0.0.1:" + std::to_string(server_->port()); }

private:
    sim::SimDisk disk_;
    std::unique_ptr<coordinator::MetadataService> service_;
    std::unique_ptr<coordinator::MetadataServer> server_;
};

struct PartitionView {
    BrokerId leader{-1};
    std::vector<BrokerId> isr;
};

// What a broker tells clients of the cluster.
struct View {
    BrokerId controller{-1};
    std::vector<BrokerId> brokers;
    std::map<std::string, PartitionView> topics;  // Their partitions 0.
};

class Broker {
public:
    Broker(std::int32_t id, const Metadata& metadata)
        : whole_({"broker.id=" + std::to_string(id), "listeners=PLAINTEXT://127.0.0.1:0",
                  "zookeeper.connect=" + metadata.address(), "milena.io.threads=1",
                  "auto.leader.rebalance.enable=false", "zookeeper.session.timeout.ms=40000",
                  "controlled.shutdown.retry.backoff.ms=50"}) {}

    // The error, if there is one. Any thread.
    std::string try_to_start() { return whole_.start(); }
    void start() {
        REQUIRE(try_to_start() == "");
        connect();
    }
    void connect() {
        const auto address = broker::parse_address(whole_.serving());
        REQUIRE(address);
        auto opened = broker::Connection::open(*address, "test", broker::after(patience));
        REQUIRE_MESSAGE(opened, opened.error().detail);
        connection_.emplace(std::move(*opened));
    }
    void stop() {
        connection_.reset();
        whole_.stop();
    }

    template <class Api, class Response, class Request>
    broker::Answer<Response> ask(const Request& request, std::int16_t version = Api::version_max) {
        auto answer = connection_->call<Api, Response>(request, broker::after(patience), version);
        REQUIRE_MESSAGE(answer, answer.error().detail);
        return std::move(*answer);
    }

    View view() {
        protocol::MetadataRequest request;
        request.topics.reset();
        const auto answer = ask<protocol::MetadataApi, protocol::MetadataResponse>(request);
        View view;
        view.controller = answer->controller_id;
        for (const auto& each : answer->brokers) view.brokers.push_back(each.node_id);
        for (const auto& topic : answer->topics) {
            if (topic.partitions.empty()) continue;
            const auto& first = topic.partitions.front();
            view.topics[topic.name.value().str()] = {first.leader_id, first.isr_nodes};
        }
        return view;
    }
    void sees(const char* what, const std::function<bool(const View&)>& holds) {
        CAPTURE(std::string(what));
        const auto deadline = std::chrono::steady_clock::now() + patience;
        while (!holds(view())) {
            REQUIRE(std::chrono::steady_clock::now() < deadline);
            std::this_thread::yield();
        }
    }
    void sees_partition(const std::string& topic, std::int32_t leader, std::vector<BrokerId> isr) {
        sees("who leads and who is in sync", [&](const View& view) {
            const auto found = view.topics.find(topic);
            if (found == view.topics.end() || found->second.leader != BrokerId(leader))
                return false;
            auto in_sync = found->second.isr;
            std::ranges::sort(in_sync);
            return in_sync == isr;
        });
    }

    ErrorCode create(const std::string& name, std::vector<BrokerId> replicas) {
        const auto answer = ask<protocol::CreateTopicsApi, protocol::CreateTopicsResponse>(
            test::topic_on(name, std::move(replicas)));
        return answer->topics.at(0).error_code;
    }

    // One record, when all in sync have it: its offset.
    Offset produce(const std::string& topic) {
        protocol::ProduceRequest request;
        request.transactional_id.reset();
        request.acks = -1;
        request.timeout_ms = 300'000;
        auto& asked = request.topic_data.emplace_back();
        asked.name = wire::Text(topic);
        auto& data = asked.partition_data.emplace_back();
        data.index = PartitionIndex(0);
        data.records = wire::Payload(test::batch());
        const auto answer = ask<protocol::ProduceApi, protocol::ProduceResponse>(request, 9);
        const auto& done = answer->responses.at(0).partition_responses.at(0);
        CHECK(done.error_code == ErrorCode::none);
        return done.base_offset;
    }

    // How many bytes there are to be read of it, and where they end.
    std::pair<std::size_t, Offset> read(const std::string& topic) {
        protocol::FetchRequest request;
        request.max_bytes = 1 << 20;
        auto& asked = request.topics.emplace_back();
        asked.topic = wire::Text(topic);
        auto& partition = asked.partitions.emplace_back();
        partition.fetch_offset = Offset(0);
        partition.partition_max_bytes = 1 << 20;
        const auto answer = ask<protocol::FetchApi, protocol::FetchResponse>(request, 12);
        const auto& found = answer->responses.at(0).partitions.at(0);
        CHECK(found.error_code == ErrorCode::none);
        return {found.records.size(), found.high_watermark};
    }

private:
    test::WholeBroker whole_;
    std::optional<broker::Connection> connection_;
};

const std::vector<BrokerId> only_first{BrokerId(1)};
const std::vector<BrokerId> only_second{BrokerId(2)};
const std::vector<BrokerId> both{BrokerId(1), BrokerId(2)};
const std::vector<BrokerId> other_way{BrokerId(2), BrokerId(1)};

bool are_both(const View& view) {
    return view.brokers.size() == 2 && view.controller >= BrokerId(0);
}

}  // namespace

TEST_CASE("of two that start at once on an empty tree one becomes controller, as both say") {
    const Metadata metadata;
    Broker first(1, metadata);
    Broker second(2, metadata);
    auto starts = std::async(std::launch::async, [&] { return first.try_to_start(); });
    const auto failed = second.try_to_start();
    REQUIRE(starts.get() == "");
    REQUIRE(failed == "");
    first.connect();
    second.connect();
    first.sees("both", are_both);
    const auto controller = first.view().controller;
    second.sees("both, and the same controller",
                [&](const View& view) { return are_both(view) && view.controller == controller; });
}

TEST_CASE("what one makes the other leads and follows, and takes over when the first ends") {
    const Metadata metadata;
    Broker first(1, metadata);
    Broker second(2, metadata);
    first.start();
    second.start();
    first.sees("both", are_both);
    second.sees("both, and that the first is controller",
                [](const View& view) { return are_both(view) && view.controller == BrokerId(1); });

    REQUIRE(first.create("ours", both) == ErrorCode::none);
    REQUIRE(first.create("theirs", other_way) == ErrorCode::none);
    CHECK(second.create("neither", both) == ErrorCode::not_controller);
    second.sees_partition("ours", 1, both);
    second.sees_partition("theirs", 2, both);
    CHECK(first.produce("ours") == Offset(0));
    CHECK(first.produce("ours") == Offset(1));
    CHECK(second.produce("theirs") == Offset(0));

    first.stop();
    second.sees("that it is controller, and alone", [](const View& view) {
        return view.controller == BrokerId(2) && view.brokers.size() == 1;
    });
    second.sees_partition("ours", 2, only_second);
    second.sees_partition("theirs", 2, only_second);
    const auto [bytes, end] = second.read("ours");
    CHECK(end == Offset(2));
    CHECK(bytes == 2 * test::batch().size());
    CHECK(second.produce("ours") == Offset(2));
    CHECK(second.create("alone", only_second) == ErrorCode::none);

    first.start();
    first.sees("both, and that the second is controller",
               [](const View& view) { return are_both(view) && view.controller == BrokerId(2); });
    for (const std::string topic : {"ours", "theirs"}) {
        CAPTURE(topic);
        first.sees_partition(topic, 2, both);
    }
    CHECK(second.produce("ours") == Offset(3));
    second.stop();
    first.sees_partition("ours", 1, only_first);
    CHECK(first.read("ours").second == Offset(4));
}
