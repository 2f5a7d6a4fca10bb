#include "coordinator/metadata/turn.h"

#include "coordinator/metadata/service_loop.h"

#include <algorithm>
#include <utility>

namespace coordinator {

const Tree& Turn::tree() const {
    return std::as_const(loop_).tree();
}

const MetadataService::Settings& Turn::settings() const {
    return loop_.settings();
}

const Caller& Turn::caller() const {
    static const Caller nobody;
    const auto* guest = loop_.guest(client_);
    return guest == nullptr ? nobody : guest->caller;
}

void Turn::add_id(Id id) {
    auto& ids = loop_.guest(client_)->caller.ids;
    if (std::ranges::find(ids, id) == ids.end()) ids.push_back(std::move(id));
}

Zxid Turn::zxid() const {
    const auto* const guest = loop_.guest(client_);
    const bool waits = guest != nullptr && guest->waiting > 0;
    return waits || !is_narrow_ || shows_unsynced_ ? tree().last_zxid() : loop_.durable();
}

void Turn::looks_at_nothing() {
    is_narrow_ = true;
}

void Turn::looks_at(std::string_view path) {
    is_narrow_ = true;
    // The figures of quotas change with other nodes.
    if (!loop_.is_durable(path) || path.starts_with("/zookeeper/")) shows_unsynced_ = true;
}

base::Result<Committed, Refused> Turn::commit(const std::vector<Op>& ops) {
    shows_unsynced_ = true;
    return loop_.commit(ops, caller());
}

Turn::Attached Turn::open_session(std::int32_t timeout_ms) {
    const Attached opened{loop_.create_session(loop_.clamped(timeout_ms)),
                          loop_.clamped(timeout_ms)};
    loop_.attach(client_, opened.key.id, opened.timeout_ms);
    return opened;
}

base::Result<Turn::Attached, ZkError> Turn::resume_session(const SessionKey& key,
                                                           std::int32_t timeout_ms) {
    if (!loop_.knows(key)) return base::Unexpected(ZkError::session_expired);
    const Attached resumed{key, loop_.clamped(timeout_ms)};
    loop_.attach(client_, key.id, resumed.timeout_ms);
    return resumed;
}

void Turn::close_session() {
    // It may have expired in this very round, and that is as good.
    (void)loop_.end_session(loop_.give_up_session(client_));
}

void Turn::watch(std::string_view path, WatchKind kind) {
    loop_.watches().add(client_, path, kind);
}

bool Turn::has_watch(std::string_view path, WatcherType type) const {
    return loop_.watches().has(client_, path, type);
}

bool Turn::remove_watch(std::string_view path, WatcherType type) {
    return loop_.watches().remove(client_, path, type);
}

std::size_t Turn::watches() const {
    return loop_.watches().watches_of(client_);
}

const WatchTable& Turn::all_watches() const {
    return loop_.watches();
}

MetadataService::Figures Turn::figures() const {
    return loop_.figures();
}

void Turn::reset_figures() {
    loop_.reset_figures();
}

std::vector<std::pair<SessionId, std::int64_t>> Turn::deadlines() const {
    std::vector<std::pair<SessionId, std::int64_t>> all;
    for (const auto& [id, session] : tree().sessions()) {
        all.emplace_back(id, loop_.expiry().deadline_ms(id).value_or(0));
    }
    return all;
}

SessionId Turn::session_of(WatcherId client) const {
    const auto* const guest = loop_.guest(client);
    return guest == nullptr ? SessionId(0) : guest->caller.session;
}

}  // namespace coordinator
