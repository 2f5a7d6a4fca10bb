#include "coordinator/group/group_shard.h"

#include "coordinator/group/group_errors.h"
#include "protocol/base/ensure.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace coordinator {

using protocol::ErrorCode;

namespace {

// Records store strings with an int16 length.
constexpr std::size_t string_bytes_max = std::numeric_limits<std::int16_t>::max();

// Characters as Java counts them, and so Apache Kafka's limit: UTF-16 units of what is UTF-8 here.
std::size_t java_length(std::string_view text) {
    std::size_t units = 0;
    for (const char each : text) {
        const auto byte = static_cast<unsigned char>(each);
        if ((byte & 0xc0) != 0x80) units += byte >= 0xf0 ? 2 : 1;
    }
    return units;
}

// What "-" and an id of the coordinator's making add to a client id.
constexpr std::size_t member_id_suffix_bytes = 37;

template <class Answer>
Effects answer_now(Ticket ticket, Answer answer) {
    Effects effects;
    effects.replies.push_back({ticket, std::move(answer)});
    return effects;
}

bool too_long(const std::optional<std::string>& text, std::size_t suffix = 0) {
    return text && text->size() + suffix > string_bytes_max;
}

const std::string& group_of(const Intent& intent) {
    return std::visit([](const auto& each) -> const std::string& { return each.group_id; }, intent);
}

}  // namespace

template <class Body>
Effects GroupShard::in_step(Now now, Body body) {
    Effects effects;
    Step step(now, settings_, census_, timers_, effects,
              [&](std::vector<Record> records, Intent intent) {
                  submit(std::move(records), std::move(intent), now, effects);
              });
    body(step);
    return effects;
}

ErrorCode GroupShard::status_error() const noexcept {
    switch (status_) {
        case Status::loading:
            return ErrorCode::coordinator_load_in_progress;
        case Status::closed:
            return ErrorCode::not_coordinator;
        case Status::active:
            break;
    }
    return ErrorCode::none;
}

// ---- Loading ---------------------------------------------------------------------------

Effects GroupShard::finish_loading(Now now) {
    base::ensure(status_ == Status::loading, "a shard is loaded once");
    status_ = Status::active;
    return in_step(now, [&](Step& step) {
        for (const auto& [id, logged] : log_.groups()) {
            // What the log holds is served, whatever the limit on new groups.
            auto& live = live_.try_emplace(id, id).first->second;
            ++census_.groups;
            if (logged.snapshot) live.group.restore(*logged.snapshot, step);
        }
    });
}

Effects GroupShard::unload(Now now) {
    status_ = Status::closed;
    auto effects = in_step(now, [&](Step& step) {
        for (auto& [id, live] : live_) live.group.unload(step);
        for (auto& [id, write] : in_flight_) {
            timers_.cancel({TimerKey::Kind::write, {}, {}, id});
            if (!write.intent) continue;
            if (const auto* commit = std::get_if<CommitIntent>(&*write.intent)) {
                PartitionsReply reply;
                reply.partitions = commit->partitions;
                std::ranges::replace(reply.partitions, ErrorCode::none, ErrorCode::not_coordinator);
                step.reply(commit->ticket, std::move(reply));
            } else if (const auto* offsets = std::get_if<OffsetDeletionIntent>(&*write.intent)) {
                step.reply(offsets->ticket, PartitionsReply{ErrorCode::not_coordinator, {}});
            } else if (const auto* group = std::get_if<GroupDeletionIntent>(&*write.intent)) {
                step.reply(group->ticket, DeleteReply{ErrorCode::not_coordinator});
            }
        }
    });
    census_.groups -= static_cast<std::int64_t>(live_.size());
    in_flight_.clear();
    live_.clear();
    log_ = {};
    timers_ = {};
    return effects;
}

// ---- Membership ------------------------------------------------------------------------

