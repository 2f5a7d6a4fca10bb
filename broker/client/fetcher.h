// Fetcher: reads records of assigned partitions from their leaders.
//
//     poll() → a Fetch is under way to every leader that has partitions of ours
//            → the first answer: the next Fetch goes out, then its records are handed over
//
// Threads: one at a time. Limits: one answer per leader in memory, of at most
// settings.max_bytes unless a single batch is larger.
#pragma once

#include "broker/client/cluster.h"
#include "protocol/records/compression.h"
#include "protocol/records/record.h"

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace broker::inline client {

// What ListOffsets takes instead of a time.
constexpr std::int64_t latest_timestamp = -1;
constexpr std::int64_t earliest_timestamp = -2;
constexpr std::int64_t max_timestamp_timestamp = -3;
constexpr std::int64_t earliest_local_timestamp = -4;
constexpr std::int64_t latest_tiered_timestamp = -5;

struct FoundOffset {
    protocol::ErrorCode error{};
    base::Offset offset{-1};  // -1: there is none.
    std::int64_t timestamp = -1;
    base::LeaderEpoch leader_epoch{-1};
};

// Per partition its own time in ms, or one of the special ones. Partitions whose leader is not
// known have an error. The view of the cluster must have the topics; retried where that helps.
[[nodiscard]] ClientResult<std::map<base::TopicPartition, FoundOffset>> list_offsets(
    Cluster& cluster, const std::map<base::TopicPartition, std::int64_t>& times,
    bool read_committed);

struct FetchSettings {
    std::int32_t min_bytes = 1;
    std::int32_t max_wait_ms = 500;
    std::int32_t max_bytes = 52'428'800;
    std::int32_t partition_max_bytes = 1'048'576;
    bool read_committed = false;
    std::string rack = {};
    std::optional<std::int64_t> reset =
        latest_timestamp;  // Where to go on when the offset is gone.
};

struct FetchedRecord {
    std::string_view topic;
    base::PartitionIndex partition;
    const records::Record& record;
    bool is_append_time;
    std::int8_t magic;
};

class Fetcher {
public:
    // False: enough, the rest of what was fetched is not wanted now.
    using Take = std::function<bool(const FetchedRecord&)>;

    Fetcher(Cluster& cluster, FetchSettings settings)
        : cluster_(cluster), settings_(std::move(settings)) {}

    // Read on from this offset; replaces where it was.
    void assign(const base::TopicPartition& partition, base::Offset next);
    void unassign_all();

    // Wait for records, at most until `deadline`, and hand over those of one answer.
    // Returns the number handed over. Faults that may heal are waited out.
    [[nodiscard]] ClientResult<std::size_t> poll(Deadline deadline, const Take& take);

    // The offset after the last record that was handed over, per partition.
    const std::map<base::TopicPartition, base::Offset>& positions() const noexcept {
        return positions_;
    }

    // Bytes of batches that were received.
    std::uint64_t received_bytes() const noexcept { return received_bytes_; }

private:
    struct Source {
        Connection connection;
        std::uint64_t generation;  // Of the assignment when the Fetch went out.
        Deadline deadline{};       // Of the Fetch that is under way.
    };

    [[nodiscard]] ClientResult<void> send_fetches();
    [[nodiscard]] ClientResult<void> send_fetch(base::BrokerId leader, Source& source);
    [[nodiscard]] ClientResult<void> reset(const base::TopicPartition& partition);
    void forget(base::BrokerId leader);

    Cluster& cluster_;
    FetchSettings settings_;
    records::Inflater inflater_;
    std::map<base::TopicPartition, base::Offset> positions_;
    std::map<base::TopicPartition, base::Offset>
        fetch_from_;  // Ahead of positions_ by what was not handed over.
    std::map<base::BrokerId, Source> sources_;
    std::uint64_t generation_ = 0;  // Raised by each assign.
    std::uint64_t received_bytes_ = 0;
    bool stale_ = true;  // The leaders have to be asked for again.
};

}  // namespace broker
