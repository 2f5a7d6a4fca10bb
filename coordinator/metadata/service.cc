#include "coordinator/metadata/service.h"

#include "coordinator/metadata/acl.h"
#include "coordinator/metadata/durable_tree.h"
#include "coordinator/metadata/journal_format.h"
#include "coordinator/metadata/session_expiry.h"
#include "coordinator/metadata/turn.h"
#include "protocol/base/ensure.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <future>
#include <map>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>
#include <variant>

namespace coordinator {

using storage::Fault;
using storage::FaultKind;

namespace {

constexpr std::int64_t reap_every_ms = 60'000;  // As ZooKeeper (znode.container.checkIntervalMs).
constexpr std::size_t reap_nodes_max = 1000;
constexpr std::size_t snapshot_slice_nodes = 500;

// What is put into the queue: judged in its turn, answered when the round is durable.
struct Task {
    std::function<void()> decide;              // With the tree's lock held.
    std::function<void(bool durable)> answer;  // False: nothing is known of the outcome.
};

std::size_t bytes_of(const Acl& acl) {
    std::size_t bytes = 0;
    for (const AclEntry& entry : acl) bytes += 16 + entry.id.scheme.size() + entry.id.id.size();
    return bytes;
}

std::size_t bytes_of(const Op& op) {
    return std::visit(
        [](const auto& one) {
            using What = std::decay_t<decltype(one)>;
            std::size_t bytes = 64 + one.path.size();
            if constexpr (requires { one.data; }) bytes += one.data ? one.data->size() : 0;
            if constexpr (requires { one.acl; }) bytes += bytes_of(one.acl);
            if constexpr (std::is_same_v<What, Create>) {
                const auto depth = static_cast<std::size_t>(std::ranges::count(one.path, '/'));
                if (one.with_parents) bytes += depth * (64 + one.path.size());
            }
            return bytes;
        },
        op);
}

bool is_too_long(const std::vector<Op>& ops) {
    std::size_t bytes = 0;
    for (const Op& op : ops) bytes += bytes_of(op);
    return bytes > MetadataService::transaction_bytes_max;
}

}  // namespace

// ---- Loop: the two threads ----------------------------------------------------------------

class MetadataService::Loop {
public:
    Loop(Settings settings, std::unique_ptr<storage::FileLock> lock,
         std::unique_ptr<DurableTree> tree)
        : settings_(std::move(settings)),
          lock_(std::move(lock)),
          tree_(std::move(tree)),
          durable_(tree_->synced_zxid()),
          expiry_(settings_.tick_ms) {
        const std::int64_t now_ms = settings_.monotonic_ms();
        next_reap_ms_ = now_ms + reap_every_ms;
        for (const auto& [id, session] : tree_->tree().sessions()) {
            expiry_.touch(id, session.timeout_ms, now_ms);
        }
        service_ = std::thread([this] { run(); });
        service_id_ = service_.get_id();
        snapshotter_ = std::thread([this] { run_snapshots(); });
    }

    ~Loop() { stop(); }

    void stop() {
        ensure_elsewhere();
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
        }
        wake_.notify_all();
        snapshot_wake_.notify_all();
        if (service_.joinable()) service_.join();
        if (snapshotter_.joinable()) snapshotter_.join();
        tree_->close();
        lock_.reset();
    }

    // Put the task at the end of the queue. After stop() it is answered here and now.
    void put(Task task) {
        {
            const std::lock_guard lock(mutex_);
            if (!stopped_) {
                queue_.push_back(std::move(task));
                wake_.notify_one();
                return;
            }
        }
        task.answer(false);
    }

    // The same, and wait until it was answered.
    bool put_and_wait(std::function<void()> decide, std::function<void()> durable = {}) {
        ensure_elsewhere();
        std::promise<bool> answered;
        put({std::move(decide), [&](bool is_durable) {
                 if (is_durable && durable) durable();
                 answered.set_value(is_durable);
             }});
        return answered.get_future().get();
    }

