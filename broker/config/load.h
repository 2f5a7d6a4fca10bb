// Load: make a BrokerConfig of a file, the environment and the command line.
//
// Everything that is wrong is told at once, each thing with where it stands, the key, the
// value, what is allowed, and for an unknown key the nearest known one. `milena config
// check` and the start of the server call the same function.
//
// Environment (only when asked for): KAFKA_ and the key in capitals, where ___ is a dash,
// __ an underscore and _ a dot: KAFKA_LOG_RETENTION_MS is log.retention.ms. Variables of
// the JVM and of the container image (KAFKA_OPTS, KAFKA_HEAP_OPTS, ...) are not keys.
#pragma once

#include "broker/config/broker_config.h"
#include "protocol/base/result.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace broker {

struct ConfigInputs {
    std::string file_name;  // For messages; empty: no file.
    std::string file_text;
    std::vector<std::string> environment;  // "NAME=value" each; empty without --env.
    std::vector<std::string> overrides;    // "key=value" each, as --override has them.
};

struct ConfigMessage {
    enum class Level : std::uint8_t { note, warning, error };

    Level level{};
    std::string
        where;  // "server.properties:12", "KAFKA_LOG_DIRS", "--override log.dirs=x"; or empty.
    std::string text;

    friend bool operator==(const ConfigMessage&, const ConfigMessage&) = default;
};

// "server.properties:12: error: ..."
std::string to_string(const ConfigMessage& message);

struct LoadedConfig {
    std::shared_ptr<const BrokerConfig> config;  // Null if and only if a message is an error.
    std::vector<ConfigMessage> messages;         // In the order of the inputs.
};

LoadedConfig load_config(const ConfigInputs& inputs);

// The environment of this process, for ConfigInputs.
std::vector<std::string> process_environment();

// The whole file. The fault is a sentence that names the file.
[[nodiscard]] base::Result<std::string, std::string> read_config_file(const std::string& path);

// The nearest of the known broker keys, or empty when none is near.
std::string_view nearest_broker_key(std::string_view unknown);

}  // namespace broker
