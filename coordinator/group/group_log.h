// GroupLog: what `__consumer_offsets` says about the groups of one partition.
//
// The replayed half of the coordinator: apply() is the only mutator, live and after a
// restart, so two GroupLogs that were given the same records in the same order are equal.
// Who is waiting to join, and every timer, is ClassicGroup's and not in here.
//
// Offsets that a transaction committed are held back by producer id until its marker says
// what became of them.
//
// Invariants:
//   - a group is in it exactly while it has a snapshot, offsets, or offsets held back
//
// Threads: none of its own; its owner's lock.
#pragma once

#include "coordinator/group/group_records.h"

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>

namespace coordinator {

struct LoggedGroup {
    std::optional<GroupSnapshot> snapshot;
    std::map<base::TopicPartition, CommittedOffset> offsets;
    std::map<base::ProducerId, std::map<base::TopicPartition, CommittedOffset>> held_back;

    bool holds_back(const base::TopicPartition& partition) const;
    bool empty() const noexcept { return !snapshot && offsets.empty() && held_back.empty(); }

    friend bool operator==(const LoggedGroup&, const LoggedGroup&) = default;
};

class GroupLog {
public:
    void apply(const Record& record);

    // An offset that the open transaction of `producer` commits.
    void apply_transactional(base::ProducerId producer, const OffsetRecord& record);

    // The marker that ends the transaction of `producer`.
    void end_transaction(base::ProducerId producer, bool committed);

    // Nothing when the log does not know the group.
    const LoggedGroup* find(const std::string& group_id) const;

    const std::unordered_map<std::string, LoggedGroup>& groups() const noexcept { return groups_; }

    friend bool operator==(const GroupLog&, const GroupLog&) = default;

private:
    void drop_if_empty(const std::string& group_id);

    std::unordered_map<std::string, LoggedGroup> groups_;
    std::map<base::ProducerId, std::set<std::string>> producers_;  // Whose offsets are held back where.
};

}  // namespace coordinator
