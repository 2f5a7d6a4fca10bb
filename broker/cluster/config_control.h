// ConfigControl: configurations of topics and brokers, stored in the tree and put in force.
//
// Whoever changes one writes its node and then a notification below /config/changes, which tells
// every broker to read the node: this one too, when it was an old tool that wrote.
//
// Threads: the controller's.
#pragma once

#include "broker/cluster/admin.h"
#include "broker/cluster/cluster_core.h"
#include "broker/cluster/znodes.h"

#include <optional>
#include <string>
#include <string_view>

namespace broker {

// Notifications are kept so long, as Kafka does, for brokers that are slow to read them.
constexpr std::int64_t config_change_kept_ms = 15 * 60 * 1000;

std::string topic_config_path(std::string_view topic);
// `broker`: nothing for the cluster-wide default.
std::string broker_config_path(const std::optional<base::BrokerId>& broker);

// What the node at `where` holds; nothing, and a warning, when that is no configuration.
ConfigMap config_of(const std::string& where, const std::optional<coordinator::NodeView>& node);

class ConfigControl {
public:
    explicit ConfigControl(ClusterCore& core) : core_(core) {}

    AdminOutcome set_topic(const std::string& topic, const ConfigMap& overrides);
    AdminOutcome set_broker(std::optional<base::BrokerId> broker, const ConfigMap& configs);

    // Put in force what the notification at `path` is about. The topic, if it is one's.
    std::optional<std::string> notified(const std::string& path);

    // Put in force what the tree says of `topic`.
    void read_topic(const std::string& topic);
    void read_broker();

    // Delete the notifications that every broker has had the time to read; at most once a minute.
    void purge();

private:
    AdminOutcome store(const std::string& node, const znodes::ConfigEntity& entity,
                       const ConfigMap& configs);
    void apply_topic(const std::string& topic, const ConfigMap& overrides);
    void apply_broker(const ConfigMap& cluster_default, const ConfigMap& this_broker);

    ClusterCore& core_;
    std::int64_t next_purge_ms_ = 0;
};

}  // namespace broker