    void ensure_elsewhere() const {
        base::ensure(std::this_thread::get_id() != service_id_,
                     "who waits for the metadata service is not the service itself");
    }

    // ---- called on the service thread, with the tree's lock held ----

    const Tree& tree() const { return tree_->tree(); }
    const Settings& settings() const { return settings_; }
    SessionExpiry& expiry() { return expiry_; }

    void apply(const Transaction& transaction) {
        const auto events = std::make_shared<const std::vector<Event>>(tree_->apply(transaction));
        if (!followers_.empty()) changes_.push_back(changes_of(*events));
        for (const auto& [watcher, event] : watches_.fire(*events)) {
            const auto guest = guests_.find(watcher);
            if (guest == guests_.end()) continue;
            if (event->acl && !permits(*event->acl, permission::read, guest->second.caller.ids)) {
                continue;
            }
            tell(
                [events, event = event, client = guest->second.client] { client->notify(*event); });
        }
    }

    base::Result<Committed, Refused> commit(const std::vector<Op>& ops, const Caller& caller) {
        if (is_too_long(ops)) return base::Unexpected(Refused{ZkError::marshalling_error, 0});
        auto decision = tree().decide(ops, caller, settings_.wall_ms());
        if (!decision) return base::Unexpected(decision.error());
        if (!decision->transaction.changes.empty()) apply(decision->transaction);
        return Committed{tree().last_zxid(), std::move(decision->results)};
    }

    std::int32_t clamped(std::int32_t timeout_ms) const {
        return std::clamp(timeout_ms, settings_.session_timeout_min_ms,
                          settings_.session_timeout_max_ms);
    }

    SessionKey create_session(std::int32_t timeout_ms) {
        SessionKey key;
        settings_.random(key.password);
        const auto created =
            tree().decide_create_session(timeout_ms, key.password, settings_.wall_ms());
        key.id = created.session;
        apply(created);
        return key;
    }

    bool knows(const SessionKey& key) const {
        const auto session = tree().sessions().find(key.id);
        return session != tree().sessions().end() && session->second.password == key.password;
    }

    base::Result<void, ZkError> end_session(SessionId session) {
        const auto closed = tree().decide_close_session(session, settings_.wall_ms());
        if (!closed) return base::Unexpected(closed.error());
        expiry_.forget(session);
        apply(*closed);
        release(session);
        return {};
    }

    // ---- the clients of other processes; likewise ----

    struct Guest {
        std::shared_ptr<const Client> client;
        Caller caller;
        std::int32_t timeout_ms = 0;
    };

    WatcherId draw_watcher() { return WatcherId(next_watcher_.fetch_add(1)); }
    WatchTable& watches() { return watches_; }

    Guest* guest(WatcherId id) {
        const auto at = guests_.find(id);
        return at == guests_.end() ? nullptr : &at->second;
    }

    void admit(WatcherId id, Client client) {
        auto shared = std::make_shared<const Client>(std::move(client));
        Caller caller{SessionId(0), shared->ids};
        guests_.emplace(id, Guest{std::move(shared), std::move(caller)});
    }

    void dismiss(WatcherId id) {
        const auto at = guests_.find(id);
        if (at == guests_.end()) return;
        if (at->second.caller.session.value() != 0) attached_.erase(at->second.caller.session);
        watches_.remove_all(id);
        guests_.erase(at);
    }

    // The session is this client's from now on.
    void attach(WatcherId id, SessionId session, std::int32_t timeout_ms) {
        release(session);
        Guest& guest = guests_.at(id);
        guest.caller.session = session;
        guest.timeout_ms = timeout_ms;
        attached_.emplace(session, id);
        renew(guest);
    }

    void renew(const Guest& guest) {
        if (guest.caller.session.value() == 0) return;
        expiry_.touch(guest.caller.session, guest.timeout_ms, round_ms_);
    }

