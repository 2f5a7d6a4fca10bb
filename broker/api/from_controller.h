// from_controller: requests that brokers send one another in a cluster, carried out in the order in
// which they come.
#pragma once

#include "broker/api/answer.h"
#include "broker/api/context.h"
#include "broker/cluster/run_on.h"

#include <utility>

namespace broker {

// Whether the request came where brokers speak with one another. There are no principals yet that
// could tell a broker from somebody else.
inline bool is_between_brokers(const RequestContext& context) {
    return context.session.listener == context.services.cluster.config()->inter_broker_listener();
}

// Whether it may be one broker's request to another.
inline bool is_in_company(const RequestContext& context) {
    return context.services.cluster.has_company() && is_between_brokers(context);
}

template <class Response, class Request>
boost::asio::awaitable<Response> apply_later(RequestContext context, Request request) {
    auto& cluster = context.services.cluster;
    co_return co_await run_on(cluster.controller(), [&] { return cluster.apply(request); });
}

// Alone, this broker has no controller to obey, and the API is not served.
template <class Response, class Request>
Answer<Response> apply_from_controller(RequestContext& context, Request request) {
    if (!is_in_company(context)) return Answer<Response>::close();
    return apply_later<Response>(context, std::move(request));
}

}  // namespace broker
