// golden: bytes that Apache Kafka and an independent implementation agree on.
#pragma once

#include "protocol/tests/hex.h"

#include <cstddef>
#include <vector>

namespace golden {

// ("k", "v1", 1700000000000, header h=x), (null, "v2", five ms later), as a producer sends it.
inline std::vector<std::byte> two_records() {
    return test::hex(
        "0000000000000000 00000048 ffffffff 02 601d1266 0000 00000001 0000018bcfe56800"
        "0000018bcfe56805 ffffffffffffffff ffff ffffffff 00000002"
        "1a000000026b047631020268027810000a020104763200");
}

// Offset 2, leader epoch 0, producer 1000 of epoch 0, coordinator epoch 3, at 1700000000000.
inline std::vector<std::byte> commit_marker() {
    return test::hex(
        "0000000000000002 00000042 00000000 02 954be106 0030 00000000 0000018bcfe56800"
        "0000018bcfe56800 00000000000003e8 0000 ffffffff 00000001"
        "2000000008000000010c00000000000300");
}

inline std::vector<std::byte> abort_marker() {
    return test::hex(
        "0000000000000002 00000042 00000000 02 6175374e 0030 00000000 0000018bcfe56800"
        "0000018bcfe56800 00000000000003e8 0000 ffffffff 00000001"
        "2000000008000000000c00000000000300");
}

// Offset 0, "k", "v1"; that of format 1 at 1700000000000.
inline std::vector<std::byte> message_v0() {
    return test::hex("0000000000000000 00000011 61505427 00 00 00000001 6b 00000002 7631");
}
inline std::vector<std::byte> message_v1() {
    return test::hex(
        "0000000000000000 00000019 3e731674 01 00 0000018bcfe56800 00000001 6b 00000002 7631");
}

}  // namespace golden
