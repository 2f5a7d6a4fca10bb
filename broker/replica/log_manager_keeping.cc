// LogManager: what its keeper does by the clock: flushes, checkpoints, retention, removal.

#include "broker/replica/log_manager.h"
#include "protocol/base/log.h"

#include <algorithm>

namespace broker {

void LogManager::keep() {
    constexpr std::int64_t first_retention_ms = 30'000;
    const std::int64_t start = settings_.monotonic_ms();
    std::int64_t retention_due = start + std::min(first_retention_ms, settings_.retention_check_ms);
    std::int64_t high_watermark_due = start + settings_.high_watermark_checkpoint_ms;
    std::int64_t log_start_due = start + settings_.log_start_checkpoint_ms;
    for (;;) {
        bool purges = false;
        {
            std::unique_lock lock(mutex_);
            for (;;) {
                if (stopping_) return;
                const std::int64_t now = settings_.monotonic_ms();
                std::int64_t due = std::min({retention_due, high_watermark_due, log_start_due});
                for (const auto& held : held_) due = std::min(due, held->flusher.next_ms());
                for (const auto& doomed : doomed_) due = std::min(due, doomed.due_ms);
                if (due <= now || purge_) break;
                changed_.wait_for(lock, std::chrono::milliseconds(due - now));
            }
            purges = std::exchange(purge_, false);
        }
        const std::int64_t now = settings_.monotonic_ms();
        for (auto& held : held_) {
            if (!held->offline) flush_round(*held, now);
        }
        if (now >= high_watermark_due) {
            for (auto& held : held_) {
                look_after(*held);
                checkpoint_round(*held, storage::Checkpoint::high_watermark);
            }
            high_watermark_due = now + settings_.high_watermark_checkpoint_ms;
        }
        if (now >= log_start_due) {
            for (auto& held : held_) checkpoint_round(*held, storage::Checkpoint::log_start);
            log_start_due = now + settings_.log_start_checkpoint_ms;
        }
        if (now >= retention_due) {
            retention_round();
            retention_due = now + settings_.retention_check_ms;
        }
        remove_doomed(now, false);
        if (!purges) continue;
        for (auto& held : held_) {
            if (held->offline) continue;
            if (const auto purged = held->directory->purge(); !purged)
                take_fault(*held, purged.error());
        }
    }
}

// Nobody else would notice that a directory is gone in which nothing is written.
void LogManager::look_after(Held& held) {
    if (held.offline) return;
    if (const auto failure = held.directory->failure()) fail_directory(held, failure->detail);
}

void LogManager::flush_round(Held& held, std::int64_t now_ms) {
    storage::Flusher::Round round;
    std::vector<std::shared_ptr<Partition>> dirty;
    {
        const std::lock_guard lock(mutex_);
        round = held.flusher.take_round(now_ms);
        for (const auto log : round.logs) {
            const auto found = held.partitions.find(log);
            if (found != held.partitions.end()) dirty.push_back(found->second);
        }
    }
    if (round.sync_everything) {
        // What cannot be synced at once is synced one by one, unless nothing can.
        const auto synced = held.directory->sync_everything();
        if (!synced && take_fault(held, synced.error())) return;
    }
    for (const auto& partition : dirty) partition->flush(storage::FlushKind::checkpoint);
    if (round.checkpoint) checkpoint_round(held, storage::Checkpoint::recovery_point);
}

storage::Offsets LogManager::positions_of(const Held& held, storage::Checkpoint which) const {
    storage::Offsets offsets;
    for (const auto& partition : partitions_of(held)) {
        const auto at = partition->checkpoint_positions();
        if (which == storage::Checkpoint::recovery_point) {
            offsets.emplace(partition->id(), at.recovery_point);
        } else if (which == storage::Checkpoint::high_watermark) {
            offsets.emplace(partition->id(), at.high_watermark);
        } else if (which == storage::Checkpoint::cleaner) {
            if (at.is_compacted) offsets.emplace(partition->id(), at.cleaned_to);
        } else if (at.log_start_is_above_segment) {
            offsets.emplace(partition->id(), at.log_start);
        }
    }
    // Copies stand in the same files, as in Apache Kafka: of the partition's positions what is true
    // of the copy too.
    for (const auto& [id, move] : moves_to(held)) {
        const auto copied = move->progress();
        const auto at = move->partition()->checkpoint_positions();
        if (which == storage::Checkpoint::recovery_point) {
            offsets.emplace(id, copied.recovery_point);
        } else if (which == storage::Checkpoint::high_watermark) {
            offsets.emplace(id, std::min(at.high_watermark, copied.end));
        } else if (which == storage::Checkpoint::cleaner) {
            if (at.is_compacted) offsets.emplace(id, at.cleaned_to);
        } else if (at.log_start > copied.first && at.log_start <= copied.end) {
            offsets.emplace(id, at.log_start);
        }
    }
    return offsets;
}

void LogManager::checkpoint_round(Held& held, storage::Checkpoint which) {
    if (held.offline || !held.was_read) return;
    auto offsets = positions_of(held, which);
    auto& last = which == storage::Checkpoint::high_watermark ? held.last_high_watermarks
                 : which == storage::Checkpoint::cleaner      ? held.last_cleaned
                                                              : held.last_log_starts;
    if (which != storage::Checkpoint::recovery_point) {
        if (offsets == last) return;
        last = offsets;
    }
    write_checkpoint(held, which, offsets);
}

void LogManager::write_checkpoint(Held& held, storage::Checkpoint which,
                                  const storage::Offsets& offsets) {
    if (const auto written = held.directory->checkpoint(which, offsets); !written)
        take_fault(held, written.error());
}

void LogManager::retention_round() {
    for (auto& held : held_) {
        if (held->offline) continue;
        for (const auto& partition : partitions_of(*held)) {
            partition->expire_producers(settings_.wall_ms());
            auto dropped = partition->apply_retention(settings_.wall_ms());
            if (!dropped.empty()) doom(*partition, std::move(dropped));
        }
        // What retention dropped must not come back as the start of a log after a crash.
        checkpoint_round(*held, storage::Checkpoint::log_start);
    }
}

void LogManager::remove_doomed(std::int64_t now_ms, bool all) {
    std::vector<Doomed> due;
    {
        const std::lock_guard lock(mutex_);
        const auto rest = std::ranges::partition(
            doomed_, [&](const Doomed& each) { return !all && each.due_ms > now_ms; });
        std::ranges::move(rest, std::back_inserter(due));
        doomed_.erase(rest.begin(), rest.end());
    }
    for (auto& each : due) {
        if (const auto removed = each.files.remove(); !removed)
            base::log_error("storage", removed.error().detail);
    }
}

}  // namespace broker
