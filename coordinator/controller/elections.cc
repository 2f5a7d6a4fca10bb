#include "coordinator/controller/elections.h"

#include "coordinator/controller/brokers.h"
#include "protocol/base/plant.h"

#include <utility>

namespace coordinator::controller {

using base::BrokerId;
using base::Result;
using base::Unexpected;
using protocol::ErrorCode;

namespace {

// The first of `brokers` that is also one of `eligible`.
BrokerId first_of(const Brokers& brokers, const Brokers& eligible) {
    const auto found =
        std::ranges::find_if(brokers, [&](BrokerId id) { return contains(eligible, id); });
    return found == brokers.end() ? no_leader : *found;
}

// The members of the ISR that are to stay: replicas that live and do not retire; if there are none,
// whoever lives, as it has all that was acknowledged.
Brokers staying(const Brokers& isr, const Electorate& electorate) {
    const Brokers living = filter(isr, [&](BrokerId id) { return contains(electorate.alive, id); });
    const Brokers replicas =
        filter(living, [&](BrokerId id) { return contains(electorate.replicas, id); });
    Brokers staying = without(replicas, electorate.retiring);
    if (!staying.empty()) return staying;
    return replicas.empty() ? living : replicas;
}

BrokerId anyone(const Electorate& electorate) {
    const auto leader =
        first_of(electorate.replicas, without(electorate.alive, electorate.retiring));
    return leader == no_leader ? first_of(electorate.replicas, electorate.alive) : leader;
}

PartitionState led_by(PartitionState state, BrokerId leader, Brokers isr) {
    state.leader = leader;
    state.isr = std::move(isr);
    return with_next_epoch(std::move(state));
}

}  // namespace

PartitionState with_next_epoch(PartitionState state) {
    if (!base::is_planted(base::Plant::leader_epoch_kept)) {
        state.leader_epoch = state.leader_epoch + 1;
    }
    return state;
}

std::optional<PartitionState> first_state(const Electorate& electorate) {
    const BrokerId leader = anyone(electorate);
    if (leader == no_leader) return std::nullopt;
    return PartitionState{.leader = leader, .isr = filter(electorate.replicas, [&](BrokerId id) {
                                                return contains(electorate.alive, id);
                                            })};
}

std::optional<PartitionState> settled(const PartitionState& state, const Electorate& electorate) {
    Brokers isr = staying(state.isr, electorate);
    BrokerId leader = no_leader;
    if (isr.empty()) {
        if (electorate.unclean) leader = anyone(electorate);
        isr = leader == no_leader ? state.isr : Brokers{leader};
    } else if (contains(isr, state.leader)) {
        leader = state.leader;
    } else {
        leader = first_of(joined(electorate.replicas, isr), isr);
        if (base::is_planted(base::Plant::outsider_elected)) leader = anyone(electorate);
    }
    if (leader == state.leader && isr == state.isr) return std::nullopt;
    return led_by(state, leader, std::move(isr));
}

Result<PartitionState, ErrorCode> prefer(const PartitionState& state,
                                         const Electorate& electorate) {
    const BrokerId preferred =
        electorate.replicas.empty() ? no_leader : electorate.replicas.front();
    if (preferred == state.leader) return Unexpected(ErrorCode::election_not_needed);
    const bool may_lead = contains(electorate.alive, preferred) &&
                          !contains(electorate.retiring, preferred) &&
                          contains(state.isr, preferred);
    if (!may_lead) return Unexpected(ErrorCode::preferred_leader_not_available);
    return led_by(state, preferred, state.isr);
}

Result<PartitionState, ErrorCode> elect_anyone(const PartitionState& state, Electorate electorate) {
    if (contains(electorate.alive, state.leader)) {
        return Unexpected(ErrorCode::election_not_needed);
    }
    electorate.unclean = true;
    auto next = settled(state, electorate);
    if (!next || next->leader == no_leader) {
        return Unexpected(ErrorCode::eligible_leaders_not_available);
    }
    return *std::move(next);
}

Result<std::optional<PartitionState>, ErrorCode> altered(const StoredState& stored,
                                                         const IsrChange& change, BrokerId sender,
                                                         const Electorate& electorate) {
    const PartitionState& state = stored.state;
    if (change.leader_epoch > state.leader_epoch) return Unexpected(ErrorCode::not_controller);
    if (change.leader_epoch < state.leader_epoch) {
        return Unexpected(ErrorCode::fenced_leader_epoch);
    }
    if (change.partition_epoch > stored.version) return Unexpected(ErrorCode::not_controller);
    if (sender != state.leader || !contains(change.isr, sender)) {
        return Unexpected(ErrorCode::invalid_request);
    }
    PartitionState next = state;
    next.isr = change.isr;
    next.recovering = state.recovering && change.recovering;
    if (next == state) return std::nullopt;
    if (change.partition_epoch < stored.version) {
        return Unexpected(ErrorCode::invalid_update_version);
    }
    for (const BrokerId member : change.isr) {
        if (std::ranges::count(change.isr, member) > 1 || !contains(electorate.replicas, member))
            return Unexpected(ErrorCode::invalid_request);
        if (!contains(electorate.alive, member) || contains(electorate.retiring, member)) {
            return Unexpected(ErrorCode::ineligible_replica);
        }
    }
    return next;
}

}  // namespace coordinator::controller
