#include "broker/client/group_member.h"

#include "broker/client/assignor.h"
#include "protocol/schema/api/heartbeat.h"
#include "protocol/schema/api/join_group.h"
#include "protocol/schema/api/leave_group.h"
#include "protocol/schema/api/offset_commit.h"
#include "protocol/schema/api/offset_fetch.h"
#include "protocol/schema/api/sync_group.h"
#include "protocol/schema/journal/consumer_protocol_assignment.h"
#include "protocol/schema/journal/consumer_protocol_subscription.h"

#include <set>

namespace broker::inline client {
namespace {

using protocol::ErrorCode;

constexpr auto protocol_type = "consumer";
constexpr auto strategy = "range";

// The embedded messages stand behind their version.
template <class Message>
wire::Payload embedded(const Message& message, std::int16_t version) {
    std::vector<std::byte> bytes;
    wire::Writer writer(bytes);
    writer.int16(version);
    message.write(writer, version);
    return wire::Payload(std::move(bytes));
}

template <class Message>
std::optional<Message> from_embedded(const wire::Payload& payload) {
    wire::Reader reader(payload.bytes());
    const auto version = std::min(reader.int16(), Message::version_max);
    if (reader.failed() || version < 0) return std::nullopt;
    auto message = Message::read(reader, version);
    return reader.failed() ? std::nullopt : std::optional(std::move(message));
}

std::optional<wire::Text> text_of(const std::optional<std::string>& text) {
    return text ? std::optional(wire::Text(*text)) : std::nullopt;
}

bool is_lost(ErrorCode code) {
    return code == ErrorCode::rebalance_in_progress || code == ErrorCode::illegal_generation ||
           code == ErrorCode::unknown_member_id;
}

// Versions above name topics by id only.
constexpr std::int16_t offset_version_cap = 7;

}  // namespace

GroupMember::~GroupMember() {
    leave();
}

ClientResult<std::vector<base::TopicPartition>> GroupMember::join(
    const std::vector<std::string>& topics) {
    stop_heartbeats();
    while (true) {
        const auto joined = cluster_.retry([&] { return join_once(topics); });
        if (!joined) {
            if (is_lost(joined.error().code)) {
                member_id_.clear();
                continue;
            }
            return base::Unexpected(joined.error());
        }
        generation_ = joined->generation;
        must_rejoin_ = false;
        const auto assigned = cluster_.retry([&] { return sync(*joined); });
        if (!assigned) {
            if (is_lost(assigned.error().code)) continue;
            return base::Unexpected(assigned.error());
        }
        start_heartbeats();
        return *assigned;
    }
}

ClientResult<GroupMember::Joined> GroupMember::join_once(const std::vector<std::string>& topics) {
    const auto connection = cluster_.coordinator(settings_.group_id);
    if (!connection) return base::Unexpected(connection.error());
    protocol::ConsumerProtocolSubscription subscription;
    for (const auto& topic : topics) subscription.topics.emplace_back(topic);
    protocol::JoinGroupRequest request;
    request.group_id = settings_.group_id;
    request.session_timeout_ms = static_cast<std::int32_t>(settings_.session_timeout.count());
    request.rebalance_timeout_ms = static_cast<std::int32_t>(settings_.rebalance_timeout.count());
    request.member_id = member_id_;
    request.group_instance_id = text_of(settings_.instance_id);
    request.protocol_type = protocol_type;
    auto& offered = request.protocols.emplace_back();
    offered.name = strategy;
    offered.metadata = embedded(subscription, 1);
    const auto patience = settings_.rebalance_timeout + cluster_.settings().request_timeout;
    const auto answer =
        (*connection)
            ->call<protocol::JoinGroupApi, protocol::JoinGroupResponse>(request, after(patience));
    if (!answer) {
        cluster_.forget_all();
        return base::Unexpected(answer.error());
    }
    if ((*answer)->error_code == ErrorCode::member_id_required) {
        member_id_ = (*answer)->member_id.str();
        return join_once(topics);
    }
    if ((*answer)->error_code != ErrorCode::none)
        return base::Unexpected(refused((*answer)->error_code));
    member_id_ = (*answer)->member_id.str();
    Joined joined{(*answer)->generation_id,
                  (*answer)->protocol_name ? (*answer)->protocol_name->str() : "",
                  (*answer)->leader == (*answer)->member_id,
                  {}};
    for (const auto& member : (*answer)->members) {
        auto& known = joined.members[member.member_id.str()];
        if (member.group_instance_id) known.first = member.group_instance_id->str();
        const auto theirs = from_embedded<protocol::ConsumerProtocolSubscription>(member.metadata);
        if (!theirs) continue;
        for (const auto& topic : theirs->topics) known.second.push_back(topic.str());
    }
    return joined;
}

ClientResult<std::vector<base::TopicPartition>> GroupMember::sync(const Joined& joined) {
    protocol::SyncGroupRequest request;
    request.group_id = settings_.group_id;
    request.generation_id = joined.generation;
    request.member_id = member_id_;
    request.group_instance_id = text_of(settings_.instance_id);
    request.protocol_type = wire::Text(protocol_type);
    request.protocol_name = wire::Text(joined.protocol);
    if (joined.is_leader) {
        std::vector<Subscriber> subscribers;
        std::set<std::string> topics;
        for (const auto& [id, member] : joined.members) {
            subscribers.push_back({id, member.first, member.second});
            topics.insert(member.second.begin(), member.second.end());
        }
        const auto refreshed =
            cluster_.refresh(std::vector<std::string>(topics.begin(), topics.end()));
        if (!refreshed) return base::Unexpected(refreshed.error());
        std::map<std::string, std::int32_t> counts;
        for (const auto& [name, topic] : cluster_.view().topics) {
            if (!topic.partitions.empty())
                counts[name] = static_cast<std::int32_t>(topic.partitions.size());
        }
        for (const auto& [id, partitions] : assign_ranges(std::move(subscribers), counts)) {
            protocol::ConsumerProtocolAssignment assignment;
            for (const auto& each : partitions) {
                auto& list = assignment.assigned_partitions;
                if (list.empty() || list.back().topic != each.topic)
                    list.emplace_back().topic = wire::Text(each.topic);
                list.back().partitions.push_back(each.partition);
            }
            auto& sent = request.assignments.emplace_back();
            sent.member_id = wire::Text(id);
            sent.assignment = embedded(assignment, 1);
        }
    }
    const auto answer = cluster_.call<protocol::SyncGroupApi, protocol::SyncGroupResponse>(
        cluster_.coordinator(settings_.group_id), request);
    if (!answer) return base::Unexpected(answer.error());
    if ((*answer)->error_code != ErrorCode::none)
        return base::Unexpected(refused((*answer)->error_code));
    std::vector<base::TopicPartition> mine;
    if ((*answer)->assignment.empty()) return mine;
    const auto assignment =
        from_embedded<protocol::ConsumerProtocolAssignment>((*answer)->assignment);
    if (!assignment) {
        return base::Unexpected(
            ClientFault{.kind = ClientFault::Kind::broken_answer,
                        .detail = "the assignment of the group cannot be read"});
    }
    for (const auto& topic : assignment->assigned_partitions) {
        for (const auto partition : topic.partitions)
            mine.push_back({topic.topic.str(), partition});
    }
    return mine;
}

ClientResult<void> GroupMember::commit(
    const std::map<base::TopicPartition, base::Offset>& offsets) {
    if (offsets.empty()) return {};
    protocol::OffsetCommitRequest request;
    request.group_id = settings_.group_id;
    request.generation_id_or_member_epoch = generation_;
    request.member_id = member_id_;
    request.group_instance_id = text_of(settings_.instance_id);
    for (const auto& [at, offset] : offsets) {
        if (request.topics.empty() || request.topics.back().name != at.topic) {
            request.topics.emplace_back().name = wire::Text(at.topic);
        }
        auto& sent = request.topics.back().partitions.emplace_back();
        sent.partition_index = at.partition;
        sent.committed_offset = offset;
        sent.committed_metadata = wire::Text("");
    }
    return cluster_.retry([&]() -> ClientResult<void> {
        const auto answer =
            cluster_.call<protocol::OffsetCommitApi, protocol::OffsetCommitResponse>(
                cluster_.coordinator(settings_.group_id), request, offset_version_cap);
        if (!answer) return base::Unexpected(answer.error());
        for (const auto& topic : (*answer)->topics) {
            for (const auto& partition : topic.partitions) {
                if (partition.error_code == ErrorCode::none) continue;
                if (is_lost(partition.error_code)) must_rejoin_ = true;
                return base::Unexpected(refused(partition.error_code));
            }
        }
        return {};
    });
}

ClientResult<std::map<base::TopicPartition, base::Offset>> GroupMember::committed(
    const std::vector<base::TopicPartition>& partitions) {
    protocol::OffsetFetchRequest request;
    request.group_id = settings_.group_id;
    for (const auto& at : partitions) {
        if (request.topics->empty() || request.topics->back().name != at.topic) {
            request.topics->emplace_back().name = wire::Text(at.topic);
        }
        request.topics->back().partition_indexes.push_back(at.partition);
    }
    return cluster_.retry([&]() -> ClientResult<std::map<base::TopicPartition, base::Offset>> {
        const auto answer = cluster_.call<protocol::OffsetFetchApi, protocol::OffsetFetchResponse>(
            cluster_.coordinator(settings_.group_id), request, offset_version_cap);
        if (!answer) return base::Unexpected(answer.error());
        if ((*answer)->error_code != ErrorCode::none)
            return base::Unexpected(refused((*answer)->error_code));
        std::map<base::TopicPartition, base::Offset> offsets;
        for (const auto& topic : (*answer)->topics) {
            for (const auto& partition : topic.partitions) {
                if (partition.error_code != ErrorCode::none)
                    return base::Unexpected(refused(partition.error_code));
                if (partition.committed_offset.value() < 0) continue;
                offsets[{topic.name.str(), partition.partition_index}] = partition.committed_offset;
            }
        }
        return offsets;
    });
}

void GroupMember::start_heartbeats() {
    stop_ = false;
    heart_ = std::thread([this] { beat(); });
}

void GroupMember::stop_heartbeats() {
    if (!heart_.joinable()) return;
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    stopped_.notify_all();
    heart_.join();
}

void GroupMember::beat() {
    auto settings = cluster_.settings();
    settings.warn = {};
    Cluster cluster(std::move(settings));
    protocol::HeartbeatRequest request;
    request.group_id = settings_.group_id;
    request.generation_id = generation_;
    request.member_id = member_id_;
    request.group_instance_id = text_of(settings_.instance_id);
    while (true) {
        {
            std::unique_lock lock(mutex_);
            if (stopped_.wait_for(lock, settings_.heartbeat_interval, [&] { return stop_; }))
                return;
        }
        const auto answer = cluster.call<protocol::HeartbeatApi, protocol::HeartbeatResponse>(
            cluster.coordinator(settings_.group_id), request);
        if (!answer) {
            cluster.forget_all();
        } else if (protocol::is_retriable((*answer)->error_code)) {
            cluster.forget_coordinator(settings_.group_id);
        } else if ((*answer)->error_code != ErrorCode::none) {
            must_rejoin_ = true;
        }
    }
}

void GroupMember::leave() {
    stop_heartbeats();
    if (member_id_.empty() || settings_.instance_id) return;
    protocol::LeaveGroupRequest request;
    request.group_id = settings_.group_id;
    request.member_id = member_id_;
    request.members.emplace_back().member_id = wire::Text(member_id_);
    // A coordinator that cannot be reached forgets the member by itself.
    const auto left = cluster_.call<protocol::LeaveGroupApi, protocol::LeaveGroupResponse>(
        cluster_.coordinator(settings_.group_id), request);
    if (!left) cluster_.forget_coordinator(settings_.group_id);
    member_id_.clear();
}

}  // namespace broker
