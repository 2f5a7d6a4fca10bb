// ReplicaControl: a broker whose controller is another: what that one says is led, followed,
// stopped, and told to clients.

#include "broker/cluster/replica_control.h"

#include "broker/cluster/opening.h"
#include "broker/cluster/topic_loader.h"
#include "broker/config/load.h"
#include "storage/checkpoint.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <optional>
#include <random>

namespace {

using base::BrokerId;
using base::LeaderEpoch;
using base::Offset;
using base::PartitionIndex;
using protocol::ErrorCode;
using protocol::LeaderAndIsrRequest;
using protocol::StopReplicaRequest;
using protocol::UpdateMetadataRequest;

constexpr base::Uuid some_id{std::byte(0x0f), std::byte(0xc4)};
constexpr base::Uuid other_id{std::byte(0x0e), std::byte(0xc5)};
constexpr std::int64_t broker_epoch = 47;
constexpr BrokerId self(2);

std::int64_t now_ms() {
    using namespace std::chrono;
    return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
}

void random_bytes(std::span<std::byte> into) {
    static std::mt19937 engine(20261122);
    for (auto& byte : into) byte = static_cast<std::byte>(engine());
}

// Broker 2 on a directory of its own, or on two below it, with nobody at the other end.
struct Fixture {
    explicit Fixture(bool has_two = false) {
        std::string made = (std::filesystem::temp_directory_path() / "milena-test-XXXXXX").string();
        REQUIRE(mkdtemp(made.data()));
        directory = made;
        log_dirs = has_two ? made + "/a," + made + "/b" : made;
        speak("3.9-IV0");
        open();
    }
    ~Fixture() {
        close();
        disk.join();
        std::filesystem::remove_all(directory);
    }

    // From the next open() on.
    void speak(const std::string& release) {
        broker::ConfigInputs inputs;
        inputs.overrides = {"broker.id=2", "log.dirs=" + log_dirs,
                            "listeners=PLAINTEXT://127.0.0.1:9092",
                            "inter.broker.protocol.version=" + release};
        const auto loaded = broker::load_config(inputs);
        REQUIRE(loaded.config);
        config = loaded.config;
    }
    void open() {
        core.emplace(broker::ClusterSettings{config, now_ms, now_ms, random_bytes,
                                             [](const std::string& why) { FAIL(why); }});
        core->self = self;
        core->has_company = true;
        core->directory_failed = [this] { control->directory_failed(); };
        REQUIRE(broker::open_log_directories(*core, disk));
        REQUIRE(broker::open_store(*core));
        broker::ClusterImage image;
        image.self = self;
        image.config = config;
        core->current.publish(std::move(image));
        control.emplace(*core,
                        broker::ReplicaControl::Ports{[] { return broker_epoch; },
                                                      [this](const std::set<std::string>& topics) {
                                                          gone.merge(std::set(topics));
                                                      },
                                                      [this] { ++moves; }});
    }
    void close() {
        control->stop();
        core->logs->stop(broker_epoch);
        core->store->stop();
        control.reset();
        core.reset();
    }

