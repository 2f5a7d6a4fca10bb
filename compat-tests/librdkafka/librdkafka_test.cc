// librdkafka and the broker in one process: what the sanitizers watch is the whole path, from the
// client's socket to the log and back, under a real client.

#include "broker/config/load.h"
#include "broker/server/server.h"

#include <doctest/doctest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <librdkafka/rdkafkacpp.h>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace {

using Settings = std::map<std::string, std::string>;

constexpr int step_ms = 100;
constexpr auto patience = std::chrono::seconds(60);  // Only a fault uses it up.

// A broker on a free port of 127.0.0.1, in a directory that goes with it.
class Broker {
public:
    explicit Broker(std::vector<std::string> overrides = {}) : overrides_(std::move(overrides)) {
        std::string made = (std::filesystem::temp_directory_path() / "milena-test-XXXXXX").string();
        REQUIRE(mkdtemp(made.data()));
        directory_ = made;
        // Below the range from which clients get theirs, or one of them may have it while the broker restarts.
        std::random_device lot;
        std::string why;
        for (int tries = 0; !server_ && tries < 50; ++tries)
            why = start(std::to_string(15'000 + lot() % 16'000));
        REQUIRE_MESSAGE(server_, why);
    }
    ~Broker() {
        server_->stop();
        server_.reset();
        std::filesystem::remove_all(directory_);
    }

    // Stop cleanly and serve the same data on the same port.
    void restart() {
        server_->stop();
        server_.reset();
        const auto why = start(port_);
        REQUIRE_MESSAGE(server_, why);
    }

    std::string bootstrap() const { return "127.0.0.1:" + port_; }

private:
    // Why it did not start, if it did not.
    std::string start(const std::string& port) {
        broker::ConfigInputs inputs;
        inputs.file_name = "test.properties";
        inputs.file_text = "listeners=PLAINTEXT://127.0.0.1:" + port +
                           "\nlog.dirs=" + directory_.string() +
                           "\noffsets.topic.num.partitions=4\ngroup.initial.rebalance.delay.ms=0\n"
                           "milena.metadata.port=-1\n";
        inputs.overrides = overrides_;
        auto loaded = broker::load_config(inputs);
        REQUIRE(loaded.config);
        auto server = broker::Server::start(loaded.config, [](const std::string& why) {
            MESSAGE(why);
            std::abort();
        });
        if (!server) return server.error();
        server_ = std::move(*server);
        port_ = port;
        return "";
    }

    std::vector<std::string> overrides_;
    std::filesystem::path directory_;
    std::string port_;
    std::unique_ptr<broker::Server> server_;
};

std::unique_ptr<RdKafka::Conf> conf(const Broker& broker, const Settings& settings) {
    std::unique_ptr<RdKafka::Conf> made(RdKafka::Conf::create(RdKafka::Conf::CONF_GLOBAL));
    std::string error;
    Settings all{{"bootstrap.servers", broker.bootstrap()},
                 {"log_level", "0"},
                 {"reconnect.backoff.max.ms", "100"}};
    for (const auto& [key, value] : settings) all[key] = value;
    for (const auto& [key, value] : all)
        REQUIRE_MESSAGE(made->set(key, value, error) == RdKafka::Conf::CONF_OK, error);
    return made;
}

struct Delivered : RdKafka::DeliveryReportCb {
    void dr_cb(RdKafka::Message& message) override {
        if (message.err() == RdKafka::ERR_NO_ERROR) {
            offsets[message.partition()].push_back(message.offset());
        } else {
            errors.push_back(message.errstr());
        }
    }
    std::map<std::int32_t, std::vector<std::int64_t>> offsets;
    std::vector<std::string> errors;
};

