// DescribeGroups: state, protocol and members of groups. One that is not there is "Dead".

#include "broker/api/groups.h"
#include "broker/api/handlers.h"

namespace broker {

using protocol::DescribeGroupsRequest;
using protocol::DescribeGroupsResponse;
using protocol::ErrorCode;

Answer<DescribeGroupsResponse> handle(RequestContext& context, DescribeGroupsRequest request) {
    DescribeGroupsResponse response;
    response.throttle_time_ms = context.throttle(0);
    for (const auto& group_id : request.groups) {
        auto& answer = response.groups.emplace_back();
        answer.group_id = group_id;
        if (!may_use_group(context, Operation::describe, group_id)) {
            answer.error_code = ErrorCode::group_authorization_failed;
            continue;
        }
        const auto described = context.services.groups.describe(group_id.str());
        answer.error_code = described.error;
        answer.group_state = wire::Text(described.state);
        answer.protocol_type = wire::Text(described.protocol_type);
        answer.protocol_data = wire::Text(described.protocol);
        for (const auto& member : described.members) {
            auto& each = answer.members.emplace_back();
            each.member_id = wire::Text(member.member_id);
            each.group_instance_id = text(member.instance_id);
            each.client_id = wire::Text(member.client_id);
            each.client_host = wire::Text(member.client_host);
            each.member_metadata = payload(member.metadata);
            each.member_assignment = payload(member.assignment);
        }
        if (request.include_authorized_operations && described.error == ErrorCode::none) {
            answer.authorized_operations = context.services.authorizer.allowed_operations(
                context.session.principal, context.session.client_host, ResourceType::group, group_id);
        }
    }
    return response;
}

}  // namespace broker
