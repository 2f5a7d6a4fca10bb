#include "broker/cluster/controller_tree.h"

#include "broker/cluster/cluster_core.h"
#include "broker/cluster/config_control.h"
#include "broker/cluster/znodes.h"
#include "broker/config/value.h"
#include "protocol/base/log.h"
#include "storage/names.h"

#include <algorithm>
#include <iterator>
#include <span>
#include <utility>

namespace broker {

using base::BrokerId;
using base::PartitionIndex;
using base::Result;
using base::Unexpected;
using control::Outcome;
using coordinator::NodeView;
using coordinator::Op;
using coordinator::ZkError;
namespace path = znodes::path;

namespace {

// ---- one node -----------------------------------------------------------------------------

std::int16_t number_of(std::string_view security_protocol) {
    constexpr std::string_view names[] = {"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"};
    const auto found = std::ranges::find(names, security_protocol);
    return static_cast<std::int16_t>(found == std::end(names) ? 0 : found - std::begin(names));
}

std::optional<control::Broker> broker_of(const std::string& name,
                                         const std::optional<NodeView>& node) {
    if (!node) return std::nullopt;
    const auto id = parse_integer(name);
    const auto known = node->data ? znodes::parse_broker(*node->data) : std::nullopt;
    if (!id || !std::in_range<std::int32_t>(*id) || !known) {
        base::log_warn("controller", std::string(path::broker_ids) + "/" + name +
                                         " does not describe a broker; it is left out");
        return std::nullopt;
    }
    control::Broker broker{
        BrokerId(static_cast<std::int32_t>(*id)), node->stat.czxid.value(), {}, known->rack};
    for (const auto& each : known->endpoints) {
        broker.endpoints.push_back(
            {each.listener, each.host, each.port, number_of(each.security_protocol)});
    }
    return broker;
}

control::Assignment assignment_of(const znodes::TopicAssignment& topic, PartitionIndex index,
                                  const control::Brokers& replicas) {
    const auto part = [&](const znodes::TopicAssignment::Replicas& of) {
        const auto found = of.find(index);
        return found == of.end() ? control::Brokers() : found->second;
    };
    return {replicas, part(topic.adding_replicas), part(topic.removing_replicas)};
}

std::optional<bool> unclean_elections_of(const std::string& where,
                                         const std::optional<NodeView>& config) {
    const auto values = config_of(where, config);
    const auto found = values.find("unclean.leader.election.enable");
    if (found == values.end()) return std::nullopt;
    return found->second == "true";
}

std::optional<control::StoredState> state_of(const std::string& where,
                                             const std::optional<NodeView>& node) {
    if (!node) return std::nullopt;
    const auto known = node->data ? znodes::parse_partition_state(*node->data) : std::nullopt;
    if (!known) {
        base::log_warn("controller",
                       where + " does not hold a partition's state; it has no leader");
        return control::StoredState{{}, node->stat.version};
    }
    control::PartitionState state{known->leader, known->leader_epoch, known->isr,
                                  known->controller_epoch, known->recovering};
    return control::StoredState{std::move(state), node->stat.version};
}

std::string text_of(const control::PartitionState& state) {
    return znodes::write(znodes::PartitionState{state.controller_epoch, state.leader,
                                                state.leader_epoch, state.isr, state.recovering});
}

std::string text_of(const control::TopicWrite& write) {
    znodes::TopicAssignment topic;
    if (write.id != base::Uuid{}) topic.topic_id = write.id;
    for (const auto& [index, assignment] : write.partitions) {
        topic.partitions.emplace(index, assignment.replicas);
        if (!assignment.adding.empty()) topic.adding_replicas.emplace(index, assignment.adding);
        if (!assignment.removing.empty())
            topic.removing_replicas.emplace(index, assignment.removing);
    }
    return znodes::write(topic);
}

Op in_term(std::int32_t epoch_version) {
    return coordinator::Check{std::string(path::controller_epoch), epoch_version};
}

// Whether it was the check of in_term(), the first op.
bool is_over(const coordinator::Refused& refused) {
    return refused.at == 0 &&
           (refused.error == ZkError::bad_version || refused.error == ZkError::no_node);
}

// Whether the tree is not as a write expected it.
bool is_conflict(ZkError error) {
    return error == ZkError::bad_version || error == ZkError::no_node ||
           error == ZkError::node_exists || error == ZkError::not_empty;
}

// ---- topics -------------------------------------------------------------------------------

struct FoundTopic {
    std::string name;
    NodeView node;
    znodes::TopicAssignment assignment;
};

Result<std::vector<FoundTopic>, ZkError> find_topics(MetadataStore& store,
                                                     const std::vector<std::string>& names) {
    std::vector<std::string> paths;
    for (const auto& name : names) paths.push_back(path::topic(name));
    auto nodes = store.get(paths);
    if (!nodes) return Unexpected(nodes.error());
    std::vector<FoundTopic> found;
    for (std::size_t i = 0; i < names.size(); ++i) {
        auto& node = (*nodes)[i];
        if (!node) continue;
        auto assignment = node->data ? znodes::parse_topic(*node->data) : std::nullopt;
        if (!assignment || !storage::is_topic_name(names[i])) {
            base::log_warn("controller", paths[i] + " does not hold a topic; it is left out");
            continue;
        }
        found.push_back({names[i], *std::move(node), *std::move(assignment)});
    }
    return found;
}

// False when one of them has changed meanwhile.
Result<bool, ZkError> name_topics(MetadataStore& store, const TermOfTree& term,
                                  std::vector<FoundTopic>& topics) {
    for (FoundTopic& topic : topics) {
        if (topic.assignment.topic_id || !term.random_id) continue;
        topic.assignment.topic_id = term.random_id();
        auto done = store.commit(
            {in_term(term.epoch_version),
             coordinator::SetData{path::topic(topic.name), znodes::write(topic.assignment),
                                  topic.node.stat.version}});
        if (!done && is_over(done.error())) return Unexpected(ZkError::bad_version);
        if (!done && is_conflict(done.error().error)) return false;
        if (!done) return Unexpected(ZkError::connection_loss);
        topic.node.stat = done->results.back().stat;
    }
    return true;
}

}  // namespace

// ---- reads --------------------------------------------------------------------------------

Result<std::vector<control::Broker>, ZkError> read_brokers(MetadataStore& store) {
    const auto names = store.children(std::string(path::broker_ids));
    if (!names) return Unexpected(names.error());
    std::vector<std::string> paths;
    for (const auto& name : *names) paths.push_back(std::string(path::broker_ids) + "/" + name);
    const auto nodes = store.get(paths);
    if (!nodes) return Unexpected(nodes.error());
    std::vector<control::Broker> brokers;
    for (std::size_t i = 0; i < names->size(); ++i) {
        if (auto broker = broker_of((*names)[i], (*nodes)[i])) {
            brokers.push_back(*std::move(broker));
        }
    }
    return brokers;
}

Result<std::vector<std::optional<control::StoredState>>, ZkError> read_states(
    MetadataStore& store, const std::vector<base::TopicPartition>& partitions) {
    std::vector<std::string> paths;
    for (const auto& at : partitions) {
        paths.push_back(path::partition_state(at.topic, at.partition));
    }
    const auto nodes = store.get(paths);
    if (!nodes) return Unexpected(nodes.error());
    std::vector<std::optional<control::StoredState>> states;
    for (std::size_t i = 0; i < paths.size(); ++i)
        states.push_back(state_of(paths[i], (*nodes)[i]));
    return states;
}

Result<std::vector<control::TopicNode>, ZkError> read_topics(
    MetadataStore& store, const TermOfTree& term, const std::vector<std::string>& names) {
    std::vector<FoundTopic> found;
    for (bool named = false; !named;) {
        auto read = find_topics(store, names);
        if (!read) return Unexpected(read.error());
        found = *std::move(read);
        const auto done = name_topics(store, term, found);
        if (!done) return Unexpected(done.error());
        named = *done;
    }
    std::vector<std::string> configs;
    std::vector<base::TopicPartition> partitions;
    for (const FoundTopic& topic : found) {
        configs.push_back(topic_config_path(topic.name));
        for (const auto& [index, replicas] : topic.assignment.partitions) {
            partitions.push_back({topic.name, index});
        }
    }
    const auto config = store.get(configs);
    if (!config) return Unexpected(config.error());
    auto states = read_states(store, partitions);
    if (!states) return Unexpected(states.error());
    std::vector<control::TopicNode> topics;
    auto state = states->begin();
    for (std::size_t i = 0; i < found.size(); ++i) {
        const FoundTopic& topic = found[i];
        control::TopicNode node{topic.name, topic.assignment.topic_id.value_or(base::Uuid{}),
                                topic.node.stat.version};
        for (const auto& [index, replicas] : topic.assignment.partitions) {
            node.partitions.push_back(
                {index, assignment_of(topic.assignment, index, replicas), std::move(*state++)});
        }
        node.unclean_elections = unclean_elections_of(configs[i], (*config)[i]);
        topics.push_back(std::move(node));
    }
    return topics;
}

Result<control::Tree, ZkError> read_tree(MetadataStore& store, const TermOfTree& term) {
    auto brokers = read_brokers(store);
    if (!brokers) return Unexpected(brokers.error());
    const auto names = store.children(std::string(path::topics));
    if (!names) return Unexpected(names.error());
    auto topics = read_topics(store, term, *names);
    if (!topics) return Unexpected(topics.error());
    auto deletions = store.children(std::string(path::delete_topics));
    if (!deletions) return Unexpected(deletions.error());
    return control::Tree{*std::move(brokers), *std::move(topics), *std::move(deletions)};
}

// ---- writes -------------------------------------------------------------------------------

namespace {

class Writer {
public:
    Writer(MetadataStore& store, const control::WriteBatch& batch)
        : store_(store),
          batch_(batch),
          outcomes_(batch.writes.size(), Outcome{Outcome::Kind::unknown}) {}

