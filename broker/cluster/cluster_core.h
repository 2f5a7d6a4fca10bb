// ClusterCore: what the parts of Cluster share: the store, the logs, the image, and who we are.
//
// Threads: members are set while the broker starts; afterwards everything but image() and self()
// is the controller thread's.
#pragma once

#include "broker/cluster/cluster_settings.h"
#include "broker/cluster/current_image.h"
#include "broker/cluster/metadata_store.h"
#include "broker/cluster/znodes.h"
#include "broker/config/interbroker_versions.h"
#include "broker/replica/log_manager.h"
#include "protocol/base/result.h"

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace broker {

// What each transaction of a write depends on, if anything.
using Guard = std::optional<coordinator::Check>;

// Commit as few transactions as the store allows, in order, until one is refused. The results are
// those of all ops.
[[nodiscard]] base::Result<std::vector<coordinator::OpResult>, coordinator::ZkError>
commit_in_parts(MetadataStore& store, std::vector<coordinator::Op> ops, const Guard& guard = {});

// What an op takes of transaction_bytes_max, at most.
std::size_t bytes_of(const coordinator::Op& op);

// Ops that delete `root` and all below it, deepest first; none when there is none.
[[nodiscard]] base::Result<std::vector<coordinator::Op>, coordinator::ZkError> deletion_of(
    MetadataStore& store, const std::string& root);

class ClusterCore {
public:
    explicit ClusterCore(ClusterSettings with) : settings(std::move(with)) {}

    // A topic id. Kafka avoids those that look like flags.
    base::Uuid random_uuid() const;
    // That of a new topic: zero where inter.broker.protocol.version knows none.
    base::Uuid new_topic_id() const;
    InterbrokerVersions versions() const;

    // As commit_in_parts().
    [[nodiscard]] base::Result<std::vector<coordinator::OpResult>, coordinator::ZkError> commit(
        std::vector<coordinator::Op> ops, const Guard& guard = {});

    // The op that stores a partition's leader and ISR; `exists`: the node is there.
    coordinator::Op state_op(const std::string& topic, base::PartitionIndex index,
                             const PartitionImage& partition, bool exists) const;

    // Whether other brokers have replicas of it.
    bool is_shared(const znodes::TopicAssignment& topic) const;

    // Whether the tree is still that of this cluster: not one that somebody emptied or exchanged.
    bool tree_is_ours();

    ImagePointer image() const { return current.get(); }

    const ClusterSettings settings;
    base::BrokerId self{-1};
    std::string cluster_id;
    std::int32_t controller_epoch = 0;
    // The cluster has, or had, other brokers, and one of all is its controller: what is led and
    // followed here, and what clients are told of the cluster, is what that one says. Until the
    // next start.
    std::atomic<bool> has_company = false;
    std::function<void()> directory_failed = [] {};  // A log directory, and others are left.
    std::unique_ptr<LogManager> logs;
    std::unique_ptr<MetadataStore> store;
    CurrentImage current;  // Goes before the logs.
};

// A persistent node whose missing parents are made with it.
coordinator::Create persistent(std::string path, coordinator::Data data = {});

}  // namespace broker
