// GroupFixture: one partition of groups over a journal in memory, told what happens in verbs.
//
//     const auto a = in.join("g", {.client = "a"});
//     in.pass(3000);
//     in.joined(a).generation == 1
//
// What is appended is committed at once, unless `holds_commits`; then commit_all() does it.
#pragma once

#include "coordinator/group/group_shard.h"
#include "coordinator/runtime/journaled.h"

#include <doctest/doctest.h>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace test {

using base::Offset;
using base::PartitionIndex;
using base::TopicPartition;
using coordinator::Blob;
using coordinator::CommittedOffset;
using coordinator::Effects;
using coordinator::GroupShard;
using coordinator::GroupState;
using coordinator::JoinReply;
using coordinator::LeaveReply;
using coordinator::MemberIdentity;
using coordinator::Now;
using coordinator::PartitionsReply;
using coordinator::SyncReply;
using coordinator::Ticket;
using protocol::ErrorCode;

inline Blob blob(std::string_view text) { return Blob::copied(std::as_bytes(std::span(text))); }

inline std::string text(const Blob& from) {
    const auto bytes = from.bytes();
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

// Metadata of a consumer that reads `topics`: version 0 of the embedded protocol.
inline Blob subscription(const std::vector<std::string>& topics) {
    std::string bytes{'\0', '\0', '\0', '\0', '\0', static_cast<char>(topics.size())};
    for (const auto& topic : topics) {
        bytes += '\0';
        bytes += static_cast<char>(topic.size());
        bytes += topic;
    }
    return blob(bytes + std::string(4, '\xff'));
}

inline TopicPartition at(std::string topic, int partition) {
    return {std::move(topic), PartitionIndex(partition)};
}

// What a member says when it joins; the rest is what most say.
struct Joins {
    std::string member_id = "";
    std::optional<std::string> instance = std::nullopt;
    std::string client = "client";
    std::vector<coordinator::Protocol> protocols = {{"range", subscription({"t"})}};
    std::string protocol_type = "consumer";
    std::int32_t session_ms = 10'000;
    std::int32_t rebalance_ms = 60'000;
    int version = 3;  // Below 4: no round trip for the member id.
};

struct GroupFixture {
    explicit GroupFixture(coordinator::GroupSettings with = {}) : settings(with) {
        start();
        settle(shard->happen([&](GroupShard& s) { return s.finish_loading(now); }, now));
    }

    coordinator::GroupSettings settings;
    coordinator::GroupCensus census;
    Now now{1'000, 1'700'000'000'000};
    std::vector<coordinator::Record> journal;  // What was appended, in order.
    std::vector<coordinator::WriteId> in_flight;  // Appended, not yet committed.
    std::optional<ErrorCode> refuses;  // The journal's answer to every write.
    bool holds_commits = false;
    std::map<Ticket, coordinator::Reply> answers;
    std::unique_ptr<coordinator::Journaled<GroupShard>> shard;
    Ticket tickets = 0;
    int uuids = 0;

    void start() {
        shard = std::make_unique<coordinator::Journaled<GroupShard>>(
            [this](const coordinator::Write& write) {
                if (refuses) return *refuses;
                journal.insert(journal.end(), write.records.begin(), write.records.end());
                in_flight.push_back(write.id);
                return ErrorCode::none;
            },
            settings, census);
    }

    // The process dies, and another one loads what the journal holds.
    void restart() {
        (void)shard->happen([&](GroupShard& s) { return s.unload(now); }, now);
        in_flight.clear();
        answers.clear();
        start();
        for (const auto& record : journal) shard->touch([&](GroupShard& s) { s.replay(record); });
        settle(shard->happen([&](GroupShard& s) { return s.finish_loading(now); }, now));
    }

    void settle(std::vector<coordinator::Reply> replies) {
        for (auto& reply : replies) {
            const auto ticket = reply.ticket;
            const bool is_first = answers.emplace(ticket, std::move(reply)).second;
            CHECK_MESSAGE(is_first, "a ticket gets one reply");
        }
    }

    template <class Event>
    void happen(Event event) {
        settle(shard->happen(event, now));
        if (!holds_commits) commit_all();
    }

    void commit_all() {
        while (!in_flight.empty()) {
            const auto id = in_flight.front();
            in_flight.erase(in_flight.begin());
            settle(shard->finished(id, ErrorCode::none, now));
        }
    }

    // Time passes in steps of the deadlines that come up.
    void pass(std::int64_t ms) {
        const auto end_ms = now.steady_ms + ms;
        while (true) {
            const auto next_ms = shard->read([](const GroupShard& s) { return s.next_deadline_ms(); });
            const auto to_ms = std::min(end_ms, std::max(next_ms.value_or(end_ms), now.steady_ms));
            now.wall_ms += to_ms - now.steady_ms;
            now.steady_ms = to_ms;
            happen([&](GroupShard& s) { return s.time_passes(now); });
            if (to_ms == end_ms) return;
        }
    }

    Ticket join(const std::string& group, const Joins& says = {}) {
        coordinator::JoinRequest request;
        request.ticket = ++tickets;
        request.group_id = group;
        request.member_id = says.member_id;
        request.instance_id = says.instance;
        request.client_id = says.client;
        request.client_host = "/127.0.0.1";
        request.session_timeout_ms = says.session_ms;
        request.rebalance_timeout_ms = says.rebalance_ms;
        request.protocol_type = says.protocol_type;
        request.protocols = says.protocols;
        request.must_know_member_id = says.version >= 4 && !says.instance;
        request.may_skip_assignment = says.version >= 9;
        request.uuid = std::to_string(++uuids);
        happen([&](GroupShard& s) { return s.join(request, now); });
        return request.ticket;
    }

    Ticket sync(const std::string& group, const MemberIdentity& member, std::int32_t generation,
                std::vector<std::pair<std::string, Blob>> assignments = {}) {
        coordinator::SyncRequest request;
        request.ticket = ++tickets;
        request.group_id = group;
        request.member = member;
        request.generation = generation;
        request.assignments = std::move(assignments);
        happen([&](GroupShard& s) { return s.sync(request, now); });
        return request.ticket;
    }

    ErrorCode heartbeat(const std::string& group, const MemberIdentity& member, std::int32_t generation) {
        return shard->touch([&](GroupShard& s) { return s.heartbeat(group, member, generation, now); });
    }

    std::vector<ErrorCode> leave(const std::string& group, const std::vector<MemberIdentity>& members) {
        const auto ticket = ++tickets;
        happen([&](GroupShard& s) { return s.leave(ticket, group, members, now); });
        return answer<LeaveReply>(ticket).members;
    }

    Ticket commit(const std::string& group, const MemberIdentity& member, std::int32_t generation,
                  std::vector<std::pair<TopicPartition, CommittedOffset>> offsets) {
        coordinator::CommitRequest request;
        request.ticket = ++tickets;
        request.group_id = group;
        request.member = member;
        request.generation = generation;
        request.offsets = std::move(offsets);
        happen([&](GroupShard& s) { return s.commit(request, now); });
        return request.ticket;
    }

    // One offset of t-0, now, from nobody in particular unless said.
    ErrorCode commit_one(const std::string& group, std::int64_t offset, const MemberIdentity& member = {},
                         std::int32_t generation = -1) {
        const auto ticket = commit(group, member, generation, {{at("t", 0), committed(offset)}});
        return answer<PartitionsReply>(ticket).partitions.at(0);
    }

    CommittedOffset committed(std::int64_t offset) const {
        CommittedOffset made;
        made.offset = Offset(offset);
        made.commit_ms = now.wall_ms;
        return made;
    }

    std::int64_t fetched(const std::string& group, const TopicPartition& partition = at("t", 0)) const {
        return shard->read([&](const GroupShard& s) {
            const auto answer = s.fetch_offsets(group, std::vector{partition}, false);
            return answer.offsets.at(0).offset.value();
        });
    }

    template <class Answer>
    const Answer& answer(Ticket ticket) const {
        REQUIRE_MESSAGE(answers.contains(ticket), "the request was answered");
        return std::get<Answer>(answers.at(ticket).answer);
    }
    const JoinReply& joined(Ticket ticket) const { return answer<JoinReply>(ticket); }
    const SyncReply& synced(Ticket ticket) const { return answer<SyncReply>(ticket); }
    bool waits(Ticket ticket) const { return !answers.contains(ticket); }

    std::string state(const std::string& group) const {
        return shard->read([&](const GroupShard& s) { return s.describe(group).state; });
    }
    std::size_t members(const std::string& group) const {
        return shard->read([&](const GroupShard& s) { return s.describe(group).members.size(); });
    }

    struct Settled {
        std::string id;
        std::int32_t generation;
    };

    // A group of one member, Stable, with "mine" assigned to it.
    Settled settled(const std::string& group, const Joins& says = {}) {
        auto asked = join(group, says);
        if (waits(asked)) pass(settings.initial_rebalance_delay_ms);
        const auto reply = joined(asked);
        REQUIRE(reply.error == ErrorCode::none);
        const auto ticket = sync(group, {reply.member_id, says.instance}, reply.generation,
                                 {{reply.member_id, blob("mine")}});
        REQUIRE(text(synced(ticket).assignment) == "mine");
        return {reply.member_id, reply.generation};
    }
};

}  // namespace test
