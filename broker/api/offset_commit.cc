// OffsetCommit: a group remembers how far it has read.
//
// Each partition is judged by itself, and one refusal does not stop the others. What is
// accepted is written as one batch and answered when it is committed.
//
// Version 0 kept offsets in ZooKeeper. Here they go where all others go, so that an old
// client and a new one of the same group see the same.
//
// Rules: facts/kafka.md §4.4.

#include "broker/api/groups.h"
#include "broker/api/handlers.h"
#include "broker/api/keep_last.h"

namespace broker {

using coordinator::PartitionsReply;
using protocol::ErrorCode;
using protocol::OffsetCommitRequest;
using protocol::OffsetCommitResponse;

namespace {

coordinator::CommittedOffset committed(const RequestContext& context,
                                       const OffsetCommitRequest& request,
                                       const OffsetCommitRequest::Topic::Partition& asked) {
    coordinator::CommittedOffset made;
    made.offset = asked.committed_offset;
    made.leader_epoch = asked.committed_leader_epoch;
    if (asked.committed_metadata) made.metadata = asked.committed_metadata->str();
    made.commit_ms = asked.commit_timestamp == -1 ? context.now_ms : asked.commit_timestamp;
    if (request.retention_time_ms != -1) {
        // A retention beyond the end of time is for ever.
        std::int64_t expire_ms;
        const bool overflows =
            __builtin_add_overflow(context.now_ms, request.retention_time_ms, &expire_ms);
        made.expire_ms = overflows ? std::numeric_limits<std::int64_t>::max() : expire_ms;
    }
    return made;
}

}  // namespace

Answer<OffsetCommitResponse> handle(RequestContext& context, OffsetCommitRequest request) {
    const auto image = context.image();
    const bool may_commit = may_use_group(context, Operation::read, request.group_id);

    OffsetCommitResponse response;
    coordinator::CommitRequest commit;
    commit.group_id = request.group_id.str();
    commit.member = identity(request.member_id, request.group_instance_id);
    commit.generation = request.generation_id_or_member_epoch;
    for (auto& topic : request.topics) {
        keep_last(topic.partitions);
        if (topic.partitions.empty()) continue;
        auto& answer = response.topics.emplace_back();
        answer.name = wire::Text(topic.name.str());
        const bool may_read =
            may_commit && context.authorise(Operation::read, ResourceType::topic, topic.name);
        const TopicImage* known = image->find_topic(topic.name.view());
        for (const auto& asked : topic.partitions) {
            auto& each = answer.partitions.emplace_back();
            each.partition_index = asked.partition_index;
            if (!may_commit) {
                each.error_code = ErrorCode::group_authorization_failed;
            } else if (!may_read) {
                each.error_code = ErrorCode::topic_authorization_failed;
            } else if (!known || !known->find(asked.partition_index)) {
                each.error_code = ErrorCode::unknown_topic_or_partition;
            } else {
                commit.offsets.emplace_back(
                    base::TopicPartition{topic.name.str(), asked.partition_index},
                    committed(context, request, asked));
            }
        }
    }
    response.throttle_time_ms = context.throttle(0);
    if (commit.offsets.empty()) return response;

    auto asked = context.services.groups.commit(context.executor, std::move(commit));
    return answer_with<PartitionsReply, OffsetCommitResponse>(
        std::move(asked), [response = std::move(response)](const PartitionsReply& reply) mutable {
            // The coordinator judged those that were not refused before, in their order.
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
