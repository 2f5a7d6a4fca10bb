#include "broker/cluster/cluster.h"

#include "broker/cluster/znodes.h"
#include "broker/config/value.h"
#include "coordinator/metadata/recovery.h"
#include "protocol/base/log.h"
#include "protocol/base/plant.h"
#include "storage/names.h"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <latch>
#include <span>

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

// What the tree said when the broker started.
struct StoredTopic {
    znodes::TopicAssignment assignment;
    std::map<PartitionIndex, znodes::PartitionState> states;
    ConfigMap config;
    bool is_held = false;
};

AdminOutcome failed(ErrorCode error, std::string message) {
    return {error, std::move(message)};
}

ConfigMap config_at(const coordinator::Tree& tree, const std::string& where) {
    const auto node = tree.get(where);
    if (!node || !node->data || node->data->empty()) return {};
    const auto parsed = znodes::parse_config(*node->data);
    if (!parsed) {
        base::log_warn("metadata", where + " does not hold a configuration; it is left out");
        return {};
    }
    return {parsed->begin(), parsed->end()};
}

std::string broker_config_path(const std::optional<BrokerId>& broker) {
    return znodes::config_path({znodes::ConfigEntity::Type::broker,
                                broker ? std::to_string(broker->value()) : std::string(znodes::default_entity)});
}

std::string topic_config_path(std::string_view topic) {
    return znodes::config_path({znodes::ConfigEntity::Type::topic, std::string(topic)});
}

// Each thread has a reference count of its own, so that requests on different cores do not
// fight over one.
struct CachedImage {
    const Cluster* owner = nullptr;
    std::uint64_t version = 0;
    ImagePointer image;
};
thread_local CachedImage cached;

}  // namespace

Cluster::Cluster(Settings settings, boost::asio::thread_pool& disk)
    : settings_(std::move(settings)), disk_(disk) {}

Cluster::~Cluster() {
    controller_.join();
    // The partitions in an image must not outlive the log directories. All other threads that
    // looked at one have ended.
    if (cached.owner == this) cached = {};
}

Result<std::unique_ptr<Cluster>, std::string> Cluster::start(Settings settings, boost::asio::thread_pool& disk) {
    std::unique_ptr<Cluster> cluster(new Cluster(std::move(settings), disk));
    auto loaded = cluster->load();
    if (!loaded) return Unexpected(loaded.error());
    return cluster;
}

base::Uuid Cluster::random_uuid() {
    base::Uuid id;
    do {
        settings_.random(id);
    } while (storage::uuid_text(id).starts_with('-'));  // Kafka avoids ids that look like flags.
    return id;
}

Result<void, std::string> Cluster::load() {
    const BrokerConfig& config = *settings_.config;
    LogManager::Settings logs;
    logs.directories = split_list(config.log_dirs);
    logs.recovery_threads = static_cast<std::size_t>(config.num_recovery_threads_per_data_dir);
    logs.retention_check_ms = config.log_retention_check_interval_ms;
    logs.high_watermark_checkpoint_ms = config.replica_high_watermark_checkpoint_interval_ms;
    logs.log_start_checkpoint_ms = config.log_flush_start_offset_checkpoint_interval_ms;
    logs.wall_ms = settings_.wall_ms;
    logs.monotonic_ms = settings_.monotonic_ms;
    logs.on_last_failed = settings_.on_fatal;
    logs.cleaner = [this] { return cleaner_settings(*image()->config); };
    std::uint64_t seed = 0;
    settings_.random(std::as_writable_bytes(std::span(&seed, 1)));
    logs.seed = seed;
    auto opened = LogManager::open(std::move(logs), disk_);
    if (!opened) return Unexpected(opened.error());
    logs_ = std::move(*opened);

    coordinator::MetadataService::Settings metadata;
    metadata.disk = &storage::real_disk();
    metadata.directory = config.milena_metadata_dir.value_or(logs_->first_directory());
    // Not even a journal of ours is put beside what somebody else's broker may want again.
    if (logs_->has_partitions() && !coordinator::holds_metadata(*metadata.disk, metadata.directory)) {
        return Unexpected(never_imported());
    }
    metadata.wall_ms = settings_.wall_ms;
    metadata.monotonic_ms = settings_.monotonic_ms;
    metadata.random = settings_.random;
    metadata.on_failure = [fatal = settings_.on_fatal](std::string why) { fatal("the metadata service failed: " + why); };
    metadata.log = [](std::string line) { base::log_info("metadata", line); };
    auto started = coordinator::MetadataService::start(std::move(metadata));
    if (!started) return Unexpected(started.error());
    metadata_ = std::move(*started);

    std::vector<Op> ops;
    auto missing = metadata_->read([&](const coordinator::Tree& tree) {
        std::vector<std::string> paths;
        for (const auto& each : znodes::persistent_paths()) {
            if (!tree.exists(each)) paths.push_back(each);
        }
        return paths;
    });
    if (!missing) return Unexpected<std::string>("the metadata service cannot be read");
    for (auto& each : *missing) {
        coordinator::Create create;
        create.path = std::move(each);
        create.with_parents = true;
        ops.push_back(std::move(create));
    }
    if (!ops.empty() && !metadata_->submit_and_wait(std::move(ops))) {
        return Unexpected<std::string>("the metadata service refused Kafka's paths");
    }
    if (auto done = identify(); !done) return done;
    if (auto done = attach_session(); !done) return done;
    if (auto done = finish_deletions(); !done) return done;
    return open_logs();
}

