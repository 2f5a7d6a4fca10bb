#include "broker/tools/reassignment_cluster.h"

#include "protocol/schema/api/alter_partition_reassignments.h"
#include "protocol/schema/api/alter_replica_log_dirs.h"
#include "protocol/schema/api/describe_log_dirs.h"
#include "protocol/schema/api/list_partition_reassignments.h"

#include <algorithm>
#include <iostream>
#include <iterator>
#include <utility>

namespace broker {

using base::BrokerId;
using base::TopicPartition;
using protocol::ErrorCode;

namespace {

constexpr auto terse = "org.apache.kafka.tools.TerseException";

// What is not there, in the words of Kafka's client.
ToolError unknown(const std::string& what) {
    return ToolError("org.apache.kafka.common.errors.UnknownTopicOrPartitionException: " + what,
                     "java.util.concurrent.ExecutionException");
}

// The broker that is controller now may be another than before.
template <class T>
ClientResult<T> from_controller(Cluster& cluster, ErrorCode error,
                                const std::optional<wire::Text>& message, T value) {
    if (error == ErrorCode::none) return value;
    if (error == ErrorCode::not_controller) cluster.forget_all();
    return base::Unexpected(refused(error, message ? message->str() : ""));
}

}  // namespace

std::string text_of(const ReplicaPlace& place) {
    return text_of(place.at) + "-" + std::to_string(place.broker.value());
}

ReassignmentCluster::ReassignmentCluster(ClientSettings settings)
    : cluster_(settings), settings_(std::move(settings)) {
    need(cluster_.retry([&] { return cluster_.refresh(std::nullopt); }));
}

std::set<BrokerId> ReassignmentCluster::brokers() const {
    std::set<BrokerId> ids;
    for (const auto& [id, node] : cluster_.view().nodes) ids.insert(id);
    return ids;
}

std::vector<Seat> ReassignmentCluster::seats(const std::vector<BrokerId>& ids) const {
    std::vector<Seat> seats;
    for (const auto& [id, node] : cluster_.view().nodes) {
        if (std::ranges::find(ids, id) != ids.end()) seats.push_back({id, node.rack});
    }
    return seats;
}

void ReassignmentCluster::require_brokers(const std::vector<BrokerId>& ids) const {
    const auto there = brokers();
    for (const auto id : ids) {
        if (!there.contains(id))
            throw ToolError("Unknown broker id " + std::to_string(id.value()),
                            "org.apache.kafka.server.common.AdminCommandFailedException");
    }
}

Replicas ReassignmentCluster::replicas_of(const std::string& topic) {
    const auto found = cluster_.view().topics.find(topic);
    const bool is_there =
        found != cluster_.view().topics.end() && found->second.error == ErrorCode::none;
    if (!is_there || found->second.partitions.empty())
        throw unknown("Topic " + topic + " not found.");
    Replicas replicas;
    for (const auto& partition : found->second.partitions)
        replicas[{topic, partition.index}] = partition.replicas;
    return replicas;
}

Replicas ReassignmentCluster::replicas_of(const Replicas& partitions, bool may_miss) {
    Replicas found;
    for (const auto& [name, topic] : cluster_.view().topics) {
        for (const auto& partition : topic.partitions) {
            const TopicPartition at{name, partition.index};
            if (partitions.contains(at)) found[at] = partition.replicas;
        }
    }
    std::string missing;
    for (const auto& [at, replicas] : partitions) {
        if (!found.contains(at)) missing += (missing.empty() ? "" : ", ") + text_of(at);
    }
    if (!missing.empty() && !may_miss) throw unknown("Unable to find partition: " + missing);
    return found;
}

std::map<TopicPartition, ReplicaMove> ReassignmentCluster::moves() {
    using Response = protocol::ListPartitionReassignmentsResponse;
    protocol::ListPartitionReassignmentsRequest request;
    request.topics.reset();
    std::map<TopicPartition, ReplicaMove> moves;
    const auto attempt = [&]() -> ClientResult<bool> {
        const auto answer = cluster_.call<protocol::ListPartitionReassignmentsApi, Response>(
            cluster_.controller(), request);
        if (!answer) return base::Unexpected(answer.error());
        moves.clear();
        for (const auto& topic : (*answer)->topics) {
            for (const auto& partition : topic.partitions) {
                moves[{topic.name.str(), partition.partition_index}] = {
                    partition.replicas, partition.adding_replicas, partition.removing_replicas};
            }
        }
        return from_controller(cluster_, (*answer)->error_code, (*answer)->error_message, true);
    };
    need(cluster_.retry(attempt));
    return moves;
}

void ReassignmentCluster::reassign(
    const std::map<TopicPartition, std::optional<std::vector<BrokerId>>>& targets,
    const std::string& title, bool may_change_factor) {
    using Response = protocol::AlterPartitionReassignmentsResponse;
    protocol::AlterPartitionReassignmentsRequest request;
    request.timeout_ms = static_cast<std::int32_t>(settings_.request_timeout.count());
    request.allow_replication_factor_change = may_change_factor;
    for (const auto& [at, target] : targets) {
        if (request.topics.empty() || request.topics.back().name != at.topic)
            request.topics.emplace_back().name = wire::Text::borrowed(at.topic);
        auto& partition = request.topics.back().partitions.emplace_back();
        partition.partition_index = at.partition;
        partition.replicas = target;
    }
    std::string refusals;
    const auto attempt = [&]() -> ClientResult<bool> {
        const auto answer = cluster_.call<protocol::AlterPartitionReassignmentsApi, Response>(
            cluster_.controller(), request);
        if (!answer) return base::Unexpected(answer.error());
        refusals.clear();
        for (const auto& topic : (*answer)->responses) {
            for (const auto& partition : topic.partitions) {
                if (partition.error_code == ErrorCode::none) continue;
                const auto fault =
                    refused(partition.error_code,
                            partition.error_message ? partition.error_message->str() : "");
                refusals += "\n" +
                            text_of(TopicPartition{topic.name.str(), partition.partition_index}) +
                            ": " + fault.detail;
            }
        }
        return from_controller(cluster_, (*answer)->error_code, (*answer)->error_message, true);
    };
    need(cluster_.retry(attempt));
    if (!refusals.empty()) throw ToolError(title + refusals, terse);
}

std::map<ReplicaPlace, DirectoryState> ReassignmentCluster::directories(
    const std::map<ReplicaPlace, std::string>& of) {
    using Response = protocol::DescribeLogDirsResponse;
    std::map<ReplicaPlace, DirectoryState> states;
    std::set<BrokerId> brokers;
    for (const auto& [place, directory] : of) {
        states[place];
        brokers.insert(place.broker);
    }
    for (const auto id : brokers) {
        protocol::DescribeLogDirsRequest request;
        request.topics.reset();
        const auto answer = need(cluster_.retry([&] {
            return cluster_.call<protocol::DescribeLogDirsApi, Response>(cluster_.broker(id),
                                                                         request);
        }));
        for (const auto& directory : answer->results) {
            for (const auto& topic : directory.topics) {
                for (const auto& partition : topic.partitions) {
                    const auto state =
                        states.find({{topic.name.str(), partition.partition_index}, id});
                    if (state == states.end()) continue;
                    (partition.is_future_key ? state->second.future : state->second.current) =
                        directory.log_dir.str();
                }
            }
        }
    }
    return states;
}

namespace {

protocol::AlterReplicaLogDirsRequest request_to_move(const std::map<ReplicaPlace, std::string>& to,
                                                     BrokerId id) {
    protocol::AlterReplicaLogDirsRequest request;
    for (const auto& [place, directory] : to) {
        if (place.broker != id) continue;
        auto& dirs = request.dirs;
        auto found =
            std::ranges::find(dirs, directory, [](const auto& each) { return each.path.view(); });
        if (found == dirs.end()) {
            dirs.emplace_back().path = wire::Text::borrowed(directory);
            found = std::prev(dirs.end());
        }
        if (found->topics.empty() || found->topics.back().name != place.at.topic)
            found->topics.emplace_back().name = wire::Text::borrowed(place.at.topic);
        found->topics.back().partitions.push_back(place.at.partition);
    }
    return request;
}

// Ask the broker once; what it begins is said, and taken out of `left`.
ClientResult<void> begin_moves(Cluster& cluster, BrokerId id,
                               std::map<ReplicaPlace, std::string>& left) {
    using Response = protocol::AlterReplicaLogDirsResponse;
    const auto answer = cluster.call<protocol::AlterReplicaLogDirsApi, Response>(
        cluster.broker(id), request_to_move(left, id));
    if (!answer) return base::Unexpected(answer.error());
    ClientResult<void> outcome;
    for (const auto& topic : (*answer)->results) {
        for (const auto& partition : topic.partitions) {
            const ReplicaPlace place{{topic.topic_name.str(), partition.partition_index}, id};
            const auto found = left.find(place);
            if (found == left.end()) continue;
            // It is noted, and done when the replica has been made.
            if (partition.error_code == ErrorCode::replica_not_available) {
                outcome = base::Unexpected(refused(partition.error_code));
            } else if (partition.error_code != ErrorCode::none) {
                throw ToolError("Failed to alter dir for " + text_of(place) + ": " +
                                    qualified(refused(partition.error_code)),
                                "org.apache.kafka.server.common.AdminCommandFailedException");
            } else {
                std::cout << "Successfully started moving log directory to " << found->second
                          << " for replica " << text_of(place.at) << " with broker " << id.value()
                          << std::endl;
                left.erase(found);
            }
        }
    }
    return outcome;
}

}  // namespace

void ReassignmentCluster::move_directories(const std::map<ReplicaPlace, std::string>& to,
                                           std::chrono::milliseconds patience) {
    auto left = to;
    std::set<BrokerId> ids;
    for (const auto& [place, directory] : to) ids.insert(place.broker);
    auto settings = settings_;
    settings.api_timeout = patience;
    Cluster brokers(settings);
    for (const auto id : ids) {
        const auto attempt = [&]() -> ClientResult<void> {
            if (const auto known = brokers.refresh(std::vector<std::string>()); !known)
                return base::Unexpected(known.error());
            return begin_moves(brokers, id, left);
        };
        const auto begun = brokers.retry(attempt);
        if (begun) continue;
        if (begun.error().code != ErrorCode::replica_not_available) throw_fault(begun.error());
        std::string names;
        for (const auto& [place, directory] : left)
            names += (names.empty() ? "" : ",") + text_of(place);
        throw ToolError("Timed out before log directory move" +
                            std::string(left.size() == 1 ? "" : "s") +
                            " could be started for: " + names,
                        terse);
    }
}

void ReassignmentCluster::configure(ResourceType type, const std::string& name,
                                    const std::vector<ConfigChange>& changes) {
    need(alter_configs(cluster_, type, name, changes));
}

}  // namespace broker
