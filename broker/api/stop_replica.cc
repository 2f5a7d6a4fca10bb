// StopReplica: the controller takes partitions from this broker, and maybe has them deleted.
//
// What comes of it: broker/cluster/replica_control.h.

#include "broker/api/from_controller.h"
#include "broker/api/handlers.h"

namespace broker {

Answer<protocol::StopReplicaResponse> handle(RequestContext& context,
                                             protocol::StopReplicaRequest request) {
    return apply_from_controller<protocol::StopReplicaResponse>(context, std::move(request));
}

}  // namespace broker
