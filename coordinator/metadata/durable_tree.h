// DurableTree: the tree together with its files.
//
//     apply(transaction)      to the tree, and to a batch for the journal
//     commit()                one write and one fdatasync for all since the last one; or
//     take_batch() commit(b)  the same, while apply() goes on beside the second
//     roll() begin_snapshot() a new segment; then, beside further work:
//         take(n) … write(slice) … finish()      old segments and snapshots are removed
//
// Invariants:
//   - after open() of what commit() has made durable, the tree is what it was, or ahead of it
//     by transactions that were applied later, in their order
//   - after a fault of commit() other than no_space nothing is made durable any more
//
// Threads: none of its own. One may apply and take batches while another one commits one;
// mark, roll, begin_snapshot and close are for when nobody commits. A SnapshotRun touches the
// tree only in take(), so a lock of the tree need not be held across anything that waits for
// the disk.
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
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace coordinator {

// A snapshot that is being written.
class SnapshotRun {
public:
    Zxid zxid() const noexcept { return image_.zxid(); }

    // The next nodes; none when that was all. Requires that nobody applies meanwhile.
    std::vector<NodeImage> take(std::size_t nodes_max) { return image_.next(nodes_max); }

    // Faults here and below: io, no_space. The run is then to be abandoned.
    [[nodiscard]] base::Result<void, storage::Fault> write(const std::vector<NodeImage>& nodes);

    // Make it durable and remove what it supersedes. Requires that all was written.
    [[nodiscard]] base::Result<void, storage::Fault> finish();

    void abandon();

private:
    friend class DurableTree;

    SnapshotRun(Tree& tree, storage::Disk& disk, const Places& places, const base::Uuid& tree_id,
                std::size_t kept)
        : image_(tree), disk_(disk), places_(places), tree_id_(tree_id), kept_(kept) {}

    TreeImage image_;
    storage::Disk& disk_;
    const Places places_;
    const base::Uuid tree_id_;
    const std::size_t kept_;
    std::optional<SnapshotWriter> writer_;  // From the first write() on.
};

class DurableTree {
public:
    // What recover() does. Requires that nobody else uses the places, and that `disk`
    // outlives this.
    [[nodiscard]] static base::Result<std::unique_ptr<DurableTree>, storage::Fault> open(
        storage::Disk& disk, const Places& places, const std::function<base::Uuid()>& draw_tree_id,
        std::uint64_t room_bytes_max = 0,
        const std::function<std::int64_t()>& monotonic_ms = [] { return std::int64_t{0}; });

    const Tree& tree() const noexcept { return tree_; }
    const std::vector<std::string>& notes() const noexcept { return notes_; }  // Of recovery.
    const RecoveryFigures& recovery() const noexcept { return recovery_; }

    // Requires what Tree::apply and Journal::append require.
    std::vector<Event> apply(const Transaction& transaction);

    // What was applied since the last one.
    JournalBatch take_batch() { return std::exchange(batch_, {}); }
    bool has_uncommitted() const noexcept { return !batch_.empty(); }

    // As Journal's.
    [[nodiscard]] base::Result<void, storage::Fault> commit(JournalBatch& batch) {
        return journal_.commit(batch);
    }
    [[nodiscard]] base::Result<void, storage::Fault> commit() { return commit(batch_); }
    void mark() { journal_.mark(); }
    void close() { journal_.close(); }
    Zxid synced_zxid() const noexcept { return journal_.synced_zxid(); }

    // Of the present segment, which the next start has to replay.
    std::uint64_t journal_bytes() const noexcept { return journal_.bytes(); }
    std::int64_t journal_transactions() const noexcept { return journal_.transactions(); }

    // Begin the segment that a snapshot goes with. Requires that nothing is uncommitted.
    // Faults: no_space: not now, and nothing has changed; io: none of the journal's calls will
    // succeed any more.
    [[nodiscard]] base::Result<void, storage::Fault> roll() { return journal_.roll(); }

    // Requires that nothing was applied since roll() succeeded, that no other run is on, and
    // that this outlives the run. Touches no file. `kept`: as of remove_superseded.
    std::unique_ptr<SnapshotRun> begin_snapshot(std::size_t kept = 2);

private:
    DurableTree(storage::Disk& disk, const Places& places, Recovered recovered)
        : disk_(disk),
          places_(places),
          tree_(std::move(recovered.tree)),
          journal_(std::move(recovered.journal)),
          tree_id_(recovered.tree_id),
          notes_(std::move(recovered.notes)),
          recovery_(recovered.figures) {}

    storage::Disk& disk_;
    const Places places_;
    Tree tree_;
    JournalBatch batch_;
    Journal journal_;
    const base::Uuid tree_id_;
    const std::vector<std::string> notes_;
    const RecoveryFigures recovery_;
};

}  // namespace coordinator
