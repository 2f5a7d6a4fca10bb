// Record file: a walk over the records of one segment or snapshot file, in order.
//
// Control batches and messages of the old formats are passed over.
//
// Threads: blocks. Limits: a batch in memory, inflated to at most records::inflated_bytes_max.
#pragma once

#include "protocol/records/record.h"
#include "storage/disk.h"

#include <filesystem>
#include <functional>

namespace broker {

enum class TornEnd {
    fine,     // The newest file of a log: what is behind the last whole batch was never finished.
    damaged,  // Any other.
};

// Call `see` for each record. Stops with its error when it gives one. Errors, one line that
// names the file: it cannot be read, a batch is damaged.
[[nodiscard]] base::Result<void, std::string> for_each_record(
    storage::Disk& disk, const std::filesystem::path& name, TornEnd end,
    const std::function<base::Result<void, std::string>(const records::Record&)>& see);

}  // namespace broker
