// AllocateProducerIds: a broker gets a block of producer ids from the controller.
//
// Source: facts/zookeeper-mode-cluster.md §2, §4.14.

#include "broker/api/from_controller.h"
#include "broker/api/handlers.h"

#include <utility>

namespace broker {

using protocol::AllocateProducerIdsRequest;
using protocol::AllocateProducerIdsResponse;
using protocol::ErrorCode;

namespace {

boost::asio::awaitable<AllocateProducerIdsResponse> allocate(RequestContext context,
                                                             AllocateProducerIdsRequest request) {
    auto& cluster = context.services.cluster;
    auto work = [&] {
        return cluster.allocate_producer_ids(request.broker_id, request.broker_epoch);
    };
    const auto first = co_await run_on(cluster.controller(), std::move(work));
    AllocateProducerIdsResponse response;
    response.error_code = first ? ErrorCode::none : first.error();
    if (first) {
        response.producer_id_start = *first;
        response.producer_id_len = static_cast<std::int32_t>(producer_ids_per_block);
    }
    co_return response;
}

}  // namespace

Answer<AllocateProducerIdsResponse> handle(RequestContext& context,
                                           AllocateProducerIdsRequest request) {
    if (!is_in_company(context)) return Answer<AllocateProducerIdsResponse>::close();
    return allocate(context, std::move(request));
}

}  // namespace broker
