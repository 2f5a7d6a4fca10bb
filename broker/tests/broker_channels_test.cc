// BrokerChannels against brokers on sockets: those that answer, and those that do not.

#include "broker/cluster/broker_channels.h"

#include "broker/tests/peer.h"
#include "coordinator/tests/held_port.h"
#include "protocol/schema/api/leader_and_isr.h"
#include "protocol/schema/api/stop_replica.h"
#include "protocol/schema/api/update_metadata.h"

#include <doctest/doctest.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace {

using base::BrokerId;
using base::LeaderEpoch;
using base::PartitionIndex;
using broker::BrokerChannels;
using protocol::ErrorCode;
namespace control = coordinator::controller;

constexpr control::Term term{BrokerId(1), 7, 6};
constexpr base::Uuid topic_id{std::byte{1}};
constexpr std::int64_t broker_epoch = 40;
// Only a fault uses it up.
constexpr std::chrono::seconds patience{300};

// What threads tell the test, in order.
template <class T>
class Told {
public:
    void tell(T what) {
        const std::lock_guard lock(mutex_);
        all_.push_back(std::move(what));
        changed_.notify_all();
    }
    T next() {
        std::unique_lock lock(mutex_);
        REQUIRE(changed_.wait_for(lock, patience, [&] { return !all_.empty(); }));
        T first = std::move(all_.front());
        all_.pop_front();
        return first;
    }
    bool is_empty() {
        const std::lock_guard lock(mutex_);
        return all_.empty();
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<T> all_;
};

// A request as a broker gets it: the leader epoch of its first partition tells which one it is.
struct Heard {
    std::int16_t version = 0;
    std::int32_t leader_epoch = 0;
    base::Uuid topic_id{};

    friend bool operator==(const Heard&, const Heard&) = default;
};

// Broker 2. It answers well unless it is told otherwise for the next request.
class Other {
public:
    using Next = std::function<test::Reply(test::Reply well)>;

    explicit Other(std::int16_t newest = protocol::LeaderAndIsrApi::version_max)
        : newest_(newest),
          peer_([this](const auto& asked, auto& body) { return answer(asked, body); }) {}
    ~Other() { let_go(); }

    void once(Next next) {
        const std::lock_guard lock(mutex_);
        next_ = std::move(next);
    }
    // The next request is not answered before let_go().
    void hold() {
        once([this](test::Reply well) {
            std::unique_lock lock(mutex_);
            released_.wait(lock, [&] { return !holds_; });
            return well;
        });
        const std::lock_guard lock(mutex_);
        holds_ = true;
    }
    void let_go() {
        const std::lock_guard lock(mutex_);
        holds_ = false;
        released_.notify_all();
    }

    const broker::Address& address() const { return peer_.address(); }

    Told<Heard> heard;
    Told<std::string> connections;  // By their client ids.

private:
    test::Reply answer(const protocol::RequestHeader& asked, wire::Reader& body) {
        if (asked.request_api_key == protocol::ApiVersionsApi::key) {
            connections.tell(asked.client_id.value().str());
            return test::answer_to(asked,
                                   test::speaks({{protocol::LeaderAndIsrApi::key, newest_}}));
        }
        const auto version = asked.request_api_version;
        const auto request = protocol::LeaderAndIsrRequest::read(body, version);
        CHECK(!body.failed());
        CHECK(request.broker_epoch == broker_epoch);
        const auto& topic = request.topic_states.at(0);
        const auto& state = topic.partition_states.at(0);
        protocol::LeaderAndIsrResponse response;
        response.topics.push_back({topic.topic_id, {}});
        auto& error = response.topics[0].partition_errors.emplace_back();
        error.topic_name = topic.topic_name;
        error.error_code = ErrorCode::kafka_storage_error;
        response.partition_errors.push_back(error);
        auto well = test::answer_to(asked, response);
        heard.tell({version, state.leader_epoch.value(), topic.topic_id});
        Next next;
        {
            const std::lock_guard lock(mutex_);
            next = std::exchange(next_, nullptr);
        }
        return next ? next(std::move(well)) : well;
    }

