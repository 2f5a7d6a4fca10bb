// The strong types that schemas name with `as`, and that the whole project shares.
#pragma once

#include "protocol/base/strong.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace base {

using Offset = Strong<std::int64_t, struct OffsetTag>;
using LeaderEpoch = Strong<std::int32_t, struct LeaderEpochTag>;
using PartitionIndex = Strong<std::int32_t, struct PartitionIndexTag>;
using BrokerId = Strong<std::int32_t, struct BrokerIdTag>;
using ProducerId = Strong<std::int64_t, struct ProducerIdTag>;
using Uuid = std::array<std::byte, 16>;  // All zero: no id.

// One partition of one topic, as people write it: "orders-3".
struct TopicPartition {
    std::string topic;
    PartitionIndex partition;

    friend auto operator<=>(const TopicPartition&, const TopicPartition&) = default;
};

}  // namespace base

template <>
struct std::hash<base::TopicPartition> {
    std::size_t operator()(const base::TopicPartition& at) const noexcept {
        return std::hash<std::string>()(at.topic) * 31 + std::hash<base::PartitionIndex>()(at.partition);
    }
};
