// milena leader-election: kafka-leader-election.sh, and kafka-preferred-replica-election.sh where
// it is given --bootstrap-server.

#include "broker/tools/leader_election.h"

#include "broker/tools/admin.h"
#include "broker/tools/commands.h"
#include "broker/tools/reassignment_json.h"
#include "protocol/schema/api/elect_leaders.h"

#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

namespace broker {
namespace {

using base::TopicPartition;
using protocol::ElectLeadersRequest;
using protocol::ElectLeadersResponse;
using protocol::ErrorCode;

constexpr auto failure = "org.apache.kafka.server.common.AdminCommandFailedException";

using Wanted = std::optional<std::set<TopicPartition>>;

// {"partitions":[{"topic":"t","partition":0}]}
std::set<TopicPartition> parse_partitions(const std::string& text) {
    const auto document = nlohmann::json::parse(text, nullptr, false);
    if (document.is_discarded() || !document.is_object())
        throw ToolError("Replica election data is not a valid JSON", failure);
    std::set<TopicPartition> partitions;
    for (const auto& each : document.value("partitions", nlohmann::json::array())) {
        const bool is_whole = each.is_object() && each.contains("topic") &&
                              each["topic"].is_string() && each.contains("partition") &&
                              each["partition"].is_number_integer();
        if (!is_whole)
            throw ToolError("each of the partitions needs topic and partition: " + each.dump(),
                            failure);
        const TopicPartition at{each["topic"].get<std::string>(),
                                base::PartitionIndex(each["partition"].get<std::int32_t>())};
        if (!partitions.insert(at).second) {
            throw ToolError("Replica election data contains duplicate partitions: " + text_of(at),
                            failure);
        }
    }
    if (partitions.empty()) throw ToolError("Replica election data is empty", failure);
    return partitions;
}

std::string listed(const std::vector<TopicPartition>& partitions) {
    std::string text;
    for (const auto& at : partitions) text += (text.empty() ? "" : ", ") + text_of(at);
    return text;
}

struct Outcomes {
    std::vector<TopicPartition> elected;
    std::vector<TopicPartition> needless;
    std::vector<std::pair<TopicPartition, ClientFault>> failed;
};

ClientResult<Outcomes> ask(Cluster& cluster, const Wanted& wanted, ElectionType type) {
    ElectLeadersRequest request;
    request.election_type = static_cast<std::int8_t>(type);
    request.timeout_ms = static_cast<std::int32_t>(cluster.settings().request_timeout.count());
    if (wanted) {
        auto& topics = request.topic_partitions.emplace();
        for (const auto& at : *wanted) {
            if (topics.empty() || topics.back().topic != at.topic)
                topics.emplace_back().topic = wire::Text::borrowed(at.topic);
            topics.back().partitions.push_back(at.partition);
        }
    } else {
        request.topic_partitions.reset();
    }
    const auto answer = cluster.call<protocol::ElectLeadersApi, ElectLeadersResponse>(
        cluster.controller(), request);
    if (!answer) return base::Unexpected(answer.error());
    if ((*answer)->error_code != ErrorCode::none)
        return base::Unexpected(refused((*answer)->error_code));
    Outcomes outcomes;
    for (const auto& topic : (*answer)->replica_election_results) {
        for (const auto& result : topic.partition_result) {
            const TopicPartition at{topic.topic.str(), result.partition_id};
            if (result.error_code == ErrorCode::none) {
                outcomes.elected.push_back(at);
            } else if (result.error_code == ErrorCode::election_not_needed) {
                outcomes.needless.push_back(at);
            } else {
                auto fault = refused(result.error_code,
                                     result.error_message ? result.error_message->str() : "");
                // The controller has moved: ask the next one.
                if (result.error_code == ErrorCode::not_controller)
                    return base::Unexpected(std::move(fault));
                outcomes.failed.emplace_back(at, std::move(fault));
            }
        }
    }
    return outcomes;
}

int elect(Cluster& cluster, const Wanted& wanted, ElectionType type) {
    const std::string kind = type == ElectionType::preferred ? "PREFERRED" : "UNCLEAN";
    const auto attempt = [&]() -> ClientResult<Outcomes> {
        auto outcomes = ask(cluster, wanted, type);
        if (!outcomes && outcomes.error().code == ErrorCode::not_controller) cluster.forget_all();
        return outcomes;
    };
    const auto outcomes = need(cluster.retry(attempt));
    if (!outcomes.elected.empty()) {
        std::cout << "Successfully completed leader election (" << kind << ") for partitions "
                  << listed(outcomes.elected) << "\n";
    }
    if (!outcomes.needless.empty()) {
        std::cout << "Valid replica already elected for partitions " << listed(outcomes.needless)
                  << "\n";
    }
    for (const auto& [at, fault] : outcomes.failed) {
        std::cout << "Error completing leader election (" << kind
                  << ") for partition: " << text_of(at) << ": " << qualified(fault) << "\n";
    }
    if (!outcomes.failed.empty()) {
        std::cout << std::flush;
        throw ToolError(std::to_string(outcomes.failed.size()) + " replica(s) could not be elected",
                        failure);
    }
    return 0;
}

Wanted wanted_of(const Options& options) {
    const int ways = options.has("all-topic-partitions") + options.has("topic") +
                     options.has("path-to-json-file");
    if (ways != 1) {
        throw UsageError(
            "One and only one of the following options is required: all-topic-partitions, topic, "
            "path-to-json-file");
    }
    const auto partition = options.integer("partition");
    if (options.has("topic") && !partition) throw UsageError("Missing required option partition");
    if (!options.has("topic") && partition)
        throw UsageError("Option partition is only allowed if topic is used");
    if (options.has("all-topic-partitions")) return std::nullopt;
    if (const auto file = options.get("path-to-json-file"))
        return parse_partitions(read_file(*file));
    return std::set<TopicPartition>{
        {*options.get("topic"), base::PartitionIndex(static_cast<std::int32_t>(*partition))}};
}

}  // namespace

int elect_preferred_leaders(const Options& options) {
    Wanted wanted;
    if (const auto file = options.get("path-to-json-file"))
        wanted = parse_partitions(read_file(*file));
    Cluster cluster(settings_of(options, "milena-preferred-replica-election"));
    return elect(cluster, wanted, ElectionType::preferred);
}

int run_leader_election(const Words& words) {
    Options options(
        "This tool attempts to elect a new leader for a set of topic partitions. The type of "
        "elections supported are preferred replicas and unclean replicas.");
    options.value("bootstrap-server", "host:port,...", "The brokers to connect to first.");
    options.value("command-config,admin.config", "file", "Properties of the client.");
    options.value("election-type", "preferred|unclean",
                  "preferred: only where the leader is not the first replica. unclean: only where "
                  "there is no leader.");
    options.value("topic", "name", "With --partition: that one alone.");
    options.value("partition", "number", "Of the --topic.");
    options.flag("all-topic-partitions", "All there are.");
    options.value("path-to-json-file", "file", R"({"partitions":[{"topic":"t","partition":0}]})");
    return run_tool(options, words, [&] {
        options.required("bootstrap-server");
        if (!options.has("election-type"))
            throw UsageError("Missing required option(s): election-type");
        const auto type = *options.get("election-type");
        const bool is_known =
            type == "preferred" || type == "PREFERRED" || type == "unclean" || type == "UNCLEAN";
        if (!is_known) throw UsageError("--election-type is preferred or unclean, not " + type);
        const auto wanted = wanted_of(options);
        Cluster cluster(settings_of(options, "milena-leader-election"));
        return elect(cluster, wanted,
                     type.starts_with('p') || type.starts_with('P') ? ElectionType::preferred
                                                                    : ElectionType::unclean);
    });
}

}  // namespace broker
