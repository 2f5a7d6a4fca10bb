// transcoder: decodes what stands on its standard input and encodes it again, for SchemaPeer.java.
//
//     in   i32 size, u8 length and bytes of a message's name, i16 version, the message
//     out  i32 size, u8: 1 decoded, 0 refused, the message encoded again
//
// An empty name asks for the list of messages: a line "NAME LOW HIGH" each.
#include "protocol/schema/all_messages.h"
#include "protocol/wire/big_endian.h"

#include <algorithm>
#include <cstdio>
#include <string>
#include <string_view>

namespace {

bool read(std::span<std::byte> into) {
    return std::fread(into.data(), 1, into.size(), stdin) == into.size();
}

std::vector<std::byte> list_of_messages() {
    std::string list;
    for (const auto& message : protocol::all_messages()) {
        list += std::string(message.name) + " " + std::to_string(message.version_min) + " " +
                std::to_string(message.version_max) + "\n";
    }
    const auto bytes = std::as_bytes(std::span(list));
    return {bytes.begin(), bytes.end()};
}

// Nothing when the frame names no message of ours.
std::vector<std::byte> answer(std::span<const std::byte> frame) {
    const auto length = static_cast<std::size_t>(wire::load<std::uint8_t>(frame, 0));
    const std::string_view name(reinterpret_cast<const char*>(frame.data()) + 1, length);
    std::vector<std::byte> out{std::byte{1}};
    if (name.empty()) {
        const auto list = list_of_messages();
        out.insert(out.end(), list.begin(), list.end());
        return out;
    }
    const auto messages = protocol::all_messages();
    const auto message = std::ranges::find(messages, name, &protocol::MessageInfo::name);
    if (message == messages.end()) return {};
    const auto version = wire::load<std::int16_t>(frame, 1 + length);
    if (version < message->version_min || version > message->version_max) return {};
    if (!message->transcode(frame.subspan(3 + length), version, out)) out[0] = std::byte{0};
    return out;
}

}  // namespace

int main() {
    for (std::byte size[4]; read(size);) {
        std::vector<std::byte> frame(static_cast<std::size_t>(wire::load<std::int32_t>(size, 0)));
        if (!read(frame)) return 1;
        const auto out = answer(frame);
        if (out.empty()) return 2;
        wire::store(std::span(size), 0, static_cast<std::int32_t>(out.size()));
        std::fwrite(size, 1, sizeof size, stdout);
        std::fwrite(out.data(), 1, out.size(), stdout);
        std::fflush(stdout);
    }
}
