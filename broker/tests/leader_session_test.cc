// LeaderSession: what a fetcher tells its leader, Fetch by Fetch.

#include "broker/replica/leader_session.h"

#include <doctest/doctest.h>

#include <string>

namespace {

using base::LeaderEpoch;
using base::Offset;
using base::PartitionIndex;
using broker::LeaderSession;
using protocol::ErrorCode;
using protocol::FetchRequest;
using protocol::FetchResponse;

base::Uuid id_of(int number) {
    base::Uuid id{};
    id.back() = std::byte(number);
    return id;
}

struct Fixture {
    void want(const std::string& topic, int partition, std::int64_t from, int id = 1) {
        asks[{topic, PartitionIndex(partition)}] = {id_of(id),      LeaderEpoch(3), Offset(from),
                                                    LeaderEpoch(2), Offset(0),      1024};
    }
    FetchRequest begin() {
        FetchRequest request;
        session.begin(asks, request);
        return request;
    }
    void answer(std::int32_t id, ErrorCode error = ErrorCode::none) {
        FetchResponse response;
        response.session_id = id;
        response.error_code = error;
        session.answered(response);
    }
    static std::size_t count(const FetchRequest& request) {
        std::size_t all = 0;
        for (const auto& topic : request.topics) all += topic.partitions.size();
        return all;
    }

    LeaderSession session;
    LeaderSession::Asks asks;
};

}  // namespace

TEST_SUITE("broker/replica") {
    TEST_CASE("the first Fetch is whole, and the next ones tell what has changed") {
        Fixture in;
        in.want("t", 0, 5);
        in.want("t", 1, 7);
        auto request = in.begin();
        CHECK(request.session_id == 0);
        CHECK(request.session_epoch == 0);
        REQUIRE(request.topics.size() == 1);
        CHECK(request.topics[0].topic_id == id_of(1));
        REQUIRE(request.topics[0].partitions.size() == 2);
        CHECK(request.topics[0].partitions[1].fetch_offset == Offset(7));
        CHECK(request.topics[0].partitions[1].current_leader_epoch == LeaderEpoch(3));
        CHECK(request.topics[0].partitions[1].last_fetched_epoch == LeaderEpoch(2));
        in.answer(77);
        in.want("t", 1, 9);
        request = in.begin();
        CHECK(request.session_id == 77);
        CHECK(request.session_epoch == 1);
        REQUIRE(Fixture::count(request) == 1);
        CHECK(request.topics[0].partitions[0].partition == PartitionIndex(1));
        in.answer(77);
        request = in.begin();
        CHECK(request.session_epoch == 2);
        CHECK(request.topics.empty());
    }

    TEST_CASE("what is not fetched any more is forgotten, and a topic made anew is another") {
        Fixture in;
        in.want("t", 0, 5);
        in.want("u", 0, 5, 2);
        (void)in.begin();
        in.answer(77);
        in.asks.erase({"t", PartitionIndex(0)});
        in.want("u", 0, 5, 3);
        const auto request = in.begin();
        REQUIRE(request.forgotten_topics_data.size() == 2);
        CHECK(request.forgotten_topics_data[0].topic == "t");
        CHECK(request.forgotten_topics_data[0].partitions == std::vector{PartitionIndex(0)});
        CHECK(request.forgotten_topics_data[1].topic_id == id_of(2));
        REQUIRE(Fixture::count(request) == 1);
        CHECK(request.topics[0].topic_id == id_of(3));
    }

    TEST_CASE("a leader that gives no session gets whole Fetches for ever") {
        Fixture in;
        in.want("t", 0, 5);
        for (int i = 0; i < 3; ++i) {
            const auto request = in.begin();
            CHECK(request.session_epoch == 0);
            CHECK(Fixture::count(request) == 1);
            in.answer(0);
        }
    }

    TEST_CASE("a session that is over is begun again with all there is") {
        Fixture in;
        in.want("t", 0, 5);
        (void)in.begin();
        in.answer(77);
        SUBCASE("the leader does not know it") {
            (void)in.begin();
            in.answer(0, ErrorCode::fetch_session_id_not_found);
            const auto request = in.begin();
            CHECK(request.session_id == 0);
            CHECK(request.session_epoch == 0);
            CHECK(Fixture::count(request) == 1);
        }
        SUBCASE("the leader expects another epoch") {
            (void)in.begin();
            in.answer(0, ErrorCode::invalid_fetch_session_epoch);
            const auto request = in.begin();
            CHECK(request.session_id == 77);  // Which the leader closes.
            CHECK(request.session_epoch == 0);
            CHECK(Fixture::count(request) == 1);
        }
        SUBCASE("the connection was lost") {
            (void)in.begin();
            in.session.lost();
            const auto request = in.begin();
            CHECK(request.session_id == 77);
            CHECK(request.session_epoch == 0);
            CHECK(Fixture::count(request) == 1);
        }
        SUBCASE("a topic without an id came in") {
            in.want("u", 0, 5, 0);
            const auto request = in.begin();
            CHECK(request.session_id == 77);
            CHECK(request.session_epoch == 0);
            CHECK(Fixture::count(request) == 2);
        }
        SUBCASE("the leader ended it") {
            (void)in.begin();
            in.answer(0);
            CHECK(in.begin().session_id == 0);
        }
    }
}
