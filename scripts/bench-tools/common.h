// What the load tools share: flags, clocks, percentiles, sockets, the CPU time of another
// process.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sstream>
#include <string>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

namespace bench {

// `--name value`, `--name=value` and bare `--name`; an unknown name is an error.
class Flags {
public:
    Flags(int argc, char** argv, std::map<std::string, std::string> defaults, const char* usage)
        : values_(std::move(defaults)) {
        for (int i = 1; i < argc; ++i) {
            std::string name = argv[i];
            std::string value = "1";
            const auto equals = name.find('=');
            if (name.rfind("--", 0) != 0) fail(usage, name);
            if (equals != std::string::npos) {
                value = name.substr(equals + 1);
                name.resize(equals);
            } else if (i + 1 < argc && std::strncmp(argv[i + 1], "--", 2) != 0) {
                value = argv[++i];
            }
            name.erase(0, 2);
            if (values_.find(name) == values_.end()) fail(usage, "--" + name);
            values_[name] = value;
        }
    }
    std::string text(const std::string& name) const { return values_.at(name); }
    long number(const std::string& name) const {
        return std::strtol(values_.at(name).c_str(), nullptr, 10);
    }
    double real(const std::string& name) const {
        return std::strtod(values_.at(name).c_str(), nullptr);
    }

private:
    [[noreturn]] static void fail(const char* usage, const std::string& what) {
        std::fprintf(stderr, "unknown argument: %s\n%s", what.c_str(), usage);
        std::exit(2);
    }
    std::map<std::string, std::string> values_;
};

// Seconds on the monotonic clock.
inline double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

// CPU seconds (user + system) of the calling thread.
inline double thread_cpu() {
    rusage u{};
    getrusage(RUSAGE_THREAD, &u);
    return static_cast<double>(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           1e-6 * static_cast<double>(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

// CPU seconds (user + system) used so far by process `pid`; 0 for pid 0.
inline double process_cpu(long pid) {
    if (pid == 0) return 0;
    std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
    std::string line;
    std::getline(in, line);
    const auto name_end = line.rfind(')');
    if (name_end == std::string::npos) return 0;
    std::istringstream rest(line.substr(name_end + 2));
    std::string skip;
    double user = 0;
    double system = 0;
    for (int field = 3; field < 14; ++field) rest >> skip;
    rest >> user >> system;
    return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

// Resident set of process `pid` in KiB; 0 for pid 0.
inline long process_rss_kib(long pid) {
    if (pid == 0) return 0;
    std::ifstream in("/proc/" + std::to_string(pid) + "/status");
    for (std::string line; std::getline(in, line);) {
        if (line.rfind("VmRSS:", 0) == 0) return std::strtol(line.c_str() + 6, nullptr, 10);
    }
    return 0;
}

// Sorts once, then answers percentiles of samples in microseconds.
class Percentiles {
public:
    explicit Percentiles(std::vector<double> samples) : samples_(std::move(samples)) {
        std::sort(samples_.begin(), samples_.end());
    }
    double at(double fraction) const {
        if (samples_.empty()) return 0;
        const double rank = fraction * static_cast<double>(samples_.size());
        return samples_[std::min(samples_.size() - 1, static_cast<std::size_t>(rank))];
    }
    std::string line() const {
        char text[160];
        std::snprintf(
            text, sizeof text,
            "p50_us=%.0f p95_us=%.0f p99_us=%.0f p99.9_us=%.0f p99.99_us=%.0f max_us=%.0f", at(0.5),
            at(0.95), at(0.99), at(0.999), at(0.9999), samples_.empty() ? 0 : samples_.back());
        return text;
    }

private:
    std::vector<double> samples_;
};

inline void no_delay(int fd) {
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

// A blocking TCP connection to "host:port"; ends the program when there is none.
inline int connect_to(const std::string& address) {
    const auto colon = address.rfind(':');
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (colon == std::string::npos ||
        getaddrinfo(address.substr(0, colon).c_str(), address.c_str() + colon + 1, &hints,
                    &found) != 0) {
        std::fprintf(stderr, "not a host:port: %s\n", address.c_str());
        std::exit(2);
    }
    const int fd = socket(found->ai_family, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
        std::perror(("connect " + address).c_str());
        std::exit(1);
    }
    freeaddrinfo(found);
    no_delay(fd);
    return fd;
}

// Kafka's primitive types, big-endian, appended to a string.
inline void put_int(std::string& out, std::uint64_t value, int bytes) {
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
        out += static_cast<char>(value >> shift);
}
inline void put_i8(std::string& out, int v) {
    put_int(out, static_cast<std::uint64_t>(v), 1);
}
inline void put_i16(std::string& out, int v) {
    put_int(out, static_cast<std::uint64_t>(v), 2);
}
inline void put_i32(std::string& out, std::int64_t v) {
    put_int(out, static_cast<std::uint64_t>(v), 4);
}
inline void put_i64(std::string& out, std::int64_t v) {
    put_int(out, static_cast<std::uint64_t>(v), 8);
}
inline void put_string(std::string& out, const std::string& v) {
    put_i16(out, static_cast<int>(v.size()));
    out += v;
}
inline void put_varint(std::string& out, std::int64_t v) {  // zig-zag, base 128
    auto z = (static_cast<std::uint64_t>(v) << 1) ^ static_cast<std::uint64_t>(v >> 63);
    for (; z >= 128; z >>= 7) out += static_cast<char>(z | 128);
    out += static_cast<char>(z);
}
inline std::uint32_t get_u32(const char* p) {
    std::uint32_t v;
    std::memcpy(&v, p, 4);
    return ntohl(v);
}

// One request frame: length, header v1 (key, version, correlation id, client id), body.
inline std::string frame(int api_key, int version, std::int32_t correlation,
                         const std::string& client, const std::string& body) {
    std::string message;
    put_i16(message, api_key);
    put_i16(message, version);
    put_i32(message, correlation);
    put_string(message, client);
    message += body;
    std::string out;
    put_i32(out, static_cast<std::int64_t>(message.size()));
    return out + message;
}

}  // namespace bench
