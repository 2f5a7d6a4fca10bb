// DescribeProducers: who writes to a partition with a producer id (KIP-664).

#include "broker/api/handlers.h"
#include "broker/api/local_partition.h"

namespace broker {

using protocol::DescribeProducersRequest;
using protocol::DescribeProducersResponse;
using protocol::ErrorCode;

namespace {

void describe(const storage::ProducerFacts& producer,
              DescribeProducersResponse::Topic::Partition& answer) {
    auto& each = answer.active_producers.emplace_back();
    each.producer_id = producer.producer;
    each.producer_epoch = producer.epoch;
    each.last_sequence = producer.last_sequence;
    each.last_timestamp = producer.last_timestamp;
    each.coordinator_epoch = producer.coordinator_epoch;
    each.current_txn_start_offset = producer.transaction_start.value_or(base::Offset(-1));
}

}  // namespace

Answer<DescribeProducersResponse> handle(RequestContext& context,
                                         DescribeProducersRequest request) {
    const auto image = context.image();
    DescribeProducersResponse response;
    for (const auto& topic : request.topics) {
        auto& topic_answer = response.topics.emplace_back();
        topic_answer.name = topic.name;
        const bool may = context.authorise(Operation::read, ResourceType::topic, topic.name);
        const TopicImage* known = image->find_topic(topic.name.view());
        for (const auto index : topic.partition_indexes) {
            auto& answer = topic_answer.partitions.emplace_back();
            answer.partition_index = index;
            const auto partition = local_partition(*image, known, index);
            if (!may) {
                answer.error_code = ErrorCode::topic_authorization_failed;
            } else if (const auto valid = check_topic_name(topic.name); !valid) {
                answer.error_code = valid.error().code;
                answer.error_message = wire::Text(valid.error().message);
            } else if (!partition) {
                answer.error_code = partition.error();
                if (!known) answer.error_message = wire::Text("there is no such topic");
            } else if (const auto producers = (*partition)->producers()) {
                for (const auto& producer : *producers) describe(producer, answer);
            } else {
                answer.error_code = producers.error();
            }
        }
    }
    response.throttle_time_ms = context.throttle(0);
    return response;
}

}  // namespace broker
