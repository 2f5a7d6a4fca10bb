// milena reassign-partitions --bootstrap-server: kafka-reassign-partitions.sh, through the brokers.
// With --zookeeper: zk_partitions.cc.

#include "broker/tools/reassign_partitions.h"

#include "broker/tools/commands.h"
#include "broker/tools/reassignment_cluster.h"

#include <algorithm>
#include <iostream>

namespace broker {
namespace {

using base::BrokerId;
using base::TopicPartition;

constexpr auto terse = "org.apache.kafka.tools.TerseException";
constexpr auto leader_rate = "leader.replication.throttled.rate";
constexpr auto follower_rate = "follower.replication.throttled.rate";
constexpr auto directory_rate = "replica.alter.log.dirs.io.max.bytes.per.second";
constexpr auto leader_replicas = "leader.replication.throttled.replicas";
constexpr auto follower_replicas = "follower.replication.throttled.replicas";

std::string plural(std::size_t count) {
    return count == 1 ? "" : "s";
}

template <class Map>
std::string names_of(const Map& map) {
    std::string text;
    for (const auto& [at, value] : map) text += (text.empty() ? "" : ",") + text_of(at);
    return text;
}

template <class Texts>
std::string commas(const Texts& texts) {
    return join(std::vector<std::string>(texts.begin(), texts.end()), ",");
}

WantedReassignment read_wanted(const Options& options) {
    return parse_reassignment(read_file(options.required("reassignment-json-file")));
}

// ---- --generate ----------------------------------------------------------------------------

int generate(ReassignmentCluster& cluster, const Options& options) {
    const auto topics =
        parse_topics_to_move(read_file(options.required("topics-to-move-json-file")));
    const auto brokers = parse_broker_list(options.required("broker-list"));
    Replicas now;
    for (const auto& topic : topics) now.merge(cluster.replicas_of(topic));
    auto seats = cluster.seats(brokers);
    leave_racks_out(seats, options);
    print_proposal(now, seats);
    return 0;
}

// ---- Throttles -----------------------------------------------------------------------------

// Those that partitions are read from, and those that read them: "0:1,0:2".
struct Throttled {
    std::set<std::string> leaders;
    std::set<std::string> followers;
};

struct Throttle {
    std::set<BrokerId> from;
    std::set<BrokerId> to;
};

void limit_brokers(ReassignmentCluster& cluster, const std::set<BrokerId>& brokers,
                   const std::vector<std::string>& keys, std::int64_t rate) {
    std::vector<ConfigChange> changes;
    for (const auto& key : keys)
        changes.push_back({key, std::to_string(rate), ConfigOperation::set});
    for (const auto id : brokers)
        cluster.configure(ResourceType::broker, std::to_string(id.value()), changes);
}

// A partition is read from where it is, without what a move under way adds; where it is moving to
// reads. Moves under way that nobody asked for now keep their throttles so.
void throttle_moves(ReassignmentCluster& cluster, const Replicas& now, const Replicas& wanted,
                    const std::map<TopicPartition, ReplicaMove>& moves, std::int64_t rate) {
    std::map<TopicPartition, Throttle> partitions;
    for (const auto& [at, move] : moves) {
        auto& throttle = partitions[at];
        throttle.from = {move.replicas.begin(), move.replicas.end()};
        for (const auto id : move.adding) throttle.from.erase(id);
        throttle.to = {move.adding.begin(), move.adding.end()};
    }
    for (const auto& [at, target] : wanted) {
        auto& throttle = partitions[at];
        if (throttle.from.empty()) throttle.from = {now.at(at).begin(), now.at(at).end()};
        throttle.to = {target.begin(), target.end()};
        for (const auto id : throttle.from) throttle.to.erase(id);
    }
    std::map<std::string, Throttled> topics;
    std::set<BrokerId> brokers;
    for (const auto& [at, throttle] : partitions) {
        const auto place = [&](BrokerId id) {
            brokers.insert(id);
            return std::to_string(at.partition.value()) + ":" + std::to_string(id.value());
        };
        for (const auto id : throttle.from) topics[at.topic].leaders.insert(place(id));
        for (const auto id : throttle.to) topics[at.topic].followers.insert(place(id));
    }
    for (const auto& [topic, throttled] : topics) {
        cluster.configure(ResourceType::topic, topic,
                          {{leader_replicas, commas(throttled.leaders), ConfigOperation::set},
                           {follower_replicas, commas(throttled.followers), ConfigOperation::set}});
    }
    limit_brokers(cluster, brokers, {leader_rate, follower_rate}, rate);
    std::cout << "The inter-broker throttle limit was set to " << rate << " B/s\n";
}

// Of all brokers, since nobody knows which ones took part.
void clear_throttles(ReassignmentCluster& cluster, const Replicas& wanted) {
    std::set<BrokerId> brokers = cluster.brokers();
    std::set<std::string> topics;
    for (const auto& [at, replicas] : wanted) {
        topics.insert(at.topic);
        brokers.insert(replicas.begin(), replicas.end());
    }
    std::cout << "Clearing broker-level throttles on broker" << plural(brokers.size()) << " "
              << text_of(std::vector(brokers.begin(), brokers.end())) << std::endl;
    std::vector<ConfigChange> rates;
    for (const auto* key : {leader_rate, follower_rate, directory_rate})
        rates.push_back({key, "", ConfigOperation::remove});
    for (const auto id : brokers)
        cluster.configure(ResourceType::broker, std::to_string(id.value()), rates);
    std::cout << "Clearing topic-level throttles on topic" << plural(topics.size()) << " "
              << commas(topics) << std::endl;
    for (const auto& topic : topics) {
        cluster.configure(ResourceType::topic, topic,
                          {{leader_replicas, "", ConfigOperation::remove},
                           {follower_replicas, "", ConfigOperation::remove}});
    }
}

// ---- --execute, --verify, --cancel, --list --------------------------------------------------

std::chrono::milliseconds patience_of(const Options& options) {
    return std::chrono::milliseconds(options.integer_or("timeout", 10'000));
}

int execute(ReassignmentCluster& cluster, const Options& options) {
    const auto wanted = read_wanted(options);
    const auto moves = cluster.moves();
    if (!options.has("additional") && !moves.empty()) {
        throw ToolError(
            "Cannot execute because there is an existing partition assignment.  Use --additional "
            "to override this and create a new partition assignment in addition to the existing "
            "one. The --additional flag can also be used to change the throttle by resubmitting "
            "the current reassignment.",
            terse);
    }
    std::vector<BrokerId> brokers;
    for (const auto& [at, replicas] : wanted.replicas)
        brokers.insert(brokers.end(), replicas.begin(), replicas.end());
    cluster.require_brokers(brokers);
    const auto now = cluster.replicas_of(wanted.replicas);
    std::cout << "Current partition replica assignment\n\n"
              << write_reassignment(now)
              << "\n\nSave this to use as the --reassignment-json-file option during rollback"
              << std::endl;
    const auto rate = options.integer("throttle");
    const auto directory_limit = options.integer("replica-alter-log-dirs-throttle");
    if (rate || directory_limit) {
        std::cout << "Warning: You must run --verify periodically, until the reassignment "
                     "completes, to ensure the throttle is removed.\n";
    }
    if (rate) throttle_moves(cluster, now, wanted.replicas, moves, *rate);
    if (directory_limit && !wanted.directories.empty()) {
        std::set<BrokerId> moving;
        for (const auto& [place, directory] : wanted.directories) moving.insert(place.broker);
        limit_brokers(cluster, moving, {directory_rate}, *directory_limit);
        std::cout << "The replica-alter-dir throttle limit was set to " << *directory_limit
                  << " B/s\n";
    }
    std::map<TopicPartition, std::optional<std::vector<BrokerId>>> targets;
    for (const auto& [at, replicas] : wanted.replicas) targets.emplace(at, replicas);
    cluster.reassign(targets, "Error reassigning partition(s):",
                     !options.has("disallow-replication-factor-change"));
    std::cout << "Successfully started partition reassignment" << plural(wanted.replicas.size())
              << " for " << names_of(wanted.replicas) << std::endl;
    if (!wanted.directories.empty())
        cluster.move_directories(wanted.directories, patience_of(options));
    return 0;
}

// Whether nothing moves between brokers, of these or others: throttles are everybody's.
bool print_progress(ReassignmentCluster& cluster, const Replicas& wanted) {
    const auto moves = cluster.moves();
    const auto now = cluster.replicas_of(wanted, true);
    std::cout << "Status of partition reassignment:\n";
    for (const auto& [at, target] : wanted) {
        const auto have = now.contains(at) ? now.at(at) : std::vector<BrokerId>();
        if (moves.contains(at)) {
            std::cout << "Reassignment of partition " << text_of(at) << " is still in progress.\n";
        } else if (have == target) {
            std::cout << "Reassignment of partition " << text_of(at) << " is completed.\n";
        } else {
            std::cout << "There is no active reassignment of partition " << text_of(at)
                      << ", but replica set is " << text_of(have) << " rather than "
                      << text_of(target) << ".\n";
        }
    }
    return moves.empty();
}

std::string progress_of(const ReplicaPlace& place, const std::string& target,
                        const DirectoryState& state) {
    const auto partition = "Partition " + text_of(place.at);
    const auto broker = std::to_string(place.broker.value());
    if (state.future == target)
        return "Reassignment of replica " + text_of(place) + " is still in progress.";
    if (!state.future.empty()) {
        return partition + " on broker " + broker + " is being moved to log dir " + state.future +
               " instead of " + target + ".";
    }
    if (state.current == target)
        return "Reassignment of replica " + text_of(place) + " completed successfully.";
    if (state.current.empty()) {
        return partition + " is not found in any live log dir on broker " + broker +
               ". There is likely an offline log directory on the broker.";
    }
    return partition + " on broker " + broker + " is not being moved from log dir " +
           state.current + " to " + target + ".";
}

int verify(ReassignmentCluster& cluster, const Options& options) {
    const auto wanted = read_wanted(options);
    bool over = print_progress(cluster, wanted.replicas);
    const auto places = cluster.directories(wanted.directories);
    for (const auto& [place, target] : wanted.directories) {
        const auto& state = places.at(place);
        over = over && state.future.empty() && !state.current.empty();
        std::cout << progress_of(place, target, state) << "\n";
    }
    std::cout << std::endl;
    if (over && !options.has("preserve-throttles")) clear_throttles(cluster, wanted.replicas);
    return 0;
}

int cancel(ReassignmentCluster& cluster, const Options& options) {
    const auto wanted = read_wanted(options);
    const auto moves = cluster.moves();
    std::map<TopicPartition, std::optional<std::vector<BrokerId>>> targets;
    for (const auto& [at, replicas] : wanted.replicas) {
        if (moves.contains(at)) targets.emplace(at, std::nullopt);
    }
    if (targets.empty()) {
        std::cout << "None of the specified partition reassignments are active.\n";
    } else {
        cluster.reassign(
            targets, "Error cancelling partition reassignment" + plural(targets.size()) + " for:");
        std::cout << "Successfully cancelled partition reassignment" << plural(targets.size())
                  << " for: " << names_of(targets) << std::endl;
    }
    // A replica that is told to lie where it lies does not move any more.
    std::map<ReplicaPlace, std::string> back;
    for (const auto& [place, state] : cluster.directories(wanted.directories)) {
        if (!state.future.empty()) back.emplace(place, state.current);
    }
    if (back.empty()) {
        std::cout << "None of the specified partition moves are active." << std::endl;
    } else {
        cluster.move_directories(back, patience_of(options));
    }
    if (!options.has("preserve-throttles")) clear_throttles(cluster, wanted.replicas);
    return 0;
}

int list(ReassignmentCluster& cluster, const Options&) {
    const auto moves = cluster.moves();
    if (moves.empty()) {
        std::cout << "No partition reassignments found.\n";
        return 0;
    }
    std::cout << "Current partition reassignments:\n";
    for (const auto& [at, move] : moves) {
        std::cout << text_of(at) << ": replicas: " << text_of(move.replicas) << ".";
        if (!move.adding.empty()) std::cout << " adding: " << text_of(move.adding) << ".";
        if (!move.removing.empty()) std::cout << " removing: " << text_of(move.removing) << ".";
        std::cout << "\n";
    }
    return 0;
}

struct Action {
    std::string_view name;
    int (*run)(ReassignmentCluster&, const Options&);
    std::vector<std::string_view> required;
    std::vector<std::string_view> permitted;  // Beside those of every action.
};

const std::vector<Action>& actions() {
    static const std::vector<Action> all = {
        {"generate", generate, {"topics-to-move-json-file", "broker-list"}, {"disable-rack-aware"}},
        {"execute",
         execute,
         {"reassignment-json-file"},
         {"additional", "throttle", "replica-alter-log-dirs-throttle", "timeout",
          "disallow-replication-factor-change"}},
        {"verify", verify, {"reassignment-json-file"}, {"preserve-throttles"}},
        {"cancel", cancel, {"reassignment-json-file"}, {"preserve-throttles", "timeout"}},
        {"list", list, {}, {}},
    };
    return all;
}

// Faults: UsageError for options that belong to another one.
const Action& the_action(const Options& options) {
    const auto& action = *std::ranges::find_if(
        actions(), [&](const Action& each) { return options.has(each.name); });
    for (const auto name : action.required) {
        if (!options.has(name))
            throw UsageError("Missing required argument \"[" + std::string(name) + "]\"");
    }
    for (const auto& other : actions()) {
        for (const auto* names : {&other.required, &other.permitted}) {
            for (const auto name : *names) {
                const bool is_ours =
                    std::ranges::find(action.required, name) != action.required.end() ||
                    std::ranges::find(action.permitted, name) != action.permitted.end();
                if (options.has(name) && !is_ours) {
                    throw UsageError("Option \"[" + std::string(name) +
                                     "]\" can't be used with action \"[" +
                                     std::string(action.name) + "]\"");
                }
            }
        }
    }
    return action;
}

}  // namespace

// Kafka's tool says what went wrong on standard output: what is expected to, in a sentence.
int reassign_through_brokers(const Options& options) {
    const auto& action = the_action(options);
    try {
        ReassignmentCluster cluster(settings_of(options, "milena-reassign-partitions"));
        return action.run(cluster, options);
    } catch (const ToolError& error) {
        if (error.kind() == terse) {
            std::cout << error.what() << std::endl;
        } else {
            std::cout << "Error: " << error.what() << "\n" << error.kind() << std::endl;
        }
        return 1;
    }
}

}  // namespace broker
