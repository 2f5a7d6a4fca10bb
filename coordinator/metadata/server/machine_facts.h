// Machine facts: what envi tells, and its like in JSON.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace coordinator {

// The version stands early: clients read what comes first.
std::vector<std::pair<std::string, std::string>> environment();

}  // namespace coordinator
