#include "coordinator/group/classic_group.h"

#include "coordinator/group/group_errors.h"
#include "coordinator/group/subscription.h"
#include "protocol/base/ensure.h"
#include "protocol/base/plant.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace coordinator {

using protocol::ErrorCode;

namespace {

// A rebalance that nobody came to is tried again, but not in a tight loop.
constexpr std::int64_t rebalance_round_ms_min = 1000;

JoinReply join_refusal(ErrorCode error, std::string member_id) {
    JoinReply reply;
    reply.error = error;
    reply.member_id = std::move(member_id);
    return reply;
}

SyncReply sync_refusal(ErrorCode error) {
    SyncReply reply;
    reply.error = error;
    return reply;
}

std::set<std::string> names_of(const std::vector<Protocol>& protocols) {
    std::set<std::string> names;
    for (const auto& each : protocols) names.insert(each.name);
    return names;
}

}  // namespace

std::string_view to_string(GroupState state) noexcept {
    switch (state) {
        case GroupState::empty:
            return "Empty";
        case GroupState::preparing_rebalance:
            return "PreparingRebalance";
        case GroupState::completing_rebalance:
            return "CompletingRebalance";
        case GroupState::stable:
            return "Stable";
        case GroupState::dead:
            break;
    }
    return "Dead";
}

Blob ClassicGroup::Member::metadata(const std::optional<std::string>& protocol) const {
    for (const auto& each : protocols) {
        if (protocol && each.name == *protocol) return each.metadata;
    }
    return {};
}

// ---- Restoring -------------------------------------------------------------------------

void ClassicGroup::restore(const GroupSnapshot& snapshot, Step& step) {
    generation_ = snapshot.generation;
    protocol_type_ = snapshot.protocol_type;
    state_ms_ = snapshot.state_ms;
    if (!snapshot.members.empty()) {
        state_ = GroupState::stable;
        // Members have one protocol from now on, so that they agree on something, even
        // if the record leaves it out.
        protocol_ = snapshot.protocol.value_or("");
    }
    for (const auto& logged : snapshot.members) {
        if (members_.contains(logged.member_id)) continue;
        auto& member = members_[logged.member_id];
        ++step.census.member_ids;
        member.id = logged.member_id;
        member.instance_id = logged.instance_id;
        member.client_id = logged.client_id;
        member.client_host = logged.client_host;
        member.session_timeout_ms = logged.session_timeout_ms;
        member.rebalance_timeout_ms = logged.rebalance_timeout_ms;
        member.assignment = logged.assignment;
        set_protocols(member, {{*protocol_, logged.subscription}});
        if (member.instance_id) static_members_.try_emplace(*member.instance_id, member.id);
        keep_alive(member, step);
    }
    const bool knows_leader = snapshot.leader && members_.contains(*snapshot.leader);
    if (knows_leader) leader_ = *snapshot.leader;
    if (!knows_leader && !members_.empty()) leader_ = members_.begin()->first;
    subscribed_topics_ = compute_subscribed_topics();
    if (std::cmp_greater(members_.size(), step.settings.members_max)) prepare_rebalance(step);
}

// ---- Joining ---------------------------------------------------------------------------

void ClassicGroup::join(const JoinRequest& request, Step& step) {
    if (!accepts(request.member_id, step.settings)) {
        forget(request.member_id, step);
        step.reply(request.ticket, join_refusal(ErrorCode::group_max_size_reached, ""));
    } else if (request.member_id.empty()) {
        join_anew(request, step);
    } else {
        join_again(request, step);
    }
    complete_join_if_all_came(step);
}

// While a rebalance collects members, those who wait count against group.max.size: so the
// surplus of a group that the limit was lowered for is turned away.
bool ClassicGroup::accepts(const std::string& member_id, const GroupSettings& settings) const {
    const auto known = members_.find(member_id);
    switch (state_) {
        case GroupState::preparing_rebalance:
            if (known != members_.end() && known->second.join) return true;
            return std::cmp_less(joined_, settings.members_max);
        case GroupState::completing_rebalance:
        case GroupState::stable:
            return known != members_.end() || std::cmp_less(members_.size(), settings.members_max);
        case GroupState::empty:
        case GroupState::dead:
            break;
    }
    return true;
}

