#include "broker/import/export_plan.h"

#include "broker/cluster/znodes.h"
#include "protocol/base/ensure.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace broker {

using base::Result;
using base::Unexpected;
using coordinator::Data;
using coordinator::NodeView;
namespace path = znodes::path;

namespace {

// Whole subtrees; of the others Kafka makes its own.
constexpr std::array<std::string_view, 8> roots = {
    "/cluster",   path::topics,          path::controller_epoch, path::producer_id_block,
    "/kafka-acl", "/kafka-acl-extended", "/delegation_token",    path::consumers};
constexpr std::array<std::string_view, 5> configs = {
    "/config/topics", "/config/brokers", "/config/clients", "/config/users", "/config/ips"};

// A multi of this size passes with ZooKeeper's default jute.maxbuffer of 1 MiB.
constexpr std::size_t transaction_ops_max = 500;
constexpr std::size_t transaction_bytes_max = 256u << 10;

void take_below(const coordinator::Tree& tree, const std::string& at,
                std::vector<ExportedNode>& nodes) {
    const auto node = tree.get(at);
    if (!node || node->stat.ephemeral_owner != coordinator::SessionId()) return;
    nodes.push_back({at, node->data});
    const auto children = tree.children(at);
    if (!children) return;
    for (const auto& name : children->names) take_below(tree, at + "/" + name, nodes);
}

// What the node is to hold, given what it holds there.
Result<Data, std::string> merged(const ExportedNode& ours, const NodeView& theirs) {
    if (ours.path == path::cluster_id) {
        const auto here = znodes::parse_cluster_id(ours.data.value_or(""));
        const auto there = znodes::parse_cluster_id(theirs.data.value_or(""));
        if (!here) return Unexpected<std::string>("our metadata has no cluster id");
        if (here != there)
            return Unexpected("it is of cluster " + there.value_or("(unreadable)") +
                              ", the log directories of " + *here);
        return theirs.data;
    }
    if (ours.path == path::controller_epoch) {
        const auto here = znodes::parse_controller_epoch(ours.data.value_or(""));
        const auto there = znodes::parse_controller_epoch(theirs.data.value_or(""));
        return here > there ? ours.data : theirs.data;
    }
    if (ours.path == path::producer_id_block) {
        const auto here = znodes::parse_producer_id_block(ours.data.value_or(""));
        const auto there = znodes::parse_producer_id_block(theirs.data.value_or(""));
        if (!there) return ours.data;
        return here && here->last > there->last ? ours.data : theirs.data;
    }
    return ours.data;
}

class Transactions {
public:
    void add(coordinator::Op op, std::size_t bytes) {
        if (ops_.size() == transaction_ops_max || bytes_ + bytes > transaction_bytes_max) close();
        ops_.push_back(std::move(op));
        bytes_ += bytes;
    }

    std::vector<std::vector<coordinator::Op>> finish() {
        close();
        return std::move(all_);
    }

private:
    void close() {
        if (!ops_.empty()) all_.push_back(std::exchange(ops_, {}));
        bytes_ = 0;
    }

    std::vector<std::vector<coordinator::Op>> all_;
    std::vector<coordinator::Op> ops_;
    std::size_t bytes_ = 0;
};

}  // namespace

std::vector<ExportedNode> nodes_to_export(const coordinator::Tree& tree) {
    std::vector<ExportedNode> nodes;
    const auto parent = [&](std::string_view at) {
        if (const auto node = tree.get(at)) nodes.push_back({std::string(at), node->data});
    };
    parent("/brokers");
    for (const auto root : roots) take_below(tree, std::string(root), nodes);
    parent(path::config);
    for (const auto type : configs) take_below(tree, std::string(type), nodes);
    return nodes;
}

Result<ExportPlan, std::string> plan_export(const std::vector<ExportedNode>& nodes,
                                            const std::vector<std::optional<NodeView>>& there) {
    base::ensure(nodes.size() == there.size(), "every node was looked for");
    ExportPlan plan;
    Transactions transactions;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        const auto& ours = nodes[i];
        const std::size_t bytes = ours.path.size() + ours.data.value_or("").size();
        if (!there[i]) {
            coordinator::Create create;
            create.path = ours.path;
            create.data = ours.data;
            transactions.add(std::move(create), bytes);
            ++plan.created;
            continue;
        }
        auto wanted = merged(ours, *there[i]);
        if (!wanted) return Unexpected(std::move(wanted.error()));
        // Parents hold nothing, as null or as no bytes.
        if (wanted->value_or("") == there[i]->data.value_or("")) continue;
        transactions.add(
            coordinator::SetData{ours.path, std::move(*wanted), there[i]->stat.version}, bytes);
        ++plan.changed;
    }
    plan.transactions = transactions.finish();
    return plan;
}

}  // namespace broker
