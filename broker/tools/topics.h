// kafka-topics' two faces: by the brokers' protocol (topics.cc) and by ZooKeeper (zk_topics.cc).
#pragma once

#include "broker/tools/options.h"
#include "protocol/base/types.h"

#include <string>
#include <vector>

namespace broker {

// "0:1,1:2": the brokers of partition 0, then of partition 1. Faults: UsageError, ToolError.
std::vector<std::vector<base::BrokerId>> parse_assignment(const std::string& text);

// The action of the options, at the ZooKeeper that --zookeeper names. Returns the exit code.
// Faults: UsageError, ToolError.
int run_zk_topics(const Options& options);

}  // namespace broker
