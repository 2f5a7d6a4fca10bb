// ListPartitionReassignments: the partitions whose replicas are moving to other brokers.
//
// Source: facts/kafka.md §3.10.

#include "broker/api/handlers.h"
#include "coordinator/controller/effects.h"

#include <optional>
#include <string>
#include <utility>

namespace broker {

using protocol::ErrorCode;
using protocol::ListPartitionReassignmentsRequest;
using protocol::ListPartitionReassignmentsResponse;

namespace {

ListPartitionReassignmentsResponse refused(ErrorCode error) {
    ListPartitionReassignmentsResponse response;
    response.error_code = error;
    response.error_message = wire::Text(std::string(protocol::error_sentence(error)));
    return response;
}

boost::asio::awaitable<ListPartitionReassignmentsResponse> list(
    RequestContext context, ListPartitionReassignmentsRequest request) {
    std::optional<std::vector<base::TopicPartition>> wanted;
    if (request.topics) {
        wanted.emplace();
        for (const auto& topic : *request.topics) {
            for (const auto index : topic.partition_indexes)
                wanted->push_back({topic.name.str(), index});
        }
    }
    const auto moves = co_await context.services.cluster.list_reassignments(std::move(wanted));
    if (moves.error != ErrorCode::none) co_return refused(moves.error);
    ListPartitionReassignmentsResponse response;
    for (const auto& [at, assignment] : moves.partitions) {
        if (response.topics.empty() || response.topics.back().name != at.topic)
            response.topics.emplace_back().name = wire::Text(at.topic);
        auto& partition = response.topics.back().partitions.emplace_back();
        partition.partition_index = at.partition;
        partition.replicas = assignment.replicas;
        partition.adding_replicas = assignment.adding;
        partition.removing_replicas = assignment.removing;
    }
    response.throttle_time_ms = context.throttle(0);
    co_return response;
}

}  // namespace

Answer<ListPartitionReassignmentsResponse> handle(RequestContext& context,
                                                  ListPartitionReassignmentsRequest request) {
    if (!context.authorise(Operation::describe, ResourceType::cluster, cluster_resource))
        return refused(ErrorCode::cluster_authorization_failed);
    return list(context, std::move(request));
}

}  // namespace broker
