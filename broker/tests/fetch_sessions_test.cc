// Fetch sessions: the cache by itself, on a clock of its own, and sessions through handle().
// What Apache Kafka answers step by step is in compat-tests/fetch-sessions.

#include "broker/api/fetch_sessions.h"

#include "broker/tests/broker_fixture.h"
#include "protocol/records/batch_builder.h"

#include <doctest/doctest.h>

#include <limits>
#include <thread>

namespace {

using base::Offset;
using base::PartitionIndex;
using broker::FetchSession;
using broker::FetchSessions;
using protocol::ErrorCode;
using protocol::FetchRequest;
using protocol::FetchResponse;
using test::BrokerFixture;

// ---- The cache ---------------------------------------------------------------------------

constexpr std::int64_t minute = 60'000;

struct Cache {
    std::int64_t now_ms = 0;
    std::uint32_t drawn = 0;
    FetchSessions sessions;

    explicit Cache(std::int32_t slots, std::size_t bytes_max = std::size_t{1} << 20)
        : sessions({slots, [this] { return now_ms; },
                    [this](std::span<std::byte> into) {
                        ++drawn;
                        REQUIRE(into.size() == sizeof drawn);
                        std::memcpy(into.data(), &drawn, sizeof drawn);
                    },
                    bytes_max}) {}

    std::int32_t create(std::size_t partitions, bool is_replica = false) {
        return sessions.create(partitions, FetchSession::cost(1, partitions), false, is_replica,
                               [&](FetchSession& session) {
                                   for (std::size_t i = 0; i < partitions; ++i) {
                                       FetchRequest::Topic::Partition asked;
                                       asked.partition =
                                           PartitionIndex(static_cast<std::int32_t>(i));
                                       session.set("t", {}, asked);
                                   }
                               });
    }

    ErrorCode use(std::int32_t id, std::int32_t epoch) {
        const auto held = sessions.enter(id, epoch, false);
        return held ? ErrorCode::none : held.error();
    }
};

constexpr auto gone = ErrorCode::fetch_session_id_not_found;

}  // namespace

TEST_CASE("a full cache gives no session while all are in use and young") {
    Cache cache(2);
    const auto first = cache.create(3);
    const auto second = cache.create(3);
    CHECK(first != 0);
    CHECK(second != 0);
    CHECK(cache.create(100) == 0);
    cache.now_ms = 2 * minute;
    CHECK(cache.create(100) == 0);
    CHECK(cache.sessions.size() == 2);
}

TEST_CASE("the session that was not used for two minutes gives way to any") {
    Cache cache(2);
    const auto first = cache.create(100, true);
    const auto second = cache.create(3);
    cache.now_ms = 2 * minute;
    CHECK(cache.use(second, 1) == ErrorCode::none);
    cache.now_ms = 2 * minute + 1;
    const auto third = cache.create(1);
    CHECK(third != 0);
    CHECK(cache.use(first, 1) == gone);
    CHECK(cache.use(second, 2) == ErrorCode::none);
    CHECK(cache.use(third, 1) == ErrorCode::none);
}

TEST_CASE("of sessions in use the old and small give way to a larger one") {
    Cache cache(3);
    const auto small = cache.create(2);
    const auto large = cache.create(10);
    cache.now_ms = 2 * minute;
    const auto young = cache.create(1);
    cache.now_ms = 3 * minute;
    CHECK(cache.use(small, 1) == ErrorCode::none);
    CHECK(cache.use(large, 1) == ErrorCode::none);
    CHECK(cache.create(2) == 0);  // Not larger than the smallest that is old.
    const auto larger = cache.create(3);
    CHECK(larger != 0);
    CHECK(cache.use(small, 2) == gone);
    CHECK(cache.use(large, 2) == ErrorCode::none);
    CHECK(cache.use(young, 1) == ErrorCode::none);
}

