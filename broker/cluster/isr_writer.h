// isr_writer: what a broker writes into the tree for the controller to see: the ISR of a partition
// that it leads, in a cluster that is not to speak newer than Kafka 2.6
// (inter.broker.protocol.version), and notes.
//
//     /brokers/topics/T/partitions/P/state      the new ISR, if the node is as the leader knows it
//     /isr_change_notification/isr_change_N     the partitions that the controller is to read again
//     /log_dir_event_notification/log_dir_event_N     a log directory of this broker has failed
//
// The version of the node is that of the state which the proposal builds on, and in that state the
// term is looked at: so a leader that is none any more writes nothing.
//
// Threads: any; everything blocks on the store.
//
// Source: facts/kafka.md §3.5.
#pragma once

#include "broker/cluster/metadata_store.h"
#include "broker/replica/partition.h"

#include <optional>
#include <vector>

namespace broker {

// The state of the partition now, which may be another than what was asked for: then the next
// proposal builds on it. Nothing: this broker does not lead it in that term. Errors:
// connection_loss; it may have been written, and to write it again is harmless.
[[nodiscard]] base::Result<std::optional<Isr::Members>, coordinator::ZkError> write_isr(
    MetadataStore& store, base::BrokerId self, const base::TopicPartition& at,
    const IsrRequest& request);

// Have the controller ask this broker which replicas it has lost (/log_dir_event_notification).
[[nodiscard]] base::Result<void, coordinator::ZkError> note_failed_directory(MetadataStore& store,
                                                                             base::BrokerId self);

// Have the controller read the states of these.
[[nodiscard]] base::Result<void, coordinator::ZkError> note_isr_changes(
    MetadataStore& store, const std::vector<base::TopicPartition>& partitions);

}  // namespace broker