Effects GroupShard::join(const JoinRequest& request, Now now) {
    const auto refuse = [&](ErrorCode error) {
        JoinReply reply;
        reply.error = error;
        reply.member_id = request.member_id;
        return answer_now(request.ticket, std::move(reply));
    };
    if (request.group_id.empty() || request.group_id.size() > string_bytes_max) {
        return refuse(ErrorCode::invalid_group_id);
    }
    if (const auto error = status_error(); error != ErrorCode::none) return refuse(error);
    if (request.session_timeout_ms < settings_.session_timeout_ms_min ||
        request.session_timeout_ms > settings_.session_timeout_ms_max) {
        return refuse(ErrorCode::invalid_session_timeout);
    }
    if (const auto error = check_sizes(request); error != ErrorCode::none) return refuse(error);

    auto* live = find_live(request.group_id);
    if (!live && !request.member_id.empty()) return refuse(ErrorCode::unknown_member_id);
    if (!live) live = create(request.group_id);
    if (!live) return refuse(ErrorCode::coordinator_not_available);
    return in_step(now, [&](Step& step) {
        live->group.join(request, step);
        drop_if_gone(request.group_id);  // It may have been refused.
    });
}

ErrorCode GroupShard::check_sizes(const JoinRequest& request) const {
    bool fits = request.client_id.size() + member_id_suffix_bytes <= string_bytes_max &&
                request.client_host.size() <= string_bytes_max &&
                request.protocol_type.size() <= string_bytes_max &&
                !too_long(request.instance_id, member_id_suffix_bytes);
    for (const auto& each : request.protocols) {
        fits = fits && each.name.size() <= string_bytes_max &&
               each.metadata.size() <= member_metadata_bytes_max;
    }
    return fits ? ErrorCode::none : ErrorCode::invalid_request;
}

Effects GroupShard::sync(const SyncRequest& request, Now now) {
    const auto refuse = [&](ErrorCode error) {
        SyncReply reply;
        reply.error = error;
        return answer_now(request.ticket, std::move(reply));
    };
    if (request.group_id.empty()) return refuse(ErrorCode::invalid_group_id);
    // A member that syncs was in the group a moment ago: it shall try that once more.
    if (status_ == Status::loading) return refuse(ErrorCode::rebalance_in_progress);
    if (const auto error = status_error(); error != ErrorCode::none) return refuse(error);
    for (const auto& [member, assignment] : request.assignments) {
        if (assignment.size() > member_metadata_bytes_max)
            return refuse(ErrorCode::invalid_request);
    }
    auto* live = find_live(request.group_id);
    if (!live) return refuse(ErrorCode::unknown_member_id);
    return in_step(now, [&](Step& step) { live->group.sync(request, step); });
}

ErrorCode GroupShard::heartbeat(const std::string& group_id, const MemberIdentity& member,
                                std::int32_t generation, Now now) {
    if (group_id.empty()) return ErrorCode::invalid_group_id;
    // Nobody's session ends while the groups are loaded.
    if (status_ == Status::loading) return ErrorCode::none;
    if (const auto error = status_error(); error != ErrorCode::none) return error;
    auto* live = find_live(group_id);
    if (!live) return ErrorCode::unknown_member_id;
    auto error = ErrorCode::none;
    const auto effects =
        in_step(now, [&](Step& step) { error = live->group.heartbeat(member, generation, step); });
    base::ensure(effects.writes.empty() && effects.replies.empty(),
                 "a heartbeat moves a deadline and nothing else");
    return error;
}

Effects GroupShard::leave(Ticket ticket, const std::string& group_id,
                          const std::vector<MemberIdentity>& members, Now now) {
    if (group_id.empty()) return answer_now(ticket, LeaveReply{ErrorCode::invalid_group_id, {}});
    if (const auto error = status_error(); error != ErrorCode::none) {
        return answer_now(ticket, LeaveReply{error, {}});
    }
    auto* live = find_live(group_id);
    LeaveReply reply;
    if (!live) {
        reply.members.assign(members.size(), ErrorCode::unknown_member_id);
        return answer_now(ticket, std::move(reply));
    }
    if (live->group.state() == GroupState::dead) {
        return answer_now(ticket, LeaveReply{ErrorCode::coordinator_not_available, {}});
    }
    return in_step(now, [&](Step& step) {
        for (const auto& member : members) reply.members.push_back(live->group.leave(member, step));
        step.reply(ticket, std::move(reply));
    });
}