    std::vector<Outcome> write() {
        for (std::size_t i = 0; i < batch_.writes.size() && !ended_; ++i) {
            std::visit([&](const auto& one) { take(i, one); }, batch_.writes[i]);
        }
        commit_gathered();
        return std::move(outcomes_);
    }

private:
    // What one write is in the tree. `answer`: the op whose node has the new version.
    struct Planned {
        std::size_t place = 0;
        std::vector<Op> ops;
        std::size_t answer = 0;
    };

    void take(std::size_t place, const control::StateWrite& one) {
        Planned planned{place};
        add_state(planned, one);
        planned.answer = planned.ops.size() - 1;
        gather(std::move(planned));
    }

    void take(std::size_t place, const control::TopicWrite& one) {
        Planned planned{place};
        planned.ops.push_back(
            coordinator::SetData{path::topic(one.topic), text_of(one), one.version});
        for (const auto& state : one.states) add_state(planned, state);
        gather(std::move(planned));
    }

    void take(std::size_t place, const control::TopicRemoval& one) {
        commit_gathered();
        if (!ended_) outcomes_[place] = remove(one);
    }

    static void add_state(Planned& planned, const control::StateWrite& one) {
        auto where = path::partition_state(one.at.topic, one.at.partition);
        if (one.version) {
            planned.ops.push_back(
                coordinator::SetData{std::move(where), text_of(one.next), *one.version});
            return;
        }
        planned.ops.push_back(coordinator::Check{path::topic(one.at.topic)});
        planned.ops.push_back(persistent(std::move(where), text_of(one.next)));
    }

