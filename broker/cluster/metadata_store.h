// MetadataStore: the znode tree as the broker sees it, wherever it is kept.
//
//     EmbeddedStore    the metadata service in this process, called without a socket
//     ZookeeperStore   an ensemble of Apache ZooKeeper, or another broker's metadata port
//
// A store has one session, in which the broker owns its ephemeral nodes. It outlives the
// process: whoever opens the store with the key of the last session comes back to it.
//
// Guarantees:
//   - what commit() answered is durable
//   - `tell` is called in the order of the changes, one call at a time; a change that this broker
//   made
//     itself is told before its commit() returns or soon after
//   - a change is told, or StoreEvent::Kind::missed stands in for it
//
// Threads: every function may be called from any thread but `tell`'s, and blocks. `tell` is called
// on a thread of the store and must not wait.
//
// Limits: commit() takes at most transaction_bytes_max of paths and data; whoever has more makes
// several.
#pragma once

#include "coordinator/metadata/service.h"
#include "coordinator/metadata/tree.h"
#include "protocol/base/result.h"

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace broker {

struct StoreEvent {
    enum class Kind {
        node,    // Something happened to the node at `path`.
        missed,  // Changes may have gone by unseen: read again what matters.
        lost,  // The session has ended, and a new one is there: its ephemerals are to be made anew.
        away,  // No server can be reached for now.
        back,  // One can be reached again.
    };

    Kind kind = Kind::missed;
    coordinator::EventType type = coordinator::EventType::created;  // Never children_changed.
    std::string path = {};
};

class MetadataStore {
public:
    using Tell = std::function<void(const StoreEvent&)>;

    MetadataStore() = default;
    MetadataStore(const MetadataStore&) = delete;
    MetadataStore& operator=(const MetadataStore&) = delete;
    virtual ~MetadataStore() = default;

    // ---- Reads. Only connection_loss is an error: nobody can say what is there.

    // One answer a path, in their order; nothing where there is no node. Not of one moment.
    [[nodiscard]] virtual base::Result<std::vector<std::optional<coordinator::NodeView>>,
                                       coordinator::ZkError>
    get(std::span<const std::string> paths) = 0;

    // The names of the children of each, sorted; nothing where there is no node.
    [[nodiscard]] virtual base::Result<std::vector<std::optional<std::vector<std::string>>>,
                                       coordinator::ZkError>
    children(std::span<const std::string> paths) = 0;

    // The same for one path.
    [[nodiscard]] base::Result<std::optional<coordinator::NodeView>, coordinator::ZkError> get(
        const std::string& path);
    [[nodiscard]] base::Result<std::vector<std::string>, coordinator::ZkError> children(
        const std::string& path);

    // ---- Writes.

    // One transaction, all or none; ephemerals belong to the store's session. connection_loss: the
    // outcome is not known.
    [[nodiscard]] virtual base::Result<coordinator::Committed, coordinator::Refused> commit(
        std::vector<coordinator::Op> ops) = 0;

    virtual std::size_t transaction_bytes_max() const = 0;

    // ---- The session.

    virtual coordinator::SessionKey session() const = 0;

    // From now on tell of `roots` and their children, and maybe of what is below them. Requires
    // that it was not called before.
    [[nodiscard]] virtual base::Result<void, coordinator::ZkError> watch(
        std::vector<std::string> roots, Tell tell) = 0;

    // End the session and delete its ephemerals. False when nobody could be told: it ends by its
    // time-out.
    virtual bool end_session() = 0;

    // Nothing is told afterwards, and every other function answers connection_loss. May be called
    // twice.
    virtual void stop() = 0;
};

}  // namespace broker
