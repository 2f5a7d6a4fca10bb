// Step: one event in the life of the groups of a partition, and what comes of it.
//
// A group is told what happened through its methods, and says through the Step what has
// to be done about it: records to write, replies, deadlines. It does nothing itself.
#pragma once

#include "coordinator/group/group_messages.h"
#include "coordinator/group/group_records.h"
#include "coordinator/runtime/timer_queue.h"

#include <atomic>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace coordinator {

// The keys of server.properties that rule groups, with their defaults.
struct GroupSettings {
    std::int32_t initial_rebalance_delay_ms = 3000;  // group.initial.rebalance.delay.ms
    std::int32_t session_timeout_ms_min = 6000;      // group.min.session.timeout.ms
    std::int32_t session_timeout_ms_max = 1800000;   // group.max.session.timeout.ms
    std::int32_t members_max = std::numeric_limits<std::int32_t>::max();  // group.max.size
    std::int64_t retention_ms = 10080LL * 60 * 1000;  // offsets.retention.minutes
    std::int32_t commit_timeout_ms = 5000;            // offsets.commit.timeout.ms
    std::int32_t metadata_bytes_max = 4096;           // offset.metadata.max.bytes
};

// What all partitions of one broker count together, and how much of it there may be.
struct GroupCensus {
    std::atomic<std::int64_t> groups = 0;
    std::atomic<std::int64_t> member_ids = 0;  // Members, and ids that were only handed out.

    static constexpr std::int64_t groups_max = 100'000;
    static constexpr std::int64_t member_ids_max = 100'000;
};

// A client that asks to join gets a deadline of its own, whatever its session timeout:
// it cannot heartbeat before it knows who it is.
inline constexpr std::int64_t new_member_join_timeout_ms = 5 * 60 * 1000;

inline constexpr std::size_t member_metadata_bytes_max = 1 << 20;

using WriteId = std::uint64_t;

struct TimerKey {
    enum class Kind { join, sync, member, write };

    Kind kind = Kind::join;
    std::string group_id;   // But for a write.
    std::string member_id;  // Of a member.
    WriteId write = 0;      // Of a write.

    friend bool operator==(const TimerKey&, const TimerKey&) = default;
};

struct TimerKeyHash {
    std::size_t operator()(const TimerKey& key) const noexcept {
        const std::hash<std::string> hash;
        return ((static_cast<std::size_t>(key.kind) * 31 + hash(key.group_id)) * 31 +
                hash(key.member_id)) *
                   31 +
               key.write;
    }
};

using Timers = TimerQueue<TimerKey, TimerKeyHash>;

// What a write was for, to be taken up again when it is committed or has failed.
struct CommitIntent {
    Ticket ticket = 0;
    std::string group_id;
    std::vector<protocol::ErrorCode> partitions;  // none: in the write.
};
struct AssignmentIntent {  // The leader's assignment of a generation.
    std::string group_id;
    std::int32_t generation = 0;
    std::vector<std::pair<std::string, Blob>> assignments;
};
struct StaticReplacementIntent {  // A static member came back under a new id.
    std::string group_id;
    std::int32_t generation = 0;
    std::string instance_id;
    std::string old_member_id;
    std::string new_member_id;
    std::string old_leader;
    std::vector<Protocol> old_protocols;
    std::int32_t old_session_timeout_ms = 0;
    std::int32_t old_rebalance_timeout_ms = 0;
    bool may_skip_assignment = false;
};
struct GroupDeletionIntent {
    Ticket ticket = 0;
    std::string group_id;
};
struct OffsetDeletionIntent {
    Ticket ticket = 0;
    std::string group_id;
    std::vector<protocol::ErrorCode> partitions;
};
struct NoIntent {  // Nobody waits: an emptied group, an expiry.
    std::string group_id;
};
using Intent = std::variant<NoIntent, CommitIntent, AssignmentIntent, StaticReplacementIntent,
                            GroupDeletionIntent, OffsetDeletionIntent>;

// Records to append together, in order.
struct Write {
    WriteId id = 0;
    std::vector<Record> records;
};

struct Effects {
    std::vector<Write> writes;    // To append in this order.
    std::vector<Reply> replies;   // To send now.
};

class Step {
public:
    using Submit = std::function<void(std::vector<Record>, Intent)>;

    Step(Now at, const GroupSettings& rules, GroupCensus& counts, Timers& deadlines,
         Effects& outcome, Submit submit)
        : now(at),
          settings(rules),
          census(counts),
          timers(deadlines),
          effects_(outcome),
          submit_(std::move(submit)) {}

    const Now now;
    const GroupSettings& settings;
    GroupCensus& census;
    Timers& timers;

    template <class Answer>
    void reply(Ticket ticket, Answer answer) {
        effects_.replies.push_back({ticket, std::move(answer)});
    }

    // Records to append together, and what they are for.
    void write(std::vector<Record> records, Intent intent) {
        submit_(std::move(records), std::move(intent));
    }

private:
    Effects& effects_;
    const Submit submit_;
};

}  // namespace coordinator
