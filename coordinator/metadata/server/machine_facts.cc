#include "coordinator/metadata/server/machine_facts.h"

#include <algorithm>
#include <array>
#include <climits>
#include <filesystem>
#include <fstream>
#include <pwd.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <system_error>
#include <unistd.h>

namespace coordinator {
namespace {

std::int64_t open_descriptors() {
    std::error_code error;
    std::int64_t count = 0;
    for (std::filesystem::directory_iterator at("/proc/self/fd", error), end; at != end;
         at.increment(error)) {
        if (error) break;
        ++count;
    }
    return std::max<std::int64_t>(0, count - 1);  // Without the one that lists them.
}

std::int64_t descriptor_limit() {
    rlimit limit{};
    return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? static_cast<std::int64_t>(limit.rlim_cur) : -1;
}

std::string megabytes(std::uint64_t bytes) {
    return std::to_string(bytes >> 20) + "MB";
}

}  // namespace

std::vector<std::pair<std::string, Monitored>> monitored(const Observation& seen) {
    const auto number = [](std::size_t value) { return static_cast<std::int64_t>(value); };
    const Statistics::Figures& figures = seen.figures;
    std::int64_t local = 0;
    for (const auto& each : seen.connections) {
        local += each.peer.starts_with("127.") || each.peer.starts_with("[::1]") ? 1 : 0;
    }
    std::vector<std::pair<std::string, Monitored>> all = {
        {"version", std::string(server_version)},
        {"server_state", std::string("standalone")},
        {"ephemerals_count", number(seen.ephemerals)},
        {"num_alive_connections", number(seen.connections.size())},
        {"avg_latency", figures.latency.average_ms()},
        {"outstanding_requests", number(seen.outstanding())},
        {"znode_count", number(seen.nodes)},
        {"global_sessions", number(seen.sessions.size())},
        {"non_mtls_remote_conn_count", number(seen.connections.size()) - local},
        {"last_client_response_size", figures.answer_bytes_last},
        {"packets_sent", figures.sent},
        {"packets_received", figures.received},
        {"max_client_response_size", figures.answer_bytes_max},
        {"connection_drop_probability", 0.0},
        {"watch_count", number(seen.watches)},
        {"auth_failed_count", figures.auth_failed},
        {"min_latency", figures.latency.min_ms},
        {"max_file_descriptor_count", descriptor_limit()},
        {"approximate_data_size", number(seen.data_bytes)},
        {"open_file_descriptor_count", open_descriptors()},
        {"local_sessions", std::int64_t{0}},
        {"uptime", seen.uptime_ms},
        {"max_latency", figures.latency.max_ms},
        {"outstanding_tls_handshake", std::int64_t{0}},
        {"min_client_response_size", figures.answer_bytes_min},
        {"non_mtls_local_conn_count", local},
        {"connection_rejected", figures.connections_refused},
        {"connection_request_count", figures.connections_accepted},
        {"bytes_received_count", figures.bytes_received},
        {"response_bytes", figures.bytes_sent},
        {"commit_count", seen.zxid.value()},
        {"snap_count", seen.service.snapshots},
        {"stale_sessions_expired", seen.service.sessions_expired},
    };
    const auto timing = [&](const std::string& name, const Timing& times) {
        all.emplace_back("avg_" + name, times.average_ms());
        all.emplace_back("min_" + name, times.min_ms);
        all.emplace_back("max_" + name, times.max_ms);
        all.emplace_back("cnt_" + name, times.count);
        all.emplace_back("sum_" + name, times.total_ms);
    };
    timing("fsynctime", seen.service.syncs);
    return all;
}

std::vector<std::pair<std::string, std::string>> environment() {
    utsname system{};
    ::uname(&system);
    struct sysinfo memory{};
    ::sysinfo(&memory);
    const passwd* const user = ::getpwuid(::geteuid());
    std::error_code error;
    const auto place = std::filesystem::current_path(error).string();
    const std::uint64_t unit = memory.mem_unit;
    return {
        {"zookeeper.version", std::string(server_version)},
        {"host.name", system.nodename},
        {"java.version", "none"},
        {"java.vendor", "none: this is Milena, a native program"},
        {"os.name", system.sysname},
        {"os.arch", system.machine},
        {"os.version", system.release},
        {"user.name", user != nullptr ? user->pw_name : std::to_string(::geteuid())},
        {"user.home", user != nullptr ? user->pw_dir : ""},
        {"user.dir", place},
        {"os.memory.free", megabytes(memory.freeram * unit)},
        {"os.memory.max", megabytes(memory.totalram * unit)},
        {"os.memory.total", megabytes(memory.totalram * unit)},
    };
}

}  // namespace coordinator
