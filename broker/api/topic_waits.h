// topic_waits: a change of topics that is answered when the brokers have carried it out. Alone that
// is at once; in company the controller's own image says when.
#pragma once

#include "broker/api/context.h"
#include "broker/cluster/cluster.h"

#include <boost/asio/awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <utility>

namespace broker {

using PartitionCounts = std::map<std::string, std::size_t>;

inline bool has_leaders(const ClusterImage& image, const std::string& name, std::size_t count) {
    const TopicImage* const topic = image.find_topic(name);
    if (!topic || topic->partitions.size() < count) return false;
    return std::ranges::all_of(topic->partitions, [](const PartitionImage& partition) {
        return partition.leader >= base::BrokerId(0);
    });
}

// The image in which each of these topics has so many partitions, all with leaders, or the one
// after `timeout_ms`. Not above zero: the one now.
inline boost::asio::awaitable<ImagePointer> with_leaders(RequestContext context,
                                                         PartitionCounts topics,
                                                         std::int32_t timeout_ms) {
    auto holds = [topics = std::move(topics)](const ClusterImage& image) {
        return std::ranges::all_of(topics, [&](const auto& topic) {
            return has_leaders(image, topic.first, topic.second);
        });
    };
    if (timeout_ms > 0)
        (void)co_await context.services.cluster.until(std::move(holds),
                                                      std::chrono::milliseconds(timeout_ms));
    co_return context.image();
}

}  // namespace broker
