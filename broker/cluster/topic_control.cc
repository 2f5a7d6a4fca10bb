#include "broker/cluster/topic_control.h"

#include "broker/cluster/config_control.h"
#include "protocol/base/log.h"

#include <algorithm>
#include <span>
#include <utility>

namespace broker {

using base::BrokerId;
using base::LeaderEpoch;
using base::PartitionIndex;
using base::Result;
using base::Unexpected;
using coordinator::Op;
using protocol::ErrorCode;
namespace path = znodes::path;

namespace {

AdminOutcome not_stored(coordinator::ZkError error) {
    if (error == coordinator::ZkError::node_exists)
        return failed(ErrorCode::topic_already_exists, "The topic already exists.");
    // Only writes of a controller depend on a version: that of its term.
    if (error == coordinator::ZkError::bad_version)
        return failed(ErrorCode::not_controller,
                      "This is not the correct controller for this cluster.");
    return failed(ErrorCode::unknown_server_error,
                  "The metadata could not be stored: " + coordinator::to_string(error));
}

PartitionIndex index_of(std::size_t at) {
    return PartitionIndex(static_cast<std::int32_t>(at));
}

}  // namespace

std::string assignment_text(const TopicImage& topic) {
    znodes::TopicAssignment assignment;
    if (topic.id != base::Uuid{}) assignment.topic_id = topic.id;
    for (std::size_t i = 0; i < topic.partitions.size(); ++i) {
        assignment.partitions.emplace(index_of(i), topic.partitions[i].replicas);
    }
    return znodes::write(assignment);
}

std::vector<BrokerId> TopicControl::brokers() const {
    std::vector<BrokerId> ids;
    for (const auto& broker : core_.image()->brokers) ids.push_back(broker.id);
    return ids;
}

std::vector<Seat> TopicControl::seats() const {
    std::vector<Seat> seats;
    for (const auto& broker : core_.image()->brokers) seats.push_back({broker.id, broker.rack});
    return seats;
}

// The first live replica leads, and all live ones are in the ISR.
PartitionImage TopicControl::new_partition(const std::vector<BrokerId>& replicas) const {
    PartitionImage partition;
    partition.replicas = replicas;
    const auto alive = brokers();
    std::ranges::copy_if(replicas, std::back_inserter(partition.isr),
                         [&](BrokerId id) { return std::ranges::binary_search(alive, id); });
    partition.leader = partition.isr.empty() ? BrokerId(-1) : partition.isr.front();
    partition.leader_epoch = LeaderEpoch(0);
    return partition;
}

// Make the logs of the partitions from `first` on, and lead what is this broker's to lead.
void TopicControl::open_logs(TopicImage& topic, std::size_t first) {
    const auto config = topic.log_settings(*core_.image()->config);
    for (std::size_t i = first; i < topic.partitions.size(); ++i) {
        auto& partition = topic.partitions[i];
        if (std::ranges::find(partition.replicas, core_.self) == partition.replicas.end()) continue;
        auto log = core_.logs->create({topic.name, index_of(i)}, topic.id, config);
        if (!log) {
            base::log_warn("storage", log.error());
            partition.leader = BrokerId(-1);
            continue;
        }
        partition.local = *log;
        if (partition.leader == core_.self) partition.local->become_leader(partition.leader_epoch);
    }
}

// ---- creation -----------------------------------------------------------------------------

std::vector<CreatedTopic> TopicControl::create(const std::vector<NewTopic>& topics,
                                               bool validate_only, const Guard& guard) {
    std::vector<CreatedTopic> created(topics.size());
    std::set<std::string> collisions;
    for (const auto& topic : core_.image()->topics()) collisions.insert(collision_key(topic->name));
    PartitionBudget budget;
    std::vector<Draft> drafts;
    for (std::size_t i = 0; i < topics.size(); ++i) {
        auto& answer = created[i];
        Draft made{i, {}, topics[i].configs};
        if (auto refused = draft(topics[i], collisions, budget, made)) {
            answer.outcome = std::move(*refused);
            continue;
        }
        collisions.insert(collision_key(topics[i].name));
        answer.partitions = static_cast<std::int32_t>(made.topic->partitions.size());
        answer.replication_factor =
            static_cast<std::int16_t>(made.topic->partitions.front().replicas.size());
        answer.config = made.topic->config;
        if (validate_only) continue;
        answer.id = made.topic->id;
        drafts.push_back(std::move(made));
    }
    if (drafts.empty()) return created;
    if (core_.has_company) {
        store_in_company(drafts, guard, created);
        return created;
    }
    if (const auto refused = store(drafts, guard)) {
        for (const auto& each : drafts) created[each.place].outcome = *refused;
        return created;
    }
    ClusterImage next = *core_.image();
    for (auto& each : drafts) {
        open_logs(*each.topic, 0);
        next.set_topic(std::move(each.topic));
    }
    core_.current.publish(std::move(next));
    return created;
}

// Alone, this broker has all replicas. (KIP-1066 says the same of directories that are cordoned.)
std::optional<AdminOutcome> TopicControl::refuse_without_room() const {
    if (core_.has_company || core_.logs->has_room()) return std::nullopt;
    return failed(
        ErrorCode::invalid_replication_factor,
        "No log directory has room for a new partition: each is offline, or has less than "
        "milena.log.dir.free.percentage.min of its file system free.");
}

// What a topic would be, or why it cannot be.
std::optional<AdminOutcome> TopicControl::draft(const NewTopic& topic,
                                                const std::set<std::string>& collisions,
                                                PartitionBudget& budget, Draft& made) {
    const auto now = core_.image();
    if (const auto name = check_topic_name(topic.name); !name)
        return failed(name.error().code, name.error().message);
    if (now->find_topic(topic.name))
        return failed(ErrorCode::topic_already_exists,
                      "Topic '" + topic.name + "' already exists.");
    if (collisions.contains(collision_key(topic.name))) {
        return failed(ErrorCode::invalid_topic_exception,
                      "Topic '" + topic.name +
                          "' collides with existing topics: names that differ only in '.' and '_' "
                          "cannot coexist.");
    }
    const auto count =
        topic.assignment.empty() ? std::int64_t{topic.partitions} : std::ssize(topic.assignment);
    if (const auto within = budget.take(count); !within)
        return failed(within.error().code, within.error().message);
    std::uint32_t random[2] = {};
    core_.settings.random(std::as_writable_bytes(std::span(random)));
    const auto assignment =
        assign(topic, *now->config, seats(), random[0] & 0xffff, random[1] & 0xffff);
    if (!assignment) return failed(assignment.error().code, assignment.error().message);
    if (auto refused = refuse_without_room()) return refused;
    if (const auto valid = validate_topic_configs(*now->config, topic.configs); !valid) {
        return failed(ErrorCode::invalid_config, valid.error());
    }
    auto image = std::make_shared<TopicImage>();
    image->name = topic.name;
    image->id = core_.new_topic_id();
    image->config = effective_config(now->config, topic.configs);
    image->is_internal = is_internal_topic(topic.name);
    for (const auto& replicas : *assignment) image->partitions.push_back(new_partition(replicas));
    made.topic = std::move(image);
    return std::nullopt;
}

// All of them together or, when another broker has made one of them meanwhile, each on its own.
void TopicControl::store_in_company(std::vector<Draft>& drafts, const Guard& guard,
                                    std::vector<CreatedTopic>& created) {
    const auto refused = store(drafts, guard);
    if (!refused) return;
    const bool is_alone = drafts.size() == 1 || refused->error != ErrorCode::topic_already_exists;
    for (Draft& each : drafts) {
        const auto outcome = is_alone ? refused : store(std::span(&each, 1), guard);
        if (outcome) created[each.place].outcome = *outcome;
    }
}

// All topics of the request in one transaction, one sync, if it is not too large for that.
std::optional<AdminOutcome> TopicControl::store(std::span<Draft> drafts, const Guard& guard) {
    std::vector<std::string> configs;
    for (const auto& each : drafts) configs.push_back(topic_config_path(each.topic->name));
    const auto left_over = core_.store->get(configs);
    if (!left_over) return not_stored(left_over.error());
    std::vector<Op> ops;
    std::vector<std::size_t> nodes;  // Which op makes each topic.
    for (std::size_t i = 0; i < drafts.size(); ++i) {
        const TopicImage& topic = *drafts[i].topic;
        auto text = znodes::write_config({drafts[i].configs.begin(), drafts[i].configs.end()});
        if ((*left_over)[i]) {
            ops.push_back(coordinator::SetData{configs[i], std::move(text)});
        } else {
            ops.push_back(persistent(configs[i], std::move(text)));
        }
        nodes.push_back(ops.size());
        ops.push_back(persistent(path::topic(topic.name), assignment_text(topic)));
        // In company the controller chooses the leaders.
        for (std::size_t at = 0; !core_.has_company && at < topic.partitions.size(); ++at) {
            ops.push_back(core_.state_op(topic.name, index_of(at), topic.partitions[at], false));
        }
    }
    const auto stored = core_.commit(std::move(ops), guard);
    if (!stored) return not_stored(stored.error());
    for (std::size_t i = 0; i < drafts.size(); ++i)
        drafts[i].topic->czxid = (*stored)[nodes[i]].stat.czxid.value();
    return std::nullopt;
}

// ---- deletion -----------------------------------------------------------------------------

AdminOutcome TopicControl::mark(const std::string& topic, const Guard& guard) {
    const auto marked = core_.commit({persistent(path::delete_topic(topic))}, guard);
    const bool is_marked = marked || marked.error() == coordinator::ZkError::node_exists;
    return is_marked ? AdminOutcome{} : not_stored(marked.error());
}

std::vector<AdminOutcome> TopicControl::remove(const std::vector<std::string>& topics,
                                               const Guard& guard) {
    std::vector<AdminOutcome> outcomes;
    for (const auto& name : topics) {
        const auto topic = core_.image()->share_topic(name);
        if (!topic) {
            outcomes.push_back(failed(ErrorCode::unknown_topic_or_partition,
                                      "This server does not host this topic-partition."));
            continue;
        }
        auto marked = mark(name, guard);
        if (core_.has_company || marked.error != ErrorCode::none) {
            outcomes.push_back(std::move(marked));
            continue;
        }
        withdraw(topic);
        const bool removed = remove_nodes(name);
        outcomes.push_back(
            removed ? AdminOutcome{}
                    : failed(ErrorCode::unknown_server_error, "The metadata could not be stored."));
    }
    return outcomes;
}

void TopicControl::withdraw(const TopicPointer& topic) {
    ClusterImage next = *core_.image();
    next.erase_topic(topic->name);
    core_.current.publish(std::move(next));
    for (const auto& partition : topic->partitions) {
        if (!partition.local) continue;
        partition.local->resign();
        core_.logs->retire(partition.local, core_.random_uuid());
    }
}

bool TopicControl::remove_nodes(const std::string& topic) {
    std::vector<Op> ops;
    for (const auto& root : {path::topic(topic), topic_config_path(topic), path::held_topic(topic),
                             path::delete_topic(topic)}) {
        auto deletion = deletion_of(*core_.store, root);
        if (!deletion) return false;
        std::ranges::move(*deletion, std::back_inserter(ops));
    }
    return core_.commit(std::move(ops)).has_value();
}

bool TopicControl::remove_mark(const std::string& topic) {
    const auto deletion = deletion_of(*core_.store, path::delete_topic(topic));
    return deletion && core_.commit(*deletion).has_value();
}

// ---- more partitions ----------------------------------------------------------------------

std::vector<AdminOutcome> TopicControl::add_partitions(const std::vector<NewPartitions>& wanted,
                                                       bool validate_only, const Guard& guard) {
    std::vector<AdminOutcome> outcomes;
    PartitionBudget budget;
    for (const auto& each : wanted)
        outcomes.push_back(add_partitions(each, budget, validate_only, guard));
    return outcomes;
}

AdminOutcome TopicControl::add_partitions(const NewPartitions& wanted, PartitionBudget& budget,
                                          bool validate_only, const Guard& guard) {
    const auto topic = core_.image()->share_topic(wanted.topic);
    if (!topic)
        return failed(ErrorCode::unknown_topic_or_partition,
                      "The topic '" + wanted.topic + "' does not exist.");
    const auto old_count = static_cast<std::int32_t>(topic->partitions.size());
    if (wanted.count == old_count) {
        return failed(ErrorCode::invalid_partitions,
                      "Topic already has " + std::to_string(old_count) + " partitions.");
    }
    if (wanted.count < old_count) {
        return failed(ErrorCode::invalid_partitions,
                      "Topic currently has " + std::to_string(old_count) +
                          " partitions, which is higher than the requested " +
                          std::to_string(wanted.count) + ".");
    }
    if (const auto within = budget.take(wanted.count - old_count); !within) {
        return failed(within.error().code, within.error().message);
    }
    const auto added = assign_more(wanted, *topic);
    if (!added) return added.error();
    if (auto refused = refuse_without_room()) return *refused;
    if (validate_only) return {};
    if (core_.has_company) return add_to_node(topic->name, topic->partitions.size(), *added, guard);

    auto next_topic = std::make_shared<TopicImage>(*topic);
    std::vector<Op> states;
    for (const auto& replicas : *added) {
        auto partition = new_partition(replicas);
        states.push_back(
            core_.state_op(topic->name, index_of(next_topic->partitions.size()), partition, false));
        next_topic->partitions.push_back(std::move(partition));
    }
    std::vector<Op> ops{
        coordinator::SetData{path::topic(topic->name), assignment_text(*next_topic)}};
    std::ranges::move(states, std::back_inserter(ops));
    if (const auto stored = core_.commit(std::move(ops)); !stored)
        return not_stored(stored.error());
    open_logs(*next_topic, topic->partitions.size());
    ClusterImage next = *core_.image();
    next.set_topic(std::move(next_topic));
    core_.current.publish(std::move(next));
    return {};
}

// The node may say more than the image: which replicas are being moved.
AdminOutcome TopicControl::add_to_node(const std::string& topic, std::size_t first,
                                       const Assignment& added, const Guard& guard) {
    const auto node = core_.store->get(path::topic(topic));
    if (!node) return not_stored(node.error());
    auto assignment = *node && (*node)->data ? znodes::parse_topic(*(*node)->data) : std::nullopt;
    if (!assignment || assignment->partitions.size() != first)
        return failed(ErrorCode::unknown_topic_or_partition,
                      "The topic '" + topic + "' has changed meanwhile.");
    if (!assignment->adding_replicas.empty() || !assignment->removing_replicas.empty())
        return failed(ErrorCode::reassignment_in_progress,
                      "A partition reassignment is in progress for the topic '" + topic + "'.");
    for (const auto& replicas : added)
        assignment->partitions.emplace(index_of(assignment->partitions.size()), replicas);
    const auto stored =
        core_.commit({coordinator::SetData{path::topic(topic), znodes::write(*assignment),
                                           (*node)->stat.version}},
                     guard);
    return stored ? AdminOutcome{} : not_stored(stored.error());
}

// Where the replicas of the new partitions go.
Result<Assignment, AdminOutcome> TopicControl::assign_more(const NewPartitions& wanted,
                                                           const TopicImage& topic) {
    const auto no = [](ErrorCode code, std::string why) {
        return Unexpected(failed(code, std::move(why)));
    };
    const auto old_count = static_cast<std::int32_t>(topic.partitions.size());
    const auto alive = brokers();
    // An imported topic may have partitions that nobody has.
    std::size_t factor = 1;
    for (const auto& partition : topic.partitions)
        factor = std::max(factor, partition.replicas.size());
    if (wanted.assignments) {
        if (static_cast<std::int32_t>(wanted.assignments->size()) != wanted.count - old_count) {
            return no(ErrorCode::invalid_replica_assignment,
                      "Increasing the number of partitions by " +
                          std::to_string(wanted.count - old_count) + " but " +
                          std::to_string(wanted.assignments->size()) + " assignments provided.");
        }
        for (const auto& replicas : *wanted.assignments) {
            const bool known = std::ranges::all_of(
                replicas, [&](BrokerId id) { return std::ranges::binary_search(alive, id); });
            const bool distinct =
                std::set(replicas.begin(), replicas.end()).size() == replicas.size();
            if (replicas.size() != factor || !known || !distinct) {
                return no(ErrorCode::invalid_replica_assignment,
                          "Each new partition needs " + std::to_string(factor) +
                              " different brokers that are alive.");
            }
        }
        return *wanted.assignments;
    }
    if (factor > alive.size()) {
        return no(ErrorCode::invalid_replication_factor,
                  "Replication factor: " + std::to_string(factor) +
                      " larger than available brokers: " + std::to_string(alive.size()) + ".");
    }
    const auto places = seats();
    if (has_racks_in_part(places))
        return no(ErrorCode::unknown_server_error, std::string(racks_in_part_sentence));
    // As Kafka: from the first replica of all on.
    auto first = alive.begin();
    if (!topic.partitions.empty() && !topic.partitions.front().replicas.empty())
        first = std::ranges::lower_bound(alive, topic.partitions.front().replicas.front());
    const auto start =
        first == alive.end() ? 0U : static_cast<std::uint32_t>(first - alive.begin());
    return spread(wanted.count - old_count, static_cast<std::int16_t>(factor), places, start, start,
                  old_count);
}

// ---- what others wrote --------------------------------------------------------------------

Result<void, std::string> TopicControl::adopt(const std::string& name,
                                              const znodes::TopicAssignment& assignment,
                                              const coordinator::NodeView& node) {
    const auto now = core_.image();
    const auto known = now->share_topic(name);
    auto topic = known ? std::make_shared<TopicImage>(*known) : std::make_shared<TopicImage>();
    const std::size_t first = topic->partitions.size();
    if (!known) {
        topic->name = name;
        topic->id = assignment.topic_id.value_or(core_.new_topic_id());
        topic->is_internal = is_internal_topic(name);
        topic->czxid = node.stat.czxid.value();
        const auto config = core_.store->get(topic_config_path(name));
        if (!config) return Unexpected<std::string>("its configuration cannot be read");
        topic->config = effective_config(now->config, config_of(topic_config_path(name), *config));
    }
    for (const auto& [index, replicas] : assignment.partitions) {
        if (static_cast<std::size_t>(index.value()) < first) continue;
        if (index != index_of(topic->partitions.size()))
            return Unexpected<std::string>("its partitions are not numbered 0, 1, 2, …");
        topic->partitions.push_back(new_partition(replicas));
    }
    std::vector<std::string> states;
    for (std::size_t i = first; i < topic->partitions.size(); ++i)
        states.push_back(path::partition_state(name, index_of(i)));
    const auto there = core_.store->get(states);
    if (!there) return Unexpected<std::string>("its states cannot be read");
    std::vector<Op> ops;
    // Tools before 2.8 know no topic ids, and write the node without one.
    if (!assignment.topic_id && topic->id != base::Uuid{})
        ops.push_back(
            coordinator::SetData{path::topic(name), assignment_text(*topic), node.stat.version});
    for (std::size_t i = first; i < topic->partitions.size(); ++i) {
        ops.push_back(core_.state_op(name, index_of(i), topic->partitions[i],
                                     (*there)[i - first].has_value()));
    }
    if (const auto stored = core_.commit(std::move(ops)); !stored)
        return Unexpected("its states cannot be stored: " + coordinator::to_string(stored.error()));
    open_logs(*topic, first);
    ClusterImage next = *core_.image();
    next.set_topic(std::move(topic));
    core_.current.publish(std::move(next));
    return {};
}

bool TopicControl::has(const base::TopicPartition& at) const {
    const TopicImage* const topic = core_.image()->find_topic(at.topic);
    return topic && topic->find(at.partition);
}

Result<void, std::string> TopicControl::reassign(const base::TopicPartition& at,
                                                 const std::vector<BrokerId>& replicas) {
    const auto topic = core_.image()->share_topic(at.topic);
    const auto* old = topic ? topic->find(at.partition) : nullptr;
    if (!old) return Unexpected<std::string>("there is no such partition");
    if (replicas.empty() || std::set(replicas.begin(), replicas.end()).size() != replicas.size()) {
        return Unexpected<std::string>("a partition needs replicas, each on a broker of its own");
    }
    const auto alive = brokers();
    for (const BrokerId id : replicas) {
        if (!std::ranges::binary_search(alive, id))
            return Unexpected("broker " + std::to_string(id.value()) + " is not alive");
    }
    if (replicas == old->replicas) return {};
    // All that are alive is this broker: what it has no copy of cannot be copied to it.
    if (!old->local) return Unexpected<std::string>("no live broker has a copy of it");
    auto changed = std::make_shared<TopicImage>(*topic);
    auto& partition = changed->partitions[static_cast<std::size_t>(at.partition.value())];
    partition.replicas = partition.isr = replicas;
    partition.leader = core_.self;
    partition.leader_epoch = partition.leader_epoch + 1;
    const auto stored =
        core_.commit({coordinator::SetData{path::topic(at.topic), assignment_text(*changed)},
                      core_.state_op(at.topic, at.partition, partition, true)});
    if (!stored)
        return Unexpected("it cannot be stored: " + coordinator::to_string(stored.error()));
    partition.local->become_leader(partition.leader_epoch);
    ClusterImage next = *core_.image();
    next.set_topic(std::move(changed));
    core_.current.publish(std::move(next));
    return {};
}

}  // namespace broker
