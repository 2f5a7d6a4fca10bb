#include "broker/api/fetch_sessions.h"

#include "protocol/records/convert.h"

namespace broker {

using protocol::ErrorCode;
using protocol::FetchRequest;
using protocol::FetchResponse;

FetchPlan FetchSessions::plan(const RequestContext& context, const FetchRequest& request) {
    FetchPlan plan;
    const auto image = context.image();
    if (request.session_epoch > 0) {
        plan.error = ErrorCode::fetch_session_id_not_found;
        return plan;
    }
    for (const auto& topic : request.topics) {
        const TopicImage* known = context.api_version >= 13 ? image->find_topic(topic.topic_id) : nullptr;
        for (const auto& partition : topic.partitions) {
            auto& planned = plan.partitions.emplace_back();
            planned.topic = known ? known->name : topic.topic.str();
            planned.topic_id = topic.topic_id;
            planned.index = partition.partition;
            planned.fetch_offset = partition.fetch_offset;
            planned.current_leader_epoch = partition.current_leader_epoch;
            planned.last_fetched_epoch = partition.last_fetched_epoch;
            planned.bytes_max = partition.partition_max_bytes;
            if (context.api_version >= 13 && !known) planned.error = ErrorCode::unknown_topic_id;
        }
    }
    return plan;
}

FetchResponse FetchSessions::answer(const RequestContext& context, const FetchPlan& plan,
                                    std::vector<PartitionAnswer> answers) {
    FetchResponse response;
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < answers.size(); ++i) {
        const auto& planned = plan.partitions[i];
        bytes += answers[i].answer.records.size();
        const bool same = !response.responses.empty() && response.responses.back().topic_id == planned.topic_id &&
                          response.responses.back().topic == planned.topic;
        auto& topic = same ? response.responses.back() : response.responses.emplace_back();
        topic.topic = wire::Text(planned.topic);
        topic.topic_id = planned.topic_id;
        topic.partitions.push_back(std::move(answers[i].answer));
    }
    response.throttle_time_ms = context.throttle(bytes);
    return response;
}

void convert_down(const storage::ReadResult& data, const TopicConfig& topic, base::Offset fetch_offset,
                  std::int16_t version, FetchResponse::Topic::Partition& answer) {
    const auto refuse = [&](ErrorCode error) {
        answer.error_code = error;
        answer.high_watermark = base::Offset(-1);
    };
    if (!topic.message_downconversion_enable) return refuse(ErrorCode::unsupported_version);
    if (topic.compression() == CompressionType::zstd) return refuse(ErrorCode::unsupported_compression_type);
    std::vector<std::byte> stored(data.slice->size());
    if (!data.slice->read(0, stored) || !data.slice->still_holds()) return refuse(ErrorCode::not_leader_or_follower);
    thread_local records::ConvertScratch scratch;
    std::vector<std::byte> converted;
    const std::int8_t magic = version <= 1 ? 0 : 1;
    const auto done = records::to_messages(stored, magic, fetch_offset, {}, scratch, converted);
    if (!done) {
        return refuse(done.error() == records::ConvertFault::not_possible ? ErrorCode::unsupported_compression_type
                                                                          : ErrorCode::corrupt_message);
    }
    if (converted.empty()) records::partial_entry(stored.size(), converted);
    answer.records = wire::Payload(std::move(converted));
}

}  // namespace broker
