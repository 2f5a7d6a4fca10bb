// milena server: a broker in the foreground, until SIGTERM or SIGINT.
//
//     milena server FILE.properties [--env] [--override key=value]...
//
// One line on stdout says that it serves; everything else goes to the log on stderr. A second
// signal ends the process at once: the next start recovers as after a crash.

#include "broker/config/load.h"
#include "broker/server/server.h"
#include "broker/tools/commands.h"
#include "broker/tools/version.h"
#include "protocol/base/log.h"

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>
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

// The soft limit of descriptors up to the hard one. Returns what there is then.
rlim_t raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        ::setrlimit(RLIMIT_NOFILE, &limit);
        ::getrlimit(RLIMIT_NOFILE, &limit);
    }
    return limit.rlim_cur;
}

// systemd's notify protocol: a datagram to the socket that NOTIFY_SOCKET names.
void notify_service_manager(std::string_view state) {
    const char* path = std::getenv("NOTIFY_SOCKET");
    sockaddr_un address{};
    if (!path || std::strlen(path) < 2 || std::strlen(path) >= sizeof address.sun_path) return;
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path, std::strlen(path));
    if (path[0] == '@') address.sun_path[0] = '\0';  // An abstract socket.
    const int socket = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (socket < 0) return;
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(path));
    ::sendto(socket, state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&address), length);
    ::close(socket);
}

void print_banner(const BrokerConfig& config, const std::string& file, rlim_t descriptors) {
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

[[noreturn]] void end_at_once(const std::string& why) {
    base::log_error("milena", why);
    std::_Exit(1);
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

    // Every thread that follows leaves the signals to this one.
    sigset_t signals;
    sigemptyset(&signals);
    for (const int each : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, each);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);

    print_banner(*loaded.config, arguments.inputs.file_name, raise_descriptor_limit());
    auto server = Server::start(loaded.config, end_at_once);
    if (!server) {
        base::log_error("milena", server.error());
        return 1;
    }
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - started);
    std::cout << "serving " << (*server)->serving() << " after " << took.count() << " ms" << std::endl;
    notify_service_manager("READY=1");

    int signal = 0;
    do {
        sigwait(&signals, &signal);
    } while (signal == SIGHUP);  // A terminal that went away is no reason to stop.
    base::log_info("milena", "Stopping");
    notify_service_manager("STOPPING=1");
    std::thread([signals] {
        int again = 0;
        do {
            sigwait(&signals, &again);
        } while (again == SIGHUP);
        end_at_once("A second signal: ending without closing the logs; the next start recovers them");
    }).detach();
    (*server)->stop();
    base::log_info("milena", "Stopped");
    return 0;
}

}  // namespace broker
