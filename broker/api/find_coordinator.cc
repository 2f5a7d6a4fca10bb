// FindCoordinator: which broker coordinates a group or a transactional id.
//
// Asking for a group makes `__consumer_offsets` when it is not there yet; until it is, the
// client is told to ask again. There is no transaction coordinator here yet: alone, a transactional
// id is sent to this broker, whose InitProducerId refuses it for good; in a cluster it is sent to
// whoever leads its partition of `__transaction_state`.
//
// Source: facts/kafka.md §4.1.

#include "broker/api/endpoint.h"
#include "broker/api/groups.h"
#include "broker/api/handlers.h"
#include "coordinator/group/group_id.h"

namespace broker {

using base::BrokerId;
using protocol::ErrorCode;
using protocol::FindCoordinatorRequest;
using protocol::FindCoordinatorResponse;

namespace {

constexpr std::int8_t group_key = 0;
constexpr std::int8_t transaction_key = 1;
constexpr std::int8_t share_key = 2;
constexpr std::int16_t share_key_since = 6;
constexpr std::int16_t error_message_since = 1;
constexpr std::int16_t several_keys_since = 4;

struct Located {
    ErrorCode error = ErrorCode::none;
    BrokerId id{-1};
    std::string host;
    std::int32_t port = -1;
};

Located not_found(ErrorCode error) {
    Located located;
    located.error = error;
    return located;
}

// Who leads the partition that the transactional id has its state in; -1: nobody.
BrokerId transaction_leader(const ClusterImage& image, std::string_view id) {
    const TopicImage* const topic = image.find_topic("__transaction_state");
    if (!topic || topic->partitions.empty()) return BrokerId(-1);
    const auto count = static_cast<std::int32_t>(topic->partitions.size());
    const auto* const partition = topic->find(coordinator::partition_of(id, count));
    return partition ? partition->leader : BrokerId(-1);
}

Located locate(const RequestContext& context, std::int8_t key_type, std::string_view key) {
    const auto image = context.image();
    BrokerId coordinator = image->self;
    switch (key_type) {
        case group_key: {
            if (!may_use_group(context, Operation::describe, key)) {
                return not_found(ErrorCode::group_authorization_failed);
            }
            const auto found = context.services.groups.locate(key);
            if (!found) return not_found(found.error());
            coordinator = *found;
            break;
        }
        case transaction_key:
            if (!context.authorise(Operation::describe, ResourceType::transactional_id, key)) {
                return not_found(ErrorCode::transactional_id_authorization_failed);
            }
            // Among others, one of them may be able to.
            if (context.services.cluster.has_company()) coordinator = transaction_leader(*image, key);
            break;
        case share_key:
            // There is none, as in an Apache Kafka without share groups.
            return not_found(context.api_version >= share_key_since
                                 ? ErrorCode::coordinator_not_available
                                 : ErrorCode::invalid_request);
        default:
            return not_found(ErrorCode::invalid_request);
    }
    const BrokerImage* broker = image->find_broker(coordinator);
    const auto address = broker ? endpoint_for(context, *broker) : std::nullopt;
    if (!address) return not_found(ErrorCode::coordinator_not_available);
    return {ErrorCode::none, coordinator, address->host, address->port};
}

std::string message_of(ErrorCode error) {
    return std::string(error == ErrorCode::none ? protocol::error_name(error)
                                                : protocol::error_sentence(error));
}

}  // namespace

Answer<FindCoordinatorResponse> handle(RequestContext& context, FindCoordinatorRequest request) {
    FindCoordinatorResponse response;
    response.throttle_time_ms = context.throttle(0);
    if (context.api_version < several_keys_since) {
        const auto located = locate(context, request.key_type, request.key);
        response.error_code = located.error;
        if (context.api_version >= error_message_since)
            response.error_message = wire::Text(message_of(located.error));
        response.node_id = located.id;
        response.host = wire::Text(located.host);
        response.port = located.port;
        return response;
    }
    for (const auto& key : request.coordinator_keys) {
        const auto located = locate(context, request.key_type, key);
        auto& each = response.coordinators.emplace_back();
        each.key = key;
        each.error_code = located.error;
        if (located.error == ErrorCode::invalid_request && request.key_type != share_key)
            each.error_message = wire::Text("there is no such key type");
        each.node_id = located.id;
        each.host = wire::Text(located.host);
        each.port = located.port;
    }
    return response;
}

}  // namespace broker