    // Partition 0 of "orders", on brokers 1, 2 and 3.
    template <class Request>
    static Request about_orders(std::int32_t leader, std::int32_t epoch) {
        Request request;
        request.controller_id = BrokerId(1);
        request.controller_epoch = 3;
        request.broker_epoch = broker_epoch;
        auto& topic = request.topic_states.emplace_back();
        topic.topic_name = wire::Text("orders");
        topic.topic_id = some_id;
        auto& state = topic.partition_states.emplace_back();
        state.partition_index = PartitionIndex(0);
        state.leader = BrokerId(leader);
        state.leader_epoch = LeaderEpoch(epoch);
        state.isr = {BrokerId(1), BrokerId(2), BrokerId(3)};
        state.replicas = state.isr;
        return request;
    }
    static LeaderAndIsrRequest role(std::int32_t leader, std::int32_t epoch) {
        return about_orders<LeaderAndIsrRequest>(leader, epoch);
    }
    static UpdateMetadataRequest metadata(std::int32_t leader, std::int32_t epoch) {
        auto request = about_orders<UpdateMetadataRequest>(leader, epoch);
        for (const int id : {3, 1, 2}) {
            auto& broker = request.live_brokers.emplace_back();
            broker.id = id;
            auto& endpoint = broker.endpoints.emplace_back();
            endpoint.listener = wire::Text("PLAINTEXT");
            endpoint.host = wire::Text("127.0.0.1");
            endpoint.port = 9000 + id;
        }
        return request;
    }
    static StopReplicaRequest stop(std::int32_t epoch, bool deletes) {
        StopReplicaRequest request;
        request.controller_id = BrokerId(1);
        request.controller_epoch = 3;
        request.broker_epoch = broker_epoch;
        auto& topic = request.topic_states.emplace_back();
        topic.topic_name = wire::Text("orders");
        auto& state = topic.partition_states.emplace_back();
        state.partition_index = PartitionIndex(0);
        state.leader_epoch = LeaderEpoch(epoch);
        state.delete_partition = deletes;
        return request;
    }

    // Of the one partition that the request is about; the top level is fine.
    ErrorCode apply(const LeaderAndIsrRequest& request) {
        const auto response = control->apply(request);
        CHECK(response.error_code == ErrorCode::none);
        REQUIRE(response.topics.size() == 1);
        REQUIRE(response.topics[0].partition_errors.size() == 1);
        return response.topics[0].partition_errors[0].error_code;
    }
    ErrorCode apply(const StopReplicaRequest& request) {
        const auto response = control->apply(request);
        CHECK(response.error_code == ErrorCode::none);
        REQUIRE(response.partition_errors.size() == 1);
        return response.partition_errors[0].error_code;
    }
    const broker::PartitionImage* partition() const {
        const auto image = core->image();
        const auto* topic = image->find_topic("orders");
        return topic ? topic->find(PartitionIndex(0)) : nullptr;
    }
    bool has_directory() const { return std::filesystem::exists(directory / "orders-0"); }
    // What its directory says.
    std::optional<base::Uuid> named() const {
        const auto id = storage::read_topic_id(storage::real_disk(),
                                               directory / "orders-0" / "partition.metadata");
        return id ? std::optional(*id) : std::nullopt;
    }

    std::filesystem::path directory;
    std::string log_dirs;
    std::shared_ptr<const broker::BrokerConfig> config;
    boost::asio::thread_pool disk{2};
    std::set<std::string> gone;
    int moves = 0;
    std::optional<broker::ClusterCore> core;
    std::optional<broker::ReplicaControl> control;
};

}  // namespace