// ---- Offsets ---------------------------------------------------------------------------

Effects GroupShard::commit(const CommitRequest& request, Now now) {
    PartitionsReply reply;
    const auto refuse = [&](ErrorCode error) {
        reply.partitions.assign(request.offsets.size(), error);
        return answer_now(request.ticket, std::move(reply));
    };
    if (request.group_id.size() > string_bytes_max) return refuse(ErrorCode::invalid_group_id);
    if (const auto error = status_error(); error != ErrorCode::none) return refuse(error);
    auto* live = find_live(request.group_id);
    // Nobody can be a member of a group that is not there; but anybody may use one to keep
    // offsets in.
    if (!live && request.generation >= 0) return refuse(ErrorCode::illegal_generation);
    if (!live) live = create(request.group_id);
    if (!live) return refuse(ErrorCode::coordinator_not_available);

    return in_step(now, [&](Step& step) {
        const auto error = live->group.accept_commit(request.member, request.generation, step);
        std::vector<Record> records;
        for (const auto& [partition, committed] : request.offsets) {
            auto& each = reply.partitions.emplace_back(error);
            if (each != ErrorCode::none) continue;
            if (std::cmp_greater(java_length(committed.metadata), settings_.metadata_bytes_max) ||
                committed.metadata.size() > string_bytes_max) {
                each = ErrorCode::offset_metadata_too_large;
            } else if (partition.topic.size() > string_bytes_max) {
                each = ErrorCode::invalid_topic_exception;
            } else {
                records.push_back(OffsetRecord{request.group_id, partition, committed});
            }
        }
        if (records.empty()) {
            step.reply(request.ticket, std::move(reply));
            drop_if_gone(request.group_id);
            return;
        }
        step.write(std::move(records),
                   CommitIntent{request.ticket, request.group_id, std::move(reply.partitions)});
    });
}

FetchedOffsets GroupShard::fetch_offsets(
    const std::string& group_id, const std::optional<std::vector<base::TopicPartition>>& partitions,
    bool require_stable) const {
    FetchedOffsets fetched;
    fetched.error = status_error();
    if (fetched.error != ErrorCode::none) return fetched;
    const auto found = live_.find(group_id);
    const bool dead = found == live_.end() || found->second.group.state() == GroupState::dead;
    const auto* logged = dead ? nullptr : log_.find(group_id);
    const auto is_unstable = [&](const base::TopicPartition& partition) {
        return require_stable && !dead &&
               (found->second.pending_commits.contains(partition) ||
                (logged && logged->holds_back(partition)));
    };
    const auto add = [&](const base::TopicPartition& partition, const CommittedOffset* committed) {
        auto& each = fetched.offsets.emplace_back();
        each.partition = partition;
        if (is_unstable(partition)) {
            each.error = ErrorCode::unstable_offset_commit;
        } else if (committed) {
            each.offset = committed->offset;
            each.leader_epoch = committed->leader_epoch;
            each.metadata = committed->metadata;
        }
    };
    if (!partitions) {
        if (!logged) return fetched;
        for (const auto& [partition, committed] : logged->offsets) add(partition, &committed);
        return fetched;
    }
    for (const auto& partition : *partitions) {
        const CommittedOffset* committed = nullptr;
        if (logged) {
            const auto offset = logged->offsets.find(partition);
            if (offset != logged->offsets.end()) committed = &offset->second;
        }
        add(partition, committed);
    }
    return fetched;
}

