// Alter: what AlterConfigs and IncrementalAlterConfigs make of a resource's stored map.
//
// Pure: the map stored today and the request in, the map to store out. Whoever calls
// writes it to /config/topics/T or /config/brokers/N and its change notification.
#pragma once

#include "broker/config/broker_config.h"
#include "protocol/base/result.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace broker {

// As IncrementalAlterConfigs numbers them.
enum class AlterOperation : std::int8_t { set = 0, remove = 1, append = 2, subtract = 3 };

struct Alteration {
    std::string name;
    AlterOperation operation{};
    std::optional<std::string> value;  // None: null.
};

struct AlterFault {
    enum class Kind : std::uint8_t { invalid_request, invalid_config };

    Kind kind{};
    std::string message;  // For the client.
};

// Which map of a broker is changed: the cluster's default (resource name ""), or that of
// one broker.
enum class BrokerScope : std::uint8_t { cluster_default, one_broker };

// AlterConfigs: `wanted` (operation set, each) replaces the stored map.
[[nodiscard]] base::Result<ConfigMap, AlterFault> replace_topic_configs(
    const BrokerConfig& broker, std::span<const Alteration> wanted);
[[nodiscard]] base::Result<ConfigMap, AlterFault> replace_broker_configs(
    const BrokerConfig& broker, BrokerScope scope, const ConfigMap& stored,
    std::span<const Alteration> wanted);

// IncrementalAlterConfigs: `wanted` is applied to `stored`.
[[nodiscard]] base::Result<ConfigMap, AlterFault> alter_topic_configs(
    const BrokerConfig& broker, const ConfigMap& stored, std::span<const Alteration> wanted);
[[nodiscard]] base::Result<ConfigMap, AlterFault> alter_broker_configs(
    const BrokerConfig& broker, BrokerScope scope, const ConfigMap& stored,
    std::span<const Alteration> wanted);

}  // namespace broker
