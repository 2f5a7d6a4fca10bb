#include "broker/config/listener.h"

#include "broker/config/value.h"
#include "broker/config/values.h"

#include <algorithm>
#include <array>
#include <map>
#include <unistd.h>

namespace broker {
namespace {

constexpr std::array protocol_names = {std::string_view("PLAINTEXT"), std::string_view("SSL"),
                                       std::string_view("SASL_PLAINTEXT"),
                                       std::string_view("SASL_SSL")};

std::string in_capitals(std::string_view text) {
    std::string out(text);
    for (char& c : out) {
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
    }
    return out;
}

std::optional<SecurityProtocol> find_protocol(std::string_view name) {
    const auto at = std::ranges::find(protocol_names, name);
    if (at == protocol_names.end()) return std::nullopt;
    return static_cast<SecurityProtocol>(at - protocol_names.begin());
}

bool is_wildcard(std::string_view host) {
    return host.empty() || host == "0.0.0.0" || host == "::";
}

std::string this_host() {
    std::array<char, 256> name{};
    const bool known = ::gethostname(name.data(), name.size() - 1) == 0 && name[0] != '\0';
    return known ? std::string(name.data()) : std::string("localhost");
}

std::string written(const HostPort& at) {
    return to_string(at);
}

// Gathers the plan, key by key, with every fault there is.
class Planner {
public:
    explicit Planner(const BrokerValues& values) : values_(values) {}

    ListenerPlan plan() {
        read_protocols();
        for (const std::string& name : split_list(values_.controller_listener_names.value_or(""))) {
            controller_names_.push_back(in_capitals(name));
        }
        read_listeners();
        read_advertised();
        choose_inter_broker();
        return std::move(plan_);
    }

private:
    void fault(std::string_view key, std::string text) {
        plan_.faults.push_back({key, std::move(text)});
    }

    bool is_controllers(const std::string& name) const {
        return std::ranges::find(controller_names_, name) != controller_names_.end();
    }

    void read_protocols() {
        for (const std::string& pair : split_list(values_.listener_security_protocol_map)) {
            const std::size_t colon = pair.find(':');
            const std::string name = in_capitals(trimmed(std::string_view(pair).substr(0, colon)));
            const auto protocol =
                colon == std::string::npos
                    ? std::nullopt
                    : find_protocol(in_capitals(trimmed(std::string_view(pair).substr(colon + 1))));
            if (name.empty() || !protocol) {
                fault("listener.security.protocol.map",
                      "\"" + pair +
                          "\" is not NAME:PROTOCOL; protocols are PLAINTEXT, SSL, SASL_PLAINTEXT, "
                          "SASL_SSL");
            } else if (!protocols_.emplace(name, *protocol).second) {
                fault("listener.security.protocol.map", "it names " + name + " twice");
            }
        }
    }

    void read_listeners() {
        for (const std::string& text : split_list(values_.listeners)) {
            const auto point = parse_end_point(text);
            if (!point) {
                fault("listeners", point.error());
            } else if (is_controllers(point->name)) {
                plan_.notes.push_back(
                    "the listener " + point->name +
                    " belongs to a KRaft controller (controller.listener.names) and is not opened");
            } else {
                add_listener(*point);
            }
        }
        if (plan_.endpoints.empty() && plan_.faults.empty()) {
            fault("listeners",
                  "it names no listener for clients; PLAINTEXT://localhost:9092 is one");
        }
    }

    void add_listener(const EndPoint& point) {
        const auto protocol = protocols_.find(point.name);
        if (protocol == protocols_.end()) {
            fault("listener.security.protocol.map", "it has no protocol for the listener " +
                                                        point.name + "; add " + point.name +
                                                        ":PLAINTEXT");
            return;
        }
        if (protocol->second != SecurityProtocol::plaintext) {
            fault("listeners", "the listener " + point.name + " speaks " +
                                   std::string(name_of(protocol->second)) +
                                   ", which this version cannot do yet; only PLAINTEXT works");
            return;
        }
        for (const Listener& other : plan_.endpoints) {
            if (other.name == point.name) {
                fault("listeners", "it names " + point.name +
                                       " twice; a host name with several addresses, as"
                                       " localhost, opens all of them under one name");
            } else if (other.port == point.port && point.port != 0 &&
                       (other.host == point.host || is_wildcard(other.host) ||
                        is_wildcard(point.host))) {
                fault("listeners", other.name + " and " + point.name + " share port " +
                                       std::to_string(point.port));
            }
        }
        plan_.endpoints.push_back({.name = point.name,
                                   .protocol = protocol->second,
                                   .host = point.host,
                                   .port = point.port,
                                   .advertised = std::nullopt});
    }

