// ClusterSettings: what a Cluster is given from outside.
#pragma once

#include "broker/config/broker_config.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

namespace broker {

struct ClusterSettings {
    std::shared_ptr<const BrokerConfig> config;
    std::function<std::int64_t()> wall_ms;
    std::function<std::int64_t()> monotonic_ms;
    std::function<void(std::span<std::byte>)> random;
    std::function<void(std::string)> on_fatal;  // The process cannot go on; says why.
};

}  // namespace broker
