#include "coordinator/group/group_log.h"

#include <algorithm>
#include <utility>

namespace coordinator {

bool LoggedGroup::holds_back(const base::TopicPartition& partition) const {
    return std::ranges::any_of(
        held_back, [&](const auto& producer) { return producer.second.contains(partition); });
}

void GroupLog::apply(const Record& record) {
    if (const auto* offset = std::get_if<OffsetRecord>(&record)) {
        if (offset->committed) {
            groups_[offset->group_id].offsets[offset->partition] = *offset->committed;
            return;
        }
        const auto found = groups_.find(offset->group_id);
        if (found == groups_.end()) return;
        found->second.offsets.erase(offset->partition);
        drop_if_empty(offset->group_id);
        return;
    }
    const auto& group = std::get<GroupRecord>(record);
    if (group.snapshot) {
        groups_[group.group_id].snapshot = group.snapshot;
        return;
    }
    const auto found = groups_.find(group.group_id);
    if (found == groups_.end()) return;
    found->second.snapshot.reset();
    drop_if_empty(group.group_id);
}

void GroupLog::apply_transactional(base::ProducerId producer, const OffsetRecord& record) {
    // A tombstone is never transactional; one that claims to be holds nothing back.
    if (!record.committed) return;
    groups_[record.group_id].held_back[producer][record.partition] = *record.committed;
    producers_[producer].insert(record.group_id);
}

void GroupLog::end_transaction(base::ProducerId producer, bool committed) {
    const auto ended = producers_.extract(producer);
    if (ended.empty()) return;
    for (const auto& id : ended.mapped()) {
        auto& group = groups_.at(id);
        const auto held = group.held_back.extract(producer);
        if (committed) {
            for (auto& [partition, offset] : held.mapped()) {
                group.offsets[partition] = std::move(offset);
            }
        }
        drop_if_empty(id);
    }
}

const LoggedGroup* GroupLog::find(const std::string& group_id) const {
    const auto found = groups_.find(group_id);
    return found == groups_.end() ? nullptr : &found->second;
}

void GroupLog::drop_if_empty(const std::string& group_id) {
    const auto found = groups_.find(group_id);
    if (found != groups_.end() && found->second.empty()) groups_.erase(found);
}

}  // namespace coordinator
