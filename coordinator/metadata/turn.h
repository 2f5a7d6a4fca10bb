// Turn: what a client of another process sees and does when its turn comes.
//
//     service.admit(ids, client) ... service.take_turn(id, step, answer) ... service.dismiss(id)
//                                    step(turn):  look, commit, watch, open a session
//
// Everything that clients do goes through the service's one queue, reads too. That gives, by
// itself, what ZooKeeper promises: requests of one client take effect in order, a read sees
// all earlier writes, and an event comes after the answer that set its watch and before any
// answer that shows its cause.
//
// The tree is ahead of the disk. A step that says what it looks at is answered at once when all
// of that is durable, and nothing before it of the same client waits; any other answer waits
// until all that was applied before it is durable.
//
// Each turn of a client renews its session. When the session ends without the client's doing,
// by its time-out or because another client resumed it, the client is told once, by `ended`,
// and has no session from then on.
//
// Threads: steps, answers and the client's functions are called on the service thread: steps
// under the tree's lock, the others without it, and none may wait. A Turn is over when its
// step returns.
#pragma once

#include "coordinator/metadata/service.h"
#include "coordinator/metadata/tree.h"
#include "coordinator/metadata/watches.h"
#include "protocol/base/result.h"

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace coordinator {

class Client {
public:
    virtual ~Client() = default;
    virtual void notify(const Event& event) = 0;  // One of its watches fired, and is durable.
    virtual void ended() = 0;                     // Its session ended, or went to another client.
};

class Turn {
public:
    const Tree& tree() const;
    const MetadataService::Settings& settings() const;

    // Who it is: its session, 0 before it has one, and its ids.
    const Caller& caller() const;
    void add_id(Id id);

    // The step shows the node at `path`, or that there is none, its children's names included;
    // or it shows no node at all. A step that never says so may show anything.
    void looks_at(std::string_view path);
    void looks_at_nothing();

    // The last transaction that the step shows.
    Zxid zxid() const;

    // Make `ops` one transaction, as MetadataService::submit.
    [[nodiscard]] base::Result<Committed, Refused> commit(const std::vector<Op>& ops);

    struct Attached {
        SessionKey key;
        std::int32_t timeout_ms;  // Within the service's bounds.
    };

    // A new session for this client, or one that it has the password of. session_expired when
    // there is no such session. Requires that the client has no session.
    Attached open_session(std::int32_t timeout_ms);
    [[nodiscard]] base::Result<Attached, ZkError> resume_session(const SessionKey& key,
                                                                 std::int32_t timeout_ms);

    // End the client's session and delete its ephemerals; it has none from then on, and is
    // not told.
    void close_session();

    // Its watches. Requires a client.
    void watch(std::string_view path, WatchKind kind);
    bool has_watch(std::string_view path, WatcherType type) const;
    bool remove_watch(std::string_view path, WatcherType type);
    std::size_t watches() const;

    // ---- For who tells people of the whole.

    const WatchTable& all_watches() const;
    MetadataService::Figures figures() const;
    void reset_figures();
    // When each session expires if it is not heard of; of the service's monotonic clock, 0: never.
    std::vector<std::pair<SessionId, std::int64_t>> deadlines() const;
    SessionId session_of(WatcherId client) const;

private:
    friend class MetadataService;

    Turn(MetadataService::Loop& loop, WatcherId client) : loop_(loop), client_(client) {}

    MetadataService::Loop& loop_;
    const WatcherId client_;
    bool is_narrow_ = false;       // It said what it looks at.
    bool shows_unsynced_ = false;  // Which is not durable.
};

}  // namespace coordinator
