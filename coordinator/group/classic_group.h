// ClassicGroup: who is in a group, which generation it is in, and who waits for what.
//
//            join                     all joined, or the time is up
//     Empty ------> PreparingRebalance ----------------------------> CompletingRebalance
//       ^             |        ^   ^                                   |       |
//       | none left   |        |   +---- join, leave, expiry, ---------+       | the leader's
//       +-------------+        |         sync time-out                         | assignment is
//                              |                                               v committed
//                              +------ join, leave, expiry ----------------- Stable
//     any --> Dead: deleted, expired, or led elsewhere
//
// This is the half of a group that is not in the log: a group is Stable in the log while
// it rebalances here, and after a restart it is again what the log says (restored()).
// Clients are made for that: their generation is refused, and they join again.
//
// Eager and cooperative members look the same from here: a member that comes back with
// other metadata starts a rebalance, whatever it still owns.
//
// Invariants:
//   - the leader is a member, unless there are none
//   - in PreparingRebalance and only there members wait to have joined, but for a static
//     member that was replaced while Stable and whose new id is being written
//   - in CompletingRebalance and only there members wait for their assignment
//   - some protocol is supported by all members
//   - a ticket that was given gets one reply, whatever becomes of the member
//
// Threads: none of its own; its owner's lock. Pure: time and new ids are arguments.
//
// Limits: GroupSettings::members_max, GroupCensus, member_metadata_bytes_max.
//
// Source: facts/kafka.md, 4.2 and 4.3.
#pragma once

#include "coordinator/group/group_messages.h"
#include "coordinator/group/group_records.h"
#include "coordinator/group/step.h"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace coordinator {

class ClassicGroup {
public:
    explicit ClassicGroup(std::string id) : id_(std::move(id)) {}

    // The group that the log describes. Sessions begin anew, with their full length; a
    // group above group.max.size rebalances at once.
    void restore(const GroupSnapshot& snapshot, Step& step);

    // Replies to the ticket now, or later when the rebalance ends.
    void join(const JoinRequest& request, Step& step);

    // Replies to the ticket now, or later when the leader's assignment is committed.
    void sync(const SyncRequest& request, Step& step);

    // illegal_generation, unknown_member_id and fenced_instance_id tell the client to join
    // again; rebalance_in_progress too, and counts as a sign of life.
    [[nodiscard]] protocol::ErrorCode heartbeat(const MemberIdentity& member,
                                                std::int32_t generation, Step& step);

    // An empty member id removes a static member by its instance id.
    [[nodiscard]] protocol::ErrorCode leave(const MemberIdentity& member, Step& step);

    // May this member commit offsets now? A member that may has shown that it lives.
    [[nodiscard]] protocol::ErrorCode accept_commit(const MemberIdentity& member,
                                                    std::int32_t generation, Step& step);

    // Deadlines of this group.
    void join_time_is_up(Step& step);
    void sync_time_is_up(Step& step);
    void member_time_is_up(const std::string& member_id, Step& step);

    // The record of a generation is committed, or `error` says why it is not.
    void assignment_written(const AssignmentIntent& intent, protocol::ErrorCode error, Step& step);
    void replacement_written(const StaticReplacementIntent& intent, protocol::ErrorCode error,
                             Step& step);

    // Leave the log's place to nobody: while the group's tombstone is written, nobody may
    // join. Requires Empty; revive() takes it back.
    void die(Step& step);
    void revive();

    // This broker does not lead the group any more: everybody who waits is told so.
    void unload(Step& step);

    const std::string& id() const noexcept { return id_; }
    GroupState state() const noexcept { return state_; }
    std::int32_t generation() const noexcept { return generation_; }
    // Empty for a group that only commits offsets.
    const std::string& protocol_type() const noexcept { return protocol_type_; }
    std::optional<std::int64_t> state_ms() const noexcept { return state_ms_; }
    std::size_t members() const noexcept { return members_.size(); }
    // Empty, and nobody has ever joined or is about to: it came into being for a commit.
    bool is_unused() const noexcept {
        return state_ == GroupState::empty && generation_ == 0 && pending_.empty();
    }

