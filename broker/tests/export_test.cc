#include "broker/import/export_plan.h"

#include <doctest/doctest.h>

using broker::ExportedNode;
using coordinator::Create;
using coordinator::NodeView;
using coordinator::Op;
using coordinator::SetData;

namespace {

struct World {
    coordinator::Tree tree;

    void put(const std::string& path, const std::string& data, bool ephemeral = false) {
        Create create;
        create.path = path;
        create.data = data;
        create.with_parents = true;
        coordinator::Caller caller = coordinator::ourselves();
        if (ephemeral) {
            const auto session = tree.decide_create_session(6000, {}, 1);
            tree.apply(session);
            caller.session = session.session;
            create.kind = coordinator::NodeKind::ephemeral;
        }
        const auto decided = tree.decide({create}, caller, 1);
        REQUIRE(decided);
        tree.apply(decided->transaction);
    }

    std::vector<std::optional<NodeView>> nothing() const {
        return std::vector<std::optional<NodeView>>(broker::nodes_to_export(tree).size());
    }
};

std::vector<Op> all_ops(const broker::ExportPlan& plan) {
    std::vector<Op> ops;
    for (const auto& transaction : plan.transactions)
        ops.insert(ops.end(), transaction.begin(), transaction.end());
    return ops;
}

// What is written at `path` when ZooKeeper has `theirs` there; nothing when it stays.
std::optional<std::string> outcome(const std::string& path, const std::string& ours,
                                   const std::string& theirs) {
    World in;
    in.put(path, ours);
    const auto nodes = broker::nodes_to_export(in.tree);
    std::vector<std::optional<NodeView>> there;
    for (const auto& node : nodes) {
        NodeView view{node.data, {}};
        view.stat.version = 7;
        if (node.path == path) view.data = theirs;
        there.push_back(view);
    }
    const auto plan = broker::plan_export(nodes, there);
    REQUIRE(plan);
    if (plan->transactions.empty()) return std::nullopt;
    const auto& set = std::get<SetData>(plan->transactions.at(0).at(0));
    CHECK(set.path == path);
    CHECK(set.version == 7);
    return set.data;
}

std::string block(int last) {
    return R"({"version":1,"broker":0,"block_start":"0","block_end":")" + std::to_string(last) +
           "\"}";
}

}  // namespace

TEST_CASE(
    "topics and configurations are exported, parents first; what a running broker makes is not") {
    World in;
    in.put("/cluster/id", R"({"version":"1","id":"abc"})");
    in.put("/brokers/ids/0", "me", true);
    in.put("/brokers/topics/t/partitions/0/state", "s");
    in.put("/config/topics/t", "c");
    in.put("/config/changes/config_change_0000000001", "x");
    in.put("/milena/held_topics/t", "");
    in.put("/controller", "me", true);
    in.put("/consumers/g/ids/c", "gone with its session", true);
    std::vector<std::string> paths;
    for (const auto& node : broker::nodes_to_export(in.tree)) paths.push_back(node.path);
    CHECK(paths == std::vector<std::string>{
                       "/brokers", "/cluster", "/cluster/id", "/brokers/topics",
                       "/brokers/topics/t", "/brokers/topics/t/partitions",
                       "/brokers/topics/t/partitions/0", "/brokers/topics/t/partitions/0/state",
                       "/consumers", "/consumers/g", "/consumers/g/ids", "/config",
                       "/config/topics", "/config/topics/t"});
    const auto plan = broker::plan_export(broker::nodes_to_export(in.tree), in.nothing());
    REQUIRE(plan);
    CHECK(plan->created == paths.size());
    const auto ops = all_ops(*plan);
    for (std::size_t i = 0; i < ops.size(); ++i) CHECK(std::get<Create>(ops[i]).path == paths[i]);
}

TEST_CASE("what ZooKeeper has becomes what it is here, on the condition that nobody changed it") {
    CHECK(outcome("/brokers/topics/t/partitions/0/state", "new", "old") == "new");
    CHECK(outcome("/config/topics/t", "same", "same") == std::nullopt);
}

TEST_CASE("the controller's epoch and the block of producer ids become the higher of both") {
    CHECK(outcome("/controller_epoch", "9", "3") == "9");
    CHECK(outcome("/controller_epoch", "3", "9") == std::nullopt);
    CHECK(outcome("/latest_producer_id_block", block(1999), block(999)) == block(1999));
    CHECK(outcome("/latest_producer_id_block", block(999), block(1999)) == std::nullopt);
    CHECK(outcome("/latest_producer_id_block", block(999), "") == block(999));
}

TEST_CASE("another cluster's ZooKeeper is left alone") {
    World in;
    in.put("/cluster/id", R"({"version":"1","id":"abc"})");
    const auto nodes = broker::nodes_to_export(in.tree);
    auto there = in.nothing();
    REQUIRE(nodes.back().path == "/cluster/id");
    there.back() = NodeView{R"({"version":"1","id":"xyz"})", {}};
    const auto plan = broker::plan_export(nodes, there);
    REQUIRE_FALSE(plan);
    CHECK(plan.error() == "it is of cluster xyz, the log directories of abc");
}

TEST_CASE("many nodes go in transactions that ZooKeeper's default limit lets through") {
    World in;
    for (int i = 0; i < 1200; ++i)
        in.put("/config/topics/t" + std::to_string(i), std::string(1000, 'x'));
    const auto plan = broker::plan_export(broker::nodes_to_export(in.tree), in.nothing());
    REQUIRE(plan);
    for (const auto& transaction : plan->transactions) {
        std::size_t bytes = 0;
        for (const auto& op : transaction) bytes += std::get<Create>(op).data.value_or("").size();
        CHECK(bytes <= 256u << 10);
    }
    CHECK(all_ops(*plan).size() == 1202);
}