bool ClassicGroup::supports(const JoinRequest& request) const {
    if (state_ == GroupState::empty) {
        return !request.protocol_type.empty() && !request.protocols.empty();
    }
    if (request.protocol_type != protocol_type_) return false;
    return std::ranges::any_of(request.protocols, [&](const Protocol& each) {
        const auto found = supporters_.find(each.name);
        return (found == supporters_.end() ? 0 : found->second) == members_.size();
    });
}

void ClassicGroup::join_anew(const JoinRequest& request, Step& step) {
    if (state_ == GroupState::dead) {
        step.reply(request.ticket, join_refusal(ErrorCode::coordinator_not_available, ""));
        return;
    }
    if (!supports(request)) {
        step.reply(request.ticket, join_refusal(ErrorCode::inconsistent_group_protocol, ""));
        return;
    }
    auto new_id =
        (request.instance_id ? *request.instance_id : request.client_id) + "-" + request.uuid;
    if (request.instance_id && static_members_.contains(*request.instance_id)) {
        replace_static(request, std::move(new_id), step);
        return;
    }
    if (step.census.member_ids >= GroupCensus::member_ids_max) {
        step.reply(request.ticket, join_refusal(ErrorCode::group_max_size_reached, ""));
        return;
    }
    if (request.instance_id || !request.must_know_member_id) {
        add_member(request, std::move(new_id), step);
        return;
    }
    pending_.insert(new_id);
    ++step.census.member_ids;
    step.timers.set(timer(TimerKey::Kind::member, new_id),
                    step.now.steady_ms + request.session_timeout_ms);
    step.reply(request.ticket, join_refusal(ErrorCode::member_id_required, std::move(new_id)));
}

void ClassicGroup::join_again(const JoinRequest& request, Step& step) {
    const auto refuse = [&](ErrorCode error) {
        step.reply(request.ticket, join_refusal(error, request.member_id));
    };
    if (state_ == GroupState::dead) return refuse(ErrorCode::coordinator_not_available);
    if (!supports(request)) return refuse(ErrorCode::inconsistent_group_protocol);
    if (pending_.contains(request.member_id)) {
        // Static members are never handed an id that is only pending.
        if (request.instance_id) return refuse(ErrorCode::unknown_server_error);
        forget_pending(request.member_id, step);
        add_member(request, request.member_id, step);
        return;
    }
    const auto error = check_member({request.member_id, request.instance_id});
    if (error != ErrorCode::none) return refuse(error);

    auto& member = members_.at(request.member_id);
    const bool leads = member.id == leader_;
    switch (state_) {
        case GroupState::completing_rebalance:
            // It may not have received what it was told: tell it again.
            if (member.protocols == request.protocols) {
                step.reply(request.ticket, current_generation(member, leads));
                return;
            }
            break;
        case GroupState::stable:
            // A leader comes back to have the assignment made anew, whatever it says.
            if (!leads && member.protocols == request.protocols) {
                step.reply(request.ticket, current_generation(member, false));
                return;
            }
            break;
        case GroupState::preparing_rebalance:
            break;
        case GroupState::empty:
        case GroupState::dead:
            return refuse(ErrorCode::unknown_member_id);
    }
    update_member(member, request, step);
    if (state_ != GroupState::preparing_rebalance) prepare_rebalance(step);
}

void ClassicGroup::add_member(const JoinRequest& request, std::string member_id, Step& step) {
    if (members_.empty()) protocol_type_ = request.protocol_type;
    if (initial_delay_) initial_delay_->somebody_came = true;
    auto& member = members_[member_id];
    ++step.census.member_ids;
    member.id = std::move(member_id);
    member.instance_id = request.instance_id;
    member.client_id = request.client_id;
    member.client_host = request.client_host;
    member.is_new = true;
    if (member.instance_id) static_members_[*member.instance_id] = member.id;
    if (leader_.empty()) leader_ = member.id;
    update_member(member, request, step);
    step.timers.set(timer(TimerKey::Kind::member, member.id),
                    step.now.steady_ms + new_member_join_timeout_ms);
    if (state_ != GroupState::preparing_rebalance) prepare_rebalance(step);
}

