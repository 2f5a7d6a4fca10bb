// milena server: a broker in the foreground, until SIGTERM or SIGINT.
//
//     milena server FILE.properties [--env] [--override key=value]...
//
// One line on stdout says that it serves; everything else goes to the log on stderr. A second
// signal ends the process at once: the next start recovers as after a crash.

#include "broker/config/load.h"
#include "broker/server/server.h"
#include "broker/tools/commands.h"
#include "broker/tools/process.h"
#include "broker/tools/version.h"
#include "protocol/base/log.h"

#include <chrono>
#include <cstdint>
#include <cstring>
#include <iostream>
#include <unistd.h>

namespace broker {

namespace {

struct Arguments {
    ConfigInputs inputs;
    std::string mistake;  // Empty when there is none.
};

constexpr const char* usage = "usage: milena server FILE.properties [--env] [--override key=value]...\n";

Arguments parse(const Words& words) {
    Arguments made;
    for (std::size_t i = 0; i < words.size(); ++i) {
        const std::string& word = words[i];
        if (word == "--env") {
            made.inputs.environment = process_environment();
        } else if (word == "--override" && i + 1 < words.size()) {
            made.inputs.overrides.push_back(words[++i]);
        } else if (word.starts_with("--override=")) {
            made.inputs.overrides.push_back(word.substr(std::strlen("--override=")));
        } else if (word.starts_with("-")) {
            made.mistake = "unknown option " + word;
        } else if (made.inputs.file_name.empty()) {
            made.inputs.file_name = word;
        } else {
            made.mistake = "more than one file: " + made.inputs.file_name + " and " + word;
        }
    }
    if (made.mistake.empty() && made.inputs.file_name.empty() && made.inputs.environment.empty()) {
        made.mistake = "no properties file is named";
    }
    return made;
}

void print_banner(const BrokerConfig& config, const std::string& file, std::uint64_t descriptors) {
    base::log_info("milena", "Milena " + std::string(milena_version) + ", process " + std::to_string(::getpid()));
    base::log_info("milena", "Configuration: " + (file.empty() ? "environment" : file));
    base::log_info("milena", "Log directories: " + config.log_dirs);
    for (const auto& listener : config.endpoints()) {
        base::log_info("milena", "Listener " + to_string(listener) +
                                     (listener.advertised ? ", clients are told " + to_string(*listener.advertised)
                                                          : ", clients are told the address that they connected to; "
                                                            "behind a port mapping set advertised.listeners"));
    }
    base::log_info("milena", "File descriptors: at most " + std::to_string(descriptors));
}

}  // namespace

int run_server(const Words& words) {
    const auto started = std::chrono::steady_clock::now();
    auto arguments = parse(words);
    if (!arguments.mistake.empty()) {
        std::cerr << "milena server: " << arguments.mistake << "\n" << usage;
        return 1;
    }
    if (!arguments.inputs.file_name.empty()) {
        auto text = read_config_file(arguments.inputs.file_name);
        if (!text) {
            std::cerr << "milena server: " << text.error() << "\n";
            return 1;
        }
        arguments.inputs.file_text = std::move(*text);
    }
    const auto loaded = load_config(arguments.inputs);
    for (const auto& message : loaded.messages) {
        const bool error = message.level == ConfigMessage::Level::error;
        const bool note = message.level == ConfigMessage::Level::note;
        base::log(error ? base::LogLevel::error : note ? base::LogLevel::info : base::LogLevel::warn, "config", to_string(message));
    }
    if (!loaded.config) return 1;

    const Foreground foreground;
    print_banner(*loaded.config, arguments.inputs.file_name, raise_descriptor_limit());
    auto server = Server::start(loaded.config, end_at_once);
    if (!server) {
        base::log_error("milena", server.error());
        return 1;
    }
    foreground.serves((*server)->serving(), started);
    foreground.wait_for_end();
    (*server)->stop();
    base::log_info("milena", "Stopped");
    return 0;
}

}  // namespace broker
