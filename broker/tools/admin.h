// Admin calls that several tools make: configurations of resources, groups and their offsets.
#pragma once

#include "broker/client/cluster.h"
#include "broker/tools/tool.h"
#include "protocol/schema/api/describe_configs.h"
#include "protocol/schema/api/incremental_alter_configs.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace broker::inline tools {

// As the wire has them.
enum class ResourceType : std::int8_t { topic = 2, broker = 4, broker_logger = 8 };
enum class ConfigSource : std::int8_t {
    unknown = 0,
    dynamic_topic = 1,
    dynamic_broker = 2,
    dynamic_default_broker = 3,
    static_broker = 4,
    default_config = 5,
};
enum class ConfigOperation : std::int8_t { set = 0, remove = 1, append = 2, subtract = 3 };

struct ConfigSynonym {
    std::string name;
    std::optional<std::string> value;
    ConfigSource source{};
};

struct ConfigEntry {
    std::string name;
    std::optional<std::string> value;
    ConfigSource source{};
    bool is_sensitive = false;
    bool is_read_only = false;
    std::vector<ConfigSynonym> synonyms;
};

// Per resource name, its entries by name. A broker is asked itself, "" (all brokers) any one.
[[nodiscard]] ClientResult<std::map<std::string, std::vector<ConfigEntry>>> describe_configs(
    Cluster& cluster, ResourceType type, const std::vector<std::string>& names, bool synonyms);

struct ConfigChange {
    std::string name;
    std::string value;
    ConfigOperation operation{};
};

[[nodiscard]] ClientResult<void> alter_configs(Cluster& cluster, ResourceType type,
                                               const std::string& name,
                                               const std::vector<ConfigChange>& changes);

// All topics of the cluster by name, those with an error left out.
[[nodiscard]] ClientResult<std::vector<TopicView>> all_topics(Cluster& cluster);

}  // namespace broker
