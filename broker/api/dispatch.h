// Dispatch: from the bytes of a request to the bytes of its answer.
//
//     frame --> header --> authorised version? --> decode --> handle() --> encode --> frame
//
// The table of APIs is generated from the `serves` lines of protocol/schema/api: a schema
// that says what is served and has no handle() does not link. ApiVersions answers from the
// same table.
//
// What it answers itself, as Apache Kafka does: an API or a version that is not served, or a
// body that is not what its version says, closes the connection; an ApiVersions of a version
// that is not known gets version 0 with UNSUPPORTED_VERSION(35).
//
// Threads: the connection's.
#pragma once

#include "broker/api/answer.h"
#include "broker/api/context.h"
#include "protocol/net/frame_reader.h"
#include "protocol/net/out_queue.h"
#include "protocol/wire/reader.h"
#include "protocol/wire/writer.h"

#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace broker {

// The answer to one request as it goes to the client.
struct Closing {
    std::string why;  // For the log; empty when there is nothing to tell.
};
using Finished = std::variant<net::Outgoing, NoAnswer, Closing>;
using Reply = std::variant<net::Outgoing, boost::asio::awaitable<Finished>, NoAnswer, Closing>;

struct ServedApi {
    std::int16_t key;
    std::string_view name;
    std::int16_t version_min;
    std::int16_t version_max;
    std::int16_t flexible_since;
    Reply (*run)(RequestContext& context, wire::Reader& body);
};

// Put length and header in front of an answer, and the length right at its end.
void begin_answer(net::Outgoing& out, wire::Writer& writer, const RequestContext& context);
void end_answer(net::Outgoing& out);

// All that is served, in the order of the keys.
std::span<const ServedApi> served_apis() noexcept;
const ServedApi* find_api(std::int16_t key) noexcept;

// Start one request.
Reply start_request(Services& services, Session& session, boost::asio::any_io_executor executor,
                    const net::Frame& frame, std::int64_t now_ms);

}  // namespace broker
