// Machine facts: what mntr, envi and their like in JSON tell besides the observation itself.
#pragma once

#include "coordinator/metadata/server/observation.h"

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace coordinator {

using Monitored = std::variant<std::string, std::int64_t, double>;

// The figures of mntr, in its order, without its "zk_".
std::vector<std::pair<std::string, Monitored>> monitored(const Observation& seen);

// What envi lists. The version stands early: clients read what comes first.
std::vector<std::pair<std::string, std::string>> environment();

}  // namespace coordinator
