// RequestContext: what an API handler may use, and all that it may use.
//
// A small value. A handler that answers at once uses the reference it got; a coroutine takes
// a copy as its parameter. What the copy refers to (services, session, and the frame that the
// request's Texts and Payloads borrow from) lives until the request is answered.
//
// Threads: the connection's, and executor is its io_context.
#pragma once

#include "broker/api/services.h"
#include "broker/api/session.h"

#include <boost/asio/any_io_executor.hpp>

#include <cstdint>
#include <memory>
#include <string_view>

namespace broker {

struct RequestContext {
    Services& services;
    Session& session;
    boost::asio::any_io_executor executor;

    std::int16_t api_key = 0;
    std::int16_t api_version = 0;
    std::int32_t correlation_id = 0;
    std::string_view client_id;  // Empty when the client gave none.
    std::int64_t now_ms = 0;     // Wall clock when the request started, ms since 1970.

    // Keeps the bytes that the request borrows from. Who hands them to another thread copies
    // it along.
    std::shared_ptr<const void> frame = nullptr;

    // The cluster as it is now. After a co_await, ask again.
    ImagePointer image() const { return services.cluster.image(); }

    // The one question before anything is shown or done.
    bool authorise(Operation operation, ResourceType type, std::string_view name) const {
        return services.authorizer.allows(session.principal, session.client_host, operation, type, name);
    }

    // The one place where a client is held back: what this request cost. Returns the
    // throttle_time_ms to put into the answer.
    std::int32_t throttle(std::size_t bytes) const {
        return services.quotas.charge(session.principal, client_id, api_key, bytes, now_ms);
    }
};

}  // namespace broker
