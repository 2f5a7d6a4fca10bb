// milena delete-records: kafka-delete-records.sh.

#include "protocol/schema/api/delete_records.h"

#include "broker/tools/admin.h"
#include "broker/tools/commands.h"

#include <iostream>
#include <nlohmann/json.hpp>
#include <set>

namespace broker {
namespace {

using protocol::ErrorCode;

// {"partitions":[{"topic":"t","partition":0,"offset":3}],"version":1}
std::map<base::TopicPartition, base::Offset> parse_offsets(const std::string& text) {
    const auto document = nlohmann::json::parse(text, nullptr, false);
    if (document.is_discarded()) throw ToolError("The input string is not a valid JSON");
    if (const auto version = document.find("version"); version != document.end() && *version != 1) {
        throw ToolError("Not supported version field value " + version->dump());
    }
    const auto partitions = document.find("partitions");
    if (partitions == document.end() || !partitions->is_array())
        throw ToolError("Missing partitions field");
    std::map<base::TopicPartition, base::Offset> offsets;
    for (const auto& each : *partitions) {
        const bool is_whole = each.is_object() && each.contains("topic") &&
                              each["topic"].is_string() && each.contains("partition") &&
                              each["partition"].is_number_integer() && each.contains("offset") &&
                              each["offset"].is_number_integer();
        if (!is_whole)
            throw ToolError("each of the partitions needs topic, partition and offset: " +
                            each.dump());
        const base::TopicPartition at{each["topic"].get<std::string>(),
                                      base::PartitionIndex(each["partition"].get<std::int32_t>())};
        if (!offsets.emplace(at, base::Offset(each["offset"].get<std::int64_t>())).second) {
            throw ToolError("Offset json file contains duplicate topic partitions: " + at.topic +
                            "-" + std::to_string(at.partition.value()));
        }
    }
    return offsets;
}

int remove(const Options& options) {
    const auto wanted = parse_offsets(read_file(options.required("offset-json-file")));
    Cluster cluster(settings_of(options, "milena-delete-records"));
    std::set<std::string> topics;
    for (const auto& [at, offset] : wanted) topics.insert(at.topic);
    std::cout << "Executing records delete operation" << std::endl;

    std::map<base::TopicPartition, std::string> results;
    auto left = wanted;
    const auto attempt = [&]() -> ClientResult<void> {
        const auto refreshed =
            cluster.refresh(std::vector<std::string>(topics.begin(), topics.end()));
        if (!refreshed) return refreshed;
        std::map<base::BrokerId, protocol::DeleteRecordsRequest> requests;
        std::optional<ClientFault> fault;
        for (const auto& [at, offset] : left) {
            base::BrokerId leader(-1);
            if (const auto topic = cluster.view().topics.find(at.topic);
                topic != cluster.view().topics.end()) {
                for (const auto& partition : topic->second.partitions) {
                    if (partition.index == at.partition) leader = partition.leader;
                }
            }
            if (leader.value() < 0) {
                fault = refused(ErrorCode::unknown_topic_or_partition);
                results[at] = "error: " + qualified(*fault);
                continue;
            }
            auto& request = requests[leader];
            request.timeout_ms =
                static_cast<std::int32_t>(cluster.settings().request_timeout.count());
            if (request.topics.empty() || request.topics.back().name != at.topic) {
                request.topics.emplace_back().name = wire::Text(at.topic);
            }
            auto& asked = request.topics.back().partitions.emplace_back();
            asked.partition_index = at.partition;
            asked.offset = offset;
        }
        for (const auto& [leader, request] : requests) {
            const auto answer =
                cluster.call<protocol::DeleteRecordsApi, protocol::DeleteRecordsResponse>(
                    cluster.broker(leader), request);
            if (!answer) {
                fault = answer.error();
                continue;
            }
            for (const auto& topic : (*answer)->topics) {
                for (const auto& partition : topic.partitions) {
                    const base::TopicPartition at{topic.name.str(), partition.partition_index};
                    if (partition.error_code == ErrorCode::none) {
                        results[at] =
                            "low_watermark: " + std::to_string(partition.low_watermark.value());
                    } else {
                        const auto refusal = refused(partition.error_code);
                        results[at] = "error: " + qualified(refusal);
                        if (may_heal(refusal)) fault = refusal;
                        if (may_heal(refusal)) continue;
                    }
                    left.erase(at);
                }
            }
        }
        if (fault) return base::Unexpected(std::move(*fault));
        return {};
    };
    const auto done = cluster.retry(attempt);
    if (!done && done.error().kind != ClientFault::Kind::refused) throw_fault(done.error());
    std::cout << "Records delete operation completed:\n";
    for (const auto& [at, result] : results) {
        std::cout << "partition: " << at.topic << "-" << at.partition.value() << "\t" << result
                  << "\n";
    }
    return 0;
}

}  // namespace

int run_delete_records(const Words& words) {
    Options options(
        "This tool helps to delete records of the given partitions down to the specified offset.");
    add_cluster_options(options);
    options.value(
        "offset-json-file", "file",
        R"({"partitions":[{"topic":"orders","partition":0,"offset":100}],"version":1}; offset -1: all)");
    return run_tool(options, words, [&] {
        options.required("bootstrap-server");
        return remove(options);
    });
}

}  // namespace broker
