// Replica: one broker's copy of a partition, on a simulated disk, and verbs for its roles.
#pragma once

#include "broker/replica/partition.h"
#include "storage/tests/log_fixture.h"

#include <deque>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace test {

inline constexpr std::int64_t lag_ms = 3'600'000;
inline constexpr base::BrokerId other(2);  // Which has the partition as well.

struct Replica {
    Replica() {
        partition = std::make_shared<broker::Partition>(
            base::TopicPartition{"orders", base::PartitionIndex(0)}, base::Uuid{},
            std::move(in.log), pool, pace,
            broker::Partition::Hooks{
                .failed = [](const storage::Fault& fault) { FAIL(fault.detail); },
                .dirtied = [](std::uint64_t, std::int64_t) {}});
    }
    ~Replica() { pool.join(); }

    // Lead a partition that broker `other` has as well.
    void lead(std::int32_t epoch, broker::Isr::Brokers isr, std::int64_t since_ms = steady_ms()) {
        partition->become_leader(
            base::LeaderEpoch(epoch),
            broker::Isr({base::BrokerId(1), {base::BrokerId(1), other}, std::move(isr), 0},
                        since_ms, lag_ms));
    }
    static std::int64_t steady_ms() {
        using namespace std::chrono;
        return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
    }

    // Its place in `answers`; nothing when it was refused.
    base::Result<std::size_t, protocol::ErrorCode> append(broker::Acks acks = broker::Acks::all) {
        const auto at = answers.size();
        answers.emplace_back();
        bytes.push_back(batch());
        // This thread writes, also when the machine has just made a write look slow: then who was
        // to be told of it has been when it comes back.
        std::destroy_at(&pace);
        std::construct_at(&pace);
        const auto appended =
            partition->append({.batches = bytes.back()}, acks, 1000,
                              [this, at](protocol::ErrorCode error) { answers[at] = error; });
        if (!appended) return base::Unexpected(appended.error().code);
        return at;
    }

    // What the leader's log has from this one's end on, and what the leader says of it.
    protocol::ErrorCode fetch(Replica& leader, std::int32_t epoch) {
        const auto from = partition->follower_position(base::LeaderEpoch(epoch));
        if (!from) return from.error();
        broker::ReadRequest request;
        request.from = from->end;
        request.last_fetched_epoch = from->last_epoch;
        request.bytes_max = std::size_t{1} << 20;
        request.at_least_one_batch = true;
        request.bound = broker::ReadBound::log_end;
        const auto read = leader.partition->read(request);
        if (read.error != protocol::ErrorCode::none) return read.error;
        if (read.diverging)
            return partition->cut_diverging(base::LeaderEpoch(epoch), *read.diverging);
        auto records = LogFixture::bytes_of(read.data);
        (void)leader.partition->fetched_by(other, request.from, steady_ms());
        return partition->append_fetched(
            base::LeaderEpoch(epoch),
            {records, read.positions.high_watermark, read.positions.log_start}, 1000);
    }

    base::Offset end() const {
        return partition->look([](const storage::Log& log) { return log.end_offset(); });
    }
    base::Offset high_watermark() const { return partition->checkpoint_positions().high_watermark; }
    std::optional<base::LeaderEpoch> epoch_at(std::int64_t offset) const {
        return partition->epoch_at(base::Offset(offset));
    }

    LogFixture in;
    boost::asio::thread_pool pool{1};
    broker::WritePace pace;
    std::shared_ptr<broker::Partition> partition;
    std::deque<std::vector<std::byte>> bytes;
    std::deque<std::optional<protocol::ErrorCode>> answers;
};

}  // namespace test
