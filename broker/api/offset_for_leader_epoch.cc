// OffsetForLeaderEpoch: where the records of a leader's term end, so that a reader finds out
// whether what it has read still stands (KIP-320).

#include "broker/api/handlers.h"
#include "broker/api/local_partition.h"

namespace broker {

using protocol::ErrorCode;
using protocol::OffsetForLeaderEpochRequest;
using protocol::OffsetForLeaderEpochResponse;

Answer<OffsetForLeaderEpochResponse> handle(RequestContext& context,
                                            OffsetForLeaderEpochRequest request) {
    const auto image = context.image();
    OffsetForLeaderEpochResponse response;
    for (const auto& topic : request.topics) {
        auto& topic_answer = response.topics.emplace_back();
        topic_answer.topic = topic.topic;
        const bool may = context.authorise(Operation::describe, ResourceType::topic, topic.topic);
        const TopicImage* known = image->find_topic(topic.topic.view());
        for (const auto& asked : topic.partitions) {
            auto& answer = topic_answer.partitions.emplace_back();
            answer.partition = asked.partition;
            const auto partition = local_partition(*image, known, asked.partition);
            if (!may) {
                answer.error_code = ErrorCode::topic_authorization_failed;
            } else if (!partition) {
                answer.error_code = partition.error();
            } else if (const auto end =
                           (*partition)
                               ->end_of_epoch(asked.leader_epoch, asked.current_leader_epoch)) {
                answer.leader_epoch = end->epoch;
                answer.end_offset = end->end;
            } else {
                answer.error_code = end.error();
            }
        }
    }
    response.throttle_time_ms = context.throttle(0);
    return response;
}

}  // namespace broker
