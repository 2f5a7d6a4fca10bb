#include "coordinator/metadata/server/monitor.h"

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <sys/resource.h>
#include <system_error>

namespace coordinator {
namespace {

using Lines = std::vector<std::pair<std::string, Monitored>>;

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

std::int64_t number(std::size_t value) {
    return static_cast<std::int64_t>(value);
}

void put_spread(Lines& lines, const std::string& name, const Spread& spread) {
    lines.emplace_back("avg_" + name, spread.average());
    lines.emplace_back("min_" + name, spread.min);
    lines.emplace_back("max_" + name, spread.max);
    lines.emplace_back("cnt_" + name, spread.count);
    lines.emplace_back("sum_" + name, spread.sum);
}

void put_histogram(Lines& lines, const std::string& name, const Histogram& histogram) {
    put_spread(lines, name, histogram.spread());
    lines.emplace_back("p50_" + name, histogram.percentile(0.5));
    lines.emplace_back("p95_" + name, histogram.percentile(0.95));
    lines.emplace_back("p99_" + name, histogram.percentile(0.99));
    lines.emplace_back("p999_" + name, histogram.percentile(0.999));
}

void put_connections(Lines& lines, const Observation& seen) {
    const Statistics::Figures& figures = seen.figures;
    const auto local = std::ranges::count_if(seen.connections, [](const ConnectionState& each) {
        return each.peer.starts_with("127.") || each.peer.starts_with("[::1]");
    });
    const auto all = std::ssize(seen.connections);
    lines.emplace_back("num_alive_connections", std::int64_t{all});
    lines.emplace_back("non_mtls_local_conn_count", std::int64_t{local});
    lines.emplace_back("non_mtls_remote_conn_count", std::int64_t{all - local});
    lines.emplace_back("connection_request_count", figures.connect_requests);
    lines.emplace_back("connection_revalidate_count", figures.sessions_asked_for);
    lines.emplace_back("connection_rejected", figures.connections_refused);
    lines.emplace_back("connection_drop_count", figures.connections_dropped);
    lines.emplace_back("sessionless_connections_expired", figures.connections_silent);
    lines.emplace_back("connection_drop_probability", 0.0);  // None is ever turned away by chance.
    lines.emplace_back("outstanding_tls_handshake", std::int64_t{0});  // There is no TLS;
    lines.emplace_back("auth_failed_count", std::int64_t{0});          // of its certificates.
}

void put_requests(Lines& lines, const Observation& seen) {
    const Statistics::Figures& figures = seen.figures;
    lines.emplace_back("packets_received", figures.received);
    lines.emplace_back("packets_sent", figures.sent);
    lines.emplace_back("bytes_received_count", figures.bytes_received);
    lines.emplace_back("response_bytes", figures.bytes_sent);
    lines.emplace_back("watch_bytes", figures.event_bytes);
    lines.emplace_back("outstanding_requests", number(seen.outstanding()));
    lines.emplace_back("avg_latency", figures.latency.average());
    lines.emplace_back("min_latency", figures.latency.min);
    lines.emplace_back("max_latency", figures.latency.max);
    put_histogram(lines, "readlatency", figures.read_latency);
    put_histogram(lines, "updatelatency", figures.update_latency);
    lines.emplace_back("last_client_response_size", figures.answer_bytes_last);
    lines.emplace_back("min_client_response_size", figures.answer_bytes_min);
    lines.emplace_back("max_client_response_size", figures.answer_bytes_max);
}

void put_tree(Lines& lines, const Observation& seen) {
    lines.emplace_back("znode_count", number(seen.nodes));
    lines.emplace_back("ephemerals_count", number(seen.ephemerals));
    lines.emplace_back("approximate_data_size", number(seen.data_bytes));
    lines.emplace_back("watch_count", number(seen.watches));
    const auto& [created, deleted, changed, children] = seen.service.watchers;
    put_spread(lines, "node_created_watch_count", created);
    put_spread(lines, "node_deleted_watch_count", deleted);
    put_spread(lines, "node_changed_watch_count", changed);
    put_spread(lines, "node_children_watch_count", children);
    lines.emplace_back("global_sessions", number(seen.sessions.size()));
    lines.emplace_back("local_sessions", std::int64_t{0});  // All are in the journal.
    lines.emplace_back("stale_sessions_expired", seen.service.sessions_expired);
}

void put_files(Lines& lines, const MetadataService::Figures& service) {
    put_spread(lines, "fsynctime", service.sync_ms);
    put_spread(lines, "sync_processor_batch_size", service.sync_transactions);
    put_spread(lines, "snapshottime", service.snapshot_ms);
    put_spread(lines, "dbinittime", service.start.all_ms);
    put_spread(lines, "startup_snap_load_time", service.start.snapshot_ms);
    put_spread(lines, "startup_txns_load_time", service.start.journal_ms);
    put_spread(lines, "startup_txns_loaded", service.start.transactions);
}

}  // namespace

Lines monitored(const Observation& seen) {
    Lines lines = {{"version", std::string(server_version)},
                   {"server_state", std::string("standalone")},
                   {"uptime", seen.uptime_ms},
                   {"open_file_descriptor_count", open_descriptors()},
                   {"max_file_descriptor_count", descriptor_limit()}};
    put_connections(lines, seen);
    put_requests(lines, seen);
    put_tree(lines, seen);
    put_files(lines, seen.service);
    return lines;
}

}  // namespace coordinator
