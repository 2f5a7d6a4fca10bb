// interbroker: where brokers reach one another.
#pragma once

#include "broker/client/address.h"
#include "broker/cluster/image.h"

#include <optional>

namespace broker {

// The end point of a live broker on the listener that brokers use among one another.
std::optional<Address> interbroker_address(const ClusterImage& image, base::BrokerId broker);

}  // namespace broker
