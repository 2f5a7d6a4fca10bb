// From facts to writes, and from what became of them back to facts.

#include "coordinator/controller/brokers.h"
#include "coordinator/controller/controller.h"
#include "coordinator/controller/reassignment.h"
#include "protocol/base/ensure.h"
#include "protocol/base/plant.h"

#include <utility>

namespace coordinator::controller {

using base::BrokerId;
using protocol::ErrorCode;

namespace {

// Whether with `next` a move is over whose replicas know that already.
bool ends_move(const Partition& partition, const Assignment& next) {
    return partition.is_finishing && next == finished(partition.assignment);
}

}  // namespace

void Controller::Batch::add(Write write, Purpose purpose) {
    content.writes.push_back(std::move(write));
    purposes.push_back(std::move(purpose));
}

// ---- what is to be written ----------------------------------------------------------------

bool Controller::is_settled() const {
    return unsettled_.empty() && reading_ == 0;
}

void Controller::advance() {
    while (!batch_ && !resigned_) {
        Batch batch;
        settle(batch);
        if (batch.content.writes.empty() && is_settled()) {
            end_shutdowns();
            take_in_arrivals();
            settle(batch);
        }
        judge_wishes(batch);
        write_topics(batch);
        remove_topics(batch);
        if (batch.content.writes.empty()) return;
        batch.content.id = next_id_++;
        const bool fenced = !base::is_planted(base::Plant::controller_unfenced);
        batch.content.epoch_version = fenced ? term_.epoch_version : -1;
        effects_.writes = batch.content;
        batch_ = std::move(batch);
    }
}

void Controller::settle(Batch& batch) {
    while (!unsettled_.empty() && !batch.is_full(settings_.writes_max)) {
        Partition* partition = image_.find(unsettled_.extract(unsettled_.begin()).value());
        if (partition == nullptr || partition->topic->is_deleting || partition->is_reading)
            continue;
        Purpose purpose;
        if (auto next = decide(*partition, purpose)) {
            write_state(batch, *partition, *std::move(next), purpose);
        } else {
            end_move_if_removed(*partition);
        }
    }
}

std::optional<PartitionState> Controller::decide(const Partition& partition,
                                                 Purpose& purpose) const {
    auto electorate = image_.electorate(partition);
    if (!partition.stored) return first_state(electorate);
    const PartitionState& state = partition.stored->state;
    bool wants_epoch = partition.wants_epoch;
    if (!partition.is_finishing && is_caught_up(partition.assignment, state.isr)) {
        const Brokers target = partition.assignment.target();
        if (std::ranges::any_of(target,
                                [&](BrokerId id) { return contains(electorate.alive, id); })) {
            electorate.replicas = target;
            purpose.finishes = wants_epoch = true;
        }
    }
    auto next = settled(state, electorate);
    if (!next && wants_epoch) next = with_next_epoch(state);
    return next;
}

void Controller::write_state(Batch& batch, Partition& partition, PartitionState next,
                             Purpose purpose) {
    next.controller_epoch = term_.epoch;
    partition.is_writing = true;
    std::optional<std::int32_t> version;
    if (partition.stored) version = partition.stored->version;
    batch.add(StateWrite{partition.at(), next, version}, std::move(purpose));
    if (base::is_planted(base::Plant::told_before_written)) {
        image_.store(partition, StoredState{std::move(next), version.value_or(-1) + 1});
        tell(partition);
    }
}

void Controller::write_topics(Batch& batch) {
    for (const std::string& name : std::exchange(topics_to_write_, {})) {
        Topic* topic = image_.find_topic(name);
        if (topic == nullptr || topic->is_deleting) continue;
        if (topic->is_reading || batch.is_full(settings_.writes_max)) {
            topics_to_write_.insert(name);
        } else {
            write_topic(batch, *topic);
        }
    }
}

// Its assignments as they are to be. Where replicas come or go, the next leader epoch tells those
// who stay; the end of a move is no news to them.
void Controller::write_topic(Batch& batch, Topic& topic) {
    TopicWrite write{topic.name, topic.id, {}, topic.version};
    for (const auto& [index, key] : topic.partitions) {
        Partition& partition = *image_.find(key);
        write.partitions.emplace_back(index, partition.next.value_or(partition.assignment));
        const bool is_news =
            partition.next && partition.stored && !ends_move(partition, *partition.next);
        if (!is_news) continue;
        const auto& [state, version] = *partition.stored;
        auto next = settled(state, image_.electorate(partition, partition.next->replicas))
                        .value_or(with_next_epoch(state));
        next.controller_epoch = term_.epoch;
        partition.is_writing = true;
        write.states.push_back({partition.at(), std::move(next), version});
    }
    Purpose purpose;
    for (const auto& [id, asked] : asked_) {
        if (asked.question != Question::reassignment) continue;
        for (std::size_t i = 0; i < asked.wishes.size(); ++i) {
            const Wish& wish = asked.wishes[i];
            const bool is_in_it = wish.stage == Wish::Stage::writing && wish.at.topic == topic.name;
            if (is_in_it) purpose.wishes.push_back({id, i});
        }
    }
    topic.is_writing = true;
    batch.add(std::move(write), std::move(purpose));
}

void Controller::remove_topics(Batch& batch) {
    for (const std::string& name : std::exchange(topics_to_remove_, {})) {
        const Topic* topic = image_.find_topic(name);
        if (topic == nullptr) {
            batch.add(TopicRemoval{name, std::nullopt}, {});
        } else if (topic->is_deleting && topic->undeleted.empty()) {
            batch.add(TopicRemoval{name, topic->id}, {});
        }
    }
}

// ---- what became of it --------------------------------------------------------------------

void Controller::written(std::uint64_t id, const std::vector<Outcome>& outcomes) {
    if (resigned_ || !batch_ || batch_->content.id != id) return;
    const Batch batch = *std::exchange(batch_, std::nullopt);
    base::ensure(outcomes.size() == batch.content.writes.size(), "each write has an outcome");
    if (std::ranges::any_of(outcomes, [](const Outcome& outcome) {
            return outcome.kind == Outcome::Kind::deposed;
        })) {
        return resign();
    }
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
        std::visit([&](const auto& write) { outcome_of(write, batch.purposes[i], outcomes[i]); },
                   batch.content.writes[i]);
    }
}

