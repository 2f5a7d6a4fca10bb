#include "broker/replica/log_manager.h"

#include "broker/config/topic_config.h"
#include "protocol/base/log.h"
#include "storage/names.h"

#include <algorithm>
#include <filesystem>
#include <pthread.h>

namespace broker {

using base::Result;
using base::Unexpected;
using storage::FaultKind;

LogCleaner::Settings cleaner_settings(const BrokerConfig& broker) {
    LogCleaner::Settings settings;
    settings.enabled = broker.log_cleaner_enable;
    settings.threads = static_cast<std::size_t>(broker.log_cleaner_threads);
    settings.map_bytes = static_cast<std::uint64_t>(
        std::max<std::int64_t>(broker.log_cleaner_dedupe_buffer_size, 0));
    settings.map_load = broker.log_cleaner_io_buffer_load_factor;
    settings.buffer_bytes = static_cast<std::size_t>(broker.log_cleaner_io_buffer_size);
    settings.bytes_per_second = broker.log_cleaner_io_max_bytes_per_second;
    settings.backoff_ms = broker.log_cleaner_backoff_ms;
    return settings;
}

storage::LogConfig log_config(const TopicConfig& topic, std::int64_t producer_id_expiration_ms) {
    storage::LogConfig config;
    config.segment_bytes = topic.segment_bytes;
    config.segment_ms = topic.segment_ms;
    config.segment_jitter_ms = topic.segment_jitter_ms;
    config.segment_index_bytes = topic.segment_index_bytes;
    config.index_interval_bytes = topic.index_interval_bytes;
    config.preallocate = topic.preallocate;
    config.deletes = topic.is_deleted();
    config.compacts = topic.is_compacted();
    config.retention_ms = topic.retention_ms;
    config.retention_bytes = topic.retention_bytes;
    config.min_compaction_lag_ms = topic.min_compaction_lag_ms;
    config.max_compaction_lag_ms = topic.max_compaction_lag_ms;
    config.min_cleanable_dirty_ratio = topic.min_cleanable_dirty_ratio;
    config.delete_retention_ms = topic.delete_retention_ms;
    config.file_delete_delay_ms = topic.file_delete_delay_ms;
    config.flush_messages = topic.flush_messages;
    config.flush_ms = topic.flush_ms;
    config.producer_id_expiration_ms = producer_id_expiration_ms;
    return config;
}

LogManager::LogManager(Settings settings, boost::asio::thread_pool& disk)
    : settings_(std::move(settings)),
      disk_(disk),
      files_(storage::real_disk(), settings_.files_max) {}

LogManager::~LogManager() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
    mover_.reset();
    cleaner_.reset();
    if (keeper_.joinable()) keeper_.join();
}

Result<std::unique_ptr<LogManager>, std::string> LogManager::open(Settings settings,
                                                                  boost::asio::thread_pool& disk) {
    std::unique_ptr<LogManager> made(new LogManager(std::move(settings), disk));
    std::string last;
    for (const auto& path : made->settings_.directories) {
        auto held = std::make_unique<Held>();
        held->path = path;
        storage::FlusherLimits limits;
        limits.checkpoint_ms =
            std::min(limits.checkpoint_ms, made->settings_.recovery_point_checkpoint_ms);
        held->flusher = storage::Flusher(limits);
        auto opened = storage::LogDirectory::open(storage::real_disk(), made->files_, path);
        if (!opened) {
            last = opened.error().detail;
            // Another process, another broker, a damaged meta.properties: a mistake to be told
            // at once. A disk that fails is the disk's fault, and the others serve.
            if (opened.error().kind != FaultKind::io) return Unexpected(last);
            base::log_error("storage", last);
            held->offline = true;
        } else {
            held->directory = std::move(*opened);
            for (const auto& note : held->directory->notes()) base::log_warn("storage", note);
            const auto& identity = held->directory->identity();
            if (identity && made->identity_ &&
                (identity->cluster != made->identity_->cluster ||
                 identity->broker != made->identity_->broker)) {
                return Unexpected(
                    path +
                    "/meta.properties is of another broker or cluster than that of the "
                    "other log.dirs; take one of them out of log.dirs");
            }
            if (identity) made->identity_ = identity;
        }
        made->held_.push_back(std::move(held));
    }
    const bool any =
        std::ranges::any_of(made->held_, [](const auto& each) { return !each->offline; });
    if (!any) return Unexpected("none of log.dirs can be used: " + last);
    return made;
}

