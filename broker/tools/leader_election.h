// leader_election: what kafka-preferred-replica-election.sh does with --bootstrap-server.
#pragma once

#include "broker/tools/options.h"

#include <cstdint>

namespace broker {

// As the wire has it.
enum class ElectionType : std::int8_t { preferred = 0, unclean = 1 };

// Of the partitions in --path-to-json-file, or of all. Faults: ToolError.
int elect_preferred_leaders(const Options& options);

}  // namespace broker
