#include "broker/import/record_file.h"

#include "storage/entry_scan.h"

namespace broker {

using base::Result;
using base::Unexpected;

Result<void, std::string> for_each_record(
    storage::Disk& disk, const std::filesystem::path& name, TornEnd end,
    const std::function<Result<void, std::string>(const records::Record&)>& see) {
    const auto file = disk.open(name, storage::OpenMode::read);
    if (!file) return Unexpected(file.error().detail);
    const auto size = (*file)->size();
    if (!size) return Unexpected(size.error().detail);
    storage::EntryScan scan(**file, 0, *size, storage::EntryScan::Depth::whole);
    records::Inflater inflater;
    const auto damaged = [&](std::string_view what) {
        return Unexpected(name.string() + " is damaged at byte " + std::to_string(scan.position()) +
                          ": " + std::string(what));
    };
    while (const storage::EntryFacts* const entry = scan.next()) {
        if (entry->magic != 2 || entry->is_control()) continue;
        const auto batch = records::Batch::view(scan.bytes());
        if (!batch) return damaged("a batch is not valid");
        auto walk = records::RecordWalk::open(*batch, inflater);
        if (!walk) return damaged(records::describe(walk.error()));
        while (const records::Record* const record = walk->next()) {
            if (auto seen = see(*record); !seen) return seen;
        }
        if (walk->fault()) return damaged(records::describe(*walk->fault()));
    }
    if (scan.fault()) return Unexpected(scan.fault()->detail);
    if (!scan.reached_end() && end == TornEnd::damaged) return damaged("a batch is not valid");
    return {};
}

}  // namespace broker