std::string Cluster::never_imported() const {
    return "log.dirs (" + settings_.config->log_dirs + ") hold partitions, but no metadata says what they are, as after Apache "
           "Kafka; nothing was changed. To take them over: milena import FILE.properties [--zookeeper HOST:PORT]";
}

// Who this broker and its cluster are: the tree knows, or the log directories, or nobody yet.
Result<void, std::string> Cluster::identify() {
    const auto& stored = logs_->identity();
    const auto known = metadata_->read([](const coordinator::Tree& tree) -> std::string {
        const auto node = tree.get(path::cluster_id);
        if (!node || !node->data) return {};
        return znodes::parse_cluster_id(*node->data).value_or("");
    });
    if (!known) return Unexpected<std::string>("the metadata service cannot be read");
    cluster_id_ = *known;
    if (cluster_id_.empty()) {
        if (logs_->has_partitions()) return Unexpected(never_imported());
        cluster_id_ = stored && !stored->cluster.empty() ? stored->cluster : storage::uuid_text(random_uuid());
        coordinator::Create create;
        create.path = path::cluster_id;
        create.data = znodes::write_cluster_id(cluster_id_);
        create.with_parents = true;
        if (!metadata_->submit_and_wait({create})) return Unexpected<std::string>("the cluster id cannot be stored");
    }
    if (stored && !stored->cluster.empty() && stored->cluster != cluster_id_) {
        return Unexpected("meta.properties in log.dirs names cluster " + stored->cluster + ", the metadata " +
                          cluster_id_ + "; log.dirs or milena.metadata.dir points at another cluster's data");
    }

    BrokerId wanted(settings_.config->broker_id);
    if (stored && stored->broker) {
        if (wanted.value() >= 0 && wanted != *stored->broker) {
            return Unexpected("broker.id is " + std::to_string(wanted.value()) + ", but meta.properties in log.dirs is of broker " +
                              std::to_string(stored->broker->value()) + "; set broker.id to that or use other log.dirs");
        }
        wanted = *stored->broker;
    }
    if (wanted.value() < 0) {
        // Kafka's way to a generated id: how often /brokers/seqid was written.
        const auto set = metadata_->submit_and_wait({coordinator::SetData{std::string(path::broker_sequence), ""}});
        if (!set) return Unexpected<std::string>("a broker id cannot be generated");
        wanted = BrokerId(settings_.config->reserved_broker_max_id + set->results.front().stat.version);
    }
    self_ = wanted;
    storage::Identity identity;
    identity.broker = self_;
    identity.cluster = cluster_id_;
    return logs_->claim(identity);
}

// Come back to the session that owns /brokers/ids/N, or open one.
Result<void, std::string> Cluster::attach_session() {
    const auto stored = read_session_key(logs_->first_directory());
    if (!stored) return Unexpected(stored.error());
    if (*stored) {
        session_ = **stored;
        if (metadata_->resume_session(session_)) return {};
    }
    const auto opened = metadata_->open_session(static_cast<std::int32_t>(settings_.config->zookeeper_session_timeout_ms));
    if (!opened) return Unexpected<std::string>("the metadata service gives no session");
    session_ = *opened;
    return write_session_key(logs_->first_directory(), session_);
}

// A topic that was being deleted when the broker stopped is deleted before anything is loaded.
Result<void, std::string> Cluster::finish_deletions() {
    const auto marked = metadata_->read([](const coordinator::Tree& tree) {
        const auto children = tree.children(path::delete_topics);
        return children ? children->names : std::vector<std::string>();
    });
    if (!marked) return Unexpected<std::string>("the metadata service cannot be read");
    for (const auto& topic : *marked) {
        logs_->retire_unopened(topic, random_uuid());
        if (!remove_topic_nodes(topic)) return Unexpected("topic " + topic + " cannot be deleted from the metadata");
        base::log_info("controller", "Finished the deletion of topic " + topic);
    }
    return {};
}

