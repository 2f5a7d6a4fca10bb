// Metadata: which topics and brokers there are, and who leads which partition.
//
// Names that clients ask for and that may be created are created in the background; the
// client is told LEADER_NOT_AVAILABLE and asks again, as with Apache Kafka.
//
// Source: facts/kafka.md §6.4.

#include "broker/api/endpoint.h"
#include "broker/api/handlers.h"

#include <algorithm>
#include <set>
#include <utility>

namespace broker {

using base::BrokerId;
using protocol::ErrorCode;
using protocol::MetadataRequest;
using protocol::MetadataResponse;

namespace {

constexpr std::int16_t by_id_since = 12;

std::int32_t operations(const RequestContext& context, std::string_view topic) {
    return context.services.authorizer.allowed_operations(
        context.session.principal, context.session.client_host, ResourceType::topic, topic);
}

MetadataResponse::Topic describe(const RequestContext& context, const ClusterImage& image,
                                 const TopicImage& topic, bool with_operations) {
    MetadataResponse::Topic answer;
    answer.name = wire::Text(topic.name);
    answer.topic_id = topic.id;
    answer.is_internal = topic.is_internal;
    answer.partitions.reserve(topic.partitions.size());
    for (std::size_t i = 0; i < topic.partitions.size(); ++i) {
        const PartitionImage& partition = topic.partitions[i];
        auto& each = answer.partitions.emplace_back();
        each.partition_index = base::PartitionIndex(static_cast<std::int32_t>(i));
        each.leader_id = partition.leader;
        each.leader_epoch = partition.leader_epoch;
        each.replica_nodes = partition.replicas;
        each.isr_nodes = partition.isr;
        const BrokerImage* leader = image.leader_of(partition);
        if (!leader) {
            each.error_code = ErrorCode::leader_not_available;
            each.leader_id = BrokerId(-1);
        } else if (!endpoint_for(context, *leader)) {
            each.error_code = context.api_version >= 6 ? ErrorCode::listener_not_found
                                                       : ErrorCode::leader_not_available;
            each.leader_id = BrokerId(-1);
        }
        std::ranges::copy_if(
            partition.replicas, std::back_inserter(each.offline_replicas),
            [&](BrokerId replica) { return image.is_offline(partition, replica); });
    }
    if (with_operations) {
        answer.topic_authorized_operations = context.services.authorizer.allowed_operations(
            context.session.principal, context.session.client_host, ResourceType::topic,
            topic.name);
    }
    return answer;
}

struct Asked {
    RequestContext& context;
    const MetadataRequest& request;
    const ClusterImage& image;
    std::vector<std::string>& to_create;
};

MetadataResponse::Topic refused(const MetadataRequest::Topic& topic, ErrorCode error) {
    MetadataResponse::Topic answer;
    answer.error_code = error;
    answer.name = topic.name;
    answer.topic_id = topic.topic_id;
    return answer;
}

// Whether a topic exists that has the same name in metrics.
bool collides(const ClusterImage& image, std::string_view name) {
    if (name.find_first_of("._") == name.npos) return false;
    const std::string key = collision_key(name);
    return std::ranges::any_of(
        image.topics(), [&](const auto& topic) { return collision_key(topic->name) == key; });
}

// What a client is told of a topic that is not there; it may be there soon.
ErrorCode judge_missing(const Asked& asked, std::string_view name) {
    const auto& context = asked.context;
    if (!check_topic_name(name)) return ErrorCode::invalid_topic_exception;
    const bool may_create =
        asked.request.allow_auto_topic_creation && asked.image.config->auto_create_topics_enable;
    if (!may_create) return ErrorCode::unknown_topic_or_partition;
    if (!context.authorise(Operation::create, ResourceType::cluster, cluster_resource) &&
        !context.authorise(Operation::create, ResourceType::topic, name)) {
        return ErrorCode::topic_authorization_failed;
    }
    if (collides(asked.image, name)) return ErrorCode::invalid_topic_exception;
    asked.to_create.emplace_back(name);
    return ErrorCode::leader_not_available;
}

MetadataResponse::Topic find(const Asked& asked, const MetadataRequest::Topic& topic) {
    const auto& context = asked.context;
    const bool with_operations = asked.request.include_topic_authorized_operations;
    if (topic.topic_id != base::Uuid{} ||
        !topic.name) {  // The Java client sends an empty name with an id.
        const TopicImage* known = asked.image.find_topic(topic.topic_id);
        if (!known || !context.authorise(Operation::describe, ResourceType::topic, known->name)) {
            return refused(topic, ErrorCode::unknown_topic_id);
        }
        return describe(context, asked.image, *known, with_operations);
    }
    if (!context.authorise(Operation::describe, ResourceType::topic, *topic.name)) {
        return refused(topic, ErrorCode::topic_authorization_failed);
    }
    if (const TopicImage* known = asked.image.find_topic(topic.name->view())) {
        return describe(context, asked.image, *known, with_operations);
    }
    auto missing = refused(topic, judge_missing(asked, *topic.name));
    if (with_operations) missing.topic_authorized_operations = operations(context, *topic.name);
    return missing;
}

// What is asked for one by one: each topic once, and by id alone where any id is given.
std::vector<MetadataRequest::Topic> each_once(std::vector<MetadataRequest::Topic> topics) {
    const bool by_id = std::ranges::any_of(
        topics, [](const auto& topic) { return topic.topic_id != base::Uuid{}; });
    std::set<std::pair<base::Uuid, std::string>> seen;
    std::erase_if(topics, [&](const auto& topic) {
        if (by_id)
            return topic.topic_id == base::Uuid{} || !seen.emplace(topic.topic_id, "").second;
        return !seen.emplace(base::Uuid{}, topic.name->str()).second;
    });
    return topics;
}

// Ids are for version 12 and up, though 10 and 11 have the field, and who gives no id gives a name.
bool is_askable(const MetadataRequest& request, std::int16_t version) {
    return std::ranges::all_of(*request.topics, [version](const auto& topic) {
        const bool has_id = topic.topic_id != base::Uuid{};
        return has_id ? version >= by_id_since : topic.name.has_value();
    });
}

MetadataResponse refused(const MetadataRequest& request, ErrorCode error) {
    MetadataResponse response;
    for (const auto& topic : *request.topics) {
        auto& each = response.topics.emplace_back(refused(topic, error));
        if (!each.name) each.name = wire::Text("");
    }
    return response;
}

}  // namespace

Answer<MetadataResponse> handle(RequestContext& context, MetadataRequest request) {
    const auto image = context.image();
    if (request.topics && !is_askable(request, context.api_version)) {
        return refused(request, ErrorCode::invalid_request);
    }
    MetadataResponse response;
    response.cluster_id = wire::Text(image->cluster_id);
    response.controller_id = image->controller;
    for (const BrokerImage& broker : image->brokers) {
        const auto endpoint = endpoint_for(context, broker);
        if (!endpoint) continue;
        auto& each = response.brokers.emplace_back();
        each.node_id = broker.id;
        each.host = endpoint->host;
        each.port = endpoint->port;
        if (broker.rack) each.rack = wire::Text(*broker.rack);
    }

    // Null is every topic; version 0 has no null, and an empty list means it.
    std::vector<TopicPointer> all;
    std::vector<std::string> to_create;
    const bool everything =
        !request.topics || (context.api_version == 0 && request.topics->empty());
    if (everything) {
        all = image->topics();
        for (const auto& topic : all) {
            if (!context.authorise(Operation::describe, ResourceType::topic, topic->name)) continue;
            response.topics.push_back(
                describe(context, *image, *topic, request.include_topic_authorized_operations));
        }
    } else {
        const Asked asked{context, request, *image, to_create};
        for (const auto& topic : each_once(std::move(*request.topics))) {
            response.topics.push_back(find(asked, topic));
        }
    }
    if (!to_create.empty()) context.services.cluster.auto_create(to_create);
    if (request.include_cluster_authorized_operations) {
        response.cluster_authorized_operations = context.services.authorizer.allowed_operations(
            context.session.principal, context.session.client_host, ResourceType::cluster,
            cluster_resource);
    }
    response.throttle_time_ms = context.throttle(0);
    return response;
}

}  // namespace broker
