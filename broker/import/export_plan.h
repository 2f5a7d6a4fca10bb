// Export plan: what a ZooKeeper has to be told, so that Apache Kafka goes on with log directories
// that were ours.
//
//     our tree           --> nodes_to_export --+
//     that ZooKeeper's nodes at those paths  --+--> plan_export --> transactions for it
//
// Topics, their partitions' states, configurations, quotas, credentials, ACLs, old consumers'
// offsets and delegation tokens become what they are here. Two nodes become the higher of both: the
// epoch of the controller and the block of producer ids. What only that ZooKeeper has stays.
//
// Every change is conditional on what was read: one that somebody made meanwhile is not lost.
//
// Threads: pure. Source: design of Kafka's znodes (broker/cluster/znodes.h).
#pragma once

#include "coordinator/metadata/tree.h"
#include "protocol/base/result.h"

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace broker {

struct ExportedNode {
    std::string path;
    coordinator::Data data;

    friend bool operator==(const ExportedNode&, const ExportedNode&) = default;
};

// The persistent nodes that Kafka would have written, parents before children.
std::vector<ExportedNode> nodes_to_export(const coordinator::Tree& tree);

struct ExportPlan {
    std::vector<std::vector<coordinator::Op>> transactions;  // To be carried out in this order.
    std::size_t created = 0;                                 // Nodes.
    std::size_t changed = 0;
};

// `there`: what the ZooKeeper has at the paths of `nodes`, in their order. Errors, a sentence: it
// is another cluster's; a node of ours does not hold what it should.
[[nodiscard]] base::Result<ExportPlan, std::string> plan_export(
    const std::vector<ExportedNode>& nodes,
    const std::vector<std::optional<coordinator::NodeView>>& there);

}  // namespace broker
