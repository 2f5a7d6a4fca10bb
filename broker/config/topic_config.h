// TopicConfig: the configuration in force for one topic, typed.
//
// Fields of the generated base struct TopicValues, one for each topic key, named like the
// key with _ for every dot: retention_ms, segment_bytes, max_message_bytes,
// min_insync_replicas ... Where the broker has several keys for one (log.retention.hours,
// .minutes, .ms) the value here is the outcome, in the unit of the topic key.
//
// Threads: immutable, so any.
#pragma once

#include "broker/config/broker_config.h"
#include "broker/config/values.h"
#include "protocol/base/result.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace broker {

enum class CompressionType : std::uint8_t { producer, uncompressed, gzip, snappy, lz4, zstd };

class TopicConfig : public TopicValues {
public:
    // Overrides that are unknown or invalid are left out, with a sentence in `complaints`:
    // they come from znodes that anybody may have written.
    TopicConfig(const BrokerConfig& broker, const ConfigMap& overrides,
                std::vector<std::string>* complaints = nullptr);

    bool is_compacted() const noexcept { return is_compacted_; }  // cleanup.policy
    bool is_deleted() const noexcept { return is_deleted_; }      // cleanup.policy
    bool is_log_append_time() const noexcept { return is_log_append_time_; }
    CompressionType compression() const noexcept { return compression_; }

    const ConfigMap& overrides() const noexcept { return overrides_; }
    // Every topic key, in alphabetical order, as DescribeConfigs shows it. `broker` is the
    // snapshot whose defaults apply.
    std::vector<ConfigEntry> describe(const BrokerConfig& broker) const;

private:
    ConfigMap overrides_;
    bool is_compacted_ = false;
    bool is_deleted_ = false;
    bool is_log_append_time_ = false;
    CompressionType compression_{};
};

// The configuration of a topic with these overrides; the broker's shared one when there
// are none.
std::shared_ptr<const TopicConfig> effective_config(
    const std::shared_ptr<const BrokerConfig>& broker, const ConfigMap& overrides,
    std::vector<std::string>* complaints = nullptr);

// Is this a topic key with a right value? The fault is a sentence for the client
// (INVALID_CONFIG).
[[nodiscard]] base::Result<void, std::string> validate_topic_config(std::string_view key,
                                                                    std::string_view value);

// All overrides of a topic, each for itself and against one another.
[[nodiscard]] base::Result<void, std::string> validate_topic_configs(const BrokerConfig& broker,
                                                                     const ConfigMap& overrides);

}  // namespace broker