    // The client does not hold its session any more, and is not told.
    SessionId give_up_session(WatcherId id) {
        const SessionId session = std::exchange(guests_.at(id).caller.session, SessionId(0));
        attached_.erase(session);
        return session;
    }

    // ---- called on the service thread, with no lock held ----

    void follow(Follower follower) {
        follower.start(tree());
        followers_.push_back(std::move(follower));
    }

    // ---- called on any thread ----

    Zxid look_at(const std::function<void(const Tree&)>& look) const {
        const std::lock_guard lock(tree_mutex_);
        look(tree());
        return tree().last_zxid();
    }

    bool wait_durable(Zxid zxid) const {
        std::unique_lock lock(mutex_);
        durable_moved_.wait(lock, [&] { return durable_ >= zxid || failed_ || stopped_; });
        return durable_ >= zxid && !failed_ && !stopped_;
    }

private:
    void run() {
        for (;;) {
            std::vector<Task> round;
            bool last = false;
            {
                std::unique_lock lock(mutex_);
                wait_for_work(lock);
                round.swap(queue_);
                last = stopping_ && round.empty();
                if (last) stopped_ = true;
            }
            if (last) break;
            decide(round);
            if (!failed_here_ && tree_->has_uncommitted()) commit();
            answer(round);
            // Nothing to do: time to note that all is durable.
            if (!failed_here_ && is_idle()) tree_->mark();
            if (!failed_here_ && tree_->journal_bytes() >= settings_.snapshot_every_bytes) {
                begin_snapshot();
            }
        }
        durable_moved_.notify_all();
    }

    void wait_for_work(std::unique_lock<std::mutex>& lock) {
        const auto has_work = [&] { return !queue_.empty() || stopping_; };
        std::optional<std::int64_t> next = expiry_.next_ms();
        if (tree().may_need_reaping()) next = std::min(next.value_or(next_reap_ms_), next_reap_ms_);
        if (!next || failed_here_) {
            wake_.wait(lock, has_work);
        } else {
            const auto left_ms = std::max<std::int64_t>(0, *next - settings_.monotonic_ms());
            wake_.wait_for(lock, std::chrono::milliseconds(left_ms), has_work);
        }
    }

    bool is_idle() {
        const std::lock_guard lock(mutex_);
        return queue_.empty();
    }

    void decide(const std::vector<Task>& round) {
        if (failed_here_) return;
        const std::lock_guard lock(tree_mutex_);
        const std::int64_t now_ms = settings_.monotonic_ms();
        round_ms_ = now_ms;
        for (const SessionId session : expiry_.take_expired(now_ms)) {
            (void)end_session(session);  // It may have been closed since.
        }
        if (now_ms >= next_reap_ms_) {
            next_reap_ms_ = now_ms + reap_every_ms;
            const auto reap = tree().decide_reap(reap_nodes_max, settings_.wall_ms());
            if (!reap.changes.empty()) apply(reap);
        }
        for (deciding_ = 0; deciding_ < round.size(); ++deciding_) {
            if (round[deciding_].decide) round[deciding_].decide();
        }
        deciding_ = 0;
    }

    void commit() {
        bool said = false;
        for (;;) {
            const auto committed = tree_->commit();
            if (committed) break;
            if (committed.error().kind != FaultKind::no_space || !wait_for_space()) {
                fail(committed.error());
                return;
            }
            if (!std::exchange(said, true)) {
                say("the disk of the metadata journal is full, nothing is acknowledged until there "
                    "is space: " +
                    committed.error().detail);
            }
        }
        if (said) say("the metadata journal goes on");
        {
            const std::lock_guard lock(mutex_);
            durable_ = tree_->synced_zxid();
        }
        durable_moved_.notify_all();
    }

    // False when the service is to stop instead.
    bool wait_for_space() {
        std::unique_lock lock(mutex_);
        const std::chrono::milliseconds retry(settings_.full_disk_retry_ms);
        return !wake_.wait_for(lock, retry, [&] { return stopping_; });
    }

