// decoders_fuzz: any bytes, as any message in any version.
//
//     u16 which message · u8 its version · the message
//
// A message is named by a hash of its name, so that a stored input keeps its meaning when
// schemas are added; another number counts through all of them. scripts/fuzz runs this under
// libFuzzer, replay_test.cc over what is stored in corpus.
#include "protocol/base/ensure.h"
#include "protocol/schema/all_messages.h"
#include "protocol/tests/allocations.h"
#include "protocol/wire/big_endian.h"
#include "protocol/wire/reader.h"

#include <algorithm>

namespace {

using Bytes = std::vector<std::byte>;

// FNV-1a, folded to 16 bits; samples.py has the same.
std::uint16_t hash_of(std::string_view name) {
    std::uint32_t hash = 2166136261;
    for (const char c : name) hash = (hash ^ static_cast<std::uint8_t>(c)) * 16777619;
    return static_cast<std::uint16_t>(hash ^ (hash >> 16));
}

const protocol::MessageInfo& named(std::uint16_t number) {
    const auto messages = protocol::all_messages();
    const auto found = std::ranges::find_if(
        messages, [&](const auto& message) { return hash_of(message.name) == number; });
    return found != messages.end() ? *found : messages[number % messages.size()];
}

std::int16_t version_of(const protocol::MessageInfo& message, std::uint8_t number) {
    const int count = message.version_max - message.version_min + 1;
    return static_cast<std::int16_t>(message.version_min + number % count);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto input = std::as_bytes(std::span(data, size));
    if (input.size() < 3) return 0;
    const auto& message = named(wire::load<std::uint16_t>(input, 0));
    const auto version = version_of(message, wire::load<std::uint8_t>(input, 2));
    const auto body = input.subspan(3);

    Bytes first;
    const test::Allocations allocations;
    const bool accepted = message.transcode(body, version, first);
    // Arrays may double their room once on the way, and the encoding is there besides.
    base::ensure(allocations.peak() <=
                     wire::Reader::memory_floor + 2 * wire::Reader::memory_factor * body.size(),
                 "decoding takes memory in proportion to the input");
    if (!accepted) return 0;

    Bytes again;
    base::ensure(message.transcode(first, version, again) && again == first,
                 "what was accepted has one encoding, which reads back as itself");
    return 0;
}