void ClassicGroup::replace_static(const JoinRequest& request, std::string new_id, Step& step) {
    StaticReplacementIntent intent;
    intent.group_id = id_;
    intent.generation = generation_;
    intent.instance_id = *request.instance_id;
    intent.old_member_id = static_members_.at(*request.instance_id);
    intent.new_member_id = new_id;
    intent.old_leader = leader_;
    intent.may_skip_assignment = request.may_skip_assignment;

    auto& member = rename_static(intent.instance_id, intent.old_member_id, std::move(new_id), step);
    intent.old_protocols = member.protocols;
    intent.old_session_timeout_ms = member.session_timeout_ms;
    intent.old_rebalance_timeout_ms = member.rebalance_timeout_ms;
    update_member(member, request, step);
    keep_alive(member, step);

    switch (state_) {
        case GroupState::stable:
            if (protocol_ == select_protocol()) {
                step.write({GroupRecord{id_, snapshot(nullptr)}}, std::move(intent));
                return;
            }
            break;
        case GroupState::completing_rebalance:
            // The leader may already know the old id, and would assign to that.
            break;
        case GroupState::preparing_rebalance:
        case GroupState::empty:
        case GroupState::dead:
            return;
    }
    prepare_rebalance(step);
}

// The new id takes over; whoever still uses the old one is fenced, those who wait at once.
ClassicGroup::Member& ClassicGroup::rename_static(const std::string& instance_id,
                                                  const std::string& old_id, std::string new_id,
                                                  Step& step) {
    auto node = members_.extract(old_id);
    base::ensure(!node.empty(), "a static id maps to a member");
    auto& renamed = node.mapped();
    if (renamed.join)
        answer_join(renamed, join_refusal(ErrorCode::fenced_instance_id, old_id), step);
    if (renamed.sync) answer_sync(renamed, sync_refusal(ErrorCode::fenced_instance_id), step);
    step.timers.cancel(timer(TimerKey::Kind::member, old_id));
    if (unsynced_.erase(old_id) > 0) unsynced_.insert(new_id);
    if (leader_ == old_id) leader_ = new_id;
    static_members_[instance_id] = new_id;
    renamed.id = new_id;
    node.key() = std::move(new_id);
    return members_.insert(std::move(node)).position->second;
}

void ClassicGroup::update_member(Member& member, const JoinRequest& request, Step& step) {
    member.session_timeout_ms = request.session_timeout_ms;
    member.rebalance_timeout_ms = request.rebalance_timeout_ms;
    set_protocols(member, request.protocols);
    park_join(member, request.ticket, step);
}

void ClassicGroup::set_protocols(Member& member, std::vector<Protocol> protocols) {
    for (const auto& name : names_of(member.protocols)) {
        const auto found = supporters_.find(name);
        if (--found->second == 0) supporters_.erase(found);
    }
    for (const auto& name : names_of(protocols)) ++supporters_[name];
    member.protocols = std::move(protocols);
}

void ClassicGroup::park_join(Member& member, Ticket ticket, Step& step) {
    // The member asked again while it waits: the newer request gets the answer.
    if (member.join) {
        step.reply(*member.join, join_refusal(ErrorCode::rebalance_in_progress, member.id));
    } else {
        ++joined_;
    }
    member.join = ticket;
}

void ClassicGroup::answer_join(Member& member, JoinReply reply, Step& step) {
    step.reply(*member.join, std::move(reply));
    member.join.reset();
    --joined_;
}

void ClassicGroup::answer_sync(Member& member, SyncReply reply, Step& step) {
    step.reply(*member.sync, std::move(reply));
    member.sync.reset();
}

JoinReply ClassicGroup::current_generation(const Member& member, bool with_members) const {
    JoinReply reply;
    reply.member_id = member.id;
    reply.generation = generation_;
    reply.protocol_type = protocol_type_;
    reply.protocol_name = protocol_;
    reply.leader = leader_;
    if (with_members) reply.members = joined_members();
    return reply;
}

