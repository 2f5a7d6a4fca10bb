// milena broker-api-versions, cluster, log-dirs: what brokers say about themselves.

#include "broker/tools/admin.h"
#include "broker/tools/commands.h"
#include "protocol/schema/all_messages.h"
#include "protocol/schema/api/describe_cluster.h"
#include "protocol/schema/api/describe_log_dirs.h"

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <set>

namespace broker {
namespace {

using protocol::ErrorCode;

std::vector<Node> all_nodes(Cluster& cluster) {
    need(cluster.retry([&] { return cluster.refresh(std::vector<std::string>()); }));
    std::vector<Node> nodes;
    for (const auto& [id, node] : cluster.view().nodes) nodes.push_back(node);
    return nodes;
}

std::string range_text(std::int16_t least, std::int16_t most) {
    return least == most ? std::to_string(least)
                         : std::to_string(least) + " to " + std::to_string(most);
}

void print_versions(const Node& node, const std::map<std::int16_t, VersionRange>& versions) {
    std::cout << node.address.host << ":" << node.address.port << " (id: " << node.id.value()
              << " rack: " << node.rack.value_or("null") << ") -> (\n";
    std::vector<std::string> lines;
    std::set<std::int16_t> shown;
    for (const auto& api : protocol::all_apis()) {
        const auto theirs = versions.find(api.key);
        if (theirs == versions.end()) continue;
        shown.insert(api.key);
        const auto usable = std::min(theirs->second.most, api.version_max);
        const auto name = std::string(api.name) + "(" + std::to_string(api.key) + "): ";
        if (usable < std::max(theirs->second.least, api.version_min)) {
            lines.push_back(name + range_text(theirs->second.least, theirs->second.most) +
                            " [unusable: node too old or too new]");
        } else {
            lines.push_back(name + range_text(theirs->second.least, theirs->second.most) +
                            " [usable: " + std::to_string(usable) + "]");
        }
    }
    for (const auto& [key, range] : versions) {
        if (!shown.contains(key))
            lines.push_back("UNKNOWN(" + std::to_string(key) +
                            "): " + range_text(range.least, range.most));
    }
    for (const auto& line : lines)
        std::cout << "\t" << line << (&line == &lines.back() ? "\n" : ",\n");
    std::cout << ")\n";
}

int print_all_versions(const ClientSettings& settings) {
    Cluster cluster(settings);
    int code = 0;
    for (const auto& node : all_nodes(cluster)) {
        const auto connection = cluster.broker(node.id);
        if (connection) {
            print_versions(node, (*connection)->versions());
        } else {
            std::cout << to_string(node.address) << " (id: " << node.id.value()
                      << " rack: " << node.rack.value_or("null")
                      << ") -> ERROR: " << qualified(connection.error()) << "\n";
            code = 1;
        }
    }
    return code;
}

int list_end_points(Cluster& cluster) {
    protocol::DescribeClusterRequest request;
    const auto answer = need(cluster.retry([&] {
        return cluster.call<protocol::DescribeClusterApi, protocol::DescribeClusterResponse>(
            cluster.any(), request);
    }));
    if (answer->error_code != ErrorCode::none) throw_fault(refused(answer->error_code));
    std::vector<std::vector<std::string>> rows{{"ID", "HOST", "PORT", "RACK", "ENDPOINT_TYPE"}};
    for (const auto& broker : answer->brokers) {
        rows.push_back({std::to_string(broker.broker_id.value()), broker.host.str(),
                        std::to_string(broker.port), broker.rack ? broker.rack->str() : "null",
                        "broker"});
    }
    std::cout << table(rows, {10, 15, 10, 10, 15});
    return 0;
}

std::vector<base::BrokerId> wanted_brokers(Cluster& cluster, const Options& options) {
    std::set<std::int64_t> existing;
    for (const auto& node : all_nodes(cluster)) existing.insert(node.id.value());
    std::set<std::int64_t> wanted = existing;
    if (const auto list = options.get("broker-list"); list && !list->empty()) {
        wanted.clear();
        std::vector<std::string> missing;
        for (const auto& word : split(*list, ',')) {
            const auto id = to_integer(trim(word));
            if (!id) throw ToolError("cannot read the broker id " + word);
            wanted.insert(*id);
            if (!existing.contains(*id)) missing.push_back(std::to_string(*id));
        }
        if (!missing.empty()) {
            std::string there;
            for (const auto id : existing) there += (there.empty() ? "" : ",") + std::to_string(id);
            throw ToolError("ERROR: The given brokers do not exist from --broker-list: " +
                            join(missing, ",") + ". Current existent brokers: " + there);
        }
    }
    std::vector<base::BrokerId> brokers;
    for (const auto id : wanted) brokers.emplace_back(static_cast<std::int32_t>(id));
    return brokers;
}

int describe_log_dirs(const Options& options) {
    Cluster cluster(settings_of(options, "milena-log-dirs"));
    std::set<std::string> topics;
    if (const auto list = options.get("topic-list"); list && !list->empty()) {
        for (const auto& topic : split(*list, ',')) topics.insert(trim(topic));
    }
    const auto brokers = wanted_brokers(cluster, options);
    std::cout << "Querying brokers for log directories information" << std::endl;
    nlohmann::ordered_json document{{"brokers", nlohmann::ordered_json::array()}};
    std::vector<std::string> ids;
    for (const auto id : brokers) {
        ids.push_back(std::to_string(id.value()));
        protocol::DescribeLogDirsRequest request;
        request.topics.reset();
        const auto answer = need(cluster.retry([&] {
            return cluster.call<protocol::DescribeLogDirsApi, protocol::DescribeLogDirsResponse>(
                cluster.broker(id), request);
        }));
        if (answer->error_code != ErrorCode::none) throw_fault(refused(answer->error_code));
        nlohmann::ordered_json directories = nlohmann::ordered_json::array();
        for (const auto& directory : answer->results) {
            nlohmann::ordered_json partitions = nlohmann::ordered_json::array();
            for (const auto& topic : directory.topics) {
                if (!topics.empty() && !topics.contains(topic.name.str())) continue;
                for (const auto& partition : topic.partitions) {
                    partitions.push_back(
                        {{"partition", topic.name.str() + "-" +
                                           std::to_string(partition.partition_index.value())},
                         {"size", partition.partition_size},
                         {"offsetLag", partition.offset_lag},
                         {"isFuture", partition.is_future_key}});
                }
            }
            nlohmann::ordered_json error = nullptr;
            if (directory.error_code != ErrorCode::none)
                error = qualified(refused(directory.error_code));
            directories.push_back({{"partitions", partitions},
                                   {"error", error},
                                   {"logDir", directory.log_dir.str()}});
        }
        document["brokers"].push_back({{"broker", id.value()}, {"logDirs", directories}});
    }
    document["version"] = 1;
    std::cout << "Received log directory information from brokers " << join(ids, ",") << "\n"
              << document.dump() << "\n";
    return 0;
}

}  // namespace

int run_broker_api_versions(const Words& words) {
    Options options("This tool helps to retrieve broker version information.");
    add_cluster_options(options);
    return run_tool(options, words, [&] {
        return print_all_versions(settings_of(options, "milena-api-versions"));
    });
}

int run_cluster(const Words& words) {
    Options options(
        "milena cluster cluster-id | list-endpoints | api-versions --bootstrap-server HOST:PORT");
    options.positional("command", "cluster-id, list-endpoints or api-versions");
    options.value("bootstrap-server,b", "host:port,...", "The brokers to connect to first.");
    options.value("bootstrap-controller", "host:port",
                  "Not of this cluster: controllers are brokers.");
    options.value("command-config,config,c", "file", "Properties of the client.");
    options.flag("include-fenced-brokers", "Accepted: brokers that are not alive are not listed.");
    return run_tool(options, words, [&] {
        const auto command = options.get_or("command", "");
        if (command == "api-versions")
            return print_all_versions(settings_of(options, "milena-cluster"));
        if (command != "cluster-id" && command != "list-endpoints")
            throw UsageError("one of cluster-id, list-endpoints and api-versions is wanted");
        Cluster cluster(settings_of(options, "milena-cluster"));
        if (command == "list-endpoints") return list_end_points(cluster);
        need(cluster.retry([&] { return cluster.refresh(std::vector<std::string>()); }));
        if (cluster.view().cluster_id.empty()) {
            std::cout << "No cluster ID found. The Kafka version is probably too old.\n";
        } else {
            std::cout << "Cluster ID: " << cluster.view().cluster_id << "\n";
        }
        return 0;
    });
}

int run_log_dirs(const Words& words) {
    Options options("This tool helps to query log directory usage on the specified brokers.");
    add_cluster_options(options);
    options.flag("describe", "Describe the log directories.");
    options.value("topic-list", "t1,t2", "Only these topics.");
    options.value("broker-list", "0,1", "Only these brokers.");
    return run_tool(options, words, [&] {
        options.required("bootstrap-server");
        if (!options.has("describe")) throw UsageError("Missing required argument \"[describe]\"");
        return describe_log_dirs(options);
    });
}

}  // namespace broker
