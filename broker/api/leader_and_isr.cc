// LeaderAndIsr: the controller says which partitions this broker leads and which it follows.
//
// What comes of it: broker/cluster/replica_control.h.

#include "broker/api/from_controller.h"
#include "broker/api/handlers.h"

namespace broker {

Answer<protocol::LeaderAndIsrResponse> handle(RequestContext& context,
                                              protocol::LeaderAndIsrRequest request) {
    return apply_from_controller<protocol::LeaderAndIsrResponse>(context, std::move(request));
}

}  // namespace broker
