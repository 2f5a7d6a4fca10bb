// endpoint: the address of a broker that a client is told.
#pragma once

#include "broker/api/context.h"

#include <optional>

namespace broker {

// Where `broker` is reached by the listener that this request came in on. Nothing when it has
// no such listener. Of this broker itself, without advertised.listeners: the local address of
// the client's own connection, which it has just proved to be reachable.
std::optional<HostPort> endpoint_for(const RequestContext& context, const BrokerImage& broker);

}  // namespace broker