    void gather(Planned planned) {
        std::size_t bytes = 0;
        for (const Op& op : planned.ops) bytes += bytes_of(op);
        const std::size_t room = store_.transaction_bytes_max() - bytes_of(in_term(0));
        if (bytes_ + bytes > room) commit_gathered();
        bytes_ += bytes;
        gathered_.push_back(std::move(planned));
    }

    void commit_gathered() {
        bytes_ = 0;
        const auto all = std::exchange(gathered_, {});
        if (all.empty() || ended_ || commit(all)) return;
        // One of them is in conflict with the tree; the others may not be.
        for (const Planned& each : all) {
            if (ended_) return;
            const bool is_alone = all.size() == 1;
            if (is_alone || !commit({&each, 1})) {
                outcomes_[each.place].kind = Outcome::Kind::conflict;
            }
        }
    }

    // False for a conflict.
    bool commit(std::span<const Planned> writes) {
        std::vector<Op> ops{in_term(batch_.epoch_version)};
        for (const Planned& each : writes) std::ranges::copy(each.ops, std::back_inserter(ops));
        const auto done = store_.commit(std::move(ops));
        if (!done && !is_over(done.error()) && is_conflict(done.error().error)) return false;
        if (!done) {
            end(done.error(), writes);
            return true;
        }
        std::size_t first = 1;
        for (const Planned& each : writes) {
            outcomes_[each.place] = {Outcome::Kind::done,
                                     done->results[first + each.answer].stat.version};
            first += each.ops.size();
        }
        return true;
    }

