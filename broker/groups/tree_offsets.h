// TreeOffsets: how far consumers of Kafka 0.8 have read, where they keep it: in the metadata tree.
//
//     /consumers/GROUP/offsets/TOPIC/PARTITION     a decimal number
//
// The same nodes are written by consumers that use ZooKeeper themselves, by version 0 of
// OffsetCommit, and read by monitors. What the group coordinator keeps is another thing.
//
// Threads: blocks; from any thread that may.
//
// Source: Apache Kafka's KafkaApis (handleOffsetCommitRequest, handleOffsetFetchRequest) and
// ConsumerOffset in ZkData.
#pragma once

#include "broker/cluster/metadata_store.h"
#include "protocol/base/types.h"
#include "protocol/schema/error_code.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace broker {

// Whether the name can be that of a node.
bool may_be_in_tree(std::string_view group);

// All of them are stored, or none: unknown_server_error. Requires may_be_in_tree(group).
protocol::ErrorCode store_tree_offsets(
    MetadataStore& store, const std::string& group,
    const std::vector<std::pair<base::TopicPartition, base::Offset>>& offsets);

// In the order of `partitions`; nothing where none is stored, or something else. Error:
// unknown_server_error.
[[nodiscard]] base::Result<std::vector<std::optional<base::Offset>>, protocol::ErrorCode>
load_tree_offsets(MetadataStore& store, const std::string& group,
                  const std::vector<base::TopicPartition>& partitions);

}  // namespace broker