Result<void, std::string> LogManager::claim(const storage::Identity& identity) {
    for (auto& held : held_) {
        if (held->offline) continue;
        if (const auto claimed = held->directory->claim(identity); !claimed) {
            return Unexpected(claimed.error().detail);
        }
    }
    return {};
}

bool LogManager::has_partitions() const noexcept {
    return std::ranges::any_of(held_, [](const auto& each) {
        return each->directory && each->directory->has_partitions();
    });
}

const std::string& LogManager::first_online() const noexcept {
    const auto found = std::ranges::find_if(held_, [](const auto& each) { return !each->offline; });
    return found == held_.end() ? held_.front()->path : (*found)->path;
}

std::shared_ptr<Partition> LogManager::adopt(Held& held, const base::TopicPartition& at,
                                             const base::Uuid& topic_id,
                                             std::unique_ptr<storage::Log> log,
                                             std::optional<base::Offset> high_watermark) {
    const std::lock_guard lock(mutex_);
    const auto number = next_log_++;
    Partition::Hooks hooks;
    hooks.failed = [this, &held, number](const storage::Fault& fault) {
        partition_failed(held, number, fault);
    };
    hooks.dirtied = [this, number](std::uint64_t bytes, std::int64_t flush_ms) {
        const std::lock_guard inner(mutex_);
        if (Held* const home = home_of(number)) {
            home->flusher.dirtied(number, bytes, settings_.monotonic_ms(), flush_ms);
            changed_.notify_all();
        }
    };
    // What a kill left unsynced is flushed soon, so that the start after the next one reads little.
    if (const auto unflushed = log->unflushed_bytes(); unflushed > 0) {
        held.flusher.dirtied(number, unflushed, settings_.monotonic_ms(), log->config().flush_ms);
    }
    auto partition = std::make_shared<Partition>(at, topic_id, std::move(log), disk_, held.pace,
                                                 std::move(hooks), high_watermark);
    held.partitions.emplace(number, partition);
    return partition;
}

Result<std::vector<LogManager::Loaded>, std::string> LogManager::load(const TopicOf& topic_of) {
    std::vector<Loaded> all;
    settle_duplicates(topic_of, all);
    for (auto& held : held_) {
        if (held->offline) continue;
        std::map<base::TopicPartition, std::pair<base::Uuid, storage::LogConfig>> known;
        std::vector<base::TopicPartition> strays;
        for (const auto& found : held->directory->partitions()) {
            if (held->left_out.contains(found.at)) continue;
            if (auto topic = topic_of(found.at)) {
                known.emplace(found.at, std::move(*topic));
            } else {
                strays.push_back(found.at);
            }
        }
        for (const auto& at : strays) {
            base::log_warn("storage", held->path + "/" + storage::directory_name(at) +
                                          " is not of a topic that the cluster knows; it is left "
                                          "as it is and not served");
        }
        const auto config_of =
            [&](const base::TopicPartition& at) -> std::optional<storage::LogConfig> {
            const auto topic = known.find(at);
            if (topic == known.end()) return std::nullopt;
            return topic->second.second;
        };
        auto loaded = held->directory->load(config_of, settings_.recovery_threads,
                                            settings_.wall_ms(), settings_.seed);
        if (!loaded) {
            base::log_error("storage", loaded.error().detail);
            held->offline = true;
            continue;
        }
        held->was_read = true;
        for (auto& each : *loaded) {
            for (const auto& note : each.report.notes) base::log_warn("storage", note);
            if (!settings_.keeps_topic_ids) forget_topic_id(*held, each);
            Loaded made{each.at, each.topic_id, nullptr, {}};
            const auto& [id, config] = known.at(each.at);
            if (each.fault) {
                made.fault = each.fault->detail;
                base::log_error("storage", each.fault->detail);
            } else if (each.topic_id && id != base::Uuid{} && *each.topic_id != id) {
                made.fault = each.directory.string() + ": partition.metadata names the topic id " +
                             storage::uuid_text(*each.topic_id) + ", the cluster " +
                             storage::uuid_text(id);
                base::log_error("storage", made.fault);
            } else {
                made.partition =
                    adopt(*held, each.at, id, std::move(each.log), each.high_watermark);
                if (!each.topic_id && id != base::Uuid{}) note_topic_id(*held, each.at, id);
            }
            all.push_back(std::move(made));
        }
    }
    const bool any = std::ranges::any_of(held_, [](const auto& each) { return !each->offline; });
    if (!any) return Unexpected<std::string>("none of log.dirs can be used");
    resume_moves(topic_of, all);
    return all;
}