    void fail(const Fault& fault) {
        {
            const std::lock_guard lock(mutex_);
            failed_ = true;
        }
        failed_here_ = true;
        durable_moved_.notify_all();
        const std::string why =
            "the metadata journal cannot be written any more, nothing is "
            "acknowledged: " +
            fault.detail;
        say(why);
        if (settings_.on_failure) settings_.on_failure(why);
    }

    void answer(const std::vector<Task>& round) {
        const auto changes = std::exchange(changes_, {});
        if (!failed_here_) {
            for (const auto& transaction : changes) {
                for (const Follower& follower : followers_) follower.follow(transaction);
            }
        }
        // Events stand between the answers where their causes stand.
        const auto told = std::exchange(told_, {});
        auto next = told.begin();
        for (std::size_t i = 0; i <= round.size(); ++i) {
            for (; next != told.end() && (next->before <= i || i == round.size()); ++next) {
                if (!failed_here_) next->tell();
            }
            if (i < round.size()) round[i].answer(!failed_here_);
        }
    }

    void tell(std::function<void()> what) { told_.push_back({deciding_, std::move(what)}); }

    // Whoever holds the session loses it and is told.
    void release(SessionId session) {
        const auto at = attached_.find(session);
        if (at == attached_.end()) return;
        Guest& guest = guests_.at(at->second);
        guest.caller.session = SessionId(0);
        attached_.erase(at);
        tell([client = guest.client] { client->ended(); });
    }

    std::vector<NodeChange> changes_of(const std::vector<Event>& events) const {
        std::vector<NodeChange> changes;
        for (const Event& event : events) {
            if (event.type == EventType::children_changed) continue;
            NodeChange change{event.type, event.path, event.zxid};
            if (event.type != EventType::deleted) {
                auto node = tree().get(event.path);
                if (!node) continue;  // Deleted later in the same transaction.
                change.data = std::move(node->data);
                change.version = node->stat.version;
                change.czxid = node->stat.czxid;
                change.ephemeral_owner = node->stat.ephemeral_owner;
            }
            changes.push_back(std::move(change));
        }
        return changes;
    }

    void say(const std::string& line) const {
        if (settings_.log) settings_.log(line);
    }

    // ---- snapshots ----

    void begin_snapshot() {
        {
            const std::lock_guard lock(mutex_);
            if (snapshot_is_on_) return;
        }
        const auto rolled = tree_->roll();
        if (!rolled && rolled.error().kind == FaultKind::no_space) {
            // The present segment goes on; a commit will find the same, and says so.
            return;
        }
        if (!rolled) {
            fail(rolled.error());
            return;
        }
        std::unique_ptr<SnapshotRun> run;
        {
            const std::lock_guard lock(tree_mutex_);
            run = tree_->begin_snapshot();
        }
        {
            const std::lock_guard lock(mutex_);
            snapshot_is_on_ = true;
            snapshot_ = std::move(run);
        }
        snapshot_wake_.notify_one();
    }

    void run_snapshots() {
        for (;;) {
            std::unique_ptr<SnapshotRun> run;
            {
                std::unique_lock lock(mutex_);
                snapshot_wake_.wait(lock, [&] { return snapshot_ || stopping_; });
                run = std::move(snapshot_);
            }
            if (!run) return;
            const auto written = write(*run);
            if (!written) {
                run->abandon();
                if (!is_stopping()) say("no snapshot of the metadata: " + written.error().detail);
            }
            {
                // The tree knows of the run until it is gone.
                const std::lock_guard lock(tree_mutex_);
                run.reset();
            }
            const std::lock_guard lock(mutex_);
            snapshot_is_on_ = false;
        }
    }

    base::Result<void, Fault> write(SnapshotRun& run) {
        for (;;) {
            if (is_stopping()) return base::Unexpected(Fault(FaultKind::io, "stopping"));
            std::vector<NodeImage> slice;
            {
                const std::lock_guard lock(tree_mutex_);
                slice = run.take(snapshot_slice_nodes);
            }
            if (slice.empty()) return run.finish();
            const auto written = run.write(slice);
            if (!written) return written;
        }
    }

