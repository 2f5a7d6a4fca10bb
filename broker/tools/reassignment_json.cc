#include "broker/tools/reassignment_json.h"

#include "broker/tools/tool.h"

#include <algorithm>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <random>
#include <utility>

namespace broker {

using Json = nlohmann::ordered_json;
using base::BrokerId;
using base::TopicPartition;

namespace {

constexpr auto failure = "kafka.admin.TerseReassignmentFailureException";
constexpr auto command_failure = "kafka.common.AdminCommandFailedException";

Json parse(const std::string& text) {
    auto document = Json::parse(text, nullptr, false);
    if (document.is_discarded() || !document.is_object())
        throw ToolError("The input string is not a valid JSON", command_failure);
    if (const auto version = document.find("version"); version != document.end() && *version != 1)
        throw ToolError("Not supported version field value " + version->dump(), command_failure);
    return document;
}

template <class Value>
Value value_of(const Json& entry, const char* name) {
    const auto found = entry.find(name);
    if (found == entry.end())
        throw ToolError("Missing " + std::string(name) + " in " + entry.dump(), command_failure);
    try {
        return found->get<Value>();
    } catch (const nlohmann::json::exception&) {
        throw ToolError("What " + std::string(name) + " is makes no sense in " + entry.dump(),
                        command_failure);
    }
}

}  // namespace

std::string text_of(const TopicPartition& at) {
    return at.topic + "-" + std::to_string(at.partition.value());
}

std::string text_of(const std::vector<BrokerId>& brokers) {
    std::string text;
    for (const auto id : brokers) text += (text.empty() ? "" : ",") + std::to_string(id.value());
    return text;
}

WantedReassignment parse_reassignment(const std::string& text) {
    WantedReassignment wanted;
    const auto document = parse(text);
    for (const auto& entry : document.value("partitions", Json::array())) {
        const TopicPartition at{value_of<std::string>(entry, "topic"),
                                base::PartitionIndex(value_of<std::int32_t>(entry, "partition"))};
        std::vector<BrokerId> replicas;
        for (const auto id : value_of<std::vector<std::int32_t>>(entry, "replicas"))
            replicas.emplace_back(id);
        const auto directories = entry.contains("log_dirs")
                                     ? value_of<std::vector<std::string>>(entry, "log_dirs")
                                     : std::vector<std::string>(replicas.size(), "any");
        if (directories.size() != replicas.size()) {
            throw ToolError("Size of replicas list " + std::to_string(replicas.size()) +
                                " is different from size of log dirs list " +
                                std::to_string(directories.size()) + " for partition " +
                                text_of(at),
                            command_failure);
        }
        auto sorted = replicas;
        std::ranges::sort(sorted);
        if (replicas.empty())
            throw ToolError("Partition replica lists may not be empty: " + text_of(at),
                            command_failure);
        if (std::ranges::adjacent_find(sorted) != sorted.end()) {
            throw ToolError("Partition replica lists may not contain duplicate entries: " +
                                text_of(at) + " contains multiple entries for " +
                                std::to_string(std::ranges::adjacent_find(sorted)->value()),
                            command_failure);
        }
        for (std::size_t i = 0; i < replicas.size(); ++i) {
            if (directories[i] != "any") wanted.directories[{at, replicas[i]}] = directories[i];
        }
        if (!wanted.replicas.emplace(at, std::move(replicas)).second) {
            throw ToolError(
                "Partition reassignment contains duplicate topic partitions: " + text_of(at),
                command_failure);
        }
    }
    if (wanted.replicas.empty())
        throw ToolError("Partition reassignment list cannot be empty", command_failure);
    return wanted;
}

std::vector<std::string> parse_topics_to_move(const std::string& text) {
    const auto document = parse(text);
    std::vector<std::string> topics;
    for (const auto& entry : document.value("topics", Json::array())) {
        auto name = value_of<std::string>(entry, "topic");
        if (std::ranges::find(topics, name) != topics.end()) {
            throw ToolError("List of topics to reassign contains duplicate entries: " + name,
                            command_failure);
        }
        topics.push_back(std::move(name));
    }
    if (topics.empty()) throw ToolError("There are no topics to reassign", failure);
    return topics;
}

std::string write_reassignment(const std::map<TopicPartition, std::vector<BrokerId>>& replicas,
                               const std::map<ReplicaPlace, std::string>& directories) {
    Json list = Json::array();
    for (const auto& [at, brokers] : replicas) {
        Json ids = Json::array();
        Json places = Json::array();
        for (const auto id : brokers) {
            ids.push_back(id.value());
            const auto place = directories.find({at, id});
            places.push_back(place == directories.end() ? "any" : place->second);
        }
        list.push_back({{"topic", at.topic},
                        {"partition", at.partition.value()},
                        {"replicas", ids},
                        {"log_dirs", places}});
    }
    return Json({{"version", 1}, {"partitions", list}}).dump();
}

void leave_racks_out(std::vector<Seat>& brokers, const Options& options) {
    if (options.has("disable-rack-aware")) {
        for (Seat& seat : brokers) seat.rack.reset();
    }
    if (has_racks_in_part(brokers)) {
        throw ToolError(
            "Not all brokers have rack information. Add --disable-rack-aware in command line to "
            "make replica assignment without rack information.",
            "org.apache.kafka.server.common.AdminOperationException");
    }
}

void print_proposal(const std::map<TopicPartition, std::vector<BrokerId>>& now,
                    const std::vector<Seat>& brokers) {
    std::map<TopicPartition, std::vector<BrokerId>> proposed;
    std::random_device random;
    for (auto first = now.begin(); first != now.end();) {
        const auto last = std::find_if(first, now.end(), [&](const auto& each) {
            return each.first.topic != first->first.topic;
        });
        const auto factor = first->second.size();
        if (factor > brokers.size()) {
            throw ToolError(
                "Replication factor: " + std::to_string(factor) +
                    " larger than available brokers: " + std::to_string(brokers.size()) + ".",
                "org.apache.kafka.common.errors.InvalidReplicationFactorException");
        }
        auto places = spread(static_cast<std::int32_t>(std::distance(first, last)),
                             static_cast<std::int16_t>(factor), brokers, random(), random());
        for (std::size_t next = 0; first != last; ++first)
            proposed[first->first] = std::move(places[next++]);
    }
    std::cout << "Current partition replica assignment\n"
              << write_reassignment(now) << "\n\nProposed partition reassignment configuration\n"
              << write_reassignment(proposed) << "\n";
}

std::vector<BrokerId> parse_broker_list(const std::string& text) {
    std::vector<BrokerId> brokers;
    for (const auto& word : split(text, ',')) {
        const auto id = to_integer(trim(word));
        if (!id) throw UsageError("--broker-list wants ids of brokers, not " + word);
        brokers.emplace_back(static_cast<std::int32_t>(*id));
    }
    std::ranges::sort(brokers);
    if (std::ranges::adjacent_find(brokers) != brokers.end())
        throw UsageError("--broker-list names a broker twice");
    return brokers;
}

}  // namespace broker
