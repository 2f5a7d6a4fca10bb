// milena get-offsets: kafka-get-offsets.sh, and GetOffsetShell before it.

#include "broker/client/fetcher.h"
#include "broker/tools/admin.h"
#include "broker/tools/commands.h"

#include <algorithm>
#include <iostream>
#include <set>

namespace broker {
namespace {

using protocol::ErrorCode;

std::int64_t parse_time(const std::string& text) {
    static const std::map<std::string, std::int64_t> names = {
        {"latest", latest_timestamp},
        {"earliest", earliest_timestamp},
        {"max-timestamp", max_timestamp_timestamp},
        {"earliest-local", earliest_local_timestamp},
        {"latest-tiered", latest_tiered_timestamp},
    };
    if (const auto named = names.find(text); named != names.end()) return named->second;
    if (const auto number = to_integer(text)) return *number;
    throw ToolError(
        "Malformed time argument " + text +
        ". Please use -1 or latest / -2 or earliest / -3 or max-timestamp / -4 or earliest-local / "
        "-5 or latest-tiered, or a specified long format timestamp");
}

// `topic`, `topic:3`, `topic:1-3` (3 excluded), `topic:-3`, `:2`, and so on.
struct Rule {
    TopicFilter topic;
    std::int64_t from = 0;
    std::optional<std::int64_t> until;

    bool matches(const std::string& name, std::int64_t partition) const {
        return topic.matches(name) && partition >= from && (!until || partition < *until);
    }
};

Rule parse_rule(const std::string& text) {
    const auto invalid = [&] { return ToolError("Invalid rule specification: " + text); };
    const auto colon = text.find(':');
    const auto name = text.substr(0, colon);
    Rule rule{TopicFilter(name.empty() ? ".*" : name), 0, {}};
    if (colon == std::string::npos) return rule;
    const auto range = text.substr(colon + 1);
    if (range.empty()) return rule;
    const auto dash = range.find('-');
    const auto first = range.substr(0, dash);
    if (!first.empty()) {
        const auto number = to_integer(first);
        if (!number) throw invalid();
        rule.from = *number;
    }
    if (dash == std::string::npos) {
        rule.until = rule.from + 1;
    } else if (const auto last = range.substr(dash + 1); !last.empty()) {
        rule.until = to_integer(last);
        if (!rule.until) throw invalid();
    }
    return rule;
}

std::vector<base::TopicPartition> chosen(Cluster& cluster, const Options& options) {
    std::vector<Rule> rules;
    if (const auto list = options.get("topic-partitions")) {
        if (options.has("topic") || options.has("partitions")) {
            throw ToolError("--topic-partitions cannot be used with --topic or --partitions");
        }
        for (const auto& text : split(*list, ',')) rules.push_back(parse_rule(text));
    }
    std::set<std::int64_t> partitions;
    if (const auto list = options.get("partitions")) {
        for (const auto& text : split(*list, ',')) {
            const auto number = to_integer(text);
            if (!number)
                throw ToolError(
                    "--partitions expects a comma separated list of numeric partition ids, but "
                    "received: " +
                    *list);
            partitions.insert(*number);
        }
    }
    if (rules.empty()) rules.push_back({TopicFilter(options.get_or("topic", ".*")), 0, {}});

    std::vector<base::TopicPartition> found;
    for (const auto& topic : need(all_topics(cluster))) {
        if (options.has("exclude-internal-topics") && is_internal_topic(topic.name)) continue;
        for (const auto& partition : topic.partitions) {
            const auto index = partition.index.value();
            if (!partitions.empty() && !partitions.contains(index)) continue;
            const bool is_meant = std::ranges::any_of(
                rules, [&](const Rule& rule) { return rule.matches(topic.name, index); });
            if (is_meant) found.push_back({topic.name, partition.index});
        }
    }
    if (found.empty())
        throw ToolError("Could not match any topic-partitions with the specified filters");
    return found;
}

int print_offsets(const Options& options) {
    const auto time = parse_time(options.get_or("time", "latest"));
    Cluster cluster(settings_of(options, "milena-get-offsets"));
    std::map<base::TopicPartition, std::int64_t> times;
    for (const auto& at : chosen(cluster, options)) times[at] = time;
    for (const auto& [at, offset] : need(list_offsets(cluster, times, false))) {
        if (offset.error != ErrorCode::none) {
            std::cerr << "Skip getting offsets for topic-partition " << at.topic << "-"
                      << at.partition.value()
                      << " due to error: " << protocol::error_sentence(offset.error) << "\n";
        } else if (offset.offset.value() >= 0) {
            std::cout << at.topic << ":" << at.partition.value() << ":" << offset.offset.value()
                      << "\n";
        }
    }
    return 0;
}

}  // namespace

int run_get_offsets(const Words& words) {
    Options options("An interactive shell for getting topic-partition offsets.");
    add_cluster_options(options, "broker-list");
    options.value(
        "topic-partitions", "list",
        "Comma separated: topic, topic:3, topic:0-4, :1; topics are regular expressions.");
    options.value("topic", "expression", "Topics by regular expression.");
    options.value("partitions", "list", "Comma separated partition numbers.");
    options.value("time", "time",
                  "latest (-1), earliest (-2), max-timestamp (-3), earliest-local (-4), "
                  "latest-tiered (-5), or ms.");
    options.flag("exclude-internal-topics", "Without internal topics.");
    options.value("offsets", "n", "Accepted: one offset a partition is shown.");
    options.value("max-wait-ms", "ms", "Accepted.");
    return run_tool(options, words, [&] {
        options.required("bootstrap-server");
        try {
            return print_offsets(options);
        } catch (const ToolError& error) {
            std::cerr << "Error occurred: " << error.what() << "\n";
            return 1;
        }
    });
}

}  // namespace broker
