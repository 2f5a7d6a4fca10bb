// ControlledShutdown: a broker that is about to stop has the controller give away what it leads.
//
// Source: facts/zookeeper-mode-cluster.md §2, §4.10.

#include "broker/api/from_controller.h"
#include "broker/api/handlers.h"
#include "coordinator/controller/effects.h"

#include <utility>

namespace broker {

using protocol::ControlledShutdownRequest;
using protocol::ControlledShutdownResponse;
using protocol::ErrorCode;

namespace {

boost::asio::awaitable<ControlledShutdownResponse> shut_down(RequestContext context,
                                                             ControlledShutdownRequest request) {
    const auto answered =
        co_await context.services.cluster.shut_down(request.broker_id, request.broker_epoch);
    ControlledShutdownResponse response;
    // As Apache Kafka's ZooKeeper mode says it of this request.
    response.error_code = answered.error == ErrorCode::not_controller
                              ? ErrorCode::stale_controller_epoch
                              : answered.error;
    for (const auto& at : answered.remaining) {
        auto& partition = response.remaining_partitions.emplace_back();
        partition.topic_name = wire::Text(at.topic);
        partition.partition_index = at.partition;
    }
    co_return response;
}

}  // namespace

Answer<ControlledShutdownResponse> handle(RequestContext& context,
                                          ControlledShutdownRequest request) {
    if (!is_in_company(context)) return Answer<ControlledShutdownResponse>::close();
    return shut_down(context, std::move(request));
}

}  // namespace broker