Effects GroupShard::delete_offsets(Ticket ticket, const std::string& group_id,
                                   const std::vector<base::TopicPartition>& partitions, Now now) {
    const auto refuse = [&](ErrorCode error) {
        return answer_now(ticket, PartitionsReply{error, {}});
    };
    if (group_id.empty()) return refuse(ErrorCode::invalid_group_id);
    if (const auto error = status_error(); error != ErrorCode::none) return refuse(error);
    auto* live = find_live(group_id);
    if (!live || live->group.state() == GroupState::dead)
        return refuse(ErrorCode::group_id_not_found);
    const bool is_empty = live->group.state() == GroupState::empty;
    if (!is_empty && live->group.protocol_type() != "consumer")
        return refuse(ErrorCode::non_empty_group);

    const auto& topics = live->group.subscribed_topics();
    const auto is_read = [&](const std::string& topic) {
        return !is_empty && (!topics || topics->contains(topic));
    };
    const auto* logged = log_.find(group_id);
    PartitionsReply reply;
    std::vector<Record> records;
    for (const auto& partition : partitions) {
        auto& each = reply.partitions.emplace_back(ErrorCode::none);
        if (is_read(partition.topic)) {
            each = ErrorCode::group_subscribed_to_topic;
        } else if ((logged && logged->offsets.contains(partition)) ||
                   live->pending_commits.contains(partition)) {
            records.push_back(OffsetRecord{group_id, partition, std::nullopt});
        }
    }
    if (records.empty()) return answer_now(ticket, std::move(reply));
    return in_step(now, [&](Step& step) {
        step.write(std::move(records),
                   OffsetDeletionIntent{ticket, group_id, std::move(reply.partitions)});
    });
}

Effects GroupShard::delete_group(Ticket ticket, const std::string& group_id, Now now) {
    const auto refuse = [&](ErrorCode error) { return answer_now(ticket, DeleteReply{error}); };
    if (const auto error = status_error(); error != ErrorCode::none) return refuse(error);
    auto* live = find_live(group_id);
    if (!live || live->group.state() == GroupState::dead)
        return refuse(ErrorCode::group_id_not_found);
    if (live->group.state() != GroupState::empty) return refuse(ErrorCode::non_empty_group);

    return in_step(now, [&](Step& step) {
        std::vector<Record> records;
        const auto* logged = log_.find(group_id);
        if (logged) {
            for (const auto& [partition, committed] : logged->offsets) {
                records.push_back(OffsetRecord{group_id, partition, std::nullopt});
            }
        }
        // Behind the commits that are being written, so the tombstones win.
        for (const auto& [partition, count] : live->pending_commits) {
            if (logged && logged->offsets.contains(partition)) continue;
            records.push_back(OffsetRecord{group_id, partition, std::nullopt});
        }
        if ((logged && logged->snapshot) || live->group.generation() > 0) {
            records.push_back(GroupRecord{group_id, std::nullopt});
        }
        live->group.die(step);
        if (records.empty()) {
            step.reply(ticket, DeleteReply{});
            drop_if_gone(group_id);
            return;
        }
        step.write(std::move(records), GroupDeletionIntent{ticket, group_id});
    });
}

// ---- Reading ---------------------------------------------------------------------------

DescribedGroup GroupShard::describe(const std::string& group_id) const {
    DescribedGroup described;
    described.error = status_error();
    if (described.error != ErrorCode::none) return described;
    const auto found = live_.find(group_id);
    if (found != live_.end()) return found->second.group.describe();
    described.state = to_string(GroupState::dead);
    return described;
}

std::vector<ListedGroup> GroupShard::list() const {
    std::vector<ListedGroup> listed;
    for (const auto& [id, live] : live_) {
        listed.push_back(
            {id, live.group.protocol_type(), std::string(to_string(live.group.state()))});
    }
    return listed;
}

const ClassicGroup* GroupShard::find(const std::string& group_id) const {
    const auto found = live_.find(group_id);
    return found == live_.end() ? nullptr : &found->second.group;
}

// ---- Time ------------------------------------------------------------------------------

Effects GroupShard::time_passes(Now now) {
    if (status_ != Status::active) return {};
    return in_step(now, [&](Step& step) {
        while (const auto due = timers_.take_due(now.steady_ms)) {
            if (due->kind == TimerKey::Kind::write) {
                const auto write = in_flight_.find(due->write);
                if (write == in_flight_.end() || !write->second.intent) continue;
                // The record may still be committed, and then it counts; who asked must
                // not wait for that.
                Intent intent = std::move(*write->second.intent);
                write->second.intent.reset();
                resolve(std::move(intent), ErrorCode::request_timed_out, step);
                continue;
            }
            auto* live = find_live(due->group_id);
            if (!live) continue;
            switch (due->kind) {
                case TimerKey::Kind::join:
                    live->group.join_time_is_up(step);
                    break;
                case TimerKey::Kind::sync:
                    live->group.sync_time_is_up(step);
                    break;
                case TimerKey::Kind::member:
                    live->group.member_time_is_up(due->member_id, step);
                    break;
                case TimerKey::Kind::write:
                    break;
            }
            drop_if_gone(due->group_id);
        }
    });
}

