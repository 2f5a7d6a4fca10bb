// local_partition: the partition that a request names, if this broker can work on it.
#pragma once

#include "broker/cluster/image.h"
#include "protocol/base/result.h"

namespace broker {

// Of a topic, which is null when nobody knows it. Lives as long as the image. Errors:
// unknown_topic_or_partition, and those of PartitionImage::why_not_local.
[[nodiscard]] inline base::Result<Partition*, protocol::ErrorCode> local_partition(
    const ClusterImage& image, const TopicImage* topic, base::PartitionIndex index) {
    const PartitionImage* const partition = topic ? topic->find(index) : nullptr;
    if (!partition) return base::Unexpected(protocol::ErrorCode::unknown_topic_or_partition);
    if (!partition->local) return base::Unexpected(partition->why_not_local(image.self));
    return partition->local.get();
}

}  // namespace broker
