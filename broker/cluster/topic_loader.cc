#include "broker/cluster/topic_loader.h"

#include "broker/cluster/config_control.h"
#include "protocol/base/log.h"
#include "storage/names.h"

#include <algorithm>
#include <utility>

namespace broker {

using base::LeaderEpoch;
using base::Result;
using base::Unexpected;
using coordinator::ZkError;
namespace path = znodes::path;

Result<void, std::string> TopicLoader::load() {
    ClusterImage image;
    image.cluster_id = core_.cluster_id;
    image.self = core_.self;
    if (!read_topics(image) || !read_states())
        return Unexpected<std::string>("the metadata cannot be read");
    for (const auto& complaint : complaints_) base::log_warn("config", complaint);
    if (!core_.has_company && are_shared()) {
        core_.has_company = true;
        base::log_info("metadata",
                       "other brokers have replicas too, and none of them is alive: this one leads "
                       "what it has in sync");
    }
    if (const auto named = name_topics(); !named) {
        return Unexpected("the ids of topics cannot be stored: " +
                          coordinator::to_string(named.error()));
    }
    const auto held =
        std::ranges::count_if(topics_, [](const auto& each) { return each.second.topic->is_held; });
    if (held > 0) {
        base::log_warn(
            "storage",
            std::to_string(held) +
                " imported topics have no known configuration: nothing of them is deleted "
                "or compacted until `milena import --accept`");
    }
    if (auto opened = open_logs(image); !opened) return opened;
    put_together(image);
    if (const auto stored = core_.commit(std::move(repairs_)); !stored) {
        return Unexpected("partition states cannot be stored: " +
                          coordinator::to_string(stored.error()));
    }
    core_.current.publish(std::move(image));
    return {};
}

Result<void, ZkError> TopicLoader::read_topics(ClusterImage& image) {
    const std::string broker_configs[] = {broker_config_path(std::nullopt),
                                          broker_config_path(core_.self)};
    const auto configs = core_.store->get(broker_configs);
    if (!configs) return Unexpected(configs.error());
    image.config = core_.settings.config->with_dynamic(config_of(broker_configs[0], (*configs)[0]),
                                                       config_of(broker_configs[1], (*configs)[1]),
                                                       &complaints_);
    const auto names = core_.store->children(std::string(path::topics));
    if (!names) return Unexpected(names.error());
    const auto read_all = [&](auto path_of) {
        std::vector<std::string> paths;
        paths.reserve(names->size());
        for (const auto& name : *names) paths.push_back(path_of(name));
        return core_.store->get(paths);
    };
    const auto nodes = read_all(path::topic);
    if (!nodes) return Unexpected(nodes.error());
    const auto topic_configs = read_all(topic_config_path);
    if (!topic_configs) return Unexpected(topic_configs.error());
    const auto holds = read_all(path::held_topic);
    if (!holds) return Unexpected(holds.error());
    for (std::size_t i = 0; i < names->size(); ++i) {
        const auto& name = (*names)[i];
        const auto& node = (*nodes)[i];
        auto assignment = node && node->data ? znodes::parse_topic(*node->data) : std::nullopt;
        if (!assignment || !storage::is_topic_name(name)) {
            base::log_warn("metadata",
                           path::topic(name) + " does not hold a topic; it is left out");
            continue;
        }
        auto topic = std::make_shared<TopicImage>();
        topic->name = name;
        topic->id = assignment->topic_id.value_or(base::Uuid{});
        topic->config = effective_config(
            image.config, config_of(topic_config_path(name), (*topic_configs)[i]), &complaints_);
        topic->is_internal = is_internal_topic(name);
        topic->is_held = (*holds)[i].has_value();
        topic->czxid = node->stat.czxid.value();
        topics_.emplace(
            name, Stored{*std::move(assignment), node->stat.version, {}, {}, std::move(topic)});
    }
    return {};
}

Result<void, ZkError> TopicLoader::read_states() {
    std::vector<std::string> paths;
    for (const auto& [name, stored] : topics_) {
        for (const auto& [index, replicas] : stored.assignment.partitions)
            paths.push_back(path::partition_state(name, index));
    }
    const auto nodes = core_.store->get(paths);
    if (!nodes) return Unexpected(nodes.error());
    auto node = nodes->begin();
    for (auto& [name, stored] : topics_) {
        for (const auto& [index, replicas] : stored.assignment.partitions) {
            const auto& found = *node++;
            const auto parsed =
                found && found->data ? znodes::parse_partition_state(*found->data) : std::nullopt;
            if (parsed) {
                stored.states.emplace(index, *parsed);
            } else if (found) {
                base::log_warn("metadata",
                               path::partition_state(name, index) +
                                   " does not hold a partition's state; it is written anew");
                stored.unreadable.insert(index);
            }
        }
    }
    return {};
}

// Topics of the time before inter.broker.protocol.version 2.8, as a controller finds them: the ids
// are in the tree before any directory has them. The directories may have kept those that an old
// tool took out of it.
Result<void, ZkError> TopicLoader::name_topics() {
    if (core_.has_company || !core_.versions().has_topic_ids) return {};
    const auto known = core_.logs->topic_ids();
    std::vector<coordinator::Op> ops;
    for (auto& [name, stored] : topics_) {
        if (stored.topic->id != base::Uuid{}) continue;
        const auto of_logs = known.find(name);
        stored.topic->id = of_logs == known.end() ? core_.new_topic_id() : of_logs->second;
        stored.assignment.topic_id = stored.topic->id;
        ops.push_back(coordinator::SetData{path::topic(name), znodes::write(stored.assignment),
                                           stored.version});
    }
    if (const auto done = core_.commit(std::move(ops)); !done) return Unexpected(done.error());
    return {};
}

bool TopicLoader::are_shared() const {
    return std::ranges::any_of(
        topics_, [&](const auto& each) { return core_.is_shared(each.second.assignment); });
}

Result<void, std::string> TopicLoader::open_logs(const ClusterImage& image) {
    const auto topic_of = [&](const base::TopicPartition& at)
        -> std::optional<std::pair<base::Uuid, storage::LogConfig>> {
        const auto found = topics_.find(at.topic);
        if (found == topics_.end() || !found->second.assignment.partitions.contains(at.partition))
            return std::nullopt;
        const TopicImage& topic = *found->second.topic;
        return std::pair(topic.id, topic.log_settings(*image.config));
    };
    auto loaded = core_.logs->load(topic_of);
    if (!loaded) return Unexpected(loaded.error());
    // In company a topic may have been made again while this broker was away. Alone, it is more
    // likely that the tree is the wrong one.
    for (const auto& each : *loaded) {
        const auto& id = topics_.at(each.at.topic).topic->id;
        const bool is_other = each.topic_id && id != base::Uuid{} && *each.topic_id != id;
        if (core_.has_company && !each.partition && is_other)
            core_.logs->set_aside(each.at, core_.random_uuid());
    }
    for (auto& each : *loaded) logs_.emplace(std::move(each.at), std::move(each.partition));
    return {};
}

void TopicLoader::put_together(ClusterImage& image) {
    for (const auto& [name, stored] : topics_) {
        for (const auto& [index, replicas] : stored.assignment.partitions) {
            if (index.value() != static_cast<std::int32_t>(stored.topic->partitions.size())) {
                base::log_warn(
                    "metadata",
                    path::topic(name) +
                        " leaves out partition numbers; what follows the gap is left out");
                break;
            }
            stored.topic->partitions.push_back(partition(stored, {name, index}, replicas, image));
        }
        image.set_topic(stored.topic);
    }
}

PartitionImage TopicLoader::partition(const Stored& stored, const base::TopicPartition& at,
                                      const std::vector<base::BrokerId>& replicas,
                                      const ClusterImage& image) {
    PartitionImage made;
    made.replicas = replicas;
    const auto state = stored.states.find(at.partition);
    const bool is_known = state != stored.states.end();
    made.leader_epoch = is_known ? state->second.leader_epoch : LeaderEpoch(0);
    made.isr = is_known ? state->second.isr : replicas;
    if (core_.has_company) {
        made.leader_epoch = LeaderEpoch(-1);  // Until the controller says who leads.
        if (const auto found = logs_.find(at); found != logs_.end()) made.local = found->second;
        return made;
    }
    if (std::ranges::find(replicas, core_.self) == replicas.end()) return made;
    if (const auto found = logs_.find(at); found != logs_.end()) {
        made.local = found->second;
    } else {
        // Created in the tree, and the process ended before its log was made.
        auto created =
            core_.logs->create(at, stored.topic->id, stored.topic->log_settings(*image.config));
        if (created) made.local = *created;
    }
    if (!made.local) return made;
    made.leader = core_.self;
    // The log never knows an epoch that the tree does not.
    const auto latest =
        made.local->look([](const storage::Log& log) { return log.latest_epoch(); });
    if (latest && *latest > made.leader_epoch) made.leader_epoch = *latest + 1;
    made.isr = {core_.self};
    if (!is_known || state->second.leader != core_.self ||
        state->second.leader_epoch != made.leader_epoch) {
        repairs_.push_back(core_.state_op(at.topic, at.partition, made,
                                          is_known || stored.unreadable.contains(at.partition)));
    }
    return made;
}

}  // namespace broker