bool GroupShard::is_expired(const Live& live, const base::TopicPartition& partition,
                            const CommittedOffset& committed, std::int64_t now_ms) const {
    if (live.pending_commits.contains(partition)) return false;
    const auto& group = live.group;
    auto since_ms = committed.commit_ms;
    if (group.protocol_type().empty()) {
        // It only keeps offsets: each is on its own.
    } else if (group.state() == GroupState::empty) {
        since_ms = group.state_ms().value_or(committed.commit_ms);
    } else if (group.state() == GroupState::stable && group.subscribed_topics()) {
        if (group.subscribed_topics()->contains(partition.topic)) return false;
    } else {
        return false;
    }
    if (committed.expire_ms) return now_ms >= *committed.expire_ms;
    // Subtracted from now, because a time that comes from a record may be anything.
    return since_ms <= now_ms - settings_.retention_ms;
}

Effects GroupShard::expire_offsets(Now now) {
    if (status_ != Status::active) return {};
    return in_step(now, [&](Step& step) {
        std::vector<std::string> gone;
        for (auto& [id, live] : live_) {
            if (live.writes > 0 || live.group.state() == GroupState::dead) continue;
            const auto* logged = log_.find(id);
            std::vector<Record> records;
            bool is_left = false;
            if (logged) {
                for (const auto& [partition, committed] : logged->offsets) {
                    if (is_expired(live, partition, committed, now.wall_ms)) {
                        records.push_back(OffsetRecord{id, partition, std::nullopt});
                    } else {
                        is_left = true;
                    }
                }
                is_left = is_left || !logged->held_back.empty();
            }
            if (live.group.state() == GroupState::empty && !is_left) {
                if ((logged && logged->snapshot) || live.group.generation() > 0) {
                    records.push_back(GroupRecord{id, std::nullopt});
                }
                live.group.die(step);
            }
            if (!records.empty()) {
                step.write(std::move(records), NoIntent{id});
            } else if (live.group.state() == GroupState::dead) {
                gone.push_back(id);
            }
        }
        for (const auto& id : gone) drop_if_gone(id);
    });
}

Effects GroupShard::forget_partitions(const std::function<bool(const base::TopicPartition&)>& gone,
                                      Now now) {
    if (status_ != Status::active) return {};
    return in_step(now, [&](Step& step) {
        for (auto& [id, live] : live_) {
            const auto* logged = log_.find(id);
            std::vector<Record> records;
            if (logged) {
                for (const auto& [partition, committed] : logged->offsets) {
                    if (gone(partition))
                        records.push_back(OffsetRecord{id, partition, std::nullopt});
                }
            }
            for (const auto& [partition, count] : live.pending_commits) {
                const bool is_logged = logged && logged->offsets.contains(partition);
                if (!is_logged && gone(partition)) {
                    records.push_back(OffsetRecord{id, partition, std::nullopt});
                }
            }
            if (!records.empty()) step.write(std::move(records), NoIntent{id});
        }
    });
}

// ---- Writes ----------------------------------------------------------------------------

void GroupShard::submit(std::vector<Record> records, Intent intent, Now now, Effects& effects) {
    const WriteId id = ++writes_;
    const std::string group_id = group_of(intent);
    auto& live = live_.at(group_id);
    ++live.writes;
    for (const auto& record : records) {
        const auto* offset = std::get_if<OffsetRecord>(&record);
        if (offset && offset->committed) ++live.pending_commits[offset->partition];
    }
    if (!std::holds_alternative<NoIntent>(intent)) {
        timers_.set({TimerKey::Kind::write, {}, {}, id},
                    now.steady_ms + settings_.commit_timeout_ms);
    }
    effects.writes.push_back({id, records});
    in_flight_.emplace(id, InFlight{std::move(records), group_id, std::move(intent)});
}

