#include "broker/config/topic_config.h"

#include "broker/config/value.h"

#include <algorithm>
#include <array>
#include <limits>

namespace broker {
namespace {

constexpr std::array compression_names = {
    std::string_view("producer"), std::string_view("uncompressed"), std::string_view("gzip"),
    std::string_view("snappy"),   std::string_view("lz4"),          std::string_view("zstd")};

ConfigMap acceptable(const ConfigMap& stored, std::vector<std::string>* complaints) {
    ConfigMap out;
    for (const auto& [name, value] : stored) {
        if (const auto checked = validate_topic_config(name, value); checked) {
            out.emplace(name, value);
        } else if (complaints != nullptr) {
            complaints->push_back("a topic's configuration is left out: " + checked.error());
        }
    }
    return out;
}

std::optional<std::string> value_in_force(const BrokerConfig& broker, const ConfigMap& overrides,
                                          std::string_view name) {
    if (const auto at = overrides.find(name); at != overrides.end()) return at->second;
    const KeyDefinition* key = find_topic_key(name);
    if (!key->synonyms.empty()) {
        const std::string_view from = key->synonyms.front();
        if (const auto value = broker.value(from)) return converted_value(from, name, *value);
    }
    return key->standard ? std::optional(std::string(*key->standard)) : std::nullopt;
}

}  // namespace

TopicConfig::TopicConfig(const BrokerConfig& broker, const ConfigMap& overrides,
                         std::vector<std::string>* complaints)
    : overrides_(acceptable(overrides, complaints)) {
    fill(*this, [&](std::string_view name) { return value_in_force(broker, overrides_, name); });
    // The older key speaks where the newer ones say nothing, as in Apache Kafka 3.6 to 3.9.
    constexpr std::int64_t unlimited = std::numeric_limits<std::int64_t>::max();
    if (message_timestamp_before_max_ms == unlimited) {
        message_timestamp_before_max_ms = message_timestamp_difference_max_ms;
    }
    if (message_timestamp_after_max_ms == unlimited) {
        message_timestamp_after_max_ms = message_timestamp_difference_max_ms;
    }
    for (const std::string& policy : cleanup_policy) {
        is_compacted_ |= policy == "compact";
        is_deleted_ |= policy == "delete";
    }
    is_log_append_time_ = message_timestamp_type == "LogAppendTime";
    const auto at = std::ranges::find(compression_names, compression_type);
    compression_ = static_cast<CompressionType>(at - compression_names.begin());
}

std::vector<ConfigEntry> TopicConfig::describe(const BrokerConfig& broker) const {
    std::vector<ConfigEntry> entries;
    entries.reserve(topic_keys().size());
    for (const KeyDefinition& key : topic_keys()) {
        ConfigEntry entry{.name = std::string(key.name),
                          .value = value_in_force(broker, overrides_, key.name),
                          .type = key.type,
                          .documentation = key.documentation};
        if (entry.value) entry.value = canonical_value(key.type, *entry.value);
        if (!key.synonyms.empty()) entry.synonyms = broker.synonyms(key.synonyms.front());
        if (overrides_.contains(key.name)) {
            entry.synonyms.insert(entry.synonyms.begin(), {std::string(key.name), entry.value,
                                                           ConfigSource::dynamic_topic});
        }
        entry.source =
            entry.synonyms.empty() ? ConfigSource::default_value : entry.synonyms.front().source;
        entries.push_back(std::move(entry));
    }
    return entries;
}

std::shared_ptr<const TopicConfig> effective_config(
    const std::shared_ptr<const BrokerConfig>& broker, const ConfigMap& overrides,
    std::vector<std::string>* complaints) {
    if (overrides.empty()) return broker->topic_defaults();
    return std::make_shared<const TopicConfig>(*broker, overrides, complaints);
}

base::Result<void, std::string> validate_topic_config(std::string_view key,
                                                      std::string_view value) {
    const KeyDefinition* known = find_topic_key(key);
    if (known == nullptr)
        return base::Unexpected("a topic has no configuration named " + std::string(key));
    if (const auto checked = check_value(*known, value); !checked) {
        return base::Unexpected("Invalid value " + std::string(value) + " for configuration " +
                                std::string(key) + ": it wants " + checked.error());
    }
    return {};
}

base::Result<void, std::string> validate_topic_configs(const BrokerConfig& broker,
                                                       const ConfigMap& overrides) {
    for (const auto& [key, value] : overrides) {
        if (auto checked = validate_topic_config(key, value); !checked) return checked;
    }
    const TopicConfig topic(broker, overrides);
    if (topic.min_compaction_lag_ms > topic.max_compaction_lag_ms) {
        return base::Unexpected(
            "min.compaction.lag.ms, " + std::to_string(topic.min_compaction_lag_ms) +
            ", is above max.compaction.lag.ms, " + std::to_string(topic.max_compaction_lag_ms));
    }
    const auto remote = overrides.find("remote.storage.enable");
    if (remote != overrides.end() && parse_boolean(remote->second).value_or(false)) {
        return base::Unexpected(std::string(
            "remote.storage.enable cannot be true: this cluster has no remote storage"));
    }
    return {};
}

}  // namespace broker
