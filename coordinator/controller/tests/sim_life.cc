// What happens in a SimWorld: steps, troubles, the wishes of its administrator, and the end.

#include "coordinator/controller/brokers.h"
#include "coordinator/controller/tests/sim_world.h"

#include <utility>

namespace test {

void SimWorld::step() {
    if (chance(30)) elect();
    SimNode& node = any_node();
    if (node.controller) {
        if (chance(50)) look(node, false);
        if (chance(70)) act(node);
    }
    if (node.controller && chance(70)) write(node, true);
    if (node.controller && chance(70)) answer_reads(node);
    if (node.controller && chance(10)) give_up_waiting(node);
    for (int i = 0; i < 4; ++i) network();
    if (chance(40)) replicate(false);
    if (chance(6)) trouble();
    if (chance(10)) administer();
}

void SimWorld::trouble() {
    SimNode& node = any_node();
    switch (draw(5)) {
        case 0:  // Killed; whoever watches its session hears of it later.
            node.broker.kill();
            node.controller.reset();
            node.writing.reset();
            return;
        case 1:  // Cut off from the tree, which it does not know yet: it leads and controls on.
            return expire(node);
        case 2:  // Somebody has removed the controller's node.
            tree.controller = BrokerId(-1);
            return;
        default:  // Back, maybe before anybody saw that it was gone.
            if (node.broker.up && node.registered) return;
            expire(node);
            if (!node.broker.up) node.controller.reset();
            return join(node);
    }
}

void SimWorld::reassign_something() {
    const auto name = any_topic();
    SimNode& node = nodes.contains(tree.controller) ? nodes.at(tree.controller) : any_node();
    if (!name || !node.controller) return;
    std::optional<Brokers> target;
    if (chance(80)) target = some_brokers();
    ++moves;
    node.controller->reassign(next_ticket_++, {{{*name, base::PartitionIndex(0)}, target}});
}

void SimWorld::administer() {
    const auto name = any_topic();
    SimNode& node = any_node();
    switch (draw(8)) {
        case 0:
        case 1:
            if (tree.topics.size() < 4) {
                const int number = chance(70) ? next_topic_++ : 0;
                const std::string created = "t" + std::to_string(number);
                if (!tree.topics.contains(created)) {
                    tree.create(created, {some_brokers(), some_brokers()});
                }
            }
            return;
        case 2:
            if (name && tree.topics.at(*name).partitions.size() < 4) {
                tree.add_partition(*name, some_brokers());
            }
            return;
        case 3:
            if (name) tree.marks.insert(*name);
            return;
        case 4:
        case 5:
            return reassign_something();
        case 6:
            if (node.controller) node.controller->rebalance_leaders();
            return;
        default:
            if (node.controller && node.controller->image().find_broker(node.broker.id)) {
                const BrokerId leaving = any_node().broker.id;
                node.controller->shut_down(next_ticket_++, leaving, nodes.at(leaving).broker.epoch);
                nodes.at(leaving).retires = true;
            }
            return;
    }
}

// ---- the end ------------------------------------------------------------------------------

// One that lost its replica while it could not be reached may not know that.
bool SimWorld::is_assigned(BrokerId id, const base::TopicPartition& at) const {
    const auto topic = tree.topics.find(at.topic);
    if (topic == tree.topics.end()) return false;
    const auto partition = topic->second.partitions.find(at.partition);
    return partition != topic->second.partitions.end() && contains(partition->second.replicas, id);
}

// What is still to be done; nothing when the cluster is at rest.
std::string SimWorld::unrest() const {
    const auto node = nodes.find(tree.controller);
    if (node == nodes.end() || !node->second.controller) return "there is no controller";
    if (!tree.marks.empty()) {
        const Topic* topic = node->second.controller->image().find_topic(*tree.marks.begin());
        std::string why = "topic " + *tree.marks.begin() + " is not deleted";
        if (topic == nullptr) return why + ": nobody knows it";
        for (const auto& [key, id] : topic->undeleted) {
            const Partition* partition = node->second.controller->image().find(key);
            const auto index = partition == nullptr ? -1 : partition->index.value();
            why += ", not " + std::to_string(index) + " on broker " + std::to_string(id.value());
        }
        return why;
    }
    for (const auto& [id, each] : nodes) {
        for (const auto& [at, replica] : each.broker.replicas) {
            if (replica.asks_for && is_assigned(id, at)) {
                return "broker " + std::to_string(id.value()) + " asks for an ISR of " + at.topic +
                       "-" + std::to_string(at.partition.value()) + " in epoch " +
                       std::to_string(replica.state.leader_epoch.value());
            }
        }
    }
    if (!node->second.controller->is_idle()) return "the controller is busy";
    const bool silent = letters_.empty() && replies_.empty() && questions_.empty();
    return silent ? "" : "somebody writes";
}

void SimWorld::heal() {
    for (auto& [id, node] : nodes) {
        if (node.retires || !node.broker.up || !node.registered) {
            expire(node);
            join(node);
        }
    }
    int quiet = 0;
    for (int round = 0; round < 400 && quiet < 3; ++round) {
        elect();
        for (auto& [id, node] : nodes) {
            if (node.controller) look(node, true);
            if (node.controller) act(node);
            if (node.controller) write(node, false);
            if (node.controller) answer_reads(node);
        }
        while (!letters_.empty()) deliver_letter(0, false);
        while (!replies_.empty()) deliver_reply(0, false);
        for (auto& [id, node] : nodes) {
            while (node.controller && !node.open.empty()) give_up_waiting(node);
        }
        replicate(true);
        while (!questions_.empty()) deliver_question(0);
        for (auto& [id, node] : nodes) {
            if (node.controller) act(node);  // Whoever leads no more may ask for ever.
        }
        quiet = unrest().empty() ? quiet + 1 : 0;
    }
    tree.expect(quiet == 3, "the cluster does not come to rest: " + unrest());
}

void SimWorld::check() {
    tree.expect(tree.marks.empty(), "a deletion did not end");
    for (const auto& [name, topic] : tree.topics) {
        for (const auto& [index, assignment] : topic.partitions) {
            const base::TopicPartition at{name, index};
            const auto stored = tree.state(at);
            tree.expect(stored.has_value(), "a partition has no state");
            if (!stored) return;
            tree.expect(!assignment.is_moving(), "a reassignment did not end");
            tree.expect(stored->state.leader != no_leader, "a partition has no leader");
            tree.expect(contains(assignment.replicas, stored->state.leader),
                        "somebody leads who is no replica");
            tree.expect(stored->state.isr.size() == assignment.replicas.size() &&
                            contains_all(assignment.replicas, stored->state.isr),
                        "not all replicas are in sync");
            for (const BrokerId id : assignment.replicas) {
                const SimReplica& replica = nodes.at(id).broker.replicas[at];
                tree.expect(replica.has_role && replica.state.leader == stored->state.leader &&
                                replica.state.leader_epoch == stored->state.leader_epoch &&
                                replica.replicas == assignment.replicas,
                            "a replica does not know its role: " + name + "-" +
                                std::to_string(index.value()) + " on " +
                                std::to_string(id.value()));
            }
            for (const auto& [id, node] : nodes) {
                const auto known = node.broker.metadata.find(at);
                tree.expect(known != node.broker.metadata.end() &&
                                known->second.state == stored->state &&
                                known->second.partition_epoch == stored->version &&
                                known->second.replicas == assignment.replicas &&
                                known->second.offline.empty(),
                            "a broker's metadata are not the tree's");
            }
        }
    }
}

}  // namespace test
