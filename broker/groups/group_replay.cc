#include "broker/groups/group_replay.h"

#include "coordinator/group/group_record_format.h"
#include "protocol/base/log.h"
#include "protocol/records/batch.h"
#include "protocol/records/record.h"
#include "storage/names.h"

#include <functional>
#include <optional>
#include <span>
#include <variant>
#include <vector>

namespace broker {

using base::Offset;
using coordinator::GroupShard;
using protocol::ErrorCode;

namespace {

using OneBatch = std::function<void(const records::Batch&)>;

// Call `use` for every whole batch of `bytes`. Returns the offset behind the last one, or
// nothing when there is none.
std::optional<Offset> walk_batches(std::span<const std::byte> bytes, const OneBatch& use) {
    std::optional<Offset> next;
    while (!bytes.empty()) {
        const auto batch = records::Batch::read(bytes);
        if (!batch) break;
        use(*batch);
        next = batch->last_offset() + 1;
        bytes = bytes.subspan(batch->size());
    }
    return next;
}

void replay_batch(GroupShard& groups, const records::Batch& batch, records::Inflater& inflater,
                  std::size_t& damaged) {
    if (batch.is_control()) {
        const auto control = records::read_control(batch);
        const bool commits = control && control->is(records::ControlType::commit);
        if (commits || (control && control->is(records::ControlType::abort))) {
            groups.replay_marker(batch.producer_id(), commits);
        }
        return;
    }
    auto walk = records::RecordWalk::open(batch, inflater);
    if (!walk) {
        ++damaged;
        return;
    }
    while (const records::Record* record = walk->next()) {
        if (!record->key) continue;
        const auto decoded = coordinator::decode(*record->key, record->value);
        if (!decoded) {
            damaged += decoded.error() == coordinator::RecordFault::damaged;
            continue;
        }
        const auto* offset = std::get_if<coordinator::OffsetRecord>(&*decoded);
        if (batch.is_transactional() && offset) {
            groups.replay_transactional(batch.producer_id(), *offset);
        } else {
            groups.replay(*decoded);
        }
    }
    damaged += walk->fault().has_value();
}

}  // namespace

bool replay_groups(Partition& partition, coordinator::Journaled<GroupShard>& shard,
                   std::size_t buffer_bytes) {
    const auto positions = partition.positions();
    if (!positions) return false;
    ReadRequest request;
    // What a leader has will be committed, if it goes on leading; if not, its groups go as well.
    request.bound = ReadBound::log_end;
    request.from = positions->log_start;
    request.bytes_max = buffer_bytes;
    request.at_least_one_batch = true;
    std::vector<std::byte> buffer;
    records::Inflater inflater;
    std::size_t damaged = 0;
    while (request.from < positions->log_end) {
        const auto read = partition.read(request);
        if (read.error != ErrorCode::none) return false;
        if (!read.data.slice) break;  // The last records were compacted away.
        buffer.resize(read.data.slice->size());
        if (!read.data.slice->read(0, buffer)) return false;
        const auto next = walk_batches(buffer, [&](const records::Batch& batch) {
            shard.touch([&](GroupShard& groups) {
                if (groups.is_loading()) replay_batch(groups, batch, inflater, damaged);
            });
        });
        if (!next || *next <= request.from) return false;
        request.from = *next;
    }
    if (damaged > 0) {
        base::log_warn("groups", std::to_string(damaged) + " records of " +
                                     storage::directory_name(partition.id()) +
                                     " could not be read and were passed over");
    }
    return true;
}

}  // namespace broker