Result<void, std::string> Cluster::open_logs() {
    std::map<std::string, StoredTopic> topics;
    ConfigMap cluster_default;
    ConfigMap this_broker;
    const auto read = metadata_->read([&](const coordinator::Tree& tree) {
        cluster_default = config_at(tree, broker_config_path(std::nullopt));
        this_broker = config_at(tree, broker_config_path(self_));
        const auto names = tree.children(path::topics);
        if (!names) return true;
        for (const auto& name : names->names) {
            const auto node = tree.get(path::topic(name));
            const auto assignment = node && node->data ? znodes::parse_topic(*node->data) : std::nullopt;
            if (!assignment || !storage::is_topic_name(name)) {
                base::log_warn("metadata", path::topic(name) + " does not hold a topic; it is left out");
                continue;
            }
            StoredTopic stored{*assignment, {}, config_at(tree, topic_config_path(name)),
                               tree.exists(path::held_topic(name)).has_value()};
            for (const auto& [index, replicas] : assignment->partitions) {
                const auto state = tree.get(path::partition_state(name, index));
                const auto parsed = state && state->data ? znodes::parse_partition_state(*state->data) : std::nullopt;
                if (parsed) stored.states.emplace(index, *parsed);
            }
            topics.emplace(name, std::move(stored));
        }
        return true;
    });
    if (!read) return Unexpected<std::string>("the metadata service cannot be read");

    ClusterImage image;
    image.cluster_id = cluster_id_;
    image.self = self_;
    std::vector<std::string> complaints;
    image.config = settings_.config->with_dynamic(cluster_default, this_broker, &complaints);

    std::map<std::string, std::shared_ptr<TopicImage>> images;
    std::size_t held = 0;
    for (const auto& [name, stored] : topics) {
        auto topic = std::make_shared<TopicImage>();
        topic->name = name;
        topic->id = stored.assignment.topic_id.value_or(base::Uuid{});
        topic->config = effective_config(image.config, stored.config, &complaints);
        topic->is_internal = is_internal_topic(name);
        topic->is_held = stored.is_held;
        held += stored.is_held ? 1 : 0;
        images.emplace(name, std::move(topic));
    }
    for (const auto& complaint : complaints) base::log_warn("config", complaint);
    if (held > 0) {
        base::log_warn("storage", std::to_string(held) + " imported topics have no known configuration: nothing of them is deleted "
                                                         "or compacted until `milena import --accept`");
    }

    const auto topic_of = [&](const base::TopicPartition& at)
        -> std::optional<std::pair<base::Uuid, storage::LogConfig>> {
        const auto found = topics.find(at.topic);
        if (found == topics.end() || !found->second.assignment.partitions.contains(at.partition)) return std::nullopt;
        const TopicImage& topic = *images.at(at.topic);
        return std::pair(topic.id, topic.log_settings(*image.config));
    };
    auto loaded = logs_->load(topic_of);
    if (!loaded) return Unexpected(loaded.error());
    std::map<base::TopicPartition, LogManager::Loaded*> by_partition;
    for (auto& each : *loaded) by_partition.emplace(each.at, &each);

    std::vector<Op> repairs;
    for (auto& [name, stored] : topics) {
        const auto& topic = images.at(name);
        for (const auto& [index, replicas] : stored.assignment.partitions) {
            if (index.value() != static_cast<std::int32_t>(topic->partitions.size())) {
                base::log_warn("metadata", path::topic(name) + " leaves out partition numbers; what follows the gap is left out");
                break;
            }
            PartitionImage partition;
            partition.replicas = replicas;
            const auto state = stored.states.find(index);
            partition.leader_epoch = state == stored.states.end() ? LeaderEpoch(0) : state->second.leader_epoch;
            partition.isr = state == stored.states.end() ? replicas : state->second.isr;
            if (std::ranges::find(replicas, self_) != replicas.end()) {
                const base::TopicPartition at{name, index};
                const auto found = by_partition.find(at);
                if (found != by_partition.end()) {
                    partition.local = found->second->partition;
                } else {
                    // Created in the tree, and the process died before its log was made.
                    auto created = logs_->create(at, topic->id, topic->log_settings(*image.config));
                    if (created) partition.local = *created;
                }
                if (partition.local) {
                    partition.leader = self_;
                    // The log never knows an epoch that the tree does not.
                    const auto latest = partition.local->look([](const storage::Log& log) { return log.latest_epoch(); });
                    if (latest && *latest > partition.leader_epoch) partition.leader_epoch = *latest + 1;
                    partition.isr = {self_};
                    if (state == stored.states.end() || state->second.leader != self_ ||
                        state->second.leader_epoch != partition.leader_epoch) {
                        repairs.push_back(state_op(name, index, partition, state != stored.states.end()));
                    }
                }
            }
            topic->partitions.push_back(std::move(partition));
        }
        image.set_topic(topic);
    }
    if (!repairs.empty() && !metadata_->submit_and_wait(std::move(repairs))) {
        return Unexpected<std::string>("partition states cannot be stored");
    }
    publish(std::move(image));
    return {};
}

