#include "broker/cluster/opening.h"

#include "broker/cluster/controller_election.h"
#include "broker/cluster/embedded_store.h"
#include "broker/cluster/session_key.h"
#include "broker/cluster/znodes.h"
#include "broker/cluster/zookeeper_store.h"
#include "broker/config/value.h"
#include "coordinator/metadata/recovery.h"
#include "protocol/base/log.h"

#include <algorithm>
#include <filesystem>
#include <span>
#include <utility>

namespace broker {

using base::Result;
using base::Unexpected;
using coordinator::Op;
namespace path = znodes::path;

namespace {

// Of the metadata service in this process, if it is to be there. Never another log directory than
// the first, even when that one fails: the metadata would begin anew.
std::optional<std::string> metadata_directory(const BrokerConfig& config) {
    if (config.zookeeper_connect && !config.zookeeper_connect->empty()) return std::nullopt;
    return config.milena_metadata_dir.value_or(split_list(config.log_dirs).front());
}

}  // namespace

Result<void, std::string> open_log_directories(ClusterCore& core, boost::asio::thread_pool& disk) {
    const BrokerConfig& config = *core.settings.config;
    LogManager::Settings logs;
    logs.directories = split_list(config.log_dirs);
    logs.recovery_threads = static_cast<std::size_t>(config.num_recovery_threads_per_data_dir);
    logs.retention_check_ms = config.log_retention_check_interval_ms;
    logs.high_watermark_checkpoint_ms = config.replica_high_watermark_checkpoint_interval_ms;
    logs.log_start_checkpoint_ms = config.log_flush_start_offset_checkpoint_interval_ms;
    logs.recovery_point_checkpoint_ms = config.log_flush_offset_checkpoint_interval_ms;
    logs.wall_ms = core.settings.wall_ms;
    logs.monotonic_ms = core.settings.monotonic_ms;
    logs.on_failed = [&core] { core.directory_failed(); };
    logs.on_last_failed = core.settings.on_fatal;
    logs.metadata_directory = metadata_directory(config);
    logs.cleaner = [&core] { return cleaner_settings(*core.image()->config); };
    logs.random_id = [&core] { return core.random_uuid(); };
    const auto& threads = config.num_replica_alter_log_dirs_threads;
    logs.mover_threads =
        threads ? static_cast<std::size_t>(std::max(*threads, 1)) : logs.directories.size();
    logs.moved_bytes_per_second = [&core] {
        return double(core.image()->config->replica_alter_log_dirs_io_max_bytes_per_second);
    };
    logs.free_percentage = [](const std::string& directory) {
        std::error_code error;
        const auto space = std::filesystem::space(directory, error);
        // A directory that does not answer fails at its first write.
        if (error || space.capacity == 0) return 100.0;
        return 100.0 * double(space.available) / double(space.capacity);
    };
    logs.free_percentage_min = config.milena_log_dir_free_percentage_min;
    logs.keeps_topic_ids = core.versions().has_topic_ids;
    std::uint64_t seed = 0;
    core.settings.random(std::as_writable_bytes(std::span(&seed, 1)));
    logs.seed = seed;
    auto opened = LogManager::open(std::move(logs), disk);
    if (!opened) return Unexpected(opened.error());
    core.logs = std::move(*opened);
    return {};
}

namespace {

Result<coordinator::MetadataService*, std::string> open_embedded(
    ClusterCore& core, const std::string& directory,
    const std::optional<coordinator::SessionKey>& last) {
    const BrokerConfig& config = *core.settings.config;
    coordinator::MetadataService::Settings metadata;
    metadata.disk = &storage::real_disk();
    metadata.directory = directory;
    // Not even a journal of ours is put beside what somebody else's broker may want again.
    if (core.logs->has_partitions() &&
        !coordinator::holds_metadata(*metadata.disk, metadata.directory)) {
        return Unexpected(never_imported(config));
    }
    metadata.wall_ms = core.settings.wall_ms;
    metadata.monotonic_ms = core.settings.monotonic_ms;
    metadata.random = core.settings.random;
    metadata.on_failure = [fatal = core.settings.on_fatal](std::string why) {
        fatal("the metadata service failed: " + why);
    };
    metadata.log = [](std::string line) { base::log_info("metadata", line); };
    auto started = coordinator::MetadataService::start(std::move(metadata));
    if (!started) return Unexpected(started.error());
    auto* const service = started->get();
    auto opened = EmbeddedStore::open(
        std::move(*started), last, static_cast<std::int32_t>(config.zookeeper_session_timeout_ms));
    if (!opened) return Unexpected(opened.error());
    core.store = std::move(*opened);
    return service;
}

}  // namespace

Result<coordinator::MetadataService*, std::string> open_store(ClusterCore& core) {
    const BrokerConfig& config = *core.settings.config;
    const auto last = read_session_key(core.logs->first_online());
    if (!last) return Unexpected(last.error());
    if (const auto directory = metadata_directory(config))
        return open_embedded(core, *directory, *last);
    ZookeeperStore::Settings settings;
    settings.connect = *config.zookeeper_connect;
    settings.session_timeout_ms = static_cast<std::int32_t>(config.zookeeper_session_timeout_ms);
    settings.connection_timeout_ms = static_cast<std::int32_t>(
        config.zookeeper_connection_timeout_ms.value_or(config.zookeeper_session_timeout_ms));
    settings.last = *last;
    settings.random = core.settings.random;
    auto opened = ZookeeperStore::open(std::move(settings));
    if (!opened) return Unexpected(opened.error());
    core.store = std::move(*opened);
    return nullptr;
}

Result<void, std::string> make_paths(ClusterCore& core) {
    auto wanted = znodes::persistent_paths();
    wanted.emplace_back(path::feature);
    for (;;) {
        const auto there = core.store->get(wanted);
        if (!there) return Unexpected<std::string>("the metadata cannot be read");
        std::vector<Op> ops;
        for (std::size_t i = 0; i < wanted.size(); ++i) {
            if ((*there)[i]) continue;
            if (wanted[i] == path::feature) {
                ops.push_back(*feature_op(std::nullopt, core.versions()));
            } else {
                ops.push_back(persistent(wanted[i]));
            }
        }
        const auto made = core.commit(std::move(ops));
        if (made) return {};
        // Another broker that starts just now makes them too.
        if (made.error() == coordinator::ZkError::node_exists) continue;
        return Unexpected("Kafka's paths cannot be made in the metadata: " +
                          coordinator::to_string(made.error()));
    }
}

Result<void, std::string> finish_deletions(ClusterCore& core, TopicControl& topics) {
    if (!core.settings.config->delete_topic_enable) return {};
    const auto marked = core.store->children(std::string(path::delete_topics));
    if (!marked) return Unexpected<std::string>("the metadata cannot be read");
    for (const auto& topic : *marked) {
        const auto node = core.store->get(path::topic(topic));
        if (!node) return Unexpected<std::string>("the metadata cannot be read");
        const auto known =
            *node && (*node)->data ? znodes::parse_topic(*(*node)->data) : std::nullopt;
        if (known && core.is_shared(*known)) {
            core.has_company = true;
            return {};
        }
        core.logs->retire_unopened(topic, core.random_uuid());
        if (!topics.remove_nodes(topic))
            return Unexpected("topic " + topic + " cannot be deleted from the metadata");
        base::log_info("controller", "Finished the deletion of topic " + topic);
    }
    return {};
}

std::string never_imported(const BrokerConfig& config) {
    return "log.dirs (" + config.log_dirs +
           ") hold partitions, but no metadata says what they are, as after Apache "
           "Kafka; nothing was changed. To take them over: milena import FILE.properties "
           "[--zookeeper HOST:PORT]";
}

}  // namespace broker
