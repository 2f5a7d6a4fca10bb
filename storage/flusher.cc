#include "storage/flusher.h"

#include <algorithm>
#include <limits>

namespace storage {

void Flusher::dirtied(LogId log, std::uint64_t bytes, std::int64_t now_ms,
                      std::int64_t age_ms_max) {
    const auto [at, is_new] = dirty_.try_emplace(log);
    Dirty& dirty = at->second;
    if (is_new) dirty.due_ms = now_ms + std::min(limits_.age_ms, age_ms_max);
    dirty.bytes += bytes;
    if (dirty.bytes >= limits_.bytes) dirty.due_ms = std::min(dirty.due_ms, now_ms);
}

void Flusher::forget(LogId log) {
    dirty_.erase(log);
}

Flusher::Round Flusher::take_round(std::int64_t now_ms) {
    Round round;
    const bool is_due = std::ranges::any_of(
        dirty_, [&](const auto& one) { return one.second.due_ms <= now_ms; });
    if (is_due) {
        // Above the limit one sync of everything costs less than one for each, and then all
        // dirty logs are as good as synced.
        round.sync_everything = dirty_.size() > limits_.logs_synced_singly;
        std::vector<std::pair<std::int64_t, LogId>> due;
        for (const auto& [log, dirty] : dirty_) {
            if (round.sync_everything || dirty.due_ms <= now_ms) due.emplace_back(dirty.due_ms, log);
        }
        std::ranges::sort(due);
        for (const auto& [due_ms, log] : due) {
            round.logs.push_back(log);
            dirty_.erase(log);
        }
        if (!moved_) {
            moved_ = true;
            checkpoint_due_ms_ = std::max(checkpoint_due_ms_, now_ms);
        }
    }
    if (moved_ && checkpoint_due_ms_ <= now_ms) {
        round.checkpoint = true;
        moved_ = false;
        checkpoint_due_ms_ = now_ms + limits_.checkpoint_ms;
    }
    return round;
}

std::int64_t Flusher::next_ms() const noexcept {
    std::int64_t next = std::numeric_limits<std::int64_t>::max();
    for (const auto& [log, dirty] : dirty_) next = std::min(next, dirty.due_ms);
    if (moved_) next = std::min(next, checkpoint_due_ms_);
    return next;
}

}  // namespace storage
