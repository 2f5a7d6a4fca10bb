// CreatePartitions: more partitions for topics that exist.
//
// Source: facts/kafka.md §6.4.

#include "broker/api/handlers.h"
#include "broker/api/topic_waits.h"

#include <map>

namespace broker {

using protocol::CreatePartitionsRequest;
using protocol::CreatePartitionsResponse;
using protocol::ErrorCode;

namespace {

boost::asio::awaitable<CreatePartitionsResponse> create(RequestContext context,
                                                        CreatePartitionsRequest request) {
    CreatePartitionsResponse response;
    std::map<std::string_view, int> names;
    for (const auto& topic : request.topics) ++names[topic.name.view()];
    std::vector<NewPartitions> wanted;
    std::vector<std::size_t> places;
    for (const auto& topic : request.topics) {
        int& times = names[topic.name.view()];
        if (times == 0) continue;  // Refused already: one answer is enough.
        auto& answer = response.results.emplace_back();
        answer.name = topic.name;
        if (times > 1) {
            times = 0;
            answer.error_code = ErrorCode::invalid_request;
            answer.error_message = wire::Text("Duplicate topic in request.");
            continue;
        }
        if (!context.authorise(Operation::alter, ResourceType::topic, topic.name)) {
            answer.error_code = ErrorCode::topic_authorization_failed;
            answer.error_message = wire::Text("The topic authorization is failed.");
            continue;
        }
        NewPartitions made;
        made.topic = topic.name.str();
        made.count = topic.count;
        if (topic.assignments) {
            made.assignments.emplace();
            for (const auto& each : *topic.assignments)
                made.assignments->push_back(each.broker_ids);
        }
        places.push_back(response.results.size() - 1);
        wanted.push_back(std::move(made));
    }
    auto& cluster = context.services.cluster;
    auto work = [&] { return cluster.create_partitions(wanted, request.validate_only); };
    const auto outcomes = co_await run_on(cluster.controller(), std::move(work));
    PartitionCounts made;
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
        auto& answer = response.results[places[i]];
        answer.error_code = outcomes[i].error;
        if (outcomes[i].error != ErrorCode::none) {
            answer.error_message = wire::Text(outcomes[i].message);
        } else if (cluster.has_company() && !request.validate_only) {
            made.emplace(wanted[i].topic, static_cast<std::size_t>(wanted[i].count));
        }
    }
    const auto image = co_await with_leaders(context, made, request.timeout_ms);
    for (auto& answer : response.results) {
        const auto count = made.find(answer.name.str());
        if (count != made.end() && !has_leaders(*image, count->first, count->second))
            answer.error_code = ErrorCode::request_timed_out;
    }
    response.throttle_time_ms = context.throttle(0);
    co_return response;
}

}  // namespace

Answer<CreatePartitionsResponse> handle(RequestContext& context, CreatePartitionsRequest request) {
    return create(context, std::move(request));
}

}  // namespace broker
