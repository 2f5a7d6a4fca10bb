#include "storage/segment_files.h"

#include "storage/names.h"

namespace storage {

using base::Result;
using base::Unexpected;
using std::filesystem::path;

Result<void, Fault> write_tail(Disk& disk, const path& name, std::uint64_t position,
                               std::span<const std::byte> bytes, bool ends_there) {
    const auto file = disk.open(name, OpenMode::create);
    if (!file) return Unexpected(file.error());
    if (!bytes.empty()) {
        if (auto done = (*file)->write(position, bytes); !done) return done;
    }
    if (!ends_there) return {};
    return (*file)->truncate(position + bytes.size());
}

Result<void, Fault> write_indexes(Disk& disk, const Segment& segment, const IndexTails& tails,
                                  bool ends_there) {
    if (!tails.offsets.empty() || ends_there) {
        if (auto done =
                write_tail(disk, segment.path(".index"), tails.offsets_on_disk * OffsetEntry::size,
                           encode(tails.offsets, segment.base()), ends_there);
            !done) {
            return done;
        }
    }
    if (!tails.times.empty() || ends_there) {
        if (auto done =
                write_tail(disk, segment.path(".timeindex"), tails.times_on_disk * TimeEntry::size,
                           encode(tails.times, segment.base()), ends_there);
            !done) {
            return done;
        }
    }
    if (tails.aborted.empty()) return {};
    return write_tail(disk, segment.path(".txnindex"), tails.aborted_on_disk * aborted_entry_bytes,
                      encode(tails.aborted), ends_there);
}

Result<void, Fault> sync_if_there(Disk& disk, const path& name) {
    const auto file = disk.open(name, OpenMode::read_write);
    if (!file && file.error().kind == FaultKind::not_found) return {};
    if (!file) return Unexpected(file.error());
    return (*file)->sync();
}

Result<void, Fault> sync_indexes(Disk& disk, const Segment& segment) {
    for (const auto suffix : index_suffixes) {
        if (auto done = sync_if_there(disk, segment.path(suffix)); !done) return done;
    }
    return {};
}

Result<void, Fault> rename_files(Disk& disk, Segment& segment,
                                 std::span<const std::string_view> files,
                                 const std::string& extra_suffix) {
    return segment.rename_files(extra_suffix, [&]() -> Result<void, Fault> {
        for (const auto suffix : files) {
            const auto from = segment.path(suffix);
            const auto to = from.parent_path() / (file_name(segment.base(), suffix) + extra_suffix);
            const auto done = disk.rename(from, to);
            if (!done && done.error().kind != FaultKind::not_found) return done;
        }
        return {};
    });
}

Result<void, Fault> remove_files(Disk& disk, Segment& segment) {
    segment.log_file().close();
    for (const auto suffix : segment_suffixes) {
        const auto done = disk.remove_file(segment.path(suffix));
        if (!done && done.error().kind != FaultKind::not_found) return done;
    }
    return {};
}

}  // namespace storage
