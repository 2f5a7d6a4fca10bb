// DescribeTopicPartitions: topics with their partitions, a page at a time (KIP-966).
//
// Topics come in the order of their names; a page ends after response_partition_limit
// partitions and names where the next one begins.

#include "broker/api/handlers.h"

#include <algorithm>
#include <set>

namespace broker {

using protocol::DescribeTopicPartitionsRequest;
using protocol::DescribeTopicPartitionsResponse;
using protocol::ErrorCode;

namespace {

DescribeTopicPartitionsResponse::Topic::Partition describe(const ClusterImage& image,
                                                           const PartitionImage& partition,
                                                           std::size_t index) {
    DescribeTopicPartitionsResponse::Topic::Partition answer;
    answer.partition_index = base::PartitionIndex(static_cast<std::int32_t>(index));
    answer.leader_id = partition.leader;
    answer.leader_epoch = partition.leader_epoch;
    answer.replica_nodes = partition.replicas;
    answer.isr_nodes = partition.isr;
    // Without KRaft there are none; the Java client takes no null for an answer.
    answer.eligible_leader_replicas.emplace();
    answer.last_known_elr.emplace();
    if (!image.leader_of(partition)) {
        answer.error_code = ErrorCode::leader_not_available;
        answer.leader_id = base::BrokerId(-1);
    }
    std::ranges::copy_if(partition.replicas, std::back_inserter(answer.offline_replicas),
                         [&](auto replica) { return image.is_offline(partition, replica); });
    return answer;
}

// A page begins at a topic that is asked for, or at any when all are.
bool is_sound(const DescribeTopicPartitionsRequest::Cursor& cursor,
              const DescribeTopicPartitionsRequest& request) {
    if (cursor.partition_index.value() < 0) return false;
    return request.topics.empty() || std::ranges::any_of(request.topics, [&](const auto& topic) {
               return topic.name == cursor.topic_name;
           });
}

// Where the next page begins.
DescribeTopicPartitionsResponse::NextCursor cursor_at(const std::string& topic, std::size_t index) {
    DescribeTopicPartitionsResponse::NextCursor cursor;
    cursor.topic_name = wire::Text(topic);
    cursor.partition_index = base::PartitionIndex(static_cast<std::int32_t>(index));
    return cursor;
}

DescribeTopicPartitionsResponse refused(const DescribeTopicPartitionsRequest& request,
                                        ErrorCode error) {
    DescribeTopicPartitionsResponse response;
    for (const auto& topic : request.topics) {
        auto& each = response.topics.emplace_back();
        each.name = topic.name;
        each.error_code = error;
    }
    return response;
}

}  // namespace

Answer<DescribeTopicPartitionsResponse> handle(RequestContext& context,
                                               DescribeTopicPartitionsRequest request) {
    const auto image = context.image();
    DescribeTopicPartitionsResponse response;
    std::set<std::string> names;
    if (request.topics.empty()) {
        for (const auto& topic : image->topics()) names.insert(topic->name);
    } else {
        for (const auto& topic : request.topics) names.insert(topic.name.str());
    }
    const std::string from = request.cursor ? request.cursor->topic_name.str() : std::string();
    if (request.cursor && !is_sound(*request.cursor, request))
        return refused(request, ErrorCode::invalid_request);
    const std::int32_t partitions_max = image->config->max_request_partition_size_limit;
    std::int32_t left = std::clamp(request.response_partition_limit, 1, partitions_max);
    for (auto name = names.lower_bound(from); name != names.end(); ++name) {
        const TopicImage* topic = image->find_topic(std::string_view(*name));
        const bool may_see = context.authorise(Operation::describe, ResourceType::topic, *name);
        if (!may_see && request.topics.empty()) continue;
        DescribeTopicPartitionsResponse::Topic answer;
        answer.name = wire::Text(*name);
        if (!may_see) {
            answer.error_code = ErrorCode::topic_authorization_failed;
        } else if (!topic) {
            answer.error_code = check_topic_name(*name) ? ErrorCode::unknown_topic_or_partition
                                                        : ErrorCode::invalid_topic_exception;
        }
        if (may_see && answer.error_code != ErrorCode::invalid_topic_exception) {
            answer.topic_authorized_operations = context.services.authorizer.allowed_operations(
                context.session.principal, context.session.client_host, ResourceType::topic, *name);
        }
        if (answer.error_code != ErrorCode::none) {
            response.topics.push_back(std::move(answer));
            continue;
        }
        std::size_t index =
            *name == from ? static_cast<std::size_t>(request.cursor->partition_index.value()) : 0;
        if (left == 0) {
            response.next_cursor = cursor_at(*name, 0);
            break;
        }
        answer.topic_id = topic->id;
        answer.is_internal = topic->is_internal;
        for (; index < topic->partitions.size() && left > 0; ++index, --left) {
            answer.partitions.push_back(describe(*image, topic->partitions[index], index));
        }
        const bool whole = index >= topic->partitions.size();
        response.topics.push_back(std::move(answer));
        if (whole) continue;
        response.next_cursor = cursor_at(*name, index);
        break;
    }
    response.throttle_time_ms = context.throttle(0);
    return response;
}

}  // namespace broker
