#include "broker/cluster/membership.h"

#include "broker/cluster/controller_election.h"
#include "broker/cluster/opening.h"
#include "broker/cluster/session_key.h"
#include "protocol/base/log.h"
#include "storage/names.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

namespace broker {

using base::BrokerId;
using base::Result;
using base::Unexpected;
using coordinator::NodeView;
using coordinator::Op;
using coordinator::ZkError;
namespace path = znodes::path;

namespace {

constexpr int tries_max = 3;  // Of join(): the others were lost to who was faster.

Unexpected<std::string> unreadable() {
    return Unexpected<std::string>("the metadata cannot be read");
}

std::string address_of(const NodeView& node) {
    const auto broker = node.data ? znodes::parse_broker(*node.data) : std::nullopt;
    if (!broker || broker->endpoints.empty()) return "an unknown address";
    return broker->endpoints.front().host + ":" + std::to_string(broker->endpoints.front().port);
}

}  // namespace

// ---- who we are ---------------------------------------------------------------------------

// The tree knows, or the log directories, or nobody yet.
Result<void, std::string> Membership::identify() {
    const auto& stored = core_.logs->identity();
    if (auto known = store_cluster_id(stored); !known) return known;
    if (stored && !stored->cluster.empty() && stored->cluster != core_.cluster_id) {
        return Unexpected("meta.properties in log.dirs names cluster " + stored->cluster +
                          ", the metadata " + core_.cluster_id +
                          "; log.dirs, milena.metadata.dir or zookeeper.connect points at another "
                          "cluster's data");
    }
    const auto id = choose_id(stored);
    if (!id) return Unexpected(id.error());
    core_.self = *id;
    storage::Identity identity;
    identity.broker = core_.self;
    identity.cluster = core_.cluster_id;
    return core_.logs->claim(identity);
}

Result<void, std::string> Membership::store_cluster_id(
    const std::optional<storage::Identity>& stored) {
    const std::string where(path::cluster_id);
    const auto node = core_.store->get(where);
    if (!node) return unreadable();
    const auto known =
        *node && (*node)->data ? znodes::parse_cluster_id(*(*node)->data) : std::nullopt;
    if (known) {
        core_.cluster_id = *known;
        return {};
    }
    if (*node)
        return Unexpected("the metadata have no valid cluster id in " + where +
                          "; write the one of meta.properties there, or delete the node");
    if (core_.logs->has_partitions()) return Unexpected(never_imported(*core_.settings.config));
    const bool has_name = stored && !stored->cluster.empty();
    core_.cluster_id = has_name ? stored->cluster : storage::uuid_text(core_.random_uuid());
    const auto made =
        core_.store->commit({persistent(where, znodes::write_cluster_id(core_.cluster_id))});
    if (made) return {};
    // Another broker that starts just now was faster: it has named the cluster.
    if (made.error().error == ZkError::node_exists) return store_cluster_id(stored);
    return Unexpected("the cluster id cannot be stored: " +
                      coordinator::to_string(made.error().error));
}

Result<BrokerId, std::string> Membership::choose_id(
    const std::optional<storage::Identity>& stored) {
    const BrokerConfig& config = *core_.settings.config;
    const BrokerId wanted(config.broker_id);
    if (stored && stored->broker) {
        if (wanted.value() >= 0 && wanted != *stored->broker) {
            return Unexpected("broker.id is " + std::to_string(wanted.value()) +
                              ", but meta.properties in log.dirs is of broker " +
                              std::to_string(stored->broker->value()) +
                              "; set broker.id to that or use other log.dirs");
        }
        return *stored->broker;
    }
    if (wanted.value() >= 0) return wanted;
    // Kafka's way to a generated id: how often /brokers/seqid was written.
    const auto set =
        core_.store->commit({coordinator::SetData{std::string(path::broker_sequence), ""}});
    if (!set) return Unexpected<std::string>("a broker id cannot be generated");
    return BrokerId(config.reserved_broker_max_id + set->results.front().stat.version);
}

// ---- how we are known ---------------------------------------------------------------------

Result<Membership::Seen, std::string> Membership::look() {
    const std::string paths[] = {path::broker(core_.self), std::string(path::controller),
                                 std::string(path::controller_epoch), std::string(path::feature)};
    auto nodes = core_.store->get(paths);
    if (!nodes) return unreadable();
    return Seen{std::move((*nodes)[0]), std::move((*nodes)[1]), std::move((*nodes)[2]),
                std::move((*nodes)[3])};
}

bool Membership::is_ours(const std::optional<NodeView>& node) const {
    return node && node->stat.ephemeral_owner == core_.store->session().id;
}

// Another session's. A node without an owner is nobody's, and only in the way.
bool Membership::is_foreign(const std::optional<NodeView>& node) const {
    return node && node->stat.ephemeral_owner.value() != 0 && !is_ours(node);
}

Result<void, std::string> Membership::look_for_company() {
    const auto ids = core_.store->children(std::string(path::broker_ids));
    if (!ids) return unreadable();
    std::vector<std::string> others;
    for (const auto& name : *ids) {
        others.push_back(std::string(path::broker_ids) + "/" + name);
        if (others.back() == path::broker(core_.self)) others.pop_back();
    }
    const auto nodes = core_.store->get(others);
    if (!nodes) return unreadable();
    for (const auto& node : *nodes) {
        const bool is_broker = is_foreign(node) && node->data && znodes::parse_broker(*node->data);
        if (is_broker) core_.has_company = true;
    }
    return {};
}

Result<void, std::string> Membership::join(std::vector<BrokerEndpoint> endpoints) {
    const auto config = core_.image()->config;
    registration_.rack = config->broker_rack;
    for (const auto& each : endpoints) {
        registration_.endpoints.push_back({each.listener, each.host, each.port, "PLAINTEXT"});
    }
    for (int tries = 1;; ++tries) {
        const auto seen = wait_for_id();
        if (!seen) return Unexpected(seen.error());
        if (is_foreign(seen->controller)) core_.has_company = true;
        const auto entered = enter(*seen, true);
        if (entered) break;
        // Two that start at once both want to be controller.
        if (entered.error() == ZkError::connection_loss || tries == tries_max)
            return Unexpected("the broker cannot be registered: " +
                              coordinator::to_string(entered.error()));
    }
    ClusterImage next = *core_.image();
    next.controller = core_.has_company ? BrokerId(-1) : core_.self;  // It will say who it is.
    next.brokers = {BrokerImage{core_.self, registration_.rack, std::move(endpoints)}};
    core_.current.publish(std::move(next));
    joined_ = true;
    return {};
}

Result<Membership::Seen, std::string> Membership::wait_for_id() {
    using namespace std::chrono;
    const milliseconds patience(core_.settings.config->zookeeper_session_timeout_ms);
    const auto deadline = steady_clock::now() + patience;
    for (bool said = false;; said = true) {
        {
            const std::lock_guard lock(mutex_);
            moved_ = false;
        }
        auto seen = look();
        if (!seen || !is_foreign(seen->broker)) return seen;
        const std::string held = "broker id " + std::to_string(core_.self.value()) +
                                 " is in use by the broker at " + address_of(*seen->broker);
        if (!said)
            base::log_warn("metadata", held + "; waiting up to " +
                                           std::to_string(patience.count()) + " ms for it to go");
        std::unique_lock lock(mutex_);
        if (!wake_.wait_until(lock, deadline, [&] { return moved_; })) {
            return Unexpected(held +
                              "; stop that one, or set another broker.id with other log.dirs");
        }
    }
}

void Membership::look_again() {
    const std::lock_guard lock(mutex_);
    moved_ = true;
    wake_.notify_all();
}

// Put into the tree what is not there, or not ours; `renew`: the registration in any case, since
// it may be that of this broker's last run.
Result<void, ZkError> Membership::enter(const Seen& seen, bool renew) {
    std::vector<Op> ops;
    std::optional<std::size_t> registered;
    if (renew || !is_ours(seen.broker)) {
        registration_.timestamp_ms = core_.settings.wall_ms();
        coordinator::Create create;
        create.path = path::broker(core_.self);
        create.data = znodes::write(registration_, core_.versions().registration);
        create.kind = coordinator::NodeKind::ephemeral;
        if (seen.broker) ops.push_back(coordinator::Delete{create.path});
        registered = ops.size();
        ops.push_back(std::move(create));
    }
    const auto known = seen.epoch && seen.epoch->data
                           ? znodes::parse_controller_epoch(*seen.epoch->data)
                           : std::nullopt;
    std::int32_t epoch = std::max(core_.controller_epoch, known.value_or(0));
    if (!core_.has_company && (renew || !is_ours(seen.controller))) {
        auto claim = claim_office(core_.self, core_.settings.wall_ms(), seen.controller, seen.epoch,
                                  core_.controller_epoch);
        std::ranges::move(claim.ops, std::back_inserter(ops));
        epoch = claim.epoch;
        if (auto op = feature_op(seen.feature, core_.versions())) ops.push_back(*std::move(op));
    }
    if (ops.empty()) return {};
    const auto done = core_.store->commit(std::move(ops));
    if (!done) return Unexpected(done.error().error);
    core_.controller_epoch = epoch;
    if (registered) broker_epoch_ = done->results[*registered].stat.czxid.value();
    return {};
}

Result<void, std::string> Membership::keep_session() {
    return write_session_key(core_.logs->first_online(), core_.store->session());
}

void Membership::mend() {
    if (!joined_) return;
    const auto seen = look();
    if (!seen) return;
    if (is_ours(seen->broker) && (core_.has_company || is_ours(seen->controller))) return;
    if (!core_.tree_is_ours()) return;
    if (is_foreign(seen->broker)) {
        base::log_warn("metadata", "the broker at " + address_of(*seen->broker) +
                                       " has taken this broker's id " +
                                       std::to_string(core_.self.value()));
        return;
    }
    if (!core_.has_company && is_foreign(seen->controller)) {
        base::log_warn("metadata", "another session holds " + std::string(path::controller) +
                                       "; it is taken back when that one ends");
        return;
    }
    if (const auto entered = enter(*seen, false); !entered) {
        base::log_warn("metadata", "the broker cannot be registered: " +
                                       coordinator::to_string(entered.error()));
        return;
    }
    base::log_info("metadata", "Registered anew as broker " + std::to_string(core_.self.value()));
}

}  // namespace broker
