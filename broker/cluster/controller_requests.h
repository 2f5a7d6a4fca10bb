// controller_requests: what a controller tells a broker, in the protocol's own messages.
//
//     control::BrokerRequest --> LeaderAndIsr, UpdateMetadata, StopReplica, in one version
//     their responses        --> control::PartitionError
//
// Old versions name each partition's topic, later ones group partitions by topic; only the form of
// the given version is filled in. StopReplica up to 2 deletes all that it names or nothing, and so
// may have to be two requests.
//
// Strings are borrowed: a message lives no longer than the BrokerRequest that it was made of.
//
// Source: facts/zookeeper-mode-cluster.md 4 (`type` is always 0, no KRaft controller).
#pragma once

#include "coordinator/controller/effects.h"
#include "protocol/schema/api/leader_and_isr.h"
#include "protocol/schema/api/stop_replica.h"
#include "protocol/schema/api/update_metadata.h"

#include <cstdint>
#include <string_view>
#include <vector>

namespace broker {

namespace control = coordinator::controller;

// `listener`: that on which brokers reach one another. Requires that the content is of that kind.
protocol::LeaderAndIsrRequest leader_and_isr(const control::Term& term,
                                             const control::BrokerRequest& what,
                                             std::string_view listener, std::int16_t version);
protocol::UpdateMetadataRequest update_metadata(const control::Term& term,
                                                const control::BrokerRequest& what,
                                                std::int16_t version);
std::vector<protocol::StopReplicaRequest> stop_replica(const control::Term& term,
                                                       const control::BrokerRequest& what,
                                                       std::int16_t version);

// What a broker says of each partition. Topics that were not asked about are left out.
std::vector<control::PartitionError> errors_of(const control::LeaderAndIsr& asked,
                                               const protocol::LeaderAndIsrResponse& response,
                                               std::int16_t version);
std::vector<control::PartitionError> errors_of(const protocol::StopReplicaResponse& response);

}  // namespace broker