    const std::int16_t newest_;
    std::mutex mutex_;
    std::condition_variable released_;
    Next next_;
    bool holds_ = false;
    test::Peer peer_;  // Last: it uses all of them.
};

// Broker 1, the controller, who tells broker 2.
struct Fixture {
    explicit Fixture(const std::string& release = "3.9-IV0",
                     std::chrono::milliseconds patient = patience) {
        BrokerChannels::Settings settings;
        settings.listener = "PLAINTEXT";
        settings.patience = patient;
        settings.versions = broker::interbroker_versions(release);
        settings.here.id = BrokerId(1);
        settings.here.roles = [this](const protocol::LeaderAndIsrRequest& request) {
            applied.push_back(request.topic_states.at(0).topic_id);
            return protocol::LeaderAndIsrResponse();
        };
        settings.here.metadata = [this](const protocol::UpdateMetadataRequest& request) {
            applied.push_back(request.topic_states.at(0).topic_id);
            return protocol::UpdateMetadataResponse();
        };
        settings.here.stops = [](const protocol::StopReplicaRequest&) {
            return protocol::StopReplicaResponse();
        };
        settings.replied = [this](BrokerChannels::Reply reply) { replies.tell(std::move(reply)); };
        channels = std::make_unique<BrokerChannels>(std::move(settings));
    }

    // A role in this term, for the broker at the address.
    void send(std::uint64_t id, std::int32_t leader_epoch, const broker::Address& to,
              std::int32_t broker = 2, std::int64_t registered = broker_epoch) {
        control::LeaderAndIsr::Partition role;
        role.topic = "t";
        role.topic_id = topic_id;
        role.state.leader = BrokerId(2);
        role.state.leader_epoch = LeaderEpoch(leader_epoch);
        send(id, control::LeaderAndIsr{{role}}, to, broker, registered);
    }
    void send(std::uint64_t id, control::Content content, const broker::Address& to,
              std::int32_t broker = 2, std::int64_t registered = broker_epoch) {
        control::Broker known{BrokerId(broker), registered};
        known.endpoints.push_back({"PLAINTEXT", to.host, to.port, 0});
        channels->send(term, {id, BrokerId(broker), broker_epoch,
                              std::make_shared<const std::vector<control::Broker>>(1, known),
                              std::move(content)});
    }

    std::vector<base::Uuid> applied;  // By this broker itself.
    Told<BrokerChannels::Reply> replies;
    std::unique_ptr<BrokerChannels> channels;
};

// The next reply is for this request, and says what came of it.
void is_answered(Fixture& in, std::uint64_t request) {
    const auto reply = in.replies.next();
    CHECK(reply.controller_epoch == term.epoch);
    CHECK(reply.request == request);
    CHECK(reply.is_answered);
    CHECK(reply.error == ErrorCode::none);
    REQUIRE(reply.partitions.size() == 1);
    CHECK(reply.partitions[0].at == base::TopicPartition{"t", PartitionIndex(0)});
    CHECK(reply.partitions[0].error == ErrorCode::kafka_storage_error);
}

void is_unanswered(Fixture& in, std::uint64_t request) {
    const auto reply = in.replies.next();
    CHECK(reply.request == request);
    CHECK(!reply.is_answered);
    CHECK(reply.partitions.empty());
}

}  // namespace

