#include "broker/tools/offline.h"

#include "broker/config/load.h"
#include "broker/tools/tool.h"
#include "protocol/base/random.h"

#include <chrono>

namespace broker {

namespace {

template <class Clock>
std::int64_t now_ms() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now().time_since_epoch())
        .count();
}

}  // namespace

void add_configuration_options(Options& options, const std::string& what_of_it) {
    options.positional("file", "The server's configuration: " + what_of_it);
    options.value("override", "key=value", "As of the server; may be repeated.");
    options.flag("env",
                 "Take the KAFKA_... variables of the environment, as the server with --env.");
}

std::shared_ptr<const BrokerConfig> read_configuration(const Options& options) {
    ConfigInputs inputs;
    inputs.file_name = options.get_or("file", "");
    if (!inputs.file_name.empty()) inputs.file_text = read_file(inputs.file_name);
    inputs.overrides = options.all("override");
    if (options.has("env")) inputs.environment = process_environment();
    if (inputs.file_name.empty() && inputs.environment.empty())
        throw UsageError("no properties file is named");
    const auto loaded = load_config(inputs);
    for (const auto& message : loaded.messages) {
        if (message.level == ConfigMessage::Level::error) throw ToolError(to_string(message));
    }
    return loaded.config;
}

std::unique_ptr<coordinator::MetadataService> open_metadata(const std::string& directory) {
    coordinator::MetadataService::Settings settings;
    settings.directory = directory;
    settings.wall_ms = now_ms<std::chrono::system_clock>;
    settings.monotonic_ms = now_ms<std::chrono::steady_clock>;
    settings.random = base::random_bytes;
    return must(coordinator::MetadataService::start(std::move(settings)));
}

}  // namespace broker
