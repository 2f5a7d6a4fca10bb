// BrokerConfig: everything a broker was told, parsed and checked, at one moment.
//
//     file, then environment, then --override          znodes /config/brokers/<default>, /N
//                     |                                              |
//               load_config                                    with_dynamic
//                     v                                              v
//       shared_ptr<const BrokerConfig>   -------------->   shared_ptr<const BrokerConfig>
//                                                  |
//                               TopicConfig(config, overrides of the topic)
//
// A snapshot never changes: a dynamic update makes another one. Typed values are the fields
// of the generated base struct BrokerValues: one for each key that works, named like the
// key with _ for every dot (config->socket_request_max_bytes). Units are the key's.
//
// Precedence for a broker key: dynamic of this broker, dynamic of the cluster, static,
// static under an older name, default. For a topic key: the topic's, then the broker's
// under its name there.
//
// Threads: immutable, so any.
#pragma once

#include "broker/config/definitions.h"
#include "broker/config/listener.h"
#include "broker/config/values.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace broker {

using ConfigMap = std::map<std::string, std::string, std::less<>>;

struct ConfigSynonym {
    std::string name;
    std::optional<std::string> value;
    ConfigSource source{};

    friend bool operator==(const ConfigSynonym&, const ConfigSynonym&) = default;
};

// One key as DescribeConfigs shows it.
struct ConfigEntry {
    std::string name;
    std::optional<std::string> value;  // None: null, and always for a sensitive key.
    ConfigSource source{};
    ConfigType type{};
    bool read_only = false;
    bool sensitive = false;
    std::vector<ConfigSynonym> synonyms;  // What gave, or would give, the value, best first.
    std::string_view documentation;
};

class TopicConfig;

// One key with a wrong value, or one that contradicts others.
struct ConfigFault {
    std::string_view key;  // Of a table.
    std::string text;
};

// What the values contradict among one another. Each for itself is right.
std::vector<ConfigFault> contradictions(const BrokerValues& values, bool is_kraft);

class BrokerConfig : public BrokerValues {
public:
    // Requires keys and values that load_config has accepted. Use load_config.
    explicit BrokerConfig(ConfigMap statics);

    // The same broker with these dynamic values. What is read-only or invalid in them is left
    // out (another broker, or a person with a znode editor, wrote it); a sentence for each is
    // appended to `complaints`.
    std::shared_ptr<const BrokerConfig> with_dynamic(
        const ConfigMap& cluster_default, const ConfigMap& this_broker,
        std::vector<std::string>* complaints = nullptr) const;

    // The same broker with one more static value, as if the file had said so: the number
    // that meta.properties or the cluster gave a broker without broker.id.
    std::shared_ptr<const BrokerConfig> with_static(std::string_view key, std::string value) const;

    // PLAINTEXT and names mapped to it, in the order of the file; never empty. Listeners of
    // a KRaft controller are left out.
    const std::vector<Listener>& endpoints() const noexcept { return endpoints_; }
    const Listener* find_endpoint(std::string_view name) const noexcept;
    // Name of the listener that other brokers use. It is one of endpoints().
    const std::string& inter_broker_listener() const noexcept { return inter_broker_listener_; }

    // Folders of log.dirs, or of log.dir when that is not set; never empty.
    std::vector<std::string> data_dirs() const;

    // What a topic without configurations of its own has.
    const std::shared_ptr<const TopicConfig>& topic_defaults() const noexcept {
        return topic_defaults_;
    }

    // The value in force under `name`, or none when it is null or the key unknown.
    std::optional<std::string> value(std::string_view name) const;

    // The value that somebody gave this very key, dynamic before static; or none.
    std::optional<std::string> set_value(std::string_view name) const;

    // Every listed key and every key that somebody set, in alphabetical order.
    std::vector<ConfigEntry> describe() const;
    // The dynamic values of the whole cluster alone: resource "" of DescribeConfigs.
    std::vector<ConfigEntry> describe_cluster_default() const;
    // What gives, or would give, the broker key its value: by source, the strongest first.
    std::vector<ConfigSynonym> synonyms(std::string_view name) const;

    const ConfigMap& statics() const noexcept { return statics_; }
    const ConfigMap& dynamic_cluster() const noexcept { return dynamic_cluster_; }
    const ConfigMap& dynamic_broker() const noexcept { return dynamic_broker_; }

private:
    BrokerConfig(ConfigMap statics, ConfigMap cluster, ConfigMap broker);
    // Whether another key of the same family is set dynamically. Apache Kafka then forgets the
    // static one and shows its default: log.retention.hours beside a dynamic log.retention.ms.
    bool is_outdone(std::string_view name) const;
    ConfigEntry describe_key(std::string_view name, const KeyDefinition* key) const;

    ConfigMap statics_;
    ConfigMap dynamic_cluster_;
    ConfigMap dynamic_broker_;
    std::vector<Listener> endpoints_;
    std::string inter_broker_listener_;
    std::shared_ptr<const TopicConfig> topic_defaults_;
};

}  // namespace broker
