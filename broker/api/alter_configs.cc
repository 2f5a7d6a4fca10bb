// AlterConfigs: replace what is stored for topics and brokers. Clients since 2.3 prefer
// IncrementalAlterConfigs.

#include "broker/api/config_changes.h"
#include "broker/api/handlers.h"

namespace broker {

using protocol::AlterConfigsRequest;
using protocol::AlterConfigsResponse;

namespace {

Alteration read(const AlterConfigsRequest::Resource::Config& config) {
    Alteration one{
        .name = config.name.str(), .operation = AlterOperation::set, .value = std::nullopt};
    if (config.value) one.value = config.value->str();
    return one;
}

}  // namespace

Answer<AlterConfigsResponse> handle(RequestContext& context, AlterConfigsRequest request) {
    return answer_config_changes<AlterConfigsResponse>(context, std::move(request),
                                                       ChangeStyle::replace, read);
}

}  // namespace broker
