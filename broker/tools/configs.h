// kafka-configs' two faces: by the brokers' protocol (configs.cc) and by ZooKeeper
// (zk_configs.cc).
#pragma once

#include "broker/tools/admin.h"
#include "broker/tools/options.h"

#include <string_view>
#include <vector>

namespace broker {

// "k1=v1,k2=[a,b],k3=v3". Faults: UsageError.
std::vector<ConfigChange> parse_added(std::string_view text);

// --alter or --describe, at the ZooKeeper that --zookeeper names. Returns the exit code.
// Faults: UsageError, ToolError.
int run_zk_configs(const Options& options);

}  // namespace broker
