// SyncGroup: the leader hands out the assignment of a generation, and each member gets its own.
//
// Parks until the leader's assignment is in the group's log.
//
// Rules: facts/kafka.md §4.2; the state machine is coordinator/group.

#include "broker/api/groups.h"
#include "broker/api/handlers.h"

namespace broker {

using coordinator::SyncReply;
using protocol::ErrorCode;
using protocol::SyncGroupRequest;
using protocol::SyncGroupResponse;

namespace {

constexpr std::int16_t names_protocol_since = 5;

SyncGroupResponse response_of(const SyncReply& reply, std::int32_t throttle_ms) {
    SyncGroupResponse response;
    response.throttle_time_ms = throttle_ms;
    response.error_code = reply.error;
    response.protocol_type = text(reply.protocol_type);
    response.protocol_name = text(reply.protocol_name);
    response.assignment = payload(reply.assignment);
    return response;
}

}  // namespace

Answer<SyncGroupResponse> handle(RequestContext& context, SyncGroupRequest request) {
    const auto throttle_ms = context.throttle(0);
    const auto refused = [&](ErrorCode error) {
        SyncReply reply;
        reply.error = error;
        return response_of(reply, throttle_ms);
    };
    if (context.api_version >= names_protocol_since && (!request.protocol_type || !request.protocol_name)) {
        return refused(ErrorCode::inconsistent_group_protocol);
    }
    if (!may_use_group(context, Operation::read, request.group_id)) {
        return refused(ErrorCode::group_authorization_failed);
    }
    coordinator::SyncRequest sync;
    sync.group_id = request.group_id.str();
    sync.member = identity(request.member_id, request.group_instance_id);
    sync.generation = request.generation_id;
    sync.protocol_type = owned(request.protocol_type);
    sync.protocol_name = owned(request.protocol_name);
    for (const auto& each : request.assignments) {
        sync.assignments.emplace_back(each.member_id.str(), blob(each.assignment));
    }
    return answer_with<SyncReply, SyncGroupResponse>(
        context.services.groups.sync(context.executor, std::move(sync)),
        [throttle_ms](const SyncReply& reply) { return response_of(reply, throttle_ms); });
}

}  // namespace broker
