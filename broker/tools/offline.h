// Offline: what the tools share that work on a stopped broker's own files.
#pragma once

#include "broker/config/broker_config.h"
#include "broker/tools/options.h"
#include "coordinator/metadata/service.h"
#include "protocol/base/result.h"

#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace broker {

// The positional `file`, --override and --env, as the server has them.
void add_configuration_options(Options& options, const std::string& what_of_it);

// What they come to. Faults: UsageError, ToolError.
std::shared_ptr<const BrokerConfig> read_configuration(const Options& options);

// The metadata that a stopped broker keeps in `directory`. Faults: ToolError; a directory in use
// among them.
std::unique_ptr<coordinator::MetadataService> open_metadata(const std::string& directory);

// The value, or a ToolError with the sentence that is there instead.
template <class T>
T must(base::Result<T, std::string> result) {
    if (!result) throw ToolError(result.error());
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

}  // namespace broker
