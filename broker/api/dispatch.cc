#include "broker/api/dispatch.h"

#include "broker/api/api_versions.h"
#include "broker/api/serve.h"
#include "protocol/schema/headers.h"
#include "protocol/wire/big_endian.h"

#include <algorithm>

namespace broker {

namespace {

constexpr std::size_t length_bytes = 4;

}  // namespace

void begin_answer(net::Outgoing& out, wire::Writer& writer, const RequestContext& context) {
    out.bytes.resize(length_bytes);
    protocol::write_response_header(writer, context.api_key, context.api_version, context.correlation_id);
}

void end_answer(net::Outgoing& out) {
    std::size_t size = out.bytes.size() - length_bytes;
    for (const auto& splice : out.splices) size += splice.slice->size();
    wire::store(std::span<std::byte>(out.bytes), 0, static_cast<std::int32_t>(size));
}

const ServedApi* find_api(std::int16_t key) noexcept {
    const auto apis = served_apis();
    const auto found = std::ranges::lower_bound(apis, key, {}, &ServedApi::key);
    return found != apis.end() && found->key == key ? &*found : nullptr;
}

Reply start_request(Services& services, Session& session, boost::asio::any_io_executor executor,
                    const net::Frame& frame, std::int64_t now_ms) {
    wire::Reader reader(frame.bytes);
    const auto header = protocol::read_request_header(reader);
    if (reader.failed()) return Closing{"a request is shorter than its header"};

    RequestContext context{services, session, std::move(executor)};
    context.api_key = header.request_api_key;
    context.api_version = header.request_api_version;
    context.correlation_id = header.correlation_id;
    if (header.client_id) context.client_id = header.client_id->view();
    context.now_ms = now_ms;
    context.frame = frame.buffer;

    const ServedApi* api = find_api(context.api_key);
    if (!api) return Closing{"it asked for API " + std::to_string(context.api_key) + ", which is not served"};
    if (context.api_version < api->version_min || context.api_version > api->version_max) {
        if (context.api_key == protocol::ApiVersionsApi::key) {
            context.api_version = 0;
            return encode(context, unsupported_api_versions());
        }
        return Closing{"it asked for version " + std::to_string(context.api_version) + " of " +
                       std::string(api->name) + ", which is not served"};
    }
    return api->run(context, reader);
}

}  // namespace broker
