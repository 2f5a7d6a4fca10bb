#include "broker/cluster/interbroker.h"

namespace broker {

std::optional<Address> interbroker_address(const ClusterImage& image, base::BrokerId broker) {
    const BrokerImage* const known = image.find_broker(broker);
    if (!known) return std::nullopt;
    const auto* const endpoint = known->find_endpoint(image.config->inter_broker_listener());
    if (!endpoint) return std::nullopt;
    return Address{endpoint->host, static_cast<std::uint16_t>(endpoint->port)};
}

}  // namespace broker
