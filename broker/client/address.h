// Address: host and port of a broker, as people write them.
//
//     localhost:9092   10.0.0.1:9092   [::1]:9092   PLAINTEXT://broker-1:9092
#pragma once

#include "protocol/base/result.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace broker::inline client {

struct Address {
    std::string host;  // A name or a literal; an IPv6 literal without its brackets.
    std::uint16_t port = 0;

    friend auto operator<=>(const Address&, const Address&) = default;
};

// "[::1]:9092": brackets where the host is an IPv6 literal.
std::string to_string(const Address& address);

// The fault is a sentence that names what could not be read.
[[nodiscard]] base::Result<Address, std::string> parse_address(std::string_view text);

// A list with commas, spaces allowed; at least one address.
[[nodiscard]] base::Result<std::vector<Address>, std::string> parse_addresses(
    std::string_view text);

}  // namespace broker
