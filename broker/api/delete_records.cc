// DeleteRecords: move the start of partitions up to an offset; what lies below is gone.
//
// Source: facts/kafka.md §2.7.

#include "broker/api/handlers.h"
#include "broker/api/keep_last.h"
#include "broker/api/local_partition.h"

namespace broker {

using base::Offset;
using protocol::DeleteRecordsRequest;
using protocol::DeleteRecordsResponse;
using protocol::ErrorCode;

Answer<DeleteRecordsResponse> handle(RequestContext& context, DeleteRecordsRequest request) {
    const auto image = context.image();
    DeleteRecordsResponse response;
    for (auto& topic : request.topics) {
        keep_last(topic.partitions);
        if (topic.partitions.empty()) continue;
        auto& topic_answer = response.topics.emplace_back();
        topic_answer.name = topic.name;
        const bool may = context.authorise(Operation::remove, ResourceType::topic, topic.name);
        const TopicImage* known = image->find_topic(topic.name.view());
        for (const auto& asked : topic.partitions) {
            auto& answer = topic_answer.partitions.emplace_back();
            answer.partition_index = asked.partition_index;
            answer.low_watermark = Offset(-1);
            const auto partition = local_partition(*image, known, asked.partition_index);
            if (!may) {
                answer.error_code = ErrorCode::topic_authorization_failed;
            } else if (is_internal_topic(topic.name)) {
                answer.error_code = ErrorCode::invalid_topic_exception;
            } else if (!partition) {
                answer.error_code = partition.error();
            } else if (const auto start = (*partition)->delete_records(asked.offset)) {
                answer.low_watermark = *start;
            } else {
                answer.error_code = start.error();
            }
        }
    }
    response.throttle_time_ms = context.throttle(0);
    return response;
}

}  // namespace broker
