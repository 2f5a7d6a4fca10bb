// Words: ZooKeeper's four-letter words, as the text they are answered with.
//
// Source: Apache ZooKeeper's server.command package (3.8.4).
#pragma once

#include "coordinator/metadata/server/statistics.h"
#include "coordinator/metadata/tree.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace coordinator::words {

// What this server says it is. Monitors and clients parse the digits.
constexpr std::string_view version = "3.8.4-milena, built on 2026-11-21 00:00 UTC";

struct ConnectionState {
    std::string peer;
    std::size_t queued = 0;
    std::int64_t received = 0;
    SessionId session;
};

struct State {
    std::int64_t packets_received = 0;
    std::int64_t packets_sent = 0;
    Statistics::Latency latency;
    std::vector<ConnectionState> connections;
    Zxid zxid;
    std::size_t nodes = 0;
    std::size_t watches = 0;
    std::size_t ephemerals = 0;
    std::size_t sessions = 0;
};

// Nothing when it is no word of ours.
std::optional<std::string> answer(std::string_view word, const State& state);

}  // namespace coordinator::words