// Numbers as values, `n % partitions` as partition.
Delivered produce(const Broker& broker, const std::string& topic, int from, int to, int partitions,
                  Settings settings = {}) {
    Delivered delivered;
    settings.emplace("enable.idempotence", "true");
    auto configuration = conf(broker, settings);
    std::string error;
    REQUIRE(configuration->set("dr_cb", &delivered, error) == RdKafka::Conf::CONF_OK);
    std::unique_ptr<RdKafka::Producer> producer(
        RdKafka::Producer::create(configuration.get(), error));
    REQUIRE_MESSAGE(producer, error);
    for (int n = from; n < to; ++n) {
        std::string value = std::to_string(n), key = "key-" + value;
        RdKafka::Headers* headers = RdKafka::Headers::create();
        headers->add("n", value);
        const auto code =
            producer->produce(topic, n % partitions, RdKafka::Producer::RK_MSG_COPY, value.data(),
                              value.size(), key.data(), key.size(), 0, headers, nullptr);
        REQUIRE_MESSAGE(code == RdKafka::ERR_NO_ERROR, RdKafka::err2str(code));
        producer->poll(0);
    }
    REQUIRE(producer->flush(static_cast<int>(std::chrono::milliseconds(patience).count())) ==
            RdKafka::ERR_NO_ERROR);
    return delivered;
}

std::unique_ptr<RdKafka::KafkaConsumer> consumer(const Broker& broker, const std::string& group,
                                                 Settings settings = {}) {
    settings.emplace("group.id", group);
    settings.emplace("auto.offset.reset", "earliest");
    settings.emplace("enable.auto.commit", "false");
    auto configuration = conf(broker, settings);
    std::string error;
    std::unique_ptr<RdKafka::KafkaConsumer> made(
        RdKafka::KafkaConsumer::create(configuration.get(), error));
    REQUIRE_MESSAGE(made, error);
    return made;
}

// Poll until `done`, handing each record to `take`.
void poll(RdKafka::KafkaConsumer& from, const std::function<void(RdKafka::Message&)>& take,
          const std::function<bool()>& done) {
    const auto over = std::chrono::steady_clock::now() + patience;
    while (!done()) {
        REQUIRE_MESSAGE(std::chrono::steady_clock::now() < over, "it is read in time");
        const std::unique_ptr<RdKafka::Message> message(from.consume(step_ms));
        if (message->err() == RdKafka::ERR_NO_ERROR) take(*message);
    }
}

std::multiset<int> read_all(const Broker& broker, const std::string& topic,
                            const std::string& group, std::size_t count,
                            const Settings& settings = {}) {
    std::multiset<int> seen;
    auto reader = consumer(broker, group, settings);
    reader->subscribe({topic});
    poll(
        *reader,
        [&](auto& message) {
            const std::string value(static_cast<const char*>(message.payload()), message.len());
            CHECK(*message.key() == "key-" + value);
            REQUIRE(message.headers());
            const auto header = message.headers()->get_last("n");
            CHECK(std::string(static_cast<const char*>(header.value()), header.value_size()) ==
                  value);
            seen.insert(std::stoi(value));
        },
        [&] { return seen.size() >= count; });
    CHECK(reader->commitSync() == RdKafka::ERR_NO_ERROR);
    reader->close();
    return seen;
}

std::multiset<int> numbers(int from, int to) {
    std::multiset<int> all;
    for (int n = from; n < to; ++n) all.insert(n);
    return all;
}

}  // namespace