Op Cluster::state_op(const std::string& topic, PartitionIndex index, const PartitionImage& partition, bool exists) const {
    znodes::PartitionState state;
    state.controller_epoch = controller_epoch_;
    state.leader = partition.leader;
    state.leader_epoch = partition.leader_epoch;
    state.isr = partition.isr;
    if (exists) return coordinator::SetData{path::partition_state(topic, index), znodes::write(state)};
    coordinator::Create create;
    create.path = path::partition_state(topic, index);
    create.data = znodes::write(state);
    create.with_parents = true;
    return create;
}

Result<void, std::string> Cluster::register_broker(std::vector<BrokerEndpoint> endpoints) {
    const auto config = this->config();
    znodes::BrokerRegistration registration;
    registration.timestamp_ms = settings_.wall_ms();
    registration.rack = config->broker_rack;
    for (const auto& each : endpoints) {
        registration.endpoints.push_back({each.listener, each.host, each.port, "PLAINTEXT"});
    }

    struct Before {
        bool registered = false;
        coordinator::SessionId owner;
        bool has_controller = false;
        coordinator::SessionId controller_owner;
        std::int32_t epoch = 0;
        bool has_epoch = false;
        std::string held_by;
    };
    const auto before = metadata_->read([&](const coordinator::Tree& tree) {
        Before seen;
        if (const auto node = tree.get(path::broker(self_))) {
            seen.registered = true;
            seen.owner = node->stat.ephemeral_owner;
            const auto other = node->data ? znodes::parse_broker(*node->data) : std::nullopt;
            if (other && !other->endpoints.empty()) {
                seen.held_by = other->endpoints.front().host + ":" + std::to_string(other->endpoints.front().port);
            }
        }
        if (const auto node = tree.get(path::controller)) {
            seen.has_controller = true;
            seen.controller_owner = node->stat.ephemeral_owner;
        }
        if (const auto node = tree.get(path::controller_epoch); node && node->data) {
            seen.has_epoch = true;
            seen.epoch = znodes::parse_controller_epoch(*node->data).value_or(0);
        }
        return seen;
    });
    if (!before) return Unexpected<std::string>("the metadata service cannot be read");

    // The embedded service has no other broker yet: what a foreign session holds is what this
    // broker held before it lost its session key, or what some client put there, and nobody
    // will miss it.
    std::vector<Op> ops;
    if (before->registered) ops.push_back(coordinator::Delete{path::broker(self_)});
    coordinator::Create broker;
    broker.path = path::broker(self_);
    broker.data = znodes::write(registration);
    broker.kind = coordinator::NodeKind::ephemeral;
    ops.push_back(broker);
    if (before->has_controller) ops.push_back(coordinator::Delete{std::string(path::controller)});
    coordinator::Create controller;
    controller.path = path::controller;
    controller.data = znodes::write(znodes::Controller{self_, settings_.wall_ms()});
    controller.kind = coordinator::NodeKind::ephemeral;
    ops.push_back(controller);
    controller_epoch_ = before->epoch + 1;
    if (before->has_epoch) {
        ops.push_back(coordinator::SetData{std::string(path::controller_epoch), znodes::write_controller_epoch(controller_epoch_)});
    } else {
        coordinator::Create epoch;
        epoch.path = path::controller_epoch;
        epoch.data = znodes::write_controller_epoch(controller_epoch_);
        ops.push_back(epoch);
    }
    const std::size_t created = before->registered ? 1 : 0;
    const auto done = metadata_->submit_and_wait(std::move(ops), coordinator::ourselves(session_.id));
    if (!done) return Unexpected("the broker cannot be registered: " + coordinator::to_string(done.error().error));
    broker_epoch_ = done->results[created].stat.czxid.value();

    ClusterImage next = *image();
    next.controller = self_;
    next.brokers = {BrokerImage{self_, registration.rack, std::move(endpoints)}};
    for (const auto& topic : next.topics()) {
        for (const auto& partition : topic->partitions) {
            if (partition.local && partition.leader == self_) partition.local->become_leader(partition.leader_epoch);
        }
    }
    publish(std::move(next));
    logs_->start_keeper();
    return {};
}