    bool is_stopping() const {
        const std::lock_guard lock(mutex_);
        return stopping_;
    }

    const Settings settings_;
    std::unique_ptr<storage::FileLock> lock_;
    const std::unique_ptr<DurableTree> tree_;

    // Held for decide, apply and reads, and while a snapshot takes a slice.
    mutable std::mutex tree_mutex_;

    // Guards what is below it; never held together with tree_mutex_.
    mutable std::mutex mutex_;
    std::condition_variable wake_;
    std::condition_variable snapshot_wake_;
    mutable std::condition_variable durable_moved_;
    std::vector<Task> queue_;
    Zxid durable_;
    bool stopping_ = false;
    bool stopped_ = false;  // The queue is empty for ever.
    bool failed_ = false;
    bool snapshot_is_on_ = false;
    std::unique_ptr<SnapshotRun> snapshot_;  // On its way to the snapshot thread.

    // Of the service thread alone.
    SessionExpiry expiry_;
    std::int64_t next_reap_ms_ = 0;
    std::vector<Follower> followers_;
    std::vector<std::vector<NodeChange>> changes_;  // Of this round, by transaction.
    bool failed_here_ = false;

    // Likewise: the clients of other processes.
    struct Told {
        std::size_t before;  // The task of the round whose answer it precedes.
        std::function<void()> tell;
    };
    std::map<WatcherId, Guest> guests_;
    std::map<SessionId, WatcherId> attached_;  // Sessions that clients hold.
    WatchTable watches_;
    std::vector<Told> told_;     // Of this round.
    std::size_t deciding_ = 0;   // The task whose turn it is.
    std::int64_t round_ms_ = 0;  // When the round began.
    std::atomic<std::uint64_t> next_watcher_{1};

    std::thread service_;
    std::thread::id service_id_;
    std::thread snapshotter_;
};

// ---- MetadataService ----------------------------------------------------------------------

MetadataService::MetadataService(std::unique_ptr<Loop> loop) : loop_(std::move(loop)) {}

MetadataService::~MetadataService() = default;

base::Result<std::unique_ptr<MetadataService>, std::string> MetadataService::start(
    Settings settings) {
    const std::filesystem::path directory(settings.directory);
    auto lock = settings.disk->lock(directory / journal_format::lock_name);
    if (!lock && lock.error().kind == FaultKind::locked) {
        return base::Unexpected("the metadata in " + directory.string() +
                                " is in use by another process; end it, or set milena.metadata.dir "
                                "to another directory");
    }
    if (!lock) return base::Unexpected("metadata: " + lock.error().detail);
    auto tree = DurableTree::open(*settings.disk, directory, [&] {
        base::Uuid id{};
        settings.random(id);
        return id;
    });
    if (!tree) return base::Unexpected("metadata: " + tree.error().detail);
    for (const std::string& note : (*tree)->notes()) {
        if (settings.log) settings.log("metadata: " + note);
    }
    auto loop = std::make_unique<Loop>(std::move(settings), std::move(*lock), std::move(*tree));
    return std::unique_ptr<MetadataService>(new MetadataService(std::move(loop)));
}

void MetadataService::stop() {
    loop_->stop();
}

void MetadataService::submit(std::vector<Op> ops, Caller caller, Done done) {
    struct Submitted {
        std::vector<Op> ops;
        Caller caller;
        Done done;
        base::Result<Committed, Refused> result;
    };
    auto submitted = std::make_shared<Submitted>();
    *submitted = {std::move(ops), std::move(caller), std::move(done), {}};
    auto decide = [loop = loop_.get(), submitted] {
        submitted->result = loop->commit(submitted->ops, submitted->caller);
    };
    auto answer = [submitted](bool durable) {
        if (!durable) submitted->result = base::Unexpected(Refused{ZkError::connection_loss, 0});
        if (submitted->done) submitted->done(submitted->result);
    };
    loop_->put({std::move(decide), std::move(answer)});
}

