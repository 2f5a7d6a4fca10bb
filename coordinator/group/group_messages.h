// group_messages: what is asked of a group and what it answers, free of versions.
//
// The handlers turn the messages of every protocol version into these and back; what a
// version changes in behaviour is a field here (JoinRequest::must_know_member_id).
#pragma once

#include "coordinator/group/blob.h"
#include "coordinator/group/group_records.h"
#include "protocol/base/types.h"
#include "protocol/schema/error_code.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace coordinator {

// The caller's own name for a request whose answer may come later.
using Ticket = std::uint64_t;

// Both clocks when something happened. Deadlines follow the steady one, so that a wall
// clock that jumps expires nobody; what is stored in records follows the wall clock.
struct Now {
    std::int64_t steady_ms = 0;
    std::int64_t wall_ms = 0;  // Milliseconds since 1970.
};

enum class GroupState { empty, preparing_rebalance, completing_rebalance, stable, dead };

// As DescribeGroups and ListGroups spell it: "PreparingRebalance".
std::string_view to_string(GroupState state) noexcept;

// One assignor that a member supports, and what the member tells it.
struct Protocol {
    std::string name;
    Blob metadata;

    friend bool operator==(const Protocol&, const Protocol&) = default;
};

struct JoinRequest {
    Ticket ticket = 0;
    std::string group_id;
    std::string member_id;  // Empty for a member that is new.
    std::optional<std::string> instance_id;
    std::string client_id;
    std::string client_host;
    std::int32_t session_timeout_ms = 0;
    std::int32_t rebalance_timeout_ms = 0;
    std::string protocol_type;
    std::vector<Protocol> protocols;   // In the order of preference.
    bool must_know_member_id = false;  // Version 4 and up: a new member gets an id and comes again.
    bool may_skip_assignment = false;  // Version 9 and up.
    std::string uuid;                  // Drawn by the caller; ends up in the id of a new member.
};

struct JoinedMember {
    std::string member_id;
    std::optional<std::string> instance_id;
    Blob metadata;

    friend bool operator==(const JoinedMember&, const JoinedMember&) = default;
};

struct JoinReply {
    protocol::ErrorCode error = protocol::ErrorCode::none;
    std::string member_id;
    std::int32_t generation = -1;
    std::optional<std::string> protocol_type;
    std::optional<std::string> protocol_name;
    std::string leader;
    bool skip_assignment = false;
    std::vector<JoinedMember> members;  // For the leader only.
};

// Who says so: the identity that every request of a member carries.
struct MemberIdentity {
    std::string member_id;
    std::optional<std::string> instance_id;
};

struct SyncRequest {
    Ticket ticket = 0;
    std::string group_id;
    MemberIdentity member;
    std::int32_t generation = -1;
    std::optional<std::string> protocol_type;
    std::optional<std::string> protocol_name;
    std::vector<std::pair<std::string, Blob>> assignments;  // By member id; the leader's.
};

struct SyncReply {
    protocol::ErrorCode error = protocol::ErrorCode::none;
    std::optional<std::string> protocol_type;
    std::optional<std::string> protocol_name;
    Blob assignment;
};

struct LeaveReply {
    protocol::ErrorCode error = protocol::ErrorCode::none;
    std::vector<protocol::ErrorCode> members;  // As asked for, unless `error`.
};

struct CommitRequest {
    Ticket ticket = 0;
    std::string group_id;
    MemberIdentity member;
    std::int32_t generation = -1;  // Below 0: a commit outside group membership.
    std::vector<std::pair<base::TopicPartition, CommittedOffset>> offsets;
};

// An error for each partition, in the order in which they were asked for.
struct PartitionsReply {
    protocol::ErrorCode error = protocol::ErrorCode::none;  // Of the whole; then no partitions.
    std::vector<protocol::ErrorCode> partitions;
};

struct DeleteReply {
    protocol::ErrorCode error = protocol::ErrorCode::none;
};

struct Reply {
    Ticket ticket = 0;
    std::variant<JoinReply, SyncReply, LeaveReply, PartitionsReply, DeleteReply> answer;
};

// One partition of an OffsetFetch.
struct FetchedOffset {
    base::TopicPartition partition;
    protocol::ErrorCode error = protocol::ErrorCode::none;
    base::Offset offset = base::Offset(-1);  // -1: nothing is committed; not an error.
    base::LeaderEpoch leader_epoch = base::LeaderEpoch(-1);
    std::string metadata;
};

struct FetchedOffsets {
    protocol::ErrorCode error = protocol::ErrorCode::none;
    std::vector<FetchedOffset> offsets;
};

struct DescribedMember {
    std::string member_id;
    std::optional<std::string> instance_id;
    std::string client_id;
    std::string client_host;
    Blob metadata;
    Blob assignment;
};

struct DescribedGroup {
    protocol::ErrorCode error = protocol::ErrorCode::none;
    std::string state;
    std::string protocol_type;
    std::string protocol;
    std::vector<DescribedMember> members;
};

struct ListedGroup {
    std::string group_id;
    std::string protocol_type;
    std::string state;
};

}  // namespace coordinator
