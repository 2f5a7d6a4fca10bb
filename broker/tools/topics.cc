// milena topics: kafka-topics.sh.

#include "broker/tools/topics.h"

#include "broker/tools/admin.h"
#include "broker/tools/commands.h"
#include "protocol/schema/api/create_partitions.h"
#include "protocol/schema/api/create_topics.h"
#include "protocol/schema/api/delete_topics.h"
#include "protocol/schema/api/describe_topic_partitions.h"
#include "protocol/schema/api/list_partition_reassignments.h"

#include <algorithm>
#include <iostream>
#include <set>

namespace broker {
namespace {

using protocol::ErrorCode;

constexpr auto tool_class = "org.apache.kafka.tools.TopicCommand";
constexpr std::int32_t request_timeout_ms = 30'000;

void declare(Options& options) {
    options.flag("list", "List the names of topics.");
    options.flag("create", "Create a topic.");
    options.flag("delete", "Delete topics.");
    options.flag("alter", "Raise the number of partitions.");
    options.flag("describe", "Show partitions, leaders and replicas.");
    add_cluster_options(options);
    options.value("topic", "name",
                  "The topic; a regular expression with --list, --describe, --alter, --delete.");
    options.value("topic-id", "id", "The topic by its id, with --describe.");
    options.value("partitions", "n", "Number of partitions.");
    options.value("replication-factor", "n", "Replicas of each partition.");
    options.value("replica-assignment", "0:1,1:2", "Brokers of each partition, by hand.");
    options.value("config", "name=value", "A configuration of the new topic; may be repeated.");
    options.value("zookeeper", "host:port",
                  "Instead of brokers, the ZooKeeper; as in Kafka to 2.8.");
    options.value("delete-config", "name", "With --zookeeper and --alter: back to the default.");
    options.flag("if-exists", "Do nothing when no such topic is there.");
    options.flag("if-not-exists", "Do nothing when the topic is there.");
    options.flag("under-replicated-partitions", "Only partitions with replicas out of sync.");
    options.flag("unavailable-partitions", "Only partitions without a leader.");
    options.flag("under-min-isr-partitions",
                 "Only partitions with fewer replicas in sync than min.insync.replicas.");
    options.flag("at-min-isr-partitions", "Only partitions with just min.insync.replicas in sync.");
    options.flag("topics-with-overrides", "Only topics with configurations of their own.");
    options.flag("exclude-internal", "Without internal topics.");
    options.flag("disable-rack-aware", "With --zookeeper: place replicas as if brokers had no racks.");
    options.flag("force", "Accepted: nothing is asked.");
    options.value("partition-size-limit-per-response", "n", "Accepted: the broker decides.");
}

ToolError missing(const std::string& name) {
    return ToolError("Topic '" + name + "' does not exist as expected",
                     "java.lang.IllegalArgumentException");
}

// The topics that the command is about. Faults: none is, unless --if-exists.
std::vector<TopicView> chosen(Cluster& cluster, const Options& options, bool must_exist) {
    auto topics = need(all_topics(cluster));
    if (const auto id = options.get("topic-id")) {
        std::erase_if(topics, [&](const TopicView& topic) { return to_string(topic.id) != *id; });
        if (topics.empty() && must_exist && !options.has("if-exists")) {
            throw ToolError("TopicId '" + *id + "' does not exist as expected",
                            "java.lang.IllegalArgumentException");
        }
        return topics;
    }
    if (options.has("exclude-internal")) {
        std::erase_if(topics, [](const TopicView& topic) { return is_internal_topic(topic.name); });
    }
    if (const auto expression = options.get("topic")) {
        const TopicFilter filter(*expression);
        std::erase_if(topics, [&](const TopicView& topic) { return !filter.matches(topic.name); });
        if (topics.empty() && must_exist && !options.has("if-exists")) throw missing(*expression);
    }
    return topics;
}

}  // namespace

std::vector<std::vector<base::BrokerId>> parse_assignment(const std::string& text) {
    std::vector<std::vector<base::BrokerId>> partitions;
    for (const auto& part : split(text, ',')) {
        auto& brokers = partitions.emplace_back();
        std::set<std::int64_t> seen;
        for (const auto& word : split(part, ':')) {
            const auto id = to_integer(trim(word));
            if (!id) throw UsageError("Cannot parse replica assignment '" + text + "'");
            if (!seen.insert(*id).second) {
                throw ToolError("Partition replica lists may not contain duplicate entries: " +
                                    std::to_string(*id),
                                "kafka.common.AdminCommandFailedException");
            }
            brokers.emplace_back(static_cast<std::int32_t>(*id));
        }
        if (brokers.size() != partitions.front().size()) {
            throw ToolError("Partition " + std::to_string(partitions.size() - 1) +
                                " has different replication factor: " + part,
                            "org.apache.kafka.server.common.AdminOperationException");
        }
    }
    return partitions;
}

namespace {

int create(Cluster& cluster, const Options& options) {
    const auto name = options.required("topic");
    if (name.contains('.') || name.contains('_')) {
        std::cout << "WARNING: Due to limitations in metric names, topics with a period ('.') or "
                     "underscore ('_') "
                     "could collide. To avoid issues it is best to use either, but not both.\n";
    }
    const auto partitions = options.integer("partitions");
    const auto factor = options.integer("replication-factor");
    if (partitions && *partitions < 1) {
        throw ToolError("The partitions must be greater than 0",
                        "java.lang.IllegalArgumentException");
    }
    if (factor && (*factor < 1 || *factor > 32767)) {
        throw ToolError("The replication factor must be between 1 and 32767 inclusive",
                        "java.lang.IllegalArgumentException");
    }
    protocol::CreateTopicsRequest request;
    request.timeout_ms = request_timeout_ms;
    auto& topic = request.topics.emplace_back();
    topic.name = wire::Text(name);
    topic.num_partitions = static_cast<std::int32_t>(partitions.value_or(-1));
    topic.replication_factor = static_cast<std::int16_t>(factor.value_or(-1));
    if (const auto text = options.get("replica-assignment")) {
        std::int32_t index = 0;
        for (auto& brokers : parse_assignment(*text)) {
            auto& assignment = topic.assignments.emplace_back();
            assignment.partition_index = base::PartitionIndex(index++);
            assignment.broker_ids = std::move(brokers);
        }
        topic.num_partitions = -1;
        topic.replication_factor = -1;
    }
    for (const auto& pair : options.all("config")) {
        const auto equals = pair.find('=');
        if (equals == std::string::npos || equals == 0) {
            throw ToolError(
                "requirement failed: Invalid topic config: all configs to be added must be in the "
                "format "
                "\"key=val\".");
        }
        auto& config = topic.configs.emplace_back();
        config.name = wire::Text(trim(pair.substr(0, equals)));
        config.value = wire::Text(trim(pair.substr(equals + 1)));
    }
    const auto done = cluster.retry([&]() -> ClientResult<void> {
        const auto answer = cluster.call<protocol::CreateTopicsApi, protocol::CreateTopicsResponse>(
            cluster.controller(), request);
        if (!answer) return base::Unexpected(answer.error());
        for (const auto& each : (*answer)->topics) {
            if (each.error_code != ErrorCode::none) {
                return base::Unexpected(
                    refused(each.error_code, each.error_message ? each.error_message->str() : ""));
            }
        }
        return {};
    });
    const bool was_there = !done && done.error().code == ErrorCode::topic_already_exists;
    if (was_there && options.has("if-not-exists")) return 0;
    need(done);
    std::cout << "Created topic " << name << ".\n";
    return 0;
}

int list(Cluster& cluster, const Options& options) {
    for (const auto& topic : chosen(cluster, options, false)) std::cout << topic.name << "\n";
    return 0;
}

std::string ids(const std::vector<base::BrokerId>& brokers) {
    std::string text;
    for (const auto id : brokers) text += (text.empty() ? "" : ",") + std::to_string(id.value());
    return text;
}

std::string ids(std::set<base::BrokerId> brokers) {
    return ids(std::vector<base::BrokerId>(brokers.begin(), brokers.end()));
}

struct Moving {
    std::set<base::BrokerId> adding;
    std::set<base::BrokerId> removing;
};

std::map<base::TopicPartition, Moving> reassignments(Cluster& cluster) {
    std::map<base::TopicPartition, Moving> found;
    protocol::ListPartitionReassignmentsRequest request;
    const auto answer =
        cluster.call<protocol::ListPartitionReassignmentsApi,
                     protocol::ListPartitionReassignmentsResponse>(cluster.controller(), request);
    if (!answer) return found;  // Older brokers, or no right to ask: shown without.
    for (const auto& topic : (*answer)->topics) {
        for (const auto& partition : topic.partitions) {
            auto& moving = found[{topic.name.str(), partition.partition_index}];
            moving.adding = {partition.adding_replicas.begin(), partition.adding_replicas.end()};
            moving.removing = {partition.removing_replicas.begin(),
                               partition.removing_replicas.end()};
        }
    }
    return found;
}

// The eligible leader replicas, as "1,2", and those last known.
struct Eligible {
    std::string now = "N/A";
    std::string last_known = "N/A";
};

// From brokers that know DescribeTopicPartitions; for the others there is nothing to say.
std::map<base::TopicPartition, Eligible> eligible_leaders(Cluster& cluster,
                                                          const std::vector<std::string>& topics) {
    std::map<base::TopicPartition, Eligible> found;
    protocol::DescribeTopicPartitionsRequest request;
    for (const auto& topic : topics) request.topics.emplace_back().name = wire::Text(topic);
    while (!topics.empty()) {
        const auto answer =
            cluster.call<protocol::DescribeTopicPartitionsApi,
                         protocol::DescribeTopicPartitionsResponse>(cluster.any(), request);
        if (!answer) break;
        for (const auto& topic : (*answer)->topics) {
            for (const auto& partition : topic.partitions) {
                const auto text = [](const auto& replicas) {
                    return replicas ? ids(std::vector(replicas->begin(), replicas->end())) : "";
                };
                found[{topic.name->str(), partition.partition_index}] = {
                    text(partition.eligible_leader_replicas), text(partition.last_known_elr)};
            }
        }
        const auto& next = (*answer)->next_cursor;
        if (!next) break;
        protocol::DescribeTopicPartitionsRequest::Cursor cursor;
        cursor.topic_name = wire::Text(next->topic_name.str());
        cursor.partition_index = next->partition_index;
        request.cursor = cursor;
    }
    return found;
}

void print_partition(const TopicView& topic, const PartitionView& partition, const Moving* moving,
                     const Eligible& eligible) {
    std::cout << "\tTopic: " << topic.name << "\tPartition: " << partition.index.value()
              << "\tLeader: ";
    if (partition.leader.value() >= 0) {
        std::cout << partition.leader.value();
    } else {
        std::cout << "none";
    }
    std::cout << "\tReplicas: " << ids(partition.replicas) << "\tIsr: " << ids(partition.isr)
              << "\tElr: " << eligible.now << "\tLastKnownElr: " << eligible.last_known;
    if (moving)
        std::cout << "\tAdding Replicas: " << ids(moving->adding)
                  << "\tRemoving Replicas: " << ids(moving->removing);
    std::cout << "\n";
}

int describe(Cluster& cluster, const Options& options) {
    const auto topics = chosen(cluster, options, true);
    const bool only_some =
        options.has("under-replicated-partitions") || options.has("unavailable-partitions") ||
        options.has("under-min-isr-partitions") || options.has("at-min-isr-partitions");
    std::vector<std::string> names;
    for (const auto& topic : topics) names.push_back(topic.name);
    const auto configs = need(describe_configs(cluster, ResourceType::topic, names, false));
    const auto moving =
        topics.empty() ? std::map<base::TopicPartition, Moving>() : reassignments(cluster);
    auto eligible = eligible_leaders(cluster, names);

    for (const auto& topic : topics) {
        std::string overrides;
        std::size_t min_isr = 1;
        if (const auto found = configs.find(topic.name); found != configs.end()) {
            for (const auto& entry : found->second) {
                if (entry.name == "min.insync.replicas") {
                    min_isr =
                        static_cast<std::size_t>(to_integer(entry.value.value_or("1")).value_or(1));
                }
                if (entry.source == ConfigSource::default_config) continue;
                overrides +=
                    (overrides.empty() ? "" : ",") + entry.name + "=" + entry.value.value_or("");
            }
        }
        if (options.has("topics-with-overrides") && overrides.empty()) continue;
        if (!only_some) {
            const auto factor =
                topic.partitions.empty() ? 0 : topic.partitions.front().replicas.size();
            std::cout << "Topic: " << topic.name << "\tTopicId: " << to_string(topic.id)
                      << "\tPartitionCount: " << topic.partitions.size()
                      << "\tReplicationFactor: " << factor << "\tConfigs: " << overrides << "\n";
        }
        if (options.has("topics-with-overrides")) continue;
        for (const auto& partition : topic.partitions) {
            const auto found = moving.find({topic.name, partition.index});
            const auto* moves = found == moving.end() ? nullptr : &found->second;
            const auto target = partition.replicas.size() - (moves ? moves->adding.size() : 0);
            const bool shown =
                !only_some ||
                (options.has("under-replicated-partitions") && partition.isr.size() < target) ||
                (options.has("unavailable-partitions") && partition.leader.value() < 0) ||
                (options.has("under-min-isr-partitions") && partition.isr.size() < min_isr) ||
                (options.has("at-min-isr-partitions") && partition.isr.size() == min_isr);
            if (shown)
                print_partition(topic, partition, moves, eligible[{topic.name, partition.index}]);
        }
    }
    return 0;
}

int alter(Cluster& cluster, const Options& options) {
    options.required("topic");
    const auto topics = chosen(cluster, options, true);
    const auto partitions = options.integer("partitions");
    if (!partitions) throw UsageError("Missing required argument \"[partitions]\"");
    protocol::CreatePartitionsRequest request;
    request.timeout_ms = request_timeout_ms;
    for (const auto& topic : topics) {
        if (topic.is_internal) {
            throw ToolError("The number of partitions for the internal topic " + topic.name +
                            " may not be changed here");
        }
        auto& asked = request.topics.emplace_back();
        asked.name = wire::Text(topic.name);
        asked.count = static_cast<std::int32_t>(*partitions);
        asked.assignments.reset();
        if (const auto text = options.get("replica-assignment")) {
            auto all = parse_assignment(*text);
            asked.assignments.emplace();
            for (std::size_t at = topic.partitions.size(); at < all.size(); ++at) {
                asked.assignments->emplace_back().broker_ids = std::move(all[at]);
            }
        }
    }
    if (request.topics.empty()) return 0;
    need(cluster.retry([&]() -> ClientResult<void> {
        const auto answer =
            cluster.call<protocol::CreatePartitionsApi, protocol::CreatePartitionsResponse>(
                cluster.controller(), request);
        if (!answer) return base::Unexpected(answer.error());
        for (const auto& each : (*answer)->results) {
            if (each.error_code != ErrorCode::none) {
                return base::Unexpected(
                    refused(each.error_code, each.error_message ? each.error_message->str() : ""));
            }
        }
        return {};
    }));
    return 0;
}

int remove(Cluster& cluster, const Options& options) {
    options.required("topic");
    protocol::DeleteTopicsRequest request;
    request.timeout_ms = request_timeout_ms;
    for (const auto& topic : chosen(cluster, options, true)) {
        request.topics.emplace_back().name = wire::Text(topic.name);
        request.topic_names.emplace_back(topic.name);
    }
    if (request.topics.empty()) return 0;
    need(cluster.retry([&]() -> ClientResult<void> {
        const auto answer = cluster.call<protocol::DeleteTopicsApi, protocol::DeleteTopicsResponse>(
            cluster.controller(), request);
        if (!answer) return base::Unexpected(answer.error());
        for (const auto& each : (*answer)->responses) {
            if (each.error_code != ErrorCode::none) {
                return base::Unexpected(
                    refused(each.error_code, each.error_message ? each.error_message->str() : ""));
            }
        }
        return {};
    }));
    return 0;
}

// Faults: UsageError for options that do not go together.
void check(const Options& options) {
    const auto actions = {"list", "create", "delete", "alter", "describe"};
    const auto count =
        std::ranges::count_if(actions, [&](const char* name) { return options.has(name); });
    if (count != 1) {
        throw UsageError(
            "Command must include exactly one action: --list, --describe, --create, --alter or "
            "--delete");
    }
    const bool by_zookeeper = options.has("zookeeper");
    if (options.has("bootstrap-server") == by_zookeeper) {
        throw UsageError("--bootstrap-server must be specified, or --zookeeper");
    }
    const auto forbid = [&](const char* name, std::initializer_list<const char*> allowed) {
        const bool is_fine =
            !options.has(name) ||
            std::ranges::any_of(allowed, [&](const char* action) { return options.has(action); });
        if (is_fine) return;
        std::string action;
        for (const char* each : actions) {
            if (options.has(each)) action = each;
        }
        throw UsageError("Option \"[" + std::string(name) + "]\" can't be used with option \"[" +
                         action + "]\"");
    };
    if (by_zookeeper) {
        forbid("config", {"create", "alter"});
        forbid("delete-config", {"alter"});
    } else {
        forbid("config", {"create"});
        forbid("delete-config", {});
    }
    forbid("replication-factor", {"create"});
    forbid("replica-assignment", {"create", "alter"});
    forbid("partitions", {"create", "alter"});
    forbid("if-not-exists", {"create"});
    forbid("if-exists", {"alter", "delete", "describe"});
    forbid("under-replicated-partitions", {"describe"});
    forbid("unavailable-partitions", {"describe"});
    forbid("under-min-isr-partitions", {"describe"});
    forbid("at-min-isr-partitions", {"describe"});
    forbid("topics-with-overrides", {"describe"});
    if (options.has("replica-assignment") && options.has("create") &&
        (options.has("partitions") || options.has("replication-factor"))) {
        throw UsageError(
            "Option \"[replica-assignment]\" can't be used with option \"[partitions]\"");
    }
}

}  // namespace

int run_topics(const Words& words) {
    Options options("This tool helps to create, delete, describe, or change a topic.");
    declare(options);
    return run_tool(options, words, [&] {
        check(options);
        if (options.has("create") || options.has("alter") || options.has("delete"))
            options.required("topic");
        try {
            if (options.has("zookeeper")) return run_zk_topics(options);
            Cluster cluster(settings_of(options, "milena-topics"));
            if (options.has("create")) return create(cluster, options);
            if (options.has("alter")) return alter(cluster, options);
            if (options.has("delete")) return remove(cluster, options);
            if (options.has("describe")) return describe(cluster, options);
            return list(cluster, options);
        } catch (const ToolError& error) {
            std::cout << "Error while executing topic command : " << error.what() << std::endl;
            print_error((error.kind().empty() ? "" : error.kind() + ": ") + error.what() + "\n",
                        tool_class);
            return 1;
        }
    });
}

}  // namespace broker
