// Survey: what a log directory of Apache Kafka holds, found out without changing a byte.
//
// The first thing of an import (design.md §5): topics from directory names, ids from
// partition.metadata, broker and cluster from meta.properties, the leader epochs and
// producer ids that new ones have to lie above.
//
// Threads: none of its own; reads files, takes no lock.
#pragma once

#include "storage/checkpoint.h"
#include "storage/names.h"

namespace storage {

struct SurveyedPartition {
    base::TopicPartition at;
    std::optional<base::Uuid> topic_id;
    base::LeaderEpoch max_leader_epoch{-1};     // Of the checkpoint and the batches behind it.
    base::ProducerId max_producer{-1};          // Of snapshots and the batches behind them.
    std::uint64_t bytes = 0;                    // Of .log files.
    base::Offset first_offset{};                // The first segment's base.
    DirectoryKind kind = DirectoryKind::partition;
    std::optional<Fault> fault;                 // Something in it could not be read.
};

struct Survey {
    std::optional<Identity> identity;
    bool was_clean = false;
    bool has_cluster_metadata = false;  // __cluster_metadata-0: Kafka without ZooKeeper.
    std::vector<SurveyedPartition> partitions;
    std::vector<std::string> unknown_directories;
    base::ProducerId max_producer{-1};
};

// Faults: io, not_found, and those of meta.properties.
[[nodiscard]] base::Result<Survey, Fault> survey(Disk& disk, const std::filesystem::path& path);

}  // namespace storage