void Cluster::stop() {
    if (std::exchange(stopped_, true)) return;
    controller_.join();
    const auto last = image();
    for (const auto& topic : last->topics()) {
        for (const auto& partition : topic->partitions) {
            if (partition.local) partition.local->resign();
        }
    }
    logs_->stop(broker_epoch_);
    // Gone for good: nobody waits for this session's time-out.
    if (metadata_->close_session(session_.id)) forget_session_key(logs_->first_directory());
    metadata_->stop();
}

ImagePointer Cluster::image() const {
    const auto version = version_.load(std::memory_order_acquire);
    if (cached.owner != this || cached.version != version) {
        ImagePointer latest;
        {
            const std::lock_guard lock(mutex_);
            cached.version = version_.load(std::memory_order_relaxed);
            latest = image_;
        }
        cached.owner = this;
        const auto* seen = latest.get();
        cached.image = ImagePointer(std::make_shared<ImagePointer>(std::move(latest)), seen);
    }
    return cached.image;
}

void Cluster::publish(ClusterImage next) {
    auto made = std::make_shared<const ClusterImage>(std::move(next));
    const std::lock_guard lock(mutex_);
    image_ = std::move(made);
    version_.fetch_add(1, std::memory_order_release);
}

std::vector<CreatedTopic> Cluster::create_topics(const std::vector<NewTopic>& topics, bool validate_only) {
    std::vector<CreatedTopic> created(topics.size());
    const auto now = image();
    std::set<std::string> collisions;
    for (const auto& topic : now->topics()) collisions.insert(collision_key(topic->name));
    std::vector<BrokerId> brokers;
    for (const auto& broker : now->brokers) brokers.push_back(broker.id);

    PartitionBudget budget;
    std::vector<std::pair<std::size_t, std::shared_ptr<TopicImage>>> made;
    std::vector<Op> ops;
    for (std::size_t i = 0; i < topics.size(); ++i) {
        const NewTopic& topic = topics[i];
        auto& answer = created[i];
        const auto refuse = [&](ErrorCode error, std::string why) { answer.outcome = failed(error, std::move(why)); };
        if (const auto name = check_topic_name(topic.name); !name) {
            refuse(name.error().code, name.error().message);
            continue;
        }
        if (now->find_topic(topic.name)) {
            refuse(ErrorCode::topic_already_exists, "Topic '" + topic.name + "' already exists.");
            continue;
        }
        if (collisions.contains(collision_key(topic.name))) {
            refuse(ErrorCode::invalid_topic_exception,
                   "Topic '" + topic.name + "' collides with existing topics: names that differ only in '.' and '_' cannot coexist.");
            continue;
        }
        const auto count = topic.assignment.empty() ? std::int64_t{topic.partitions} : std::ssize(topic.assignment);
        if (const auto within = budget.take(count); !within) {
            refuse(within.error().code, within.error().message);
            continue;
        }
        std::uint32_t random[2] = {};
        settings_.random(std::as_writable_bytes(std::span(random)));
        const auto assignment = assign(topic, *now->config, brokers, random[0] & 0xffff, random[1] & 0xffff);
        if (!assignment) {
            refuse(assignment.error().code, assignment.error().message);
            continue;
        }
        if (const auto valid = validate_topic_configs(*now->config, topic.configs); !valid) {
            refuse(ErrorCode::invalid_config, valid.error());
            continue;
        }
        collisions.insert(collision_key(topic.name));
        auto image = std::make_shared<TopicImage>();
        image->name = topic.name;
        image->id = random_uuid();
        image->config = effective_config(now->config, topic.configs);
        image->is_internal = is_internal_topic(topic.name);
        for (const auto& replicas : *assignment) {
            PartitionImage partition;
            partition.replicas = replicas;
            partition.isr = replicas;
            partition.leader = replicas.front();
            partition.leader_epoch = LeaderEpoch(0);
            image->partitions.push_back(std::move(partition));
        }
        answer.partitions = static_cast<std::int32_t>(assignment->size());
        answer.replication_factor = static_cast<std::int16_t>(assignment->front().size());
        answer.config = image->config;
        if (validate_only) continue;
        answer.id = image->id;
        add_topic_ops(*image, topic.configs, ops);
        made.emplace_back(i, std::move(image));
    }
    if (made.empty()) return created;

    // One transaction, one sync, for all topics of the request.
    if (const auto stored = metadata_->submit_and_wait(std::move(ops)); !stored) {
        for (const auto& [i, topic] : made) {
            created[i].outcome = failed(ErrorCode::unknown_server_error,
                                        "The metadata could not be stored: " + coordinator::to_string(stored.error().error));
        }
        return created;
    }
    ClusterImage next = *image();
    for (auto& [i, topic] : made) {
        const auto config = topic->log_settings(*now->config);
        for (std::size_t index = 0; index < topic->partitions.size(); ++index) {
            auto& partition = topic->partitions[index];
            auto log = logs_->create({topic->name, PartitionIndex(static_cast<std::int32_t>(index))}, topic->id, config);
            if (log) {
                partition.local = *log;
                partition.local->become_leader(partition.leader_epoch);
            } else {
                partition.leader = BrokerId(-1);
            }
        }
        next.set_topic(topic);
    }
    publish(std::move(next));
    return created;
}

