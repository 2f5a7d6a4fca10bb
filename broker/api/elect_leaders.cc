// ElectLeaders: have the preferred replica of partitions lead, or, where nobody in sync is alive,
// any that is.
//
// The answer comes when this broker has heard who was elected, so that whoever asks next is told.
//
// Source: facts/kafka.md §3.10.

#include "broker/api/handlers.h"
#include "coordinator/controller/effects.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

namespace broker {

using protocol::ElectLeadersRequest;
using protocol::ElectLeadersResponse;
using protocol::ErrorCode;

namespace {

constexpr std::int16_t election_type_since = 1;
constexpr std::int8_t preferred = 0;
constexpr std::int8_t unclean = 1;

using Wanted = std::optional<std::vector<base::TopicPartition>>;

// Each once; nothing: all that there are.
Wanted wanted_of(const ElectLeadersRequest& request) {
    if (!request.topic_partitions) return std::nullopt;
    std::set<base::TopicPartition> each;
    for (const auto& topic : *request.topic_partitions) {
        for (const auto index : topic.partitions) each.insert({topic.topic.str(), index});
    }
    return std::vector(each.begin(), each.end());
}

void add(ElectLeadersResponse& response, const base::TopicPartition& at, ErrorCode error) {
    auto& results = response.replica_election_results;
    if (results.empty() || results.back().topic != at.topic)
        results.emplace_back().topic = wire::Text(at.topic);
    auto& result = results.back().partition_result.emplace_back();
    result.partition_id = at.partition;
    result.error_code = error;
    if (error != ErrorCode::none)
        result.error_message = wire::Text(std::string(protocol::error_sentence(error)));
}

ElectLeadersResponse refused(const Wanted& wanted, ErrorCode error) {
    ElectLeadersResponse response;
    response.error_code = error;
    if (wanted) {
        for (const auto& at : *wanted) add(response, at, error);
    }
    return response;
}

// Whether the partitions are led by whom the election was for.
bool is_known(const ClusterImage& image, const std::vector<base::TopicPartition>& elected,
              control::ElectionKind kind) {
    return std::ranges::all_of(elected, [&](const base::TopicPartition& at) {
        const TopicImage* const topic = image.find_topic(at.topic);
        const PartitionImage* const partition = topic ? topic->find(at.partition) : nullptr;
        if (!partition || partition->replicas.empty()) return true;
        return kind == control::ElectionKind::preferred
                   ? partition->leader == partition->replicas.front()
                   : partition->leader >= base::BrokerId(0);
    });
}

boost::asio::awaitable<ElectLeadersResponse> elect(RequestContext context, Wanted wanted,
                                                   control::ElectionKind kind,
                                                   std::chrono::milliseconds patience) {
    auto& cluster = context.services.cluster;
    auto asked = wanted;
    const auto answered = co_await cluster.elect_leaders(kind, std::move(asked));
    if (answered.error != ErrorCode::none) {
        auto response = refused(wanted, answered.error);
        // Each partition is answered with it, and the whole is well.
        if (answered.error == ErrorCode::not_controller) response.error_code = ErrorCode::none;
        co_return response;
    }
    std::map<base::TopicPartition, ErrorCode> outcomes;
    std::vector<base::TopicPartition> elected;
    for (const auto& each : answered.partitions) {
        outcomes.emplace(each.at, each.error);
        if (each.error == ErrorCode::none) elected.push_back(each.at);
    }
    if (!elected.empty()) {
        std::function<bool(const ClusterImage&)> holds = [elected, kind](const ClusterImage& now) {
            return is_known(now, elected, kind);
        };
        (void)co_await cluster.until(std::move(holds), patience);
    }
    ElectLeadersResponse response;
    for (const auto& [at, error] : outcomes) add(response, at, error);
    response.throttle_time_ms = context.throttle(0);
    co_return response;
}

}  // namespace

Answer<ElectLeadersResponse> handle(RequestContext& context, ElectLeadersRequest request) {
    auto wanted = wanted_of(request);
    if (!context.authorise(Operation::alter, ResourceType::cluster, cluster_resource))
        return refused(wanted, ErrorCode::cluster_authorization_failed);
    const auto type = context.api_version < election_type_since ? preferred : request.election_type;
    if (type != preferred && type != unclean) return refused(wanted, ErrorCode::invalid_request);
    const auto kind =
        type == preferred ? control::ElectionKind::preferred : control::ElectionKind::unclean;
    const std::chrono::milliseconds patience(std::max(request.timeout_ms, 0));
    return elect(context, std::move(wanted), kind, patience);
}

}  // namespace broker
