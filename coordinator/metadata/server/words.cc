#include "coordinator/metadata/server/words.h"

#include "coordinator/metadata/server/machine_facts.h"
#include "coordinator/metadata/server/monitor.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <ctime>

namespace coordinator::words {
namespace {

// As Java prints a double that was rounded to four places: at least one.
std::string decimal(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.4f", value);
    std::string made = text;
    while (made.ends_with('0') && !made.ends_with(".0")) made.pop_back();
    return made;
}

std::string version_line() {
    return "Zookeeper version: " + std::string(server_version) + "\n";
}

std::string server_lines(const Observation& seen) {
    const Spread& latency = seen.figures.latency;
    return "Latency min/avg/max: " + std::to_string(latency.min) + "/" +
           decimal(latency.average()) + "/" + std::to_string(latency.max) +
           "\nReceived: " + std::to_string(seen.figures.received) +
           "\nSent: " + std::to_string(seen.figures.sent) +
           "\nConnections: " + std::to_string(seen.connections.size()) +
           "\nOutstanding: " + std::to_string(seen.outstanding()) +
           "\nZxid: " + hex(seen.zxid.value()) +
           "\nMode: standalone\nNode count: " + std::to_string(seen.nodes) + "\n";
}

std::string connection_line(const ConnectionState& each, bool in_full) {
    const bool has_session = each.session.value() != 0;
    const ConnectionFigures& figures = each.figures;
    std::string line = " /" + each.peer + "[" + (has_session ? "1" : "0") +
                       "](queued=" + std::to_string(each.queued) +
                       ",recved=" + std::to_string(figures.received) +
                       ",sent=" + std::to_string(figures.sent);
    if (in_full && has_session) {
        const Answered& last = figures.last;
        const bool was_asked = *last.operation != '\0';
        line += ",sid=" + hex(each.session.value()) +
                ",lop=" + (was_asked ? last.operation : "NA") +
                ",est=" + std::to_string(each.established_ms) +
                ",to=" + std::to_string(each.timeout_ms);
        if (was_asked && last.xid >= 0) line += ",lcxid=" + hex(last.xid);
        line += ",lzxid=" + hex(last.zxid) + ",lresp=" + std::to_string(last.at_ms) +
                ",llat=" + std::to_string(last.took_ms) +
                ",minlat=" + std::to_string(figures.latency.min) +
                ",avglat=" + std::to_string(static_cast<std::int64_t>(figures.latency.average())) +
                ",maxlat=" + std::to_string(figures.latency.max);
    }
    return line + ")\n";
}

std::string connection_lines(const Observation& seen, bool in_full) {
    std::string lines;
    for (const auto& each : seen.connections) lines += connection_line(each, in_full);
    return lines;
}

std::string conf(const Observation& seen) {
    const ServerFacts& facts = seen.facts;
    std::string text;
    const auto line = [&](std::string_view key, const std::string& value) {
        text += std::string(key) + "=" + value + "\n";
    };
    line("clientPort", std::to_string(facts.port));
    line("secureClientPort", "-1");
    line("dataDir", facts.data_directory);
    line("dataDirSize", std::to_string(seen.bytes.snapshots));
    line("dataLogDir", facts.journal_directory);
    line("dataLogSize", std::to_string(seen.bytes.journal));
    line("tickTime", std::to_string(facts.tick_ms));
    line("maxClientCnxns", std::to_string(facts.connections_per_host_max));
    line("minSessionTimeout", std::to_string(facts.session_timeout_min_ms));
    line("maxSessionTimeout", std::to_string(facts.session_timeout_max_ms));
    line("clientPortListenBacklog", "-1");
    line("serverId", "0");
    return text;
}

// As Java prints a Date: "Sat Nov 21 19:19:25 UTC 2026".
std::string date(std::int64_t wall_ms) {
    const std::time_t seconds = wall_ms / 1000;
    std::tm local{};
    ::localtime_r(&seconds, &local);
    char text[64];
    const auto size = std::strftime(text, sizeof text, "%a %b %d %H:%M:%S %Z %Y", &local);
    return {text, size};
}

std::string dump(const Observation& seen) {
    const auto when = [&](std::int64_t monotonic_ms) {
        return date(seen.wall_ms + monotonic_ms - seen.monotonic_ms);
    };
    std::map<std::int64_t, std::vector<SessionId>> by_deadline;
    std::map<SessionId, std::int64_t> deadline_of;
    for (const auto& [session, deadline] : seen.sessions) {
        by_deadline[deadline].push_back(session);
        deadline_of[session] = deadline;
    }
    std::string text = "SessionTracker dump:\nSession Sets (" + std::to_string(by_deadline.size()) +
                       ")/(" + std::to_string(seen.sessions.size()) + "):\n";
    for (const auto& [deadline, sessions] : by_deadline) {
        text += std::to_string(sessions.size()) + " expire at " + when(deadline) + ":\n";
        for (const SessionId session : sessions) text += "\t" + hex(session.value()) + "\n";
    }
    text += "ephemeral nodes dump:\nSessions with Ephemerals (" +
            std::to_string(seen.ephemerals_of.size()) + "):\n";
    for (const auto& [session, paths] : seen.ephemerals_of) {
        text += hex(session.value()) + ":\n";
        for (const std::string& path : paths) text += "\t" + path + "\n";
    }
    std::map<std::int64_t, std::vector<const ConnectionState*>> connections;
    for (const auto& each : seen.connections) {
        const auto deadline = deadline_of.find(each.session);
        connections[deadline == deadline_of.end() ? seen.monotonic_ms : deadline->second].push_back(
            &each);
    }
    text += "Connections dump:\nConnections Sets (" + std::to_string(connections.size()) + ")/(" +
            std::to_string(seen.connections.size()) + "):\n";
    for (const auto& [deadline, held] : connections) {
        text += std::to_string(held.size()) + " expire at " + when(deadline) + ":\n";
        for (const auto* each : held) {
            text += "\tip: /" + each->peer + " sessionId: " + hex(each->session.value()) + "\n";
        }
    }
    return text;
}

std::string monitor_lines(const Observation& seen) {
    std::string lines;
    for (const auto& [key, value] : monitored(seen)) {
        lines += "zk_" + key + "\t";
        if (const auto* text = std::get_if<std::string>(&value)) lines += *text;
        if (const auto* number = std::get_if<std::int64_t>(&value))
            lines += std::to_string(*number);
        if (const auto* fraction = std::get_if<double>(&value)) lines += decimal(*fraction);
        lines += "\n";
    }
    return lines;
}

std::string environment_lines() {
    std::string text = "Environment:\n";
    for (const auto& [key, value] : environment()) text += key + "=" + value + "\n";
    return text;
}

std::string watch_summary(const Observation& seen) {
    return std::to_string(seen.data_watches_by_session().size()) + " connections watching " +
           std::to_string(seen.data_watches.size()) +
           " paths\nTotal watches:" + std::to_string(seen.data_watch_count()) + "\n";
}

std::string watches_by_session(const Observation& seen) {
    std::string text;
    for (const auto& [session, paths] : seen.data_watches_by_session()) {
        text += hex(session.value()) + "\n";
        for (const std::string& path : paths) text += "\t" + path + "\n";
    }
    return text + "\n";
}

std::string watches_by_path(const Observation& seen) {
    std::string text;
    for (const auto& [path, sessions] : seen.data_watches) {
        text += path + "\n";
        for (const SessionId session : sessions) text += "\t" + hex(session.value()) + "\n";
    }
    return text + "\n";
}

struct Word {
    std::string_view name;
    std::string (*answer)(const Observation& seen);
};

constexpr std::array all_words = {
    Word{"ruok", [](const Observation&) -> std::string { return "imok"; }},
    Word{"isro", [](const Observation&) -> std::string { return "rw"; }},
    Word{"srvr", [](const Observation& seen) { return version_line() + server_lines(seen); }},
    Word{"stat",
         [](const Observation& seen) {
             return version_line() + "Clients:\n" + connection_lines(seen, false) + "\n" +
                    server_lines(seen);
         }},
    Word{"cons", [](const Observation& seen) { return connection_lines(seen, true) + "\n"; }},
    Word{"mntr", monitor_lines},
    Word{"conf", conf},
    Word{"envi", [](const Observation&) { return environment_lines(); }},
    Word{"dump", dump},
    Word{"wchs", watch_summary},
    Word{"wchc", watches_by_session},
    Word{"wchp", watches_by_path},
    Word{"dirs",
         [](const Observation& seen) {
             return "datadir_size: " + std::to_string(seen.bytes.snapshots) +
                    "\nlogdir_size: " + std::to_string(seen.bytes.journal) + "\n";
         }},
    Word{"gtmk", [](const Observation& seen) { return std::to_string(seen.trace_mask); }},
    Word{"stmk", [](const Observation& seen) { return std::to_string(seen.trace_mask); }},
    Word{"hash", [](const Observation&) -> std::string { return ""; }},  // No digests are kept.
    Word{"crst", [](const Observation&) -> std::string { return "Connection stats reset.\n"; }},
    Word{"srst", [](const Observation&) -> std::string { return "Server stats reset.\n"; }},
};

}  // namespace

std::string hex(std::int64_t value) {
    char text[24];
    const auto end = std::to_chars(text, text + sizeof text, static_cast<std::uint64_t>(value), 16);
    return "0x" + std::string(text, end.ptr);
}

bool is_word(std::string_view word) {
    return std::ranges::find(all_words, word, &Word::name) != all_words.end();
}

Depth depth_of(std::string_view word) {
    return {.files = word == "conf" || word == "dirs",
            .sessions = word == "dump",
            .watches = word.starts_with("wch")};
}

std::string answer(std::string_view word, const Observation& seen) {
    return std::ranges::find(all_words, word, &Word::name)->answer(seen);
}

}  // namespace coordinator::words
