#include "protocol/schema/headers.h"

#include "protocol/schema/all_messages.h"
#include "protocol/schema/api/api_versions.h"
#include "protocol/schema/api/controlled_shutdown.h"
#include "protocol/wire/reader.h"
#include "protocol/wire/writer.h"

#include <algorithm>

namespace protocol {
namespace {

bool is_flexible(std::int16_t api_key, std::int16_t api_version) {
    const auto* api = find_api(api_key);
    return api && api_version >= api->flexible_since && api_version <= api->version_max;
}

}  // namespace

const ApiInfo* find_api(std::int16_t key) {
    const auto apis = all_apis();
    const auto found = std::ranges::lower_bound(apis, key, {}, &ApiInfo::key);
    return found != apis.end() && found->key == key ? &*found : nullptr;
}

std::int16_t request_header_version(std::int16_t api_key, std::int16_t api_version) {
    if (api_key == ControlledShutdownApi::key && api_version == 0) return 0;
    return is_flexible(api_key, api_version) ? 2 : 1;
}

std::int16_t response_header_version(std::int16_t api_key, std::int16_t api_version) {
    return api_key != ApiVersionsApi::key && is_flexible(api_key, api_version) ? 1 : 0;
}

RequestHeader read_request_header(wire::Reader& reader) {
    auto key_and_version = reader;
    const auto key = key_and_version.int16();
    const auto version = key_and_version.int16();
    return RequestHeader::read(reader, request_header_version(key, version));
}

void write_request_header(wire::Writer& writer, const RequestHeader& header) {
    header.write(writer,
                 request_header_version(header.request_api_key, header.request_api_version));
}

ResponseHeader read_response_header(wire::Reader& reader, std::int16_t api_key,
                                    std::int16_t api_version) {
    return ResponseHeader::read(reader, response_header_version(api_key, api_version));
}

void write_response_header(wire::Writer& writer, std::int16_t api_key, std::int16_t api_version,
                           std::int32_t correlation_id) {
    ResponseHeader header;
    header.correlation_id = correlation_id;
    header.write(writer, response_header_version(api_key, api_version));
}

}  // namespace protocol
