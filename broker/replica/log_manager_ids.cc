// LogManager: whose the logs are: the ids of topics, and partition.metadata, which keeps them.

#include "broker/replica/log_manager.h"
#include "protocol/base/log.h"

#include <algorithm>

namespace broker {

std::map<std::string, base::Uuid> LogManager::topic_ids() const {
    std::map<std::string, base::Uuid> ids;
    for (const auto& held : held_) {
        if (held->offline) continue;
        for (const auto& found : held->directory->partitions()) {
            if (found.topic_id) ids.emplace(found.at.topic, *found.topic_id);
        }
    }
    return ids;
}

void LogManager::name_topic(Partition& partition, const base::Uuid& id) {
    partition.name_topic(id);
    const auto place =
        partition.look([](const storage::Log& log) { return log.directory().parent_path(); });
    const auto home = std::ranges::find_if(held_, [&](const auto& held) {
        return held->directory && held->directory->path() == place;
    });
    if (home != held_.end()) note_topic_id(**home, partition.id(), id);
}

// What an Apache Kafka before 2.8 wrote has no partition.metadata. The log is served all the same
// when there can be none: only a later mix-up would not be noticed.
void LogManager::note_topic_id(Held& held, const base::TopicPartition& at, const base::Uuid& id) {
    if (!settings_.keeps_topic_ids) return;
    if (const auto named = held.directory->set_topic_id(at, id); !named)
        base::log_warn("storage", named.error().detail);
}

// Brokers that know no ids may make the topic again, or lose the id that it has in the tree: what
// the directory says would be wrong when ids are in use again.
void LogManager::forget_topic_id(Held& held, storage::LoadedLog& log) {
    if (!log.topic_id) return;
    if (const auto done = held.directory->forget_topic_id(log.at); !done)
        base::log_warn("storage", done.error().detail);
    log.topic_id.reset();
}

}  // namespace broker
