// kafka-topics.sh --zookeeper, as in Kafka 0.8 to 2.8: topics are made, changed and doomed by
// znodes, and the controller does the rest.

#include "broker/cluster/topic_rules.h"
#include "broker/config/topic_config.h"
#include "broker/tools/reassignment_json.h"
#include "broker/tools/tool.h"
#include "broker/tools/topics.h"
#include "broker/tools/zk_kafka.h"

#include <algorithm>
#include <iostream>
#include <random>
#include <set>

namespace broker {
namespace {

using znodes::ConfigEntity;
using znodes::TopicAssignment;

constexpr auto illegal_argument = "java.lang.IllegalArgumentException";
constexpr auto invalid_partitions = "org.apache.kafka.common.errors.InvalidPartitionsException";

ConfigEntity topic_entity(const std::string& name) {
    return {.type = ConfigEntity::Type::topic, .name = name};
}

std::string doom_of(const std::string& topic) {
    return znodes::path::delete_topic(topic);
}

// The topics that the command is about. Faults: none is, unless --if-exists.
std::vector<std::string> chosen(ZkKafka& kafka, const Options& options, bool must_exist) {
    auto topics = kafka.topics();
    if (options.has("exclude-internal")) {
        std::erase_if(topics, [](const auto& name) { return is_internal_topic(name); });
    }
    const auto expression = options.get("topic");
    if (!expression) return topics;
    const TopicFilter filter(*expression);
    std::erase_if(topics, [&](const auto& name) { return !filter.matches(name); });
    if (topics.empty() && must_exist && !options.has("if-exists")) {
        throw ToolError("Topic '" + *expression + "' does not exist as expected", illegal_argument);
    }
    return topics;
}

void validate(const std::string& key, const std::string& value) {
    const auto good = validate_topic_config(key, value);
    if (!good) {
        throw ToolError(good.error(), "org.apache.kafka.common.config.ConfigException");
    }
}

// "key=value" of --config, checked.
znodes::Config added(const Options& options) {
    znodes::Config config;
    for (const auto& [key, value] : parse_pairs(options.all("config"))) {
        validate(trim(key), trim(value));
        config[trim(key)] = trim(value);
    }
    return config;
}

Assignment spread_new(ZkKafka& kafka, const Options& options, std::int32_t count,
                      std::int64_t factor, std::int32_t first) {
    std::vector<Seat> brokers;
    for (const auto& [id, registration] : kafka.brokers())
        brokers.push_back({id, registration.rack});
    leave_racks_out(brokers, options);
    if (factor > static_cast<std::int64_t>(brokers.size())) {
        throw ToolError("Replication factor: " + std::to_string(factor) +
                            " larger than available brokers: " + std::to_string(brokers.size()) +
                            ".",
                        "org.apache.kafka.common.errors.InvalidReplicationFactorException");
    }
    std::random_device random;
    return spread(count, static_cast<std::int16_t>(factor), brokers, random(), random(), first);
}

Assignment wanted(ZkKafka& kafka, const Options& options) {
    if (const auto text = options.get("replica-assignment")) return parse_assignment(*text);
    const auto partitions = options.integer("partitions");
    const auto factor = options.integer("replication-factor");
    if (!partitions) throw UsageError("Missing required argument \"[partitions]\"");
    if (!factor) throw UsageError("Missing required argument \"[replication-factor]\"");
    if (*partitions < 1 || *partitions > partitions_per_request_max) {
        throw ToolError("Number of partitions must be larger than 0 and at most " +
                            std::to_string(partitions_per_request_max) + ".",
                        invalid_partitions);
    }
    if (*factor < 1) {
        throw ToolError("Replication factor must be larger than 0.",
                        "org.apache.kafka.common.errors.InvalidReplicationFactorException");
    }
    return spread_new(kafka, options, static_cast<std::int32_t>(*partitions), *factor, 0);
}

int create(ZkKafka& kafka, const Options& options) {
    const auto name = options.required("topic");
    if (const auto good = check_topic_name(name); !good) {
        throw ToolError(good.error().message,
                        "org.apache.kafka.common.errors.InvalidTopicException");
    }
    if (name.find_first_of("._") != name.npos) {
        std::cout << "WARNING: Due to limitations in metric names, topics with a period ('.') or "
                     "underscore ('_') could collide. To avoid issues it is best to use either, "
                     "but not both.\n";
    }
    const auto config = added(options);
    const auto topics = kafka.topics();
    if (std::ranges::find(topics, name) != topics.end()) {
        if (options.has("if-not-exists")) return 0;
        throw ToolError("Topic '" + name + "' already exists.",
                        "org.apache.kafka.common.errors.TopicExistsException");
    }
    for (const auto& other : topics) {
        if (collision_key(other) == collision_key(name)) {
            throw ToolError("Topic '" + name + "' collides with existing topics: " + other,
                            "org.apache.kafka.common.errors.InvalidTopicException");
        }
    }
    TopicAssignment made;
    std::int32_t index = 0;
    for (auto& replicas : wanted(kafka, options)) {
        made.partitions[base::PartitionIndex(index++)] = std::move(replicas);
    }
    // The configuration first: the controller looks at it when it sees the topic.
    kafka.put(znodes::config_path(topic_entity(name)), znodes::write_config(config));
    if (!kafka.create(znodes::path::topic(name), znodes::write(made))) {
        throw ToolError("Topic '" + name + "' already exists.",
                        "org.apache.kafka.common.errors.TopicExistsException");
    }
    std::cout << "Created topic " << name << ".\n";
    return 0;
}

int list(ZkKafka& kafka, const Options& options) {
    for (const auto& name : chosen(kafka, options, false)) {
        std::cout << name << (kafka.exists(doom_of(name)) ? " - marked for deletion" : "") << "\n";
    }
    return 0;
}

template <class Ids>
std::string ids(const Ids& brokers) {
    std::string text;
    for (const auto id : brokers) text += (text.empty() ? "" : ",") + std::to_string(id.value());
    return text;
}

// What --describe shows of one topic.
class Description {
public:
    Description(ZkKafka& kafka, const Options& options) : options_(options) {
        const auto alive = kafka.broker_ids();
        alive_ = {alive.begin(), alive.end()};
    }

