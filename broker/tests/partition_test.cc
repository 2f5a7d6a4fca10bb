// Partition: when an append is answered that waits for the disk.

#include "broker/replica/partition.h"

#include "storage/tests/log_fixture.h"

#include <boost/asio/post.hpp>

#include <future>
#include <memory>

namespace {

using base::LeaderEpoch;
using base::Offset;
using broker::Acks;
using broker::Partition;
using protocol::ErrorCode;

// A partition on a simulated disk whose pool works when it is let go.
struct Fixture {
    explicit Fixture(std::int64_t flush_messages) : in({.flush_messages = flush_messages}) {
        partition = std::make_shared<Partition>(
            base::TopicPartition{"orders", base::PartitionIndex(0)}, base::Uuid{},
            std::move(in.log), pool, pace,
            Partition::Hooks{.failed = [this](const storage::Fault&) { ++failures; },
                             .dirtied = [this](std::uint64_t, std::int64_t) { ++dirtied; }});
        partition->become_leader(LeaderEpoch(0));
        hold();
    }
    ~Fixture() {
        let_go();
        pool.join();
    }

    void hold() {
        held = std::make_shared<std::promise<void>>();
        boost::asio::post(pool, [gate = held->get_future().share()] { gate.wait(); });
    }
    // The pool does what there is, and is held again.
    void work() {
        let_go();
        std::promise<void> done;
        boost::asio::post(pool, [&] { done.set_value(); });
        done.get_future().wait();
        hold();
    }
    void let_go() {
        if (held) held->set_value();
        held.reset();
    }

    // Its place in `answers`, which stays empty until it is answered.
    std::size_t append() {
        const auto at = answers.size();
        answers.emplace_back();
        bytes.push_back(test::batch());
        // A machine that is busy may have made the last write look slow: forget it, or this one
        // would wait for the pool as well.
        std::destroy_at(&pace);
        std::construct_at(&pace);
        const auto appended =
            partition->append({.batches = bytes.back()}, Acks::all, 1000,
                              [this, at](ErrorCode error) { answers[at] = error; });
        REQUIRE(appended);
        return at;
    }

    test::LogFixture in;
    boost::asio::thread_pool pool{1};
    broker::WritePace pace;
    std::shared_ptr<std::promise<void>> held;
    std::shared_ptr<Partition> partition;
    std::deque<std::vector<std::byte>> bytes;
    std::deque<std::optional<ErrorCode>> answers;
    int failures = 0;
    int dirtied = 0;
};

}  // namespace

TEST_SUITE("broker/partition") {
    TEST_CASE("with flush.messages=1 one sync answers all that waited when it began") {
        Fixture in(1);
        in.append();
        in.work();
        CHECK(in.answers[0] == ErrorCode::none);
        for (int i = 0; i < 10; ++i) in.append();
        CHECK_FALSE(in.answers.back());
        const auto before = in.in.disk.changes();
        in.work();
        CHECK(in.in.disk.changes() == before + 1);
        for (const auto& answer : in.answers) CHECK(answer == ErrorCode::none);
    }

    TEST_CASE(
        "with flush.messages=3 every third record is answered when all three are on the disk") {
        Fixture in(3);
        CHECK(in.answers[in.append()] == ErrorCode::none);
        CHECK(in.answers[in.append()] == ErrorCode::none);
        const auto third = in.append();
        CHECK_FALSE(in.answers[third]);
        const auto fourth = in.append();
        CHECK_FALSE(in.answers[fourth]);
        in.work();
        CHECK(in.answers[third] == ErrorCode::none);
        CHECK(in.answers[fourth] == ErrorCode::none);
        CHECK(in.partition->look([](const storage::Log& log) { return log.recovery_point(); }) ==
              Offset(4));
        CHECK(in.answers[in.append()] == ErrorCode::none);
    }

    TEST_CASE("without flush.messages nothing waits for the disk") {
        Fixture in(storage::never_ms);
        for (int i = 0; i < 20; ++i) CHECK(in.answers[in.append()] == ErrorCode::none);
    }

    TEST_CASE("what comes while the log is flushed is flushed too, though nothing comes after it") {
        Fixture in(storage::never_ms);
        in.append();
        in.append();
        CHECK(in.dirtied == 1);
        in.in.disk.during_sync([&] {
            in.append();
            // Whoever asks for a flush while there is one comes when that has ended, not at once.
            in.partition->flush(storage::FlushKind::checkpoint);
            CHECK(in.dirtied == 1);
        });
        in.partition->flush(storage::FlushKind::checkpoint);
        CHECK(in.dirtied == 2);
        in.partition->flush(storage::FlushKind::checkpoint);
        CHECK(in.dirtied == 2);
        CHECK(in.partition->look([](const storage::Log& log) { return log.recovery_point(); }) ==
              Offset(3));
    }

    TEST_CASE("a sync that fails acknowledges nothing, and takes the directory with it") {
        Fixture in(1);
        in.append();
        in.append();
        in.in.disk.fail_at(in.in.disk.changes(), storage::FaultKind::io);
        in.work();
        CHECK(in.answers[0] == ErrorCode::kafka_storage_error);
        CHECK(in.answers[1] == ErrorCode::kafka_storage_error);
        CHECK(in.failures == 1);
        CHECK_FALSE(
            in.partition->append({.batches = in.bytes.back()}, Acks::all, 1000, [](ErrorCode) {}));
    }

    TEST_CASE(
        "on a full disk a sync that cannot be made is refused, and the next one goes through") {
        Fixture in(1);
        in.append();
        in.in.disk.fail_at(in.in.disk.changes() + 1, storage::FaultKind::no_space);
        in.work();
        CHECK(in.answers[0] == ErrorCode::kafka_storage_error);
        CHECK(in.failures == 0);
        in.append();
        in.work();
        CHECK(in.answers[1] == ErrorCode::none);
    }

    TEST_CASE("a disk that cannot be read takes the directory, whoever asks first") {
        Fixture in(storage::never_ms);
        for (int i = 0; i < 100; ++i) in.append();  // Where the last ones are is known without it.
        in.in.disk.fail_reads();
        SUBCASE("a fetch") {
            broker::ReadRequest request;
            request.from = Offset(0);
            request.bytes_max = 1000;
            request.bound = broker::ReadBound::log_end;
            CHECK(in.partition->read(request).error == ErrorCode::kafka_storage_error);
        }
        SUBCASE("a search by time") {
            const auto found = in.partition->find_time(0, false, LeaderEpoch(-1));
            REQUIRE_FALSE(found);
            CHECK(found.error() == ErrorCode::kafka_storage_error);
        }
        CHECK(in.failures == 1);
        CHECK(in.partition->is_offline());
    }

    TEST_CASE("a full disk refuses records, and takes them again when there is room") {
        Fixture in(storage::never_ms);
        in.append();
        in.in.disk.fail_at(in.in.disk.changes(), storage::FaultKind::no_space);
        CHECK(in.answers[in.append()] == ErrorCode::kafka_storage_error);
        CHECK(in.answers[in.append()] == ErrorCode::none);
        CHECK(in.partition->look([](const storage::Log& log) { return log.end_offset(); }) ==
              Offset(2));
        CHECK(in.failures == 0);
    }
}
