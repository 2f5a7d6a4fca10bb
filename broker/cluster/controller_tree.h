// controller_tree: what a controller reads from the znode tree and writes into it.
//
//     /brokers/ids/N, /brokers/topics/T/**, /config/topics/T --read--> controller::Tree
//     controller::WriteBatch --write--> multi{check /controller_epoch, set or create, ...}
//
// Invariants:
//   - every transaction checks first that /controller_epoch still has the version of the term
//   - a TopicWrite and the states in it are one transaction; writes that share one because they fit
//     are told apart when it is refused
//   - a state is made only below a topic that is there: a topic that somebody removed stays removed
//
// What makes no sense is left out with a line in the log; a state that cannot be read stands for
// one without leader and without ISR, so that nobody leads the partition before somebody decides
// to.
//
// Threads: the controller's; everything blocks on the store.
#pragma once

#include "broker/cluster/metadata_store.h"
#include "coordinator/controller/effects.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace broker {

namespace control = coordinator::controller;

// The term in which something is written, and where its topic ids come from; empty: topics get
// none.
struct TermOfTree {
    std::int32_t epoch_version = 0;
    std::function<base::Uuid()> random_id;
};

// ---- Reads. Errors: connection_loss, and where a term is given bad_version: it is over.

[[nodiscard]] base::Result<std::vector<control::Broker>, coordinator::ZkError> read_brokers(
    MetadataStore& store);

// Those of `names` that there are. One without a topic id, as old tools and brokers make them, gets
// it first.
[[nodiscard]] base::Result<std::vector<control::TopicNode>, coordinator::ZkError> read_topics(
    MetadataStore& store, const TermOfTree& term, const std::vector<std::string>& names);

// One a partition, in their order; nothing where there is no node.
[[nodiscard]] base::Result<std::vector<std::optional<control::StoredState>>, coordinator::ZkError>
read_states(MetadataStore& store, const std::vector<base::TopicPartition>& partitions);

// All that a new controller has to know.
[[nodiscard]] base::Result<control::Tree, coordinator::ZkError> read_tree(MetadataStore& store,
                                                                          const TermOfTree& term);

// ---- Writes.

// One outcome a write, in their order. What cannot be known, or was not tried any more because of
// that, is `unknown`.
std::vector<control::Outcome> write(MetadataStore& store, const control::WriteBatch& batch);

}  // namespace broker