std::vector<JoinedMember> ClassicGroup::joined_members() const {
    std::vector<JoinedMember> joined;
    joined.reserve(members_.size());
    for (const auto& [id, member] : members_) {
        joined.push_back({id, member.instance_id, member.metadata(protocol_)});
    }
    return joined;
}

// ---- The rebalance ---------------------------------------------------------------------

// Requires Empty, CompletingRebalance or Stable.
void ClassicGroup::prepare_rebalance(Step& step) {
    if (state_ == GroupState::completing_rebalance)
        fail_syncs(ErrorCode::rebalance_in_progress, step);
    step.timers.cancel(timer(TimerKey::Kind::sync));
    assignment_in_flight_ = false;
    const bool was_empty = state_ == GroupState::empty;
    enter(GroupState::preparing_rebalance, step);

    const auto timeout_ms = rebalance_timeout_ms();
    if (!was_empty) {
        step.timers.set(timer(TimerKey::Kind::join), step.now.steady_ms + timeout_ms);
        complete_join_if_all_came(step);
        return;
    }
    const std::int64_t window_ms = step.settings.initial_rebalance_delay_ms;
    if (window_ms <= 0) return complete_join(step);
    initial_delay_ = {window_ms, std::max<std::int64_t>(timeout_ms - window_ms, 0)};
    step.timers.set(timer(TimerKey::Kind::join), step.now.steady_ms + window_ms);
}

void ClassicGroup::rebalance_if_settled(Step& step) {
    switch (state_) {
        case GroupState::stable:
        case GroupState::completing_rebalance:
            return prepare_rebalance(step);
        case GroupState::preparing_rebalance:
            return complete_join_if_all_came(step);
        case GroupState::empty:
        case GroupState::dead:
            return;
    }
}

void ClassicGroup::complete_join_if_all_came(Step& step) {
    if (state_ != GroupState::preparing_rebalance || initial_delay_) return;
    if (joined_ == members_.size() && pending_.empty()) complete_join(step);
}

void ClassicGroup::join_time_is_up(Step& step) {
    if (state_ != GroupState::preparing_rebalance) return;
    // Somebody came during the window: open another one, as long as the members' own
    // rebalance time-out allows.
    if (initial_delay_ && initial_delay_->somebody_came && initial_delay_->remaining_ms > 0) {
        auto& delay = *initial_delay_;
        const auto last_ms = delay.window_ms;
        delay.window_ms =
            std::min<std::int64_t>(step.settings.initial_rebalance_delay_ms, delay.remaining_ms);
        delay.remaining_ms = std::max<std::int64_t>(delay.remaining_ms - last_ms, 0);
        delay.somebody_came = false;
        step.timers.set(timer(TimerKey::Kind::join), step.now.steady_ms + delay.window_ms);
        return;
    }
    complete_join(step);
}

void ClassicGroup::complete_join(Step& step) {
    initial_delay_.reset();
    for (auto member = members_.begin(); member != members_.end();) {
        auto& each = (member++)->second;
        if (!each.join && !each.instance_id) remove(each, step);
    }
    if (!members_.empty() && !elect_leader_who_joined()) {
        // Only static members are left and none came: another round. Their sessions end
        // one day, and an emptied group ends the rounds.
        const auto round_ms = std::max(rebalance_timeout_ms(), rebalance_round_ms_min);
        step.timers.set(timer(TimerKey::Kind::join), step.now.steady_ms + round_ms);
        return;
    }
    step.timers.cancel(timer(TimerKey::Kind::join));
    generation_ = generation_ == std::numeric_limits<std::int32_t>::max() ? 1 : generation_ + 1;
    unsynced_.clear();
    if (members_.empty()) {
        protocol_.reset();
        subscribed_topics_ = compute_subscribed_topics();
        enter(GroupState::empty, step);
        step.write({GroupRecord{id_, snapshot(nullptr)}}, NoIntent{id_});
        return;
    }
    protocol_ = select_protocol();
    subscribed_topics_ = compute_subscribed_topics();
    enter(GroupState::completing_rebalance, step);
    for (auto& [id, member] : members_) {
        if (member.join) answer_join(member, current_generation(member, id == leader_), step);
        member.is_new = false;
        unsynced_.insert(id);
        keep_alive(member, step);
    }
    step.timers.set(timer(TimerKey::Kind::sync), step.now.steady_ms + rebalance_timeout_ms());
}

