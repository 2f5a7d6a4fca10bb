#include "broker/cluster/znodes.h"

#include "broker/cluster/znode_json.h"

#include <algorithm>
#include <utility>

namespace broker::znodes {
namespace {

Json written(const std::vector<base::BrokerId>& brokers) {
    auto list = Json::array();
    for (const base::BrokerId broker : brokers) list.push_back(broker.value());
    return list;
}

std::optional<std::vector<base::BrokerId>> brokers(const Json& list) {
    if (!list.is_array()) return std::nullopt;
    std::vector<base::BrokerId> brokers;
    for (const Json& one : list) {
        const auto id = integer<std::int32_t>(one);
        if (!id) return std::nullopt;
        brokers.emplace_back(*id);
    }
    return brokers;
}

Json written(const TopicAssignment::Replicas& replicas) {
    auto map = Json::object();
    for (const auto& [partition, brokers] : replicas) {
        map[std::to_string(partition.value())] = written(brokers);
    }
    return map;
}

std::optional<TopicAssignment::Replicas> replicas(const Json& map) {
    if (!map.is_object()) return std::nullopt;
    TopicAssignment::Replicas replicas;
    for (const auto& [key, list] : map.items()) {
        const auto partition = parse_integer<std::int32_t>(key);
        auto ids = brokers(list);
        if (!partition || *partition < 0 || !ids) return std::nullopt;
        replicas.emplace(*partition, std::move(*ids));
    }
    return replicas;
}

// ---- end points ---------------------------------------------------------------------------

std::string address(const Endpoint& endpoint) {
    const bool is_ipv6 = endpoint.host.contains(':');
    return endpoint.listener + "://" + (is_ipv6 ? "[" + endpoint.host + "]" : endpoint.host) + ":" +
           std::to_string(endpoint.port);
}

std::optional<Endpoint> parse_address(std::string_view text) {
    const auto scheme = text.find("://");
    const auto colon = text.rfind(':');
    if (scheme == text.npos || colon < scheme + 3) return std::nullopt;
    auto host = text.substr(scheme + 3, colon - scheme - 3);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    const auto port = parse_integer<std::int32_t>(text.substr(colon + 1));
    if (!port) return std::nullopt;
    return Endpoint{std::string(text.substr(0, scheme)), std::string(host), *port, {}};
}

// Up to version 3 a listener was named by its protocol; from version 4 on a map says more.
std::optional<std::vector<Endpoint>> endpoints(const Json& broker) {
    std::vector<Endpoint> endpoints;
    const Json* list = member(broker, "endpoints");
    if (list == nullptr) {
        const auto host = string(broker, "host");
        const auto port = integer<std::int32_t>(broker, "port");
        if (!host || !port) return std::nullopt;
        return std::vector{Endpoint{"PLAINTEXT", *host, *port, "PLAINTEXT"}};
    }
    if (!list->is_array()) return std::nullopt;
    const Json* protocols = member(broker, "listener_security_protocol_map");
    if (protocols != nullptr && !protocols->is_object()) return std::nullopt;
    for (const Json& one : *list) {
        if (!one.is_string()) return std::nullopt;
        auto endpoint = parse_address(one.get_ref<const std::string&>());
        if (!endpoint) return std::nullopt;
        endpoint->security_protocol = endpoint->listener;
        if (protocols != nullptr) {
            auto protocol = string(*protocols, endpoint->listener.c_str());
            if (!protocol) return std::nullopt;
            endpoint->security_protocol = std::move(*protocol);
        }
        endpoints.push_back(std::move(*endpoint));
    }
    return endpoints;
}

constexpr std::string_view base64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

}  // namespace

// ---- paths --------------------------------------------------------------------------------

const std::vector<std::string>& persistent_paths() {
    static const std::vector<std::string> paths{"/consumers",
                                                "/brokers",
                                                "/brokers/ids",
                                                "/brokers/topics",
                                                "/config",
                                                "/config/changes",
                                                "/admin",
                                                "/admin/delete_topics",
                                                "/brokers/seqid",
                                                "/isr_change_notification",
                                                "/latest_producer_id_block",
                                                "/log_dir_event_notification",
                                                "/config/topics",
                                                "/config/clients",
                                                "/config/users",
                                                "/config/brokers",
                                                "/config/ips"};
    return paths;
}

namespace path {

std::string broker(base::BrokerId id) {
    return joined(broker_ids, std::to_string(id.value()));
}

std::string topic(std::string_view topic) {
    return joined(topics, topic);
}

std::string partitions(std::string_view topic) {
    return path::topic(topic) + "/partitions";
}

std::string partition(std::string_view topic, base::PartitionIndex partition) {
    return joined(partitions(topic), std::to_string(partition.value()));
}

std::string partition_state(std::string_view topic, base::PartitionIndex partition) {
    return path::partition(topic, partition) + "/state";
}

std::string delete_topic(std::string_view topic) {
    return joined(delete_topics, topic);
}

std::string held_topic(std::string_view topic) {
    return joined(held_topics, topic);
}

std::optional<std::string_view> child_of(std::string_view path, std::string_view parent) {
    if (!path.starts_with(parent)) return std::nullopt;
    path.remove_prefix(parent.size());
    if (!path.starts_with('/')) return std::nullopt;
    path.remove_prefix(1);
    if (path.empty() || path.contains('/')) return std::nullopt;
    return path;
}

std::optional<base::TopicPartition> parse_partition_state(std::string_view path) {
    constexpr std::string_view middle = "/partitions/";
    constexpr std::string_view end = "/state";
    if (!path.starts_with(topics) || !path.ends_with(end)) return std::nullopt;
    path.remove_prefix(topics.size());
    path.remove_suffix(end.size());
    const auto at = path.find(middle);
    if (at == path.npos || at < 2 || path.front() != '/') return std::nullopt;
    const auto topic = path.substr(1, at - 1);
    const auto partition = parse_integer<std::int32_t>(path.substr(at + middle.size()));
    if (topic.contains('/') || !partition || *partition < 0) return std::nullopt;
    return base::TopicPartition{std::string(topic), base::PartitionIndex(*partition)};
}

}  // namespace path

// ---- ids ----------------------------------------------------------------------------------

std::string uuid_text(const base::Uuid& id) {
    std::string text;
    unsigned bits = 0;
    unsigned count = 0;
    for (const std::byte byte : id) {
        bits = bits << 8 | std::to_integer<unsigned>(byte);
        for (count += 8; count >= 6; count -= 6) text += base64[bits >> (count - 6) & 63];
    }
    text += base64[bits << (6 - count) & 63];
    return text;
}

std::optional<base::Uuid> parse_uuid(std::string_view text) {
    base::Uuid id{};
    if (text.size() != 22) return std::nullopt;
    unsigned bits = 0;
    unsigned count = 0;
    auto out = id.begin();
    for (const char digit : text) {
        const auto value = base64.find(digit);
        if (value == base64.npos) return std::nullopt;
        bits = bits << 6 | static_cast<unsigned>(value);
        count += 6;
        if (count >= 8) {
            count -= 8;
            *out++ = static_cast<std::byte>(bits >> count);
        }
    }
    return id;
}

// ---- /brokers/ids -------------------------------------------------------------------------

namespace {
// From which version of the node on.
constexpr std::int32_t racks_since = 3;
constexpr std::int32_t protocols_since = 4;
constexpr std::int32_t features_since = 5;
}  // namespace

std::string write(const BrokerRegistration& broker, std::int32_t version) {
    auto features = Json::object();
    for (const auto& [name, range] : broker.features) {
        features[name] = {{"min_version", range.min_version}, {"max_version", range.max_version}};
    }
    auto protocols = Json::object();
    auto addresses = Json::array();
    for (const Endpoint& endpoint : broker.endpoints) {
        protocols[endpoint.listener] = endpoint.security_protocol;
        addresses.push_back(address(endpoint));
    }
    const auto plaintext =
        std::ranges::find(broker.endpoints, "PLAINTEXT", &Endpoint::security_protocol);
    const bool has_plaintext = plaintext != broker.endpoints.end();

    Json json = Json::object();
    if (version >= features_since) json["features"] = std::move(features);
    if (version >= protocols_since) json["listener_security_protocol_map"] = std::move(protocols);
    json["endpoints"] = std::move(addresses);
    if (broker.rack && version >= racks_since) json["rack"] = *broker.rack;
    json["jmx_port"] = broker.jmx_port;
    json["port"] = has_plaintext ? plaintext->port : -1;
    json["host"] = has_plaintext ? Json(plaintext->host) : Json();
    json["version"] = version;
    json["timestamp"] = std::to_string(broker.timestamp_ms);
    return text_of(json);
}

std::optional<BrokerRegistration> parse_broker(std::string_view text) {
    const auto json = parse_object(text);
    if (!json) return std::nullopt;
    auto addresses = endpoints(*json);
    if (!addresses) return std::nullopt;
    BrokerRegistration broker{.endpoints = std::move(*addresses), .rack = string(*json, "rack")};
    broker.jmx_port = integer<std::int32_t>(*json, "jmx_port").value_or(-1);
    broker.timestamp_ms = integer<std::int64_t>(*json, "timestamp").value_or(-1);
    const Json* features = member(*json, "features");
    if (features == nullptr) return broker;
    if (!features->is_object()) return std::nullopt;
    for (const auto& [name, range] : features->items()) {
        if (!range.is_object()) return std::nullopt;
        const auto least = integer<std::int16_t>(range, "min_version");
        const auto most = integer<std::int16_t>(range, "max_version");
        if (!least || !most) return std::nullopt;
        broker.features[name] = {*least, *most};
    }
    return broker;
}

// ---- /brokers/topics ----------------------------------------------------------------------

std::string write(const TopicAssignment& topic) {
    Json json = {{"partitions", written(topic.partitions)}};
    if (topic.topic_id) json["topic_id"] = uuid_text(*topic.topic_id);
    json["adding_replicas"] = written(topic.adding_replicas);
    json["removing_replicas"] = written(topic.removing_replicas);
    json["version"] = 3;
    return text_of(json);
}

std::optional<TopicAssignment> parse_topic(std::string_view text) {
    const auto json = parse_object(text);
    if (!json) return std::nullopt;
    TopicAssignment topic;
    const auto read = [&](const char* key, TopicAssignment::Replicas& into) {
        const Json* map = member(*json, key);
        if (map == nullptr) return true;
        auto known = replicas(*map);
        if (known) into = std::move(*known);
        return known.has_value();
    };
    if (member(*json, "partitions") == nullptr) return std::nullopt;
    if (!read("partitions", topic.partitions)) return std::nullopt;
    if (!read("adding_replicas", topic.adding_replicas)) return std::nullopt;
    if (!read("removing_replicas", topic.removing_replicas)) return std::nullopt;
    if (const Json* id = member(*json, "topic_id")) {
        if (!id->is_string()) return std::nullopt;
        topic.topic_id = parse_uuid(id->get_ref<const std::string&>());
        if (!topic.topic_id) return std::nullopt;
    }
    return topic;
}

std::string write(const PartitionState& state) {
    Json json = {{"controller_epoch", state.controller_epoch},
                 {"leader", state.leader.value()},
                 {"version", 1},
                 {"leader_epoch", state.leader_epoch.value()},
                 {"isr", written(state.isr)}};
    if (state.recovering) json["leader_recovery_state"] = 1;
    return text_of(json);
}

std::optional<PartitionState> parse_partition_state(std::string_view text) {
    const auto json = parse_object(text);
    if (!json) return std::nullopt;
    const auto controller_epoch = integer<std::int32_t>(*json, "controller_epoch");
    const auto leader = integer<std::int32_t>(*json, "leader");
    const auto leader_epoch = integer<std::int32_t>(*json, "leader_epoch");
    const Json* list = member(*json, "isr");
    if (!controller_epoch || !leader || !leader_epoch || list == nullptr) return std::nullopt;
    auto isr = brokers(*list);
    if (!isr) return std::nullopt;
    return PartitionState{*controller_epoch, base::BrokerId(*leader),
                          base::LeaderEpoch(*leader_epoch), std::move(*isr),
                          integer<std::int32_t>(*json, "leader_recovery_state") == 1};
}

// ---- the controller -----------------------------------------------------------------------

std::string write(const Controller& controller) {
    return text_of({{"version", 2},
                    {"brokerid", controller.broker.value()},
                    {"timestamp", std::to_string(controller.timestamp_ms)},
                    {"kraftControllerEpoch", -1}});
}

std::optional<Controller> parse_controller(std::string_view text) {
    const auto json = Json::parse(text, nullptr, false);
    if (json.is_number()) {
        const auto id = integer<std::int32_t>(json);  // Before 0.8.1 it was the id alone.
        if (!id) return std::nullopt;
        return Controller{base::BrokerId(*id), -1};
    }
    if (!json.is_object()) return std::nullopt;
    const auto id = integer<std::int32_t>(json, "brokerid");
    if (!id) return std::nullopt;
    return Controller{base::BrokerId(*id), integer<std::int64_t>(json, "timestamp").value_or(-1)};
}

std::string write_controller_epoch(std::int32_t epoch) {
    return std::to_string(epoch);
}

std::optional<std::int32_t> parse_controller_epoch(std::string_view text) {
    return parse_integer<std::int32_t>(text);
}

std::string write_cluster_id(std::string_view id) {
    return text_of({{"version", "1"}, {"id", id}});
}

std::optional<std::string> parse_cluster_id(std::string_view text) {
    const auto json = parse_object(text);
    if (!json) return std::nullopt;
    auto id = string(*json, "id");
    if (!id || id->empty()) return std::nullopt;
    return id;
}

// ---- notifications and requests -----------------------------------------------------------

std::string write_partitions(const std::vector<base::TopicPartition>& partitions) {
    auto list = Json::array();
    for (const auto& [topic, partition] : partitions) {
        list.push_back({{"topic", topic}, {"partition", partition.value()}});
    }
    return text_of({{"version", 1}, {"partitions", std::move(list)}});
}

namespace {

// Call `each` for every partition of the node's list; false from it, or a bad list, is false.
template <class Each>
bool for_partitions(std::string_view text, Each each) {
    const auto json = parse_object(text);
    if (!json) return false;
    const Json* list = member(*json, "partitions");
    if (list == nullptr || !list->is_array()) return false;
    for (const Json& one : *list) {
        if (!one.is_object()) return false;
        auto topic = string(one, "topic");
        const auto partition = integer<std::int32_t>(one, "partition");
        if (!topic || !partition || *partition < 0) return false;
        if (!each(base::TopicPartition{std::move(*topic), base::PartitionIndex(*partition)}, one)) {
            return false;
        }
    }
    return true;
}

}  // namespace

std::optional<std::vector<base::TopicPartition>> parse_partitions(std::string_view text) {
    std::vector<base::TopicPartition> partitions;
    const auto add = [&](base::TopicPartition partition, const Json&) {
        partitions.push_back(std::move(partition));
        return true;
    };
    if (!for_partitions(text, add)) return std::nullopt;
    return partitions;
}

std::string write_reassignments(const Reassignments& partitions) {
    auto list = Json::array();
    for (const auto& [at, replicas] : partitions) {
        list.push_back({{"topic", at.topic},
                        {"partition", at.partition.value()},
                        {"replicas", written(replicas)}});
    }
    return text_of({{"version", 1}, {"partitions", std::move(list)}});
}

std::optional<Reassignments> parse_reassignments(std::string_view text) {
    Reassignments partitions;
    const auto add = [&](base::TopicPartition partition, const Json& one) {
        const Json* list = member(one, "replicas");
        auto replicas = list == nullptr ? std::nullopt : brokers(*list);
        if (!replicas) return false;
        partitions.insert_or_assign(std::move(partition), std::move(*replicas));
        return true;
    };
    if (!for_partitions(text, add)) return std::nullopt;
    return partitions;
}

std::string write_log_dir_event(base::BrokerId broker) {
    return text_of({{"version", 1}, {"broker", broker.value()}, {"event", 1}});
}

std::optional<base::BrokerId> parse_log_dir_event(std::string_view text) {
    const auto json = parse_object(text);
    if (!json) return std::nullopt;
    const auto broker = integer<std::int32_t>(*json, "broker");
    if (!broker) return std::nullopt;
    return base::BrokerId(*broker);
}

std::string write(const ProducerIdBlock& block) {
    return text_of({{"version", 1},
                    {"broker", block.broker.value()},
                    {"block_start", std::to_string(block.first.value())},
                    {"block_end", std::to_string(block.last.value())}});
}

std::optional<ProducerIdBlock> parse_producer_id_block(std::string_view text) {
    const auto json = parse_object(text);
    if (!json) return std::nullopt;
    const auto broker = integer<std::int32_t>(*json, "broker");
    const auto first = integer<std::int64_t>(*json, "block_start");
    const auto last = integer<std::int64_t>(*json, "block_end");
    if (!broker || !first || !last || *first < 0 || *last < *first) return std::nullopt;
    return ProducerIdBlock{base::BrokerId(*broker), base::ProducerId(*first),
                           base::ProducerId(*last)};
}

std::string write(const Features& features, std::int32_t version) {
    auto levels = Json::object();
    for (const auto& [name, level] : features.max_version_levels) {
        levels[name] = {{"max_version_level", level}};
    }
    return text_of({{"features", std::move(levels)},
                    {"version", version},
                    {"status", features.enabled ? 1 : 0}});
}

std::optional<Features> parse_features(std::string_view text) {
    const auto json = parse_object(text);
    if (!json) return std::nullopt;
    const auto status = integer<std::int32_t>(*json, "status");
    const Json* levels = member(*json, "features");
    if (!status || levels == nullptr || !levels->is_object()) return std::nullopt;
    Features features{.enabled = *status == 1};
    for (const auto& [name, level] : levels->items()) {
        if (!level.is_object()) return std::nullopt;
        const auto most = integer<std::int16_t>(level, "max_version_level");
        if (!most) return std::nullopt;
        features.max_version_levels[name] = *most;
    }
    return features;
}

}  // namespace broker::znodes
