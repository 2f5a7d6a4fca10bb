#include "coordinator/metadata/client/connect_string.h"

#include "coordinator/metadata/path.h"

#include <charconv>
#include <optional>

namespace coordinator {
namespace {

std::string_view trim(std::string_view text) {
    const auto first = text.find_first_not_of(" \t");
    if (first == text.npos) return {};
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::optional<ServerAddress> parse_server(std::string_view text) {
    ServerAddress server;
    // Of a literal without brackets the colons are its own, unless it is an IPv4 address.
    const auto bracket = text.rfind(']');
    auto colon = text.rfind(':');
    if (bracket != text.npos && colon != text.npos && colon < bracket) colon = text.npos;
    if (colon != text.npos) {
        const auto digits = text.substr(colon + 1);
        const auto [end, fault] =
            std::from_chars(digits.data(), digits.data() + digits.size(), server.port);
        if (fault != std::errc() || end != digits.data() + digits.size() || server.port == 0) {
            return std::nullopt;
        }
        text = text.substr(0, colon);
    }
    if (text.starts_with('[') && text.ends_with(']')) {
        text = text.substr(1, text.size() - 2);
    } else if (text.contains(':')) {
        return std::nullopt;
    }
    if (text.empty()) return std::nullopt;
    server.host = text;
    return server;
}

}  // namespace

std::string to_string(const ServerAddress& address) {
    const bool is_v6 = address.host.contains(':');
    return (is_v6 ? "[" + address.host + "]" : address.host) + ":" + std::to_string(address.port);
}

std::string Chroot::full(std::string_view path) const {
    if (path == "/" && !path_.empty()) return path_;
    return path_ + std::string(path);
}

std::string Chroot::relative(std::string_view path) const {
    if (path_.empty() || !path.starts_with(path_)) return std::string(path);
    const auto below = path.substr(path_.size());
    if (below.empty()) return "/";
    return std::string(below.starts_with('/') ? below : path);
}

base::Result<ConnectString, std::string> parse_connect_string(std::string_view text) {
    ConnectString made;
    text = trim(text);
    const auto slash = text.find('/');
    if (slash != text.npos) {
        auto path = text.substr(slash);
        while (path.ends_with('/')) path.remove_suffix(1);
        if (!path.empty() && !zk_path::is_valid(path)) {
            return base::Unexpected("\"" + std::string(path) + "\" is no path of a znode");
        }
        made.chroot = Chroot(std::string(path));
    }
    for (auto rest = text.substr(0, slash); !rest.empty();) {
        const auto comma = std::min(rest.find(','), rest.size());
        const auto one = trim(rest.substr(0, comma));
        rest.remove_prefix(std::min(comma + 1, rest.size()));
        if (one.empty()) continue;
        const auto server = parse_server(one);
        if (!server) {
            return base::Unexpected("\"" + std::string(one) +
                                    "\" is no server: host:port is wanted, [address]:port for "
                                    "an IPv6 address");
        }
        made.servers.push_back(*server);
    }
    if (made.servers.empty()) {
        return base::Unexpected<std::string>("it names no server: host:port is wanted");
    }
    return made;
}

}  // namespace coordinator