TEST_CASE(
    "a replica takes the place of a consumer at once, a consumer never that of a replica in use") {
    Cache cache(2);
    const auto replica = cache.create(2, true);
    const auto consumer = cache.create(50);
    CHECK(cache.create(1, true) != 0);
    CHECK(cache.use(consumer, 1) == gone);
    CHECK(cache.use(replica, 1) == ErrorCode::none);
    cache.now_ms = 3 * minute;
    CHECK(cache.use(replica, 2) == ErrorCode::none);
    CHECK(cache.create(1000) != 0);  // Takes that of the replica which is not in use.
    CHECK(cache.create(1000) == 0);
    CHECK(cache.use(replica, 3) == ErrorCode::none);
}

TEST_CASE("a session that shrank gives way to what it was larger than") {
    Cache cache(1);
    const auto id = cache.create(10);
    cache.now_ms = 3 * minute;
    {
        auto held = cache.sessions.enter(id, 1, false);
        REQUIRE(held);
        for (std::int32_t i = 1; i < 10; ++i) (*held)->forget("t", {}, PartitionIndex(i));
        cache.sessions.settle(**held);
    }
    CHECK(cache.create(5) != 0);
    CHECK(cache.use(id, 2) == gone);
}

TEST_CASE("epochs count up and go from the largest back to one") {
    Cache cache(1);
    const auto id = cache.create(1);
    CHECK(cache.use(id, 1) == ErrorCode::none);
    CHECK(cache.use(id, 1) == ErrorCode::invalid_fetch_session_epoch);
    CHECK(cache.use(id, 3) == ErrorCode::invalid_fetch_session_epoch);
    CHECK(cache.use(id, 2) == ErrorCode::none);
    CHECK(FetchSessions::epoch_after(std::numeric_limits<std::int32_t>::max()) == 1);
    CHECK(FetchSessions::epoch_after(7) == 8);
}

TEST_CASE("without slots nobody gets a session") {
    Cache cache(0);
    CHECK(cache.create(1) == 0);
    CHECK(cache.use(1, 1) == gone);
}

TEST_CASE("ids are found in whatever shard they are") {
    Cache cache(1000);
    std::set<std::int32_t> ids;
    for (int i = 0; i < 1000; ++i) {
        const auto id = cache.create(1);
        CHECK(id > 0);
        CHECK(ids.insert(id).second);
    }
    CHECK(cache.sessions.size() == 1000);
    CHECK(cache.create(1) == 0);
    for (const auto id : ids) CHECK(cache.use(id, 1) == ErrorCode::none);
    for (const auto id : {0, -1, -8, std::numeric_limits<std::int32_t>::max(),
                          std::numeric_limits<std::int32_t>::min()}) {
        CHECK(cache.use(id, 1) == gone);
        cache.sessions.close(id);
    }
}

