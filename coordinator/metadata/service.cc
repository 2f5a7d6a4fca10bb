#include "coordinator/metadata/service.h"

#include "coordinator/metadata/durable_tree.h"
#include "coordinator/metadata/journal_format.h"
#include "coordinator/metadata/session_expiry.h"
#include "protocol/base/ensure.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <future>
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
        const std::vector<Event> events = tree_->apply(transaction);
        if (!followers_.empty()) changes_.push_back(changes_of(events));
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
        for (const SessionId session : expiry_.take_expired(now_ms)) {
            const auto closed = tree().decide_close_session(session, settings_.wall_ms());
            if (closed) apply(*closed);
        }
        if (now_ms >= next_reap_ms_) {
            next_reap_ms_ = now_ms + reap_every_ms;
            const auto reap = tree().decide_reap(reap_nodes_max, settings_.wall_ms());
            if (!reap.changes.empty()) apply(reap);
        }
        for (const Task& task : round) {
            if (task.decide) task.decide();
        }
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
        for (const Task& task : round) task.answer(!failed_here_);
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
        if (is_too_long(submitted->ops)) {
            submitted->result = base::Unexpected(Refused{ZkError::marshalling_error, 0});
            return;
        }
        auto decision =
            loop->tree().decide(submitted->ops, submitted->caller, loop->settings().wall_ms());
        if (!decision) {
            submitted->result = base::Unexpected(decision.error());
            return;
        }
        if (!decision->transaction.changes.empty()) loop->apply(decision->transaction);
        submitted->result = Committed{loop->tree().last_zxid(), std::move(decision->results)};
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
    const auto decide = [&] {
        const Settings& settings = loop_->settings();
        settings.random(key.password);
        const auto clamped = std::clamp(timeout_ms, settings.session_timeout_min_ms,
                                        settings.session_timeout_max_ms);
        const auto created =
            loop_->tree().decide_create_session(clamped, key.password, settings.wall_ms());
        key.id = created.session;
        loop_->apply(created);
    };
    if (!loop_->put_and_wait(decide)) return base::Unexpected(ZkError::connection_loss);
    return key;
}

base::Result<void, ZkError> MetadataService::resume_session(const SessionKey& key) {
    bool is_known = false;
    const auto decide = [&] {
        const auto session = loop_->tree().sessions().find(key.id);
        is_known =
            session != loop_->tree().sessions().end() && session->second.password == key.password;
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
    const auto decide = [&] {
        const auto closed =
            loop_->tree().decide_close_session(session, loop_->settings().wall_ms());
        if (closed) {
            loop_->expiry().forget(session);
            loop_->apply(*closed);
        } else {
            result = base::Unexpected(closed.error());
        }
    };
    if (!loop_->put_and_wait(decide)) return base::Unexpected(ZkError::connection_loss);
    return result;
}

void MetadataService::subscribe(Follower follower) {
    loop_->put_and_wait({}, [&] { loop_->follow(std::move(follower)); });
}

Zxid MetadataService::look_at(const std::function<void(const Tree&)>& look) const {
    return loop_->look_at(look);
}

bool MetadataService::wait_durable(Zxid zxid) const {
    return loop_->wait_durable(zxid);
}

}  // namespace coordinator