// False when nobody joined.
bool ClassicGroup::elect_leader_who_joined() {
    if (members_.at(leader_).join) return true;
    const auto found = std::ranges::find_if(
        members_, [](const auto& member) { return member.second.join.has_value(); });
    if (found == members_.end()) return false;
    leader_ = found->first;
    return true;
}

// Of the protocols that all support, the one that most members like best; of equals the
// one that the leader prefers. Requires members.
std::string ClassicGroup::select_protocol() const {
    const auto all_support = [&](const Protocol& protocol) {
        return supporters_.at(protocol.name) == members_.size();
    };
    std::map<std::string, std::size_t> votes;
    for (const auto& [id, member] : members_) {
        const auto best = std::ranges::find_if(member.protocols, all_support);
        base::ensure(best != member.protocols.end(), "some protocol is supported by all members");
        ++votes[best->name];
    }
    std::string chosen;
    std::size_t most = 0;
    for (const auto& each : members_.at(leader_).protocols) {
        const auto vote = votes.find(each.name);
        if (vote == votes.end() || vote->second <= most) continue;
        chosen = each.name;
        most = vote->second;
    }
    return chosen;
}

std::optional<std::set<std::string>> ClassicGroup::compute_subscribed_topics() const {
    if (protocol_type_ != "consumer") return std::nullopt;
    std::set<std::string> topics;
    for (const auto& [id, member] : members_) {
        if (!read_subscription(member.metadata(protocol_).bytes(), topics)) return std::nullopt;
    }
    return topics;
}

// ---- Assignments -----------------------------------------------------------------------

void ClassicGroup::sync(const SyncRequest& request, Step& step) {
    const auto refuse = [&](ErrorCode error) { step.reply(request.ticket, sync_refusal(error)); };
    if (state_ == GroupState::dead) return refuse(ErrorCode::coordinator_not_available);
    const auto error = check_member(request.member);
    if (error != ErrorCode::none) return refuse(error);
    if (request.generation != generation_) return refuse(ErrorCode::illegal_generation);
    if ((request.protocol_type && *request.protocol_type != protocol_type_) ||
        (request.protocol_name && request.protocol_name != protocol_)) {
        return refuse(ErrorCode::inconsistent_group_protocol);
    }

    auto& member = members_.at(request.member.member_id);
    if (state_ == GroupState::preparing_rebalance) return refuse(ErrorCode::rebalance_in_progress);
    synced(member.id, step);
    if (state_ == GroupState::stable) {
        keep_alive(member, step);
        SyncReply reply;
        reply.protocol_type = protocol_type_;
        reply.protocol_name = protocol_;
        reply.assignment = member.assignment;
        step.reply(request.ticket, std::move(reply));
        return;
    }

    if (member.sync) answer_sync(member, sync_refusal(ErrorCode::rebalance_in_progress), step);
    member.sync = request.ticket;
    if (member.id != leader_ || assignment_in_flight_) return;
    std::map<std::string, Blob> assignments;
    for (const auto& [id, assignment] : request.assignments) {
        if (members_.contains(id)) assignments[id] = assignment;
    }
    AssignmentIntent intent{id_, generation_, {assignments.begin(), assignments.end()}};
    assignment_in_flight_ = true;
    step.write({GroupRecord{id_, snapshot(&assignments)}}, std::move(intent));
}

