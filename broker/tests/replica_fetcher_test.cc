// ReplicaFetcher against a leader on a socket, which speaks what Apache Kafka of some age does.

#include "broker/replica/replica_fetcher.h"

#include "broker/tests/peer.h"
#include "broker/tests/replica.h"
#include "broker/tests/wait_until.h"
#include "protocol/records/convert.h"
#include "protocol/schema/api/offset_for_leader_epoch.h"

#include <atomic>

namespace {

using base::LeaderEpoch;
using base::Offset;
using test::Replica;

// Answers one connection after the other out of a replica that leads.
class Leader {
public:
    struct Speaks {
        std::int16_t fetch = 17;
        std::optional<std::int16_t> epochs = 4;  // Nothing: OffsetForLeaderEpoch is not known.
    };

    Leader(Replica& log, Speaks speaks)
        : log_(log),
          speaks_(speaks),
          peer_([this](const auto& asked, auto& body) { return answer(asked, body); }) {}

    const broker::Address& address() const { return peer_.address(); }
    int epochs_asked() const { return epochs_asked_; }

private:
    test::Reply answer(const protocol::RequestHeader& asked, wire::Reader& body) {
        const auto version = asked.request_api_version;
        if (asked.request_api_key == protocol::ApiVersionsApi::key)
            return test::answer_to(asked, versions());
        if (asked.request_api_key == protocol::FetchApi::key) {
            CHECK(version <= speaks_.fetch);
            return test::answer_to(asked, fetch(protocol::FetchRequest::read(body, version)));
        }
        CHECK(asked.request_api_key == protocol::OffsetForLeaderEpochApi::key);
        ++epochs_asked_;
        return test::answer_to(asked,
                               end_of(protocol::OffsetForLeaderEpochRequest::read(body, version)));
    }

    protocol::ApiVersionsResponse versions() const {
        protocol::ApiVersionsResponse response;
        response.api_keys.push_back({protocol::ApiVersionsApi::key, 0, 3});
        response.api_keys.push_back({protocol::FetchApi::key, 4, speaks_.fetch});
        if (speaks_.epochs) {
            response.api_keys.push_back(
                {protocol::OffsetForLeaderEpochApi::key, 0, *speaks_.epochs});
        }
        return response;
    }

    protocol::FetchResponse fetch(const protocol::FetchRequest& request) {
        protocol::FetchResponse response;
        if (request.topics.empty()) return response;
        const auto& asked = request.topics.at(0).partitions.at(0);
        auto& topic = response.responses.emplace_back();
        topic.topic = request.topics[0].topic;
        topic.topic_id = request.topics[0].topic_id;
        auto& answer = topic.partitions.emplace_back();
        answer.partition_index = asked.partition;
        broker::ReadRequest wanted;
        wanted.from = asked.fetch_offset;
        wanted.bytes_max = std::size_t{1} << 20;
        wanted.at_least_one_batch = true;
        wanted.bound = broker::ReadBound::log_end;
        wanted.last_fetched_epoch = asked.last_fetched_epoch;
        const auto read = log_.partition->read(wanted);
        answer.error_code = read.error;
        if (read.error != protocol::ErrorCode::none) return response;
        if (read.diverging) {
            answer.diverging_epoch.epoch = read.diverging->epoch;
            answer.diverging_epoch.end_offset = read.diverging->end;
            return response;
        }
        (void)log_.partition->fetched_by(test::other, asked.fetch_offset, Replica::steady_ms());
        answer.high_watermark = read.positions.high_watermark;
        answer.log_start_offset = read.positions.log_start;
        answer.records = wire::Payload(test::LogFixture::bytes_of(read.data));
        return response;
    }

    protocol::OffsetForLeaderEpochResponse end_of(
        const protocol::OffsetForLeaderEpochRequest& request) const {
        const auto& asked = request.topics.at(0).partitions.at(0);
        protocol::OffsetForLeaderEpochResponse response;
        auto& topic = response.topics.emplace_back();
        topic.topic = request.topics[0].topic;
        auto& answer = topic.partitions.emplace_back();
        answer.partition = asked.partition;
        const auto end = log_.partition->end_of_epoch(asked.leader_epoch, LeaderEpoch(-1));
        answer.leader_epoch = end ? end->epoch : LeaderEpoch(-1);
        answer.end_offset = end ? end->end : Offset(-1);
        return response;
    }