    void read_advertised() {
        for (const std::string& text : split_list(values_.advertised_listeners.value_or(""))) {
            auto point = parse_end_point(text);
            if (!point) {
                fault("advertised.listeners", point.error());
                continue;
            }
            if (is_controllers(point->name)) continue;
            const auto listener = std::ranges::find(plan_.endpoints, point->name, &Listener::name);
            if (point->host == "0.0.0.0" || point->host == "::") {
                fault("advertised.listeners", "nobody can connect to " +
                                                  written({point->host, point->port}) +
                                                  "; name an address that clients reach");
            } else if (listener != plan_.endpoints.end()) {
                if (point->host.empty()) point->host = this_host();
                listener->advertised = HostPort{point->host, point->port};
            } else if (!plan_.endpoints.empty()) {
                fault("advertised.listeners",
                      "it names " + point->name + ", which is not among the listeners");
            }
        }
    }

    void choose_inter_broker() {
        const std::string protocol = in_capitals(values_.security_inter_broker_protocol);
        plan_.inter_broker = in_capitals(values_.inter_broker_listener_name.value_or(protocol));
        if (plan_.endpoints.empty() || !plan_.faults.empty()) return;
        const bool known = std::ranges::find(plan_.endpoints, plan_.inter_broker,
                                             &Listener::name) != plan_.endpoints.end();
        if (!known) {
            fault("inter.broker.listener.name",
                  "the listener for other brokers is " + plan_.inter_broker +
                      ", which is not among the listeners; set it to " +
                      plan_.endpoints.front().name);
        }
    }

    const BrokerValues& values_;
    std::map<std::string, SecurityProtocol> protocols_;
    std::vector<std::string> controller_names_;
    ListenerPlan plan_;
};

}  // namespace

std::string_view name_of(SecurityProtocol protocol) noexcept {
    return protocol_names[static_cast<std::size_t>(protocol)];
}

std::string to_string(const HostPort& at) {
    const bool v6 = at.host.find(':') != std::string::npos;
    return (v6 ? "[" + at.host + "]" : at.host) + ":" + std::to_string(at.port);
}

std::string to_string(const Listener& listener) {
    return listener.name + "://" + to_string(HostPort{listener.host, listener.port});
}

base::Result<EndPoint, std::string> parse_end_point(std::string_view text) {
    const auto wrong = [&](std::string_view why) {
        return base::Unexpected("\"" + std::string(text) + "\" " + std::string(why) +
                                "; it should look like PLAINTEXT://host:9092");
    };
    const std::size_t scheme = text.find("://");
    if (scheme == std::string_view::npos || scheme == 0) return wrong("has no NAME:// in front");
    EndPoint point{.name = in_capitals(text.substr(0, scheme)), .host = {}, .port = 0};
    const bool plain = std::ranges::all_of(point.name, [](char c) {
        return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
    });
    if (!plain) return wrong("has a name of other characters than letters, digits, _ - and .");

    const std::string_view rest = text.substr(scheme + 3);
    const std::size_t colon = rest.rfind(':');
    if (colon == std::string_view::npos) return wrong("has no port");
    const std::optional<std::int64_t> port = parse_integer(rest.substr(colon + 1));
    if (!port || *port < 0 || *port > 65535)
        return wrong("has a port that is not a number from 0 to 65535");
    point.port = static_cast<std::uint16_t>(*port);

    std::string_view host = rest.substr(0, colon);
    const bool bracketed = host.starts_with('[') && host.ends_with(']') && host.size() > 2;
    if (bracketed) host = host.substr(1, host.size() - 2);
    if (!bracketed && host.find(':') != std::string_view::npos) {
        return wrong("has an IPv6 address without brackets around it");
    }
    if (host.find_first_of("[]/@ \t") != std::string_view::npos)
        return wrong("has a host that is none");
    point.host = std::string(host);
    return point;
}

ListenerPlan plan_listeners(const BrokerValues& values) {
    return Planner(values).plan();
}

}  // namespace broker
