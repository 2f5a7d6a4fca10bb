// ReplicationQuota: how much replication of one direction has taken lately, and whether that is
// more than it may.
//
//     charge(bytes)  -->  | s | s | s | … the last 11 seconds |  -->  is_exceeded(rate)
//
// Only throttled replicas are charged, and only those that are not in sync are held back: a quota
// slows moves down, never what is written.
//
// Threads: any; a lock for the few additions. Limits: 11 samples.
//
// Source: facts of Apache Kafka 3.9: replication.quota.window.num 11 of one second each, over which
// the rate is taken, but never over less than ten seconds.
#pragma once

#include "protocol/base/types.h"

#include <array>
#include <cstdint>
#include <limits>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace broker {

class ReplicationQuota {
public:
    // The value of leader. and follower.replication.throttled.rate that holds nobody back.
    static constexpr std::int64_t unlimited = std::numeric_limits<std::int64_t>::max();

    // `now_ms`: a clock that does not go back.
    void charge(std::size_t bytes, std::int64_t now_ms);
    // Whether more than `bytes_per_second` went lately.
    bool is_exceeded(std::int64_t bytes_per_second, std::int64_t now_ms) const;

private:
    static constexpr std::int64_t sample_ms = 1000;
    static constexpr std::size_t samples_max = 11;

    struct Sample {
        std::int64_t second = -1;
        std::int64_t bytes = 0;
    };

    mutable std::mutex mutex_;
    std::array<Sample, samples_max> samples_;
};

// Whether *.replication.throttled.replicas names a replica: as `*`, or as partition:broker.
bool names_replica(const std::vector<std::string>& throttled, base::PartitionIndex partition,
                   base::BrokerId broker);

}  // namespace broker
