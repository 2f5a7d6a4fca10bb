#include "coordinator/metadata/durable_tree.h"

#include "protocol/base/ensure.h"

#include <utility>

namespace coordinator {

using storage::Fault;

base::Result<void, Fault> SnapshotRun::write(const std::vector<NodeImage>& nodes) {
    if (!writer_) {
        auto writer = SnapshotWriter::create(disk_, places_.snapshots, tree_id_, image_.zxid(),
                                             image_.last_session(), image_.sessions());
        if (!writer) return base::Unexpected(writer.error());
        writer_.emplace(std::move(*writer));
    }
    return writer_->add(nodes);
}

base::Result<void, Fault> SnapshotRun::finish() {
    base::ensure(writer_.has_value(), "a tree has one node at least");
    const auto finished = writer_->finish();
    if (!finished) return finished;
    return remove_superseded(disk_, places_, kept_);
}

void SnapshotRun::abandon() {
    if (writer_) writer_->abandon();
}

base::Result<std::unique_ptr<DurableTree>, Fault> DurableTree::open(
    storage::Disk& disk, const Places& places, const std::function<base::Uuid()>& draw_tree_id,
    std::uint64_t room_bytes_max, const std::function<std::int64_t()>& monotonic_ms) {
    auto recovered = recover(disk, places, draw_tree_id, room_bytes_max, monotonic_ms);
    if (!recovered) return base::Unexpected(recovered.error());
    return std::unique_ptr<DurableTree>(new DurableTree(disk, places, std::move(*recovered)));
}

std::vector<Event> DurableTree::apply(const Transaction& transaction) {
    batch_.add(transaction);
    return tree_.apply(transaction);
}

std::unique_ptr<SnapshotRun> DurableTree::begin_snapshot(std::size_t kept) {
    base::ensure(journal_.synced_zxid() == tree_.last_zxid(), "a snapshot is of what is durable");
    return std::unique_ptr<SnapshotRun>(new SnapshotRun(tree_, disk_, places_, tree_id_, kept));
}

}  // namespace coordinator
