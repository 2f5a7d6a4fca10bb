// DeleteTopics: topics and all their records, by name or by id.
//
// Source: facts/kafka.md §6.4.

#include "broker/api/handlers.h"
#include "broker/groups/group_coordinator.h"

#include <map>
#include <set>

namespace broker {

using protocol::DeleteTopicsRequest;
using protocol::DeleteTopicsResponse;
using protocol::ErrorCode;

namespace {

void refuse(DeleteTopicsResponse::Topic& answer, ErrorCode error, std::string message) {
    answer.error_code = error;
    answer.error_message = wire::Text(std::move(message));
}

// Fill name and id of the answer from the request, and judge it.
void resolve(const RequestContext& context, const ClusterImage& image, DeleteTopicsResponse::Topic& answer) {
    if (!image.config->delete_topic_enable) {
        return refuse(answer, context.api_version < 3 ? ErrorCode::invalid_request : ErrorCode::topic_deletion_disabled,
                      "Topic deletion is disabled.");
    }
    const bool by_id = !answer.name;
    const TopicImage* known = by_id ? image.find_topic(answer.topic_id) : image.find_topic(answer.name->view());
    if (by_id && known && context.authorise(Operation::describe, ResourceType::topic, known->name)) {
        answer.name = wire::Text(known->name);
    }
    if (known && !context.authorise(Operation::remove, ResourceType::topic, known->name)) {
        return refuse(answer, ErrorCode::topic_authorization_failed, "Topic authorization failed.");
    }
    if (!known) {
        return by_id ? refuse(answer, ErrorCode::unknown_topic_id, "This server does not host this topic ID.")
                     : refuse(answer, ErrorCode::unknown_topic_or_partition, "This server does not host this topic-partition.");
    }
    answer.topic_id = known->id;
}

boost::asio::awaitable<DeleteTopicsResponse> remove(RequestContext context, DeleteTopicsRequest request) {
    const auto image = context.image();
    DeleteTopicsResponse response;
    std::map<std::string_view, int> names;
    std::map<base::Uuid, int> ids;
    for (const auto& name : request.topic_names) {
        response.responses.emplace_back().name = name;
        ++names[name.view()];
    }
    for (const auto& topic : request.topics) {
        auto& answer = response.responses.emplace_back();
        answer.name = topic.name;
        answer.topic_id = topic.topic_id;
        topic.name ? ++names[topic.name->view()] : ++ids[topic.topic_id];
    }
    std::vector<std::string> topics;
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < response.responses.size(); ++i) {
        auto& answer = response.responses[i];
        const bool both = answer.name && answer.topic_id != base::Uuid{};
        const bool twice = answer.name ? names[answer.name->view()] > 1 : ids[answer.topic_id] > 1;
        if (both) {
            refuse(answer, ErrorCode::invalid_request, "You may not specify both topic name and topic id.");
        } else if (twice) {
            refuse(answer, ErrorCode::invalid_request, answer.name ? "Duplicate topic name." : "Duplicate topic id.");
        } else {
            resolve(context, *image, answer);
        }
        if (answer.error_code != ErrorCode::none) continue;
        places.push_back(i);
        topics.push_back(answer.name->str());
    }
    auto& cluster = context.services.cluster;
    auto work = [&] { return cluster.delete_topics(topics); };
    const auto outcomes = co_await run_on(cluster.controller(), std::move(work));
    std::set<std::string> deleted;
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
        auto& answer = response.responses[places[i]];
        if (outcomes[i].error != ErrorCode::none) {
            refuse(answer, outcomes[i].error, outcomes[i].message);
        } else {
            deleted.insert(topics[i]);
        }
    }
    if (!deleted.empty()) context.services.groups.forget_topics(deleted);
    response.throttle_time_ms = context.throttle(0);
    co_return response;
}

}  // namespace

Answer<DeleteTopicsResponse> handle(RequestContext& context, DeleteTopicsRequest request) {
    return remove(context, std::move(request));
}

}  // namespace broker
