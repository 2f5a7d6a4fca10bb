// ListOffsets: offsets of partitions by time: the end, the start, the youngest record, or the
// first record of a moment.
//
// Rules: facts/kafka.md §2.9.

#include "broker/api/from_controller.h"
#include "broker/api/handlers.h"
#include "broker/api/local_partition.h"

#include <set>

namespace broker {

using base::BrokerId;
using base::Offset;
using protocol::ErrorCode;
using protocol::ListOffsetsRequest;
using protocol::ListOffsetsResponse;

namespace {

constexpr std::int64_t latest = -1;
constexpr std::int64_t earliest = -2;
constexpr std::int64_t max_timestamp = -3;   // Since version 7.
constexpr std::int64_t earliest_local = -4;  // Since version 8.
constexpr std::int64_t latest_tiered = -5;   // Since version 9.

using PartitionAnswer = ListOffsetsResponse::Topic::Partition;
using AskedPartition = ListOffsetsRequest::Topic::Partition;

void answer_with(PartitionAnswer& answer, Offset offset, std::int64_t timestamp,
                 base::LeaderEpoch epoch) {
    answer.offset = offset;
    answer.timestamp = timestamp;
    answer.leader_epoch = epoch;
}

// Versions from 1 on: one offset.
void look_up(const RequestContext& context, Partition& partition, const AskedPartition& asked,
             bool committed_only, bool for_replica, PartitionAnswer& answer) {
    const auto at = partition.positions(asked.current_leader_epoch);
    if (!at) {
        answer.error_code = at.error();
        return;
    }
    const auto version = context.api_version;
    // Not before what a follower has that led before is known to be everybody's.
    const ErrorCode not_yet =
        version >= 5 ? ErrorCode::offset_not_available : ErrorCode::leader_not_available;
    const bool is_catching_up = at->is_catching_up && !for_replica;
    if (asked.timestamp == latest) {
        if (is_catching_up) {
            answer.error_code = not_yet;
            return;
        }
        const Offset end = committed_only ? at->last_stable : at->high_watermark;
        return answer_with(answer, for_replica ? at->log_end : end, -1, at->leader_epoch);
    }
    if (asked.timestamp == earliest || (asked.timestamp == earliest_local && version >= 8)) {
        const auto epoch = partition.epoch_at(at->log_start).value_or(base::LeaderEpoch(-1));
        return answer_with(answer, at->log_start, -1, epoch);
    }
    if (asked.timestamp == latest_tiered && version >= 9) return;  // Nothing is tiered here: -1.
    if (asked.timestamp < 0 && !(asked.timestamp == max_timestamp && version >= 7)) {
        answer.error_code = ErrorCode::unsupported_version;
        return;
    }
    const auto found =
        asked.timestamp == max_timestamp
            ? partition.find_largest_time(committed_only, asked.current_leader_epoch)
            : partition.find_time(asked.timestamp, committed_only, asked.current_leader_epoch);
    if (!found) {
        answer.error_code = found.error();
    } else if (*found) {
        answer_with(answer, (*found)->offset, (*found)->timestamp, (*found)->leader_epoch);
    } else if (is_catching_up) {
        answer.error_code = not_yet;
    }
}

// Version 0: a list of segment starts, newest first, beginning with the end for LATEST and for
// times to come.
void look_up_old_style(const RequestContext& context, const Partition& partition,
                       const AskedPartition& asked, PartitionAnswer& answer) {
    const auto at = partition.positions();
    if (!at) {
        answer.error_code = at.error();
        return;
    }
    if (asked.timestamp < earliest) {
        answer.error_code = ErrorCode::unsupported_version;
        return;
    }
    if (asked.max_num_offsets <= 0) return;
    if (asked.timestamp == earliest) {
        answer.old_style_offsets = {at->log_start};
        return;
    }
    auto starts = partition.segment_starts();  // Ascending, with the time of each one's last write.
    std::vector<Offset> offsets;
    // The end was reached just now.
    if (asked.timestamp == latest || asked.timestamp >= context.now_ms)
        offsets.push_back(at->high_watermark);
    for (auto each = starts.rbegin(); each != starts.rend(); ++each) {
        if (each->base > at->high_watermark) continue;
        if (asked.timestamp != latest && each->modified_ms > asked.timestamp) continue;
        const Offset start = std::max(each->base, at->log_start);
        if (offsets.empty() || offsets.back() != start) offsets.push_back(start);
    }
    const auto most = static_cast<std::size_t>(asked.max_num_offsets);
    if (offsets.size() > most) offsets.resize(most);
    answer.old_style_offsets = std::move(offsets);
}

}  // namespace

Answer<ListOffsetsResponse> handle(RequestContext& context, ListOffsetsRequest request) {
    const auto image = context.image();
    const bool for_replica = request.replica_id >= BrokerId(0) && is_between_brokers(context);
    ListOffsetsResponse response;
    std::set<std::pair<std::string_view, base::PartitionIndex>> seen;
    std::set<std::pair<std::string_view, base::PartitionIndex>> twice;
    for (const auto& topic : request.topics) {
        for (const auto& partition : topic.partitions) {
            const std::pair at(topic.name.view(), partition.partition_index);
            if (!seen.insert(at).second && context.api_version > 0) twice.insert(at);
        }
    }
    for (const auto& topic : request.topics) {
        auto& topic_answer = response.topics.emplace_back();
        topic_answer.name = topic.name;
        const bool may_see =
            context.authorise(Operation::describe, ResourceType::topic, topic.name);
        const TopicImage* known = may_see ? image->find_topic(topic.name.view()) : nullptr;
        for (const auto& asked : topic.partitions) {
            auto& answer = topic_answer.partitions.emplace_back();
            answer.partition_index = asked.partition_index;
            const auto partition = local_partition(*image, known, asked.partition_index);
            if (!may_see) {
                answer.error_code = ErrorCode::topic_authorization_failed;
            } else if (twice.contains({topic.name.view(), asked.partition_index})) {
                answer.error_code = ErrorCode::invalid_request;
            } else if (!partition) {
                answer.error_code = partition.error();
            } else if (context.api_version == 0) {
                look_up_old_style(context, **partition, asked, answer);
            } else {
                look_up(context, **partition, asked, request.isolation_level == 1, for_replica,
                        answer);
            }
        }
    }
    response.throttle_time_ms = context.throttle(0);
    return response;
}

}  // namespace broker
