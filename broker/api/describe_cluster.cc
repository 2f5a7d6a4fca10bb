// DescribeCluster: the brokers that are alive, and who is controller.

#include "broker/api/endpoint.h"
#include "broker/api/handlers.h"

namespace broker {

using protocol::DescribeClusterRequest;
using protocol::DescribeClusterResponse;
using protocol::ErrorCode;

Answer<DescribeClusterResponse> handle(RequestContext& context, DescribeClusterRequest request) {
    constexpr std::int8_t brokers_endpoint = 1;
    DescribeClusterResponse response;
    response.endpoint_type = brokers_endpoint;
    if (request.endpoint_type != brokers_endpoint) {
        // 2 is KRaft's controllers, which have no listener here.
        response.error_code = request.endpoint_type == 2 ? ErrorCode::mismatched_endpoint_type
                                                         : ErrorCode::unsupported_endpoint_type;
        response.error_message = wire::Text("The request was sent to an endpoint of brokers.");
        response.endpoint_type = brokers_endpoint;
        return response;
    }
    const auto image = context.image();
    response.cluster_id = wire::Text(image->cluster_id);
    response.controller_id = image->controller;
    for (const BrokerImage& broker : image->brokers) {
        const auto endpoint = endpoint_for(context, broker);
        if (!endpoint) continue;
        auto& each = response.brokers.emplace_back();
        each.broker_id = broker.id;
        each.host = wire::Text(endpoint->host);
        each.port = endpoint->port;
        if (broker.rack) each.rack = wire::Text(*broker.rack);
    }
    if (request.include_cluster_authorized_operations) {
        response.cluster_authorized_operations = context.services.authorizer.allowed_operations(
            context.session.principal, context.session.client_host, ResourceType::cluster, cluster_resource);
    }
    response.throttle_time_ms = context.throttle(0);
    return response;
}

}  // namespace broker
