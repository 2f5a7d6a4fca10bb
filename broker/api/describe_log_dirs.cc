// DescribeLogDirs: what lies in which log directory, and how much room there is.

#include "broker/api/handlers.h"

#include <filesystem>
#include <map>
#include <set>

namespace broker {

using protocol::DescribeLogDirsRequest;
using protocol::DescribeLogDirsResponse;
using protocol::ErrorCode;

namespace {

using Wanted = std::map<std::string_view, std::set<base::PartitionIndex>>;

bool is_wanted(const std::optional<Wanted>& wanted, const base::TopicPartition& at) {
    if (!wanted) return true;
    const auto topic = wanted->find(std::string_view(at.topic));
    return topic != wanted->end() && topic->second.contains(at.partition);
}

void describe(const LogManager::Directory& directory, const std::optional<Wanted>& wanted,
              DescribeLogDirsResponse::Result& answer) {
    answer.log_dir = wire::Text(directory.name());
    if (directory.offline) {
        answer.error_code = ErrorCode::kafka_storage_error;
        return;
    }
    std::map<std::string, std::vector<DescribeLogDirsResponse::Result::Topic::Partition>> topics;
    for (const auto& partition : directory.partitions) {
        if (!is_wanted(wanted, partition->id())) continue;
        auto& each = topics[partition->id().topic].emplace_back();
        each.partition_index = partition->id().partition;
        each.partition_size = static_cast<std::int64_t>(partition->size_bytes());
        each.offset_lag = 0;  // A leader lags behind nobody.
    }
    for (const auto& copy : directory.copies) {
        if (!is_wanted(wanted, copy.at)) continue;
        auto& each = topics[copy.at.topic].emplace_back();
        each.partition_index = copy.at.partition;
        each.partition_size = static_cast<std::int64_t>(copy.bytes);
        each.offset_lag = copy.lag;
        each.is_future_key = true;
    }
    for (auto& [name, partitions] : topics) {
        auto& topic = answer.topics.emplace_back();
        topic.name = wire::Text(name);
        topic.partitions = std::move(partitions);
    }
    std::error_code error;
    const auto space = std::filesystem::space(directory.path, error);
    if (error) return;
    answer.total_bytes = static_cast<std::int64_t>(space.capacity);
    answer.usable_bytes = static_cast<std::int64_t>(space.available);
}

}  // namespace

Answer<DescribeLogDirsResponse> handle(RequestContext& context, DescribeLogDirsRequest request) {
    DescribeLogDirsResponse response;
    response.throttle_time_ms = context.throttle(0);
    if (!context.authorise(Operation::describe, ResourceType::cluster, cluster_resource)) {
        response.error_code = ErrorCode::cluster_authorization_failed;
        return response;
    }
    std::optional<Wanted> wanted;
    if (request.topics) {
        wanted.emplace();
        for (const auto& topic : *request.topics) {
            (*wanted)[topic.topic.view()].insert(topic.partitions.begin(), topic.partitions.end());
        }
    }
    for (const auto& directory : context.services.cluster.logs().directories()) {
        describe(directory, wanted, response.results.emplace_back());
    }
    return response;
}

}  // namespace broker
