// MetadataService: the metadata tree of a cluster, kept durable.
//
//     submit (any thread) --> queue --> service thread: take all that wait
//                                          lock the tree: decide, apply, unlock
//                                       journal thread: one write, one fdatasync
//                                       service thread: callbacks, followers
//
// What gathers during one fdatasync goes into the next: that is the group commit. The tree
// runs ahead of the disk; nobody is shown what is not durable: callbacks and followers come
// after it, and read() waits for it.
//
// A disk that is full stalls the service: it tries again and again, says so once, and
// acknowledges nothing until it succeeds.
//
// Guarantees:
//   - what was answered survives kill -9 and power loss
//   - transactions have one order, that of their zxids; callbacks and followers see it
//   - when a write is answered, the followers have seen it
//   - once a write or a sync failed, nothing is acknowledged any more: everything that
//     waits or comes later gets connection_loss, and on_failure is called once
//
// Threads: every function may be called from any thread. Callbacks and followers run on the
// service's own; they may submit and read, but what waits there for an answer (submit_and_wait,
// sessions, subscribe, stop) would wait for ever, which is ensured. Snapshots are written by a
// second thread, which copies nodes in short slices under the tree's lock.
//
// Limits: a transaction takes at most transaction_bytes_max. The queue is bounded by the
// requests in flight of its callers.
#pragma once

#include "coordinator/metadata/spread.h"
#include "coordinator/metadata/tree.h"
#include "coordinator/metadata/watches.h"
#include "protocol/base/result.h"
#include "storage/disk.h"

#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace coordinator {

class Turn;    // turn.h
class Client;  // turn.h

// How to come back to a session after a restart; kept by its owner.
struct SessionKey {
    SessionId id;
    Password password{};

    friend bool operator==(const SessionKey&, const SessionKey&) = default;
};

// What a follower is told of one node, in zxid order. `data`, `version` and `czxid` are the
// node's after the change; unset when it was deleted.
struct NodeChange {
    EventType type;  // created, deleted or data_changed.
    std::string path;
    Zxid zxid;
    Data data = {};
    std::int32_t version = 0;
    Zxid czxid = {};
    SessionId ephemeral_owner = {};
};

struct Follower {
    // Called first and once, with the whole durable tree.
    std::function<void(const Tree&)> start;
    // Called for each transaction after that one.
    std::function<void(std::span<const NodeChange>)> follow;
};

class MetadataService {
public:
    // For people.
    struct Figures {
        Spread sync_ms;            // Of the journal.
        Spread sync_transactions;  // For which there was one.
        Spread snapshot_ms;
        // Of the events that somebody waited for: how many did. By EventType, from 1.
        std::array<Spread, 4> watchers;
        std::int64_t sessions_expired = 0;
        // Of the start, once each; nothing when they were reset since.
        struct Start {
            Spread all_ms;
            Spread snapshot_ms;
            Spread journal_ms;
            Spread transactions;
        } start;
        Zxid last_snapshot = {};
        std::int64_t last_snapshot_ms = 0;  // Since 1970; 0: none since the start.
    };

    // What the files take.
    struct Bytes {
        std::uint64_t snapshots = 0;
        std::uint64_t journal = 0;
    };

    struct Settings {
        storage::Disk* disk = &storage::real_disk();       // Outlives the service.
        std::string directory;                             // Of journal and snapshots; it exists.
        std::string journal_directory = {};                // Of the journal, if not the same.
        std::function<std::int64_t()> wall_ms;             // Milliseconds since 1970.
        std::function<std::int64_t()> monotonic_ms;        // For expiry.
        std::function<void(std::span<std::byte>)> random;  // Fills with what nobody can guess.
        std::function<void(std::string)> on_failure = {};  // Says why the service ended.
        std::function<void(std::string)> log = {};         // One line for people.
        std::int32_t tick_ms = 2000;
        std::int32_t session_timeout_min_ms = 4000;
        std::int32_t session_timeout_max_ms = 60000;
        std::int32_t full_disk_retry_ms = 1000;
        std::int32_t reap_every_ms = 60'000;               // Empty containers, ended nodes.
        std::uint64_t journal_room_bytes_max = 64u << 20;  // See journal.h.
        std::uint64_t snapshot_every_bytes = 16u << 20;    // Of journal since the last one,
        std::int64_t snapshot_every_transactions = std::numeric_limits<std::int64_t>::max();
        std::string super_digest = {};   // Who proves this digest passes every list of rights.
        bool enforces_quotas = false;    // The hard limits below /zookeeper/quota.
        std::size_t snapshots_kept = 2;  // 0: all, and the whole journal with them.
    };

