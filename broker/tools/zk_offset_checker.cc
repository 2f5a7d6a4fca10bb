// milena consumer-offset-checker: kafka-consumer-offset-checker.sh of 0.8: how far the consumers
// of a group that keeps its offsets in ZooKeeper have come.

#include "broker/client/fetcher.h"
#include "broker/tools/commands.h"
#include "broker/tools/tool.h"
#include "broker/tools/zk_kafka.h"

#include <cstdio>
#include <iostream>
#include <set>

namespace broker {
namespace {

std::string row(const std::vector<std::string>& cells) {
    char line[512];
    std::snprintf(line, sizeof line, "%-15s %-30s %-3s %-15s %-15s %-15s %s", cells[0].c_str(),
                  cells[1].c_str(), cells[2].c_str(), cells[3].c_str(), cells[4].c_str(),
                  cells[5].c_str(), cells[6].c_str());
    return line;
}

std::vector<std::string> topics_of(ZkKafka& kafka, const Options& options,
                                   const std::string& group) {
    if (const auto list = options.get("topic")) return split(*list, ',');
    std::set<std::string> topics;
    for (const char* const folder : {"/owners", "/offsets"}) {
        for (auto& name : kafka.children(group + folder)) topics.insert(std::move(name));
    }
    return {topics.begin(), topics.end()};
}

int check(const Options& options) {
    const auto name = options.required("group");
    ZkKafka kafka(options.required("zookeeper"));
    const std::string group = std::string(znodes::path::consumers) + "/" + name;
    const auto topics = topics_of(kafka, options, group);
    Cluster cluster(client_settings(kafka.bootstrap(), {}, "consumer-offset-checker"));
    need(cluster.retry([&] { return cluster.refresh(topics); }));
    std::map<base::TopicPartition, std::int64_t> times;
    for (const auto& topic : topics) {
        const auto assignment = kafka.topic(topic);
        if (!assignment) continue;
        for (const auto& [index, replicas] : assignment->partitions) {
            times[{topic, index}] = latest_timestamp;
        }
    }
    const auto ends = need(list_offsets(cluster, times, false));
    std::cout << row({"Group", "Topic", "Pid", "Offset", "logSize", "Lag", "Owner"}) << "\n";
    for (const auto& [partition, time] : times) {
        const auto at = "/" + partition.topic + "/" + std::to_string(partition.partition.value());
        const auto text = kafka.get(group + "/offsets" + at);
        const std::int64_t offset = text ? to_integer(*text).value_or(-1) : -1;
        const auto end = ends.find(partition);
        const bool has_end = end != ends.end() && end->second.error == protocol::ErrorCode::none;
        const std::int64_t size = has_end ? end->second.offset.value() : -1;
        std::cout << row({name, partition.topic, std::to_string(partition.partition.value()),
                          offset < 0 ? "unknown" : std::to_string(offset),
                          size < 0 ? "unknown" : std::to_string(size),
                          offset < 0 || size < 0 ? "unknown" : std::to_string(size - offset),
                          kafka.get(group + "/owners" + at).value_or("none")})
                  << "\n";
    }
    if (options.has("broker-info")) {
        std::cout << "BROKER INFO\n";
        for (const auto& [id, broker] : kafka.brokers()) {
            if (broker.endpoints.empty()) continue;
            std::cout << id.value() << " -> " << broker.endpoints[0].host << ":"
                      << broker.endpoints[0].port << "\n";
        }
    }
    return 0;
}

}  // namespace

int run_consumer_offset_checker(const Words& words) {
    Options options("Check the offset of your consumers.");
    options.value("zookeeper", "host:port", "The cluster's ZooKeeper, a chroot behind it.");
    options.value("group", "id", "The consumer group.");
    options.value("topic", "t1,t2", "Its topics; all of them without.");
    options.flag("broker-info", "Show the brokers too.");
    options.value("socket.timeout.ms,retry.backoff.ms", "ms", "Accepted.");
    return run_tool(options, words, [&] { return check(options); });
}

}  // namespace broker