TEST_CASE("memory is counted, given back, and bounds what a session may hold") {
    Cache cache(100, 50'000);
    const auto id = cache.create(100);
    CHECK(id != 0);
    CHECK(cache.sessions.bytes() > 100 * sizeof(broker::FetchPartition));
    CHECK(cache.create(1000) == 0);
    CHECK(cache.create(20) != 0);
    CHECK(cache.sessions.bytes() < 50'000);
    {
        auto held = cache.sessions.enter(id, 1, false);
        REQUIRE(held);
        for (std::int32_t i = 0; i < 100; ++i) (*held)->forget("t", {}, PartitionIndex(i));
        cache.sessions.settle(**held);
    }
    CHECK(cache.use(id, 2) == gone);
    cache.now_ms = 3 * minute;
    CHECK(cache.create(240) != 0);  // In the place of the stale one.
    CHECK(cache.sessions.size() == 1);
}

TEST_CASE("a session belongs to one at a time, and the others have their turn in order") {
    Cache cache(1);
    const auto id = cache.create(1);
    auto first = cache.sessions.enter(id, 1, false);
    auto second = cache.sessions.enter(id, 2, false);
    auto third = cache.sessions.enter(id, 3, false);
    auto fourth = cache.sessions.enter(id, 4, false);
    REQUIRE(first);
    REQUIRE(second);
    REQUIRE(third);
    REQUIRE(fourth);
    CHECK(cache.use(id, 4) == ErrorCode::invalid_fetch_session_epoch);
    CHECK(first->is_granted());
    std::vector<int> order;
    CHECK(!first->wake_when_granted([&] { order.push_back(1); }));
    CHECK(second->wake_when_granted([&] { order.push_back(2); }));
    CHECK(third->wake_when_granted([&] { order.push_back(3); }));
    CHECK(fourth->wake_when_granted([&] { order.push_back(4); }));
    third->release();  // Its connection is gone.
    CHECK(order.empty());
    first->release();
    CHECK(order == std::vector{2});
    CHECK(second->is_granted());
    CHECK(!fourth->is_granted());
    second->release();
    CHECK(order == std::vector{2, 4});
    fourth->release();
    CHECK(cache.use(id, 5) == ErrorCode::none);
}

TEST_CASE("a session that is closed while it is used can be used to the end") {
    Cache cache(1);
    const auto id = cache.create(4);
    auto held = cache.sessions.enter(id, 1, false);
    REQUIRE(held);
    CHECK(held->is_open());
    cache.sessions.close(id);
    CHECK(!held->is_open());
    CHECK((*held)->size() == 4);
    (*held)->forget("t", {}, PartitionIndex(0));
    cache.sessions.settle(**held);
    CHECK(cache.sessions.bytes() == 0);
}

TEST_CASE("threads that use the sessions of a small cache leave it in order") {
    Cache cache(64);
    cache.now_ms = 0;
    std::vector<std::int32_t> ids;
    for (int i = 0; i < 32; ++i) ids.push_back(cache.create(2));
    std::atomic<int> used = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
            for (std::int32_t epoch = 1; epoch <= 200; ++epoch) {
                for (const auto id : ids) {
                    auto held = cache.sessions.enter(id, epoch, false);
                    if (!held) continue;  // Another thread had this epoch.
                    while (!held->is_granted()) std::this_thread::yield();
                    used.fetch_add(static_cast<int>((*held)->size()));
                    cache.sessions.settle(**held);
                }
            }
        });
    }
    for (auto& thread : threads) thread.join();
    CHECK(used > 0);
    CHECK(cache.sessions.size() == 32);
    for (const auto id : ids) cache.sessions.close(id);
    CHECK(cache.sessions.bytes() == 0);
}

// ---- Through handle() --------------------------------------------------------------------

namespace {

void produce(BrokerFixture& in, std::int32_t partition, const char* topic = "t") {
    records::BatchBuilder builder;
    const std::string value(100, 'v');
    records::NewRecord record;
    record.timestamp = 1'700'000'000'000;
    record.value = std::as_bytes(std::span(value));
    builder.append(record);
    protocol::ProduceRequest request;
    request.acks = -1;
    request.timeout_ms = 30'000;
    auto& asked = request.topic_data.emplace_back();
    asked.name = topic;
    auto& data = asked.partition_data.emplace_back();
    data.index = PartitionIndex(partition);
    data.records = wire::Payload(builder.finish());
    const auto response = in.call(std::move(request), 9);
    REQUIRE(response.responses.front().partition_responses.front().error_code == ErrorCode::none);
}

struct At {
    std::int32_t partition;
    std::int64_t offset = 0;
};

FetchRequest fetch(std::int32_t session, std::int32_t epoch, std::vector<At> partitions,
                   std::int32_t wait_ms = 0, const char* topic = "t") {
    FetchRequest request;
    request.max_wait_ms = wait_ms;
    request.min_bytes = 1;
    request.session_id = session;
    request.session_epoch = epoch;
    if (partitions.empty()) return request;
    auto& asked = request.topics.emplace_back();
    asked.topic = topic;
    for (const auto& at : partitions) {
        auto& partition = asked.partitions.emplace_back();
        partition.partition = PartitionIndex(at.partition);
        partition.fetch_offset = Offset(at.offset);
        partition.partition_max_bytes = 1 << 20;
    }
    return request;
}

std::vector<std::int32_t> partitions_of(const FetchResponse& response) {
    std::vector<std::int32_t> found;
    for (const auto& topic : response.responses) {
        for (const auto& partition : topic.partitions)
            found.push_back(partition.partition_index.value());
    }
    return found;
}

}  // namespace

