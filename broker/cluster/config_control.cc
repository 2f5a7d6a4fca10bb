#include "broker/cluster/config_control.h"

#include "protocol/base/log.h"

#include <utility>

namespace broker {

using base::BrokerId;
using coordinator::Op;
using protocol::ErrorCode;
using znodes::ConfigEntity;
namespace path = znodes::path;

namespace {

// Purging reads all of them, and tools that change many topics write one each.
constexpr std::int64_t purge_every_ms = 60'000;

void configure(const PartitionImage& partition, const storage::LogConfig& config,
               std::int32_t isr_min) {
    if (!partition.local) return;
    partition.local->set_config(config);
    partition.local->set_isr_min(isr_min);
}

}  // namespace

std::string topic_config_path(std::string_view topic) {
    return znodes::config_path({ConfigEntity::Type::topic, std::string(topic)});
}

std::string broker_config_path(const std::optional<BrokerId>& broker) {
    return znodes::config_path(
        {ConfigEntity::Type::broker,
         broker ? std::to_string(broker->value()) : std::string(znodes::default_entity)});
}

ConfigMap config_of(const std::string& where, const std::optional<coordinator::NodeView>& node) {
    if (!node || !node->data || node->data->empty()) return {};
    const auto parsed = znodes::parse_config(*node->data);
    if (!parsed) {
        base::log_warn("metadata", where + " does not hold a configuration; it is left out");
        return {};
    }
    return {parsed->begin(), parsed->end()};
}

AdminOutcome ConfigControl::store(const std::string& node, const ConfigEntity& entity,
                                  const ConfigMap& configs) {
    const auto found = core_.store->get(node);
    if (!found) return failed(ErrorCode::unknown_server_error, "The metadata could not be read.");
    std::vector<Op> ops;
    auto data = znodes::write_config({configs.begin(), configs.end()});
    if (*found) {
        ops.push_back(coordinator::SetData{node, std::move(data)});
    } else {
        ops.push_back(persistent(node, std::move(data)));
    }
    auto change =
        persistent(std::string(path::config_change_prefix), znodes::write_config_change(entity));
    change.sequential = true;
    ops.push_back(std::move(change));
    if (!core_.commit(std::move(ops)))
        return failed(ErrorCode::unknown_server_error, "The metadata could not be stored.");
    return {};
}

AdminOutcome ConfigControl::set_topic(const std::string& name, const ConfigMap& overrides) {
    if (!core_.image()->find_topic(name)) {
        return failed(ErrorCode::unknown_topic_or_partition,
                      "The topic '" + name + "' does not exist.");
    }
    auto stored = store(topic_config_path(name), {ConfigEntity::Type::topic, name}, overrides);
    if (stored.error == ErrorCode::none) apply_topic(name, overrides);
    return stored;
}

AdminOutcome ConfigControl::set_broker(std::optional<BrokerId> broker, const ConfigMap& configs) {
    const std::string name =
        broker ? std::to_string(broker->value()) : std::string(znodes::default_entity);
    auto stored = store(broker_config_path(broker), {ConfigEntity::Type::broker, name}, configs);
    if (stored.error != ErrorCode::none) return stored;
    if (broker && *broker != core_.self) return stored;
    const auto now = core_.image()->config;
    apply_broker(broker ? now->dynamic_cluster() : configs,
                 broker ? configs : now->dynamic_broker());
    return stored;
}

void ConfigControl::apply_topic(const std::string& name, const ConfigMap& overrides) {
    const auto topic = core_.image()->share_topic(name);
    if (!topic) return;
    ClusterImage next = *core_.image();
    auto changed = std::make_shared<TopicImage>(*topic);
    std::vector<std::string> complaints;
    changed->config = effective_config(next.config, overrides, &complaints);
    for (const auto& complaint : complaints)
        base::log_warn("config", "topic " + name + ": " + complaint);
    const auto config = changed->log_settings(*next.config);
    for (const auto& partition : changed->partitions) {
        configure(partition, config, changed->config->min_insync_replicas);
    }
    next.set_topic(std::move(changed));
    core_.current.publish(std::move(next));
}

void ConfigControl::apply_broker(const ConfigMap& cluster_default, const ConfigMap& this_broker) {
    ClusterImage next = *core_.image();
    std::vector<std::string> complaints;
    next.config = core_.settings.config->with_dynamic(cluster_default, this_broker, &complaints);
    for (const auto& complaint : complaints) base::log_warn("config", complaint);
    // Topics see the broker's values where they have none of their own.
    for (const auto& topic : next.topics()) {
        auto changed = std::make_shared<TopicImage>(*topic);
        changed->config = effective_config(next.config, topic->config->overrides());
        const auto config = changed->log_settings(*next.config);
        for (const auto& partition : changed->partitions) {
            configure(partition, config, changed->config->min_insync_replicas);
        }
        next.set_topic(std::move(changed));
    }
    core_.current.publish(std::move(next));
}

// ---- what others wrote --------------------------------------------------------------------

std::optional<std::string> ConfigControl::notified(const std::string& where) {
    std::optional<std::string> topic;
    const auto node = core_.store->get(where);
    if (!node || !*node) return topic;
    const auto entity = (*node)->data ? znodes::parse_config_change(*(*node)->data) : std::nullopt;
    if (!entity) {
        base::log_warn("metadata",
                       where + " does not say whose configuration changed; it is left out");
    } else if (entity->type == ConfigEntity::Type::topic) {
        read_topic(entity->name);
        topic = entity->name;
    } else if (entity->type == ConfigEntity::Type::broker) {
        read_broker();
    }
    purge();
    return topic;
}

void ConfigControl::read_topic(const std::string& name) {
    const auto topic = core_.image()->share_topic(name);
    if (!topic) return;
    const std::string where = topic_config_path(name);
    const auto node = core_.store->get(where);
    if (!node) return;
    const auto overrides = config_of(where, *node);
    if (overrides != topic->config->overrides()) apply_topic(name, overrides);
}

void ConfigControl::read_broker() {
    const std::string paths[] = {broker_config_path(std::nullopt), broker_config_path(core_.self)};
    const auto nodes = core_.store->get(paths);
    if (!nodes) return;
    const auto cluster_default = config_of(paths[0], (*nodes)[0]);
    const auto this_broker = config_of(paths[1], (*nodes)[1]);
    const auto now = core_.image()->config;
    if (cluster_default == now->dynamic_cluster() && this_broker == now->dynamic_broker()) return;
    apply_broker(cluster_default, this_broker);
}

void ConfigControl::purge() {
    const auto now_ms = core_.settings.wall_ms();
    if (now_ms < next_purge_ms_) return;
    next_purge_ms_ = now_ms + purge_every_ms;
    const auto names = core_.store->children(std::string(path::config_changes));
    if (!names || names->empty()) return;
    std::vector<std::string> paths;
    for (const auto& name : *names) paths.push_back(std::string(path::config_changes) + "/" + name);
    const auto nodes = core_.store->get(paths);
    if (!nodes) return;
    const auto oldest_ms = now_ms - config_change_kept_ms;
    std::vector<Op> ops;
    for (std::size_t i = 0; i < paths.size(); ++i) {
        if ((*nodes)[i] && (*nodes)[i]->stat.ctime < oldest_ms)
            ops.push_back(coordinator::Delete{paths[i]});
    }
    // One that another broker has deleted meanwhile leaves the rest to the next time.
    if (!ops.empty()) (void)core_.commit(std::move(ops));
}

}  // namespace broker
