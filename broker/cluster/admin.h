// Admin: what administrators ask of the cluster, and what each item came to.
#pragma once

#include "broker/cluster/topic_rules.h"
#include "broker/config/topic_config.h"
#include "protocol/base/types.h"
#include "protocol/schema/error_code.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace broker {

struct AdminOutcome {
    protocol::ErrorCode error = protocol::ErrorCode::none;
    std::string message;  // Empty with none.
};

inline AdminOutcome failed(protocol::ErrorCode error, std::string message) {
    return {error, std::move(message)};
}

struct CreatedTopic {
    AdminOutcome outcome;
    base::Uuid id{};
    std::int32_t partitions = -1;
    std::int16_t replication_factor = -1;
    std::shared_ptr<const TopicConfig> config;  // Null with an error.
};

struct NewPartitions {
    std::string topic;
    std::int32_t count = 0;  // In all, not in addition.
    std::optional<std::vector<std::vector<base::BrokerId>>> assignments;  // Of the new ones.
};

}  // namespace broker
