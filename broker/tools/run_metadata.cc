// milena metadata: the metadata service alone in the foreground, until SIGTERM or SIGINT.
//
//     milena metadata zoo.cfg
//
// One line on stdout says that it serves; everything else goes to the log on stderr.

#include "broker/config/zoo_config.h"
#include "broker/server/machine.h"
#include "broker/tools/commands.h"
#include "broker/tools/process.h"
#include "broker/tools/version.h"
#include "coordinator/metadata/server/server.h"
#include "coordinator/metadata/service.h"
#include "protocol/base/log.h"
#include "protocol/base/random.h"

#include <chrono>
#include <filesystem>
#include <iostream>
#include <memory>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace broker {

namespace {

using base::Result;
using base::Unexpected;
using coordinator::MetadataServer;
using coordinator::MetadataService;

void log_message(const ConfigMessage& message) {
    const bool error = message.level == ConfigMessage::Level::error;
    const bool note = message.level == ConfigMessage::Level::note;
    const auto level = error  ? base::LogLevel::error
                       : note ? base::LogLevel::info
                              : base::LogLevel::warn;
    base::log(level, "config", to_string(message));
}

// A tree that ZooKeeper wrote is not passed over as if there were none.
Result<void, std::string> make_folder(const std::string& folder, const char* key) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error)
        return Unexpected(std::string(key) + "=" + folder + " cannot be made: " + error.message());
    for (const auto& each :
         std::filesystem::directory_iterator(std::filesystem::path(folder) / "version-2", error)) {
        const std::string name = each.path().filename().string();
        if (!name.starts_with("snapshot.") && !name.starts_with("log.")) continue;
        return Unexpected(std::string(key) + "=" + folder +
                          " holds data of Apache ZooKeeper (version-2), which is not read; name an "
                          "empty folder, and "
                          "copy the nodes from the running ZooKeeper");
    }
    return {};
}

Result<std::unique_ptr<MetadataService>, std::string> start_service(const ZooConfig& config) {
    if (auto made = make_folder(config.data_dir, "dataDir"); !made) return Unexpected(made.error());
    if (auto made = make_folder(config.data_log_dir, "dataLogDir"); !made)
        return Unexpected(made.error());
    MetadataService::Settings settings;
    settings.directory = config.data_dir;
    settings.journal_directory = config.data_log_dir;
    settings.wall_ms = wall_ms;
    settings.monotonic_ms = monotonic_ms;
    settings.random = base::random_bytes;
    settings.on_failure = [](const std::string& why) {
        end_at_once("The metadata service failed: " + why);
    };
    settings.log = [](const std::string& line) { base::log_info("metadata", line); };
    settings.tick_ms = config.tick_ms;
    settings.session_timeout_min_ms = config.session_timeout_min_ms;
    settings.session_timeout_max_ms = config.session_timeout_max_ms;
    settings.journal_room_bytes_max = static_cast<std::uint64_t>(config.journal_room_kib) << 10;
    settings.snapshot_every_bytes = static_cast<std::uint64_t>(config.snapshot_every_kib) << 10;
    settings.snapshot_every_transactions = config.snapshot_every_transactions;
    settings.snapshots_kept = config.purges ? static_cast<std::size_t>(config.snapshots_kept) : 0;
    settings.super_digest = config.super_digest;
    settings.enforces_quotas = config.enforces_quotas;
    settings.reap_every_ms = config.reap_every_ms;
    return MetadataService::start(std::move(settings));
}

Result<std::unique_ptr<MetadataServer>, std::string> start_server(const ZooConfig& config,
                                                                  const std::string& text,
                                                                  MetadataService& service) {
    MetadataServer::Settings settings;
    settings.hosts = {config.client_port_address};
    settings.port = static_cast<std::uint16_t>(config.client_port);
    settings.port_key = "clientPort";
    settings.wall_ms = wall_ms;
    settings.monotonic_ms = monotonic_ms;
    settings.connections_per_host_max = config.connections_per_host_max;
    settings.frame_bytes_max = static_cast<std::uint32_t>(config.frame_bytes_max);
    settings.words = config.words;
    settings.configuration = text;
    if (config.admin_enabled) {
        settings.admin = {config.admin_address, static_cast<std::uint16_t>(config.admin_port),
                          config.admin_url, config.admin_asked};
    }
    auto server = MetadataServer::start(service, std::move(settings));
    if (server && !(*server)->is_local()) {
        base::log_warn(
            "metadata",
            "clientPortAddress is not an address of this machine alone: whoever reaches port " +
                std::to_string((*server)->port()) + " can change what is stored here");
    }
    return server;
}

}  // namespace

int run_metadata(const Words& words) {
    const auto started = std::chrono::steady_clock::now();
    if (words.size() != 1 || words[0].starts_with("-")) {
        std::cerr << "usage: milena metadata zoo.cfg\n";
        return 1;
    }
    const auto text = read_config_file(words[0]);
    if (!text) {
        std::cerr << "milena metadata: " << text.error() << "\n";
        return 1;
    }
    const auto loaded = load_zoo_config(words[0], *text);
    for (const auto& message : loaded.messages) log_message(message);
    if (!loaded.config) return 1;

    const Foreground foreground;
    base::log_info("milena", "Milena " + std::string(milena_version) +
                                 ", the metadata service alone, process " +
                                 std::to_string(::getpid()));
    base::log_info("milena", "Configuration: " + words[0] + "; data: " + loaded.config->data_dir);
    raise_descriptor_limit();
    auto service = start_service(*loaded.config);
    if (!service) {
        base::log_error("milena", service.error());
        return 1;
    }
    auto server = start_server(*loaded.config, *text, **service);
    if (!server) {
        base::log_error("milena", server.error());
        return 1;
    }
    if (const auto port = (*server)->admin_port()) {
        base::log_info("metadata", "The admin server is on port " + std::to_string(port) + ", " +
                                       loaded.config->admin_url);
    }
    foreground.serves((*server)->serving(), started);
    foreground.wait_for_end();
    (*server)->stop();
    (*service)->stop();
    base::log_info("milena", "Stopped");
    return 0;
}

}  // namespace broker
