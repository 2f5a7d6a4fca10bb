// TimerQueue: deadlines by key. Pure: what is due is a function of the time it is told.
//
//     set(key, deadline) --> [key: deadline]   [queue: (place, key) ...] --> take_due(now)
//
// A timer that is only ever pushed back, such as a member's session at each heartbeat,
// costs one look-up: its place in the queue stays, and when that place comes up the timer
// moves to its real deadline instead of firing.
//
// Invariants:
//   - a key has at most one deadline
//   - a place in the queue is never later than the deadline of its key
//   - timers of one place fire in the order in which they got it
//
// Threads: none of its own; its owner's lock.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>

namespace coordinator {

template <class Key, class Hash = std::hash<Key>>
class TimerQueue {
public:
    // The timer of `key` is due from `deadline_ms` on, and at no earlier time.
    void set(const Key& key, std::int64_t deadline_ms) {
        const auto [timer, is_new] = timers_.try_emplace(key);
        timer->second.deadline_ms = deadline_ms;
        if (!is_new) {
            if (timer->second.place.first <= deadline_ms) return;
            queue_.erase(timer->second.place);
        }
        enqueue(timer->first, timer->second);
    }

    void cancel(const Key& key) {
        const auto timer = timers_.find(key);
        if (timer == timers_.end()) return;
        queue_.erase(timer->second.place);
        timers_.erase(timer);
    }

    // One key whose deadline has come, earliest place first; its timer is gone.
    std::optional<Key> take_due(std::int64_t now_ms) {
        while (!queue_.empty() && queue_.begin()->first.first <= now_ms) {
            const auto timer = timers_.find(*queue_.begin()->second);
            queue_.erase(queue_.begin());
            if (timer->second.deadline_ms > now_ms) {
                enqueue(timer->first, timer->second);
                continue;
            }
            return std::move(timers_.extract(timer).key());
        }
        return std::nullopt;
    }

    // When to look again. It may be too early for anything to be due, never too late.
    std::optional<std::int64_t> next_ms() const {
        if (queue_.empty()) return std::nullopt;
        return queue_.begin()->first.first;
    }

    std::optional<std::int64_t> deadline_ms(const Key& key) const {
        const auto timer = timers_.find(key);
        if (timer == timers_.end()) return std::nullopt;
        return timer->second.deadline_ms;
    }

    std::size_t size() const noexcept { return timers_.size(); }

private:
    using Place = std::pair<std::int64_t, std::uint64_t>;  // Time, then order of arrival.

    struct Timer {
        std::int64_t deadline_ms = 0;
        Place place;
    };

    void enqueue(const Key& key, Timer& timer) {
        timer.place = {timer.deadline_ms, ++places_};
        queue_.emplace(timer.place, &key);
    }

    std::unordered_map<Key, Timer, Hash> timers_;
    std::map<Place, const Key*> queue_;  // Keys live in timers_, whose nodes do not move.
    std::uint64_t places_ = 0;
};

}  // namespace coordinator
