// IncrementalAlterConfigs: set, unset, append to or take from single configurations.

#include "broker/api/config_changes.h"
#include "broker/api/handlers.h"

namespace broker {

using protocol::IncrementalAlterConfigsRequest;
using protocol::IncrementalAlterConfigsResponse;

namespace {

Alteration read(const IncrementalAlterConfigsRequest::Resource::Config& config) {
    Alteration one{.name = config.name.str(),
                   .operation = static_cast<AlterOperation>(config.config_operation),
                   .value = std::nullopt};
    if (config.value) one.value = config.value->str();
    return one;
}

}  // namespace

Answer<IncrementalAlterConfigsResponse> handle(RequestContext& context,
                                               IncrementalAlterConfigsRequest request) {
    return answer_config_changes<IncrementalAlterConfigsResponse>(context, std::move(request),
                                                                  ChangeStyle::incremental, read);
}

}  // namespace broker
