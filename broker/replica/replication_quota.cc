#include "broker/replica/replication_quota.h"

#include <algorithm>

namespace broker {

void ReplicationQuota::charge(std::size_t bytes, std::int64_t now_ms) {
    const std::int64_t second = now_ms / sample_ms;
    const std::lock_guard lock(mutex_);
    Sample& sample = samples_[static_cast<std::size_t>(second) % samples_max];
    if (sample.second != second) sample = {second, 0};
    sample.bytes += static_cast<std::int64_t>(bytes);
}

bool ReplicationQuota::is_exceeded(std::int64_t bytes_per_second, std::int64_t now_ms) const {
    if (bytes_per_second == unlimited) return false;
    const std::int64_t second = now_ms / sample_ms;
    const std::lock_guard lock(mutex_);
    std::int64_t bytes = 0;
    for (const Sample& sample : samples_) {
        if (sample.second > second - static_cast<std::int64_t>(samples_max)) bytes += sample.bytes;
    }
    return bytes / static_cast<std::int64_t>(samples_max - 1) >= bytes_per_second;
}

bool names_replica(const std::vector<std::string>& throttled, base::PartitionIndex partition,
                   base::BrokerId broker) {
    if (throttled.empty()) return false;
    const auto name = std::to_string(partition.value()) + ":" + std::to_string(broker.value());
    return std::ranges::any_of(
        throttled, [&](const std::string& each) { return each == "*" || each == name; });
}

}  // namespace broker
