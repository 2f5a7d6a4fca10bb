// SessionExpiry: when which session ends, unless it is heard of before.
//
// As in ZooKeeper, deadlines are rounded up to the next multiple of a tick, so that sessions
// that end together are looked at together: idle sessions cost no work of their own. A session
// lives for its time-out at least and for one tick more at most.
//
// A stall of our own process ends no session: when expiry comes late by more than a tick,
// every session gets that much more.
//
// Pure: time, in milliseconds of a clock that never goes back, comes in.
#pragma once

#include "coordinator/metadata/znode.h"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

namespace coordinator {

class SessionExpiry {
public:
    explicit SessionExpiry(std::int32_t tick_ms) : tick_ms_(tick_ms) {}

    // The session was heard of: from now on it has its time-out again.
    void touch(SessionId session, std::int32_t timeout_ms, std::int64_t now_ms);

    // It ends by itself no more.
    void forget(SessionId session);

    // The sessions whose time is over; they are forgotten.
    std::vector<SessionId> take_expired(std::int64_t now_ms);

    // When it ends; nothing when it does not end by itself.
    std::optional<std::int64_t> deadline_ms(SessionId session) const;

    // When to ask again.
    std::optional<std::int64_t> next_ms() const;

private:
    void put(SessionId session, std::int64_t deadline_ms);

    const std::int32_t tick_ms_;
    std::map<std::int64_t, std::set<SessionId>> by_deadline_;
    std::unordered_map<SessionId, std::int64_t> deadlines_;
};

}  // namespace coordinator
