// DurableTree: the tree together with its files.
//
//     apply(transaction)      to the tree, and to the journal's memory
//     commit()                one write and one fdatasync for all since the last one
//     roll() begin_snapshot() a new segment; then, beside further work:
//         take(n) … write(slice) … finish()      old segments and snapshots are removed
//
// Invariants:
//   - after open() of what commit() has made durable, the tree is what it was, or ahead of it
//     by transactions that were applied later, in their order
//   - after a fault of commit() other than no_space nothing is made durable any more
//
// Threads: none of its own. commit() touches no tree, and a SnapshotRun only in take(), so a
// lock of the tree need not be held across anything that waits for the disk.
#pragma once

#include "coordinator/metadata/journal.h"
#include "coordinator/metadata/recovery.h"
#include "coordinator/metadata/snapshot.h"
#include "coordinator/metadata/tree.h"
#include "coordinator/metadata/tree_image.h"
#include "protocol/base/result.h"
#include "storage/disk.h"
#include "storage/fault.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace coordinator {

// A snapshot that is being written.
class SnapshotRun {
public:
    // The next nodes; none when that was all. Requires that nobody applies meanwhile.
    std::vector<NodeImage> take(std::size_t nodes_max) { return image_.next(nodes_max); }

    // Faults here and below: io, no_space. The run is then to be abandoned.
    [[nodiscard]] base::Result<void, storage::Fault> write(const std::vector<NodeImage>& nodes);

    // Make it durable and remove what it supersedes. Requires that all was written.
    [[nodiscard]] base::Result<void, storage::Fault> finish();

    void abandon();

private:
    friend class DurableTree;

    SnapshotRun(Tree& tree, storage::Disk& disk, std::filesystem::path directory,
                const base::Uuid& tree_id)
        : image_(tree), disk_(disk), directory_(std::move(directory)), tree_id_(tree_id) {}

    TreeImage image_;
    storage::Disk& disk_;
    const std::filesystem::path directory_;
    const base::Uuid tree_id_;
    std::optional<SnapshotWriter> writer_;  // From the first write() on.
};

class DurableTree {
public:
    // What recover() does. Requires that nobody else uses the directory, and that `disk`
    // outlives this.
    [[nodiscard]] static base::Result<std::unique_ptr<DurableTree>, storage::Fault> open(
        storage::Disk& disk, const std::filesystem::path& directory,
        const std::function<base::Uuid()>& draw_tree_id);

    const Tree& tree() const noexcept { return tree_; }
    const std::vector<std::string>& notes() const noexcept { return notes_; }  // Of recovery.

    // Requires what Tree::apply and Journal::append require.
    std::vector<Event> apply(const Transaction& transaction);

    // As Journal's.
    bool has_uncommitted() const noexcept { return journal_.has_uncommitted(); }
    [[nodiscard]] base::Result<void, storage::Fault> commit() { return journal_.commit(); }
    void mark() { journal_.mark(); }
    void close() { journal_.close(); }
    Zxid synced_zxid() const noexcept { return journal_.synced_zxid(); }

    // Bytes of journal that the next start has to replay.
    std::uint64_t journal_bytes() const noexcept { return journal_.bytes(); }

    // Begin the segment that a snapshot goes with. Requires that nothing is uncommitted.
    // Faults: no_space: not now, and nothing has changed; io: none of the journal's calls will
    // succeed any more.
    [[nodiscard]] base::Result<void, storage::Fault> roll() { return journal_.roll(); }

    // Requires that nothing was applied since roll() succeeded, that no other run is on, and
    // that this outlives the run. Touches no file.
    std::unique_ptr<SnapshotRun> begin_snapshot();

private:
    DurableTree(storage::Disk& disk, std::filesystem::path directory, Recovered recovered)
        : disk_(disk),
          directory_(std::move(directory)),
          tree_(std::move(recovered.tree)),
          journal_(std::move(recovered.journal)),
          tree_id_(recovered.tree_id),
          notes_(std::move(recovered.notes)) {}

    storage::Disk& disk_;
    const std::filesystem::path directory_;
    Tree tree_;
    Journal journal_;
    const base::Uuid tree_id_;
    const std::vector<std::string> notes_;
};

}  // namespace coordinator
