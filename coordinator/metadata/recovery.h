// Recovery: the tree and the journal's end from what a directory holds.
//
//     newest snapshot that is valid --> tree --> segments since then, in order --> tree
//
// Of what is there, only a torn tail is cut (journal_format.h says what that is). Damage
// anywhere else, a gap, files of another tree, or a version newer than ours refuse the start.
//
// Source: design.md section 4; the rule that tells a torn tail from damage is ours.
#pragma once

#include "coordinator/metadata/journal.h"
#include "coordinator/metadata/tree.h"
#include "protocol/base/result.h"
#include "storage/disk.h"
#include "storage/fault.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace coordinator {

// The folders that the files are in; mostly one.
struct Places {
    std::filesystem::path snapshots;
    std::filesystem::path journal;

    Places(std::filesystem::path snapshots_in, std::filesystem::path journal_in)
        : snapshots(std::move(snapshots_in)), journal(std::move(journal_in)) {}
    Places(const std::filesystem::path& both) : snapshots(both), journal(both) {}
};

// What it took, for people.
struct RecoveryFigures {
    std::int64_t snapshot_ms = 0;
    std::int64_t journal_ms = 0;
    std::int64_t all_ms = 0;
    std::int64_t transactions = 0;  // Of the journal.
};

struct Recovered {
    Tree tree;
    Journal journal;
    base::Uuid tree_id{};
    std::vector<std::string> notes;  // What people should know: what was cut or passed over.
    RecoveryFigures figures = {};
};

// Recover the tree of `places`, or begin a new one, with the id that `draw_tree_id` gives,
// when there are no files of one. All that was recovered is durable. `room_bytes_max` is the
// journal's; `monotonic_ms` is asked what it took. Requires that nobody else uses the directory.
// Faults: corrupt, with file and position; foreign, with both versions or with the file of another
// tree; io, no_space.
[[nodiscard]] base::Result<Recovered, storage::Fault> recover(
    storage::Disk& disk, const Places& places, const std::function<base::Uuid()>& draw_tree_id,
    std::uint64_t room_bytes_max, const std::function<std::int64_t()>& monotonic_ms);

// Whether the directory holds files of a tree, so that recover() would not begin a new one.
// False, too, when it cannot be listed.
bool holds_metadata(storage::Disk& disk, const std::filesystem::path& directory);

// Remove the snapshots but the newest `snapshots_kept`, and the segments that none of them
// needs. 0 keeps everything.
[[nodiscard]] base::Result<void, storage::Fault> remove_superseded(storage::Disk& disk,
                                                                   const Places& places,
                                                                   std::size_t snapshots_kept);

}  // namespace coordinator
