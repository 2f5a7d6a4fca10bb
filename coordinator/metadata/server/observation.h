// Observation: what the four-letter words and the admin server tell, seen at one moment.
//
// The network thread says what it knows of its connections, the service in its turn what it
// knows of the tree; then the observation is complete and is text or JSON (words.h,
// admin_commands.h).
#pragma once

#include "coordinator/metadata/server/statistics.h"
#include "coordinator/metadata/service.h"
#include "coordinator/metadata/watches.h"
#include "coordinator/metadata/znode.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace coordinator {

// What this server says it is. Monitors and clients parse the digits.
constexpr std::string_view server_version = "3.8.4-milena, built on 2026-11-21 00:00 UTC";

// What is told of one connection.
struct ConnectionState {
    std::string peer;  // "127.0.0.1:4711"
    std::size_t queued = 0;
    std::int64_t established_ms = 0;  // Since 1970.
    std::int32_t timeout_ms = 0;
    SessionId session;  // 0: none.
    ConnectionFigures figures;
};

// How the server was told to be, and where its files are.
struct ServerFacts {
    std::int32_t port = 0;
    std::string data_directory;
    std::string journal_directory;
    std::int32_t tick_ms = 0;
    std::int32_t connections_per_host_max = 0;
    std::int32_t session_timeout_min_ms = 0;
    std::int32_t session_timeout_max_ms = 0;
    std::string configuration;  // The file it was told by; empty without one.
};

// What is costly to look at, and only looked at when it is wanted.
struct Depth {
    bool files = false;
    bool sessions = false;
    bool watches = false;
};

// What people may do to the figures.
enum class Act : std::int8_t { none, reset_server, reset_connections };

struct Observation {
    ServerFacts facts;
    std::int64_t wall_ms = 0;
    std::int64_t monotonic_ms = 0;
    std::int64_t uptime_ms = 0;
    std::int64_t trace_mask = 0;
    MetadataService::Bytes bytes;  // Of its files.

    Statistics::Figures figures;
    std::vector<ConnectionState> connections;

    Zxid zxid;
    std::size_t nodes = 0;  // As ZooKeeper counts: the root twice.
    std::size_t ephemerals = 0;
    std::uint64_t data_bytes = 0;
    MetadataService::Figures service;
    std::vector<std::pair<SessionId, std::int64_t>> sessions;  // When each expires; monotonic.
    std::map<SessionId, std::vector<std::string>> ephemerals_of;
    std::size_t watches = 0;  // In both tables.
    std::map<std::string, std::set<SessionId>> data_watches;

    std::size_t outstanding() const {
        std::size_t queued = 0;
        for (const auto& each : connections) queued += each.queued;
        return queued;
    }

    std::size_t data_watch_count() const {
        std::size_t count = 0;
        for (const auto& [path, sessions_at] : data_watches) count += sessions_at.size();
        return count;
    }

    std::map<SessionId, std::vector<std::string>> data_watches_by_session() const {
        std::map<SessionId, std::vector<std::string>> by_session;
        for (const auto& [path, sessions_at] : data_watches) {
            for (const SessionId session : sessions_at) by_session[session].push_back(path);
        }
        return by_session;
    }
};

}  // namespace coordinator
