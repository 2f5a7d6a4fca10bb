#include "broker/client/address.h"

#include <charconv>

namespace broker::inline client {
namespace {

std::string_view trim(std::string_view text) {
    const auto first = text.find_first_not_of(" \t\r\n");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

base::Unexpected<std::string> invalid(std::string_view text) {
    return base::Unexpected("Invalid url in bootstrap.servers: " + std::string(text) +
                            " (host:port is wanted, [host]:port for an IPv6 literal)");
}

}  // namespace

std::string to_string(const Address& address) {
    const bool is_v6 = address.host.contains(':');
    return (is_v6 ? "[" + address.host + "]" : address.host) + ":" + std::to_string(address.port);
}

base::Result<Address, std::string> parse_address(std::string_view text) {
    const auto whole = text = trim(text);
    if (const auto scheme = text.find("://"); scheme != std::string_view::npos)
        text.remove_prefix(scheme + 3);
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos) return invalid(whole);
    auto host = text.substr(0, colon);
    const auto digits = text.substr(colon + 1);
    if (host.starts_with('[')) {
        if (!host.ends_with(']')) return invalid(whole);
        host = host.substr(1, host.size() - 2);
    } else if (host.contains(':')) {
        return invalid(whole);
    }
    std::uint16_t port = 0;
    const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (host.empty() || fault != std::errc() || end != digits.data() + digits.size() || port == 0) {
        return invalid(whole);
    }
    return Address{std::string(host), port};
}

base::Result<std::vector<Address>, std::string> parse_addresses(std::string_view text) {
    std::vector<Address> found;
    while (!text.empty()) {
        const auto comma = text.find(',');
        const auto one = trim(text.substr(0, comma));
        text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
        if (one.empty()) continue;
        auto address = parse_address(one);
        if (!address) return base::Unexpected(address.error());
        found.push_back(std::move(*address));
    }
    if (found.empty())
        return base::Unexpected<std::string>("No bootstrap urls given in bootstrap.servers");
    return found;
}

}  // namespace broker
