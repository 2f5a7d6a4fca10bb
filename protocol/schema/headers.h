// headers: what stands before each request and each answer, and which form it has.
//
//     request v0   api key, version, correlation id          ControlledShutdown v0 only
//             v1   + client id (never compact)
//             v2   + tagged fields                           flexible versions
//     answer  v0   correlation id                            also every ApiVersions answer
//             v1   + tagged fields                           flexible versions
//
// ApiVersions answers keep v0, because a client reads them before it knows what the
// broker can do. Source: https://kafka.apache.org/protocol.html, "Headers".
#pragma once

#include "protocol/schema/api/request_header.h"
#include "protocol/schema/api/response_header.h"

#include <cstdint>

namespace protocol {

// The header's own version, for a version of the API. That of an API or a version nobody
// knows is the one that old and new clients agree on: 1 for requests, 0 for answers.
std::int16_t request_header_version(std::int16_t api_key, std::int16_t api_version);
std::int16_t response_header_version(std::int16_t api_key, std::int16_t api_version);

// Take the header off a frame; the body is what is left. Of an ApiVersions request in a
// version that is too new only the part that all versions share is taken, because nobody
// knows how the rest looks. When the bytes run out the reader has failed.
RequestHeader read_request_header(wire::Reader& reader);
void write_request_header(wire::Writer& writer, const RequestHeader& header);

// The same for the answer to a request of this version.
ResponseHeader read_response_header(wire::Reader& reader, std::int16_t api_key,
                                    std::int16_t api_version);
void write_response_header(wire::Writer& writer, std::int16_t api_key, std::int16_t api_version,
                           std::int32_t correlation_id);

}  // namespace protocol
