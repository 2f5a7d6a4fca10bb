// LogConfig: the settings of one log, with Kafka's names and defaults (facts/kafka.md §7.2).
#pragma once

#include <cstdint>
#include <limits>

namespace storage {

constexpr std::int64_t never_ms = std::numeric_limits<std::int64_t>::max();

struct LogConfig {
    std::int64_t segment_bytes = std::int64_t{1} << 30;
    std::int64_t segment_ms = 604'800'000;
    std::int64_t segment_jitter_ms = 0;
    std::int64_t segment_index_bytes = 10'485'760;
    std::int64_t index_interval_bytes = 4096;
    bool preallocate = false;  // A new segment's file gets its whole room at once.

    bool deletes = true;    // cleanup.policy has "delete": retention by time and size applies.
    bool compacts = false;  // cleanup.policy has "compact".
    std::int64_t retention_ms = 604'800'000;  // -1: never.
    std::int64_t retention_bytes = -1;        // -1: any size.
    std::int64_t min_compaction_lag_ms = 0;
    std::int64_t max_compaction_lag_ms = never_ms;
    double min_cleanable_dirty_ratio = 0.5;
    std::int64_t delete_retention_ms = 86'400'000;
    std::int64_t file_delete_delay_ms = 60'000;

    std::int64_t flush_messages = never_ms;  // flush.messages: the answer waits for a sync.
    std::int64_t flush_ms = never_ms;
    std::int64_t producer_id_expiration_ms = 86'400'000;
};

}  // namespace storage
