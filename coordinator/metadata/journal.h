// Journal: writes transactions to the last segment, and reads segments back.
//
//     batch.add(t1) batch.add(t2)     into memory
//     commit(batch)                   one write, one fdatasync: both are durable
//     mark()                          nothing to do: say in the file that they are
//
// Room is taken in advance, so that a commit need not make a new size durable too, which
// takes half as long again: as much as the segment has, up to `room_bytes_max` (ZooKeeper's
// preAllocSize). It is given back when the segment ends.
//
// Format: journal_format.h. Recovery, which decides what a bad entry means: recovery.h.
//
// Invariants:
//   - what was durable is never written again
//   - synced_zxid() only grows
//   - after a failed fdatasync, or a write that failed for anything but space, every call fails
//
// Threads: none of its own, one at a time. A batch is its owner's until it is committed, so
// that the next one can be filled while one is being written.
#pragma once

#include "coordinator/metadata/journal_format.h"
#include "coordinator/metadata/transaction.h"
#include "protocol/base/result.h"
#include "protocol/base/types.h"
#include "storage/disk.h"
#include "storage/fault.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace coordinator {

// The name of a segment or a snapshot: prefix and number, and the other way.
std::string numbered_name(std::string_view prefix, Zxid number);
std::optional<Zxid> number_of(std::string_view name, std::string_view prefix);

// Transactions on their way to the journal.
class JournalBatch {
public:
    // Requires that the zxid follows that of the one before, and that the transaction takes
    // less than entry_bytes_max.
    void add(const Transaction& transaction);

    // Put all of `behind` behind what is here; it is empty then.
    void take_over(JournalBatch& behind);

    bool empty() const noexcept { return entries_.empty(); }

private:
    friend class Journal;

    void add_entry(const Transaction* transaction);
    void seal(Zxid synced);

    std::vector<std::byte> bytes_;
    std::vector<std::size_t> entries_;  // Where each begins.
    Zxid first_;
    Zxid last_;
};

class Journal {
public:
    // Make the segment that begins behind `last`, empty. It becomes durable with the first
    // commit; until then a crash may leave any part of it. Faults: io, no_space.
    [[nodiscard]] static base::Result<Journal, storage::Fault> create(
        storage::Disk& disk, const std::filesystem::path& directory, const base::Uuid& tree_id,
        Zxid last, std::uint64_t room_bytes_max);

    // A segment as recovery has read it. All of its transactions are durable, and so is its
    // name if it has any.
    struct Resumed {
        std::shared_ptr<storage::File> file;
        Zxid first;
        Zxid last;    // first - 1 when it has no transaction.
        Zxid marked;  // The highest synced_zxid in it.
        std::uint64_t bytes = 0;
        std::uint64_t room = 0;  // The file's size.
    };

    // Go on at its end.
    static Journal resume(storage::Disk& disk, const std::filesystem::path& directory,
                          const base::Uuid& tree_id, Resumed segment, std::uint64_t room_bytes_max);

    // Make the batch durable; it is empty then. Requires that it follows the one before.
    // Faults: no_space, and nothing has changed, so that it may be tried again when there is
    // space; io, and that was the end of this journal.
    [[nodiscard]] base::Result<void, storage::Fault> commit(JournalBatch& batch);

    // Note in the file, without waiting for the disk, that all in it is durable: then damage
    // of it is never taken for what a crash left. Nothing when that is known already.
    void mark();

    // Begin the next segment, when the present one has transactions. Faults: as of commit().
    [[nodiscard]] base::Result<void, storage::Fault> roll();

    // Say for the last time that all is durable, on the disk itself.
    void close();

    Zxid synced_zxid() const noexcept { return synced_; }
    std::uint64_t bytes() const noexcept { return bytes_; }  // Of the present segment.
    std::int64_t transactions() const noexcept { return synced_.value() - first_.value() + 1; }

private:
    Journal(storage::Disk& disk, std::filesystem::path directory, const base::Uuid& tree_id,
            std::uint64_t room_bytes_max)
        : disk_(&disk),
          directory_(std::move(directory)),
          tree_id_(tree_id),
          room_bytes_max_(room_bytes_max) {}

    void take_room(std::uint64_t end);
    void give_back_room();
    [[nodiscard]] base::Result<void, storage::Fault> failed(storage::Fault fault);

    storage::Disk* disk_;
    std::filesystem::path directory_;
    base::Uuid tree_id_;
    std::uint64_t room_bytes_max_;  // Taken at once; 0: none.
    std::shared_ptr<storage::File> file_;
    std::uint64_t bytes_ = 0;  // Where the next entry goes.
    std::uint64_t room_ = 0;   // The file's size, or less.
    Zxid first_;               // Of the present segment.
    Zxid synced_;              // Durable.
    Zxid marked_;              // Durable by what the file says itself.
    bool named_ = false;       // The segment's name is durable.
    std::optional<storage::Fault> fault_;
};

// One segment's bytes, entry by entry.
class SegmentReader {
public:
    struct Header {
        base::Uuid tree_id{};
        Zxid first_zxid;
    };

    struct Entry {
        std::size_t at = 0;
        Zxid synced_zxid;
        std::span<const std::byte> transaction;  // Empty: a mark.
    };

    // Requires that `bytes` outlive the reader.
    explicit SegmentReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

    // Faults: foreign for a version newer than ours, corrupt for anything else that is wrong.
    [[nodiscard]] base::Result<Header, storage::Fault> header() const;

    // The next entry; nothing at the end and at the first bad one: position() tells where.
    std::optional<Entry> next();

    std::size_t position() const noexcept { return position_; }
    // Nothing but zeros follows.
    bool at_end() const noexcept;

    // The highest synced_zxid of the valid entries from `from` on, wherever one may begin.
    // Entries of a segment that begins with `first` are looked for.
    std::optional<Zxid> synced_behind(std::size_t from, Zxid first) const;

private:
    std::optional<Entry> entry_at(std::size_t at) const;

    std::span<const std::byte> bytes_;
    std::size_t position_ = journal_format::header_bytes;
};

}  // namespace coordinator
