// all_messages: every message and every API that a schema describes, as data: for tests,
// fuzzers and comparisons that go over all of them, and for headers, whose form depends on
// the API.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace protocol {

enum class MessageKind { request, response, record };

struct MessageInfo {
    std::string_view name;  // Kafka's: "FetchRequest", "OffsetCommitValue"
    MessageKind kind;
    std::int16_t key;  // API key, or the type of a coordinator's record; -1: none
    std::int16_t version_min;
    std::int16_t version_max;
    std::int16_t flexible_since;  // 32767: never

    // Decode `bytes` as `version` and encode them again at the end of `out`. False when
    // they are not exactly one such message; `out` is then as it was.
    // Requires version_min <= version <= version_max.
    bool (*transcode)(std::span<const std::byte> bytes, std::int16_t version,
                      std::vector<std::byte>& out);
};

struct ApiInfo {
    std::int16_t key;
    std::string_view name;  // "Fetch"
    std::int16_t version_min;
    std::int16_t version_max;
    std::int16_t flexible_since;  // 32767: never
    std::int16_t serves_min;      // What the broker advertises;
    std::int16_t serves_max;      // below serves_min: nothing.
};

std::span<const MessageInfo> all_messages();
std::span<const ApiInfo> all_apis();  // By key.

// Nothing when no schema has this key.
const ApiInfo* find_api(std::int16_t key);

}  // namespace protocol
