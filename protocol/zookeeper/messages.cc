#include "protocol/zookeeper/messages.h"

namespace zookeeper {
namespace {

// What request and response share: the same fields in another order, and the flag at the end
// that may not be there.
std::optional<bool> read_flag(wire::Reader& reader) {
    if (reader.failed() || reader.rest().empty()) return std::nullopt;
    return reader.boolean();
}

}  // namespace

ConnectRequest read_connect_request(wire::Reader& reader) {
    ConnectRequest request;
    request.protocol_version = reader.int32();
    request.last_zxid_seen = reader.int64();
    request.timeout_ms = reader.int32();
    request.session_id = reader.int64();
    request.password = jute::read<Buffer>(reader);
    request.read_only = read_flag(reader);
    return request;
}

void write_connect_request(wire::Writer& writer, const ConnectRequest& request) {
    writer.int32(request.protocol_version);
    writer.int64(request.last_zxid_seen);
    writer.int32(request.timeout_ms);
    writer.int64(request.session_id);
    jute::write(writer, request.password);
    if (request.read_only) writer.boolean(*request.read_only);
}

ConnectResponse read_connect_response(wire::Reader& reader) {
    ConnectResponse response;
    response.protocol_version = reader.int32();
    response.timeout_ms = reader.int32();
    response.session_id = reader.int64();
    response.password = jute::read<Buffer>(reader);
    response.read_only = read_flag(reader);
    return response;
}

void write_connect_response(wire::Writer& writer, const ConnectResponse& response) {
    writer.int32(response.protocol_version);
    writer.int32(response.timeout_ms);
    writer.int64(response.session_id);
    jute::write(writer, response.password);
    if (response.read_only) writer.boolean(*response.read_only);
}

}  // namespace zookeeper