TEST_SUITE("librdkafka in process") {
    TEST_CASE("records of every codec come back as they went, each partition in order") {
        Broker broker({"num.partitions=3"});
        for (const std::string codec : {"none", "gzip", "snappy", "lz4", "zstd"}) {
            CAPTURE(codec);
            const auto delivered = produce(broker, "t-" + codec, 0, 3000, 3,
                                           {{"compression.codec", codec}, {"linger.ms", "5"}});
            CHECK(delivered.errors.empty());
            REQUIRE(delivered.offsets.size() == 3);
            for (const auto& [partition, offsets] : delivered.offsets) {
                REQUIRE(offsets.size() == 1000);
                for (std::size_t i = 0; i < offsets.size(); ++i)
                    CHECK(offsets[i] == static_cast<std::int64_t>(i));
            }
            CHECK(read_all(broker, "t-" + codec, "g-" + codec, 3000) == numbers(0, 3000));
        }
    }

    TEST_CASE("acks of 0 and 1, and clients of 0.9 and 0.10 by their protocols") {
        Broker broker;
        produce(broker, "acks", 0, 500, 1, {{"enable.idempotence", "false"}, {"acks", "1"}});
        produce(broker, "acks", 500, 1000, 1, {{"enable.idempotence", "false"}, {"acks", "0"}});
        CHECK(read_all(broker, "acks", "acks", 1000) == numbers(0, 1000));
        // Headers do not exist for them, so this only counts.
        for (const std::string version : {"0.9.0", "0.10.0"}) {
            std::size_t count = 0;
            auto reader =
                consumer(broker, "old-" + version,
                         {{"api.version.request", "false"}, {"broker.version.fallback", version}});
            reader->subscribe({"acks"});
            poll(*reader, [&](auto&) { ++count; }, [&] { return count >= 1000; });
            CHECK(count == 1000);
            reader->close();
        }
    }

    TEST_CASE("a group goes on where it committed, also behind a restart of the broker") {
        Broker broker({"num.partitions=4"});
        produce(broker, "resumed", 0, 400, 4);
        CHECK(read_all(broker, "resumed", "readers", 400) == numbers(0, 400));
        broker.restart();
        produce(broker, "resumed", 400, 600, 4);
        CHECK(read_all(broker, "resumed", "readers", 200) == numbers(400, 600));
    }

    TEST_CASE("two members share the partitions, and when one leaves the other has all") {
        // A cooperative member of librdkafka 2.0 goes without a LeaveGroup: its session has to end.
        Broker broker({"num.partitions=4", "group.min.session.timeout.ms=1000"});
        produce(broker, "shared", 0, 4, 4);
        const auto owned = [](RdKafka::KafkaConsumer& member) {
            std::vector<RdKafka::TopicPartition*> all;
            member.assignment(all);
            const auto count = all.size();
            RdKafka::TopicPartition::destroy(all);
            return count;
        };
        for (const std::string strategy : {"range", "cooperative-sticky"}) {
            CAPTURE(strategy);
            const Settings settings{{"partition.assignment.strategy", strategy},
                                    {"heartbeat.interval.ms", "50"},
                                    {"session.timeout.ms", "1000"}};
            auto one = consumer(broker, "pair-" + strategy, settings),
                 two = consumer(broker, "pair-" + strategy, settings);
            one->subscribe({"shared"});
            two->subscribe({"shared"});
            const auto both = [&](const std::function<bool()>& done) {
                const auto over = std::chrono::steady_clock::now() + patience;
                while (!done()) {
                    REQUIRE_MESSAGE(std::chrono::steady_clock::now() < over, "the group settles");
                    for (auto* member : {one.get(), two.get()}) delete member->consume(step_ms / 5);
                }
            };
            both([&] { return owned(*one) == 2 && owned(*two) == 2; });
            one->close();
            poll(*two, [](auto&) {}, [&] { return owned(*two) == 4; });
            two->close();
        }
    }

    TEST_CASE("many producers and a reader at once lose and double nothing") {
        Broker broker({"num.partitions=3", "num.network.threads=3"});
        constexpr int writers = 4, each = 1500;
        std::vector<std::thread> threads;
        std::mutex mutex;
        std::vector<std::string> errors;
        for (int at = 0; at < writers; ++at) {
            threads.emplace_back([&, at] {
                const auto delivered = produce(broker, "busy", at * each, (at + 1) * each, 3,
                                               {{"linger.ms", std::to_string(at)}});
                const std::lock_guard lock(mutex);
                errors.insert(errors.end(), delivered.errors.begin(), delivered.errors.end());
            });
        }
        const auto seen = read_all(
            broker, "busy", "busy", writers * each,
            {{"topic.metadata.refresh.interval.ms", "100"}, {"allow.auto.create.topics", "true"}});
        for (auto& thread : threads) thread.join();
        CHECK(errors.empty());
        CHECK(seen == numbers(0, writers * each));
    }
}
