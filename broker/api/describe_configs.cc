// DescribeConfigs: the configurations of topics and brokers, with where each value comes from.
//
// A resource is described by itself; a type that nobody knows spoils the whole request, as
// with Apache Kafka.

#include "broker/api/config_changes.h"
#include "broker/api/handlers.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace broker {

using protocol::DescribeConfigsRequest;
using protocol::DescribeConfigsResponse;
using protocol::ErrorCode;
using Asked = DescribeConfigsRequest::Resource;
using Result = DescribeConfigsResponse::Result;

namespace {

bool is_known(std::int8_t type) {
    switch (static_cast<ConfigResource>(type)) {
        case ConfigResource::topic:
        case ConfigResource::broker:
        case ConfigResource::broker_logger:
        case ConfigResource::client_metrics:
            return true;
        case ConfigResource::group:
            break;
    }
    return false;
}

// Null is not what a new response holds, so it is always said.
std::optional<wire::Text> nullable(std::optional<std::string> text) {
    if (!text) return std::nullopt;
    return wire::Text(std::move(*text));
}

Result refused(ErrorCode error, std::string message) {
    Result result;
    result.error_code = error;
    result.error_message = std::move(message);
    return result;
}

class Describer {
public:
    Describer(const RequestContext& context, const DescribeConfigsRequest& request)
        : context_(context), request_(request), image_(context.image()) {}

    Result describe(const Asked& asked) const {
        Result result = described(asked);
        result.resource_type = asked.resource_type;
        result.resource_name = asked.resource_name;
        return result;
    }

private:
    Result described(const Asked& asked) const {
        switch (static_cast<ConfigResource>(asked.resource_type)) {
            case ConfigResource::topic:
                return topic(asked);
            case ConfigResource::broker:
                return broker(asked);
            case ConfigResource::broker_logger:
                return refused(ErrorCode::invalid_request,
                               "the levels of loggers are not shown to clients");
            case ConfigResource::client_metrics:
            case ConfigResource::group:
                break;
        }
        return refused(ErrorCode::invalid_request, "this cluster takes no metrics of clients");
    }

    Result topic(const Asked& asked) const {
        const std::string_view name = asked.resource_name;
        if (!context_.authorise(Operation::describe_configs, ResourceType::topic, name)) {
            return refused(ErrorCode::topic_authorization_failed,
                           "you may not see the configuration of this topic");
        }
        if (const auto right = check_topic_name(name); !right)
            return refused(right.error().code, right.error().message);
        const TopicImage* topic = image_->find_topic(name);
        if (topic == nullptr) return refused(ErrorCode::unknown_topic_or_partition, "");
        return shown(asked, topic->config->describe(*image_->config));
    }

    Result broker(const Asked& asked) const {
        if (!context_.authorise(Operation::describe_configs, ResourceType::cluster,
                                cluster_resource)) {
            return refused(ErrorCode::cluster_authorization_failed,
                           "you may not see the configuration of the cluster");
        }
        const auto broker = broker_named(asked.resource_name, image_->self);
        if (!broker) return refused(broker.error().error, broker.error().message);
        return shown(asked, *broker ? image_->config->describe()
                                    : image_->config->describe_cluster_default());
    }

    Result shown(const Asked& asked, std::vector<ConfigEntry> entries) const {
        Result result;
        result.error_message = wire::Text("");
        const auto& keys = asked.configuration_keys;
        for (ConfigEntry& entry : entries) {
            const auto is_this = [&](const wire::Text& key) { return key == entry.name; };
            const bool wanted = !keys || keys->empty() || std::ranges::any_of(*keys, is_this);
            if (wanted) result.configs.push_back(shown(std::move(entry)));
        }
        return result;
    }

    Result::Config shown(ConfigEntry entry) const {
        Result::Config config;
        config.name = std::move(entry.name);
        config.value = nullable(std::move(entry.value));
        config.read_only = entry.read_only;
        config.is_default = entry.source == ConfigSource::default_value;
        config.config_source = std::to_underlying(entry.source);
        config.is_sensitive = entry.sensitive;
        config.config_type = std::to_underlying(entry.type);
        config.documentation.reset();
        if (request_.include_documentation && entry.type != ConfigType::unknown) {
            config.documentation = wire::Text::borrowed(entry.documentation);
        }
        if (!request_.include_synonyms) return config;
        for (ConfigSynonym& synonym : entry.synonyms) {
            auto& each = config.synonyms.emplace_back();
            each.name = std::move(synonym.name);
            each.value = nullable(std::move(synonym.value));
            each.source = std::to_underlying(synonym.source);
        }
        return config;
    }

    const RequestContext& context_;
    const DescribeConfigsRequest& request_;
    ImagePointer image_;
};

DescribeConfigsResponse all_refused(const DescribeConfigsRequest& request) {
    DescribeConfigsResponse response;
    for (const Asked& asked : request.resources) {
        auto& result = response.results.emplace_back();
        result.error_code = ErrorCode::invalid_request;
        result.error_message =
            wire::Text("a resource of this request is of a type that has no configurations");
        result.resource_type = asked.resource_type;
        result.resource_name = asked.resource_name;
    }
    return response;
}

}  // namespace

Answer<DescribeConfigsResponse> handle(RequestContext& context, DescribeConfigsRequest request) {
    const bool spoiled = std::ranges::any_of(
        request.resources, [](const Asked& asked) { return !is_known(asked.resource_type); });
    if (spoiled) return all_refused(request);
    const Describer describer(context, request);
    DescribeConfigsResponse response;
    response.results.reserve(request.resources.size());
    for (const Asked& asked : request.resources)
        response.results.push_back(describer.describe(asked));
    response.throttle_time_ms = context.throttle(0);
    return response;
}

}  // namespace broker
