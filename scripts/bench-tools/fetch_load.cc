// fetch_load: a Fetch load generator that looks at batch headers and at nothing else.
//
// Each connection keeps one sessionless Fetch v11 in flight, of one partition (connection i
// reads partition i modulo --partitions), from offset 0 to the end and then again. Prints one
// line of key=value pairs; exits 1 when an answer carried an error.

#include "common.h"

#include <poll.h>

namespace {

constexpr const char* usage =
    "fetch_load --broker HOST:PORT --topic NAME [--partitions 1] [--connections 4]\n"
    "           [--bytes 1048576] [--seconds 6] [--pid BROKER_PID]\n";

struct Connection {
    int fd = -1;
    int partition = 0;
    std::int64_t offset = 0;
    std::vector<char> in;
    std::size_t have = 0;
    double asked = 0;
};

std::string fetch_request(const std::string& topic, const Connection& from, long bytes_max) {
    std::string body;
    bench::put_i32(body, -1);        // replica id
    bench::put_i32(body, 500);       // max wait, ms
    bench::put_i32(body, 1);         // min bytes
    bench::put_i32(body, 55 << 20);  // max bytes
    bench::put_i8(body, 0);          // read_uncommitted
    bench::put_i32(body, 0);         // no session
    bench::put_i32(body, -1);
    bench::put_i32(body, 1);
    bench::put_string(body, topic);
    bench::put_i32(body, 1);
    bench::put_i32(body, from.partition);
    bench::put_i32(body, -1);  // current leader epoch
    bench::put_i64(body, from.offset);
    bench::put_i64(body, 0);  // log start offset
    bench::put_i32(body, bytes_max);
    bench::put_i32(body, 0);  // forgotten topics
    bench::put_string(body, "");
    return bench::frame(1, 11, from.partition, "fetch_load", body);
}

std::int64_t get_i64(const char* p) {
    return static_cast<std::int64_t>(std::uint64_t{bench::get_u32(p)} << 32 | bench::get_u32(p + 4));
}

struct Totals {
    long answers = 0;
    long errors = 0;
    double bytes = 0;
    double records = 0;
};

// Take one whole answer; the connection's offset moves behind its last whole batch.
void take(Connection& c, const std::string& topic, Totals& totals) {
    // Length, correlation id, throttle, error, session, count, topic, count, partition.
    const char* p = c.in.data() + 4 + 4 + 4 + 2 + 4 + 4 + 2 + topic.size() + 4 + 4;
    const int error = static_cast<signed char>(p[0]) * 256 + static_cast<unsigned char>(p[1]);
    const std::int64_t high_watermark = get_i64(p + 2);
    p += 2 + 8 + 8 + 8;
    const auto aborted = static_cast<std::int32_t>(bench::get_u32(p));
    p += 4 + (aborted > 0 ? 16 * static_cast<std::ptrdiff_t>(aborted) : 0) + 4;
    const auto size = static_cast<std::int32_t>(bench::get_u32(p));
    p += 4;
    ++totals.answers;
    if (error != 0 && ++totals.errors <= 3) std::fprintf(stderr, "error code %d\n", error);
    std::int64_t next = c.offset;
    for (std::int32_t at = 0; at + 61 <= size;) {
        const auto batch = static_cast<std::int32_t>(12 + bench::get_u32(p + at + 8));
        if (at + batch > size) break;
        totals.records += bench::get_u32(p + at + 57);
        next = get_i64(p + at) + bench::get_u32(p + at + 23) + 1;
        at += batch;
    }
    if (size > 0) totals.bytes += size;
    c.offset = next == c.offset || next >= high_watermark ? 0 : next;
}

bool ask(Connection& c, const std::string& topic, long bytes_max) {
    const std::string request = fetch_request(topic, c, bytes_max);
    c.have = 0;
    c.asked = bench::now();
    return write(c.fd, request.data(), request.size()) == static_cast<ssize_t>(request.size());
}

}  // namespace

int main(int argc, char** argv) {
    const bench::Flags flags(argc, argv,
                             {{"broker", "127.0.0.1:9092"}, {"topic", "bench"}, {"partitions", "1"},
                              {"connections", "4"}, {"bytes", "1048576"}, {"seconds", "6"}, {"pid", "0"}},
                             usage);
    const std::string topic = flags.text("topic");
    const long bytes_max = flags.number("bytes");
    const long pid = flags.number("pid");
    std::vector<Connection> all(static_cast<std::size_t>(flags.number("connections")));
    std::vector<pollfd> polled(all.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
        all[i].fd = bench::connect_to(flags.text("broker"));
        all[i].partition = static_cast<int>(i) % static_cast<int>(flags.number("partitions"));
        all[i].in.resize(static_cast<std::size_t>(bytes_max) + (4 << 20));
        polled[i] = {all[i].fd, POLLIN, 0};
        if (!ask(all[i], topic, bytes_max)) return 1;
    }
    Totals totals;
    std::vector<double> latencies;
    const double cpu = bench::process_cpu(pid);
    const double start = bench::now();
    const double end = start + flags.real("seconds");
    while (bench::now() < end) {
        if (poll(polled.data(), polled.size(), 100) <= 0) continue;
        for (std::size_t i = 0; i < all.size(); ++i) {
            if ((polled[i].revents & POLLIN) == 0) continue;
            Connection& c = all[i];
            if (c.have == c.in.size()) c.in.resize(2 * c.in.size());
            const ssize_t got = recv(c.fd, c.in.data() + c.have, c.in.size() - c.have, MSG_DONTWAIT);
            if (got == 0) {
                std::fprintf(stderr, "the broker closed a connection\n");
                return 1;
            }
            if (got < 0) continue;
            c.have += static_cast<std::size_t>(got);
            if (c.have < 4 || c.have < 4 + bench::get_u32(c.in.data())) continue;
            latencies.push_back((bench::now() - c.asked) * 1e6);
            take(c, topic, totals);
            if (!ask(c, topic, bytes_max)) return 1;
        }
    }
    const double seconds = bench::now() - start;
    std::printf("fetch topic=%s connections=%zu bytes=%ld req_s=%.0f GB_s=%.2f rec_s=%.0f %s", topic.c_str(),
                all.size(), bytes_max, static_cast<double>(totals.answers) / seconds,
                totals.bytes / seconds / 1e9, totals.records / seconds,
                bench::Percentiles(std::move(latencies)).line().c_str());
    if (pid != 0 && totals.bytes > 0) {
        const double used = bench::process_cpu(pid) - cpu;
        std::printf(" cpu_s=%.2f cpu_s_per_GB=%.3f rss_KiB=%ld", used, used / (totals.bytes / 1e9),
                    bench::process_rss_kib(pid));
    }
    std::printf(" errors=%ld\n", totals.errors);
    return totals.errors == 0 && totals.answers > 0 ? 0 : 1;
}
