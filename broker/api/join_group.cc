// JoinGroup: a member enters a group, or comes back for the next generation.
//
// Parks until the rebalance has gathered everybody, up to the group's rebalance time-out.
//
// Rules: facts/kafka.md §4.2, §4.3; the state machine is coordinator/group.

#include "broker/api/groups.h"
#include "broker/api/handlers.h"

namespace broker {

using coordinator::JoinReply;
using protocol::ErrorCode;
using protocol::JoinGroupRequest;
using protocol::JoinGroupResponse;

namespace {

constexpr std::int16_t member_id_required_since = 4;
constexpr std::int16_t skip_assignment_since = 9;

JoinGroupResponse response_of(const JoinReply& reply, std::int32_t throttle_ms) {
    JoinGroupResponse response;
    response.throttle_time_ms = throttle_ms;
    response.error_code = reply.error;
    response.generation_id = reply.generation;
    response.protocol_type = text(reply.protocol_type);
    response.protocol_name = text(reply.protocol_name);
    response.leader = wire::Text(reply.leader);
    response.skip_assignment = reply.skip_assignment;
    response.member_id = wire::Text(reply.member_id);
    for (const auto& member : reply.members) {
        auto& each = response.members.emplace_back();
        each.member_id = wire::Text(member.member_id);
        each.group_instance_id = text(member.instance_id);
        each.metadata = payload(member.metadata);
    }
    return response;
}

}  // namespace

Answer<JoinGroupResponse> handle(RequestContext& context, JoinGroupRequest request) {
    const auto throttle_ms = context.throttle(0);
    if (!may_use_group(context, Operation::read, request.group_id)) {
        JoinReply refused;
        refused.error = ErrorCode::group_authorization_failed;
        return response_of(refused, throttle_ms);
    }
    coordinator::JoinRequest join;
    join.group_id = request.group_id.str();
    join.member_id = request.member_id.str();
    join.instance_id = owned(request.group_instance_id);
    join.client_id = std::string(context.client_id);
    join.client_host = "/" + context.session.client_host;
    join.session_timeout_ms = request.session_timeout_ms;
    // Version 0 has one time-out for both.
    join.rebalance_timeout_ms =
        context.api_version == 0 ? request.session_timeout_ms : request.rebalance_timeout_ms;
    join.protocol_type = request.protocol_type.str();
    for (const auto& each : request.protocols) join.protocols.push_back({each.name.str(), blob(each.metadata)});
    join.must_know_member_id = context.api_version >= member_id_required_since && !join.instance_id;
    join.may_skip_assignment = context.api_version >= skip_assignment_since;

    return answer_with<JoinReply, JoinGroupResponse>(
        context.services.groups.join(context.executor, std::move(join)),
        [throttle_ms](const JoinReply& reply) { return response_of(reply, throttle_ms); });
}

}  // namespace broker
