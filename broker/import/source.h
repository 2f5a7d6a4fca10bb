// Source: what a metadata store of Apache Kafka says of its cluster, wherever it was read.
//
//     ZooKeeper            zookeeper_source.h  --+
//                                                +--> Source --> plan_import
//     __cluster_metadata   kraft_source.h      --+
//
// Threads: a value.
#pragma once

#include "broker/cluster/znodes.h"
#include "protocol/base/types.h"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace broker {

struct SourcePartition {
    std::vector<base::BrokerId> replicas;
    std::vector<base::BrokerId> isr;       // Who has all that was acknowledged: in sync,
    std::vector<base::BrokerId> eligible;  // or found to be so when nobody was left in sync.
    base::LeaderEpoch leader_epoch{-1};
    std::vector<base::Uuid> directories;  // KRaft's, one a replica; empty when it does not say.
};

struct SourceTopic {
    std::optional<base::Uuid> id;
    std::map<base::PartitionIndex, SourcePartition> partitions;
    znodes::Config config;
};

struct Source {
    std::string where;       // For people: "ZooKeeper at localhost:2181".
    std::string cluster_id;  // Empty when it does not say.
    std::map<std::string, SourceTopic> topics;
    std::set<std::string> doomed;                   // Topics whose deletion had begun.
    std::map<std::string, znodes::Config> brokers;  // By id or <default>.
    std::map<std::string, std::string> nodes;  // Others, to be taken over as they are: path, data.
    base::ProducerId next_producer{0};         // Nobody has this one, or any above.
    std::int32_t controller_epoch = 0;
};

}  // namespace broker
