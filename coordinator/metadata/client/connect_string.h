// ConnectString: where a ZooKeeper ensemble is, as zookeeper.connect names it, and the chroot
// below which a client sees the tree.
//
//     zoo1:2181,zoo2:2181,[2001:db8::1]:2181/kafka
//
// Only the last server is followed by the chroot, which holds for all of them. A port may be
// left out: 2181.
#pragma once

#include "protocol/base/result.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace coordinator {

struct ServerAddress {
    std::string host;  // A name or a literal; an IPv6 literal without its brackets.
    std::uint16_t port = 2181;

    friend bool operator==(const ServerAddress&, const ServerAddress&) = default;
};

// "[::1]:2181": brackets where the host is an IPv6 literal.
std::string to_string(const ServerAddress& address);

// Chroot: the part of the server's tree that a client takes for the whole.
class Chroot {
public:
    Chroot() = default;  // None.

    // Requires a path of a node other than "/", or "" for none.
    explicit Chroot(std::string path) : path_(std::move(path)) {}

    const std::string& path() const noexcept { return path_; }

    // A client's path as the server knows it: "/" is the chroot itself.
    std::string full(std::string_view path) const;

    // The reverse. What is not below the chroot comes back as it is.
    std::string relative(std::string_view path) const;

private:
    std::string path_;
};

struct ConnectString {
    std::vector<ServerAddress> servers;  // At least one.
    Chroot chroot;
};

// The error is a sentence that names what could not be read.
[[nodiscard]] base::Result<ConnectString, std::string> parse_connect_string(std::string_view text);

}  // namespace coordinator
