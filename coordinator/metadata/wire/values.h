// Values: the tree's values as records of ZooKeeper's protocol, and back. For its server and
// its client.
#pragma once

#include "coordinator/metadata/znode.h"
#include "protocol/zookeeper/messages.h"

#include <optional>
#include <vector>

namespace coordinator {

zookeeper::Stat wire_stat(const Stat& stat);
Stat tree_stat(const zookeeper::Stat& stat);

// A null list is an empty one.
Acl tree_acl(const std::optional<std::vector<zookeeper::Acl>>& acl);
std::vector<zookeeper::Acl> wire_acl(const Acl& acl);

// CreateMode of ZooKeeper: the flags of a create.
namespace create_flag {
constexpr std::int32_t ephemeral = 1;
constexpr std::int32_t sequential = 2;
constexpr std::int32_t container = 4;
constexpr std::int32_t ttl = 5;
constexpr std::int32_t ttl_sequential = 6;
}  // namespace create_flag

}  // namespace coordinator
