// UpdateMetadata: the controller tells every broker what clients are to know of the cluster.
//
// What comes of it: broker/cluster/replica_control.h.

#include "broker/api/from_controller.h"
#include "broker/api/handlers.h"

namespace broker {

Answer<protocol::UpdateMetadataResponse> handle(RequestContext& context,
                                                protocol::UpdateMetadataRequest request) {
    return apply_from_controller<protocol::UpdateMetadataResponse>(context, std::move(request));
}

}  // namespace broker