void Cluster::add_topic_ops(const TopicImage& topic, const ConfigMap& configs, std::vector<Op>& ops) const {
    znodes::TopicAssignment assignment;
    assignment.topic_id = topic.id;
    for (std::size_t i = 0; i < topic.partitions.size(); ++i) {
        assignment.partitions.emplace(PartitionIndex(static_cast<std::int32_t>(i)), topic.partitions[i].replicas);
    }
    coordinator::Create config;
    config.path = topic_config_path(topic.name);
    config.data = znodes::write_config({configs.begin(), configs.end()});
    config.with_parents = true;
    ops.push_back(std::move(config));
    coordinator::Create node;
    node.path = path::topic(topic.name);
    node.data = znodes::write(assignment);
    node.with_parents = true;
    ops.push_back(std::move(node));
    for (std::size_t i = 0; i < topic.partitions.size(); ++i) {
        ops.push_back(state_op(topic.name, PartitionIndex(static_cast<std::int32_t>(i)), topic.partitions[i], false));
    }
}

// Nodes of a topic, deepest first, and its mark for deletion with them.
bool Cluster::remove_topic_nodes(const std::string& topic) {
    const auto paths = metadata_->read([&](const coordinator::Tree& tree) {
        std::vector<std::string> found{topic_config_path(topic), path::topic(topic)};
        for (std::size_t i = 1; i < found.size(); ++i) {
            const auto children = tree.children(found[i]);
            if (!children) continue;
            for (const auto& name : children->names) found.push_back(found[i] + "/" + name);
        }
        found.insert(found.begin(), {path::delete_topic(topic), path::held_topic(topic)});
        std::erase_if(found, [&](const std::string& each) { return !tree.exists(each); });
        std::ranges::reverse(found);
        return found;
    });
    if (!paths) return false;
    std::vector<Op> ops;
    for (const auto& each : *paths) ops.push_back(coordinator::Delete{each});
    return ops.empty() || metadata_->submit_and_wait(std::move(ops)).has_value();
}

std::vector<AdminOutcome> Cluster::delete_topics(const std::vector<std::string>& topics) {
    std::vector<AdminOutcome> outcomes;
    for (const auto& name : topics) {
        const auto topic = image()->share_topic(name);
        if (!topic) {
            outcomes.push_back(failed(ErrorCode::unknown_topic_or_partition, "This server does not host this topic-partition."));
            continue;
        }
        coordinator::Create mark;
        mark.path = path::delete_topic(name);
        mark.with_parents = true;
        const auto marked = metadata_->submit_and_wait({mark});
        if (!marked && marked.error().error != coordinator::ZkError::node_exists) {
            outcomes.push_back(failed(ErrorCode::unknown_server_error, "The metadata could not be stored."));
            continue;
        }
        ClusterImage next = *image();
        next.erase_topic(name);
        publish(std::move(next));
        for (const auto& partition : topic->partitions) {
            if (!partition.local) continue;
            partition.local->resign();
            logs_->retire(partition.local, random_uuid());
        }
        const bool removed = remove_topic_nodes(name);
        outcomes.push_back(removed ? AdminOutcome{} : failed(ErrorCode::unknown_server_error, "The metadata could not be stored."));
    }
    return outcomes;
}

std::vector<AdminOutcome> Cluster::create_partitions(const std::vector<NewPartitions>& wanted, bool validate_only) {
    std::vector<AdminOutcome> outcomes;
    PartitionBudget budget;
    for (const auto& each : wanted) outcomes.push_back(create_partitions(each, budget, validate_only));
    return outcomes;
}

