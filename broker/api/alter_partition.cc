// AlterPartition: a leader asks the controller for another ISR.
//
// Source: facts/kafka.md §3.5; facts/zookeeper-mode-cluster.md §2.

#include "broker/api/from_controller.h"
#include "broker/api/handlers.h"
#include "coordinator/controller/effects.h"

#include <algorithm>
#include <map>
#include <utility>

namespace broker {

using protocol::AlterPartitionRequest;
using protocol::AlterPartitionResponse;
using protocol::ErrorCode;

namespace {

constexpr std::int16_t topics_by_id_since = 2;
constexpr std::int16_t ineligible_replica_since = 2;
constexpr std::int16_t member_epochs_since = 3;

control::IsrChange change_of(const AlterPartitionRequest::Topic::Partition& asked,
                             std::string_view topic, std::int16_t version) {
    control::IsrChange change;
    change.at = {std::string(topic), asked.partition_index};
    change.leader_epoch = asked.leader_epoch;
    change.partition_epoch = asked.partition_epoch;
    change.recovering = asked.leader_recovery_state != 0;
    if (version < member_epochs_since) {
        change.isr = asked.new_isr;
        return change;
    }
    for (const auto& member : asked.new_isr_with_epochs) {
        change.isr.push_back(member.broker_id);
        change.member_epochs.push_back(member.broker_epoch);
    }
    return change;
}

ErrorCode for_version(ErrorCode error, std::int16_t version) noexcept {
    if (error == ErrorCode::ineligible_replica && version < ineligible_replica_since)
        return ErrorCode::operation_not_attempted;
    return error;
}

using Altered = std::map<base::TopicPartition, const control::AlteredPartition*>;

void answer_one(const Altered& altered, const base::TopicPartition& at, std::int16_t version,
                AlterPartitionResponse::Topic::Partition& answer) {
    answer.partition_index = at.partition;
    const auto found = altered.find(at);
    if (found == altered.end()) {
        answer.error_code = ErrorCode::unknown_topic_or_partition;
        return;
    }
    answer.error_code = for_version(found->second->error, version);
    if (answer.error_code != ErrorCode::none) return;
    const auto& [state, partition_epoch] = found->second->now;
    answer.leader_id = state.leader;
    answer.leader_epoch = state.leader_epoch;
    answer.isr = state.isr;
    answer.leader_recovery_state = state.recovering ? 1 : 0;
    answer.partition_epoch = partition_epoch;
}

boost::asio::awaitable<AlterPartitionResponse> alter(RequestContext context,
                                                     AlterPartitionRequest request) {
    const auto version = context.api_version;
    const auto image = context.image();
    std::vector<control::IsrChange> changes;
    std::vector<std::string_view> names;  // Empty: nobody knows the id.
    for (const auto& topic : request.topics) {
        std::string_view name = topic.topic_name.view();
        if (version >= topics_by_id_since) {
            const TopicImage* const known = image->find_topic(topic.topic_id);
            name = known ? std::string_view(known->name) : std::string_view();
        }
        names.push_back(name);
        if (name.empty()) continue;
        for (const auto& asked : topic.partitions)
            changes.push_back(change_of(asked, name, version));
    }
    const auto answered = co_await context.services.cluster.alter_partition(
        request.broker_id, request.broker_epoch, std::move(changes));
    AlterPartitionResponse response;
    response.error_code = answered.error;
    if (answered.error != ErrorCode::none) co_return response;
    Altered altered;
    for (const auto& each : answered.partitions) altered.emplace(each.at, &each);
    for (std::size_t i = 0; i < request.topics.size(); ++i) {
        auto& topic = response.topics.emplace_back();
        topic.topic_name = request.topics[i].topic_name;
        topic.topic_id = request.topics[i].topic_id;
        for (const auto& asked : request.topics[i].partitions) {
            auto& answer = topic.partitions.emplace_back();
            answer_one(altered, {std::string(names[i]), asked.partition_index}, version, answer);
            if (names[i].empty()) answer.error_code = ErrorCode::unknown_topic_id;
        }
    }
    co_return response;
}

}  // namespace

Answer<AlterPartitionResponse> handle(RequestContext& context, AlterPartitionRequest request) {
    if (!is_in_company(context)) return Answer<AlterPartitionResponse>::close();
    return alter(context, std::move(request));
}

}  // namespace broker
