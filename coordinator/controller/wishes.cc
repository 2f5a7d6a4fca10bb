// What brokers and clients ask of partitions, and what they are answered.

#include "coordinator/controller/brokers.h"
#include "coordinator/controller/controller.h"
#include "coordinator/controller/reassignment.h"

#include <unordered_map>
#include <utility>

namespace coordinator::controller {

using base::BrokerId;
using protocol::ErrorCode;

// ---- asking -------------------------------------------------------------------------------

void Controller::ask(Question question, std::optional<Ticket> ticket, std::vector<Wish> wishes) {
    const std::size_t count = wishes.size();
    Asked asked{question, ticket, std::move(wishes), count};
    if (resigned_ || count == 0) {
        answer(asked);
    } else {
        asked_.emplace(next_id_++, std::move(asked));
    }
}

void Controller::alter_partition(Ticket ticket, BrokerId broker, std::int64_t broker_epoch,
                                 std::vector<IsrChange> changes) {
    const Broker* known = image_.find_broker(broker);
    const bool current = known != nullptr && known->epoch == broker_epoch;
    if (resigned_ || !current) {
        effects_.answers.push_back(AlterPartitionAnswer{
            ticket, resigned_ ? ErrorCode::not_controller : ErrorCode::stale_broker_epoch});
        return;
    }
    std::vector<Wish> wishes;
    for (IsrChange& change : changes) {
        auto at = change.at;
        wishes.push_back({std::move(at), Alteration{broker, std::move(change)}});
    }
    ask(Question::alteration, ticket, std::move(wishes));
}

void Controller::elect_leaders(Ticket ticket, ElectionKind kind,
                               const std::optional<std::vector<base::TopicPartition>>& partitions) {
    std::vector<Wish> wishes;
    if (partitions) {
        for (const auto& at : *partitions) wishes.push_back({at, kind});
    } else {
        image_.for_each([&](const Partition& partition) {
            if (!partition.topic->is_deleting) wishes.push_back({partition.at(), kind});
        });
    }
    ask(partitions ? Question::election : Question::election_of_all, ticket, std::move(wishes));
}

void Controller::reassign(Ticket ticket, std::vector<Reassignment> reassignments) {
    std::vector<Wish> wishes;
    for (Reassignment& each : reassignments) {
        wishes.push_back({std::move(each.at), std::move(each.target)});
    }
    ask(Question::reassignment, ticket, std::move(wishes));
}

void Controller::rebalance_leaders() {
    struct Share {
        std::size_t partitions = 0;
        std::vector<base::TopicPartition> elsewhere;
    };
    std::map<BrokerId, Share> shares;
    image_.for_each([&](const Partition& partition) {
        const bool counts = partition.stored && !partition.topic->is_deleting &&
                            !partition.assignment.replicas.empty();
        if (!counts) return;
        const BrokerId preferred = partition.assignment.replicas.front();
        Share& share = shares[preferred];
        ++share.partitions;
        if (partition.stored->state.leader != preferred && !partition.assignment.is_moving()) {
            share.elsewhere.push_back(partition.at());
        }
    });
    const auto percentage = static_cast<std::size_t>(settings_.imbalance_percentage);
    std::vector<Wish> wishes;
    for (auto& [id, share] : shares) {
        if (image_.find_broker(id) == nullptr || image_.is_retiring(id)) continue;
        if (share.elsewhere.size() * 100 <= share.partitions * percentage) continue;
        for (auto& at : share.elsewhere) wishes.push_back({std::move(at), ElectionKind::preferred});
    }
    ask(Question::election, std::nullopt, std::move(wishes));
}

// ---- judging ------------------------------------------------------------------------------

bool Controller::names_another_life(const IsrChange& change) const {
    const std::size_t said = std::min(change.isr.size(), change.member_epochs.size());
    for (std::size_t i = 0; i < said; ++i) {
        const Broker* broker = image_.find_broker(change.isr[i]);
        const bool differs = broker != nullptr && broker->epoch != change.member_epochs[i];
        if (differs && change.member_epochs[i] >= 0) return true;
    }
    return false;
}

void Controller::judge_wishes(Batch& batch) {
    std::vector<std::uint64_t> all;
    for (const auto& [id, asked] : asked_) all.push_back(id);
    for (const std::uint64_t id : all) {
        for (std::size_t i = 0; !batch.is_full(settings_.writes_max); ++i) {
            const auto asked = asked_.find(id);  // It goes with its last wish.
            if (asked == asked_.end() || i >= asked->second.wishes.size()) break;
            Wish& wish = asked->second.wishes[i];
            if (wish.stage == Wish::Stage::open) judge(wish, {id, i}, batch);
        }
    }
}

void Controller::judge(Wish& wish, WishPlace place, Batch& batch) {
    Partition* partition = image_.find(wish.at);
    if (partition == nullptr || partition->topic->is_deleting) {
        return fulfil(place, ErrorCode::unknown_topic_or_partition);
    }
    if (partition->is_busy() || partition->next) return;
    if (const auto* target = std::get_if<Target>(&wish.wanted)) {
        if (partition->topic->is_writing || partition->topic->is_reading) return;
        std::optional<PartitionState> state;
        if (partition->stored) state = partition->stored->state;
        auto next = reassigned(partition->assignment, *target, image_.live(), state);
        if (!next) return fulfil(place, next.error());
        if (*next == partition->assignment) return fulfil(place, ErrorCode::none);
        partition->next = *std::move(next);
        wish.stage = Wish::Stage::writing;
        topics_to_write_.insert(wish.at.topic);
        return;
    }
    const auto electorate = image_.electorate(*partition);
    if (const auto* kind = std::get_if<ElectionKind>(&wish.wanted)) {
        const auto state = partition->stored.value_or(StoredState{}).state;
        const auto next = *kind == ElectionKind::preferred ? prefer(state, electorate)
                                                           : elect_anyone(state, electorate);
        if (!next) return fulfil(place, next.error());
        return grant(batch, *partition, place, wish, *next, false);
    }
    const auto& [sender, change] = std::get<Alteration>(wish.wanted);
    if (!partition->stored) return fulfil(place, ErrorCode::unknown_topic_or_partition);
    auto next = altered(*partition->stored, change, sender, electorate);
    if (!next) return fulfil(place, next.error());
    if (!*next) return fulfil(place, ErrorCode::none, *partition->stored);
    if (names_another_life(change)) return fulfil(place, ErrorCode::ineligible_replica);
    grant(batch, *partition, place, wish, **std::move(next), true);
}

void Controller::grant(Batch& batch, Partition& partition, WishPlace place, Wish& wish,
                       PartitionState next, bool by_leader) {
    wish.stage = Wish::Stage::writing;
    write_state(batch, partition, std::move(next), {.wishes = {place}, .by_leader = by_leader});
}

// ---- answering ----------------------------------------------------------------------------

void Controller::fulfil(WishPlace place, ErrorCode error, const StoredState& now) {
    const auto found = asked_.find(place.asked);
    if (found == asked_.end()) return;
    Wish& wish = found->second.wishes[place.wish];
    wish.stage = Wish::Stage::fulfilled;
    wish.error = error;
    wish.now = now;
    if (--found->second.unfulfilled > 0) return;
    answer(found->second);
    asked_.erase(found);
}

void Controller::reopen(WishPlace place) {
    const auto found = asked_.find(place.asked);
    if (found != asked_.end()) found->second.wishes[place.wish].stage = Wish::Stage::open;
}

// The moves of a topic that goes have not begun and never will.
void Controller::reopen_moves(const std::string& topic) {
    for (auto& [id, asked] : asked_) {
        if (asked.question != Question::reassignment) continue;
        for (Wish& wish : asked.wishes) {
            const bool waits = wish.stage == Wish::Stage::writing && wish.at.topic == topic;
            if (waits) wish.stage = Wish::Stage::open;
        }
    }
}

void Controller::answer(const Asked& asked) {
    if (!asked.ticket) return;
    const auto error = resigned_ ? ErrorCode::not_controller : ErrorCode::none;
    if (asked.question == Question::alteration) {
        AlterPartitionAnswer altered{*asked.ticket, error};
        for (const Wish& wish : asked.wishes) {
            if (!resigned_) altered.partitions.push_back({wish.at, wish.error, wish.now});
        }
        effects_.answers.push_back(std::move(altered));
        return;
    }
    std::vector<PartitionError> errors;
    for (const Wish& wish : asked.wishes) {
        const bool is_news = asked.question != Question::election_of_all ||
                             wish.error != ErrorCode::election_not_needed;
        if (is_news && !resigned_) errors.push_back({wish.at, wish.error});
    }
    if (asked.question == Question::reassignment) {
        effects_.answers.push_back(ReassignmentAnswer{*asked.ticket, error, std::move(errors)});
    } else {
        effects_.answers.push_back(ElectLeadersAnswer{*asked.ticket, error, std::move(errors)});
    }
}

// ---- controlled shutdown ------------------------------------------------------------------

void Controller::shut_down(Ticket ticket, BrokerId broker, std::int64_t broker_epoch) {
    const Broker* known = image_.find_broker(broker);
    auto error = ErrorCode::none;
    if (resigned_) {
        error = ErrorCode::not_controller;
    } else if (known == nullptr) {
        error = ErrorCode::unknown_server_error;
    } else if (known->epoch != broker_epoch) {
        error = ErrorCode::stale_broker_epoch;
    }
    if (error != ErrorCode::none) {
        effects_.answers.push_back(ShutdownAnswer{ticket, error});
        return;
    }
    image_.retire(broker);
    unsettle_all_of(broker);
    shutdowns_.push_back({ticket, broker});
}

// When everything is settled, what they could be freed of is led elsewhere.
void Controller::end_shutdowns() {
    for (const auto& [ticket, broker] : std::exchange(shutdowns_, {})) {
        ShutdownAnswer answer{ticket};
        if (image_.find_broker(broker) == nullptr) {
            answer.error = ErrorCode::stale_broker_epoch;
        } else {
            answer.remaining = move_away_from(broker);
        }
        effects_.answers.push_back(std::move(answer));
    }
}

// What the broker follows it is to stop; what it still leads is the answer. Partitions without
// another replica are let go with it.
std::vector<base::TopicPartition> Controller::move_away_from(BrokerId broker) {
    std::vector<base::TopicPartition> remaining;
    for (const Key key : image_.partitions_of(broker)) {
        const Partition& partition = *image_.find(key);
        const bool has_others = partition.assignment.replicas.size() > 1;
        if (!has_others || !partition.stored || partition.topic->is_deleting) continue;
        if (partition.stored->state.leader == broker) {
            remaining.push_back(partition.at());
        } else if (contains(partition.told_replicas(), broker)) {
            stop_replica(partition, broker, false);
        }
    }
    return remaining;
}

}  // namespace coordinator::controller
