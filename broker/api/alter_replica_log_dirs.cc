// AlterReplicaLogDirs: move partitions to another log directory of this broker. The answer says
// that a move has begun; DescribeLogDirs tells how far it is.

#include "broker/api/handlers.h"
#include "broker/cluster/run_on.h"

#include <map>
#include <string>
#include <utility>

namespace broker {

using protocol::AlterReplicaLogDirsRequest;
using protocol::AlterReplicaLogDirsResponse;
using protocol::ErrorCode;

namespace {

// A partition that is named twice goes where the last one says, as in Apache Kafka.
using Wishes = std::map<std::string, std::map<base::PartitionIndex, std::string>, std::less<>>;

Wishes wishes(const AlterReplicaLogDirsRequest& request) {
    Wishes wanted;
    for (const auto& directory : request.dirs) {
        for (const auto& topic : directory.topics) {
            for (const auto partition : topic.partitions) {
                wanted[std::string(topic.name.view())][partition] = directory.path.view();
            }
        }
    }
    return wanted;
}

boost::asio::awaitable<AlterReplicaLogDirsResponse> alter(RequestContext context,
                                                          AlterReplicaLogDirsRequest request) {
    const auto wanted = wishes(request);
    const bool may = context.authorise(Operation::alter, ResourceType::cluster, cluster_resource);
    AlterReplicaLogDirsResponse response;
    auto& cluster = context.services.cluster;
    auto work = [&] {
        for (const auto& [name, partitions] : wanted) {
            auto& topic = response.results.emplace_back();
            topic.topic_name = wire::Text(name);
            for (const auto& [partition, directory] : partitions) {
                topic.partitions.push_back(
                    {partition, may ? cluster.move_log({name, partition}, directory)
                                    : ErrorCode::cluster_authorization_failed});
            }
        }
        return true;
    };
    co_await run_on(cluster.controller(), std::move(work));
    response.throttle_time_ms = context.throttle(0);
    co_return response;
}

}  // namespace

Answer<AlterReplicaLogDirsResponse> handle(RequestContext& context,
                                           AlterReplicaLogDirsRequest request) {
    return alter(context, std::move(request));
}

}  // namespace broker