base::Result<Committed, Refused> MetadataService::submit_and_wait(std::vector<Op> ops,
                                                                  Caller caller) {
    loop_->ensure_elsewhere();
    std::promise<base::Result<Committed, Refused>> answered;
    submit(std::move(ops), std::move(caller),
           [&](const base::Result<Committed, Refused>& result) { answered.set_value(result); });
    return answered.get_future().get();
}

base::Result<SessionKey, ZkError> MetadataService::open_session(std::int32_t timeout_ms) {
    SessionKey key;
    const auto decide = [&] { key = loop_->create_session(loop_->clamped(timeout_ms)); };
    if (!loop_->put_and_wait(decide)) return base::Unexpected(ZkError::connection_loss);
    return key;
}

base::Result<void, ZkError> MetadataService::resume_session(const SessionKey& key) {
    bool is_known = false;
    const auto decide = [&] {
        is_known = loop_->knows(key);
        if (is_known) loop_->expiry().forget(key.id);
    };
    if (!loop_->put_and_wait(decide)) return base::Unexpected(ZkError::connection_loss);
    if (!is_known) return base::Unexpected(ZkError::session_expired);
    return {};
}

void MetadataService::detach_session(SessionId session) {
    auto decide = [loop = loop_.get(), session] {
        const auto known = loop->tree().sessions().find(session);
        if (known == loop->tree().sessions().end()) return;
        loop->expiry().touch(session, known->second.timeout_ms, loop->settings().monotonic_ms());
    };
    loop_->put({std::move(decide), [](bool) {}});
}

base::Result<void, ZkError> MetadataService::close_session(SessionId session) {
    base::Result<void, ZkError> result;
    const auto decide = [&] { result = loop_->end_session(session); };
    if (!loop_->put_and_wait(decide)) return base::Unexpected(ZkError::connection_loss);
    return result;
}

void MetadataService::subscribe(Follower follower) {
    loop_->put_and_wait({}, [&] { loop_->follow(std::move(follower)); });
}

WatcherId MetadataService::admit(Client client) {
    const WatcherId id = loop_->draw_watcher();
    loop_->put({[loop = loop_.get(), id, client = std::move(client)]() mutable {
                    loop->admit(id, std::move(client));
                },
                [](bool) {}});
    return id;
}

void MetadataService::take_turn(WatcherId client, std::function<void(Turn&)> step,
                                std::function<void(bool durable)> answer) {
    struct Taken {
        std::function<void(Turn&)> step;
        std::function<void(bool)> answer;
        bool left_out = false;  // The client was dismissed.
    };
    auto taken = std::make_shared<Taken>(Taken{std::move(step), std::move(answer)});
    loop_->put({[loop = loop_.get(), client, taken] {
                    if (client.value() != 0) {
                        const auto* guest = loop->guest(client);
                        taken->left_out = guest == nullptr;
                        if (taken->left_out) return;
                        loop->renew(*guest);
                    }
                    Turn turn(*loop, client);
                    taken->step(turn);
                },
                [taken](bool durable) {
                    if (!taken->left_out) taken->answer(durable);
                }});
}

void MetadataService::dismiss(WatcherId client) {
    loop_->put({[loop = loop_.get(), client] { loop->dismiss(client); }, [](bool) {}});
}

Zxid MetadataService::look_at(const std::function<void(const Tree&)>& look) const {
    return loop_->look_at(look);
}

bool MetadataService::wait_durable(Zxid zxid) const {
    return loop_->wait_durable(zxid);
}

// ---- Turn ---------------------------------------------------------------------------------

const Tree& Turn::tree() const {
    return std::as_const(loop_).tree();
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

base::Result<Committed, Refused> Turn::commit(const std::vector<Op>& ops) {
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

}  // namespace coordinator
