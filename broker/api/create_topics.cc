// CreateTopics: topics with partitions, replicas and configurations of their own.
//
// Source: facts/kafka.md §6.4.

#include "broker/api/handlers.h"
#include "broker/api/topic_waits.h"

#include <map>

namespace broker {

using protocol::CreateTopicsRequest;
using protocol::CreateTopicsResponse;
using protocol::ErrorCode;

namespace {

// What is wrong with an item before the controller sees it; none when nothing is.
AdminOutcome judge(const RequestContext& context, const CreateTopicsRequest::Topic& topic,
                   bool is_twice) {
    if (is_twice) return {ErrorCode::invalid_request, "Duplicate topic name."};
    const bool may =
        context.authorise(Operation::create, ResourceType::cluster, cluster_resource) ||
        context.authorise(Operation::create, ResourceType::topic, topic.name);
    if (!may) return {ErrorCode::topic_authorization_failed, "Authorization failed."};
    for (const auto& config : topic.configs) {
        if (!config.value) {
            return {ErrorCode::invalid_config,
                    "Null value not supported for topic configs: " + config.name.str()};
        }
    }
    std::map<base::PartitionIndex, int> partitions;
    for (const auto& assignment : topic.assignments) {
        if (++partitions[assignment.partition_index] > 1) {
            return {ErrorCode::invalid_replica_assignment,
                    "Partition " + std::to_string(assignment.partition_index.value()) +
                        " is assigned twice."};
        }
    }
    return {};
}

NewTopic wanted(const CreateTopicsRequest::Topic& topic) {
    NewTopic made;
    made.name = topic.name.str();
    made.partitions = topic.num_partitions;
    made.replication_factor = topic.replication_factor;
    for (const auto& each : topic.assignments)
        made.assignment.emplace(each.partition_index, each.broker_ids);
    // Who names a key twice gets the later value.
    for (const auto& each : topic.configs)
        made.configs.insert_or_assign(each.name.str(), each.value->str());
    return made;
}

void describe(const RequestContext& context, const CreatedTopic& created,
              CreateTopicsResponse::Topic& answer) {
    answer.topic_id = created.id;
    if (!context.authorise(Operation::describe_configs, ResourceType::topic, answer.name)) {
        answer.topic_config_error_code = ErrorCode::topic_authorization_failed;
        return;
    }
    answer.num_partitions = created.partitions;
    answer.replication_factor = created.replication_factor;
    answer.configs.emplace();
    for (const auto& entry : created.config->describe(*context.image()->config)) {
        auto& each = answer.configs->emplace_back();
        each.name = wire::Text(entry.name);
        if (entry.value) each.value = wire::Text(*entry.value);
        each.read_only = entry.read_only;
        each.config_source = static_cast<std::int8_t>(entry.source);
        each.is_sensitive = entry.sensitive;
    }
}

boost::asio::awaitable<CreateTopicsResponse> create(RequestContext context,
                                                    CreateTopicsRequest request) {
    CreateTopicsResponse response;
    std::map<std::string_view, int> names;
    for (const auto& topic : request.topics) ++names[topic.name.view()];
    std::vector<NewTopic> topics;
    std::vector<std::size_t> places;
    for (const auto& topic : request.topics) {
        auto& answer = response.topics.emplace_back();
        answer.name = topic.name;
        answer.error_message.reset();
        const auto outcome = judge(context, topic, names[topic.name.view()] > 1);
        answer.error_code = outcome.error;
        if (outcome.error != ErrorCode::none) {
            answer.error_message = wire::Text(outcome.message);
            continue;
        }
        places.push_back(response.topics.size() - 1);
        topics.push_back(wanted(topic));
    }
    auto& cluster = context.services.cluster;
    auto work = [&] { return cluster.create_topics(topics, request.validate_only); };
    const auto created = co_await run_on(cluster.controller(), std::move(work));
    const bool waits = cluster.has_company() && !request.validate_only;
    PartitionCounts made;
    for (std::size_t i = 0; waits && i < created.size(); ++i) {
        if (created[i].outcome.error == ErrorCode::none)
            made.emplace(topics[i].name, static_cast<std::size_t>(created[i].partitions));
    }
    const auto image = co_await with_leaders(context, made, request.timeout_ms);
    for (std::size_t i = 0; i < created.size(); ++i) {
        auto& answer = response.topics[places[i]];
        const auto& outcome = created[i].outcome;
        answer.error_code = outcome.error;
        if (outcome.error != ErrorCode::none) {
            answer.error_message = wire::Text(outcome.message);
        } else {
            describe(context, created[i], answer);
            // Created all the same: nobody waited for it, as the client wished, or long enough.
            const bool was_awaited = request.timeout_ms > 0 || request.validate_only;
            const auto name = answer.name.str();
            if (!was_awaited || (waits && !has_leaders(*image, name, made.at(name))))
                answer.error_code = ErrorCode::request_timed_out;
        }
    }
    response.throttle_time_ms = context.throttle(0);
    co_return response;
}

}  // namespace

Answer<CreateTopicsResponse> handle(RequestContext& context, CreateTopicsRequest request) {
    return create(context, std::move(request));
}

}  // namespace broker
