#include "coordinator/metadata/server/admin_commands.h"

#include "coordinator/metadata/server/machine_facts.h"
#include "coordinator/metadata/server/monitor.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <variant>
#include <vector>

namespace coordinator::admin_commands {
namespace {

using Json = nlohmann::ordered_json;

Json configuration(const Observation& seen) {
    const ServerFacts& facts = seen.facts;
    return {{"client_port", facts.port},
            {"data_dir", facts.data_directory},
            {"data_log_dir", facts.journal_directory},
            {"tick_time", facts.tick_ms},
            {"max_client_cnxns", facts.connections_per_host_max},
            {"min_session_timeout", facts.session_timeout_min_ms},
            {"max_session_timeout", facts.session_timeout_max_ms},
            {"server_id", 0},
            {"client_port_listen_backlog", -1}};
}

Json connection(const ConnectionState& each, bool in_full) {
    const ConnectionFigures& figures = each.figures;
    Json made = {{"remote_socket_address", each.peer},
                 {"interest_ops", 1},
                 {"outstanding_requests", each.queued},
                 {"packets_received", figures.received},
                 {"packets_sent", figures.sent}};
    if (!in_full) return made;
    const Answered& last = figures.last;
    const bool was_asked = *last.operation != '\0';
    made["session_id"] = each.session.value();
    made["last_operation"] = was_asked ? last.operation : "NA";
    made["established"] = each.established_ms;
    made["session_timeout"] = each.timeout_ms;
    made["last_cxid"] = was_asked ? last.xid : -1;
    made["last_zxid"] = was_asked ? last.zxid : -1;
    made["last_response_time"] = last.at_ms;
    made["last_latency"] = last.took_ms;
    made["min_latency"] = figures.latency.min;
    made["avg_latency"] = static_cast<std::int64_t>(figures.latency.average());
    made["max_latency"] = figures.latency.max;
    return made;
}

Json connections(const Observation& seen, bool in_full) {
    Json list = Json::array();
    for (const auto& each : seen.connections) list.push_back(connection(each, in_full));
    return list;
}

Json with_connections(Json made, const Observation& seen, bool in_full) {
    made["connections"] = connections(seen, in_full);
    made["secure_connections"] = Json::array();
    return made;
}

Json directories(const Observation& seen) {
    return {{"datadir_size", seen.bytes.snapshots}, {"logdir_size", seen.bytes.journal}};
}

Json dump(const Observation& seen) {
    Json expiry = Json::object();
    for (const auto& [session, deadline] : seen.sessions) {
        expiry[std::to_string(deadline)].push_back(session.value());
    }
    Json ephemerals = Json::object();
    for (const auto& [session, paths] : seen.ephemerals_of) {
        ephemerals[std::to_string(session.value())] = paths;
    }
    return {{"expiry_time_to_session_ids", expiry}, {"session_id_to_ephemeral_paths", ephemerals}};
}

Json environment_json(const Observation&) {
    Json made = Json::object();
    for (const auto& [key, value] : environment()) made[key] = value;
    return made;
}

Json monitor(const Observation& seen) {
    Json made = Json::object();
    for (const auto& [key, value] : monitored(seen)) {
        std::visit([&, &name = key](const auto& one) { made[name] = one; }, value);
    }
    return made;
}

Json answer_sizes(const Observation& seen) {
    return {{"last_buffer_size", seen.figures.answer_bytes_last},
            {"min_buffer_size", seen.figures.answer_bytes_min},
            {"max_buffer_size", seen.figures.answer_bytes_max}};
}

Json server_stats(const Observation& seen) {
    const Statistics::Figures& figures = seen.figures;
    const Json stats = {{"packets_sent", figures.sent},
                        {"packets_received", figures.received},
                        {"client_response_stats", answer_sizes(seen)},
                        {"provider_null", false},
                        {"data_dir_size", seen.bytes.snapshots},
                        {"log_dir_size", seen.bytes.journal},
                        {"last_processed_zxid", seen.zxid.value()},
                        {"outstanding_requests", seen.outstanding()},
                        {"server_state", "standalone"},
                        {"avg_latency", figures.latency.average()},
                        {"max_latency", figures.latency.max},
                        {"min_latency", figures.latency.min},
                        {"num_alive_client_connections", seen.connections.size()},
                        {"uptime", seen.uptime_ms},
                        {"auth_failed_count", 0}};
    return {{"version", server_version},
            {"read_only", false},
            {"server_stats", stats},
            {"client_response", answer_sizes(seen)},
            {"node_count", seen.nodes}};
}

Json watches(const Observation& seen) {
    Json by_session = Json::object();
    for (const auto& [session, paths] : seen.data_watches_by_session()) {
        by_session[std::to_string(session.value())] = paths;
    }
    return {{"session_id_to_watched_paths", by_session}};
}

Json watches_by_path(const Observation& seen) {
    Json by_path = Json::object();
    for (const auto& [path, sessions] : seen.data_watches) {
        for (const SessionId session : sessions) by_path[path].push_back(session.value());
    }
    return {{"path_to_session_ids", by_path}};
}

Json watch_summary(const Observation& seen) {
    return {{"num_connections", seen.data_watches_by_session().size()},
            {"num_paths", seen.data_watches.size()},
            {"num_total_watches", seen.data_watch_count()}};
}

Json nothing(const Observation&) {
    return Json::object();
}

struct Command {
    std::string_view name;
    std::array<std::string_view, 2> short_names;
    Json (*answer)(const Observation& seen);
    Depth depth = {};
    Act act = Act::none;
};

constexpr Depth with_files{.files = true};
constexpr Depth with_watches{.watches = true};

const std::vector<Command>& commands() {
    static const std::vector<Command> all = {
        {"configuration", {"conf", "config"}, configuration},
        {"connection_stat_reset", {"crst"}, nothing, {}, Act::reset_connections},
        {"connections",
         {"cons"},
         [](const Observation& seen) { return with_connections(Json::object(), seen, true); }},
        {"dirs", {}, directories, with_files},
        {"dump", {}, dump, {.sessions = true}},
        {"environment", {"env", "envi"}, environment_json},
        {"get_trace_mask",
         {"gtmk"},
         [](const Observation& seen) -> Json { return {{"tracemask", seen.trace_mask}}; }},
        {"hash", {}, [](const Observation&) -> Json { return {{"digests", Json::array()}}; }},
        {"initial_configuration",
         {"icfg"},
         [](const Observation& seen) -> Json {
             return {{"initial_configuration", seen.facts.configuration}};
         }},
        {"is_read_only",
         {"isro"},
         [](const Observation&) -> Json { return {{"read_only", false}}; }},
        {"last_snapshot",
         {"lsnp"},
         [](const Observation& seen) -> Json {
             return {{"zxid", std::to_string(seen.service.last_snapshot.value())},
                     {"timestamp", seen.service.last_snapshot_ms / 1000}};
         }},
        {"monitor", {"mntr"}, monitor},
        {"ruok", {}, nothing},
        {"server_stats", {"srvr"}, server_stats, with_files},
        {"stat_reset", {"srst"}, nothing, {}, Act::reset_server},
        {"stats",
         {"stat"},
         [](const Observation& seen) { return with_connections(server_stats(seen), seen, false); },
         with_files},
        {"voting_view",
         {},
         [](const Observation&) -> Json { return {{"current_config", Json::object()}}; }},
        {"watch_summary", {"wchs"}, watch_summary, with_watches},
        {"watches", {"wchc"}, watches, with_watches},
        {"watches_by_path", {"wchp"}, watches_by_path, with_watches},
        {"zabstate",
         {},
         [](const Observation&) -> Json { return {{"voting", false}, {"zabstate", ""}}; }},
    };
    return all;
}

const Command* find(std::string_view name) {
    for (const Command& each : commands()) {
        if (each.name == name) return &each;
        if (!name.empty() && std::ranges::find(each.short_names, name) != each.short_names.end()) {
            return &each;
        }
    }
    return nullptr;
}

std::string finished(Json made, std::string_view name, Json error) {
    made["command"] = name;
    made["error"] = std::move(error);
    // Paths are whatever clients made of them; what is no UTF-8 is replaced.
    return made.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

bool is_command(std::string_view name) {
    return find(name) != nullptr;
}

Depth depth_of(std::string_view name) {
    return find(name)->depth;
}

Act act_of(std::string_view name) {
    return find(name)->act;
}

std::string answer(std::string_view name, const Observation& seen) {
    const Command* command = find(name);
    return finished(command->answer(seen), command->name, nullptr);
}

std::string unknown(std::string_view name) {
    return finished(Json::object(), name, "Unknown command: " + std::string(name));
}

std::string failed(std::string_view name) {
    return finished(Json::object(), find(name)->name,
                    "This ZooKeeper instance is not currently serving requests");
}

std::string index(std::string_view url) {
    std::string page;
    for (const Command& each : commands()) {
        page += "<a href=\"" + std::string(url) + "/" + std::string(each.name) + "\">" +
                std::string(each.name) + "</a>\n<br/>\n";
    }
    return page;
}

}  // namespace coordinator::admin_commands
