// ApiVersions: what is served, from the same table that dispatches.

#include "broker/api/api_versions.h"

#include "broker/api/dispatch.h"
#include "broker/api/handlers.h"

#include <algorithm>

namespace broker {

using protocol::ApiVersionsRequest;
using protocol::ApiVersionsResponse;
using protocol::ErrorCode;

namespace {

// KIP-511: what a client may call itself and its version; it goes into logs and metrics.
bool is_software_name(std::string_view text) {
    const auto plain = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    };
    const auto inner = [&](char c) { return plain(c) || c == '-' || c == '.'; };
    return !text.empty() && plain(text.front()) && plain(text.back()) &&
           std::ranges::all_of(text, inner);
}

// What a controller and its brokers ask of one another: alone, a broker has none.
bool is_for_company(std::int16_t key) {
    constexpr std::int16_t keys[] = {
        protocol::LeaderAndIsrApi::key,   protocol::StopReplicaApi::key,
        protocol::UpdateMetadataApi::key, protocol::ControlledShutdownApi::key,
        protocol::AlterPartitionApi::key, protocol::AllocateProducerIdsApi::key};
    return std::ranges::find(keys, key) != std::end(keys);
}

ApiVersionsResponse all_served(bool has_company) {
    ApiVersionsResponse response;
    for (const ServedApi& api : served_apis()) {
        if (!has_company && is_for_company(api.key)) continue;
        auto& each = response.api_keys.emplace_back();
        each.api_key = api.key;
        each.min_version = api.version_min;
        each.max_version = api.version_max;
    }
    return response;
}

}  // namespace

ApiVersionsResponse unsupported_api_versions() {
    ApiVersionsResponse response;
    response.error_code = ErrorCode::unsupported_version;
    auto& each = response.api_keys.emplace_back();
    each.api_key = protocol::ApiVersionsApi::key;
    each.min_version = protocol::ApiVersionsApi::serves_min;
    each.max_version = protocol::ApiVersionsApi::serves_max;
    return response;
}

Answer<ApiVersionsResponse> handle(RequestContext& context, ApiVersionsRequest request) {
    if (context.api_version >= 3) {
        if (!is_software_name(request.client_software_name) ||
            !is_software_name(request.client_software_version)) {
            ApiVersionsResponse response;
            response.error_code = ErrorCode::invalid_request;
            return response;
        }
        context.session.client_software_name = request.client_software_name.str();
        context.session.client_software_version = request.client_software_version.str();
    }
    auto response = all_served(context.services.cluster.has_company());
    response.throttle_time_ms = context.throttle(0);
    return response;
}

}  // namespace broker
