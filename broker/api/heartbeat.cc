// Heartbeat: a member says that it is alive, and learns whether it has to join again.

#include "broker/api/groups.h"
#include "broker/api/handlers.h"

namespace broker {

using protocol::ErrorCode;
using protocol::HeartbeatRequest;
using protocol::HeartbeatResponse;

Answer<HeartbeatResponse> handle(RequestContext& context, HeartbeatRequest request) {
    HeartbeatResponse response;
    response.throttle_time_ms = context.throttle(0);
    response.error_code = ErrorCode::group_authorization_failed;
    if (may_use_group(context, Operation::read, request.group_id)) {
        response.error_code = context.services.groups.heartbeat(
            request.group_id.str(), identity(request.member_id, request.group_instance_id), request.generation_id);
    }
    return response;
}

}  // namespace broker
