#include "coordinator/metadata/session_expiry.h"

#include <utility>

namespace coordinator {

void SessionExpiry::put(SessionId session, std::int64_t deadline_ms) {
    const auto present = deadlines_.find(session);
    if (present != deadlines_.end() && present->second == deadline_ms) return;
    forget(session);
    by_deadline_[deadline_ms].insert(session);
    deadlines_.emplace(session, deadline_ms);
}

void SessionExpiry::touch(SessionId session, std::int32_t timeout_ms, std::int64_t now_ms) {
    put(session, ((now_ms + timeout_ms) / tick_ms_ + 1) * tick_ms_);
}

void SessionExpiry::forget(SessionId session) {
    const auto deadline = deadlines_.find(session);
    if (deadline == deadlines_.end()) return;
    const auto bucket = by_deadline_.find(deadline->second);
    bucket->second.erase(session);
    if (bucket->second.empty()) by_deadline_.erase(bucket);
    deadlines_.erase(deadline);
}

std::vector<SessionId> SessionExpiry::take_expired(std::int64_t now_ms) {
    std::vector<SessionId> expired;
    if (by_deadline_.empty()) return expired;
    const std::int64_t late_ms = now_ms - by_deadline_.begin()->first;
    if (late_ms > tick_ms_) {
        const auto extension = (late_ms / tick_ms_ + 1) * tick_ms_;
        for (const auto& [deadline, sessions] : std::exchange(by_deadline_, {})) {
            for (const SessionId session : sessions) deadlines_[session] = deadline + extension;
            by_deadline_.emplace(deadline + extension, sessions);
        }
        return expired;
    }
    while (!by_deadline_.empty() && by_deadline_.begin()->first <= now_ms) {
        const auto bucket = by_deadline_.extract(by_deadline_.begin());
        for (const SessionId session : bucket.mapped()) {
            deadlines_.erase(session);
            expired.push_back(session);
        }
    }
    return expired;
}

std::optional<std::int64_t> SessionExpiry::deadline_ms(SessionId session) const {
    const auto at = deadlines_.find(session);
    if (at == deadlines_.end()) return std::nullopt;
    return at->second;
}

std::optional<std::int64_t> SessionExpiry::next_ms() const {
    if (by_deadline_.empty()) return std::nullopt;
    return by_deadline_.begin()->first;
}

}  // namespace coordinator
