#include "broker/config/broker_config.h"

#include "broker/config/topic_config.h"
#include "broker/config/value.h"

#include <algorithm>
#include <array>
#include <set>

namespace broker {
namespace {

std::optional<std::string> find_in(const ConfigMap& map, std::string_view key) {
    const auto at = map.find(key);
    return at == map.end() ? std::nullopt : std::optional(at->second);
}

// Keys that each hold what the other was given.
std::string_view twin_of(std::string_view name) {
    if (name == "broker.id") return "node.id";
    if (name == "node.id") return "broker.id";
    return {};
}

// The key and its substitutes in the order of their strength, for any one of them:
// log.retention.ms, log.retention.minutes, log.retention.hours.
std::vector<std::string_view> family_of(std::string_view name) {
    if (name == "log.dirs")
        return {name};  // Apache Kafka does not count log.dir as another name of it.
    for (const KeyDefinition& key : broker_keys()) {
        const bool member =
            key.name == name || std::ranges::find(key.synonyms, name) != key.synonyms.end();
        if (!member || key.synonyms.empty() || key.sensitive() || !twin_of(name).empty()) continue;
        std::vector<std::string_view> family{key.name};
        family.insert(family.end(), key.synonyms.begin(), key.synonyms.end());
        return family;
    }
    return {name};
}

// What of a stored map may be applied. An unknown key may be: it changes nothing.
ConfigMap acceptable(const ConfigMap& stored, std::vector<std::string>* complaints) {
    const auto complain = [&](const std::string& key, const std::string& text) {
        if (complaints != nullptr)
            complaints->push_back("the dynamic configuration " + key + " is left out: " + text);
    };
    ConfigMap out;
    for (const auto& [name, value] : stored) {
        const KeyDefinition* key = find_broker_key(name);
        if (key == nullptr) {
            out.emplace(name, value);
        } else if (key->update == ConfigUpdate::read_only || key->fixed) {
            complain(name, "it is read at the start only");
        } else if (const auto checked = check_value(*key, value); !checked) {
            complain(name, "it wants " + checked.error() + ", not \"" + value + "\"");
        } else {
            out.emplace(name, value);
        }
    }
    return out;
}

}  // namespace

BrokerConfig::BrokerConfig(ConfigMap statics) : BrokerConfig(std::move(statics), {}, {}) {}

BrokerConfig::BrokerConfig(ConfigMap statics, ConfigMap cluster, ConfigMap broker)
    : statics_(std::move(statics)),
      dynamic_cluster_(std::move(cluster)),
      dynamic_broker_(std::move(broker)) {
    fill(*this, [this](std::string_view name) { return value(name); });
    ListenerPlan plan = plan_listeners(*this);
    endpoints_ = std::move(plan.endpoints);
    inter_broker_listener_ = std::move(plan.inter_broker);
    topic_defaults_ = std::make_shared<const TopicConfig>(*this, ConfigMap{});
}

std::shared_ptr<const BrokerConfig> BrokerConfig::with_dynamic(
    const ConfigMap& cluster_default, const ConfigMap& this_broker,
    std::vector<std::string>* complaints) const {
    return std::shared_ptr<const BrokerConfig>(new BrokerConfig(
        statics_, acceptable(cluster_default, complaints), acceptable(this_broker, complaints)));
}

std::shared_ptr<const BrokerConfig> BrokerConfig::with_static(std::string_view key,
                                                              std::string value) const {
    ConfigMap statics = statics_;
    statics.insert_or_assign(std::string(key), std::move(value));
    if (const std::string_view twin = twin_of(key); !twin.empty()) {
        statics.insert_or_assign(std::string(twin), statics.find(key)->second);
    }
    return std::shared_ptr<const BrokerConfig>(
        new BrokerConfig(std::move(statics), dynamic_cluster_, dynamic_broker_));
}

const Listener* BrokerConfig::find_endpoint(std::string_view name) const noexcept {
    const auto at = std::ranges::find(endpoints_, name, &Listener::name);
    return at == endpoints_.end() ? nullptr : &*at;
}

std::vector<std::string> BrokerConfig::data_dirs() const {
    return split_list(log_dirs);
}

std::optional<std::string> BrokerConfig::set_value(std::string_view name) const {
    for (const ConfigMap* map : {&dynamic_broker_, &dynamic_cluster_, &statics_}) {
        if (std::optional<std::string> value = find_in(*map, name)) return value;
    }
    return std::nullopt;
}

std::optional<std::string> BrokerConfig::value(std::string_view name) const {
    if (std::optional<std::string> value = set_value(name)) return value;
    const KeyDefinition* key = find_broker_key(name);
    if (key == nullptr) return std::nullopt;
    for (const std::string_view synonym : key->synonyms) {
        if (const auto value = set_value(synonym)) return converted_value(synonym, name, *value);
    }
    if (key->standard) return std::string(*key->standard);
    for (const std::string_view synonym : key->synonyms) {
        const std::optional<std::string_view> standard = find_broker_key(synonym)->standard;
        if (standard) return converted_value(synonym, name, *standard);
    }
    return std::nullopt;
}

bool BrokerConfig::is_outdone(std::string_view name) const {
    if (dynamic_broker_.contains(name) || dynamic_cluster_.contains(name)) return false;
    return std::ranges::any_of(family_of(name), [this](std::string_view other) {
        return dynamic_broker_.contains(other) || dynamic_cluster_.contains(other);
    });
}

std::vector<ConfigSynonym> BrokerConfig::synonyms(std::string_view name) const {
    const std::vector<std::string_view> family = family_of(name);
    std::vector<ConfigSynonym> found;
    const auto add = [&](std::string_view from, std::optional<std::string> value,
                         ConfigSource source) {
        if (!value) return;
        const KeyDefinition* key = find_broker_key(from);
        if (key == nullptr || key->sensitive()) value.reset();
        found.push_back({std::string(from), std::move(value), source});
    };
    for (const auto& [map, source] :
         {std::pair(&dynamic_broker_, ConfigSource::dynamic_broker),
          std::pair(&dynamic_cluster_, ConfigSource::dynamic_default_broker),
          std::pair(&statics_, ConfigSource::static_broker)}) {
        for (const std::string_view from : family) add(from, find_in(*map, from), source);
    }
    for (const std::string_view from : family) {
        const KeyDefinition* key = find_broker_key(from);
        if (key != nullptr && key->standard)
            add(from, std::string(*key->standard), ConfigSource::default_value);
    }
    // What is stronger than the key itself gives no value to it: Apache Kafka leaves such
    // entries out, and the list is empty for a key that nobody set and that has no default.
    const auto first = std::ranges::find(found, name, &ConfigSynonym::name);
    found.erase(found.begin(), first);
    return found;
}

ConfigEntry BrokerConfig::describe_key(std::string_view name, const KeyDefinition* key) const {
    ConfigEntry entry{.name = std::string(name),
                      .value = set_value(name),
                      .synonyms = synonyms(name),
                      .documentation = {}};
    entry.source =
        entry.synonyms.empty() ? ConfigSource::default_value : entry.synonyms.front().source;
    if (key == nullptr) {
        // Nobody knows what it holds, so nobody is shown it.
        entry.type = ConfigType::unknown;
        entry.read_only = entry.sensitive = true;
        entry.value.reset();
        return entry;
    }
    if (entry.value && is_outdone(name)) entry.value.reset();
    if (!entry.value && key->standard) entry.value = std::string(*key->standard);
    if (entry.value) entry.value = canonical_value(key->type, *entry.value);
    entry.type = key->type;
    entry.read_only = key->update == ConfigUpdate::read_only;
    entry.sensitive = key->sensitive();
    if (entry.sensitive) entry.value.reset();
    entry.documentation = key->documentation;
    return entry;
}

std::vector<ConfigEntry> BrokerConfig::describe() const {
    std::set<std::string_view> names;
    for (const KeyDefinition& key : broker_keys()) {
        if (key.listed) names.insert(key.name);
    }
    for (const ConfigMap* map : {&statics_, &dynamic_cluster_, &dynamic_broker_}) {
        for (const auto& [name, value] : *map) names.insert(name);
    }
    std::vector<ConfigEntry> entries;
    entries.reserve(names.size());
    for (const std::string_view name : names)
        entries.push_back(describe_key(name, find_broker_key(name)));
    return entries;
}

std::vector<ConfigEntry> BrokerConfig::describe_cluster_default() const {
    std::vector<ConfigEntry> entries;
    for (const auto& [name, value] : dynamic_cluster_) {
        ConfigEntry entry = describe_key(name, find_broker_key(name));
        std::erase_if(entry.synonyms, [](const ConfigSynonym& synonym) {
            return synonym.source != ConfigSource::dynamic_default_broker;
        });
        entry.source = ConfigSource::dynamic_default_broker;
        if (!entry.sensitive) entry.value = canonical_value(entry.type, value);
        entries.push_back(std::move(entry));
    }
    return entries;
}

std::vector<ConfigFault> contradictions(const BrokerValues& values, bool is_kraft) {
    std::vector<ConfigFault> faults;
    const auto require = [&](bool holds, std::string_view key, std::string text) {
        if (!holds) faults.push_back({key, std::move(text)});
    };
    require(values.log_retention_ms >= 1 || values.log_retention_ms == -1, "log.retention.ms",
            "-1, or 1 and more, is allowed; 0 would delete at once what was just written");
    require(values.log_roll_ms >= 1, "log.roll.ms", "1 or more is allowed");
    require(values.log_roll_jitter_ms >= 0, "log.roll.jitter.ms", "0 or more is allowed");
    const auto dirs = split_list(values.log_dirs);
    require(!dirs.empty() && std::ranges::find(dirs, "") == dirs.end(), "log.dirs",
            "it names no folder; at least one is needed");
    for (std::size_t i = 0; i < dirs.size(); ++i) {
        require(std::find(dirs.begin(), dirs.begin() + static_cast<std::ptrdiff_t>(i), dirs[i]) ==
                    dirs.begin() + static_cast<std::ptrdiff_t>(i),
                "log.dirs", "it names " + dirs[i] + " twice");
    }
    require(values.broker_id >= -1, "broker.id",
            "0 or more is allowed, or -1 for a number that is generated");
    require(values.broker_id >= 0 || values.broker_id_generation_enable, "broker.id",
            "0 or more is allowed while broker.id.generation.enable is false");
    if (!is_kraft && values.broker_id_generation_enable) {
        require(values.broker_id <= values.reserved_broker_max_id, "broker.id",
                "at most reserved.broker.max.id, " + std::to_string(values.reserved_broker_max_id) +
                    ", is allowed; numbers above it are generated");
    }
    require(values.log_cleaner_threads == 0 ||
                values.log_cleaner_dedupe_buffer_size / values.log_cleaner_threads > 1024 * 1024,
            "log.cleaner.dedupe.buffer.size",
            "more than 1 MiB for each of log.cleaner.threads is allowed");
    require(values.log_cleaner_min_compaction_lag_ms <= values.log_cleaner_max_compaction_lag_ms,
            "log.cleaner.min.compaction.lag.ms", "it is above log.cleaner.max.compaction.lag.ms");
    require(
        values.offsets_topic_compression_codec >= 0 && values.offsets_topic_compression_codec <= 4,
        "offsets.topic.compression.codec", "0 none, 1 gzip, 2 snappy, 3 lz4 or 4 zstd is allowed");
    require(values.group_min_session_timeout_ms <= values.group_max_session_timeout_ms,
            "group.min.session.timeout.ms", "it is above group.max.session.timeout.ms");
    require(values.socket_send_buffer_bytes >= -1, "socket.send.buffer.bytes",
            "-1 or more is allowed");
    require(values.socket_receive_buffer_bytes >= -1, "socket.receive.buffer.bytes",
            "-1 or more is allowed");
    for (const std::string& pair : split_list(values.max_connections_per_ip_overrides)) {
        const std::size_t colon = pair.rfind(':');
        const auto count =
            colon == std::string::npos ? std::nullopt : parse_integer(pair.substr(colon + 1));
        require(colon != 0 && count && *count >= 0, "max.connections.per.ip.overrides",
                "\"" + pair + "\" is not address:count");
    }
    return faults;
}

}  // namespace broker