Result<std::shared_ptr<Partition>, std::string> LogManager::create(
    const base::TopicPartition& at, const base::Uuid& topic_id, const storage::LogConfig& config) {
    const auto id = settings_.keeps_topic_ids && topic_id != base::Uuid{} ? std::optional(topic_id)
                                                                          : std::nullopt;
    std::string why = "no log directory is online";
    while (Held* const chosen = choose_directory(at)) {
        auto log = chosen->directory->create(at, id, config, settings_.wall_ms(), settings_.seed);
        if (log) {
            chosen->was_read = true;
            auto made = adopt(*chosen, at, topic_id, std::move(*log), std::nullopt);
            if (chosen->offline) made->go_offline();  // It has failed meanwhile.
            return made;
        }
        why = log.error().detail;
        if (!take_fault(*chosen, log.error())) break;
    }
    return Unexpected(why);
}

// Those that may get new partitions. The file system is not asked under the lock: it may be slow.
std::set<const LogManager::Held*> LogManager::roomy() const {
    std::set<const Held*> found;
    {
        const std::lock_guard lock(mutex_);
        for (const auto& held : held_) {
            if (!held->offline) found.insert(held.get());
        }
    }
    if (settings_.free_percentage) {
        std::erase_if(found, [&](const Held* held) {
            return settings_.free_percentage(held->directory->path()) <
                   settings_.free_percentage_min;
        });
    }
    return found;
}

bool LogManager::has_room() const {
    return !roomy().empty();
}

// The one that AlterReplicaLogDirs named, or the one with the fewest partitions.
LogManager::Held* LogManager::choose_directory(const base::TopicPartition& at) {
    const auto with_room = roomy();
    const std::lock_guard lock(mutex_);
    if (const auto named = wanted_.extract(at)) {
        Held* const held = find(named.mapped());
        if (held && !held->offline) return held;
    }
    // A partition that the tree has already is made even where there is little room.
    const auto worse = [&](const Held& held) {
        return std::pair(!with_room.contains(&held), held.partitions.size());
    };
    Held* best = nullptr;
    for (auto& held : held_) {
        if (held->offline) continue;
        if (!best || worse(*held) < worse(*best)) best = held.get();
    }
    return best;
}

void LogManager::retire(const std::shared_ptr<Partition>& partition, const base::Uuid& unique) {
    end_move(partition->id());
    for (auto& held : held_) {
        {
            const std::lock_guard lock(mutex_);
            const auto found = std::ranges::find(held->partitions, partition,
                                                 [](const auto& each) { return each.second; });
            if (found == held->partitions.end()) continue;
            held->flusher.forget(found->first);
            held->partitions.erase(found);
        }
        const auto retired = partition->retire(*held->directory, unique);
        if (!retired) take_fault(*held, retired.error());
        const std::lock_guard lock(mutex_);
        purge_ = true;
        changed_.notify_all();
        return;
    }
}

