// Snapshot: a whole tree in one file, written slice by slice and read back.
//
//     SnapshotWriter::create(image's header)    milena-metadata-snapshot.unfinished
//     add(slice) add(slice) …
//     finish()                                  end block, fsync, rename, directory synced
//
// Format: snapshot_format.h.
//
// The disk is waited for every MiB, not at the end for all of it: what the journal's fdatasync
// finds the disk busy with is that much at most.
//
// Threads: none of its own, one at a time. The writer touches no tree: slices come in.
#pragma once

#include "coordinator/metadata/tree.h"
#include "coordinator/metadata/tree_image.h"
#include "protocol/base/result.h"
#include "protocol/base/types.h"
#include "storage/disk.h"
#include "storage/fault.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

namespace coordinator {

class SnapshotWriter {
public:
    // Begin with what an image knows besides its nodes. What an unfinished one left is
    // overwritten. Faults here and below: io, no_space.
    [[nodiscard]] static base::Result<SnapshotWriter, storage::Fault> create(
        storage::Disk& disk, const std::filesystem::path& directory, const base::Uuid& tree_id,
        Zxid zxid, SessionId last_session, const std::vector<SessionImage>& sessions);

    [[nodiscard]] base::Result<void, storage::Fault> add(const std::vector<NodeImage>& nodes);

    // The snapshot counts once this has succeeded.
    [[nodiscard]] base::Result<void, storage::Fault> finish();

    // Take away what was written. For when it is not to be finished.
    void abandon();

private:
    SnapshotWriter(storage::Disk& disk, std::filesystem::path directory, Zxid zxid)
        : disk_(&disk), directory_(std::move(directory)), zxid_(zxid) {}

    template <class Fill>
    void put_block(std::int8_t type, Fill fill);
    [[nodiscard]] base::Result<void, storage::Fault> flush();

    storage::Disk* disk_;
    std::filesystem::path directory_;
    Zxid zxid_;
    std::shared_ptr<storage::File> file_;
    std::uint64_t bytes_ = 0;
    std::uint64_t synced_ = 0;  // Of them.
    std::vector<std::byte> pending_;
    std::int64_t sessions_ = 0;
    std::int64_t nodes_ = 0;
};

struct LoadedSnapshot {
    Tree tree;
    base::Uuid tree_id{};
};

// Read the snapshot of `zxid`. Faults: io; foreign for a version newer than ours; corrupt for
// a file that is not valid. The detail names the file, and the position where it matters.
[[nodiscard]] base::Result<LoadedSnapshot, storage::Fault> load_snapshot(
    storage::Disk& disk, const std::filesystem::path& directory, Zxid zxid);

}  // namespace coordinator