void ClassicGroup::assignment_written(const AssignmentIntent& intent, ErrorCode error, Step& step) {
    // A rebalance has begun meanwhile: those who waited were told so.
    if (state_ != GroupState::completing_rebalance || generation_ != intent.generation) return;
    assignment_in_flight_ = false;
    if (error != ErrorCode::none) {
        fail_syncs(group_write_error(error), step);
        prepare_rebalance(step);
        return;
    }
    for (auto& [id, member] : members_) member.assignment = {};
    for (const auto& [id, assignment] : intent.assignments) {
        const auto found = members_.find(id);
        if (found != members_.end()) found->second.assignment = assignment;
    }
    enter(GroupState::stable, step);
    for (auto& [id, member] : members_) {
        if (!member.sync) continue;
        SyncReply reply;
        reply.protocol_type = protocol_type_;
        reply.protocol_name = protocol_;
        reply.assignment = member.assignment;
        answer_sync(member, std::move(reply), step);
        keep_alive(member, step);
    }
}

void ClassicGroup::replacement_written(const StaticReplacementIntent& intent, ErrorCode error,
                                       Step& step) {
    // A rebalance, another replacement or a removal came between: they deal with the ticket.
    const auto found = members_.find(intent.new_member_id);
    if (state_ != GroupState::stable || generation_ != intent.generation) return;
    if (found == members_.end() || !found->second.join) return;

    auto& member = found->second;
    if (error != ErrorCode::none) {
        auto reply = current_generation(member, false);
        reply.error = group_write_error(error);
        reply.member_id.clear();
        reply.leader = intent.old_leader;
        answer_join(member, std::move(reply), step);
        auto& old =
            rename_static(intent.instance_id, intent.new_member_id, intent.old_member_id, step);
        set_protocols(old, intent.old_protocols);
        old.session_timeout_ms = intent.old_session_timeout_ms;
        old.rebalance_timeout_ms = intent.old_rebalance_timeout_ms;
        keep_alive(old, step);
        return;
    }
    // The group is Stable, so nobody may compute a new assignment. A client that knows how
    // to skip that is told that it leads; an older one must not learn that it does.
    const bool leads = member.id == leader_;
    auto reply = current_generation(member, intent.may_skip_assignment && leads);
    if (intent.may_skip_assignment) {
        reply.skip_assignment = leads;
    } else {
        reply.leader = intent.old_leader;
    }
    answer_join(member, std::move(reply), step);
    keep_alive(member, step);
}

void ClassicGroup::fail_syncs(ErrorCode error, Step& step) {
    for (auto& [id, member] : members_) {
        member.assignment = {};
        if (!member.sync) continue;
        answer_sync(member, sync_refusal(error), step);
        keep_alive(member, step);
    }
}

void ClassicGroup::synced(const std::string& member_id, Step& step) {
    if (unsynced_.erase(member_id) > 0 && unsynced_.empty()) {
        step.timers.cancel(timer(TimerKey::Kind::sync));
    }
}

void ClassicGroup::sync_time_is_up(Step& step) {
    const bool settles = state_ == GroupState::completing_rebalance || state_ == GroupState::stable;
    if (!settles || unsynced_.empty()) return;
    for (const auto& id : std::set<std::string>(unsynced_)) forget(id, step);
    prepare_rebalance(step);
}

// ---- Signs of life ---------------------------------------------------------------------

ErrorCode ClassicGroup::check_member(const MemberIdentity& member) const {
    if (member.instance_id) {
        const auto found = static_members_.find(*member.instance_id);
        if (found == static_members_.end()) return ErrorCode::unknown_member_id;
        if (found->second != member.member_id) return ErrorCode::fenced_instance_id;
    }
    return members_.contains(member.member_id) ? ErrorCode::none : ErrorCode::unknown_member_id;
}

ErrorCode ClassicGroup::heartbeat(const MemberIdentity& member, std::int32_t generation,
                                  Step& step) {
    if (state_ == GroupState::dead) return ErrorCode::coordinator_not_available;
    const auto error = check_member(member);
    if (error != ErrorCode::none) return error;
    if (generation != generation_) return ErrorCode::illegal_generation;
    keep_alive(members_.at(member.member_id), step);
    return state_ == GroupState::preparing_rebalance ? ErrorCode::rebalance_in_progress
                                                     : ErrorCode::none;
}

