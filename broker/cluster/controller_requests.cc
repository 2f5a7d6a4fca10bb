#include "broker/cluster/controller_requests.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

namespace broker {

using base::BrokerId;
using control::BrokerRequest;
using control::Term;
using protocol::LeaderAndIsrRequest;
using protocol::LeaderAndIsrResponse;
using protocol::StopReplicaRequest;
using protocol::StopReplicaResponse;
using protocol::UpdateMetadataRequest;
using wire::Text;

namespace {

// From which version on partitions are grouped by topic.
constexpr std::int16_t roles_grouped_since = 2;
constexpr std::int16_t metadata_grouped_since = 5;
constexpr std::int16_t stops_grouped_since = 1;
// From which version on each partition says for itself whether it is to be deleted.
constexpr std::int16_t stops_told_apart_since = 3;
// From which version on topics have ids; the answer names them by nothing else then.
constexpr std::int16_t roles_by_id_since = 5;
constexpr std::int16_t metadata_by_id_since = 7;
constexpr base::Uuid no_id{};

template <class Request>
Request begin(const Term& term, const BrokerRequest& what) {
    Request request;
    request.controller_id = term.controller;
    request.controller_epoch = term.epoch;
    request.broker_epoch = what.broker_epoch;
    return request;
}

// The group of a topic, which stands last if it is there: partitions come topic by topic.
template <class Group>
Group& group_of(std::vector<Group>& groups, const std::string& topic, const base::Uuid& id) {
    if (groups.empty() || groups.back().topic_name != topic) {
        auto& group = groups.emplace_back();
        group.topic_name = Text::borrowed(topic);
        group.topic_id = id;
    }
    return groups.back();
}

LeaderAndIsrRequest::PartitionState role_of(const control::LeaderAndIsr::Partition& partition) {
    LeaderAndIsrRequest::PartitionState role;
    role.topic_name = Text::borrowed(partition.topic);
    role.partition_index = partition.index;
    role.controller_epoch = partition.state.controller_epoch;
    role.leader = partition.state.leader;
    role.leader_epoch = partition.state.leader_epoch;
    role.isr = partition.state.isr;
    role.partition_epoch = partition.partition_epoch;
    role.replicas = partition.assignment.replicas;
    role.adding_replicas = partition.assignment.adding;
    role.removing_replicas = partition.assignment.removing;
    role.is_new = partition.is_new;
    role.leader_recovery_state = partition.state.recovering ? 1 : 0;
    return role;
}

UpdateMetadataRequest::PartitionState metadata_of(
    const control::UpdateMetadata::Partition& partition) {
    UpdateMetadataRequest::PartitionState state;
    state.topic_name = Text::borrowed(partition.topic);
    state.partition_index = partition.index;
    state.controller_epoch = partition.state.controller_epoch;
    state.leader = partition.state.leader;
    state.leader_epoch = partition.state.leader_epoch;
    state.isr = partition.state.isr;
    state.zk_version = partition.partition_epoch;
    state.replicas = partition.replicas;
    state.offline_replicas = partition.offline;
    return state;
}

UpdateMetadataRequest::LiveBroker live_broker(const control::Broker& broker) {
    UpdateMetadataRequest::LiveBroker live;
    live.id = broker.id.value();
    for (const auto& each : broker.endpoints) {
        auto& endpoint = live.endpoints.emplace_back();
        endpoint.port = each.port;
        endpoint.host = Text::borrowed(each.host);
        endpoint.listener = Text::borrowed(each.listener);
        endpoint.security_protocol = each.security_protocol;
    }
    live.rack.reset();
    if (broker.rack) live.rack = Text::borrowed(*broker.rack);
    return live;
}

void add_stop(StopReplicaRequest& request, const control::StopReplica::Partition& partition,
              std::int16_t version) {
    const std::string& topic = partition.at.topic;
    if (version < stops_grouped_since) {
        request.ungrouped_partitions.push_back({Text::borrowed(topic), partition.at.partition});
    } else if (version < stops_told_apart_since) {
        if (request.topics.empty() || request.topics.back().name != topic)
            request.topics.emplace_back().name = Text::borrowed(topic);
        request.topics.back().partition_indexes.push_back(partition.at.partition);
    } else {
        if (request.topic_states.empty() || request.topic_states.back().topic_name != topic)
            request.topic_states.emplace_back().topic_name = Text::borrowed(topic);
        request.topic_states.back().partition_states.push_back(
            {partition.at.partition, partition.leader_epoch, partition.deletes});
    }
}

}  // namespace

LeaderAndIsrRequest leader_and_isr(const Term& term, const BrokerRequest& what,
                                   std::string_view listener, std::int16_t version) {
    const auto& content = std::get<control::LeaderAndIsr>(what.content);
    auto request = begin<LeaderAndIsrRequest>(term, what);
    control::Brokers leaders;
    for (const auto& partition : content.partitions) {
        leaders.push_back(partition.state.leader);
        if (version < roles_grouped_since) {
            request.ungrouped_partition_states.push_back(role_of(partition));
        } else {
            const auto& id = version < roles_by_id_since ? no_id : partition.topic_id;
            group_of(request.topic_states, partition.topic, id)
                .partition_states.push_back(role_of(partition));
        }
    }
    std::ranges::sort(leaders);
    for (const control::Broker& broker : *what.live) {
        if (!std::ranges::binary_search(leaders, broker.id)) continue;
        const auto endpoint =
            std::ranges::find(broker.endpoints, listener, &control::Endpoint::listener);
        if (endpoint == broker.endpoints.end()) continue;
        request.live_leaders.push_back({broker.id, Text::borrowed(endpoint->host), endpoint->port});
    }
    return request;
}

UpdateMetadataRequest update_metadata(const Term& term, const BrokerRequest& what,
                                      std::int16_t version) {
    const auto& content = std::get<control::UpdateMetadata>(what.content);
    auto request = begin<UpdateMetadataRequest>(term, what);
    for (const auto& partition : content.partitions) {
        if (version < metadata_grouped_since) {
            request.ungrouped_partition_states.push_back(metadata_of(partition));
        } else {
            const auto& id = version < metadata_by_id_since ? no_id : partition.topic_id;
            group_of(request.topic_states, partition.topic, id)
                .partition_states.push_back(metadata_of(partition));
        }
    }
    for (const auto& broker : *what.live) request.live_brokers.push_back(live_broker(broker));
    return request;
}

std::vector<StopReplicaRequest> stop_replica(const Term& term, const BrokerRequest& what,
                                             std::int16_t version) {
    const auto& content = std::get<control::StopReplica>(what.content);
    std::vector<StopReplicaRequest> requests;
    const auto add = [&](auto is_in) {
        auto request = begin<StopReplicaRequest>(term, what);
        bool is_empty = true;
        for (const auto& partition : content.partitions) {
            if (!is_in(partition)) continue;
            is_empty = false;
            request.delete_partitions = partition.deletes;
            add_stop(request, partition, version);
        }
        if (!is_empty) requests.push_back(std::move(request));
    };
    if (version >= stops_told_apart_since) {
        add([](const auto&) { return true; });
    } else {
        add([](const auto& partition) { return !partition.deletes; });
        add([](const auto& partition) { return partition.deletes; });
    }
    return requests;
}

std::vector<control::PartitionError> errors_of(const control::LeaderAndIsr& asked,
                                               const LeaderAndIsrResponse& response,
                                               std::int16_t version) {
    std::vector<control::PartitionError> errors;
    if (version < roles_by_id_since) {
        for (const auto& each : response.partition_errors)
            errors.push_back({{each.topic_name.str(), each.partition_index}, each.error_code});
        return errors;
    }
    std::map<base::Uuid, const std::string*> names;
    for (const auto& partition : asked.partitions) {
        names.emplace(partition.topic_id, &partition.topic);
    }
    for (const auto& topic : response.topics) {
        const auto name = names.find(topic.topic_id);
        if (name == names.end()) continue;
        for (const auto& each : topic.partition_errors)
            errors.push_back({{*name->second, each.partition_index}, each.error_code});
    }
    return errors;
}

std::vector<control::PartitionError> errors_of(const StopReplicaResponse& response) {
    std::vector<control::PartitionError> errors;
    for (const auto& each : response.partition_errors)
        errors.push_back({{each.topic_name.str(), each.partition_index}, each.error_code});
    return errors;
}

}  // namespace broker
