// Checkpoints: the small text files beside the logs, in Apache Kafka's format
// (facts/kafka.md §2.2, §2.4, §2.5).
//
//     recovery-point-offset-checkpoint     0 \n count \n (topic partition offset \n) x count
//     replication-offset-checkpoint        the same; high watermarks
//     log-start-offset-checkpoint          the same; where it is above the first segment's base
//     cleaner-offset-checkpoint            the same
//     leader-epoch-checkpoint              0 \n count \n (epoch start \n) x count
//     partition.metadata                   version: 0 \n topic_id: 22 characters
//     meta.properties                      version=0 or 1, and the ids
//
// An empty checkpoint holds nothing. Anything else that does not parse, or whose count is
// wrong, is `corrupt`. All are written by replace_file, but for
// the partition.metadata of a new partition.
#pragma once

#include "storage/epochs.h"
#include "storage/disk.h"

#include <map>
#include <optional>
#include <utility>

namespace storage {

using Offsets = std::map<base::TopicPartition, base::Offset>;

// Those with an offset for each partition of a log directory.
enum class Checkpoint { recovery_point, high_watermark, log_start, cleaner };
constexpr const char* name_of(Checkpoint which) {
    switch (which) {
        case Checkpoint::recovery_point:
            return "recovery-point-offset-checkpoint";
        case Checkpoint::high_watermark:
            return "replication-offset-checkpoint";
        case Checkpoint::log_start:
            return "log-start-offset-checkpoint";
        case Checkpoint::cleaner:
            return "cleaner-offset-checkpoint";
    }
    std::unreachable();
}

constexpr const char* epochs_file = "leader-epoch-checkpoint";
constexpr const char* partition_metadata_file = "partition.metadata";
constexpr const char* identity_file = "meta.properties";
constexpr const char* clean_stop_file = ".kafka_cleanshutdown";
constexpr const char* lock_file = ".lock";

// Readers. Faults: io, not_found, corrupt.
[[nodiscard]] base::Result<Offsets, Fault> read_offsets(Disk& disk, const std::filesystem::path& path);
[[nodiscard]] base::Result<std::vector<EpochStart>, Fault> read_epochs(
    Disk& disk, const std::filesystem::path& path);
// Also foreign: a newer version.
[[nodiscard]] base::Result<base::Uuid, Fault> read_topic_id(Disk& disk,
                                                            const std::filesystem::path& path);

// Writers. Faults: io, no_space.
[[nodiscard]] base::Result<void, Fault> write_offsets(Disk& disk, const std::filesystem::path& path,
                                                      const Offsets& offsets);
[[nodiscard]] base::Result<void, Fault> write_epochs(Disk& disk, const std::filesystem::path& path,
                                                     std::span<const EpochStart> epochs);
[[nodiscard]] base::Result<void, Fault> write_topic_id(Disk& disk, const std::filesystem::path& path,
                                                       const base::Uuid& id);
// The same where there is none yet; the caller syncs it.
[[nodiscard]] base::Result<void, Fault> write_new_topic_id(Disk& disk,
                                                           const std::filesystem::path& path,
                                                           const base::Uuid& id);

// Who a log directory belongs to.
struct Identity {
    std::optional<base::BrokerId> broker;        // broker.id (v0) or node.id (v1).
    std::string cluster;                         // cluster.id, as text; empty when it is not there.
    int version = 0;                             // 1: written by Kafka without ZooKeeper.
    std::string directory;                       // directory.id (v1); empty otherwise.

    friend bool operator==(const Identity&, const Identity&) = default;
};

// Faults: io, not_found, corrupt, foreign (a newer version).
[[nodiscard]] base::Result<Identity, Fault> read_identity(Disk& disk,
                                                          const std::filesystem::path& path);
[[nodiscard]] base::Result<void, Fault> write_identity(Disk& disk, const std::filesystem::path& path,
                                                       const Identity& identity);

}  // namespace storage
