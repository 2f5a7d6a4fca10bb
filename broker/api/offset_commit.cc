// OffsetCommit: a group remembers how far it has read.
//
// Each partition is judged by itself, and one refusal does not stop the others. What is
// accepted is written as one batch and answered when it is committed.
//
// Version 0 keeps offsets in the metadata tree, beside those that the coordinator keeps, where
// consumers and monitors of Kafka 0.8 look for them.
//
// Rules: facts/kafka.md §4.4.

#include "broker/api/groups.h"
#include "broker/api/handlers.h"
#include "broker/api/keep_last.h"
#include "broker/cluster/run_on.h"
#include "broker/groups/tree_offsets.h"

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

// What was not refused before was judged since, in the same order: `next()` says how.
template <class Next>
void fill_judged(OffsetCommitResponse& response, Next next) {
    for (auto& topic : response.topics) {
        for (auto& each : topic.partitions) {
            if (each.error_code == ErrorCode::none) each.error_code = next();
        }
    }
}

boost::asio::awaitable<OffsetCommitResponse> commit_to_tree(RequestContext context,
                                                            coordinator::CommitRequest commit,
                                                            OffsetCommitResponse response) {
    const auto bytes_max =
        static_cast<std::size_t>(context.image()->config->offset_metadata_max_bytes);
    std::vector<std::pair<base::TopicPartition, base::Offset>> offsets;
    std::vector<ErrorCode> judged;
    for (const auto& [at, committed] : commit.offsets) {
        const bool is_short = committed.metadata.size() <= bytes_max;
        judged.push_back(is_short ? ErrorCode::none : ErrorCode::offset_metadata_too_large);
        if (is_short) offsets.emplace_back(at, committed.offset);
    }
    auto work = [&] {
        return store_tree_offsets(context.services.cluster.store(), commit.group_id, offsets);
    };
    auto stored = ErrorCode::invalid_group_id;
    if (may_be_in_tree(commit.group_id)) stored = co_await run_on(context.services.disk, work);
    auto next = judged.begin();
    fill_judged(response, [&] {
        const auto error = *next++;
        return error == ErrorCode::none ? stored : error;
    });
    co_return response;
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

    if (context.api_version == 0) {
        return Answer<OffsetCommitResponse>(
            commit_to_tree(context, std::move(commit), std::move(response)));
    }
    auto asked = context.services.groups.commit(context.executor, std::move(commit));
    return answer_with<PartitionsReply, OffsetCommitResponse>(
        std::move(asked), [response = std::move(response)](const PartitionsReply& reply) mutable {
            auto judged = reply.partitions.begin();
            fill_judged(response, [&] {
                return judged == reply.partitions.end() ? ErrorCode::none : *judged++;
            });
            return std::move(response);
        });
}

}  // namespace broker