// A write is over, one way or the other.
void GroupShard::landed(const InFlight& write) {
    const auto found = live_.find(write.group_id);
    if (found == live_.end()) return;
    auto& live = found->second;
    --live.writes;
    for (const auto& record : write.records) {
        const auto* offset = std::get_if<OffsetRecord>(&record);
        if (!offset || !offset->committed) continue;
        const auto pending = live.pending_commits.find(offset->partition);
        if (--pending->second == 0) live.pending_commits.erase(pending);
    }
}

Effects GroupShard::committed(WriteId id, Now now) {
    auto node = in_flight_.extract(id);
    if (node.empty()) return {};  // Unloaded meanwhile.
    auto& write = node.mapped();
    timers_.cancel({TimerKey::Kind::write, {}, {}, id});
    for (const auto& record : write.records) log_.apply(record);
    landed(write);
    return in_step(now, [&](Step& step) {
        if (write.intent) resolve(std::move(*write.intent), ErrorCode::none, step);
        drop_if_gone(write.group_id);
    });
}

Effects GroupShard::failed(WriteId id, ErrorCode error, Now now) {
    base::ensure(error != ErrorCode::none, "a failure has an error");
    auto node = in_flight_.extract(id);
    if (node.empty()) return {};
    auto& write = node.mapped();
    timers_.cancel({TimerKey::Kind::write, {}, {}, id});
    landed(write);
    return in_step(now, [&](Step& step) {
        if (write.intent) resolve(std::move(*write.intent), error, step);
        drop_if_gone(write.group_id);
    });
}

void GroupShard::resolve(Intent intent, ErrorCode error, Step& step) {
    auto* live = find_live(group_of(intent));
    if (auto* commit = std::get_if<CommitIntent>(&intent)) {
        PartitionsReply reply;
        reply.partitions = std::move(commit->partitions);
        std::ranges::replace(reply.partitions, ErrorCode::none, commit_write_error(error));
        step.reply(commit->ticket, std::move(reply));
    } else if (auto* offsets = std::get_if<OffsetDeletionIntent>(&intent)) {
        PartitionsReply reply;
        reply.error = commit_write_error(error);
        if (error == ErrorCode::none) reply.partitions = std::move(offsets->partitions);
        step.reply(offsets->ticket, std::move(reply));
    } else if (const auto* deletion = std::get_if<GroupDeletionIntent>(&intent)) {
        step.reply(deletion->ticket, DeleteReply{commit_write_error(error)});
    } else if (const auto* assignment = std::get_if<AssignmentIntent>(&intent)) {
        if (live) live->group.assignment_written(*assignment, error, step);
    } else if (const auto* replacement = std::get_if<StaticReplacementIntent>(&intent)) {
        if (live) live->group.replacement_written(*replacement, error, step);
    }
}

// ---- Groups ----------------------------------------------------------------------------

GroupShard::Live* GroupShard::find_live(const std::string& group_id) {
    const auto found = live_.find(group_id);
    return found == live_.end() ? nullptr : &found->second;
}

// Nothing when the broker has as many groups as it may.
GroupShard::Live* GroupShard::create(const std::string& group_id) {
    if (census_.groups >= GroupCensus::groups_max) return nullptr;
    ++census_.groups;
    return &live_.try_emplace(group_id, group_id).first->second;
}

// Nothing of a dead group is being written any more: it is gone if the log says so too,
// and otherwise its tombstones did not make it and it is Empty as before.
void GroupShard::drop_if_gone(const std::string& group_id) {
    auto* live = find_live(group_id);
    if (!live || live->writes > 0) return;
    const bool is_logged = log_.find(group_id) != nullptr;
    if (live->group.state() == GroupState::dead) {
        if (is_logged) return live->group.revive();
    } else if (is_logged || !live->group.is_unused()) {
        return;
    }
    live_.erase(group_id);
    --census_.groups;
}

}  // namespace coordinator