TEST_CASE("a session is answered with what is news, and with nothing when there is none") {
    BrokerFixture in;
    in.create_topic("t", 3);
    const auto first = in.call(fetch(0, 0, {{0}, {1}, {2}}), 12);
    CHECK(first.error_code == ErrorCode::none);
    CHECK(partitions_of(first) == std::vector{0, 1, 2});
    REQUIRE(first.session_id > 0);
    CHECK(in.call(fetch(first.session_id, 1, {}), 12).responses.empty());
    produce(in, 1);
    const auto news = in.call(fetch(first.session_id, 2, {}), 12);
    CHECK(news.session_id == first.session_id);
    CHECK(partitions_of(news) == std::vector{1});
    CHECK(in.call(fetch(first.session_id, 3, {{1, 1}}), 12).responses.empty());
}

TEST_CASE("a waiting Fetch of a session is woken by any of its partitions") {
    BrokerFixture in;
    in.create_topic("t", 3);
    const auto session = in.call(fetch(0, 0, {{0}, {1}, {2}}), 12).session_id;
    auto waits = in.start(fetch(session, 1, {}, 600'000), 12);
    auto behind =
        in.start(fetch(session, 2, {}, 600'000), 12);  // Sent ahead: has its turn after that.
    produce(in, 2);
    CHECK(partitions_of(BrokerFixture::got(std::move(waits))) == std::vector{2});
    CHECK(partitions_of(BrokerFixture::got(std::move(behind))) == std::vector{2});
}

TEST_CASE("versions before 7 know no sessions") {
    BrokerFixture in;
    in.create_topic("t");
    const auto response = in.call(fetch(0, 0, {{0}}), 6);
    CHECK(response.session_id == 0);
    CHECK(partitions_of(response) == std::vector{0});
}

TEST_CASE("when there is no room the client is answered in full, without a session") {
    BrokerFixture in({"max.incremental.fetch.session.cache.slots=1"});
    in.create_topic("t");
    const auto session = in.call(fetch(0, 0, {{0}}), 12).session_id;
    CHECK(session > 0);
    const auto full = in.call(fetch(0, 0, {{0}}), 12);
    CHECK(full.session_id == 0);
    CHECK(partitions_of(full) == std::vector{0});
    CHECK(in.call(fetch(session, -1, {}), 12).error_code == ErrorCode::none);
    CHECK(in.call(fetch(0, 0, {{0}}), 12).session_id > 0);
}

TEST_CASE("a session that would take too much memory is over, and its client goes on without") {
    BrokerFixture in;
    in.fetch_session_bytes = 20'000;
    in.restart();
    in.create_topic("t");
    const auto session = in.call(fetch(0, 0, {{0}}), 12).session_id;
    REQUIRE(session > 0);
    std::vector<At> many;
    for (std::int32_t i = 0; i < 500; ++i) many.push_back({i});
    CHECK(in.call(fetch(session, 1, many), 12).error_code == ErrorCode::fetch_session_id_not_found);
    CHECK(in.call(fetch(session, 2, {}), 12).error_code == ErrorCode::fetch_session_id_not_found);
    const auto full = in.call(fetch(0, 0, many), 12);
    CHECK(full.session_id == 0);
    CHECK(partitions_of(full).size() == 500);
}

TEST_CASE("a topic that is made after it was asked for by its name is read in the same session") {
    BrokerFixture in;
    const auto first = in.call(fetch(0, 0, {{0}}), 12);
    REQUIRE(first.session_id > 0);
    CHECK(first.responses.front().partitions.front().error_code ==
          ErrorCode::unknown_topic_or_partition);
    in.create_topic("t");
    produce(in, 0);
    const auto then = in.call(fetch(first.session_id, 1, {}), 12);
    REQUIRE(then.responses.size() == 1);
    CHECK(then.responses.front().partitions.front().error_code == ErrorCode::none);
    CHECK(then.responses.front().partitions.front().records.size() > 0);
}
