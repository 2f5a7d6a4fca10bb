// Elections: who leads a partition, and who is in sync, when brokers come and go. Pure functions.
//
//     new partition         first living replica                     ISR: all living replicas
//     failure, shutdown     first living replica of the ISR          ISR: its living members
//       none lives          nobody; unclean: first living replica    ISR: as it was; unclean: the
//       leader
//     preferred             the first replica, if alive and in sync  ISR: as it was
//
// Invariants:
//   - the leader epoch grows by one with each new state but a change that the leader asked for
//   - the ISR is never empty, and without a living member it stays as it was: each of its
//     members has everything that was acknowledged
//   - only an unclean election has a leader from outside the ISR
//
// Source: facts/kafka.md 3.2 and 3.5; facts/zookeeper-mode-cluster.md 2 and 4.7 to 4.13.
#pragma once

#include "coordinator/controller/effects.h"
#include "protocol/base/result.h"

#include <optional>

namespace coordinator::controller {

// Who could lead a partition now.
struct Electorate {
    Brokers replicas;       // The preferred leader first.
    Brokers alive;          // Of the replicas and the ISR, those that can serve the partition.
    Brokers retiring = {};  // Alive, but in their controlled shutdown.
    bool unclean = false;   // Whether somebody from outside the ISR may lead.
};

// The first state of a partition. Nothing while no replica is alive.
std::optional<PartitionState> first_state(const Electorate& electorate);

// The state after brokers have died, returned or begun to retire, or ceased to be replicas. Nothing
// when `state` is as it should be.
std::optional<PartitionState> settled(const PartitionState& state, const Electorate& electorate);

// The same state in the next leader epoch: its replicas have to learn of each other.
PartitionState with_next_epoch(PartitionState state);

// The first replica leads. Errors: election_not_needed, preferred_leader_not_available.
[[nodiscard]] base::Result<PartitionState, protocol::ErrorCode> prefer(
    const PartitionState& state, const Electorate& electorate);

// Somebody leads a partition that has no living leader, from outside the ISR if need be. Errors:
// election_not_needed, eligible_leaders_not_available.
[[nodiscard]] base::Result<PartitionState, protocol::ErrorCode> elect_anyone(
    const PartitionState& state, Electorate electorate);

// What a leader's change makes of the state. Nothing: it is so already. Errors: not_controller (the
// leader knows more than this controller), fenced_leader_epoch, invalid_update_version,
// ineligible_replica, invalid_request (the sender does not lead, is not in its own ISR, or a
// member is no replica).
[[nodiscard]] base::Result<std::optional<PartitionState>, protocol::ErrorCode> altered(
    const StoredState& stored, const IsrChange& change, base::BrokerId sender,
    const Electorate& electorate);

}  // namespace coordinator::controller