TEST_SUITE("broker/replica control") {
    TEST_CASE("a partition is led in the term that the controller names, and then followed") {
        Fixture in;
        CHECK(in.apply(Fixture::role(2, 4)) == ErrorCode::none);
        REQUIRE(in.partition());
        REQUIRE(in.partition()->local);
        CHECK(in.has_directory());
        const auto led = in.partition()->local->positions(LeaderEpoch(4));
        REQUIRE(led);
        CHECK(in.partition()->local->has_follower(BrokerId(3)));
        CHECK(in.moves == 1);

        CHECK(in.apply(Fixture::role(1, 5)) == ErrorCode::none);
        const auto followed = in.partition()->local->positions();
        REQUIRE_FALSE(followed);
        CHECK(followed.error() == ErrorCode::not_leader_or_follower);
        CHECK(in.partition()->local->follower_position(LeaderEpoch(5)));
        CHECK(in.moves == 2);
    }

    TEST_CASE("a role of a term that is over, or repeated, changes nothing") {
        Fixture in;
        REQUIRE(in.apply(Fixture::role(2, 4)) == ErrorCode::none);
        CHECK(in.apply(Fixture::role(1, 4)) == ErrorCode::stale_controller_epoch);
        CHECK(in.apply(Fixture::role(1, 3)) == ErrorCode::stale_controller_epoch);
        CHECK(in.partition()->local->positions(LeaderEpoch(4)));
    }

    TEST_CASE("a controller of an earlier epoch is refused, for each partition") {
        Fixture in;
        REQUIRE(in.apply(Fixture::role(2, 4)) == ErrorCode::none);
        auto request = Fixture::role(1, 5);
        request.controller_epoch = 2;
        const auto response = in.control->apply(request);
        CHECK(response.error_code == ErrorCode::stale_controller_epoch);
        CHECK(response.topics.at(0).partition_errors.at(0).error_code ==
              ErrorCode::stale_controller_epoch);
        auto update = Fixture::metadata(1, 5);
        update.controller_epoch = 2;
        CHECK(in.control->apply(update).error_code == ErrorCode::stale_controller_epoch);
        auto stops = Fixture::stop(5, true);
        stops.controller_epoch = 2;
        CHECK(in.control->apply(stops).error_code == ErrorCode::stale_controller_epoch);
        CHECK(in.partition()->local->positions(LeaderEpoch(4)));
    }

    TEST_CASE("what is meant for this broker before it restarted is refused") {
        Fixture in;
        auto request = Fixture::role(2, 4);
        request.broker_epoch = broker_epoch - 1;
        CHECK(in.control->apply(request).error_code == ErrorCode::stale_broker_epoch);
        CHECK_FALSE(in.partition());
        request.broker_epoch = -1;  // Of a controller that knows no broker epochs.
        CHECK(in.apply(request) == ErrorCode::none);
    }

    TEST_CASE("partitions of others, and names that are none, get no log") {
        Fixture in;
        auto request = Fixture::role(1, 4);
        request.topic_states[0].partition_states[0].replicas = {BrokerId(1), BrokerId(3)};
        CHECK(in.apply(request) == ErrorCode::unknown_topic_or_partition);
        request = Fixture::role(2, 4);
        request.topic_states[0].topic_name = wire::Text("../orders");
        CHECK(in.apply(request) == ErrorCode::unknown_topic_or_partition);
        request = Fixture::role(2, 4);
        request.topic_states[0].partition_states[0].partition_index = PartitionIndex(2'000'000'000);
        CHECK(in.apply(request) == ErrorCode::unknown_topic_or_partition);
        CHECK_FALSE(in.has_directory());
    }

    TEST_CASE("a request that names high numbers of many topics makes few places") {
        Fixture in;
        auto request = Fixture::metadata(1, 5);
        const auto last = request.topic_states[0];
        request.topic_states.clear();
        for (const auto* name : {"a", "b", "c"}) {
            request.topic_states.push_back(last);
            request.topic_states.back().topic_name = wire::Text(name);
            request.topic_states.back().topic_id = {};
            request.topic_states.back().partition_states[0].partition_index =
                PartitionIndex(600'000);
        }
        CHECK(in.control->apply(request).error_code == ErrorCode::none);
        const auto image = in.core->image();
        REQUIRE(image->find_topic("a") != nullptr);
        CHECK(image->find_topic("a")->partitions.size() == 600'001);
        CHECK(image->find_topic("b") == nullptr);
        CHECK(image->find_topic("c") == nullptr);

        auto role = Fixture::role(2, 5);
        role.topic_states[0].partition_states[0].partition_index = PartitionIndex(2'000'000'000);
        CHECK(in.apply(role) == ErrorCode::unknown_topic_or_partition);
        CHECK(in.partition() == nullptr);
    }

    TEST_CASE("a log is not taken for that of another topic of the same name") {
        Fixture in;
        REQUIRE(in.apply(Fixture::role(2, 4)) == ErrorCode::none);
        auto request = Fixture::role(2, 5);
        request.topic_states[0].topic_id = other_id;
        CHECK(in.apply(request) == ErrorCode::inconsistent_topic_id);
    }

    TEST_CASE("while a log is that of another topic of the name, it serves nobody as the new one") {
        for (const bool is_gone : {false, true}) {
            CAPTURE(is_gone);
            Fixture in;
            REQUIRE(in.apply(Fixture::role(2, 4)) == ErrorCode::none);
            if (is_gone) (void)in.control->apply(Fixture::metadata(-2, 0));
            auto news = Fixture::metadata(1, 0);
            news.topic_states[0].topic_id = other_id;
            (void)in.control->apply(news);
            REQUIRE(in.partition());
            CHECK(in.partition()->leader == BrokerId(1));
            auto request = Fixture::role(2, 0);
            request.topic_states[0].topic_id = other_id;
            CHECK(in.apply(request) == ErrorCode::inconsistent_topic_id);
            CHECK(in.has_directory());

            CHECK(in.apply(Fixture::stop(-2, true)) == ErrorCode::none);
            CHECK_FALSE(in.has_directory());
            CHECK(in.apply(request) == ErrorCode::none);
            CHECK(in.partition()->local->topic_id() == other_id);
            CHECK(in.has_directory());
        }
    }

    TEST_CASE("a topic without an id is led, and gets its id in the term that runs") {
        Fixture in;
        auto request = Fixture::role(2, 4);
        request.topic_states[0].topic_id = {};
        CHECK(in.apply(request) == ErrorCode::none);
        CHECK_FALSE(in.named());
        CHECK(in.apply(request) == ErrorCode::stale_controller_epoch);
        auto earlier = Fixture::role(2, 3);
        CHECK(in.apply(earlier) == ErrorCode::stale_controller_epoch);
        CHECK_FALSE(in.named());

        CHECK(in.apply(Fixture::role(2, 4)) == ErrorCode::none);
        CHECK(in.named() == some_id);
        CHECK(in.partition()->local->topic_id() == some_id);
        CHECK(in.partition()->local->positions(LeaderEpoch(4)));
        CHECK(in.core->image()->find_topic(some_id));
        CHECK(in.apply(Fixture::role(2, 4)) == ErrorCode::stale_controller_epoch);
        request = Fixture::role(2, 4);
        request.topic_states[0].topic_id = other_id;
        CHECK(in.apply(request) == ErrorCode::inconsistent_topic_id);
    }

    TEST_CASE("a topic that gets its id with its next role keeps it when later ones name none") {
        Fixture in;
        auto request = Fixture::role(2, 4);
        request.topic_states[0].topic_id = {};
        CHECK(in.apply(request) == ErrorCode::none);
        CHECK(in.apply(Fixture::role(1, 5)) == ErrorCode::none);
        CHECK(in.named() == some_id);
        request = Fixture::role(2, 6);
        request.topic_states[0].topic_id = {};
        CHECK(in.apply(request) == ErrorCode::none);
        CHECK(in.named() == some_id);
        CHECK(in.core->image()->find_topic(some_id));
    }

    TEST_CASE("the id that an old tool took out of the tree is still that of the directory") {
        Fixture in;
        REQUIRE(broker::make_paths(*in.core));
        REQUIRE(in.apply(Fixture::role(2, 4)) == ErrorCode::none);
        broker::znodes::TopicAssignment topic;
        topic.partitions.emplace(PartitionIndex(0), std::vector{self});
        REQUIRE(in.core->store->commit(
            {broker::persistent("/brokers/topics/orders", broker::znodes::write(topic))}));
        in.close();
        in.open();
        in.core->has_company = false;
        REQUIRE(broker::TopicLoader(*in.core).load());
        REQUIRE(in.partition());
        REQUIRE(in.partition()->local);
        CHECK(in.partition()->local->topic_id() == some_id);
        const auto node = in.core->store->get("/brokers/topics/orders");
        REQUIRE(node);
        CHECK(broker::znodes::parse_topic((*node)->data.value())->topic_id == some_id);
    }

    TEST_CASE("where the protocol knows no topic ids directories do not keep them") {
        Fixture in;
        REQUIRE(broker::make_paths(*in.core));
        REQUIRE(in.apply(Fixture::role(2, 4)) == ErrorCode::none);
        REQUIRE(in.named() == some_id);
        broker::znodes::TopicAssignment topic;
        topic.partitions.emplace(PartitionIndex(0), std::vector{BrokerId(1), self});
        REQUIRE(in.core->store->commit(
            {broker::persistent("/brokers/topics/orders", broker::znodes::write(topic))}));
        in.close();
        in.speak("2.7");
        in.open();
        REQUIRE(broker::TopicLoader(*in.core).load());
        CHECK(in.has_directory());
        CHECK_FALSE(in.named());
        REQUIRE(in.apply(Fixture::stop(4, true)) == ErrorCode::none);
        REQUIRE(in.apply(Fixture::role(2, 4)) == ErrorCode::none);
        CHECK_FALSE(in.named());
    }

    TEST_CASE("a log of a topic that was made again meanwhile is set aside, not deleted") {
        Fixture in;
        REQUIRE(broker::make_paths(*in.core));
        REQUIRE(in.apply(Fixture::role(2, 4)) == ErrorCode::none);
        broker::znodes::TopicAssignment topic;
        topic.topic_id = other_id;
        topic.partitions.emplace(PartitionIndex(0), std::vector{BrokerId(1), self});
        REQUIRE(in.core->store->commit(
            {broker::persistent("/brokers/topics/orders", broker::znodes::write(topic))}));
        in.close();
        in.open();
        REQUIRE(broker::TopicLoader(*in.core).load());
        CHECK_FALSE(in.has_directory());
        const auto is_stray = [](const auto& entry) {
            return entry.path().filename().string().starts_with("orders-0.") &&
                   entry.path().filename().string().ends_with("-stray");
        };
        CHECK(std::ranges::count_if(std::filesystem::directory_iterator(in.directory), is_stray) ==
              1);
        auto request = Fixture::role(2, 5);
        request.topic_states[0].topic_id = other_id;
        CHECK(in.apply(request) == ErrorCode::none);
        CHECK(in.has_directory());
    }

    TEST_CASE("requests of the first versions name topic and partition together") {
        Fixture in;
        auto request = Fixture::role(2, 0);
        request.ungrouped_partition_states = request.topic_states[0].partition_states;
        request.ungrouped_partition_states[0].topic_name = wire::Text("orders");
        request.topic_states.clear();
        const auto response = in.control->apply(request);
        REQUIRE(response.partition_errors.size() == 1);
        CHECK(response.partition_errors[0].topic_name == "orders");
        CHECK(response.partition_errors[0].error_code == ErrorCode::none);
        CHECK(in.partition()->local);
    }

    TEST_CASE("clients are told of brokers, controller and leaders as the controller says") {
        Fixture in;
        CHECK(in.control->apply(Fixture::metadata(3, 4)).error_code == ErrorCode::none);
        const auto image = in.core->image();
        CHECK(image->controller == BrokerId(1));
        REQUIRE(image->brokers.size() == 3);
        CHECK(image->brokers[2].find_endpoint("PLAINTEXT")->port == 9003);
        REQUIRE(in.partition());
        CHECK(in.partition()->leader == BrokerId(3));
        CHECK_FALSE(in.partition()->local);
        CHECK(image->find_topic(some_id));
    }

    TEST_CASE("our own role is not forgotten for news that are older") {
        Fixture in;
        REQUIRE(in.apply(Fixture::role(2, 4)) == ErrorCode::none);
        (void)in.control->apply(Fixture::metadata(1, 3));
        CHECK(in.partition()->leader == self);
        CHECK(in.partition()->local);
        (void)in.control->apply(Fixture::metadata(1, 5));
        CHECK(in.partition()->leader == BrokerId(1));
        CHECK(in.partition()->local);
    }

    TEST_CASE("a replica that is stopped keeps its log, and may come back in the same term") {
        Fixture in;
        REQUIRE(in.apply(Fixture::role(2, 4)) == ErrorCode::none);
        CHECK(in.apply(Fixture::stop(3, false)) == ErrorCode::fenced_leader_epoch);
        CHECK(in.partition()->local->positions());
        CHECK(in.apply(Fixture::stop(4, false)) == ErrorCode::none);
        CHECK_FALSE(in.partition()->local->positions());
        CHECK(in.has_directory());
        CHECK(in.apply(Fixture::role(2, 4)) == ErrorCode::none);
        CHECK(in.partition()->local->positions());
    }

    TEST_CASE("a topic that is deleted is gone for clients first, and its log when that is said") {
        Fixture in;
        REQUIRE(in.apply(Fixture::role(2, 4)) == ErrorCode::none);
        (void)in.control->apply(Fixture::metadata(-2, 0));
        CHECK_FALSE(in.partition());
        CHECK(in.gone == std::set<std::string>{"orders"});
        CHECK(in.has_directory());
        CHECK(in.apply(Fixture::stop(-2, false)) == ErrorCode::none);
        CHECK(in.has_directory());
        CHECK(in.apply(Fixture::stop(-2, true)) == ErrorCode::none);
        CHECK_FALSE(in.has_directory());
    }

    TEST_CASE("a replica that went to another broker is deleted, and the topic stays") {
        Fixture in;
        REQUIRE(in.apply(Fixture::role(1, 4)) == ErrorCode::none);
        CHECK(in.apply(Fixture::stop(5, true)) == ErrorCode::none);
        CHECK_FALSE(in.has_directory());
        REQUIRE(in.partition());
        CHECK_FALSE(in.partition()->local);
    }

    TEST_CASE("what a failed log directory held is answered as lost, and the controller is told") {
        std::promise<std::string> noted;
        std::atomic<bool> is_noted = false;
        Fixture in(true);
        REQUIRE(broker::make_paths(*in.core));
        in.control->start();
        const auto role_of = [](const char* topic, bool is_new) {
            auto request = Fixture::role(2, 4);
            request.topic_states[0].topic_name = wire::Text(topic);
            request.topic_states[0].partition_states[0].is_new = is_new;
            return request;
        };
        REQUIRE(in.apply(role_of("first", true)) == ErrorCode::none);
        REQUIRE(in.apply(Fixture::role(2, 4)) == ErrorCode::none);
        REQUIRE(std::filesystem::exists(in.directory / "b" / "orders-0"));
        REQUIRE(in.core->store->watch({"/log_dir_event_notification"}, [&](const auto& event) {
            if (event.path.contains("log_dir_event_0") && !is_noted.exchange(true))
                noted.set_value(event.path);
        }));
        std::filesystem::remove_all(in.directory / "b");
        std::ofstream(in.directory / "b") << "no directory";
        REQUIRE(in.apply(role_of("second", true)) == ErrorCode::none);
        // It would be b's turn.
        REQUIRE(in.apply(role_of("third", true)) == ErrorCode::none);
        CHECK(std::filesystem::exists(in.directory / "a" / "third-0"));
        CHECK(in.partition()->local->is_offline());

        constexpr auto lost = ErrorCode::kafka_storage_error;
        CHECK(in.apply(Fixture::role(2, 4)) == lost);
        CHECK(in.apply(Fixture::role(1, 9)) == lost);
        CHECK(in.apply(Fixture::stop(-2, true)) == lost);
        CHECK(in.apply(role_of("who-knows-where", false)) == lost);
        CHECK(in.apply(role_of("fresh", true)) == ErrorCode::none);
        CHECK(in.apply(role_of("first", false)) == ErrorCode::stale_controller_epoch);

        auto metadata = Fixture::metadata(1, 9);
        metadata.topic_states[0].partition_states[0].offline_replicas = {self, BrokerId(3)};
        const int moves = in.moves;
        CHECK(in.control->apply(metadata).error_code == ErrorCode::none);
        CHECK(in.moves == moves + 1);  // It is not led here any more.
        const auto image = in.core->image();
        CHECK(image->is_offline(*in.partition(), self));
        CHECK(image->is_offline(*in.partition(), BrokerId(3)));
        CHECK_FALSE(image->is_offline(*in.partition(), BrokerId(1)));

        auto future = noted.get_future();
        REQUIRE(future.wait_for(std::chrono::seconds(60)) == std::future_status::ready);
        const auto note = in.core->store->get(future.get());
        REQUIRE(note);
        REQUIRE(*note);
        CHECK((*note)->data == R"({"version":1,"broker":2,"event":1})");
    }
}
