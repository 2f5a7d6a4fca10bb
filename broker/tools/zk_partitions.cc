// milena reassign-partitions and preferred-replica-election: kafka-reassign-partitions.sh and
// kafka-preferred-replica-election.sh. What they do with --zookeeper, as in Kafka 0.8 to 2.8, is
// here: a znode with the wish, which the controller takes away when it is fulfilled.

#include "broker/tools/commands.h"
#include "broker/tools/leader_election.h"
#include "broker/tools/reassign_partitions.h"
#include "broker/tools/reassignment_json.h"
#include "broker/tools/tool.h"
#include "broker/tools/zk_kafka.h"

#include <algorithm>
#include <iostream>

namespace broker {
namespace {

using base::TopicPartition;
using znodes::Reassignments;

constexpr auto failure = "kafka.admin.TerseReassignmentFailureException";

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
    const auto topics =
        parse_topics_to_move(read_file(options.required("topics-to-move-json-file")));
    const auto brokers = parse_broker_list(options.required("broker-list"));
    Reassignments now;
    for (const auto& name : topics) {
        const auto topic = kafka.topic(name);
        if (!topic || topic->partitions.empty())
            throw ToolError("Topic " + name + " not found", failure);
        for (const auto& [index, replicas] : topic->partitions) now[{name, index}] = replicas;
    }
    std::vector<Seat> seats;
    for (const auto& [id, registration] : kafka.brokers()) {
        if (std::ranges::find(brokers, id) != brokers.end())
            seats.push_back({id, registration.rack});
    }
    leave_racks_out(seats, options);
    print_proposal(now, seats);
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
              << write_reassignment(now)
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
    add_cluster_options(options);
    options.value("zookeeper", "host:port", "The cluster's ZooKeeper, a chroot behind it.");
    options.flag("generate", "Propose an assignment.");
    options.flag("execute", "Begin a reassignment.");
    options.flag("verify", "Say how far it is, and lift the throttles when it is over.");
    options.flag("cancel", "Call a reassignment off.");
    options.flag("list", "All reassignments that are under way.");
    options.value("topics-to-move-json-file", "file",
                  "{\"topics\":[{\"topic\":\"t\"}],\"version\":1}");
    options.value("broker-list", "0,1,2", "The brokers that --generate may use.");
    options.value("reassignment-json-file", "file", "What --generate proposed.");
    options.value("throttle", "bytes", "Bytes a second of a broker that the moves may take.");
    options.value("replica-alter-log-dirs-throttle", "bytes",
                  "The same of moves between log directories.");
    options.value("timeout", "ms", "How long moves between log directories may take to begin.");
    options.flag("additional", "Beside reassignments that are under way.");
    options.flag("disable-rack-aware", "Place replicas as if brokers had no racks.");
    options.flag("disallow-replication-factor-change", "Refuse another number of replicas.");
    options.flag("preserve-throttles", "Leave throttles as they are.");
    return run_tool(options, words, [&] {
        const bool through_tree = options.has("zookeeper");
        const int actions = options.has("generate") + options.has("execute") +
                            options.has("verify") +
                            (through_tree ? 0 : options.has("cancel") + options.has("list"));
        if (actions != 1) {
            throw UsageError(
                "Command must include exactly one action: --generate, --execute, "
                "--verify" +
                std::string(through_tree ? "" : ", --cancel, --list"));
        }
        if (!through_tree) return reassign_through_brokers(options);
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
    add_cluster_options(options);
    options.value("zookeeper", "host:port", "The cluster's ZooKeeper, a chroot behind it.");
    options.value("path-to-json-file", "file",
                  "{\"partitions\":[{\"topic\":\"t\",\"partition\":0}]}; all partitions without.");
    return run_tool(options, words, [&] {
        if (!options.has("zookeeper")) return elect_preferred_leaders(options);
        ZkKafka kafka(options.required("zookeeper"));
        return elect(kafka, options);
    });
}

}  // namespace broker