TEST_SUITE("broker/channels") {
    TEST_CASE("a broker is told one thing after the other, over one connection") {
        Other other;
        Fixture in;
        for (std::int32_t n = 1; n <= 3; ++n) {
            in.send(static_cast<std::uint64_t>(n), n, other.address());
            is_answered(in, static_cast<std::uint64_t>(n));
            CHECK(other.heard.next() == Heard{7, n, topic_id});
        }
        CHECK(other.connections.next() == "1");
        CHECK(other.connections.is_empty());
    }

    TEST_CASE("what was never sent gives way to what is newer, and nothing is sent ahead") {
        Other other;
        other.hold();
        Fixture in;
        in.send(1, 1, other.address());
        CHECK(other.heard.next().leader_epoch == 1);
        in.send(2, 2, other.address());
        in.send(3, 3, other.address());
        CHECK(other.heard.is_empty());
        CHECK(in.replies.is_empty());
        other.let_go();
        is_answered(in, 1);
        is_answered(in, 3);
        CHECK(other.heard.next().leader_epoch == 3);
        CHECK(other.heard.is_empty());
    }

    TEST_CASE("a broker that does not answer in time is given up, and asked anew") {
        Other other;
        other.hold();
        // So short that another attempt may be given up too.
        Fixture in("3.9-IV0", std::chrono::milliseconds(100));
        std::uint64_t request = 1;
        in.send(request, 1, other.address());
        is_unanswered(in, request);
        other.let_go();
        for (BrokerChannels::Reply last; !last.is_answered; last = in.replies.next())
            in.send(++request, 2, other.address());
    }

    TEST_CASE("an answer that is cut, or is none, costs the connection and nothing else") {
        const std::pair<const char*, Other::Next> cases[] = {
            {"cut in the length",
             [](test::Reply well) {
                 well.bytes.resize(2);
                 return test::Reply{std::move(well.bytes), true};
             }},
            {"cut in the middle",
             [](test::Reply well) {
                 well.bytes.resize(well.bytes.size() / 2);
                 return test::Reply{std::move(well.bytes), true};
             }},
            {"not a byte", [](const test::Reply&) { return test::Reply{{}, true}; }},
            {"a web server",
             [](const test::Reply&) { return test::Reply{std::vector(64, std::byte{'H'}), true}; }},
            {"a length below zero",
             [](const test::Reply&) {
                 return test::Reply{std::vector(8, std::byte{0xff}), false};
             }},
            {"another request's",
             [](test::Reply well) {
                 well.bytes[7] ^= std::byte{1};
                 return well;
             }},
            {"shorter than its length",
             [](test::Reply well) {
                 well.bytes.resize(well.bytes.size() - 4);
                 well.bytes[3] = std::byte(well.bytes.size() - 4);
                 return well;
             }},
        };
        for (const auto& [name, next] : cases) {
            CAPTURE(std::string(name));
            Other other;
            Fixture in;
            other.once(next);
            in.send(1, 1, other.address());
            is_unanswered(in, 1);
            in.send(2, 2, other.address());
            is_answered(in, 2);
            CHECK(other.heard.next().leader_epoch == 1);
            CHECK(other.heard.next().leader_epoch == 2);
            CHECK(other.connections.next() == "1");
            CHECK(other.connections.next() == "1");
            CHECK(other.connections.is_empty());
        }
    }

    TEST_CASE("who cannot be reached is tried again where the controller then says it is") {
        Other other;
        Fixture in;
        const test::HeldPort nowhere;
        in.send(1, 1, {"127.0.0.1", nowhere.number()});
        is_unanswered(in, 1);
        in.send(2, 2, other.address());
        is_answered(in, 2);
    }

    TEST_CASE("a broker without the brokers' listener is not told anything") {
        Fixture in;
        control::Broker known{BrokerId(2), broker_epoch};
        known.endpoints.push_back({"OUTER", "127.0.0.1", 1, 0});
        in.channels->send(term, {1, BrokerId(2), broker_epoch,
                                 std::make_shared<const std::vector<control::Broker>>(1, known),
                                 control::UpdateMetadata()});
        is_unanswered(in, 1);
    }

    TEST_CASE("a broker that has registered anew is told over another connection") {
        Other other;
        Fixture in;
        in.send(1, 1, other.address());
        is_answered(in, 1);
        in.send(2, 2, other.address(), 2, broker_epoch + 1);
        is_answered(in, 2);
        CHECK(other.connections.next() == "1");
        CHECK(other.connections.next() == "1");
    }

    TEST_CASE("whoever hangs up hears nothing of what is under way, and can begin again") {
        Other other;
        other.hold();
        Fixture in;
        in.send(1, 1, other.address());
        (void)other.heard.next();
        in.channels->hang_up();
        other.let_go();
        in.send(2, 2, other.address());
        is_answered(in, 2);
        CHECK(in.replies.is_empty());
    }

    TEST_CASE("the end does not wait for who does not answer") {
        Other other;
        other.hold();
        Fixture in;
        in.send(1, 1, other.address());
        (void)other.heard.next();
        in.send(2, 2, other.address());
        in.channels.reset();
        CHECK(in.replies.is_empty());
        CHECK(other.heard.is_empty());
    }

    TEST_CASE("a broker is told in a version that it speaks, and that the protocol in force has") {
        Fixture in;
        Other old(4);
        in.send(1, 1, old.address());
        is_answered(in, 1);
        CHECK(old.heard.next() == Heard{4, 1, base::Uuid{}});
        Fixture older("2.8-IV1");
        Other other;
        older.send(1, 1, other.address());
        is_answered(older, 1);
        CHECK(other.heard.next() == Heard{5, 1, topic_id});
    }

    TEST_CASE("this broker is told on the spot, and no more than the others") {
        const broker::Address unused;
        control::UpdateMetadata metadata;
        metadata.partitions.emplace_back().topic = "t";
        metadata.partitions[0].topic_id = topic_id;
        for (const bool has_ids : {true, false}) {
            Fixture in(has_ids ? "3.9-IV0" : "2.6-IV0");
            in.send(1, 1, unused, 1);
            CHECK(in.replies.next().is_answered);
            in.send(2, metadata, unused, 1);
            CHECK(in.replies.next().request == 2);
            CHECK(in.applied == std::vector(2, has_ids ? topic_id : base::Uuid{}));
        }
    }
}
