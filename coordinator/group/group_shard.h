// GroupShard: all groups of one partition of `__consumer_offsets`.
//
//     replay ... replay, finish_loading          unload
//            |                                     |
//     [ loading ] --------> [ active ] --------> [ closed ]
//
//     event --> live groups (ClassicGroup) --+--> replies
//                    |                       +--> writes --> journal
//                    |                                          |
//     what the log says (GroupLog) <---- committed(write) ------+
//
// An offset is readable once its record is committed, never before; so what a client was
// told is what a restart finds. Between the two the partition counts as pending.
//
// Invariants:
//   - a group that the log knows is alive here, once loading is finished
//   - log() is what a replay of the committed writes gives
//
// Threads: none of its own; Journaled's lock. Pure: time and new ids are arguments.
//
// Limits: GroupCensus for groups and member ids; strings fit Kafka's int16 lengths.
//
// Source: facts/kafka.md, 4.1 to 4.4.
#pragma once

#include "coordinator/group/classic_group.h"
#include "coordinator/group/group_log.h"
#include "coordinator/group/group_messages.h"
#include "coordinator/group/step.h"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace coordinator {

class GroupShard {
public:
    using Write = coordinator::Write;
    using Reply = coordinator::Reply;
    using Effects = coordinator::Effects;
    using Now = coordinator::Now;

    // Requires that `census` outlives the shard.
    GroupShard(const GroupSettings& settings, GroupCensus& census)
        : settings_(settings), census_(census) {}

    // ---- Loading: what the partition holds, in its order. Requires loading.
    void replay(const Record& record) { log_.apply(record); }
    void replay_transactional(base::ProducerId producer, const OffsetRecord& record) {
        log_.apply_transactional(producer, record);
    }
    void replay_marker(base::ProducerId producer, bool committed) {
        log_.end_transaction(producer, committed);
    }
    Effects finish_loading(Now now);

    // The partition is led elsewhere from now on: everybody who waits gets not_coordinator,
    // and so does everybody who asks.
    Effects unload(Now now);

    // ---- What clients ask. A reply carries the request's ticket, now or later; while the
    // shard is loading or closed it comes at once and says so.
    Effects join(const JoinRequest& request, Now now);
    Effects sync(const SyncRequest& request, Now now);
    [[nodiscard]] protocol::ErrorCode heartbeat(const std::string& group_id,
                                                const MemberIdentity& member,
                                                std::int32_t generation, Now now);
    Effects leave(Ticket ticket, const std::string& group_id,
                  const std::vector<MemberIdentity>& members, Now now);

    // Each partition is judged by its metadata's size; the group judges the whole.
    Effects commit(const CommitRequest& request, Now now);

    // Nothing in `partitions`: all that are committed. A partition without an offset has
    // -1 and no error, in a group that nobody knows too. `require_stable` refuses those
    // whose newest commit is still being written or belongs to an open transaction.
    [[nodiscard]] FetchedOffsets fetch_offsets(
        const std::string& group_id, const std::optional<std::vector<base::TopicPartition>>& partitions,
        bool require_stable) const;

    // Offsets of topics that a live group reads stay: group_subscribed_to_topic.
    Effects delete_offsets(Ticket ticket, const std::string& group_id,
                           const std::vector<base::TopicPartition>& partitions, Now now);

    // The group with all its offsets. Errors: non_empty_group, group_id_not_found.
    Effects delete_group(Ticket ticket, const std::string& group_id, Now now);

    // A group that is not there is Dead, without an error.
    [[nodiscard]] DescribedGroup describe(const std::string& group_id) const;
    std::vector<ListedGroup> list() const;

    // ---- What time brings.
    // Deadlines that have come, of members, rebalances and writes.
    Effects time_passes(Now now);
    // When to call time_passes next; nothing is ever due before.
    std::optional<std::int64_t> next_deadline_ms() const { return timers_.next_ms(); }
    // Forget what is older than its retention, and groups that are empty.
    Effects expire_offsets(Now now);
    // These partitions are no more: no group keeps an offset for them.
    Effects forget_partitions(const std::function<bool(const base::TopicPartition&)>& gone, Now now);

    // ---- What became of a write.
    Effects committed(WriteId id, Now now);
    Effects failed(WriteId id, protocol::ErrorCode error, Now now);

    bool is_loading() const noexcept { return status_ == Status::loading; }
    const GroupLog& log() const noexcept { return log_; }
    const ClassicGroup* find(const std::string& group_id) const;

private:
    enum class Status { loading, active, closed };

    struct Live {
        explicit Live(const std::string& id) : group(id) {}
        ClassicGroup group;
        std::map<base::TopicPartition, int> pending_commits;  // How many are being written.
        int writes = 0;                                       // Of any kind, in flight.
    };

    struct InFlight {
        std::vector<Record> records;
        std::string group_id;
        std::optional<Intent> intent;  // Gone when it was answered by the time-out.
    };

    protocol::ErrorCode status_error() const noexcept;
    // Run `body(Step&)` and gather what it wants done.
    template <class Body>
    Effects in_step(Now now, Body body);
    void submit(std::vector<Record> records, Intent intent, Now now, Effects& effects);
    void resolve(Intent intent, protocol::ErrorCode error, Step& step);
    void landed(const InFlight& write);

    Live* find_live(const std::string& group_id);
    Live* create(const std::string& group_id);
    void drop_if_gone(const std::string& group_id);
    protocol::ErrorCode check_sizes(const JoinRequest& request) const;
    bool is_expired(const Live& live, const base::TopicPartition& partition,
                    const CommittedOffset& committed, std::int64_t now_ms) const;

    const GroupSettings settings_;
    GroupCensus& census_;
    Status status_ = Status::loading;
    GroupLog log_;
    std::unordered_map<std::string, Live> live_;
    Timers timers_;
    std::unordered_map<WriteId, InFlight> in_flight_;
    WriteId writes_ = 0;
};

}  // namespace coordinator
