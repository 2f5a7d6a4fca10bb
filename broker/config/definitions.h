// Definitions: every configuration key that a broker or a topic has, declared once.
//
// broker.table and topic.table beside this file are the source. generate.py makes of them
// the tables below, the structs BrokerValues and TopicValues (values.h), and
// docs/configuration.md.
//
// A key that Apache Kafka 3.9 or 4.x knows and Milena has no use for is declared too, so
// that a file that people paste is accepted; `works` is false for it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace broker {

// As DescribeConfigs numbers them.
enum class ConfigType : std::int8_t {
    unknown = 0,  // Of a key that no table has.
    boolean = 1,
    string = 2,
    int32 = 3,
    int16 = 4,
    int64 = 5,
    float64 = 6,
    list = 7,
    class_name = 8,
    password = 9,
};

// Where a value comes from, as DescribeConfigs numbers it (there: source, from version 1).
enum class ConfigSource : std::int8_t {
    dynamic_topic = 1,
    dynamic_broker = 2,
    dynamic_default_broker = 3,
    static_broker = 4,
    default_value = 5,
};

// Who may change a broker's key while it runs.
enum class ConfigUpdate : std::uint8_t { read_only, per_broker, cluster_wide };

enum class ConfigImportance : std::uint8_t { high, medium, low };

struct KeyDefinition {
    std::string_view name;
    ConfigType type{};
    std::optional<std::string_view> standard;  // The default as people write it; none: null.
    std::string_view allowed;                  // Rule for the value, as check_value reads it.
    ConfigImportance importance{};
    ConfigUpdate update{};  // Of a topic key: cluster_wide, always.
    bool works = false;     // False: accepted, without effect here.
    bool refused = false;   // Any value but the default would be a promise that is not kept.
    bool fixed = false;     // `update` is Apache Kafka's; here it is read at the start only.
    bool listed = false;    // DescribeConfigs names it even when nobody set it.
    // Broker table: keys that give this one's value when it is not set, best first
    // (log.retention.minutes, log.retention.hours for log.retention.ms).
    // Topic table: the broker keys below this topic key, best first.
    std::span<const std::string_view> synonyms{};
    std::string_view documentation;

    bool sensitive() const noexcept { return type == ConfigType::password; }
};

// In alphabetical order.
std::span<const KeyDefinition> broker_keys() noexcept;
std::span<const KeyDefinition> topic_keys() noexcept;

// Null when there is none.
const KeyDefinition* find_broker_key(std::string_view name) noexcept;
const KeyDefinition* find_topic_key(std::string_view name) noexcept;

}  // namespace broker
