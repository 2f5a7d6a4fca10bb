#include "coordinator/metadata/server/words.h"

#include <charconv>
#include <cstdio>

namespace coordinator::words {
namespace {

std::string hex(std::int64_t value) {
    char text[24];
    const auto end = std::to_chars(text, text + sizeof text, static_cast<std::uint64_t>(value), 16);
    return "0x" + std::string(text, end.ptr);
}

std::string average(const Statistics::Latency& latency) {
    const double mean = latency.count == 0 ? 0.0
                                           : static_cast<double>(latency.total_ms) /
                                                 static_cast<double>(latency.count);
    char text[32];
    std::snprintf(text, sizeof text, "%.4f", mean);
    std::string made = text;
    while (made.ends_with('0') && !made.ends_with(".0")) made.pop_back();
    return made;
}

std::size_t outstanding(const State& state) {
    std::size_t queued = 0;
    for (const auto& each : state.connections) queued += each.queued;
    return queued;
}

std::string version_line() {
    return "Zookeeper version: " + std::string(version) + "\n";
}

std::string server_lines(const State& state) {
    return "Latency min/avg/max: " + std::to_string(state.latency.min_ms) + "/" +
           average(state.latency) + "/" + std::to_string(state.latency.max_ms) +
           "\nReceived: " + std::to_string(state.packets_received) +
           "\nSent: " + std::to_string(state.packets_sent) +
           "\nConnections: " + std::to_string(state.connections.size()) +
           "\nOutstanding: " + std::to_string(outstanding(state)) +
           "\nZxid: " + hex(state.zxid.value()) +
           "\nMode: standalone\nNode count: " + std::to_string(state.nodes) + "\n";
}

std::string connection_line(const ConnectionState& each, bool with_session) {
    const bool is_word = each.session.value() == 0;
    std::string line =
        " /" + each.peer + "[" + (is_word ? "0" : "1") + "](queued=" + std::to_string(each.queued) +
        ",recved=" + std::to_string(each.received) +
        ",sent=" + std::to_string(each.received - static_cast<std::int64_t>(each.queued));
    if (with_session && !is_word) line += ",sid=" + hex(each.session.value());
    return line + ")\n";
}

std::string connection_lines(const State& state, bool with_session) {
    std::string lines;
    for (const auto& each : state.connections) lines += connection_line(each, with_session);
    return lines;
}

std::string monitor_lines(const State& state) {
    std::string lines;
    const auto line = [&](std::string_view key, const std::string& value) {
        lines += "zk_" + std::string(key) + "\t" + value + "\n";
    };
    line("version", std::string(version));
    line("server_state", "standalone");
    line("avg_latency", average(state.latency));
    line("max_latency", std::to_string(state.latency.max_ms));
    line("min_latency", std::to_string(state.latency.min_ms));
    line("packets_received", std::to_string(state.packets_received));
    line("packets_sent", std::to_string(state.packets_sent));
    line("num_alive_connections", std::to_string(state.connections.size()));
    line("outstanding_requests", std::to_string(outstanding(state)));
    line("znode_count", std::to_string(state.nodes));
    line("watch_count", std::to_string(state.watches));
    line("ephemerals_count", std::to_string(state.ephemerals));
    line("global_sessions", std::to_string(state.sessions));
    line("local_sessions", "0");
    return lines;
}

}  // namespace

std::optional<std::string> answer(std::string_view word, const State& state) {
    if (word == "ruok") return "imok";
    if (word == "isro") return "rw";
    if (word == "srvr") return version_line() + server_lines(state);
    if (word == "stat") {
        return version_line() + "Clients:\n" + connection_lines(state, false) + "\n" +
               server_lines(state);
    }
    if (word == "cons") return connection_lines(state, true) + "\n";
    if (word == "mntr") return monitor_lines(state);
    if (word == "envi") return "Environment:\nzookeeper.version=" + std::string(version) + "\n";
    if (word == "crst") return "Connection stats reset.\n";
    if (word == "srst") return "Server stats reset.\n";
    return std::nullopt;
}

}  // namespace coordinator::words