ErrorCode ClassicGroup::accept_commit(const MemberIdentity& member, std::int32_t generation,
                                      Step& step) {
    if (state_ == GroupState::dead) return ErrorCode::coordinator_not_available;
    // Without a generation it is a tool or a consumer that assigns itself, whatever else it says.
    if (generation < 0 && state_ == GroupState::empty) return ErrorCode::none;
    const bool claims_membership =
        generation >= 0 || !member.member_id.empty() || member.instance_id.has_value();
    if (!claims_membership) return ErrorCode::unknown_member_id;
    const auto error = check_member(member);
    if (error != ErrorCode::none) return error;
    const bool is_over = generation != generation_ && !base::is_planted(base::Plant::any_generation_commits);
    if (is_over) return ErrorCode::illegal_generation;
    // Its generation is valid, so it knows of the rebalance whose assignment it waits for.
    if (state_ == GroupState::completing_rebalance) return ErrorCode::rebalance_in_progress;
    keep_alive(members_.at(member.member_id), step);
    return ErrorCode::none;
}

ErrorCode ClassicGroup::leave(const MemberIdentity& member, Step& step) {
    std::string leaving = member.member_id;
    if (leaving.empty()) {
        if (!member.instance_id) return ErrorCode::unknown_member_id;
        const auto found = static_members_.find(*member.instance_id);
        if (found == static_members_.end()) return ErrorCode::unknown_member_id;
        leaving = found->second;
    } else if (pending_.contains(leaving)) {
        forget_pending(leaving, step);
        complete_join_if_all_came(step);
        return ErrorCode::none;
    } else {
        const auto error = check_member(member);
        if (error != ErrorCode::none) return error;
    }
    forget(leaving, step);
    rebalance_if_settled(step);
    return ErrorCode::none;
}

void ClassicGroup::member_time_is_up(const std::string& member_id, Step& step) {
    if (pending_.contains(member_id)) {
        forget_pending(member_id, step);
        complete_join_if_all_came(step);
        return;
    }
    const auto found = members_.find(member_id);
    if (found == members_.end()) return;
    // Who waits for an answer of ours lives; its time starts with the answer. But a client
    // that never had an answer may long be gone.
    const auto& member = found->second;
    if (!member.is_new && (member.join || member.sync)) return;
    forget(member_id, step);
    rebalance_if_settled(step);
}

void ClassicGroup::keep_alive(const Member& member, Step& step) {
    step.timers.set(timer(TimerKey::Kind::member, member.id),
                    step.now.steady_ms + member.session_timeout_ms);
}

// ---- Going away ------------------------------------------------------------------------

void ClassicGroup::forget(const std::string& member_id, Step& step) {
    if (pending_.contains(member_id)) return forget_pending(member_id, step);
    const auto found = members_.find(member_id);
    if (found != members_.end()) remove(found->second, step);
}

void ClassicGroup::remove(Member& member, Step& step) {
    if (member.join) answer_join(member, join_refusal(ErrorCode::unknown_member_id, ""), step);
    if (member.sync) answer_sync(member, sync_refusal(ErrorCode::unknown_member_id), step);
    step.timers.cancel(timer(TimerKey::Kind::member, member.id));
    set_protocols(member, {});
    if (member.instance_id) {
        const auto mapped = static_members_.find(*member.instance_id);
        if (mapped != static_members_.end() && mapped->second == member.id) {
            static_members_.erase(mapped);
        }
    }
    const std::string id = member.id;
    unsynced_.erase(id);
    members_.erase(id);
    --step.census.member_ids;
    if (leader_ == id) leader_ = members_.empty() ? "" : members_.begin()->first;
}

void ClassicGroup::forget_pending(const std::string& member_id, Step& step) {
    step.timers.cancel(timer(TimerKey::Kind::member, member_id));
    --step.census.member_ids;
    pending_.erase(member_id);
}

void ClassicGroup::die(Step& step) {
    base::ensure(state_ == GroupState::empty, "only an empty group dies");
    while (!pending_.empty()) forget_pending(std::string(*pending_.begin()), step);
    // Not enter(): should it be revived, it has been Empty all the while.
    state_ = GroupState::dead;
}

void ClassicGroup::revive() {
    base::ensure(state_ == GroupState::dead, "only a dead group is revived");
    state_ = GroupState::empty;
}