    void print(ZkKafka& kafka, const std::string& name) {
        const auto topic = kafka.topic(name);
        if (!topic) return;  // Deleted meanwhile.
        const auto config = kafka.config(topic_entity(name));
        if (options_.has("topics-with-overrides") && config.empty()) return;
        const char* const doomed = kafka.exists(doom_of(name)) ? "\tMarkedForDeletion: true" : "";
        const bool only_some =
            options_.has("under-replicated-partitions") || options_.has("unavailable-partitions");
        if (!only_some) {
            std::string pairs;
            for (const auto& [key, value] : config) {
                pairs += (pairs.empty() ? "" : ",") + key + "=" + value;
            }
            std::cout << "Topic: " << name;
            if (topic->topic_id) std::cout << "\tTopicId: " << znodes::uuid_text(*topic->topic_id);
            std::cout << "\tPartitionCount: " << topic->partitions.size() << "\tReplicationFactor: "
                      << (topic->partitions.empty() ? 0 : topic->partitions.begin()->second.size())
                      << "\tConfigs: " << pairs << doomed << "\n";
        }
        if (options_.has("topics-with-overrides")) return;
        const auto states = kafka.states(name, *topic);
        for (const auto& [index, replicas] : topic->partitions) {
            const auto state = states.find(index);
            const bool has_leader = state != states.end() && alive_.contains(state->second.leader);
            const auto isr =
                state == states.end() ? std::vector<base::BrokerId>() : state->second.isr;
            const bool is_shown =
                !only_some ||
                (options_.has("under-replicated-partitions") && isr.size() < replicas.size()) ||
                (options_.has("unavailable-partitions") && !has_leader);
            if (!is_shown) continue;
            std::cout << "\tTopic: " << name << "\tPartition: " << index.value() << "\tLeader: "
                      << (has_leader ? std::to_string(state->second.leader.value()) : "none")
                      << "\tReplicas: " << ids(replicas) << "\tIsr: " << ids(isr) << doomed << "\n";
        }
    }

private:
    const Options& options_;
    std::set<base::BrokerId> alive_;
};

int describe(ZkKafka& kafka, const Options& options) {
    Description description(kafka, options);
    for (const auto& name : chosen(kafka, options, true)) description.print(kafka, name);
    return 0;
}

void alter_config(ZkKafka& kafka, const Options& options, const std::string& name) {
    std::cout << "WARNING: Altering topic configuration from this script has been deprecated and "
                 "may be removed in future releases.\n"
                 "         Going forward, please use kafka-configs.sh for this functionality\n";
    auto config = kafka.config(topic_entity(name));
    for (const auto& [key, value] : added(options)) config[key] = value;
    for (const auto& key : options.all("delete-config")) config.erase(trim(key));
    kafka.change_config(topic_entity(name), config);
    std::cout << "Updated config for topic " << name << ".\n";
}

void add_partitions(ZkKafka& kafka, const Options& options, const std::string& name) {
    if (name == "__consumer_offsets") {
        throw ToolError("The number of partitions for the offsets topic cannot be changed.",
                        illegal_argument);
    }
    std::cout << "WARNING: If partitions are increased for a topic that has a key, the partition "
                 "logic or ordering of the messages will be affected\n";
    auto topic = kafka.topic(name);
    if (!topic || topic->partitions.empty()) {
        throw ToolError("The topic " + name + " does not exist");
    }
    const auto have = static_cast<std::int64_t>(topic->partitions.size());
    const auto count = options.integer("partitions").value_or(0);
    if (count <= have) {
        throw ToolError("The number of partitions for a topic can only be increased. Topic " +
                            name + " currently has " + std::to_string(have) + " partitions, " +
                            std::to_string(count) + " would not be an increase.",
                        invalid_partitions);
    }
    if (count - have > partitions_per_request_max) {
        throw ToolError("at most " + std::to_string(partitions_per_request_max) +
                            " partitions are added at once",
                        invalid_partitions);
    }
    Assignment more;
    if (const auto text = options.get("replica-assignment")) {
        more = parse_assignment(*text);
        if (static_cast<std::int64_t>(more.size()) != count) {
            throw ToolError("The assignment names " + std::to_string(more.size()) +
                                " partitions, not " + std::to_string(count),
                            illegal_argument);
        }
        more.erase(more.begin(), more.begin() + have);
    } else {
        const auto factor = topic->partitions.begin()->second.size();
        more = spread_new(kafka, options, static_cast<std::int32_t>(count - have),
                          static_cast<std::int64_t>(factor), static_cast<std::int32_t>(have));
    }
    auto index = static_cast<std::int32_t>(have);
    for (auto& replicas : more) {
        topic->partitions[base::PartitionIndex(index++)] = std::move(replicas);
    }
    kafka.set(znodes::path::topic(name), znodes::write(*topic));
    std::cout << "Adding partitions succeeded!\n";
}

int alter(ZkKafka& kafka, const Options& options) {
    options.required("topic");
    for (const auto& name : chosen(kafka, options, true)) {
        if (options.has("config") || options.has("delete-config")) {
            alter_config(kafka, options, name);
        }
        if (options.has("partitions")) add_partitions(kafka, options, name);
    }
    return 0;
}

int remove(ZkKafka& kafka, const Options& options) {
    options.required("topic");
    for (const auto& name : chosen(kafka, options, true)) {
        if (is_internal_topic(name)) {
            throw ToolError("Topic " + name +
                                " is a kafka internal topic and is not allowed to be marked for "
                                "deletion.",
                            "kafka.admin.AdminOperationException");
        }
        if (kafka.create(doom_of(name), std::nullopt)) {
            std::cout << "Topic " << name
                      << " is marked for deletion.\n"
                         "Note: This will have no impact if delete.topic.enable is not set to "
                         "true.\n";
        } else {
            std::cout << "Topic " << name << " is already marked for deletion.\n";
        }
    }
    return 0;
}

}  // namespace

int run_zk_topics(const Options& options) {
    ZkKafka kafka(options.required("zookeeper"));
    if (options.has("create")) return create(kafka, options);
    if (options.has("alter")) return alter(kafka, options);
    if (options.has("delete")) return remove(kafka, options);
    if (options.has("describe")) return describe(kafka, options);
    return list(kafka, options);
}

}  // namespace broker
