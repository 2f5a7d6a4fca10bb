// reassign_partitions: what kafka-reassign-partitions.sh does with --bootstrap-server.
#pragma once

#include "broker/tools/options.h"

namespace broker {

// Requires one of --generate, --execute, --verify, --cancel and --list. Faults: ToolError,
// UsageError.
int reassign_through_brokers(const Options& options);

}  // namespace broker
