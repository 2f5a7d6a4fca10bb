#include "protocol/base/crc32c.h"

#include <doctest/doctest.h>

#include <span>
#include <string_view>

TEST_CASE("the checksum of 123456789 is that of RFC 3720") {
    const std::string_view digits = "123456789";
    CHECK(base::crc32c(std::as_bytes(std::span(digits))) == 0xe3069283);
}
