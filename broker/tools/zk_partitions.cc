// milena reassign-partitions and preferred-replica-election: kafka-reassign-partitions.sh and
// kafka-preferred-replica-election.sh --zookeeper, as in Kafka 0.8 to 2.8: a znode with the
// wish, which the controller takes away when it is fulfilled.

#include "broker/cluster/topic_rules.h"
#include "broker/tools/commands.h"
#include "broker/tools/tool.h"
#include "broker/tools/zk_kafka.h"

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <random>

namespace broker {
namespace {

using Json = nlohmann::ordered_json;
using base::TopicPartition;
using znodes::Reassignments;

constexpr auto failure = "kafka.admin.TerseReassignmentFailureException";

std::string text_of(const TopicPartition& partition) {
    return partition.topic + "-" + std::to_string(partition.partition.value());
}

std::string text_of(const std::vector<base::BrokerId>& brokers) {
    std::string text;
    for (const auto id : brokers) text += (text.empty() ? "" : ",") + std::to_string(id.value());
    return text;
}

// As Kafka prints it, to be given back to --execute one day.
std::string written(const Reassignments& partitions) {
    Json list = Json::array();
    for (const auto& [partition, replicas] : partitions) {
        Json ids = Json::array();
        Json directories = Json::array();
        for (const auto id : replicas) {
            ids.push_back(id.value());
            directories.push_back("any");
        }
        list.push_back({{"topic", partition.topic},
                        {"partition", partition.partition.value()},
                        {"replicas", ids},
                        {"log_dirs", directories}});
    }
    return Json({{"version", 1}, {"partitions", list}}).dump();
}

// The partitions' replicas now. Faults: ToolError for what is not there.
Reassignments current(ZkKafka& kafka, const Reassignments& partitions) {
    Reassignments found;
    std::map<std::string, znodes::TopicAssignment> topics;
    for (const auto& [partition, replicas] : partitions) {
        if (!topics.contains(partition.topic)) {
            auto topic = kafka.topic(partition.topic);
            topics[partition.topic] = topic ? std::move(*topic) : znodes::TopicAssignment();
        }
        const auto& known = topics[partition.topic].partitions;
        const auto at = known.find(partition.partition);
        if (at == known.end()) {
            throw ToolError(
                "The proposed assignment contains non-existent partitions: " + text_of(partition),
                failure);
        }
        found[partition] = at->second;
    }
    return found;
}

Reassignments read_wish(const Options& options) {
    const auto file = options.required("reassignment-json-file");
    auto wish = znodes::parse_reassignments(read_file(file));
    if (!wish || wish->empty()) {
        throw ToolError("Partition reassignment list cannot be empty: " + file, failure);
    }
    return *wish;
}

int generate(ZkKafka& kafka, const Options& options) {
    const auto file = options.required("topics-to-move-json-file");
    const auto json = nlohmann::json::parse(read_file(file), nullptr, false);
    std::vector<base::BrokerId> brokers;
    for (const auto& word : split(options.required("broker-list"), ',')) {
        const auto id = to_integer(trim(word));
        if (!id) throw UsageError("--broker-list wants ids of brokers, not " + word);
        brokers.emplace_back(static_cast<std::int32_t>(*id));
    }
    std::ranges::sort(brokers);
    if (!json.is_object() || !json.contains("topics") || !json["topics"].is_array()) {
        throw ToolError(file + " does not hold {\"topics\":[{\"topic\":...}],\"version\":1}");
    }
    Reassignments now;
    Reassignments proposed;
    for (const auto& entry : json["topics"]) {
        const auto name = entry.is_object() ? entry.value("topic", "") : "";
        const auto topic = kafka.topic(name);
        if (!topic || topic->partitions.empty()) {
            throw ToolError("Topic " + name + " not found", failure);
        }
        const auto factor = topic->partitions.begin()->second.size();
        if (factor > brokers.size()) {
            throw ToolError(
                "Replication factor: " + std::to_string(factor) +
                    " larger than available brokers: " + std::to_string(brokers.size()) + ".",
                "org.apache.kafka.common.errors.InvalidReplicationFactorException");
        }
        std::random_device random;
        const auto spread_out =
            spread(static_cast<std::int32_t>(topic->partitions.size()),
                   static_cast<std::int16_t>(factor), brokers, random(), random());
        std::size_t at = 0;
        for (const auto& [index, replicas] : topic->partitions) {
            now[{name, index}] = replicas;
            proposed[{name, index}] = spread_out[at++];
        }
    }
    std::cout << "Current partition replica assignment\n"
              << written(now) << "\n\nProposed partition reassignment configuration\n"
              << written(proposed) << "\n";
    return 0;
}

int execute(ZkKafka& kafka, const Options& options) {
    const auto wish = read_wish(options);
    const auto now = current(kafka, wish);
    const auto alive = kafka.broker_ids();
    for (const auto& [partition, replicas] : wish) {
        for (const auto id : replicas) {
            if (std::ranges::find(alive, id) == alive.end()) {
                throw ToolError("Unknown broker id " + std::to_string(id.value()), failure);
            }
        }
        auto sorted = replicas;
        std::ranges::sort(sorted);
        if (replicas.empty() || std::ranges::adjacent_find(sorted) != sorted.end()) {
            throw ToolError(
                "Partition replica lists may not be empty or contain duplicate "
                "entries: " +
                    text_of(partition),
                failure);
        }
    }
    std::cout << "Current partition replica assignment\n\n"
              << written(now)
              << "\n\nSave this to use as the --reassignment-json-file option during rollback\n";
    if (!kafka.create(std::string(znodes::path::reassign_partitions),
                      znodes::write_reassignments(wish))) {
        throw ToolError("Cannot execute because there is an existing partition assignment.",
                        failure);
    }
    std::string names;
    for (const auto& [partition, replicas] : wish) {
        names += (names.empty() ? "" : ",") + text_of(partition);
    }
    std::cout << "Successfully started partition reassignment" << (wish.size() > 1 ? "s" : "")
              << " for " << names << "\n";
    return 0;
}

int verify(ZkKafka& kafka, const Options& options) {
    std::cout << "Warning: because you are using the deprecated --zookeeper option, the results "
                 "may be incomplete.  Use --bootstrap-server instead for more accurate results.\n"
                 "Status of partition reassignment:\n";
    const auto wish = read_wish(options);
    const auto text = kafka.get(std::string(znodes::path::reassign_partitions));
    const auto running = text ? znodes::parse_reassignments(*text) : std::nullopt;
    const auto now = current(kafka, wish);
    for (const auto& [partition, replicas] : wish) {
        const auto& have = now.at(partition);
        if (running && running->contains(partition)) {
            std::cout << "Reassignment of partition " << text_of(partition)
                      << " is still in progress.\n";
        } else if (have == replicas) {
            std::cout << "Reassignment of partition " << text_of(partition) << " is complete.\n";
        } else {
            std::cout << "There is no active reassignment of partition " << text_of(partition)
                      << ", but replica set is " << text_of(have) << " rather than "
                      << text_of(replicas) << ".\n";
        }
    }
    return 0;
}

// Those of a file like {"partitions":[{"topic":"t","partition":0}]}, or all there are.
std::vector<TopicPartition> to_elect(ZkKafka& kafka, const Options& options) {
    std::vector<TopicPartition> partitions;
    if (const auto file = options.get("path-to-json-file")) {
        const auto read = znodes::parse_partitions(read_file(*file));
        if (!read || read->empty()) {
            throw ToolError("Preferred replica election data is empty: " + *file,
                            "kafka.admin.AdminOperationException");
        }
        return *read;
    }
    for (const auto& name : kafka.topics()) {
        const auto topic = kafka.topic(name);
        if (!topic) continue;
        for (const auto& [index, replicas] : topic->partitions) partitions.push_back({name, index});
    }
    return partitions;
}

int elect(ZkKafka& kafka, const Options& options) {
    std::string with;
    std::string set;
    const auto partitions = to_elect(kafka, options);
    for (const auto& partition : partitions) {
        with += (with.empty() ? "" : ",") + text_of(partition);
        set += (set.empty() ? "" : ", ") + text_of(partition);
    }
    if (!kafka.create(std::string(znodes::path::preferred_replica_election),
                      znodes::write_partitions(partitions))) {
        throw ToolError(
            "Preferred replica leader election currently in progress. Aborting operation",
            "kafka.common.AdminCommandFailedException");
    }
    std::cout << "Created preferred replica election path with " << with
              << "\nSuccessfully started preferred replica election for partitions Set(" << set
              << ")\n";
    return 0;
}

}  // namespace

int run_reassign_partitions(const Words& words) {
    Options options("This tool helps to move topic partitions between replicas.");
    options.value("zookeeper", "host:port", "The cluster's ZooKeeper, a chroot behind it.");
    options.flag("generate", "Propose an assignment.");
    options.flag("execute", "Begin a reassignment.");
    options.flag("verify", "Say how far it is.");
    options.value("topics-to-move-json-file", "file",
                  "{\"topics\":[{\"topic\":\"t\"}],\"version\":1}");
    options.value("broker-list", "0,1,2", "The brokers that --generate may use.");
    options.value("reassignment-json-file", "file", "What --generate proposed.");
    options.flag("disable-rack-aware", "Accepted: racks are not looked at.");
    options.flag("preserve-throttles", "Accepted: there are none.");
    return run_tool(options, words, [&] {
        const int actions =
            options.has("generate") + options.has("execute") + options.has("verify");
        if (actions != 1) {
            throw UsageError(
                "Command must include exactly one action: --generate, --execute, --verify");
        }
        ZkKafka kafka(options.required("zookeeper"));
        std::cout << "Warning: --zookeeper is deprecated, and will be removed in a future version "
                     "of Kafka.\n";
        if (options.has("generate")) return generate(kafka, options);
        return options.has("execute") ? execute(kafka, options) : verify(kafka, options);
    });
}

int run_preferred_replica_election(const Words& words) {
    Options options(
        "This tool helps to cause leadership for each partition to be transferred back to the "
        "'preferred replica'.");
    options.value("zookeeper", "host:port", "The cluster's ZooKeeper, a chroot behind it.");
    options.value("path-to-json-file", "file",
                  "{\"partitions\":[{\"topic\":\"t\",\"partition\":0}]}; all partitions without.");
    return run_tool(options, words, [&] {
        ZkKafka kafka(options.required("zookeeper"));
        return elect(kafka, options);
    });
}

}  // namespace broker
