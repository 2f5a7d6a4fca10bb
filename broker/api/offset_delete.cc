// OffsetDelete: a group forgets offsets of topics that it does not read any more.
//
// Rules: facts/kafka.md §4.2 ("Describe / List / Delete").

#include "broker/api/groups.h"
#include "broker/api/handlers.h"
#include "broker/api/keep_last.h"

namespace broker {

using coordinator::PartitionsReply;
using protocol::ErrorCode;
using protocol::OffsetDeleteRequest;
using protocol::OffsetDeleteResponse;

Answer<OffsetDeleteResponse> handle(RequestContext& context, OffsetDeleteRequest request) {
    OffsetDeleteResponse response;
    response.throttle_time_ms = context.throttle(0);
    if (!may_use_group(context, Operation::remove, request.group_id)) {
        response.error_code = ErrorCode::group_authorization_failed;
        return response;
    }
    const auto image = context.image();
    std::vector<base::TopicPartition> partitions;
    for (auto& topic : request.topics) {
        keep_last(topic.partitions);
        if (topic.partitions.empty()) continue;
        auto& answer = response.topics.emplace_back();
        answer.name = wire::Text(topic.name.str());
        const bool may_read = context.authorise(Operation::read, ResourceType::topic, topic.name);
        const TopicImage* known = image->find_topic(topic.name.view());
        for (const auto& asked : topic.partitions) {
            auto& each = answer.partitions.emplace_back();
            each.partition_index = asked.partition_index;
            if (!may_read) {
                each.error_code = ErrorCode::topic_authorization_failed;
            } else if (!known || !known->find(asked.partition_index)) {
                each.error_code = ErrorCode::unknown_topic_or_partition;
            } else {
                partitions.push_back({topic.name.str(), asked.partition_index});
            }
        }
    }
    auto asked = context.services.groups.delete_offsets(context.executor, request.group_id.str(),
                                                        partitions);
    return answer_with<PartitionsReply, OffsetDeleteResponse>(
        std::move(asked), [response = std::move(response)](const PartitionsReply& reply) mutable {
            response.error_code = reply.error;
            if (reply.error != ErrorCode::none) {
                response.topics.clear();
                return std::move(response);
            }
            auto judged = reply.partitions.begin();
            for (auto& topic : response.topics) {
                for (auto& each : topic.partitions) {
                    if (each.error_code != ErrorCode::none || judged == reply.partitions.end())
                        continue;
                    each.error_code = *judged++;
                }
            }
            return std::move(response);
        });
}

}  // namespace broker
