// Listener: where the broker accepts connections, and what it tells clients about that.
#pragma once

#include "protocol/base/result.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace broker {

enum class SecurityProtocol : std::int16_t {
    plaintext = 0,
    ssl = 1,
    sasl_plaintext = 2,
    sasl_ssl = 3,
};

std::string_view name_of(SecurityProtocol protocol) noexcept;

struct HostPort {
    std::string host;
    std::uint16_t port = 0;

    friend auto operator<=>(const HostPort&, const HostPort&) = default;
};

// "localhost:9092", "[::1]:9092".
std::string to_string(const HostPort& at);

struct Listener {
    std::string name;  // In capitals: PLAINTEXT, INTERNAL, ...
    SecurityProtocol protocol{};
    // Empty: all interfaces, IPv4 and IPv6. A name stands for all of its addresses: the
    // broker binds each of them, and is content when at least one is there. An IPv6
    // literal stands without its brackets.
    std::string host;
    std::uint16_t port = 0;  // 0: any free one.
    // advertised.listeners. None: a client is told the local address of its own
    // connection, with the listener's port; the znode gets Kafka's default.
    std::optional<HostPort> advertised;

    friend bool operator==(const Listener&, const Listener&) = default;
};

// "PLAINTEXT://127.0.0.1:9092": where it listens, with the host as it was written.
std::string to_string(const Listener& listener);

// NAME://host:port as `listeners` and `advertised.listeners` hold it.
struct EndPoint {
    std::string name;
    std::string host;
    std::uint16_t port = 0;

    friend bool operator==(const EndPoint&, const EndPoint&) = default;
};

// The fault is a sentence for people: what is wrong and what would be right.
[[nodiscard]] base::Result<EndPoint, std::string> parse_end_point(std::string_view text);

// What the keys of listeners come to, taken together.
struct ListenerPlan {
    struct Fault {
        std::string_view key;  // Of broker.table.
        std::string text;
    };

    std::vector<Listener> endpoints;
    std::string inter_broker;
    std::vector<Fault> faults;       // Of all the keys; with any, the rest is worth nothing.
    std::vector<std::string> notes;  // Listeners of a KRaft controller that are not opened.
};

struct BrokerValues;
ListenerPlan plan_listeners(const BrokerValues& values);

}  // namespace broker
