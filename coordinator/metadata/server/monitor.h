// Monitor: the figures of mntr, under ZooKeeper's names.
//
// What ZooKeeper measures of an ensemble, of Java or of queues that are not here is left out, so
// that nobody takes a 0 for a measurement.
//
// Source: Apache ZooKeeper's ServerMetrics and ZooKeeperServer.dumpMonitorValues (3.8.4).
#pragma once

#include "coordinator/metadata/server/observation.h"

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace coordinator {

using Monitored = std::variant<std::string, std::int64_t, double>;

// Without the "zk_" that mntr puts before each.
std::vector<std::pair<std::string, Monitored>> monitored(const Observation& seen);

}  // namespace coordinator
