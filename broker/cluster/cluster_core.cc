#include "broker/cluster/cluster_core.h"

#include "storage/names.h"

#include <algorithm>
#include <iterator>
#include <ranges>
#include <utility>

namespace broker {

using base::Result;
using base::Unexpected;
using coordinator::Op;
using coordinator::OpResult;
using coordinator::ZkError;
namespace path = znodes::path;

std::size_t bytes_of(const Op& op) {
    return std::visit(
        [](const auto& one) {
            constexpr std::size_t overhead = 128;  // Header, version, ACL.
            std::size_t bytes = overhead + one.path.size();
            if constexpr (requires { one.data; }) bytes += one.data ? one.data->size() : 0;
            // Parents that may have to be made too.
            if constexpr (requires { one.with_parents; })
                bytes += one.with_parents ? 2 * (overhead + one.path.size()) : 0;
            return bytes;
        },
        op);
}

coordinator::Create persistent(std::string path, coordinator::Data data) {
    coordinator::Create create;
    create.path = std::move(path);
    create.data = std::move(data);
    create.with_parents = true;
    return create;
}

base::Uuid ClusterCore::random_uuid() const {
    base::Uuid id;
    do {
        settings.random(id);
    } while (storage::uuid_text(id).starts_with('-'));
    return id;
}

InterbrokerVersions ClusterCore::versions() const {
    return interbroker_versions(settings.config->inter_broker_protocol_version);
}

base::Uuid ClusterCore::new_topic_id() const {
    return versions().has_topic_ids ? random_uuid() : base::Uuid{};
}

Result<std::vector<OpResult>, ZkError> commit_in_parts(MetadataStore& store, std::vector<Op> ops,
                                                       const Guard& guard) {
    std::vector<OpResult> results;
    for (auto first = ops.begin(); first != ops.end();) {
        std::vector<Op> part;
        std::size_t bytes = 0;
        if (guard) bytes += bytes_of(part.emplace_back(*guard));
        const std::size_t guards = part.size();
        do {
            bytes += bytes_of(*first);
            part.push_back(std::move(*first++));
        } while (first != ops.end() && bytes + bytes_of(*first) <= store.transaction_bytes_max());
        auto done = store.commit(std::move(part));
        if (!done) return Unexpected(done.error().error);
        std::ranges::move(done->results | std::views::drop(guards), std::back_inserter(results));
    }
    return results;
}

Result<std::vector<OpResult>, ZkError> ClusterCore::commit(std::vector<Op> ops,
                                                           const Guard& guard) {
    return commit_in_parts(*store, std::move(ops), guard);
}

Op ClusterCore::state_op(const std::string& topic, base::PartitionIndex index,
                         const PartitionImage& partition, bool exists) const {
    znodes::PartitionState state;
    state.controller_epoch = controller_epoch;
    state.leader = partition.leader;
    state.leader_epoch = partition.leader_epoch;
    state.isr = partition.isr;
    if (exists)
        return coordinator::SetData{path::partition_state(topic, index), znodes::write(state)};
    return persistent(path::partition_state(topic, index), znodes::write(state));
}

Result<std::vector<Op>, ZkError> deletion_of(MetadataStore& store, const std::string& root) {
    std::vector<std::string> found;
    for (std::vector<std::string> level{root}; !level.empty();) {
        const auto children = store.children(level);
        if (!children) return Unexpected(children.error());
        std::vector<std::string> next;
        for (std::size_t i = 0; i < level.size(); ++i) {
            if (!(*children)[i]) continue;
            found.push_back(level[i]);
            for (const auto& name : *(*children)[i]) next.push_back(level[i] + "/" + name);
        }
        level = std::move(next);
    }
    std::vector<Op> ops;
    for (auto each = found.rbegin(); each != found.rend(); ++each)
        ops.push_back(coordinator::Delete{std::move(*each)});
    return ops;
}

bool ClusterCore::is_shared(const znodes::TopicAssignment& topic) const {
    return std::ranges::any_of(topic.partitions, [&](const auto& partition) {
        return std::ranges::any_of(partition.second, [&](base::BrokerId id) { return id != self; });
    });
}

bool ClusterCore::tree_is_ours() {
    const auto node = store->get(std::string(path::cluster_id));
    return node && *node && (*node)->data && znodes::parse_cluster_id(*(*node)->data) == cluster_id;
}

}  // namespace broker
