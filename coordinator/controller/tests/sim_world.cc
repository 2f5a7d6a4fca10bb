#include "coordinator/controller/tests/sim_world.h"

#include "coordinator/controller/brokers.h"

#include <utility>

namespace test {

using protocol::ErrorCode;

SimWorld::SimWorld(std::uint64_t seed, int count) : random_(seed) {
    tree.goes = [this](const std::string& name, const SimTopic& topic) {
        ++deletions;
        for (const auto& [index, assignment] : topic.partitions) {
            for (const BrokerId id : assignment.replicas) {
                tree.expect(!nodes.at(id).broker.replicas.contains({name, index}),
                            "a topic went before its replicas");
            }
        }
    };
    for (int id = 1; id <= count; ++id) {
        SimNode& node = nodes[BrokerId(id)];
        node.broker.id = BrokerId(id);
        join(node);
    }
    tree.create("t0", {some_brokers(), some_brokers()});
}

SimNode& SimWorld::any_node() {
    return std::next(nodes.begin(), static_cast<std::ptrdiff_t>(draw(nodes.size())))->second;
}

// One to three, in any order.
Brokers SimWorld::some_brokers() {
    Brokers all;
    for (const auto& [id, node] : nodes) all.push_back(id);
    std::ranges::shuffle(all, random_);
    all.resize(std::min<std::size_t>(all.size(), 1 + draw(3)));
    return all;
}

std::optional<std::string> SimWorld::any_topic() {
    if (tree.topics.empty()) return std::nullopt;
    const auto place = static_cast<std::ptrdiff_t>(draw(tree.topics.size()));
    return std::next(tree.topics.begin(), place)->first;
}

std::string SimWorld::incarnation(const base::TopicPartition& at, const base::Uuid& id) const {
    return at.topic + "-" + std::to_string(at.partition.value()) + "-" +
           std::string(reinterpret_cast<const char*>(id.data()), id.size());
}

// ---- sessions -----------------------------------------------------------------------------

void SimWorld::join(SimNode& node) {
    const std::int64_t epoch = ++tree.zxid;
    tree.brokers[node.broker.id] = {node.broker.id, epoch};
    node.registered = true;
    node.retires = false;
    node.broker.start(epoch, tree.epoch);
}

void SimWorld::expire(SimNode& node) {
    if (!std::exchange(node.registered, false)) return;
    tree.brokers.erase(node.broker.id);
    if (tree.controller == node.broker.id) tree.controller = BrokerId(-1);
}

void SimWorld::elect() {
    SimNode& node = any_node();
    if (tree.controller.value() != -1 || !node.broker.up || !node.registered) return;
    ++elections;
    node.writing.reset();
    node.reads = {};
    node.open.clear();
    const Term term = tree.elect(node.broker.id);
    ControllerSettings settings;
    settings.writes_max = 1 + draw(8);
    node.controller.emplace(term, settings, tree.read());
}

// The node's watches fire, some of them.
void SimWorld::look(SimNode& node, bool at_everything) {
    Controller& controller = *node.controller;
    const auto seen = [&] { return at_everything || chance(60); };
    if (tree.controller != node.broker.id || tree.epoch != controller.term().epoch) {
        if (at_everything || chance(15)) controller.resign();
        if (chance(50)) return;
    }
    for (auto& [id, other] : nodes) {
        const auto found = tree.brokers.find(id);
        if (!seen()) continue;
        if (found == tree.brokers.end()) {
            controller.broker_gone(id);
        } else {
            controller.broker_seen(found->second);
        }
    }
    for (const auto& [name, topic] : tree.topics) {
        if (seen()) controller.topic_seen(tree.read(name));
    }
    for (const std::string& name : tree.marks) {
        if (seen()) controller.topic_marked(name);
    }
}

void SimWorld::act(SimNode& node) {
    Effects effects = node.controller->take_effects();
    take_answers(effects);
    if (effects.resign) {
        ++depositions;
        node.controller.reset();
        return;
    }
    if (effects.writes) node.writing = std::move(effects.writes);
    for (auto& at : effects.reads.states) node.reads.states.push_back(std::move(at));
    for (auto& name : effects.reads.topics) node.reads.topics.push_back(std::move(name));
    const Term term = node.controller->term();
    for (BrokerRequest& request : effects.requests) {
        node.open.insert(request.id);
        auto& queue = letters_[{term.epoch, request.broker}];
        queue.push_back({node.broker.id, term, std::move(request)});
    }
}

void SimWorld::write(SimNode& node, bool may_fail) {
    if (!node.writing) return;
    const WriteBatch batch = *std::exchange(node.writing, std::nullopt);
    std::vector<Outcome> outcomes;
    bool lost = false;
    for (const Write& one : batch.writes) {
        if (may_fail && chance(5)) lost = true;
        Outcome outcome{Outcome::Kind::unknown};
        if (!lost || chance(50)) {
            const auto done = tree.write(one, batch.epoch_version, node.controller->term().epoch);
            if (!lost) outcome = done;
        }
        outcomes.push_back(outcome);
    }
    node.controller->written(batch.id, outcomes);
}

void SimWorld::answer_reads(SimNode& node) {
    const Reads reads = std::exchange(node.reads, {});
    for (const auto& at : reads.states) node.controller->state_read(at, tree.state(at));
    for (const auto& name : reads.topics) {
        if (tree.topics.contains(name)) {
            node.controller->topic_seen(tree.read(name));
        } else {
            node.controller->topic_gone(name);
        }
    }
}

// ---- messages -----------------------------------------------------------------------------

void SimWorld::deliver_letter(std::size_t place, bool again) {
    auto queue = std::next(letters_.begin(), static_cast<std::ptrdiff_t>(place));
    const Letter letter = queue->second.front();
    if (!again) {
        queue->second.pop_front();
        if (queue->second.empty()) letters_.erase(queue);
    }
    SimNode& to = nodes.at(letter.request.broker);
    if (!to.broker.up) return;
    auto answer = to.broker.receive(letter.request, letter.term,
                                    [&](const base::TopicPartition& at, const SimReplica& replica) {
                                        became_leader(to.broker.id, at, replica);
                                    });
    replies_.push_back({letter.from, letter.term.epoch, letter.request.id, std::move(answer)});
}

void SimWorld::deliver_reply(std::size_t place, bool again) {
    const Reply reply = replies_[place];
    if (!again) replies_.erase(replies_.begin() + static_cast<std::ptrdiff_t>(place));
    SimNode& node = nodes.at(reply.to);
    if (!node.controller || node.controller->term().epoch != reply.term) return;
    node.open.erase(reply.request);
    node.controller->answered(reply.request, reply.answer.error, reply.answer.partitions);
}

// The first of those that its sender has sent to the same node.
void SimWorld::deliver_question(std::size_t place) {
    const auto first = std::ranges::find_if(questions_, [&](const Question& each) {
        return each.broker == questions_[place].broker && each.to == questions_[place].to;
    });
    const Question question = *first;
    questions_.erase(first);
    SimNode& node = nodes.at(question.to);
    if (!node.controller) return;
    const Ticket ticket = next_ticket_++;
    asked_.emplace(ticket, question);
    node.controller->alter_partition(ticket, question.broker, question.broker_epoch,
                                     {question.change});
}

// What the leaders hear about the changes they asked for; some answers are lost.
void SimWorld::take_answers(const Effects& effects) {
    for (const Answer& each : effects.answers) {
        const auto* answer = std::get_if<AlterPartitionAnswer>(&each);
        if (answer == nullptr) continue;
        const Question question = asked_.at(answer->ticket);
        asked_.erase(answer->ticket);
        SimNode& node = nodes.at(question.broker);
        if (!node.broker.leads(question.change.at) || chance(10)) continue;
        SimReplica& replica = node.broker.replicas.at(question.change.at);
        if (replica.attempt != question.attempt) continue;
        replica.attempt = 0;
        if (answer->error != ErrorCode::none) continue;
        const AlteredPartition& altered = answer->partitions.front();
        const StoredState& now = altered.now;
        if (altered.error == ErrorCode::ineligible_replica) {
            replica.asks_for.reset();
        } else if (altered.error == ErrorCode::none &&
                   now.state.leader_epoch == replica.state.leader_epoch &&
                   now.version >= replica.partition_epoch && replica.asks_for == now.state.isr) {
            replica.state.isr = now.state.isr;
            replica.partition_epoch = now.version;
            replica.asks_for.reset();
        }
    }
}

void SimWorld::give_up_waiting(SimNode& node) {
    if (node.open.empty() || !node.controller) return;
    const std::uint64_t request = *node.open.begin();
    node.open.erase(request);
    node.controller->unanswered(request);
}

void SimWorld::network() {
    const bool again = chance(10);
    const bool lost = chance(5);
    switch (draw(4)) {
        case 0:
        case 1:
            if (letters_.empty()) return;
            if (!lost) return deliver_letter(draw(letters_.size()), again);
            letters_.erase(
                std::next(letters_.begin(), static_cast<std::ptrdiff_t>(draw(letters_.size()))));
            return;
        case 2:
            if (replies_.empty()) return;
            if (!lost) return deliver_reply(draw(replies_.size()), again);
            replies_.pop_back();
            return;
        default:
            if (questions_.empty()) return;
            if (!lost) return deliver_question(draw(questions_.size()));
            questions_.pop_back();
            return;
    }
}

// ---- replication --------------------------------------------------------------------------

void SimWorld::became_leader(BrokerId id, const base::TopicPartition& at,
                             const SimReplica& replica) {
    const std::string name = incarnation(at, replica.topic_id);
    const auto [known, first] = leaders_[name].emplace(replica.state.leader_epoch.value(), id);
    tree.expect(known->second == id, "two leaders in one leader epoch");
    const auto& promised = acknowledged_[name];
    bool has_all = true;
    for (std::size_t i = 0; i < promised.size(); ++i) {
        if (promised[i].by >= replica.state.leader_epoch) continue;  // Later than this one's term.
        has_all = has_all && i < replica.log.size() && replica.log[i] == promised[i].record;
    }
    tree.expect(has_all, "a leader without an acknowledged record");
}

void SimWorld::acknowledge(const base::TopicPartition& at, SimReplica& replica) {
    Brokers count = joined(replica.state.isr, replica.asks_for.value_or(Brokers{}));
    std::size_t end = replica.log.size();
    for (const BrokerId id : count) {
        if (id != replica.state.leader) end = std::min(end, replica.ends[id]);
    }
    replica.high_watermark = std::max(std::min(replica.high_watermark, replica.log.size()), end);
    auto& promised = acknowledged_[incarnation(at, replica.topic_id)];
    for (std::size_t i = 0; i < std::min(promised.size(), replica.high_watermark); ++i) {
        tree.expect(promised[i].record == replica.log[i], "two records acknowledged at one offset");
    }
    while (promised.size() < replica.high_watermark) {
        promised.push_back({replica.log[promised.size()], replica.state.leader_epoch});
        ++acknowledgements;
    }
}

// The ISR as it should be: without those who lag, with those who do not.
void SimWorld::ask_for_isr(SimNode& node, const base::TopicPartition& at, SimReplica& replica) {
    if (!replica.asks_for) {
        Brokers wanted;
        for (const BrokerId id : replica.replicas) {
            const bool is_up = node.broker.live.contains(id);
            const bool caught_up = is_up && replica.ends.contains(id) &&
                                   replica.ends[id] >= replica.high_watermark &&
                                   replica.ends[id] >= replica.epoch_start;
            if (id == node.broker.id || caught_up) wanted.push_back(id);
        }
        if (wanted == replica.state.isr) return;
        replica.asks_for = wanted;
    }
    if (replica.attempt != 0 || node.broker.controller.value() < 0) return;
    replica.attempt = next_attempt_++;
    IsrChange change{at, replica.state.leader_epoch, replica.partition_epoch, *replica.asks_for};
    for (const BrokerId id : change.isr) {
        change.member_epochs.push_back(nodes.at(id).broker.epoch);
    }
    questions_.push_back(
        {node.broker.id, node.broker.epoch, node.broker.controller, change, replica.attempt});
}

void SimWorld::replicate(SimNode& node, const base::TopicPartition& at, SimReplica& replica,
                         bool eagerly) {
    if (!node.broker.up || !replica.has_role) return;
    if (replica.state.leader != node.broker.id) {
        const auto leader = nodes.find(replica.state.leader);
        const bool can = leader != nodes.end() && leader->second.broker.leads(at);
        if (can) fetch(node.broker, leader->second.broker, at, eagerly ? 100 : draw(3));
        return;
    }
    if (!eagerly && chance(50))
        replica.log.push_back({replica.state.leader_epoch.value(), next_value_++});
    acknowledge(at, replica);
    if (eagerly || chance(5)) replica.attempt = 0;
    if (eagerly || chance(30)) ask_for_isr(node, at, replica);
}

void SimWorld::replicate(bool eagerly) {
    for (auto& [id, node] : nodes) {
        for (auto& [at, replica] : node.broker.replicas) {
            if (eagerly || chance(30)) replicate(node, at, replica, eagerly);
        }
    }
}

}  // namespace test
