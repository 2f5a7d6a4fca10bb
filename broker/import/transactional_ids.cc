#include "broker/import/transactional_ids.h"

#include "broker/import/record_file.h"
#include "protocol/schema/journal/transaction_log_key.h"
#include "protocol/schema/journal/transaction_log_value.h"
#include "protocol/schema/journal_record.h"
#include "storage/names.h"

#include <algorithm>

namespace broker {

using base::ProducerId;
using base::Result;
using base::Unexpected;

Result<ProducerId, std::string> highest_transactional_producer(
    storage::Disk& disk, const std::vector<SurveyedDirectory>& directories) {
    ProducerId highest{-1};
    // A record that is none of a transactional id is left to the coordinator, which judges them
    // all.
    const auto see = [&](const records::Record& record) -> Result<void, std::string> {
        if (!record.key || !record.value) return {};
        if (protocol::record_type(*record.key) != protocol::TransactionLogKey::record_type)
            return {};
        const auto value = protocol::decode_value<protocol::TransactionLogValue>(*record.value);
        if (value) highest = std::max({highest, value->producer_id, value->next_producer_id});
        return {};
    };
    for (const SurveyedDirectory& directory : directories) {
        for (const auto& partition : directory.survey.partitions) {
            if (partition.at.topic != "__transaction_state") continue;
            if (partition.kind != storage::DirectoryKind::partition) continue;
            const auto where =
                std::filesystem::path(directory.path) / storage::directory_name(partition.at);
            const auto entries = disk.list(where);
            if (!entries) return Unexpected(entries.error().detail);
            for (const auto& entry : *entries) {
                const auto name = storage::parse_file_name(entry.name);
                if (!name || name->suffix != ".log") continue;
                // Where a tail was torn, the start of the broker says what to do.
                if (auto read = for_each_record(disk, where / entry.name, TornEnd::fine, see);
                    !read) {
                    return Unexpected(read.error());
                }
            }
        }
    }
    return highest;
}

}  // namespace broker