void ClassicGroup::unload(Step& step) {
    for (auto& [id, member] : members_) {
        if (member.join) answer_join(member, join_refusal(ErrorCode::not_coordinator, id), step);
        if (member.sync) answer_sync(member, sync_refusal(ErrorCode::not_coordinator), step);
        step.timers.cancel(timer(TimerKey::Kind::member, id));
    }
    step.census.member_ids -= static_cast<std::int64_t>(members_.size());
    while (!pending_.empty()) forget_pending(std::string(*pending_.begin()), step);
    step.timers.cancel(timer(TimerKey::Kind::join));
    step.timers.cancel(timer(TimerKey::Kind::sync));
    members_.clear();
    static_members_.clear();
    supporters_.clear();
    unsynced_.clear();
    leader_.clear();
    state_ = GroupState::dead;
}

// ---- Looking ---------------------------------------------------------------------------

void ClassicGroup::enter(GroupState state, Step& step) {
    state_ = state;
    state_ms_ = step.now.wall_ms;
}

std::int64_t ClassicGroup::rebalance_timeout_ms() const {
    std::int32_t longest = 0;
    for (const auto& [id, member] : members_)
        longest = std::max(longest, member.rebalance_timeout_ms);
    return longest;
}

GroupSnapshot ClassicGroup::snapshot(const std::map<std::string, Blob>* assignments) const {
    GroupSnapshot snapshot;
    snapshot.protocol_type = protocol_type_;
    snapshot.generation = generation_;
    snapshot.protocol = protocol_;
    if (!leader_.empty()) snapshot.leader = leader_;
    snapshot.state_ms = state_ms_;
    for (const auto& [id, member] : members_) {
        auto& logged = snapshot.members.emplace_back();
        logged.member_id = id;
        logged.instance_id = member.instance_id;
        logged.client_id = member.client_id;
        logged.client_host = member.client_host;
        logged.rebalance_timeout_ms = member.rebalance_timeout_ms;
        logged.session_timeout_ms = member.session_timeout_ms;
        logged.subscription = member.metadata(protocol_);
        logged.assignment = member.assignment;
        if (!assignments) continue;
        const auto assigned = assignments->find(id);
        logged.assignment = assigned == assignments->end() ? Blob() : assigned->second;
    }
    return snapshot;
}

DescribedGroup ClassicGroup::describe() const {
    const bool stable = state_ == GroupState::stable;
    DescribedGroup described;
    described.state = to_string(state_);
    if (state_ == GroupState::dead) return described;
    described.protocol_type = protocol_type_;
    if (stable) described.protocol = protocol_.value_or("");
    for (const auto& [id, member] : members_) {
        auto& each = described.members.emplace_back();
        each.member_id = id;
        each.instance_id = member.instance_id;
        each.client_id = member.client_id;
        each.client_host = member.client_host;
        if (!stable) continue;
        each.metadata = member.metadata(protocol_);
        each.assignment = member.assignment;
    }
    return described;
}

bool ClassicGroup::check_invariants() const {
    bool holds = members_.empty() ? leader_.empty() : members_.contains(leader_);
    std::size_t joined = 0;
    for (const auto& [id, member] : members_) {
        joined += member.join.has_value();
        const bool replaced = state_ == GroupState::stable && member.instance_id;
        holds = holds && member.id == id && !pending_.contains(id);
        holds = holds && (!member.join || replaced || state_ == GroupState::preparing_rebalance);
        holds = holds && (!member.sync || state_ == GroupState::completing_rebalance);
    }
    holds = holds && joined == joined_;
    for (const auto& [instance_id, id] : static_members_) {
        const auto found = members_.find(id);
        holds = holds && found != members_.end() && found->second.instance_id == instance_id;
    }
    const bool has_common = std::ranges::any_of(
        supporters_, [&](const auto& supporter) { return supporter.second == members_.size(); });
    holds = holds && (members_.empty() || has_common);
    const bool may_be_empty =
        state_ != GroupState::stable && state_ != GroupState::completing_rebalance;
    return holds && (!members_.empty() || may_be_empty);
}

}  // namespace coordinator
