// InitProducerId: an id for an idempotent producer.
//
// A transactional id needs the transaction coordinator, which is not there yet: such a
// request is refused with an error that clients take as final, so that nobody waits.

#include "broker/api/handlers.h"
#include "broker/cluster/producer_ids.h"

namespace broker {

using protocol::ErrorCode;
using protocol::InitProducerIdRequest;
using protocol::InitProducerIdResponse;

namespace {

InitProducerIdResponse refused(ErrorCode error) {
    InitProducerIdResponse response;
    response.error_code = error;
    response.producer_epoch = -1;
    return response;
}

InitProducerIdResponse granted(base::ProducerId id) {
    InitProducerIdResponse response;
    response.producer_id = id;
    return response;
}

boost::asio::awaitable<InitProducerIdResponse> grant_later(RequestContext context) {
    const auto id = co_await context.services.producer_ids.take_later();
    co_return id ? granted(*id) : refused(id.error());
}

}  // namespace

Answer<InitProducerIdResponse> handle(RequestContext& context, InitProducerIdRequest request) {
    // Who has an id has an epoch.
    if ((request.producer_id.value() == -1) != (request.producer_epoch == -1)) {
        return refused(ErrorCode::invalid_request);
    }
    if (request.transactional_id) {
        if (request.transactional_id->empty()) return refused(ErrorCode::invalid_request);
        if (!context.authorise(Operation::write, ResourceType::transactional_id, *request.transactional_id)) {
            return refused(ErrorCode::transactional_id_authorization_failed);
        }
        return refused(ErrorCode::transactional_id_authorization_failed);
    }
    if (!context.authorise(Operation::idempotent_write, ResourceType::cluster, cluster_resource)) {
        return refused(ErrorCode::cluster_authorization_failed);
    }
    if (const auto id = context.services.producer_ids.take()) return granted(*id);
    return grant_later(context);
}

}  // namespace broker