AdminOutcome Cluster::create_partitions(const NewPartitions& wanted, PartitionBudget& budget, bool validate_only) {
    const auto now = image();
    const auto topic = now->share_topic(wanted.topic);
    if (!topic) return failed(ErrorCode::unknown_topic_or_partition, "The topic '" + wanted.topic + "' does not exist.");
    const auto old_count = static_cast<std::int32_t>(topic->partitions.size());
    if (wanted.count == old_count) {
        return failed(ErrorCode::invalid_partitions, "Topic already has " + std::to_string(old_count) + " partitions.");
    }
    if (wanted.count < old_count) {
        return failed(ErrorCode::invalid_partitions,
                      "Topic currently has " + std::to_string(old_count) + " partitions, which is higher than the requested " +
                          std::to_string(wanted.count) + ".");
    }
    if (const auto within = budget.take(wanted.count - old_count); !within) {
        return failed(within.error().code, within.error().message);
    }
    std::vector<BrokerId> brokers;
    for (const auto& broker : now->brokers) brokers.push_back(broker.id);
    // An imported topic may have partitions that nobody has.
    std::size_t factor = 1;
    for (const auto& partition : topic->partitions) factor = std::max(factor, partition.replicas.size());
    Assignment added;
    if (wanted.assignments) {
        added = *wanted.assignments;
        if (static_cast<std::int32_t>(added.size()) != wanted.count - old_count) {
            return failed(ErrorCode::invalid_replica_assignment,
                          "Increasing the number of partitions by " + std::to_string(wanted.count - old_count) + " but " +
                              std::to_string(added.size()) + " assignments provided.");
        }
        for (const auto& replicas : added) {
            const bool known = std::ranges::all_of(replicas, [&](BrokerId id) { return std::ranges::binary_search(brokers, id); });
            const bool distinct = std::set(replicas.begin(), replicas.end()).size() == replicas.size();
            if (replicas.size() != factor || !known || !distinct) {
                return failed(ErrorCode::invalid_replica_assignment,
                              "Each new partition needs " + std::to_string(factor) + " different brokers that are alive.");
            }
        }
    } else {
        if (factor > brokers.size()) {
            return failed(ErrorCode::invalid_replication_factor,
                          "Replication factor: " + std::to_string(factor) + " larger than available brokers: " + std::to_string(brokers.size()) + ".");
        }
        std::uint32_t random[2] = {};
        settings_.random(std::as_writable_bytes(std::span(random)));
        added = spread(wanted.count - old_count, static_cast<std::int16_t>(factor), brokers, random[0] & 0xffff, random[1] & 0xffff, old_count);
    }
    if (validate_only) return {};

    auto next_topic = std::make_shared<TopicImage>(*topic);
    znodes::TopicAssignment assignment;
    if (topic->id != base::Uuid{}) assignment.topic_id = topic->id;
    std::vector<Op> ops;
    for (const auto& replicas : added) {
        PartitionImage partition;
        partition.replicas = replicas;
        partition.isr = replicas;
        partition.leader = replicas.front();
        partition.leader_epoch = LeaderEpoch(0);
        ops.push_back(state_op(topic->name, PartitionIndex(static_cast<std::int32_t>(next_topic->partitions.size())), partition, false));
        next_topic->partitions.push_back(std::move(partition));
    }
    for (std::size_t i = 0; i < next_topic->partitions.size(); ++i) {
        assignment.partitions.emplace(PartitionIndex(static_cast<std::int32_t>(i)), next_topic->partitions[i].replicas);
    }
    ops.insert(ops.begin(), coordinator::SetData{path::topic(topic->name), znodes::write(assignment)});
    if (!metadata_->submit_and_wait(std::move(ops))) {
        return failed(ErrorCode::unknown_server_error, "The metadata could not be stored.");
    }
    const auto config = topic->log_settings(*now->config);
    for (auto i = static_cast<std::size_t>(old_count); i < next_topic->partitions.size(); ++i) {
        auto& partition = next_topic->partitions[i];
        auto log = logs_->create({topic->name, PartitionIndex(static_cast<std::int32_t>(i))}, topic->id, config);
        if (log) {
            partition.local = *log;
            partition.local->become_leader(partition.leader_epoch);
        } else {
            partition.leader = BrokerId(-1);
        }
    }
    ClusterImage next = *image();
    next.set_topic(std::move(next_topic));
    publish(std::move(next));
    return {};
}

// Write a configuration's node and the notification that tells others of it.
AdminOutcome Cluster::store_config(const std::string& node, const znodes::ConfigEntity& entity, const ConfigMap& configs) {
    const auto exists = metadata_->read([&](const coordinator::Tree& tree) { return tree.exists(node).has_value(); });
    if (!exists) return failed(ErrorCode::unknown_server_error, "The metadata could not be read.");
    std::vector<Op> ops;
    auto data = znodes::write_config({configs.begin(), configs.end()});
    if (*exists) {
        ops.push_back(coordinator::SetData{node, std::move(data)});
    } else {
        coordinator::Create create;
        create.path = node;
        create.data = std::move(data);
        create.with_parents = true;
        ops.push_back(std::move(create));
    }
    coordinator::Create change;
    change.path = path::config_change_prefix;
    change.data = znodes::write_config_change(entity);
    change.sequential = true;
    change.with_parents = true;
    ops.push_back(std::move(change));
    if (!metadata_->submit_and_wait(std::move(ops))) {
        return failed(ErrorCode::unknown_server_error, "The metadata could not be stored.");
    }
    return {};
}

