// Partition in its roles: a leader and a follower, each with its log on a simulated disk.

#include "broker/replica/partition.h"
#include "storage/tests/log_fixture.h"

#include <deque>
#include <memory>
#include <thread>

namespace {

using base::BrokerId;
using base::LeaderEpoch;
using base::Offset;
using broker::Acks;
using broker::Isr;
using broker::Partition;
using broker::ReadBound;
using protocol::ErrorCode;

constexpr std::int64_t lag_ms = 3'600'000;
constexpr BrokerId other(2);

// One broker's copy.
struct Replica {
    Replica() {
        partition = std::make_shared<Partition>(
            base::TopicPartition{"orders", base::PartitionIndex(0)}, base::Uuid{},
            std::move(in.log), pool, pace,
            Partition::Hooks{.disk_failed = [](const std::string& why) { FAIL(why); },
                             .dirtied = [](std::uint64_t, std::int64_t) {}});
    }
    ~Replica() { pool.join(); }

    // Lead a partition that broker `other` has as well.
    void lead(std::int32_t epoch, Isr::Brokers isr, std::int64_t since_ms = steady_ms()) {
        partition->become_leader(
            LeaderEpoch(epoch),
            Isr({BrokerId(1), {BrokerId(1), other}, std::move(isr), 0}, since_ms, lag_ms));
    }
    static std::int64_t steady_ms() {
        using namespace std::chrono;
        return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
    }

    // Its place in `answers`; nothing when it was refused.
    base::Result<std::size_t, ErrorCode> append(Acks acks = Acks::all) {
        const auto at = answers.size();
        answers.emplace_back();
        bytes.push_back(test::batch());
        const auto appended =
            partition->append({.batches = bytes.back()}, acks, 1000,
                              [this, at](ErrorCode error) { answers[at] = error; });
        if (!appended) return base::Unexpected(appended.error().code);
        // The write is made by the pool when the machine was slow just now.
        while (end() <= appended->reserved.last) std::this_thread::yield();
        return at;
    }

    // What the leader's log has from this one's end on, and what the leader says of it.
    ErrorCode fetch(Replica& leader, std::int32_t epoch) {
        const auto from = partition->follower_position(LeaderEpoch(epoch));
        if (!from) return from.error();
        broker::ReadRequest request;
        request.from = from->end;
        request.last_fetched_epoch = from->last_epoch;
        request.bytes_max = std::size_t{1} << 20;
        request.at_least_one_batch = true;
        request.bound = ReadBound::log_end;
        const auto read = leader.partition->read(request);
        if (read.error != ErrorCode::none) return read.error;
        if (read.diverging) return partition->cut_diverging(LeaderEpoch(epoch), *read.diverging);
        auto records = test::LogFixture::bytes_of(read.data);
        (void)leader.partition->fetched_by(other, request.from, steady_ms());
        return partition->append_fetched(
            LeaderEpoch(epoch), {records, read.positions.high_watermark, read.positions.log_start},
            1000);
    }

    Offset end() const {
        return partition->look([](const storage::Log& log) { return log.end_offset(); });
    }
    Offset high_watermark() const { return partition->checkpoint_positions().high_watermark; }
    std::optional<LeaderEpoch> epoch_at(std::int64_t offset) const {
        return partition->epoch_at(Offset(offset));
    }

    test::LogFixture in;
    boost::asio::thread_pool pool{1};
    broker::WritePace pace;
    std::shared_ptr<Partition> partition;
    std::deque<std::vector<std::byte>> bytes;
    std::deque<std::optional<ErrorCode>> answers;
};

}  // namespace

