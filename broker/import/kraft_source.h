// KRaft source: the metadata log that Apache Kafka keeps without ZooKeeper.
//
//     __cluster_metadata-0/
//         00000000000000004711-0000000003.checkpoint   all records below offset 4711
//         00000000000000000000.log                     the log, of which the front may be gone
//
// The newest snapshot is read, then what the log has from its end on. A record's value is
//
//     unsigned varint  frame version, 1
//     unsigned varint  type
//     unsigned varint  version of the type
//     the record       protocol/schema/journal/*_record.msg
//
// What stands between BeginTransaction and EndTransaction counts as a whole or not at all.
// Types that say nothing of topics, configurations, quotas, SCRAM or producer ids are passed over.
//
// Source: Apache Kafka's MetadataRecordSerde and the schemas in its kafka-metadata jar.
#pragma once

#include "broker/import/source.h"
#include "protocol/base/result.h"
#include "protocol/records/record.h"
#include "storage/disk.h"

#include <filesystem>

namespace broker {

// The state that metadata records come to.
class KraftImage {
public:
    // Errors, half a line: an unknown frame, a version newer than known, bytes that are no record.
    [[nodiscard]] base::Result<void, std::string> apply(records::Bytes value);

    // What was applied, but for a transaction that has not ended.
    Source take(std::string where) &&;

private:
    struct Topic {
        std::string name;
        std::map<base::PartitionIndex, SourcePartition> partitions;
    };

    [[nodiscard]] base::Result<void, std::string> change(std::uint32_t type, std::uint32_t version,
                                                         records::Bytes bytes);
    template <class Record>
    [[nodiscard]] base::Result<Record, std::string> decode(std::uint32_t version,
                                                           records::Bytes bytes) const;

    std::map<base::Uuid, Topic> topics_;
    std::map<std::string, znodes::Config> topic_configs_;
    std::map<std::string, znodes::Config> broker_configs_;
    std::map<znodes::ConfigEntity, znodes::Config> entities_;  // Users, clients, addresses.
    base::ProducerId next_producer_{0};
    bool in_transaction_ = false;
    std::vector<std::vector<std::byte>> held_back_;  // Of the transaction.
};

// Errors: one line with file and remedy.
[[nodiscard]] base::Result<Source, std::string> read_kraft_source(
    storage::Disk& disk, const std::filesystem::path& directory);

}  // namespace broker