AdminOutcome Cluster::set_topic_config(const std::string& name, const ConfigMap& overrides) {
    const auto topic = image()->share_topic(name);
    if (!topic) return failed(ErrorCode::unknown_topic_or_partition, "The topic '" + name + "' does not exist.");
    auto stored = store_config(topic_config_path(name), {znodes::ConfigEntity::Type::topic, name}, overrides);
    if (stored.error != ErrorCode::none) return stored;
    ClusterImage next = *image();
    auto changed = std::make_shared<TopicImage>(*topic);
    changed->config = effective_config(next.config, overrides);
    const auto config = changed->log_settings(*next.config);
    for (const auto& partition : changed->partitions) {
        if (partition.local) partition.local->set_config(config);
    }
    next.set_topic(std::move(changed));
    publish(std::move(next));
    return {};
}

AdminOutcome Cluster::set_broker_config(std::optional<BrokerId> broker, const ConfigMap& configs) {
    const std::string name = broker ? std::to_string(broker->value()) : std::string(znodes::default_entity);
    auto stored = store_config(broker_config_path(broker), {znodes::ConfigEntity::Type::broker, name}, configs);
    if (stored.error != ErrorCode::none) return stored;
    if (broker && *broker != self_) return {};
    ClusterImage next = *image();
    const ConfigMap cluster_default = broker ? next.config->dynamic_cluster() : configs;
    const ConfigMap this_broker = broker ? configs : next.config->dynamic_broker();
    next.config = settings_.config->with_dynamic(cluster_default, this_broker);
    // Topics see the broker's values where they have none of their own.
    for (const auto& topic : next.topics()) {
        auto changed = std::make_shared<TopicImage>(*topic);
        changed->config = effective_config(next.config, topic->config->overrides());
        const auto config = changed->log_settings(*next.config);
        for (const auto& partition : changed->partitions) {
            if (partition.local) partition.local->set_config(config);
        }
        next.set_topic(std::move(changed));
    }
    publish(std::move(next));
    return {};
}

Result<base::ProducerId, ErrorCode> Cluster::take_producer_ids() {
    const auto last = metadata_->read([](const coordinator::Tree& tree) {
        const auto node = tree.get(path::producer_id_block);
        if (!node || !node->data) return std::optional<znodes::ProducerIdBlock>();
        return znodes::parse_producer_id_block(*node->data);
    });
    if (!last) return Unexpected(ErrorCode::coordinator_not_available);
    znodes::ProducerIdBlock block;
    block.broker = self_;
    block.first = *last ? (*last)->last + 1 : base::ProducerId(0);
    if (*last && base::is_planted(base::Plant::producer_id_reused)) block.first = (*last)->first;
    block.last = block.first + (producer_ids_per_block - 1);
    const auto stored = metadata_->submit_and_wait({coordinator::SetData{std::string(path::producer_id_block), znodes::write(block)}});
    if (!stored) return Unexpected(ErrorCode::coordinator_not_available);
    return block.first;
}

void Cluster::auto_create(const std::vector<std::string>& names) {
    std::vector<NewTopic> wanted;
    {
        const std::lock_guard lock(mutex_);
        for (const auto& name : names) {
            if (!creating_.insert(name).second) continue;
            NewTopic topic;
            topic.name = name;
            const auto& config = *image_->config;
            if (name == "__consumer_offsets") {
                topic.partitions = config.offsets_topic_num_partitions;
                // A cluster that has fewer brokers than that gets by with them.
                topic.replication_factor = static_cast<std::int16_t>(std::clamp<std::size_t>(
                    image_->brokers.size(), 1, static_cast<std::size_t>(config.offsets_topic_replication_factor)));
            }
            topic.configs = internal_topic_config(name, config);
            wanted.push_back(std::move(topic));
        }
    }
    if (wanted.empty()) return;
    boost::asio::post(controller_, [this, wanted = std::move(wanted)] {
        const auto created = create_topics(wanted, false);
        for (std::size_t i = 0; i < wanted.size(); ++i) {
            const auto& outcome = created[i].outcome;
            if (outcome.error == ErrorCode::none) {
                base::log_info("controller", "Created topic " + wanted[i].name + " because a client asked for it");
            } else if (outcome.error != ErrorCode::topic_already_exists) {
                base::log_warn("controller", "Cannot create topic " + wanted[i].name + ": " + outcome.message);
            }
        }
        const std::lock_guard lock(mutex_);
        for (const auto& topic : wanted) creating_.erase(topic.name);
    });
}

}  // namespace broker