    Replica& log_;
    const Speaks speaks_;
    std::atomic<int> epochs_asked_ = 0;
    test::Peer peer_;  // Last: it uses all of them.
};

// Follow the leader in its term until the logs end at the same offset and it is committed.
void follow(Replica& follower, Replica& leader, const Leader& at, std::int32_t epoch) {
    follower.partition->become_follower(LeaderEpoch(epoch));
    broker::ReplicaFetcher::Settings settings;
    settings.self = test::other;
    settings.leader = at.address();
    settings.client_id = "a-fetcher";
    settings.backoff = std::chrono::milliseconds(1);
    settings.wall_ms = [] { return 1000; };
    settings.is_held_back = [](const base::TopicPartition&) { return false; };
    settings.took = [](const base::TopicPartition&, std::size_t) {};
    broker::ReplicaFetcher fetcher(settings);
    fetcher.add(follower.partition, LeaderEpoch(epoch));
    test::wait_until([&] { return follower.high_watermark() == leader.end(); });
    fetcher.stop();
    CHECK(follower.end() == leader.end());
}

// A leader of term 2 that has what was written in terms 0 and 2, and a follower that has, instead
// of the latter, something of term 1.
struct Diverged {
    Diverged() {
        leader.lead(0, {base::BrokerId(1), test::other});
        follower.partition->become_follower(LeaderEpoch(0));
        for (int i = 0; i < 2; ++i) REQUIRE(leader.append());
        for (int i = 0; i < 3; ++i) REQUIRE(follower.fetch(leader, 0) == protocol::ErrorCode::none);
        follower.lead(1, {base::BrokerId(1), test::other});
        for (int i = 0; i < 3; ++i) REQUIRE(follower.append(broker::Acks::leader));
        leader.lead(2, {base::BrokerId(1), test::other});
        REQUIRE(leader.append());
    }

    Replica leader;
    Replica follower;
};

}  // namespace

TEST_SUITE("broker/replica") {
    TEST_CASE(
        "a leader that does not tell where the logs differ is asked until both have an epoch") {
        for (const std::int16_t epochs : {std::int16_t{0}, std::int16_t{3}}) {
            CAPTURE(epochs);
            Diverged in;
            const Leader at(in.leader, {.fetch = 11, .epochs = epochs});
            follow(in.follower, in.leader, at, 2);
            CHECK(in.follower.epoch_at(1) == LeaderEpoch(0));
            CHECK(in.follower.epoch_at(2) == LeaderEpoch(2));
            // Of the last epoch here, and of the one that the answer names; version 0 names none.
            CHECK(at.epochs_asked() == (epochs == 0 ? 1 : 2));
        }
    }

    TEST_CASE("a leader that tells where the logs differ is told in which epoch this one ends") {
        Diverged in;
        const Leader at(in.leader, {});
        follow(in.follower, in.leader, at, 2);
        CHECK(in.follower.epoch_at(1) == LeaderEpoch(0));
        CHECK(in.follower.epoch_at(2) == LeaderEpoch(2));
        CHECK(at.epochs_asked() == 0);
    }

    TEST_CASE("from a leader that knows no epochs only what was committed is kept") {
        Diverged in;
        const Leader at(in.leader, {.fetch = 4, .epochs = std::nullopt});
        follow(in.follower, in.leader, at, 2);
        CHECK(in.follower.epoch_at(2) == LeaderEpoch(2));
        CHECK(at.epochs_asked() == 0);
    }

    TEST_CASE("messages of the formats before batches are stored as they are") {
        for (const std::int8_t magic : {std::int8_t{0}, std::int8_t{1}}) {
            CAPTURE(magic);
            std::vector<std::byte> old;
            records::ConvertScratch scratch;
            REQUIRE(records::to_messages(test::batch(), magic, Offset(0), {}, scratch, old));
            Replica leader;
            Replica follower;
            leader.partition->become_follower(LeaderEpoch(0));
            REQUIRE(leader.partition->append_fetched(LeaderEpoch(0), {old, Offset(0), Offset(0)},
                                                     1000) == protocol::ErrorCode::none);
            leader.lead(1, {base::BrokerId(1), test::other});
            const Leader at(leader, {.fetch = 11, .epochs = 3});
            follow(follower, leader, at, 1);
            CHECK(follower.partition->size_bytes() == old.size());
        }
    }
}
