#include "broker/api/endpoint.h"

namespace broker {

std::optional<HostPort> endpoint_for(const RequestContext& context, const BrokerImage& broker) {
    const auto image = context.image();
    if (broker.id == image->self) {
        const Listener* listener = image->config->find_endpoint(context.session.listener);
        if (listener && listener->advertised) return listener->advertised;
        return HostPort{context.session.local_host, context.session.local_port};
    }
    const BrokerEndpoint* endpoint = broker.find_endpoint(context.session.listener);
    if (!endpoint) return std::nullopt;
    return HostPort{endpoint->host, static_cast<std::uint16_t>(endpoint->port)};
}

}  // namespace broker
