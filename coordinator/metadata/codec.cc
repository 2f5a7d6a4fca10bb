#include "coordinator/metadata/codec.h"

#include <algorithm>
#include <cstring>

namespace coordinator::codec {
namespace {

constexpr bool compact = true;  // Lengths as varints.

Data read_data(wire::Reader& in, bool may_be_null) {
    const auto size = in.unsigned_varint();
    if (size == 0) {
        if (!may_be_null) in.fail();
        return std::nullopt;
    }
    const auto bytes = in.take(size - 1);
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

}  // namespace

// Not wire::Reader::string: a path or the data of a node may be longer than a string of Kafka's.
std::string read_string(wire::Reader& in) {
    return read_data(in, false).value_or("");
}

void write(wire::Writer& out, const Data& data) {
    out.unsigned_varint(data ? static_cast<std::uint32_t>(data->size()) + 1 : 0);
    if (data) out.bytes(std::as_bytes(std::span(*data)));
}

Data read_data(wire::Reader& in) {
    return read_data(in, true);
}

void write(wire::Writer& out, const Acl& acl) {
    out.array(acl, compact, [&](const AclEntry& entry) {
        out.int32(entry.permissions);
        out.string(entry.id.scheme, compact);
        out.string(entry.id.id, compact);
    });
}

Acl read_acl(wire::Reader& in) {
    constexpr std::size_t smallest = 6;  // Permissions and two empty strings.
    return in.array<AclEntry>(compact, smallest, [&] {
        AclEntry entry;
        entry.permissions = in.int32();
        entry.id.scheme = read_string(in);
        entry.id.id = read_string(in);
        return entry;
    });
}

void write(wire::Writer& out, const Password& password) {
    out.bytes(password);
}

Password read_password(wire::Reader& in) {
    Password password{};
    std::ranges::copy(in.take(password.size()), password.begin());
    return password;
}

NodeKind read_kind(wire::Reader& in) {
    const auto kind = in.int8();
    if (kind < 0 || kind > static_cast<std::int8_t>(NodeKind::ttl)) in.fail();
    return static_cast<NodeKind>(kind);
}

}  // namespace coordinator::codec
