#include "coordinator/metadata/acl.h"

#include <algorithm>
#include <arpa/inet.h>
#include <charconv>
#include <cstdint>
#include <vector>

namespace coordinator {
namespace {

// An address and how many of its bits count.
struct Network {
    std::vector<std::uint8_t> address;
    std::size_t bits = 0;
};

std::optional<Network> parse_network(const std::string& text) {
    const auto slash = text.find('/');
    const std::string host = text.substr(0, slash);
    if (host.contains('\0')) return std::nullopt;  // inet_pton would stop there.
    Network network;
    network.address.resize(16);
    if (inet_pton(AF_INET, host.c_str(), network.address.data()) == 1) {
        network.address.resize(4);
    } else if (inet_pton(AF_INET6, host.c_str(), network.address.data()) != 1) {
        return std::nullopt;
    }
    network.bits = network.address.size() * 8;
    if (slash == text.npos) return network;

    const char* end = text.data() + text.size();
    std::size_t bits = 0;
    const auto parsed = std::from_chars(text.data() + slash + 1, end, bits);
    if (parsed.ec != std::errc() || parsed.ptr != end || bits > network.bits) return std::nullopt;
    network.bits = bits;
    return network;
}

bool holds(const Network& network, const Network& host) {
    if (network.address.size() != host.address.size()) return false;
    for (std::size_t bit = 0; bit < network.bits; ++bit) {
        const auto differs = network.address[bit / 8] ^ host.address[bit / 8];
        if ((differs >> (7 - bit % 8) & 1) != 0) return false;
    }
    return true;
}

// "user:digest": what Java's split at ':' makes two parts of; it drops empty ones at the end.
bool is_digest(std::string_view id) {
    while (id.ends_with(':')) id.remove_suffix(1);
    return std::ranges::count(id, ':') == 1;
}

bool is_valid(const Id& id) {
    if (id.scheme == "world") return id.id == "anyone";
    if (id.scheme == "digest") return is_digest(id.id);
    if (id.scheme == "ip") return parse_network(id.id).has_value();
    if (id.scheme == "x509") return !id.id.empty();
    return false;
}

bool is_authenticated(const Id& id) {
    return id.scheme == "digest" || id.scheme == "x509";
}

bool matches(const Id& listed, const Id& caller) {
    if (listed.scheme != caller.scheme) return false;
    if (listed.scheme != "ip") return listed.id == caller.id;
    const auto network = parse_network(listed.id);
    const auto host = parse_network(caller.id);
    return network && host && holds(*network, *host);
}

void add(Acl& acl, AclEntry entry) {
    if (std::ranges::find(acl, entry) == acl.end()) acl.push_back(std::move(entry));
}

}  // namespace

std::optional<Acl> fix_up(const Acl& acl, std::span<const Id> caller) {
    if (acl.empty()) return std::nullopt;
    Acl fixed;
    for (const AclEntry& entry : acl) {
        if (entry.id.scheme != "auth") {
            if (!is_valid(entry.id)) return std::nullopt;
            add(fixed, entry);
            continue;
        }
        if (std::ranges::none_of(caller, is_authenticated)) return std::nullopt;
        for (const Id& id : caller) {
            if (is_authenticated(id)) add(fixed, {entry.permissions, id});
        }
    }
    return fixed;
}

bool permits(const Acl& acl, std::int32_t wanted, std::span<const Id> caller) {
    if (acl.empty()) return true;
    for (const Id& id : caller) {
        if (id.scheme == "super") return true;
    }
    return std::ranges::any_of(acl, [&](const AclEntry& entry) {
        if ((entry.permissions & wanted) == 0) return false;
        if (entry.id.scheme == "world" && entry.id.id == "anyone") return true;
        return std::ranges::any_of(caller, [&](const Id& id) { return matches(entry.id, id); });
    });
}

Acl masked(Acl acl) {
    for (AclEntry& entry : acl) {
        const auto colon = entry.id.id.find(':');
        if (entry.id.scheme == "digest" && colon != std::string::npos) {
            entry.id.id.replace(colon + 1, std::string::npos, "x");
        }
    }
    return acl;
}

}  // namespace coordinator
