#include "broker/tools/process.h"

#include "protocol/base/log.h"

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string_view>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>

namespace broker {

namespace {

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
    ::sendto(socket, state.data(), state.size(), MSG_NOSIGNAL,
             reinterpret_cast<sockaddr*>(&address), length);
    ::close(socket);
}

void wait_for(const sigset_t& signals) {
    int signal = 0;
    do {
        sigwait(&signals, &signal);
    } while (signal == SIGHUP);
}

}  // namespace

std::uint64_t raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        ::setrlimit(RLIMIT_NOFILE, &limit);
        ::getrlimit(RLIMIT_NOFILE, &limit);
    }
    return limit.rlim_cur;
}

void end_at_once(const std::string& why) {
    base::log_error("milena", why);
    std::_Exit(1);
}

Foreground::Foreground() {
    sigemptyset(&signals_);
    for (const int each : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals_, each);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
}

void Foreground::serves(const std::string& where,
                        std::chrono::steady_clock::time_point since) const {
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::steady_clock::now() - since);
    std::cout << "serving " << where << " after " << took.count() << " ms" << std::endl;
    notify_service_manager("READY=1");
}

void Foreground::wait_for_end() const {
    wait_for(signals_);
    base::log_info("milena", "Stopping");
    notify_service_manager("STOPPING=1");
    std::thread([signals = signals_] {
        wait_for(signals);
        end_at_once(
            "A second signal: ending without closing the files; the next start recovers them");
    }).detach();
}

}  // namespace broker