void LogManager::set_aside(const base::TopicPartition& at, const base::Uuid& unique) {
    for (auto& held : held_) {
        if (held->offline || held->left_out.contains(at)) continue;
        const auto& found = held->directory->partitions();
        if (std::ranges::find(found, at, &storage::LogDirectory::Found::at) == found.end())
            continue;
        const auto done =
            held->directory->retire(at, nullptr, unique, storage::DirectoryKind::stray);
        if (done) {
            base::log_warn("storage",
                           held->path + "/" + storage::directory_name(at) + " is set aside as " +
                               storage::directory_name(at, storage::DirectoryKind::stray, unique));
        } else {
            take_fault(*held, done.error());
        }
    }
}

void LogManager::retire_unopened(const std::string& topic, const base::Uuid& unique) {
    for (auto& held : held_) {
        if (held->offline) continue;
        for (const auto& each : held->directory->partitions()) {
            if (each.at.topic != topic) continue;
            const auto retired = held->directory->retire(each.at, nullptr, unique);
            if (!retired) take_fault(*held, retired.error());
        }
        for (const auto& each : held->directory->copies()) {
            if (each.at.topic != topic) continue;
            const auto retired =
                held->directory->retire_copy(each.at, each.directory, settings_.random_id());
            if (!retired) take_fault(*held, retired.error());
        }
    }
    const std::lock_guard lock(mutex_);
    purge_ = true;
    changed_.notify_all();
}

std::vector<std::shared_ptr<Partition>> LogManager::partitions_of(const Held& held) const {
    const std::lock_guard lock(mutex_);
    std::vector<std::shared_ptr<Partition>> all;
    all.reserve(held.partitions.size());
    for (const auto& [number, partition] : held.partitions) all.push_back(partition);
    return all;
}

std::vector<LogManager::Directory> LogManager::directories() const {
    std::vector<Directory> all;
    for (const auto& held : held_) {
        Directory& one =
            all.emplace_back(Directory{held->path, held->offline, partitions_of(*held), {}});
        for (const auto& [at, move] : moves_to(*held)) {
            const auto copied = move->progress();
            const auto end =
                move->partition()->look([](const storage::Log& log) { return log.end_offset(); });
            one.copies.push_back({at, copied.bytes, end - copied.end});
        }
    }
    return all;
}

// A fault of a change in a directory, for the log: the directory goes offline when it is its own.
// Whether it is. Any thread. What can be done again later, like removing old files, is only logged.
bool LogManager::take_fault(Held& held, const storage::Fault& fault) {
    const bool is_its_own = held.directory->is_failed_by(fault);
    if (is_its_own) {
        fail_directory(held, fault.detail);
    } else {
        base::log_error("storage", fault.detail);
    }
    return is_its_own;
}

// `held` is where the partition was made. It may have moved, and be in another directory now.
void LogManager::partition_failed(Held& held, storage::Flusher::LogId number,
                                  const storage::Fault& fault) {
    Held* home = nullptr;
    {
        const std::lock_guard lock(mutex_);
        home = home_of(number);
    }
    const bool has_all_failed = take_fault(home != nullptr ? *home : held, fault);
    // One that is being deleted is not missed.
    if (!has_all_failed && home != nullptr) settings_.on_failed();
}

