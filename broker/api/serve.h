// serve: decode, handle, encode, for one API. Instantiated by the generated table only.
#pragma once

#include "broker/api/dispatch.h"
#include "broker/api/handlers.h"
#include "protocol/wire/writer.h"

#include <utility>

namespace broker {

// The bytes of an answer, from length to last field.
template <class Response>
net::Outgoing encode(const RequestContext& context, const Response& response) {
    net::Outgoing out;
    wire::Writer writer(out.bytes, &out.splices);
    begin_answer(out, writer, context);
    response.write(writer, context.api_version);
    end_answer(out);
    return out;
}

template <class Response>
boost::asio::awaitable<Finished> encode_later(RequestContext context,
                                              boost::asio::awaitable<Response> later) {
    const Response response = co_await std::move(later);
    co_return encode(context, response);
}

template <class Response>
boost::asio::awaitable<Finished> encode_ending(RequestContext context,
                                               boost::asio::awaitable<Ending<Response>> later) {
    const auto ending = co_await std::move(later);
    if (const auto* response = std::get_if<Response>(&ending)) co_return encode(context, *response);
    if (std::holds_alternative<NoAnswer>(ending)) co_return NoAnswer();
    co_return Closing();
}

template <class Request, class Response>
Reply serve(RequestContext& context, wire::Reader& body) {
    Request request = Request::read(body, context.api_version);
    if (body.failed()) return Closing{"the body of a request is not what its version says"};
    Answer<Response> answer = handle(context, std::move(request));
    auto& held = answer.held();
    if (auto* ready = std::get_if<Response>(&held)) return encode(context, *ready);
    if (auto* later = std::get_if<boost::asio::awaitable<Response>>(&held)) {
        return encode_later(context, std::move(*later));
    }
    if (auto* later = std::get_if<boost::asio::awaitable<Ending<Response>>>(&held)) {
        return encode_ending<Response>(context, std::move(*later));
    }
    if (std::holds_alternative<NoAnswer>(held)) return NoAnswer();
    return Closing{};
}

}  // namespace broker
