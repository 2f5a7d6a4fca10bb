// LeaveGroup: members leave at once, instead of when their session ends.
//
// Up to version 2 one member leaves, and its error is that of the whole.

#include "broker/api/groups.h"
#include "broker/api/handlers.h"

namespace broker {

using coordinator::LeaveReply;
using protocol::ErrorCode;
using protocol::LeaveGroupRequest;
using protocol::LeaveGroupResponse;

namespace {

constexpr std::int16_t several_members_since = 3;

}  // namespace

Answer<LeaveGroupResponse> handle(RequestContext& context, LeaveGroupRequest request) {
    LeaveGroupResponse refused;
    refused.throttle_time_ms = context.throttle(0);
    if (!may_use_group(context, Operation::read, request.group_id)) {
        refused.error_code = ErrorCode::group_authorization_failed;
        return refused;
    }
    std::vector<coordinator::MemberIdentity> members;
    const bool several = context.api_version >= several_members_since;
    if (several) {
        for (const auto& each : request.members) members.push_back(identity(each.member_id, each.group_instance_id));
    } else {
        members.push_back({request.member_id.str(), std::nullopt});
    }
    auto asked = context.services.groups.leave(context.executor, request.group_id.str(), members);
    return answer_with<LeaveReply, LeaveGroupResponse>(
        std::move(asked),
        [several, members = std::move(members), throttle_ms = refused.throttle_time_ms](const LeaveReply& reply) {
            LeaveGroupResponse response;
            response.throttle_time_ms = throttle_ms;
            response.error_code = reply.error;
            if (reply.error != ErrorCode::none || reply.members.size() != members.size()) return response;
            if (!several) {
                response.error_code = reply.members.front();
                return response;
            }
            for (std::size_t i = 0; i < members.size(); ++i) {
                auto& each = response.members.emplace_back();
                each.member_id = wire::Text(members[i].member_id);
                each.group_instance_id = text(members[i].instance_id);
                each.error_code = reply.members[i];
            }
            return response;
        });
}

}  // namespace broker
