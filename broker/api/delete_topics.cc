// DeleteTopics: topics and all their records, by name or by id.
//
// Source: facts/kafka.md §6.4.

#include "broker/api/handlers.h"
#include "broker/groups/group_coordinator.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace broker {

using protocol::DeleteTopicsRequest;
using protocol::DeleteTopicsResponse;
using protocol::ErrorCode;

namespace {

// Fill name and id of the answer from the request, and judge it. Like Apache Kafka 3.9 it says no
// more than a code: error_message stays null.
void resolve(const RequestContext& context, const ClusterImage& image,
             DeleteTopicsResponse::Topic& answer) {
    if (!image.config->delete_topic_enable) {
        answer.error_code = context.api_version < 3 ? ErrorCode::invalid_request
                                                    : ErrorCode::topic_deletion_disabled;
        return;
    }
    const bool by_id = !answer.name;
    const TopicImage* known =
        by_id ? image.find_topic(answer.topic_id) : image.find_topic(answer.name->view());
    if (by_id && known &&
        context.authorise(Operation::describe, ResourceType::topic, known->name)) {
        answer.name = wire::Text(known->name);
    }
    if (known && !context.authorise(Operation::remove, ResourceType::topic, known->name)) {
        answer.error_code = ErrorCode::topic_authorization_failed;
    } else if (!known) {
        answer.error_code =
            by_id ? ErrorCode::unknown_topic_id : ErrorCode::unknown_topic_or_partition;
    } else {
        answer.topic_id = known->id;
    }
}

// What is asked for, each once; what is asked for twice is refused.
std::vector<DeleteTopicsResponse::Topic> each_once(const DeleteTopicsRequest& request) {
    std::vector<DeleteTopicsResponse::Topic> asked;
    std::map<std::pair<std::optional<std::string>, base::Uuid>, std::size_t> places;
    const auto add = [&](const std::optional<wire::Text>& name, base::Uuid id) {
        const auto [place, is_new] = places.try_emplace(
            {name ? std::optional(name->str()) : std::nullopt, id}, asked.size());
        if (!is_new) {
            asked[place->second].error_code = ErrorCode::invalid_request;
            return;
        }
        auto& topic = asked.emplace_back();
        topic.name = name;
        topic.topic_id = id;
        // Either by its name or by its id.
        if (name.has_value() == (id != base::Uuid{})) topic.error_code = ErrorCode::invalid_request;
    };
    for (const auto& name : request.topic_names) add(name, {});
    for (const auto& topic : request.topics) add(topic.name, topic.topic_id);
    return asked;
}

// The answers, with the names of topics to delete. A topic given by its name and by its id is
// refused once.
std::vector<DeleteTopicsResponse::Topic> judged(const RequestContext& context,
                                                const DeleteTopicsRequest& request) {
    const auto image = context.image();
    std::vector<DeleteTopicsResponse::Topic> answers;
    std::map<std::string, std::size_t> places;
    for (auto& topic : each_once(request)) {
        if (topic.error_code == ErrorCode::none) resolve(context, *image, topic);
        if (topic.error_code == ErrorCode::none) {
            const auto [place, is_new] = places.try_emplace(topic.name->str(), answers.size());
            if (!is_new) {
                answers[place->second].error_code = ErrorCode::invalid_request;
                continue;
            }
        }
        answers.push_back(std::move(topic));
    }
    return answers;
}

boost::asio::awaitable<DeleteTopicsResponse> remove(RequestContext context,
                                                    DeleteTopicsRequest request) {
    DeleteTopicsResponse response;
    response.responses = judged(context, request);
    std::vector<std::string> topics;
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < response.responses.size(); ++i) {
        if (response.responses[i].error_code != ErrorCode::none) continue;
        places.push_back(i);
        topics.push_back(response.responses[i].name->str());
    }
    auto& cluster = context.services.cluster;
    auto work = [&] { return cluster.delete_topics(topics); };
    const auto outcomes = co_await run_on(cluster.controller(), std::move(work));
    std::set<std::string> deleted;
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
        auto& answer = response.responses[places[i]];
        answer.error_code = outcomes[i].error;
        if (outcomes[i].error == ErrorCode::none) deleted.insert(topics[i]);
    }
    if (!deleted.empty()) context.services.groups.forget_topics(deleted);
    const auto are_gone = [deleted](const ClusterImage& image) {
        return std::ranges::none_of(
            deleted, [&](const std::string& name) { return image.find_topic(name) != nullptr; });
    };
    if (!are_gone(*context.image()) && request.timeout_ms > 0)
        (void)co_await cluster.until(are_gone, std::chrono::milliseconds(request.timeout_ms));
    for (auto& answer : response.responses) {
        const bool is_marked = answer.name && deleted.contains(answer.name->str());
        if (is_marked && context.image()->find_topic(answer.name->view()))
            answer.error_code = ErrorCode::request_timed_out;
    }
    response.throttle_time_ms = context.throttle(0);
    co_return response;
}

}  // namespace

Answer<DeleteTopicsResponse> handle(RequestContext& context, DeleteTopicsRequest request) {
    return remove(context, std::move(request));
}

}  // namespace broker
