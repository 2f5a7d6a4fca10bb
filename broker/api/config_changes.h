// Config changes: what AlterConfigs and IncrementalAlterConfigs have in common.
//
// Each resource of a request is judged and changed for itself: one that fails leaves the
// others as they are. Reading what is stored, judging and storing is one step on the
// controller's thread, so two clients that append to one list both get their item in.
#pragma once

#include "broker/api/context.h"
#include "broker/config/alter.h"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace broker {

// As DescribeConfigs and its sisters number what has configurations.
enum class ConfigResource : std::int8_t {
    topic = 2,
    broker = 4,
    broker_logger = 8,
    client_metrics = 16,
    group = 32
};

// The broker that a resource name means: nothing for "", the default of the whole cluster.
// INVALID_REQUEST for the name of any other broker than this one.
[[nodiscard]] base::Result<std::optional<base::BrokerId>, AdminOutcome> broker_named(
    std::string_view name, base::BrokerId self);

enum class ChangeStyle : std::uint8_t { replace, incremental };

struct ConfigChange {
    ConfigResource type{};
    std::string name;
    std::vector<Alteration> wanted;
};

// The outcomes are in the order of the changes.
boost::asio::awaitable<std::vector<AdminOutcome>> change_configs(RequestContext context,
                                                                 ChangeStyle style,
                                                                 std::vector<ConfigChange> changes,
                                                                 bool validate_only);

// Both requests and responses have the same shape, but for the operation.
template <class Response, class Request, class ReadAlteration>
boost::asio::awaitable<Response> answer_config_changes(RequestContext context, Request request,
                                                       ChangeStyle style, ReadAlteration read) {
    std::vector<ConfigChange> changes;
    changes.reserve(request.resources.size());
    for (const auto& resource : request.resources) {
        ConfigChange& change = changes.emplace_back();
        change.type = static_cast<ConfigResource>(resource.resource_type);
        change.name = resource.resource_name.str();
        for (const auto& config : resource.configs) change.wanted.push_back(read(config));
    }
    const bool validate_only = request.validate_only;
    const std::vector<AdminOutcome> outcomes =
        co_await change_configs(context, style, std::move(changes), validate_only);

    Response response;
    response.throttle_time_ms = context.throttle(0);
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
        auto& each = response.responses.emplace_back();
        each.error_code = outcomes[i].error;
        each.error_message.reset();
        if (outcomes[i].error != protocol::ErrorCode::none)
            each.error_message = outcomes[i].message;
        each.resource_type = request.resources[i].resource_type;
        each.resource_name = std::move(request.resources[i].resource_name);
    }
    co_return response;
}

}  // namespace broker