TEST_SUITE("broker/replica") {
    TEST_CASE("acks=all is answered when the follower asks for what comes behind") {
        Replica leader;
        Replica follower;
        leader.lead(0, {BrokerId(1), other});
        follower.partition->become_follower(LeaderEpoch(0));
        const auto all = leader.append();
        const auto one = leader.append(Acks::leader);
        REQUIRE(all);
        REQUIRE(one);
        CHECK(leader.answers[*one] == ErrorCode::none);
        CHECK(follower.fetch(leader, 0) == ErrorCode::none);  // It has them, and nobody knows.
        CHECK_FALSE(leader.answers[*all]);
        CHECK(leader.high_watermark() == Offset(0));
        CHECK(follower.fetch(leader, 0) == ErrorCode::none);
        CHECK(leader.answers[*all] == ErrorCode::none);
        CHECK(leader.high_watermark() == Offset(2));
        CHECK(follower.high_watermark() == Offset(0));
        CHECK(follower.fetch(leader, 0) == ErrorCode::none);
        CHECK(follower.high_watermark() == Offset(2));
    }

    TEST_CASE("consumers read up to the high watermark, followers to the end") {
        Replica leader;
        leader.lead(0, {BrokerId(1), other});
        REQUIRE(leader.append());
        broker::ReadRequest request;
        request.bytes_max = 1 << 20;
        request.at_least_one_batch = true;
        CHECK(leader.partition->read(request).data.size() == 0);
        request.bound = ReadBound::log_end;
        CHECK(leader.partition->read(request).data.size() > 0);
    }

    TEST_CASE("a follower that waits is woken by an append, a consumer by the high watermark") {
        Replica leader;
        leader.lead(0, {BrokerId(1), other});
        int consumer = 0;
        int replica = 0;
        const auto waits = [&](int& woken) {
            return std::make_shared<broker::FetchWaiter>(1, [&woken] { ++woken; });
        };
        REQUIRE(leader.partition->park(waits(consumer), Offset(0), ReadBound::high_watermark));
        REQUIRE(leader.partition->park(waits(replica), Offset(0), ReadBound::log_end));
        REQUIRE(leader.append());
        CHECK(replica == 1);
        CHECK(consumer == 0);
        (void)leader.partition->fetched_by(other, Offset(1), Replica::steady_ms());
        CHECK(consumer == 1);
    }

    TEST_CASE("acks=all is refused where the ISR is smaller than min.insync.replicas") {
        Replica leader;
        leader.partition->set_isr_min(2);
        leader.lead(0, {BrokerId(1)});
        const auto refused = leader.append();
        REQUIRE_FALSE(refused);
        CHECK(refused.error() == ErrorCode::not_enough_replicas);
        CHECK(leader.end() == Offset(0));
        CHECK(leader.append(Acks::leader));
        CHECK(leader.high_watermark() == Offset(0));  // Nothing is committed meanwhile.
    }

    TEST_CASE("min.insync.replicas above the number of replicas asks for all of them") {
        Replica alone;
        alone.partition->set_isr_min(3);
        alone.partition->become_leader(LeaderEpoch(0));
        const auto appended = alone.append();
        REQUIRE(appended);
        CHECK(alone.answers[*appended] == ErrorCode::none);
    }

    TEST_CASE("a follower that lags leaves the ISR, and what waited for it is answered") {
        Replica leader;
        const auto since_ms = Replica::steady_ms() - 2 * lag_ms;
        leader.lead(0, {BrokerId(1), other}, since_ms);
        const auto waits = leader.append();
        REQUIRE(waits);
        CHECK_FALSE(leader.partition->drop_laggards(since_ms + lag_ms));
        const auto wanted = leader.partition->drop_laggards(Replica::steady_ms());
        REQUIRE(wanted);
        CHECK(wanted->proposal.isr == Isr::Brokers{BrokerId(1)});
        CHECK_FALSE(leader.answers[*waits]);
        leader.partition->isr_answered(wanted->leader_epoch,
                                       Isr::Members{BrokerId(1), {}, wanted->proposal.isr, 1});
        CHECK(leader.answers[*waits] == ErrorCode::none);
    }

    TEST_CASE("a follower that has caught up is asked into the ISR once") {
        Replica leader;
        leader.lead(0, {BrokerId(1)});
        REQUIRE(leader.append());
        CHECK_FALSE(leader.partition->fetched_by(other, Offset(0), Replica::steady_ms()));
        const auto wanted = leader.partition->fetched_by(other, Offset(1), Replica::steady_ms());
        REQUIRE(wanted);
        CHECK(wanted->proposal.isr == Isr::Brokers{BrokerId(1), other});
        CHECK_FALSE(leader.partition->fetched_by(other, Offset(1), Replica::steady_ms()));
        leader.partition->isr_answered(LeaderEpoch(7), std::nullopt);  // Of another term.
        CHECK_FALSE(leader.partition->fetched_by(other, Offset(1), Replica::steady_ms()));
        leader.partition->isr_answered(LeaderEpoch(0), std::nullopt);
        CHECK(leader.partition->fetched_by(other, Offset(1), Replica::steady_ms()));
    }

    TEST_CASE("who waits at a leader that follows now is told so, and it takes no more") {
        Replica leader;
        leader.lead(0, {BrokerId(1), other});
        const auto waits = leader.append();
        REQUIRE(waits);
        leader.partition->become_follower(LeaderEpoch(1));
        CHECK(leader.answers[*waits] == ErrorCode::not_leader_or_follower);
        const auto refused = leader.append();
        REQUIRE_FALSE(refused);
        CHECK(refused.error() == ErrorCode::not_leader_or_follower);
        CHECK_FALSE(leader.partition->fetched_by(other, Offset(1), Replica::steady_ms()));
    }

    TEST_CASE("an old leader cuts what the new one does not have, and gets what that one has") {
        Replica a;
        Replica b;
        a.lead(0, {BrokerId(1), other});
        b.partition->become_follower(LeaderEpoch(0));
        REQUIRE(a.append());
        REQUIRE(b.fetch(a, 0) == ErrorCode::none);
        REQUIRE(a.append(Acks::leader));  // Nobody else has these two.
        REQUIRE(a.append(Acks::leader));
        // The other one leads, and a comes back.
        b.lead(1, {BrokerId(1)});
        REQUIRE(b.append());
        REQUIRE(b.append());
        a.partition->become_follower(LeaderEpoch(1));
        CHECK(a.end() == Offset(3));
        CHECK(a.fetch(b, 1) == ErrorCode::none);  // Told where they part.
        CHECK(a.end() == Offset(1));
        CHECK(a.fetch(b, 1) == ErrorCode::none);
        CHECK(a.end() == Offset(3));
        CHECK(a.epoch_at(0) == LeaderEpoch(0));
        CHECK(a.epoch_at(1) == LeaderEpoch(1));
        CHECK(a.epoch_at(2) == LeaderEpoch(1));
    }

    TEST_CASE("a term in which nothing was written leaves no trace at a follower") {
        Replica a;
        Replica b;
        a.lead(0, {BrokerId(1), other});
        b.partition->become_follower(LeaderEpoch(0));
        REQUIRE(a.append());
        REQUIRE(b.fetch(a, 0) == ErrorCode::none);
        a.lead(1, {BrokerId(1), other});  // And nothing is written in it.
        b.lead(2, {BrokerId(1)});
        REQUIRE(b.append());
        a.partition->become_follower(LeaderEpoch(2));
        for (int i = 0; i < 3; ++i) REQUIRE(a.fetch(b, 2) == ErrorCode::none);
        CHECK(a.end() == Offset(2));
        CHECK(a.epoch_at(1) == LeaderEpoch(2));
        CHECK(a.partition->look([](const storage::Log& log) {
            return log.end_of_epoch(LeaderEpoch(1)).epoch;
        }) == LeaderEpoch(0));
    }

    TEST_CASE("a fetcher of an earlier term changes nothing") {
        Replica leader;
        Replica follower;
        leader.lead(0, {BrokerId(1), other});
        REQUIRE(leader.append());
        follower.partition->become_follower(LeaderEpoch(1));
        CHECK(follower.fetch(leader, 0) == ErrorCode::fenced_leader_epoch);
        CHECK(follower.partition->cut(LeaderEpoch(0), Offset(0)) == ErrorCode::fenced_leader_epoch);
        CHECK(follower.end() == Offset(0));
    }

    TEST_CASE("records that do not lie behind the log are refused") {
        Replica leader;
        Replica follower;
        leader.lead(0, {BrokerId(1), other});
        REQUIRE(leader.append());
        follower.partition->become_follower(LeaderEpoch(0));
        REQUIRE(follower.fetch(leader, 0) == ErrorCode::none);
        auto again = leader.bytes.front();
        CHECK(follower.partition->append_fetched(LeaderEpoch(0), {again, Offset(1), Offset(0)},
                                                 1000) == ErrorCode::offset_out_of_range);
        CHECK(follower.end() == Offset(1));
    }

    TEST_CASE("a follower starts over where its leader's log begins, and follows its start") {
        Replica leader;
        Replica follower;
        leader.lead(0, {BrokerId(1)});
        for (int i = 0; i < 5; ++i) REQUIRE(leader.append());
        REQUIRE(leader.partition->delete_records(Offset(3)));
        follower.partition->become_follower(LeaderEpoch(0));
        CHECK(follower.fetch(leader, 0) == ErrorCode::offset_out_of_range);
        CHECK(follower.partition->start_over(LeaderEpoch(0), Offset(3)) == ErrorCode::none);
        CHECK(follower.fetch(leader, 0) == ErrorCode::none);
        CHECK(follower.end() == Offset(5));
        REQUIRE(leader.partition->delete_records(Offset(4)));
        CHECK(follower.fetch(leader, 0) == ErrorCode::none);
        CHECK(follower.partition->checkpoint_positions().log_start == Offset(4));
    }

    TEST_CASE("a follower leads from what it knows to be committed") {
        Replica leader;
        Replica follower;
        leader.lead(0, {BrokerId(1), other});
        follower.partition->become_follower(LeaderEpoch(0));
        REQUIRE(leader.append());
        for (int i = 0; i < 3; ++i) REQUIRE(follower.fetch(leader, 0) == ErrorCode::none);
        REQUIRE(leader.append());
        REQUIRE(follower.fetch(leader, 0) == ErrorCode::none);
        follower.lead(1, {BrokerId(1), other});
        CHECK(follower.end() == Offset(2));
        CHECK(follower.high_watermark() == Offset(1));
        REQUIRE(follower.append());
        CHECK(follower.epoch_at(1) == LeaderEpoch(0));
        CHECK(follower.epoch_at(2) == LeaderEpoch(1));
    }
}