void LogManager::fail_directory(Held& held, const std::string& detail) {
    if (held.offline.exchange(true)) return;
    for (const auto& partition : partitions_of(held)) partition->go_offline();
    for (const auto& [at, move] : moves_to(held)) move->abandon();
    base::log_error("storage", "Log directory " + held.path + " is offline: " + detail);
    const bool any = std::ranges::any_of(held_, [](const auto& each) { return !each->offline; });
    if (!any) return settings_.on_last_failed("all log directories have failed: " + detail);
    if (holds_metadata(held))
        return settings_.on_last_failed("the log directory with the metadata has failed: " +
                                        detail);
    settings_.on_failed();
}

// Files of it that are open take bytes even when it is gone: nothing of them would come back.
bool LogManager::holds_metadata(const Held& held) const {
    if (!settings_.metadata_directory) return false;
    namespace fs = std::filesystem;
    const auto inside = fs::absolute(*settings_.metadata_directory)
                            .lexically_normal()
                            .lexically_relative(fs::absolute(held.path).lexically_normal());
    return !inside.empty() && *inside.begin() != "..";
}

bool LogManager::has_failed() const {
    return std::ranges::any_of(held_, [](const auto& held) { return held->offline.load(); });
}

void LogManager::start_keeper() {
    purge_ = true;  // What an earlier run renamed and did not get to remove.
    keeper_ = std::thread([this] {
        ::pthread_setname_np(::pthread_self(), "log-keeper");
        keep();
    });
    start_cleaner();
    start_mover();
}

void LogManager::start_cleaner() {
    LogCleaner::Ports ports;
    ports.settings = settings_.cleaner;
    ports.wall_ms = settings_.wall_ms;
    ports.monotonic_ms = settings_.monotonic_ms;
    ports.partitions = [this] { return compacted_partitions(); };
    ports.replaced = [this](Partition& partition, storage::Dropped dropped) {
        doom(partition, std::move(dropped));
    };
    ports.cleaned = [this](Partition&) {
        const std::lock_guard lock(cleaned_);
        for (auto& held : held_) checkpoint_round(*held, storage::Checkpoint::cleaner);
    };
    cleaner_ = std::make_unique<LogCleaner>(std::move(ports));
    cleaner_->start();
}

std::vector<std::shared_ptr<Partition>> LogManager::compacted_partitions() const {
    std::vector<std::shared_ptr<Partition>> all;
    for (const auto& held : held_) {
        for (auto& partition : partitions_of(*held)) {
            if (partition->look([](const storage::Log& log) { return log.config().compacts; })) {
                all.push_back(std::move(partition));
            }
        }
    }
    return all;
}

void LogManager::doom(const Partition& partition, storage::Dropped dropped) {
    const auto delay =
        partition.look([](const storage::Log& log) { return log.config().file_delete_delay_ms; });
    const std::lock_guard lock(mutex_);
    doomed_.push_back({std::move(dropped), settings_.monotonic_ms() + delay});
    changed_.notify_all();
}

void LogManager::stop(std::int64_t broker_epoch) {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
    if (mover_) mover_->stop();
    if (cleaner_) cleaner_->stop();
    if (keeper_.joinable()) keeper_.join();
    remove_doomed(0, true);
    for (const auto& [at, move] : moves_) {
        if (!move->is_abandoned()) move->close();
    }
    for (auto& held : held_) {
        if (held->offline || !held->directory || !held->was_read) continue;
        bool clean = true;
        for (const auto& partition : partitions_of(*held)) clean = partition->close() && clean;
        if (held->offline) continue;
        write_checkpoint(*held, storage::Checkpoint::recovery_point,
                         positions_of(*held, storage::Checkpoint::recovery_point));
        write_checkpoint(*held, storage::Checkpoint::high_watermark,
                         positions_of(*held, storage::Checkpoint::high_watermark));
        write_checkpoint(*held, storage::Checkpoint::log_start,
                         positions_of(*held, storage::Checkpoint::log_start));
        if (!clean || held->offline) continue;
        if (const auto marked = held->directory->mark_clean(broker_epoch); !marked) {
            base::log_error("storage", marked.error().detail);
        }
    }
}

}  // namespace broker