void Controller::outcome_of(const StateWrite& write, const Purpose& purpose,
                            const Outcome& outcome) {
    const bool done = outcome.kind == Outcome::Kind::done;
    for (const WishPlace place : purpose.wishes) {
        if (done) {
            fulfil(place, ErrorCode::none, {write.next, outcome.version});
        } else {
            reopen(place);
        }
    }
    Partition* partition = image_.find(write.at);
    if (partition == nullptr || !partition->is_writing) return;
    partition->is_writing = false;
    if (done) stored(*partition, write.next, outcome.version, purpose);
    if (!done || std::exchange(partition->reads_again, false)) read(*partition);
}

void Controller::stored(Partition& partition, const PartitionState& state, std::int32_t version,
                        const Purpose& purpose) {
    image_.store(partition, StoredState{state, version});
    tell_metadata(partition.key);
    if (partition.assignment.is_moving()) unsettled_.insert(partition.key);
    if (purpose.by_leader) return;
    partition.wants_epoch = false;
    if (purpose.finishes) partition.is_finishing = true;
    tell(partition);
    const bool may_leave = std::ranges::none_of(
        partition.leaving, [&](BrokerId id) { return contains(state.isr, id); });
    if (may_leave) {
        for (const BrokerId id : image_.release(partition)) stop_replica(partition, id, true);
    }
    if (purpose.finishes) remove_old_replicas(partition);
}

void Controller::remove_old_replicas(Partition& partition) {
    for (const BrokerId id : partition.assignment.removing) {
        if (image_.find_broker(id) == nullptr) continue;
        add(partition.stopping, id);
        stop_replica(partition, id, true);
    }
    end_move_if_removed(partition);
}

// Whoever is away is not waited for.
void Controller::end_move_if_removed(Partition& partition) {
    if (!partition.is_finishing || !partition.stopping.empty() || partition.next) return;
    partition.next = finished(partition.assignment);
    topics_to_write_.insert(partition.topic->name);
}

void Controller::outcome_of(const TopicWrite& write, const Purpose& purpose,
                            const Outcome& outcome) {
    const bool done = outcome.kind == Outcome::Kind::done;
    for (const WishPlace place : purpose.wishes) {
        if (done) {
            fulfil(place, ErrorCode::none);
        } else {
            reopen(place);
        }
    }
    Topic* topic = image_.find_topic(write.topic);
    if (topic == nullptr || topic->id != write.id || !topic->is_writing) return;
    topic->is_writing = false;
    if (done) {
        topic->version = outcome.version;
        for (const auto& [index, assignment] : write.partitions) {
            Partition* partition = image_.find({write.topic, index});
            if (partition == nullptr) continue;
            if (partition->next == assignment) partition->next.reset();
            if (partition->next) topics_to_write_.insert(write.topic);
            if (partition->assignment != assignment) assigned(*partition, assignment);
        }
    }
    for (const StateWrite& each : write.states) {
        outcome_of(each, {}, done ? Outcome{Outcome::Kind::done, *each.version + 1} : outcome);
    }
    if (!done || std::exchange(topic->reads_again, false)) read(*topic);
}

void Controller::assigned(Partition& partition, const Assignment& assignment) {
    const bool has_ended = ends_move(partition, assignment);
    image_.assign(partition, assignment);
    if (has_ended) {
        image_.release(partition);  // They have been stopped.
        return tell_metadata(partition.key);
    }
    partition.wants_epoch = true;
    unsettled_.insert(partition.key);
}

void Controller::outcome_of(const TopicRemoval& write, const Purpose&, const Outcome& outcome) {
    const Topic* topic = image_.find_topic(write.topic);
    const bool is_known = topic != nullptr && write.id == topic->id;
    if (outcome.kind == Outcome::Kind::done) {
        if (is_known) forget(write.topic);
    } else if (is_known || outcome.kind == Outcome::Kind::unknown) {
        topics_to_remove_.insert(write.topic);
    } else if (topic == nullptr) {  // There is one that nobody has told of.
        marked_.insert(write.topic);
        effects_.reads.topics.push_back(write.topic);
    }
}

// ---- what has to be known again -----------------------------------------------------------

void Controller::read(Partition& partition) {
    if (partition.is_busy()) {
        partition.reads_again = true;
        return;
    }
    partition.is_reading = true;
    ++reading_;
    effects_.reads.states.push_back(partition.at());
}

void Controller::read(Topic& topic) {
    topic.is_reading = true;
    effects_.reads.topics.push_back(topic.name);
}

void Controller::state_read(const base::TopicPartition& at, std::optional<StoredState> stored) {
    Partition* partition = image_.find(at);
    if (resigned_ || partition == nullptr || !partition->is_reading) return;
    partition->is_reading = false;
    --reading_;
    if (std::exchange(partition->reads_again, false)) return read(*partition);
    if (partition->stored != stored) {
        image_.store(*partition, std::move(stored));
        tell_metadata(partition->key);
        if (partition->next) {  // Written together with an assignment that is not known yet.
            partition->wants_epoch = true;
        } else {
            tell(*partition);
        }
    }
    unsettled_.insert(partition->key);
}

}  // namespace coordinator::controller
