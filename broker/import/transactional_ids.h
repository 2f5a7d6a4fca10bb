// Transactional ids: the highest producer id that a transaction coordinator of Apache Kafka gave
// away. It may lie above all that was ever produced with.
#pragma once

#include "broker/import/plan.h"
#include "storage/disk.h"

namespace broker {

// From the partitions of __transaction_state in these directories; -1 when there are none.
// Errors: one line that names the file.
[[nodiscard]] base::Result<base::ProducerId, std::string> highest_transactional_producer(
    storage::Disk& disk, const std::vector<SurveyedDirectory>& directories);

}  // namespace broker
