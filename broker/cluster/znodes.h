// Znodes: where Apache Kafka keeps what in ZooKeeper, and how it writes it.
//
// Paths and JSON of Kafka's ZooKeeper mode. What is written is what Kafka 3.9 writes, key
// order included; what is read may be of any version from 0.8 on, with unknown keys.
// Text from a node is judged, never trusted: every reader gives nothing for what is not
// what it should be.
//
// Source: Apache Kafka's kafka.zk.ZkData, and nodes written by 3.9.1.
#pragma once

#include "protocol/base/types.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace broker::znodes {

// The persistent paths that a broker makes at its start, parents before children, in Kafka's
// order. All with null data.
const std::vector<std::string>& persistent_paths();

namespace path {
inline constexpr std::string_view consumers = "/consumers";
inline constexpr std::string_view broker_ids = "/brokers/ids";
inline constexpr std::string_view topics = "/brokers/topics";
inline constexpr std::string_view broker_sequence = "/brokers/seqid";
inline constexpr std::string_view controller = "/controller";
inline constexpr std::string_view controller_epoch = "/controller_epoch";
inline constexpr std::string_view cluster_id = "/cluster/id";
inline constexpr std::string_view config = "/config";
inline constexpr std::string_view config_changes = "/config/changes";
inline constexpr std::string_view config_change_prefix = "/config/changes/config_change_";
inline constexpr std::string_view delete_topics = "/admin/delete_topics";
inline constexpr std::string_view reassign_partitions = "/admin/reassign_partitions";
inline constexpr std::string_view preferred_replica_election = "/admin/preferred_replica_election";
inline constexpr std::string_view isr_changes = "/isr_change_notification";
inline constexpr std::string_view isr_change_prefix = "/isr_change_notification/isr_change_";
inline constexpr std::string_view log_dir_events = "/log_dir_event_notification";
inline constexpr std::string_view log_dir_event_prefix =
    "/log_dir_event_notification/log_dir_event_";
inline constexpr std::string_view producer_id_block = "/latest_producer_id_block";
inline constexpr std::string_view feature = "/feature";
// Ours: topics whose configuration nobody knows since they were imported. Until somebody
// accepts the defaults, nothing of them is deleted or compacted.
inline constexpr std::string_view held_topics = "/milena/held_topics";

std::string broker(base::BrokerId id);
std::string topic(std::string_view topic);
std::string partitions(std::string_view topic);
std::string partition(std::string_view topic, base::PartitionIndex partition);
std::string partition_state(std::string_view topic, base::PartitionIndex partition);
std::string delete_topic(std::string_view topic);
std::string held_topic(std::string_view topic);

// Whose partition state it is, if it is one.
std::optional<base::TopicPartition> parse_partition_state(std::string_view path);

// What lies directly below `parent`, if `path` is such a child: its name.
std::optional<std::string_view> child_of(std::string_view path, std::string_view parent);
}  // namespace path

// Whose configuration a node below /config holds.
struct ConfigEntity {
    enum class Type { topic, broker, client, user, user_client, ip };

    Type type = Type::topic;
    std::string name;         // "<default>" for the default of its type.
    std::string client = {};  // For user_client; "<default>" too.

    friend auto operator<=>(const ConfigEntity&, const ConfigEntity&) = default;
};

inline constexpr std::string_view default_entity = "<default>";

// "topics/orders", "users/alice/clients/c": what stands below /config and in notifications.
// Names of users, clients and ips are sanitised as Kafka does (URL encoding).
std::string entity_path(const ConfigEntity& entity);
std::optional<ConfigEntity> parse_entity_path(std::string_view path);
std::string config_path(const ConfigEntity& entity);  // "/config/" + entity_path.

// URL encoding of Kafka's Sanitizer: letters, digits, '.', '-' and '_' stay, everything else
// becomes %XX of its UTF-8.
std::string sanitise(std::string_view name);
std::optional<std::string> desanitise(std::string_view text);

// Topic ids are written as 22 characters of URL-safe base64 without padding.
std::string uuid_text(const base::Uuid& id);
std::optional<base::Uuid> parse_uuid(std::string_view text);

// /brokers/ids/N
struct Endpoint {
    std::string listener;  // "PLAINTEXT", "EXTERNAL".
    std::string host;      // Without the brackets of an IPv6 literal.
    std::int32_t port = 0;
    std::string security_protocol;  // "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL".

    friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

struct SupportedFeature {
    std::int16_t min_version = 0;
    std::int16_t max_version = 0;

    friend bool operator==(const SupportedFeature&, const SupportedFeature&) = default;
};

struct BrokerRegistration {
    std::vector<Endpoint> endpoints;
    std::optional<std::string> rack = {};
    std::int32_t jmx_port = -1;
    std::int64_t timestamp_ms = 0;  // Milliseconds since 1970; -1: not said.
    std::map<std::string, SupportedFeature> features = {};

    friend bool operator==(const BrokerRegistration&, const BrokerRegistration&) = default;
};

// Version 5 by default. 4 says no features; 2 no rack, and no protocols of listeners either.
std::string write(const BrokerRegistration& broker, std::int32_t version = 5);
std::optional<BrokerRegistration> parse_broker(std::string_view json);

// /brokers/topics/T
struct TopicAssignment {
    using Replicas = std::map<base::PartitionIndex, std::vector<base::BrokerId>>;

    Replicas partitions;
    Replicas adding_replicas = {};
    Replicas removing_replicas = {};
    std::optional<base::Uuid> topic_id = {};

    friend bool operator==(const TopicAssignment&, const TopicAssignment&) = default;
};

std::string write(const TopicAssignment& topic);  // Version 3, with a topic id or without.
std::optional<TopicAssignment> parse_topic(std::string_view json);

// /brokers/topics/T/partitions/P/state. The node's version is the partition epoch.
struct PartitionState {
    std::int32_t controller_epoch = 0;
    base::BrokerId leader;  // -1: none; -2: the topic is being deleted.
    base::LeaderEpoch leader_epoch;
    std::vector<base::BrokerId> isr;
    bool recovering = false;  // leader_recovery_state 1: elected uncleanly.

    friend bool operator==(const PartitionState&, const PartitionState&) = default;
};

std::string write(const PartitionState& state);
std::optional<PartitionState> parse_partition_state(std::string_view json);

// /controller
struct Controller {
    base::BrokerId broker;
    std::int64_t timestamp_ms = 0;

    friend bool operator==(const Controller&, const Controller&) = default;
};

std::string write(const Controller& controller);  // Version 2.
std::optional<Controller> parse_controller(std::string_view json);

// /controller_epoch
std::string write_controller_epoch(std::int32_t epoch);
std::optional<std::int32_t> parse_controller_epoch(std::string_view text);

// /cluster/id
std::string write_cluster_id(std::string_view id);
std::optional<std::string> parse_cluster_id(std::string_view json);

// /config/...; a node without data is an empty configuration.
using Config = std::map<std::string, std::string>;
std::string write_config(const Config& config);
std::optional<Config> parse_config(std::string_view json);

// /config/changes/config_change_N: version 2 is written; versions 1 and the quoted topic name
// of 0.8 are read too.
std::string write_config_change(const ConfigEntity& entity);
std::optional<ConfigEntity> parse_config_change(std::string_view json);

// /isr_change_notification/isr_change_N, /admin/preferred_replica_election
std::string write_partitions(const std::vector<base::TopicPartition>& partitions);
std::optional<std::vector<base::TopicPartition>> parse_partitions(std::string_view json);

// /admin/reassign_partitions
using Reassignments = std::map<base::TopicPartition, std::vector<base::BrokerId>>;
std::string write_reassignments(const Reassignments& partitions);
std::optional<Reassignments> parse_reassignments(std::string_view json);

// /log_dir_event_notification/log_dir_event_N: a log directory of the broker failed.
std::string write_log_dir_event(base::BrokerId broker);
std::optional<base::BrokerId> parse_log_dir_event(std::string_view json);

// /latest_producer_id_block: the ids from first to last belong to the broker.
struct ProducerIdBlock {
    base::BrokerId broker;
    base::ProducerId first;
    base::ProducerId last;

    friend bool operator==(const ProducerIdBlock&, const ProducerIdBlock&) = default;
};

std::string write(const ProducerIdBlock& block);
std::optional<ProducerIdBlock> parse_producer_id_block(std::string_view json);

// /feature
struct Features {
    bool enabled = true;
    std::map<std::string, std::int16_t> max_version_levels = {};

    friend bool operator==(const Features&, const Features&) = default;
};

// Version 1 says more of a feature than is known here: it requires that there are none.
std::string write(const Features& features, std::int32_t version = 2);
std::optional<Features> parse_features(std::string_view json);

}  // namespace broker::znodes
