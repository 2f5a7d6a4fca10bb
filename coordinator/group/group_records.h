// group_records: the facts that `__consumer_offsets` holds, as plain values.
//
//     OffsetRecord    group, topic, partition  ->  what was committed there, or a tombstone
//     GroupRecord     group                    ->  its last settled generation, or a tombstone
//
// They are what the state machine writes and what a replay applies. How they look in the
// log is group_record_format.h.
#pragma once

#include "coordinator/group/blob.h"
#include "protocol/base/types.h"

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace coordinator {

// What a group committed for one partition.
struct CommittedOffset {
    base::Offset offset;
    base::LeaderEpoch leader_epoch = base::LeaderEpoch(-1);
    std::string metadata;
    std::int64_t commit_ms = 0;             // Milliseconds since 1970.
    std::optional<std::int64_t> expire_ms;  // Only of commits that named their retention.

    friend bool operator==(const CommittedOffset&, const CommittedOffset&) = default;
};

struct OffsetRecord {
    std::string group_id;
    base::TopicPartition partition;
    std::optional<CommittedOffset> committed;  // Nothing: forget it.

    friend bool operator==(const OffsetRecord&, const OffsetRecord&) = default;
};

struct MemberSnapshot {
    std::string member_id;
    std::optional<std::string> instance_id;
    std::string client_id;
    std::string client_host;
    std::int32_t rebalance_timeout_ms = 0;
    std::int32_t session_timeout_ms = 0;
    Blob subscription;  // Its metadata for the protocol that was chosen.
    Blob assignment;

    friend bool operator==(const MemberSnapshot&, const MemberSnapshot&) = default;
};

// A group when it was last Stable (with members) or became Empty (without).
struct GroupSnapshot {
    std::string protocol_type;
    std::int32_t generation = 0;
    std::optional<std::string> protocol;
    std::optional<std::string> leader;
    std::optional<std::int64_t> state_ms;  // When it came into that state, since 1970.
    std::vector<MemberSnapshot> members;

    friend bool operator==(const GroupSnapshot&, const GroupSnapshot&) = default;
};

struct GroupRecord {
    std::string group_id;
    std::optional<GroupSnapshot> snapshot;  // Nothing: the group is gone.

    friend bool operator==(const GroupRecord&, const GroupRecord&) = default;
};

using Record = std::variant<OffsetRecord, GroupRecord>;

}  // namespace coordinator