    // The topics that its members read; nothing if that cannot be known, because they are
    // no consumers or their metadata is not understood.
    const std::optional<std::set<std::string>>& subscribed_topics() const noexcept {
        return subscribed_topics_;
    }

    DescribedGroup describe() const;

    // Is every invariant above true? For tests.
    bool check_invariants() const;

private:
    struct Member {
        std::string id;
        std::optional<std::string> instance_id;
        std::string client_id;
        std::string client_host;
        std::int32_t session_timeout_ms = 0;
        std::int32_t rebalance_timeout_ms = 0;
        std::vector<Protocol> protocols;  // In the order of preference.
        Blob assignment;
        std::optional<Ticket> join;  // Waits to have joined.
        std::optional<Ticket> sync;  // Waits for its assignment.
        bool is_new = false;         // Joined, and has never been told so.

        Blob metadata(const std::optional<std::string>& protocol) const;
    };

    // The first rebalance of an empty group waits for others to come.
    struct InitialDelay {
        std::int64_t window_ms = 0;
        std::int64_t remaining_ms = 0;  // That further windows may last together.
        bool somebody_came = false;
    };

    bool accepts(const std::string& member_id, const GroupSettings& settings) const;
    bool supports(const JoinRequest& request) const;
    protocol::ErrorCode check_member(const MemberIdentity& member) const;

    void join_anew(const JoinRequest& request, Step& step);
    void join_again(const JoinRequest& request, Step& step);
    void add_member(const JoinRequest& request, std::string member_id, Step& step);
    void replace_static(const JoinRequest& request, std::string new_id, Step& step);
    Member& rename_static(const std::string& instance_id, const std::string& old_id,
                          std::string new_id, Step& step);
    void update_member(Member& member, const JoinRequest& request, Step& step);
    void set_protocols(Member& member, std::vector<Protocol> protocols);

    void park_join(Member& member, Ticket ticket, Step& step);
    void answer_join(Member& member, JoinReply reply, Step& step);
    void answer_sync(Member& member, SyncReply reply, Step& step);

    void forget(const std::string& member_id, Step& step);
    void remove(Member& member, Step& step);
    void forget_pending(const std::string& member_id, Step& step);

    void prepare_rebalance(Step& step);
    void rebalance_if_settled(Step& step);
    void complete_join_if_all_came(Step& step);
    void complete_join(Step& step);
    void fail_syncs(protocol::ErrorCode error, Step& step);
    void synced(const std::string& member_id, Step& step);

    bool elect_leader_who_joined();
    std::string select_protocol() const;
    std::optional<std::set<std::string>> compute_subscribed_topics() const;

    JoinReply current_generation(const Member& member, bool with_members) const;
    std::vector<JoinedMember> joined_members() const;
    GroupSnapshot snapshot(const std::map<std::string, Blob>* assignments) const;

    std::int64_t rebalance_timeout_ms() const;
    void keep_alive(const Member& member, Step& step);
    void enter(GroupState state, Step& step);

    TimerKey timer(TimerKey::Kind kind, std::string member_id = {}) const {
        return {kind, id_, std::move(member_id)};
    }

    const std::string id_;
    GroupState state_ = GroupState::empty;
    std::int32_t generation_ = 0;
    std::string protocol_type_;
    std::optional<std::string> protocol_;  // That of this generation.
    std::string leader_;                   // Empty: no members.
    std::optional<std::int64_t> state_ms_;
    std::optional<std::set<std::string>> subscribed_topics_;

    std::map<std::string, Member> members_;
    std::map<std::string, std::string> static_members_;  // Instance id to member id.
    std::set<std::string> pending_;                      // Ids handed out, not yet used.
    std::map<std::string, std::size_t> supporters_;      // Of each protocol.
    std::size_t joined_ = 0;                             // Members that wait to have joined.
    std::set<std::string> unsynced_;  // Of this generation, who has not asked for its assignment.
    std::optional<InitialDelay> initial_delay_;
    bool assignment_in_flight_ = false;  // The leader's, of this generation.
};

}  // namespace coordinator
