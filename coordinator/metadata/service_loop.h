// Loop: the threads of the metadata service. For service.cc and turn.cc only.
//
//     queue --> service thread: decide, apply --> batch --> journal thread: write, fdatasync
//                     |                                                          |
//                     +--> waiting: answers, events, followers <---- durable ----+
//                     +--> at once: what shows only what is durable
//
// What gathers while the journal thread is in one fdatasync is its next batch: that is the
// group commit. A third thread writes snapshots, which begin when nothing is on its way.
//
// What waits is released in its order, so an event comes before the answers behind it, and a
// client's answers come in the order of its turns: once one of them waits, those behind wait.
//
// Threads: who calls what stands above each group of functions.
#pragma once

#include "coordinator/metadata/durable_tree.h"
#include "coordinator/metadata/service.h"
#include "coordinator/metadata/session_expiry.h"
#include "coordinator/metadata/turn.h"
#include "coordinator/metadata/unsynced.h"
#include "storage/disk.h"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace coordinator {

using DirectoryLocks = std::vector<std::unique_ptr<storage::FileLock>>;

class MetadataService::Loop {
public:
    // What is put into the queue: judged in its turn, answered when it is durable.
    struct Task {
        // With the tree's lock held. Returns the last transaction that the answer shows.
        std::function<Zxid()> decide;
        std::function<void(bool durable)> answer;  // False: nothing is known of the outcome.
    };

    struct Guest {
        std::shared_ptr<Client> client;
        Caller caller;
        std::int32_t timeout_ms = 0;
        std::size_t waiting = 0;  // Answers that wait for the disk.
    };

    Loop(Settings settings, DirectoryLocks locks, std::unique_ptr<DurableTree> tree);
    ~Loop() { stop(); }

    // ---- called on any thread ----

    void stop();

    // Put the task at the end of the queue. After stop() it is answered here and now.
    void put(Task task);

    // Call `decide` in its turn and wait until what it did and saw is durable.
    bool put_and_wait(const std::function<void()>& decide);

    void ensure_elsewhere() const;
    Zxid look_at(const std::function<void(const Tree&)>& look) const;
    bool wait_durable(Zxid zxid) const;
    void subscribe(Follower follower);
    WatcherId draw_watcher() { return WatcherId(next_watcher_.fetch_add(1)); }

    // ---- called on the service thread, with the tree's lock held ----

    const Tree& tree() const { return tree_->tree(); }
    const Settings& settings() const { return settings_; }
    SessionExpiry& expiry() { return expiry_; }
    Zxid durable() const { return durable_here_; }
    bool is_durable(std::string_view path) const { return !unsynced_.holds(path); }
    Figures figures() const;
    void reset_figures();

    [[nodiscard]] base::Result<Committed, Refused> commit(const std::vector<Op>& ops,
                                                          const Caller& caller);
    std::int32_t clamped(std::int32_t timeout_ms) const;
    SessionKey create_session(std::int32_t timeout_ms);
    bool knows(const SessionKey& key) const;
    [[nodiscard]] base::Result<void, ZkError> end_session(SessionId session);

    // The clients of other processes.
    WatchTable& watches() { return watches_; }
    const std::unordered_map<WatcherId, Guest>& guests() const { return guests_; }
    Guest* guest(WatcherId id);
    void admit(WatcherId id, std::vector<Id> ids, std::shared_ptr<Client> client);
    void dismiss(WatcherId id);
    void attach(WatcherId id, SessionId session, std::int32_t timeout_ms);
    void renew(const Guest& guest);
    // The client does not hold its session any more, and is not told.
    SessionId give_up_session(WatcherId id);

private:
    struct Held {
        Zxid shows;  // Goes out when this is durable.
        std::function<void(bool durable)> go;
    };

    // ---- the service thread ----
    void run();
    void wait_for_work(std::unique_lock<std::mutex>& lock);
    void decide(std::vector<Task>& round);
    void keep_house();
    void apply(const Transaction& transaction);
    void hold(Zxid shows, std::function<void(bool durable)> go);
    void hand_over();
    void release();
    void take_journal();
    void let_followers_in();
    void release_session(SessionId session);
    void count_watchers(const std::vector<WatchTable::Fired>& fired);
    std::vector<NodeChange> changes_of(const std::vector<Event>& events) const;
    bool is_snapshot_due() const;
    void begin_snapshot();

    // ---- the journal thread ----
    void run_journal();
    void give_back_journal();  // The service thread, too.
    [[nodiscard]] bool commit(JournalBatch& batch);
    bool wait_for_space();
    void fail(const storage::Fault& fault);

    // ---- the snapshot thread ----
    void run_snapshots();
    [[nodiscard]] base::Result<void, storage::Fault> write(SnapshotRun& run);
    bool is_stopping() const;

    void say(const std::string& line) const;

    const Settings settings_;
    DirectoryLocks locks_;
    const std::unique_ptr<DurableTree> tree_;

    // Held for decide, apply and reads, and while a snapshot takes a slice.
    mutable std::mutex tree_mutex_;

    // Guards what is below it. tree_mutex_ may be held, and is not taken meanwhile.
    mutable std::mutex mutex_;
    std::condition_variable wake_;          // The service thread.
    std::condition_variable journal_wake_;  // The journal thread.
    std::condition_variable snapshot_wake_;
    mutable std::condition_variable durable_moved_;
    std::vector<Task> queue_;
    JournalBatch handed_;           // For the journal thread.
    bool journal_is_busy_ = false;  // Somebody has it.
    Zxid durable_;
    std::uint64_t segment_bytes_ = 0;
    std::int64_t segment_transactions_ = 0;
    bool stopping_ = false;
    bool stopped_ = false;  // The queue is empty for ever.
    bool journal_stops_ = false;
    bool failed_ = false;
    bool snapshot_is_on_ = false;
    std::unique_ptr<SnapshotRun> snapshot_;  // On its way to the snapshot thread.
    Figures figures_;                        // But for those that the service thread has.

    // Of the service thread alone.
    SessionExpiry expiry_;
    std::int64_t next_reap_ms_ = 0;
    std::vector<Follower> followers_;
    std::vector<std::pair<Follower, std::promise<void>*>> joining_;
    Zxid durable_here_;  // What it has been told of.
    bool failed_here_ = false;
    Unsynced unsynced_;
    std::deque<Held> waiting_;
    std::vector<std::function<void(bool)>> at_once_;
    std::unordered_map<WatcherId, Guest> guests_;
    std::unordered_map<SessionId, WatcherId> attached_;  // Sessions that clients hold.
    WatchTable watches_;
    decltype(Figures::watchers) watchers_;
    std::int64_t sessions_expired_ = 0;
    std::int64_t round_ms_ = 0;  // When the round began.
    std::atomic<std::uint64_t> next_watcher_{1};

    std::thread service_;
    std::thread::id service_id_;
    std::thread journal_;
    std::thread snapshotter_;
};

}  // namespace coordinator
