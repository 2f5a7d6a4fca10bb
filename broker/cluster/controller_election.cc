#include "broker/cluster/controller_election.h"

#include "broker/cluster/cluster_core.h"
#include "broker/cluster/znodes.h"

#include <algorithm>
#include <string>
#include <utility>

namespace broker {

using base::BrokerId;
using base::Result;
using base::Unexpected;
using coordinator::NodeView;
using coordinator::ZkError;
using coordinator::controller::Term;
namespace path = znodes::path;

Claim claim_office(BrokerId self, std::int64_t now_ms, const std::optional<NodeView>& controller,
                   const std::optional<NodeView>& epoch, std::int32_t last) {
    Claim claim;
    const std::string where(path::controller);
    if (controller) claim.ops.push_back(coordinator::Delete{where});
    coordinator::Create office;
    office.path = where;
    office.data = znodes::write(znodes::Controller{self, now_ms});
    office.kind = coordinator::NodeKind::ephemeral;
    claim.ops.push_back(std::move(office));
    const auto known =
        epoch && epoch->data ? znodes::parse_controller_epoch(*epoch->data) : std::nullopt;
    claim.epoch = std::max(last, known.value_or(0)) + 1;
    auto text = znodes::write_controller_epoch(claim.epoch);
    if (epoch) {
        claim.ops.push_back(coordinator::SetData{std::string(path::controller_epoch),
                                                 std::move(text), epoch->stat.version});
    } else {
        claim.ops.push_back(persistent(std::string(path::controller_epoch), std::move(text)));
    }
    return claim;
}

std::optional<coordinator::Op> feature_op(const std::optional<NodeView>& node,
                                          const InterbrokerVersions& versions) {
    const std::string where(path::feature);
    auto text = znodes::write(znodes::Features{.enabled = versions.has_features}, versions.feature);
    if (!node) return persistent(where, std::move(text));
    const auto known = node->data ? znodes::parse_features(*node->data) : std::nullopt;
    const bool stays = (known && !known->max_version_levels.empty()) || node->data == text;
    if (stays) return std::nullopt;
    return coordinator::SetData{where, std::move(text), node->stat.version};
}

Result<void, ZkError> settle_features(MetadataStore& store, const InterbrokerVersions& versions,
                                      std::int32_t epoch_version) {
    const auto node = store.get(std::string(path::feature));
    if (!node) return Unexpected(node.error());
    auto op = feature_op(*node, versions);
    if (!op) return {};
    const auto done = store.commit(
        {coordinator::Check{std::string(path::controller_epoch), epoch_version}, *std::move(op)});
    if (!done) return Unexpected(done.error().error);
    return {};
}

Result<bool, ZkError> holds_office(MetadataStore& store) {
    const auto node = store.get(std::string(path::controller));
    if (!node) return Unexpected(node.error());
    return *node && (*node)->stat.ephemeral_owner == store.session().id;
}

Result<std::optional<Term>, ZkError> stand_for_election(MetadataStore& store, BrokerId self,
                                                        std::int64_t now_ms) {
    const std::string paths[] = {std::string(path::controller),
                                 std::string(path::controller_epoch)};
    const auto nodes = store.get(paths);
    if (!nodes) return Unexpected(nodes.error());
    const auto& controller = (*nodes)[0];
    if (controller && controller->stat.ephemeral_owner != store.session().id) return std::nullopt;
    auto claim = claim_office(self, now_ms, controller, (*nodes)[1]);
    const auto done = store.commit(std::move(claim.ops));
    if (done) return Term{self, claim.epoch, done->results.back().stat.version};
    const auto error = done.error().error;
    const bool was_first_taken =
        error == ZkError::node_exists || error == ZkError::bad_version || error == ZkError::no_node;
    if (was_first_taken) return std::nullopt;
    return Unexpected(ZkError::connection_loss);
}

}  // namespace broker
