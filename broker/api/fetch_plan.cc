#include "broker/api/fetch_plan.h"

#include <algorithm>
#include <string_view>
#include <tuple>
#include <utility>

namespace broker {

using protocol::ErrorCode;
using protocol::FetchRequest;

namespace {

// Of a partition that is asked for several times, the last counts, in the place of the first.
void drop_repetitions(std::vector<FetchPartition>& partitions) {
    if (partitions.size() < 2) return;
    const auto key = [](const FetchPartition* each) {
        return std::tuple(each->topic->name, each->topic->id, each->index);
    };
    std::vector<FetchPartition*> sorted;
    sorted.reserve(partitions.size());
    for (auto& each : partitions) sorted.push_back(&each);
    // Those of one key as they came. Not stable_sort: clang takes libstdc++ 12's for a mistake.
    std::ranges::sort(sorted, {},
                      [&](const FetchPartition* each) { return std::pair(key(each), each); });
    bool repeats = false;
    FetchPartition* first = sorted.front();
    for (std::size_t i = 1; i < sorted.size(); ++i) {
        if (key(sorted[i]) != key(first)) {
            first = sorted[i];
            continue;
        }
        *first = *sorted[i];
        sorted[i]->topic = nullptr;
        repeats = true;
    }
    if (repeats)
        std::erase_if(partitions, [](const FetchPartition& each) { return each.topic == nullptr; });
}

// Look at each topic of a list with the name it has, which is empty for an id nobody knows.
template <class Topics, class Look>
void for_each_topic(const RequestContext& context, const ClusterImage& image, const Topics& topics,
                    Look look) {
    for (const auto& topic : topics) {
        std::string_view name = topic.topic.view();
        if (context.api_version >= fetch_version_by_id) {
            const TopicImage* const known = image.find_topic(topic.topic_id);
            name = known ? std::string_view(known->name) : std::string_view();
        }
        look(topic, name);
    }
}

}  // namespace

void take_partitions(const RequestContext& context, const FetchRequest& request, FetchPlan& plan) {
    std::size_t count = 0;
    for (const auto& topic : request.topics) count += topic.partitions.size();
    plan.topics.reserve(request.topics.size());
    plan.partitions.reserve(count);
    for_each_topic(context, *plan.image, request.topics,
                   [&](const auto& topic, std::string_view name) {
                       const auto& view = plan.topics.emplace_back(name, topic.topic_id);
                       for (const auto& asked : topic.partitions) {
                           auto& partition = plan.partitions.emplace_back();
                           partition.topic = &view;
                           partition.index = asked.partition;
                           partition.ask(asked);
                       }
                   });
    drop_repetitions(plan.partitions);
}

ErrorCode update_session(const RequestContext& context, const FetchRequest& request,
                         FetchPlan& plan) {
    auto& sessions = context.services.fetch_sessions;
    auto& session = *plan.session;
    if (!request.topics.empty()) {
        std::size_t bytes = 0;
        for_each_topic(context, *plan.image, request.topics,
                       [&](const auto& topic, std::string_view name) {
                           bytes += FetchSession::cost(name.size(), topic.partitions.size());
                       });
        if (!sessions.has_room(bytes)) {
            // As if it had been evicted: its client goes on with full requests.
            sessions.close(session.id());
            return ErrorCode::fetch_session_id_not_found;
        }
        for_each_topic(context, *plan.image, request.topics,
                       [&](const auto& topic, std::string_view name) {
                           for (const auto& asked : topic.partitions)
                               session.set(name, topic.topic_id, asked);
                       });
    }
    for_each_topic(context, *plan.image, request.forgotten_topics_data,
                   [&](const auto& topic, std::string_view name) {
                       for (const auto index : topic.partitions)
                           session.forget(name, topic.topic_id, index);
                   });
    if (request.topics.empty() && request.forgotten_topics_data.empty() && !session.empty())
        return ErrorCode::none;
    const bool is_over = session.empty();
    sessions.settle(session);
    if (is_over) {
        plan.session.release();
        take_partitions(context, request, plan);
    }
    return ErrorCode::none;
}

}  // namespace broker
