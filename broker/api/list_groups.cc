// ListGroups: the groups that this broker coordinates, by state and type if asked for.

#include "broker/api/groups.h"
#include "broker/api/handlers.h"

#include <algorithm>
#include <cctype>

namespace broker {

using protocol::ErrorCode;
using protocol::ListGroupsRequest;
using protocol::ListGroupsResponse;

namespace {

constexpr std::string_view classic = "classic";

bool equal_ignoring_case(std::string_view a, std::string_view b) {
    return std::ranges::equal(a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

// An empty filter lets everything through.
bool passes(const std::vector<wire::Text>& filter, std::string_view value) {
    return filter.empty() || std::ranges::any_of(filter, [&](const wire::Text& each) {
               return equal_ignoring_case(each, value);
           });
}

}  // namespace

Answer<ListGroupsResponse> handle(RequestContext& context, ListGroupsRequest request) {
    ListGroupsResponse response;
    response.throttle_time_ms = context.throttle(0);
    auto listed = context.services.groups.list();
    response.error_code = listed.error;
    const bool may_see_all = context.authorise(Operation::describe, ResourceType::cluster, cluster_resource);
    for (const auto& group : listed.groups) {
        if (!passes(request.states_filter, group.state) || !passes(request.types_filter, classic)) continue;
        if (!may_see_all && !may_use_group(context, Operation::describe, group.group_id)) continue;
        auto& each = response.groups.emplace_back();
        each.group_id = wire::Text(group.group_id);
        each.protocol_type = wire::Text(group.protocol_type);
        each.group_state = wire::Text(group.state);
        each.group_type = wire::Text(classic);
    }
    return response;
}

}  // namespace broker
