// transcode: decode a message and encode it again. Included by generated sources only.
#pragma once

#include "protocol/wire/reader.h"
#include "protocol/wire/writer.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace protocol {

// Encode at the end of `out` what `bytes` hold. False when they do not hold exactly one
// message of this version; `out` is then as it was.
template <class Message>
bool transcode(std::span<const std::byte> bytes, std::int16_t version,
               std::vector<std::byte>& out) {
    wire::Reader reader(bytes);
    const Message message = Message::read(reader, version);
    if (!reader.finish()) return false;
    wire::Writer writer(out);
    message.write(writer, version);
    return true;
}

}  // namespace protocol
