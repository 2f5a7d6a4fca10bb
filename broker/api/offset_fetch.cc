// OffsetFetch: how far groups have read.
//
// A partition that was never committed has the offset -1 and no error; only version 0, which
// asks the metadata tree and not the coordinator, knows an error for it.
//
// Rules: facts/kafka.md §4.4.

#include "broker/api/groups.h"
#include "broker/api/handlers.h"
#include "broker/cluster/run_on.h"
#include "broker/groups/tree_offsets.h"

#include <map>
#include <set>

namespace broker {

using coordinator::FetchedOffset;
using protocol::ErrorCode;
using protocol::OffsetFetchRequest;
using protocol::OffsetFetchResponse;

namespace {

constexpr std::int16_t tree_version = 0;
constexpr std::int16_t top_level_error_since = 2;
constexpr std::int16_t groups_since = 8;

// What a group is asked for; nothing: all that it has committed.
using Asked = std::optional<std::vector<base::TopicPartition>>;

struct Found {
    ErrorCode error = ErrorCode::none;  // Of the whole group.
    std::vector<FetchedOffset> offsets;
};

FetchedOffset refused(const base::TopicPartition& partition, ErrorCode error) {
    FetchedOffset offset;
    offset.partition = partition;
    offset.error = error;
    return offset;
}

// Errors that consumers handle: those of an internal topic mean nothing to them.
ErrorCode for_client(ErrorCode error) noexcept {
    switch (error) {
        case ErrorCode::unknown_topic_or_partition:
        case ErrorCode::not_enough_replicas:
        case ErrorCode::request_timed_out:
            return ErrorCode::not_coordinator;
        default:
            return error;
    }
}

Found find(const RequestContext& context, std::string_view group_id, const Asked& asked,
           bool require_stable) {
    Found found;
    if (!may_use_group(context, Operation::describe, group_id)) {
        found.error = ErrorCode::group_authorization_failed;
        return found;
    }
    const auto may_see = [&](const base::TopicPartition& partition) {
        return context.authorise(Operation::describe, ResourceType::topic, partition.topic);
    };
    auto fetched =
        context.services.groups.fetch_offsets(std::string(group_id), asked, require_stable);
    found.error = for_client(fetched.error);
    if (found.error != ErrorCode::none) return found;
    for (auto& offset : fetched.offsets) {
        if (may_see(offset.partition)) {
            found.offsets.push_back(std::move(offset));
        } else if (asked) {
            found.offsets.push_back(
                refused(offset.partition, ErrorCode::topic_authorization_failed));
        }
    }
    return found;
}

// The same fields in the answers of both forms.
template <class Partition>
void fill(Partition& answer, const FetchedOffset& offset) {
    answer.partition_index = offset.partition.partition;
    answer.committed_offset = offset.offset;
    answer.committed_leader_epoch = offset.leader_epoch;
    answer.metadata = wire::Text(offset.metadata);
    answer.error_code = offset.error;
}

// Offsets of one topic stand together, topics in the order of their first.
template <class Topic>
void fill_topics(std::vector<Topic>& topics, const std::vector<FetchedOffset>& offsets) {
    std::map<std::string_view, std::size_t> places;
    for (const auto& offset : offsets) {
        const auto [place, is_new] = places.try_emplace(offset.partition.topic, topics.size());
        if (is_new) topics.emplace_back().name = wire::Text(offset.partition.topic);
        fill(topics[place->second].partitions.emplace_back(), offset);
    }
}

template <class Topics>
Asked asked_for(const std::optional<Topics>& topics) {
    if (!topics) return std::nullopt;
    std::vector<base::TopicPartition> asked;
    std::set<base::TopicPartition> seen;
    for (const auto& topic : *topics) {
        for (const auto index : topic.partition_indexes) {
            const auto [each, is_new] = seen.insert({topic.name.str(), index});
            if (is_new) asked.push_back(*each);
        }
    }
    return asked;
}

// Version 0: what is in the tree.
Found find_in_tree(const RequestContext& context, const std::string& group_id,
                   const std::vector<base::TopicPartition>& asked) {
    Found found;
    std::vector<base::TopicPartition> wanted;
    const auto image = context.image();
    for (const auto& at : asked) {
        const auto* topic = image->find_topic(at.topic);
        if (!may_use_group(context, Operation::describe, group_id)) {
            found.offsets.push_back(refused(at, ErrorCode::group_authorization_failed));
        } else if (!context.authorise(Operation::describe, ResourceType::topic, at.topic)) {
            found.offsets.push_back(refused(at, ErrorCode::topic_authorization_failed));
        } else if (!topic || !topic->find(at.partition) || !may_be_in_tree(group_id)) {
            found.offsets.push_back(refused(at, ErrorCode::unknown_topic_or_partition));
        } else {
            wanted.push_back(at);
        }
    }
    const auto offsets = load_tree_offsets(context.services.cluster.store(), group_id, wanted);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        auto each =
            refused(wanted[i], offsets ? ErrorCode::unknown_topic_or_partition : offsets.error());
        if (offsets && (*offsets)[i]) {
            each.offset = *(*offsets)[i];
            each.error = ErrorCode::none;
        }
        found.offsets.push_back(std::move(each));
    }
    return found;
}

boost::asio::awaitable<OffsetFetchResponse> fetch_from_tree(RequestContext context,
                                                            OffsetFetchRequest request) {
    OffsetFetchResponse response;
    const auto asked = asked_for(request.topics).value_or(std::vector<base::TopicPartition>());
    auto work = [&] { return find_in_tree(context, request.group_id.str(), asked); };
    const auto found = co_await run_on(context.services.disk, work);
    fill_topics(response.topics, found.offsets);
    co_return response;
}

}  // namespace

Answer<OffsetFetchResponse> handle(RequestContext& context, OffsetFetchRequest request) {
    if (context.api_version == tree_version) {
        return Answer<OffsetFetchResponse>(fetch_from_tree(context, std::move(request)));
    }
    OffsetFetchResponse response;
    response.throttle_time_ms = context.throttle(0);
    if (context.api_version >= groups_since) {
        for (const auto& group : request.groups) {
            const auto found =
                find(context, group.group_id, asked_for(group.topics), request.require_stable);
            auto& answer = response.groups.emplace_back();
            answer.group_id = group.group_id;
            answer.error_code = found.error;
            fill_topics(answer.topics, found.offsets);
        }
        return response;
    }
    const auto asked = asked_for(request.topics);
    auto found = find(context, request.group_id, asked, request.require_stable);
    if (found.error != ErrorCode::none && context.api_version < top_level_error_since && asked) {
        for (const auto& partition : *asked)
            found.offsets.push_back(refused(partition, found.error));
    }
    response.error_code = found.error;
    fill_topics(response.topics, found.offsets);
    return response;
}

}  // namespace broker
