// milena consumer-groups: kafka-consumer-groups.sh.

#include "broker/client/fetcher.h"
#include "broker/client/group_member.h"
#include "broker/tools/admin.h"
#include "broker/tools/commands.h"
#include "broker/tools/times.h"
#include "protocol/schema/api/delete_groups.h"
#include "protocol/schema/api/describe_groups.h"
#include "protocol/schema/api/list_groups.h"
#include "protocol/schema/api/offset_delete.h"
#include "protocol/schema/api/offset_fetch.h"
#include "protocol/schema/journal/consumer_protocol_assignment.h"

#include <algorithm>
#include <iostream>
#include <set>

namespace broker {
namespace {

using protocol::ErrorCode;

constexpr auto tool_class = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
constexpr std::size_t column = 15;
constexpr std::int16_t offset_version_cap = 7;

struct ListedGroup {
    std::string id;
    std::string state;
    std::string type;
};

struct Member {
    std::string id;
    std::optional<std::string> instance_id;
    std::string client_id;
    std::string host;
    std::vector<base::TopicPartition> assignment;
};

struct DescribedGroup {
    std::string id;
    std::string state;
    std::string strategy;
    Node coordinator;
    std::vector<Member> members;
};

using Offsets = std::map<base::TopicPartition, base::Offset>;

void declare(Options& options) {
    add_cluster_options(options);
    options.flag("list", "List groups.");
    options.flag("describe", "Show offsets and lag, members or state of groups.");
    options.flag("delete", "Delete groups.");
    options.flag("delete-offsets", "Delete offsets of topics.");
    options.flag("reset-offsets", "Move the offsets of groups without members.");
    options.value("group", "id", "The group; may be repeated.");
    options.flag("all-groups", "All groups.");
    options.value("topic", "topic[:0,1]", "A topic, or some of its partitions; may be repeated.");
    options.flag("all-topics", "All topics that the group has offsets of.");
    options.flag("offsets", "With --describe: offsets and lag (the default).");
    options.flag("members", "With --describe: members.");
    options.maybe_value("state", "states",
                        "With --describe: the state; with --list: show it, or only these.");
    options.maybe_value("type", "types", "With --list: show the type, or only these.");
    options.flag("verbose", "With --members: what each is assigned.");
    options.value("timeout", "ms", "How long to wait for the cluster (default 5000).");
    options.flag("dry-run", "With --reset-offsets: show what would be (the default).");
    options.flag("execute", "With --reset-offsets: do it.");
    options.flag("export", "With --reset-offsets: print CSV.");
    options.value("from-file", "file", "Offsets from CSV: [group,]topic,partition,offset");
    options.flag("to-earliest", "To the beginning.");
    options.flag("to-latest", "To the end.");
    options.flag("to-current", "To where they are.");
    options.value("to-offset", "n", "To this offset.");
    options.value("shift-by", "n", "By so many, forward or back.");
    options.value("to-datetime", "time",
                  "To the first record at or after YYYY-MM-DDTHH:mm:ss.sss.");
    options.value("by-duration", "duration", "The same, so long ago: PnDTnHnMnS.");
    options.flag("new-consumer", "Accepted, of old scripts.");
}

void print_refusal(const std::string& sentence) {
    std::cout << "\nError: " << sentence << std::endl;
}

std::vector<ListedGroup> list_groups(Cluster& cluster) {
    need(cluster.retry([&] { return cluster.refresh(std::vector<std::string>()); }));
    std::vector<base::BrokerId> brokers;
    for (const auto& [id, node] : cluster.view().nodes) brokers.push_back(id);
    std::vector<ListedGroup> found;
    for (const auto id : brokers) {
        need(cluster.retry([&]() -> ClientResult<void> {
            const protocol::ListGroupsRequest request;
            const auto answer = cluster.call<protocol::ListGroupsApi, protocol::ListGroupsResponse>(
                cluster.broker(id), request);
            if (!answer) return base::Unexpected(answer.error());
            if ((*answer)->error_code != ErrorCode::none)
                return base::Unexpected(refused((*answer)->error_code));
            for (const auto& group : (*answer)->groups) {
                if (!group.protocol_type.empty() && group.protocol_type != "consumer") continue;
                const auto type = group.group_type.empty() ? "Classic" : group.group_type.str();
                found.push_back({group.group_id.str(), group.group_state.str(), type});
            }
            return {};
        }));
    }
    std::ranges::sort(found, {}, &ListedGroup::id);
    return found;
}

std::vector<base::TopicPartition> assignment_of(const wire::Payload& bytes) {
    std::vector<base::TopicPartition> partitions;
    if (bytes.size() < 2) return partitions;
    wire::Reader reader(bytes.bytes());
    const auto version = std::clamp<std::int16_t>(
        reader.int16(), 0, protocol::ConsumerProtocolAssignment::version_max);
    const auto assignment = protocol::ConsumerProtocolAssignment::read(reader, version);
    if (reader.failed()) return partitions;
    for (const auto& topic : assignment.assigned_partitions) {
        for (const auto partition : topic.partitions)
            partitions.push_back({topic.topic.str(), partition});
    }
    std::ranges::sort(partitions);
    return partitions;
}

DescribedGroup describe_group(Cluster& cluster, const std::string& id) {
    return need(cluster.retry([&]() -> ClientResult<DescribedGroup> {
        protocol::DescribeGroupsRequest request;
        request.groups.emplace_back(id);
        const auto answer =
            cluster.call<protocol::DescribeGroupsApi, protocol::DescribeGroupsResponse>(
                cluster.coordinator(id), request);
        if (!answer) return base::Unexpected(answer.error());
        const auto coordinator = cluster.coordinator_node(id);
        if (!coordinator) return base::Unexpected(coordinator.error());
        if ((*answer)->groups.empty())
            return base::Unexpected(refused(ErrorCode::group_id_not_found));
        const auto& group = (*answer)->groups.front();
        if (group.error_code == ErrorCode::group_id_not_found)
            return DescribedGroup{id, "Dead", "", *coordinator, {}};
        if (group.error_code != ErrorCode::none) return base::Unexpected(refused(group.error_code));
        DescribedGroup found{
            id, group.group_state.str(), group.protocol_data.str(), *coordinator, {}};
        for (const auto& member : group.members) {
            found.members.push_back({member.member_id.str(),
                                     member.group_instance_id
                                         ? std::optional(member.group_instance_id->str())
                                         : std::nullopt,
                                     member.client_id.str(), member.client_host.str(),
                                     assignment_of(member.member_assignment)});
        }
        return found;
    }));
}

// All that the group has committed.
Offsets committed_offsets(Cluster& cluster, const std::string& id) {
    return need(cluster.retry([&]() -> ClientResult<Offsets> {
        protocol::OffsetFetchRequest request;
        request.group_id = wire::Text(id);
        request.topics.reset();
        const auto answer = cluster.call<protocol::OffsetFetchApi, protocol::OffsetFetchResponse>(
            cluster.coordinator(id), request, offset_version_cap);
        if (!answer) return base::Unexpected(answer.error());
        if ((*answer)->error_code != ErrorCode::none)
            return base::Unexpected(refused((*answer)->error_code));
        Offsets offsets;
        for (const auto& topic : (*answer)->topics) {
            for (const auto& partition : topic.partitions) {
                const bool is_there = partition.error_code == ErrorCode::none &&
                                      partition.committed_offset.value() >= 0;
                if (is_there)
                    offsets[{topic.name.str(), partition.partition_index}] =
                        partition.committed_offset;
            }
        }
        return offsets;
    }));
}

// Offsets by time of partitions; those of topics that are gone are absent.
Offsets find_offsets(Cluster& cluster, const std::map<base::TopicPartition, std::int64_t>& times) {
    if (times.empty()) return {};
    need(cluster.retry([&] { return cluster.refresh(std::nullopt); }));
    std::map<base::TopicPartition, std::int64_t> existing;
    for (const auto& [at, time] : times) {
        const auto topic = cluster.view().topics.find(at.topic);
        if (topic == cluster.view().topics.end()) continue;
        const bool is_there =
            std::ranges::any_of(topic->second.partitions, [&](const PartitionView& partition) {
                return partition.index == at.partition && partition.leader.value() >= 0;
            });
        if (is_there) existing[at] = time;
    }
    Offsets offsets;
    for (const auto& [at, found] : need(list_offsets(cluster, existing, false))) {
        if (found.error == ErrorCode::none) offsets[at] = found.offset;
    }
    return offsets;
}

Offsets find_offsets(Cluster& cluster, const std::vector<base::TopicPartition>& partitions,
                     std::int64_t time) {
    std::map<base::TopicPartition, std::int64_t> times;
    for (const auto& at : partitions) times[at] = time;
    return find_offsets(cluster, times);
}

std::vector<std::string> wanted_groups(Cluster& cluster, const Options& options) {
    if (!options.has("all-groups")) return options.all("group");
    std::vector<std::string> ids;
    for (const auto& group : list_groups(cluster)) ids.push_back(group.id);
    return ids;
}

bool is_among(const std::string& list, const std::string& word) {
    const auto same = [](char a, char b) { return std::tolower(a) == std::tolower(b); };
    return std::ranges::any_of(split(list, ','), [&](const std::string& each) {
        return std::ranges::equal(trim(each), word, same);
    });
}

int list(Cluster& cluster, const Options& options) {
    auto groups = list_groups(cluster);
    const auto states = options.get("state");
    const auto types = options.get("type");
    if (states && !states->empty()) {
        std::erase_if(groups,
                      [&](const ListedGroup& group) { return !is_among(*states, group.state); });
    }
    if (types && !types->empty()) {
        std::erase_if(groups,
                      [&](const ListedGroup& group) { return !is_among(*types, group.type); });
    }
    if (!states && !types) {
        for (const auto& group : groups) std::cout << group.id << "\n";
        return 0;
    }
    std::size_t longest = column;
    for (const auto& group : groups) longest = std::max(longest, group.id.size());
    std::vector<std::vector<std::string>> rows{{"GROUP"}};
    if (types) rows.front().emplace_back("TYPE");
    if (states) rows.front().emplace_back("STATE");
    for (const auto& group : groups) {
        auto& row = rows.emplace_back(std::vector<std::string>{group.id});
        if (types) row.push_back(group.type);
        if (states) row.push_back(group.state);
    }
    for (auto& row : rows) row.back().resize(std::max<std::size_t>(row.back().size(), 20), ' ');
    std::cout << table(rows, {longest + 10, 20, 20});
    return 0;
}

// The note below or instead of a table. True when there is something to show.
bool note_state(const DescribedGroup& group) {
    if (group.state == "Dead") {
        print_refusal("Consumer group '" + group.id + "' does not exist.");
        return false;
    }
    std::cout.flush();
    if (group.state == "Empty") {
        std::cerr << "\nConsumer group '" << group.id << "' has no active members.\n";
    } else if (group.state == "PreparingRebalance" || group.state == "CompletingRebalance" ||
               group.state == "Assigning" || group.state == "Reconciling") {
        std::cerr << "\nWarning: Consumer group '" << group.id << "' is rebalancing.\n";
    }
    return true;
}

void print_rows(const std::vector<std::vector<std::string>>& rows,
                const std::vector<std::size_t>& widths) {
    std::cout << "\n" << table(rows, widths) << std::flush;
}

void describe_offsets(Cluster& cluster, const std::vector<DescribedGroup>& groups) {
    for (const auto& group : groups) {
        if (!note_state(group)) continue;
        const auto committed = committed_offsets(cluster, group.id);
        std::vector<base::TopicPartition> partitions;
        std::map<base::TopicPartition, const Member*> owners;
        for (const auto& [at, offset] : committed) partitions.push_back(at);
        for (const auto& member : group.members) {
            for (const auto& at : member.assignment) {
                owners[at] = &member;
                if (!committed.contains(at)) partitions.push_back(at);
            }
        }
        std::ranges::sort(partitions);
        const auto ends = find_offsets(cluster, partitions, latest_timestamp);
        std::vector<std::vector<std::string>> rows{{"GROUP", "TOPIC", "PARTITION", "CURRENT-OFFSET",
                                                    "LOG-END-OFFSET", "LAG", "CONSUMER-ID", "HOST",
                                                    "CLIENT-ID"}};
        for (const auto& at : partitions) {
            const auto offset = committed.find(at);
            const auto end = ends.find(at);
            const auto owner = owners.find(at);
            const bool has_both = offset != committed.end() && end != ends.end();
            rows.push_back(
                {group.id, at.topic, std::to_string(at.partition.value()),
                 offset == committed.end() ? "-" : std::to_string(offset->second.value()),
                 end == ends.end() ? "-" : std::to_string(end->second.value()),
                 has_both ? std::to_string(end->second - offset->second) : "-",
                 owner == owners.end() ? "-" : owner->second->id,
                 owner == owners.end() ? "-" : owner->second->host,
                 owner == owners.end() ? "-" : owner->second->client_id});
        }
        for (const auto& member : group.members) {
            if (!member.assignment.empty()) continue;
            rows.push_back(
                {group.id, "-", "-", "-", "-", "-", member.id, member.host, member.client_id});
        }
        if (rows.size() > 1)
            print_rows(rows, {column, column, 10, column, column, column, column, column, 0});
    }
}

// "orders(0,1), payments(0)"
std::string assignment_text(const std::vector<base::TopicPartition>& assignment) {
    std::string text;
    const std::string* topic = nullptr;
    for (const auto& at : assignment) {
        if (topic && *topic == at.topic) {
            text += ",";
        } else {
            text += (topic ? "), " : "") + at.topic + "(";
        }
        text += std::to_string(at.partition.value());
        topic = &at.topic;
    }
    return topic ? text + ")" : "-";
}

void describe_members(const std::vector<DescribedGroup>& groups, bool is_verbose) {
    for (const auto& group : groups) {
        if (!note_state(group)) continue;
        const bool has_static = std::ranges::any_of(
            group.members, [](const Member& member) { return member.instance_id.has_value(); });
        std::vector<std::vector<std::string>> rows;
        const auto add = [&](const std::string& id, const std::string& consumer,
                             const std::string& instance, const std::string& host,
                             const std::string& client, const std::string& count,
                             const std::string& assignment) {
            auto& row = rows.emplace_back(std::vector<std::string>{id, consumer});
            if (has_static) row.push_back(instance);
            row.insert(row.end(), {host, client, count});
            row.push_back(is_verbose ? assignment : "");
        };
        add("GROUP", "CONSUMER-ID", "GROUP-INSTANCE-ID", "HOST", "CLIENT-ID", "#PARTITIONS",
            "ASSIGNMENT");
        for (const auto& member : group.members) {
            add(group.id, member.id, member.instance_id.value_or("-"), member.host,
                member.client_id, std::to_string(member.assignment.size()),
                assignment_text(member.assignment));
        }
        print_rows(rows, std::vector<std::size_t>(has_static ? 6 : 5, column));
    }
}

void describe_states(const std::vector<DescribedGroup>& groups) {
    for (const auto& group : groups) {
        if (!note_state(group)) continue;
        const auto coordinator = to_string(group.coordinator.address) + "  (" +
                                 std::to_string(group.coordinator.id.value()) + ")";
        const auto width = std::max<std::size_t>(25, coordinator.size());
        print_rows({{"GROUP", "COORDINATOR (ID)", "ASSIGNMENT-STRATEGY", "STATE", "#MEMBERS"},
                    {group.id, coordinator, group.strategy, group.state,
                     std::to_string(group.members.size())}},
                   {width, width, 20, column, 0});
    }
}

int describe(Cluster& cluster, const Options& options) {
    const bool members = options.has("members");
    const bool state = options.has("state");
    if (members + state + options.has("offsets") > 1) {
        throw UsageError(
            "Option [describe] takes at most one of these options: [members], [offsets], [state]");
    }
    std::vector<DescribedGroup> groups;
    for (const auto& id : wanted_groups(cluster, options))
        groups.push_back(describe_group(cluster, id));
    if (members) {
        describe_members(groups, options.has("verbose"));
    } else if (state) {
        describe_states(groups);
    } else {
        describe_offsets(cluster, groups);
    }
    return 0;
}

int remove_groups(Cluster& cluster, const Options& options) {
    std::vector<std::string> deleted;
    std::vector<std::pair<std::string, ClientFault>> failed;
    for (const auto& id : wanted_groups(cluster, options)) {
        const auto done = cluster.retry([&]() -> ClientResult<void> {
            protocol::DeleteGroupsRequest request;
            request.groups_names.emplace_back(id);
            const auto answer =
                cluster.call<protocol::DeleteGroupsApi, protocol::DeleteGroupsResponse>(
                    cluster.coordinator(id), request);
            if (!answer) return base::Unexpected(answer.error());
            for (const auto& result : (*answer)->results) {
                if (result.error_code != ErrorCode::none) {
                    return base::Unexpected(
                        refused(result.error_code,
                                result.error_message ? result.error_message->str() : ""));
                }
            }
            return {};
        });
        if (done) {
            deleted.push_back("'" + id + "'");
        } else {
            failed.emplace_back(id, done.error());
        }
    }
    if (failed.empty()) {
        std::cout << "Deletion of requested consumer groups (" << join(deleted, ", ")
                  << ") was successful.\n";
        return 0;
    }
    print_refusal("Deletion of some consumer groups failed:");
    for (const auto& [id, fault] : failed) {
        std::cout << "* Group '" << id
                  << "' could not be deleted due to: java.util.concurrent.ExecutionException: "
                  << qualified(fault) << "\n";
    }
    if (!deleted.empty())
        std::cout << "\nThese consumer groups were deleted successfully: " << join(deleted, ", ")
                  << "\n";
    return 0;
}

// The partitions that --topic and --all-topics mean; --all-topics: those with offsets.
std::vector<base::TopicPartition> wanted_partitions(Cluster& cluster, const Options& options,
                                                    const Offsets& committed) {
    std::set<base::TopicPartition> wanted;
    if (options.has("all-topics")) {
        for (const auto& [at, offset] : committed) wanted.insert(at);
        return {wanted.begin(), wanted.end()};
    }
    const auto given = options.all("topic");
    if (given.empty()) throw UsageError("One of the options --topic and --all-topics is required");
    need(cluster.retry([&] { return cluster.refresh(std::nullopt); }));
    for (const auto& text : given) {
        const auto colon = text.find(':');
        const auto name = text.substr(0, colon);
        if (colon != std::string::npos) {
            for (const auto& word : split(text.substr(colon + 1), ',')) {
                const auto partition = to_integer(word);
                if (!partition)
                    throw UsageError("Invalid topic arg '" + text +
                                     "', expected topic name and partitions");
                wanted.insert({name, base::PartitionIndex(static_cast<std::int32_t>(*partition))});
            }
            continue;
        }
        const auto topic = cluster.view().topics.find(name);
        if (topic == cluster.view().topics.end())
            throw_fault(refused(ErrorCode::unknown_topic_or_partition));
        for (const auto& partition : topic->second.partitions)
            wanted.insert({name, partition.index});
    }
    return {wanted.begin(), wanted.end()};
}

// Held between the beginning and the end of each partition, with a warning.
Offsets within_log(Cluster& cluster, const Offsets& offsets) {
    std::vector<base::TopicPartition> partitions;
    for (const auto& [at, offset] : offsets) partitions.push_back(at);
    const auto first = find_offsets(cluster, partitions, earliest_timestamp);
    const auto last = find_offsets(cluster, partitions, latest_timestamp);
    Offsets held;
    for (const auto& [at, offset] : offsets) {
        if (!first.contains(at) || !last.contains(at))
            throw_fault(refused(ErrorCode::unknown_topic_or_partition));
        const auto name = at.topic + "-" + std::to_string(at.partition.value());
        const auto warn = [&](const char* than, base::Offset instead) {
            print_warning("New offset (" + std::to_string(offset.value()) + ") is " + than +
                              " offset for topic partition " + name + ". Value will be set to " +
                              std::to_string(instead.value()),
                          tool_class);
            held[at] = instead;
        };
        if (offset > last.at(at)) {
            warn("higher than latest", last.at(at));
        } else if (offset < first.at(at)) {
            warn("lower than earliest", first.at(at));
        } else {
            held[at] = offset;
        }
    }
    return held;
}

Offsets by_time(Cluster& cluster, const std::vector<base::TopicPartition>& partitions,
                std::int64_t time) {
    auto found = find_offsets(cluster, partitions, time);
    std::vector<base::TopicPartition> without;
    for (const auto& at : partitions) {
        if (!found.contains(at) || found[at].value() < 0) without.push_back(at);
    }
    for (const auto& [at, end] : find_offsets(cluster, without, latest_timestamp)) {
        std::cout << "\nWarn: Partition " << at.partition.value() << " from topic " << at.topic
                  << " is empty. Falling back to latest known offset." << std::endl;
        found[at] = end;
    }
    return found;
}

// CSV: [group,]topic,partition,offset
std::map<std::string, Offsets> read_plan(const std::string& path,
                                         const std::vector<std::string>& groups) {
    std::map<std::string, Offsets> plan;
    for (const auto& line : split(read_file(path), '\n')) {
        const auto fields = split(trim(line), ',');
        if (fields.size() == 1 && fields.front().empty()) continue;
        const bool names_group = fields.size() == 4;
        const auto at = names_group ? 1U : 0U;
        const auto partition = fields.size() >= 3 ? to_integer(trim(fields[at + 1])) : std::nullopt;
        const auto offset = fields.size() >= 3 ? to_integer(trim(fields[at + 2])) : std::nullopt;
        if (!partition || !offset || fields.size() > 4)
            throw ToolError(path + ": cannot read the line " + line);
        const auto group = names_group          ? fields[0]
                           : groups.size() == 1 ? groups.front()
                                                : std::string();
        if (group.empty())
            throw ToolError(path + ": lines need the group in front when there are several");
        plan[group][{fields[at], base::PartitionIndex(static_cast<std::int32_t>(*partition))}] =
            base::Offset(*offset);
    }
    return plan;
}

Offsets new_offsets(Cluster& cluster, const Options& options, const Offsets& committed) {
    const auto partitions = wanted_partitions(cluster, options, committed);
    Offsets offsets;
    if (options.has("to-earliest")) return find_offsets(cluster, partitions, earliest_timestamp);
    if (options.has("to-latest")) return find_offsets(cluster, partitions, latest_timestamp);
    if (const auto offset = options.integer("to-offset")) {
        for (const auto& at : partitions) offsets[at] = base::Offset(*offset);
        return within_log(cluster, offsets);
    }
    if (const auto shift = options.integer("shift-by")) {
        for (const auto& at : partitions) {
            const auto current = committed.find(at);
            if (current == committed.end()) {
                throw ToolError("Cannot shift offset for partition " + at.topic + "-" +
                                std::to_string(at.partition.value()) +
                                " since there is no current committed offset");
            }
            offsets[at] = current->second + *shift;
        }
        return within_log(cluster, offsets);
    }
    if (const auto text = options.get("to-datetime")) {
        const auto time = parse_datetime(*text);
        if (!time) throw ToolError(time.error());
        return by_time(cluster, partitions, *time);
    }
    if (const auto text = options.get("by-duration")) {
        const auto duration = parse_duration(*text);
        if (!duration) throw ToolError(duration.error());
        return by_time(cluster, partitions, wall_clock_ms() - *duration);
    }
    // --to-current: where it is; the end for what has no offset.
    std::vector<base::TopicPartition> without;
    for (const auto& at : partitions) {
        if (const auto current = committed.find(at); current != committed.end()) {
            offsets[at] = current->second;
        } else {
            without.push_back(at);
        }
    }
    offsets = within_log(cluster, offsets);
    offsets.merge(find_offsets(cluster, without, latest_timestamp));
    return offsets;
}

int reset(Cluster& cluster, const Options& options) {
    const auto scenarios = {"to-earliest", "to-latest",   "to-current",  "to-offset",
                            "shift-by",    "to-datetime", "by-duration", "from-file"};
    const auto chosen =
        std::ranges::count_if(scenarios, [&](const char* name) { return options.has(name); });
    if (options.has("dry-run") && options.has("execute")) {
        throw UsageError("Option [reset-offsets] only accepts one of [execute], [dry-run]");
    }
    if (!options.has("dry-run") && !options.has("execute")) {
        std::cerr << "WARN: No action will be performed as the --execute option is missing.In a "
                     "future major release, the "
                     "default behavior of this command will be to prompt the user before executing "
                     "the reset rather than "
                     "doing a dry run. You should add the --dry-run option explicitly if you are "
                     "scripting this command and "
                     "want to keep the current default behavior without prompting.\n";
    }
    if (chosen > 1)
        throw UsageError("Option [reset-offsets] takes exactly one scenario: " +
                         join({scenarios.begin(), scenarios.end()}, ", "));
    if (chosen == 0 && !options.has("export")) {
        throw UsageError("Option '[reset-offsets]' requires one of the following scenarios: " +
                         join({scenarios.begin(), scenarios.end()}, ", "));
    }
    auto groups = wanted_groups(cluster, options);
    std::map<std::string, Offsets> plan;
    if (const auto path = options.get("from-file")) {
        plan = read_plan(*path, groups);
        for (auto& [id, offsets] : plan) offsets = within_log(cluster, offsets);
    }
    std::map<std::string, Offsets> done;
    for (const auto& id : groups) {
        const auto group = describe_group(cluster, id);
        if (group.state != "Empty" && group.state != "Dead") {
            print_refusal("Assignments can only be reset if the group '" + id +
                          "' is inactive, but the current state is " + group.state + ".");
            continue;
        }
        const auto offsets = options.has("from-file")
                                 ? plan[id]
                                 : new_offsets(cluster, options, committed_offsets(cluster, id));
        if (options.has("execute")) need(GroupMember(cluster, {.group_id = id}).commit(offsets));
        done[id] = offsets;
    }
    if (options.has("export")) {
        for (const auto& [id, offsets] : done) {
            for (const auto& [at, offset] : offsets) {
                std::cout << (groups.size() > 1 ? id + "," : "") << at.topic << ","
                          << at.partition.value() << "," << offset.value() << "\n";
            }
        }
        return 0;
    }
    std::vector<std::vector<std::string>> rows{{"GROUP", "TOPIC", "PARTITION", "NEW-OFFSET     "}};
    for (const auto& [id, offsets] : done) {
        for (const auto& [at, offset] : offsets) {
            auto text = std::to_string(offset.value());
            text.resize(std::max(text.size(), column), ' ');
            rows.push_back({id, at.topic, std::to_string(at.partition.value()), text});
        }
    }
    print_rows(rows, {30, 30, 10, column});
    return 0;
}

int remove_offsets(Cluster& cluster, const Options& options) {
    const auto groups = options.all("group");
    if (groups.size() != 1) throw UsageError("Option [delete-offsets] takes one group");
    if (options.all("topic").empty())
        throw UsageError("Option [delete-offsets] takes the following options: [topic]");
    const auto partitions = wanted_partitions(cluster, options, {});
    const auto results =
        need(cluster.retry([&]() -> ClientResult<std::map<base::TopicPartition, ErrorCode>> {
            protocol::OffsetDeleteRequest request;
            request.group_id = wire::Text(groups.front());
            for (const auto& at : partitions) {
                if (request.topics.empty() || request.topics.back().name != at.topic) {
                    request.topics.emplace_back().name = wire::Text(at.topic);
                }
                request.topics.back().partitions.emplace_back().partition_index = at.partition;
            }
            const auto answer =
                cluster.call<protocol::OffsetDeleteApi, protocol::OffsetDeleteResponse>(
                    cluster.coordinator(groups.front()), request);
            if (!answer) return base::Unexpected(answer.error());
            if ((*answer)->error_code != ErrorCode::none)
                return base::Unexpected(refused((*answer)->error_code));
            std::map<base::TopicPartition, ErrorCode> codes;
            for (const auto& topic : (*answer)->topics) {
                for (const auto& partition : topic.partitions)
                    codes[{topic.name.str(), partition.partition_index}] = partition.error_code;
            }
            return codes;
        }));
    const bool all_fine = std::ranges::all_of(
        results, [](const auto& each) { return each.second == ErrorCode::none; });
    if (all_fine) {
        std::cout << "Request succeed for deleting offsets with topic "
                  << join(options.all("topic"), ", ") << " group " << groups.front() << "\n";
    } else {
        print_refusal("Encountered some partition-level error, see the follow-up details:");
    }
    std::vector<std::vector<std::string>> rows{{"TOPIC", "PARTITION", "STATUS         "}};
    for (const auto& [at, code] : results) {
        auto status = code == ErrorCode::none
                          ? std::string("Successful")
                          : "Error: " + std::string(protocol::error_sentence(code));
        status.resize(std::max(status.size(), column), ' ');
        rows.push_back({at.topic, std::to_string(at.partition.value()), status});
    }
    print_rows(rows, {30, column, column});
    return 0;
}

}  // namespace

int run_consumer_groups(const Words& words) {
    Options options(
        "This tool helps to list all consumer groups, describe a consumer group, delete consumer "
        "group info, "
        "or reset consumer group offsets.");
    declare(options);
    return run_tool(options, words, [&] {
        const auto actions = {"list", "describe", "delete", "reset-offsets", "delete-offsets"};
        if (std::ranges::count_if(actions, [&](const char* name) { return options.has(name); }) !=
            1) {
            throw UsageError(
                "Command must include exactly one action: --list, --describe, --delete, "
                "--reset-offsets, --delete-offsets");
        }
        options.required("bootstrap-server");
        const bool needs_group = !options.has("list");
        if (needs_group && !options.has("group") && !options.has("all-groups")) {
            throw UsageError("One of the options --group and --all-groups is required");
        }
        auto settings = settings_of(options, "milena-consumer-groups");
        if (const auto timeout = options.integer("timeout")) {
            settings.request_timeout = settings.api_timeout = std::chrono::milliseconds(*timeout);
        }
        Cluster cluster(std::move(settings));
        try {
            if (options.has("list")) return list(cluster, options);
            if (options.has("describe")) return describe(cluster, options);
            if (options.has("delete")) return remove_groups(cluster, options);
            if (options.has("delete-offsets")) return remove_offsets(cluster, options);
            return reset(cluster, options);
        } catch (const ToolError& error) {
            print_refusal(std::string("Executing consumer group command failed due to ") +
                          error.what());
            std::cerr << (error.kind().empty() ? "" : error.kind() + ": ") << error.what() << "\n";
            return 1;
        }
    });
}

}  // namespace broker