    // Nothing more is tried.
    void end(const coordinator::Refused& refused, std::span<const Planned> writes) {
        ended_ = true;
        if (is_over(refused)) {
            for (const Planned& each : writes) {
                outcomes_[each.place].kind = Outcome::Kind::deposed;
            }
            return;
        }
        base::log_warn("controller", "what is decided cannot be stored: " +
                                         coordinator::to_string(refused.error));
    }

    Outcome remove(const control::TopicRemoval& one) {
        const std::string where = path::topic(one.topic);
        const auto node = store_.get(where);
        if (!node) return unreachable();
        const auto mark = path::delete_topic(one.topic);
        if (!*node) return remove_all({mark}, {});
        if (!one.id) return {Outcome::Kind::conflict};
        const auto known = (*node)->data ? znodes::parse_topic(*(*node)->data) : std::nullopt;
        const bool is_other = known && known->topic_id.value_or(base::Uuid{}) != *one.id;
        if (is_other) return {};
        // While the topic is there its node is what says whose the others are: it goes behind them.
        return remove_all({topic_config_path(one.topic), path::held_topic(one.topic), where, mark},
                          coordinator::Delete{where, (*node)->stat.version});
    }

    // In as many transactions as it takes. `guarded` takes the place of the deletion of its path.
    Outcome remove_all(const std::vector<std::string>& roots, const coordinator::Delete& guarded) {
        std::vector<Op> ops;
        for (const auto& root : roots) {
            auto deletion = deletion_of(store_, root);
            if (!deletion) return unreachable();
            std::ranges::move(*deletion, std::back_inserter(ops));
        }
        for (Op& op : ops) {
            auto& each = std::get<coordinator::Delete>(op);
            if (each.path == guarded.path) each = guarded;
        }
        const std::size_t room = store_.transaction_bytes_max() - bytes_of(in_term(0));
        for (auto first = ops.begin(); first != ops.end();) {
            std::vector<Op> some{in_term(batch_.epoch_version)};
            for (std::size_t bytes = 0; first != ops.end(); ++first) {
                bytes += bytes_of(*first);
                if (bytes > room && some.size() > 1) break;
                some.push_back(std::move(*first));
            }
            const auto done = store_.commit(std::move(some));
            if (done) continue;
            if (is_over(done.error())) {
                ended_ = true;
                return {Outcome::Kind::deposed};
            }
            if (is_conflict(done.error().error)) return {Outcome::Kind::conflict};
            end(done.error(), {});
            return {Outcome::Kind::unknown};
        }
        return {};
    }

    Outcome unreachable() {
        ended_ = true;
        return {Outcome::Kind::unknown};
    }

    MetadataStore& store_;
    const control::WriteBatch& batch_;
    std::vector<Outcome> outcomes_;
    std::vector<Planned> gathered_;
    std::size_t bytes_ = 0;
    bool ended_ = false;
};

}  // namespace

std::vector<Outcome> write(MetadataStore& store, const control::WriteBatch& batch) {
    return Writer(store, batch).write();
}

}  // namespace broker