    // Recover what the directory holds and start. The error is one line for people with file
    // and remedy: damage, a version newer than ours, a directory in use, a disk that fails.
    [[nodiscard]] static base::Result<std::unique_ptr<MetadataService>, std::string> start(
        Settings settings);

    // Answer what was submitted, close the files and end the threads. The destructor stops too.
    void stop();
    ~MetadataService();

    // Of paths, data and ACLs of one transaction; more is refused with marshalling_error.
    static constexpr std::size_t transaction_bytes_max = std::size_t{16} << 20;

    using Done = std::function<void(const base::Result<Committed, Refused>&)>;

    // Make `ops` one transaction; `done` is called once, on the service thread, when it is
    // durable or refused. No ops: called when everything submitted before is durable. After
    // stop() it is called at once, with connection_loss.
    void submit(std::vector<Op> ops, Caller caller, Done done);

    // The same, waiting for the answer.
    [[nodiscard]] base::Result<Committed, Refused> submit_and_wait(std::vector<Op> ops,
                                                                   Caller caller = ourselves());

    // A new session, attached: it lives until it is closed, or detached or not resumed after
    // a restart for its time-out. The time-out is clamped to the settings' bounds.
    [[nodiscard]] base::Result<SessionKey, ZkError> open_session(std::int32_t timeout_ms);

    // Attach to a session again. session_expired when it is gone or the password is wrong.
    [[nodiscard]] base::Result<void, ZkError> resume_session(const SessionKey& key);

    // From now on the session expires unless it is resumed.
    void detach_session(SessionId session);

    // Ends the session and deletes its ephemerals.
    [[nodiscard]] base::Result<void, ZkError> close_session(SessionId session);

    // Call `look(const Tree&)` under the tree's lock, keep it short, and return what it gave
    // once all that it may have seen is durable. connection_loss when the service has failed.
    template <class Look>
    [[nodiscard]] auto read(Look look) const
        -> base::Result<std::invoke_result_t<Look, const Tree&>, ZkError> {
        std::optional<std::invoke_result_t<Look, const Tree&>> seen;
        const auto position = look_at([&](const Tree& tree) { seen.emplace(look(tree)); });
        if (!wait_durable(position)) return base::Unexpected(ZkError::connection_loss);
        return std::move(*seen);
    }

    const Settings& settings() const;

    // Asks the disk.
    Bytes file_bytes() const;

    // Follow the tree without a gap. Returns when start() has run. Nothing is called when the
    // service has failed or stopped.
    void subscribe(Follower follower);

    // ---- For who serves clients of other processes; turn.h says what a turn is.

    // A client that has no session yet; `ids` say who it is before it says so: its address. It is
    // told of events until it is dismissed, and held until then.
    [[nodiscard]] WatcherId admit(std::vector<Id> ids, std::shared_ptr<Client> client);

    // Call `step` in its turn, on the service thread with the tree's lock held, and `answer`
    // when all that it did and saw is durable (false: nothing is known of the outcome). Steps
    // come in the order of the calls, and so do the answers of one client; an event that a step
    // caused comes after the answers of those before it and before its own. WatcherId(0) is nobody:
    // it may look. For a client that was dismissed neither is called.
    void take_turn(WatcherId client, std::function<void(Turn&)> step,
                   std::function<void(bool durable)> answer);

    // The client's connection is gone and its watches with it; its session lives on for what
    // is left of its time-out.
    void dismiss(WatcherId client);

private:
    friend class Turn;
    class Loop;

    explicit MetadataService(std::unique_ptr<Loop> loop);

    // Returns the last transaction that `look` may have seen.
    Zxid look_at(const std::function<void(const Tree&)>& look) const;

    // False when the service has failed or stopped.
    bool wait_durable(Zxid zxid) const;

    std::unique_ptr<Loop> loop_;
};

}  // namespace coordinator
