// AlterPartitionReassignments: move replicas of partitions to other brokers, or call a move off.
//
// The answer says that the moves have begun; ListPartitionReassignments tells which are under way.
//
// Source: facts/kafka.md §3.10.

#include "broker/api/handlers.h"
#include "coordinator/controller/controller.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>

namespace broker {

using base::BrokerId;
using protocol::AlterPartitionReassignmentsRequest;
using protocol::AlterPartitionReassignmentsResponse;
using protocol::ErrorCode;

namespace {

using Target = std::optional<std::vector<BrokerId>>;
using Targets = std::map<base::TopicPartition, Target>;

struct Outcome {
    ErrorCode error = ErrorCode::none;
    std::string message;  // Empty with none.
};
using Outcomes = std::map<base::TopicPartition, Outcome>;

std::string text_of(const std::vector<BrokerId>& brokers) {
    std::string text;
    for (const auto id : brokers) text += (text.empty() ? "" : ", ") + std::to_string(id.value());
    return "[" + text + "]";
}

// What a list of replicas has against it that people can see from it.
std::string why_invalid(const Target& target, const ClusterImage& image) {
    if (!target || target->empty()) return "The list of replicas is empty.";
    auto sorted = *target;
    std::ranges::sort(sorted);
    if (sorted.front() < BrokerId(0))
        return "The list of replicas " + text_of(*target) + " has an id that no broker can have.";
    if (std::ranges::adjacent_find(sorted) != sorted.end())
        return "The list of replicas " + text_of(*target) + " names a broker twice.";
    std::vector<BrokerId> live;
    for (const auto& broker : image.brokers) live.push_back(broker.id);
    return "Not all brokers of the list of replicas " + text_of(*target) +
           " are alive, which are " + text_of(live) + ".";
}

std::string message_of(ErrorCode error, const Target& target, const ClusterImage& image) {
    if (error == ErrorCode::none) return {};
    if (error == ErrorCode::invalid_replica_assignment) return why_invalid(target, image);
    return std::string(protocol::error_sentence(error));
}

// Of a partition that is named twice the last target counts.
Targets targets_of(const AlterPartitionReassignmentsRequest& request) {
    Targets targets;
    for (const auto& topic : request.topics) {
        for (const auto& partition : topic.partitions)
            targets.insert_or_assign({topic.name.str(), partition.partition_index},
                                     partition.replicas);
    }
    return targets;
}

// Take out and refuse those whose number of replicas would become another. `moves`: those that are
// under way; they end with so many as their target has.
void refuse_other_factors(Targets& targets, const std::vector<control::Move>& moves,
                          const ClusterImage& image, Outcomes& outcomes) {
    std::map<base::TopicPartition, std::size_t> factors;
    for (const auto& move : moves) factors[move.at] = move.assignment.target().size();
    std::erase_if(targets, [&](const auto& wanted) {
        const auto& [at, target] = wanted;
        const TopicImage* const topic = image.find_topic(at.topic);
        const PartitionImage* const partition = topic ? topic->find(at.partition) : nullptr;
        if (!target || !partition) return false;
        const auto moving = factors.find(at);
        const auto now = moving == factors.end() ? partition->replicas.size() : moving->second;
        if (target->size() == now) return false;
        outcomes[at] = {ErrorCode::invalid_replication_factor,
                        "The replication factor would change from " + std::to_string(now) + " to " +
                            std::to_string(target->size()) + "."};
        return true;
    });
}

AlterPartitionReassignmentsResponse refused(ErrorCode error, std::string message) {
    AlterPartitionReassignmentsResponse response;
    response.error_code = error;
    response.error_message = wire::Text(std::move(message));
    return response;
}

AlterPartitionReassignmentsResponse answer(const Outcomes& outcomes) {
    AlterPartitionReassignmentsResponse response;
    for (const auto& [at, outcome] : outcomes) {
        if (response.responses.empty() || response.responses.back().name != at.topic)
            response.responses.emplace_back().name = wire::Text(at.topic);
        auto& partition = response.responses.back().partitions.emplace_back();
        partition.partition_index = at.partition;
        partition.error_code = outcome.error;
        partition.error_message = std::nullopt;
        if (outcome.error != ErrorCode::none) partition.error_message = wire::Text(outcome.message);
    }
    return response;
}

boost::asio::awaitable<AlterPartitionReassignmentsResponse> reassign(
    RequestContext context, AlterPartitionReassignmentsRequest request) {
    auto& cluster = context.services.cluster;
    auto targets = targets_of(request);
    Outcomes outcomes;
    if (!request.allow_replication_factor_change) {
        std::optional<std::vector<base::TopicPartition>> all;
        const auto moves = co_await cluster.list_reassignments(std::move(all));
        if (moves.error != ErrorCode::none)
            co_return refused(moves.error, message_of(moves.error, {}, *context.image()));
        refuse_other_factors(targets, moves.partitions, *context.image(), outcomes);
    }
    std::vector<control::Reassignment> wanted;
    for (const auto& [at, target] : targets) wanted.push_back({at, target});
    const auto answered = co_await cluster.reassign(std::move(wanted));
    const auto image = context.image();
    if (answered.error != ErrorCode::none)
        co_return refused(answered.error, message_of(answered.error, {}, *image));
    for (const auto& [at, error] : answered.partitions) {
        const auto& target = targets[at];
        // What does not move cannot be called off, be it there or not.
        const bool is_idle = !target && error == ErrorCode::unknown_topic_or_partition;
        const auto told = is_idle ? ErrorCode::no_reassignment_in_progress : error;
        outcomes[at] = {told, message_of(told, target, *image)};
    }
    auto response = answer(outcomes);
    response.allow_replication_factor_change = request.allow_replication_factor_change;
    response.throttle_time_ms = context.throttle(0);
    co_return response;
}

}  // namespace

Answer<AlterPartitionReassignmentsResponse> handle(RequestContext& context,
                                                   AlterPartitionReassignmentsRequest request) {
    if (!context.authorise(Operation::alter, ResourceType::cluster, cluster_resource)) {
        constexpr auto error = ErrorCode::cluster_authorization_failed;
        return refused(error, std::string(protocol::error_sentence(error)));
    }
    return reassign(context, std::move(request));
}

}  // namespace broker
