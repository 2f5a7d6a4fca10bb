#include "coordinator/metadata/service_loop.h"

#include "coordinator/metadata/acl.h"
#include "protocol/base/ensure.h"

#include <algorithm>
#include <chrono>
#include <type_traits>
#include <utility>
#include <variant>

namespace coordinator {

using storage::Fault;
using storage::FaultKind;

namespace {

constexpr std::size_t reap_nodes_max = 1000;
constexpr std::size_t snapshot_slice_nodes = 500;
constexpr std::chrono::milliseconds mark_after{20};  // Without work for the journal.

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

MetadataService::Loop::Loop(Settings settings, DirectoryLocks locks,
                            std::unique_ptr<DurableTree> tree)
    : settings_(std::move(settings)),
      locks_(std::move(locks)),
      tree_(std::move(tree)),
      durable_(tree_->synced_zxid()),
      segment_bytes_(tree_->journal_bytes()),
      segment_transactions_(tree_->journal_transactions()),
      expiry_(settings_.tick_ms),
      durable_here_(durable_) {
    const RecoveryFigures& took = tree_->recovery();
    figures_.start.all_ms.add(took.all_ms);
    figures_.start.snapshot_ms.add(took.snapshot_ms);
    figures_.start.journal_ms.add(took.journal_ms);
    figures_.start.transactions.add(took.transactions);
    const std::int64_t now_ms = settings_.monotonic_ms();
    next_reap_ms_ = now_ms + settings_.reap_every_ms;
    for (const auto& [id, session] : tree_->tree().sessions()) {
        expiry_.touch(id, session.timeout_ms, now_ms);
    }
    service_ = std::thread([this] { run(); });
    service_id_ = service_.get_id();
    journal_ = std::thread([this] { run_journal(); });
    snapshotter_ = std::thread([this] { run_snapshots(); });
}

// ---- called on any thread -----------------------------------------------------------------

void MetadataService::Loop::stop() {
    ensure_elsewhere();
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
    journal_wake_.notify_all();
    snapshot_wake_.notify_all();
    if (service_.joinable()) service_.join();
    {
        const std::lock_guard lock(mutex_);
        journal_stops_ = true;
    }
    journal_wake_.notify_all();
    if (journal_.joinable()) journal_.join();
    if (snapshotter_.joinable()) snapshotter_.join();
    tree_->close();
    locks_.clear();
}

void MetadataService::Loop::put(Task task) {
    std::unique_lock lock(mutex_);
    if (stopped_) {
        lock.unlock();
        return task.answer(false);
    }
    queue_.push_back(std::move(task));
    // Whoever finds others in the queue knows that the thread is awake already.
    const bool is_first = queue_.size() == 1;
    // Who is woken wants this lock first of all.
    lock.unlock();
    if (is_first) wake_.notify_one();
}

bool MetadataService::Loop::put_and_wait(const std::function<void()>& decide) {
    ensure_elsewhere();
    std::promise<bool> answered;
    put({[&] {
             decide();
             return tree().last_zxid();
         },
         [&](bool durable) { answered.set_value(durable); }});
    return answered.get_future().get();
}

void MetadataService::Loop::ensure_elsewhere() const {
    base::ensure(std::this_thread::get_id() != service_id_,
                 "who waits for the metadata service is not the service itself");
}

Zxid MetadataService::Loop::look_at(const std::function<void(const Tree&)>& look) const {
    const std::lock_guard lock(tree_mutex_);
    look(tree());
    return tree().last_zxid();
}

bool MetadataService::Loop::wait_durable(Zxid zxid) const {
    std::unique_lock lock(mutex_);
    durable_moved_.wait(lock, [&] { return durable_ >= zxid || failed_ || stopped_; });
    return durable_ >= zxid && !failed_ && !stopped_;
}

void MetadataService::Loop::subscribe(Follower follower) {
    ensure_elsewhere();
    std::promise<void> joined;
    bool joins = false;
    put({[&] {
             joins = true;
             joining_.emplace_back(std::move(follower), &joined);
             return tree().last_zxid();
         },
         [&](bool) {
             if (!joins) joined.set_value();
         }});
    joined.get_future().get();
}

// ---- called on the service thread, with the tree's lock held ------------------------------

void MetadataService::Loop::apply(const Transaction& transaction) {
    const auto events = std::make_shared<const std::vector<Event>>(tree_->apply(transaction));
    unsynced_.note(transaction, events);
    if (!followers_.empty()) {
        hold(transaction.zxid, [this, changes = changes_of(*events)](bool durable) {
            if (!durable) return;
            for (const Follower& follower : followers_) follower.follow(changes);
        });
    }
    const auto fired = watches_.fire(*events);
    count_watchers(fired);
    for (const auto& [watcher, event] : fired) {
        const auto guest = guests_.find(watcher);
        if (guest == guests_.end()) continue;
        const bool may_know =
            !event->acl || permits(*event->acl, permission::read, guest->second.caller.ids);
        if (!may_know) continue;
        hold(transaction.zxid, [events, told = event, client = guest->second.client](bool durable) {
            if (durable) client->notify(*told);
        });
    }
}

base::Result<Committed, Refused> MetadataService::Loop::commit(const std::vector<Op>& ops,
                                                               const Caller& caller) {
    if (is_too_long(ops)) return base::Unexpected(Refused{ZkError::marshalling_error, 0});
    auto decision = tree().decide(ops, caller, settings_.wall_ms(), {settings_.enforces_quotas});
    if (!decision) return base::Unexpected(decision.error());
    if (!decision->transaction.changes.empty()) apply(decision->transaction);
    return Committed{tree().last_zxid(), std::move(decision->results)};
}

std::int32_t MetadataService::Loop::clamped(std::int32_t timeout_ms) const {
    return std::clamp(timeout_ms, settings_.session_timeout_min_ms,
                      settings_.session_timeout_max_ms);
}

SessionKey MetadataService::Loop::create_session(std::int32_t timeout_ms) {
    SessionKey key;
    settings_.random(key.password);
    const auto created =
        tree().decide_create_session(timeout_ms, key.password, settings_.wall_ms());
    key.id = created.session;
    apply(created);
    return key;
}

bool MetadataService::Loop::knows(const SessionKey& key) const {
    const auto session = tree().sessions().find(key.id);
    return session != tree().sessions().end() && session->second.password == key.password;
}

base::Result<void, ZkError> MetadataService::Loop::end_session(SessionId session) {
    const auto closed = tree().decide_close_session(session, settings_.wall_ms());
    if (!closed) return base::Unexpected(closed.error());
    expiry_.forget(session);
    apply(*closed);
    release_session(session);
    return {};
}

MetadataService::Figures MetadataService::Loop::figures() const {
    const std::lock_guard lock(mutex_);
    Figures figures = figures_;
    figures.watchers = watchers_;
    figures.sessions_expired = sessions_expired_;
    return figures;
}

// The last snapshot is no figure, but what is there.
void MetadataService::Loop::reset_figures() {
    watchers_ = {};
    sessions_expired_ = 0;
    const std::lock_guard lock(mutex_);
    figures_ = {.last_snapshot = figures_.last_snapshot,
                .last_snapshot_ms = figures_.last_snapshot_ms};
}

void MetadataService::Loop::count_watchers(const std::vector<WatchTable::Fired>& fired) {
    for (auto at = fired.begin(); at != fired.end();) {
        const Event* const event = at->event;
        const auto next = std::find_if(
            at, fired.end(), [&](const WatchTable::Fired& one) { return one.event != event; });
        watchers_[static_cast<std::size_t>(event->type) - 1].add(next - at);
        at = next;
    }
}

MetadataService::Loop::Guest* MetadataService::Loop::guest(WatcherId id) {
    const auto at = guests_.find(id);
    return at == guests_.end() ? nullptr : &at->second;
}

void MetadataService::Loop::admit(WatcherId id, std::vector<Id> ids,
                                  std::shared_ptr<Client> client) {
    guests_.emplace(id, Guest{std::move(client), Caller{SessionId(0), std::move(ids)}});
}

void MetadataService::Loop::dismiss(WatcherId id) {
    const auto at = guests_.find(id);
    if (at == guests_.end()) return;
    if (at->second.caller.session.value() != 0) attached_.erase(at->second.caller.session);
    watches_.remove_all(id);
    guests_.erase(at);
}

void MetadataService::Loop::attach(WatcherId id, SessionId session, std::int32_t timeout_ms) {
    release_session(session);
    Guest& guest = guests_.at(id);
    guest.caller.session = session;
    guest.timeout_ms = timeout_ms;
    attached_.emplace(session, id);
    renew(guest);
}

void MetadataService::Loop::renew(const Guest& guest) {
    if (guest.caller.session.value() == 0) return;
    expiry_.touch(guest.caller.session, guest.timeout_ms, round_ms_);
}

SessionId MetadataService::Loop::give_up_session(WatcherId id) {
    const SessionId session = std::exchange(guests_.at(id).caller.session, SessionId(0));
    attached_.erase(session);
    return session;
}

// Whoever holds the session loses it and is told.
void MetadataService::Loop::release_session(SessionId session) {
    const auto at = attached_.find(session);
    if (at == attached_.end()) return;
    Guest& guest = guests_.at(at->second);
    guest.caller.session = SessionId(0);
    attached_.erase(at);
    hold(tree().last_zxid(), [client = guest.client](bool durable) {
        if (durable) client->ended();
    });
}

std::vector<NodeChange> MetadataService::Loop::changes_of(const std::vector<Event>& events) const {
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

// ---- the service thread -------------------------------------------------------------------

void MetadataService::Loop::run() {
    for (;;) {
        std::vector<Task> round;
        bool last = false;
        {
            std::unique_lock lock(mutex_);
            wait_for_work(lock);
            round.swap(queue_);
            durable_here_ = durable_;
            failed_here_ = failed_;
            last = stopping_ && round.empty() && (failed_ || durable_here_ == tree().last_zxid());
            if (last) stopped_ = true;
        }
        release();
        if (last) break;
        decide(round);
        if (!joining_.empty()) let_followers_in();
        if (!failed_here_ && is_snapshot_due()) begin_snapshot();
    }
    durable_moved_.notify_all();
}

void MetadataService::Loop::wait_for_work(std::unique_lock<std::mutex>& lock) {
    const auto has_work = [&] {
        if (!queue_.empty() || failed_ != failed_here_ || durable_ != durable_here_) return true;
        return stopping_ && (failed_ || durable_ == tree().last_zxid());
    };
    std::optional<std::int64_t> next = expiry_.next_ms();
    if (tree().may_need_reaping()) next = std::min(next.value_or(next_reap_ms_), next_reap_ms_);
    if (!next || failed_here_ || stopping_) {
        wake_.wait(lock, has_work);
    } else {
        const auto left_ms = std::max<std::int64_t>(0, *next - settings_.monotonic_ms());
        wake_.wait_for(lock, std::chrono::milliseconds(left_ms), has_work);
    }
}

void MetadataService::Loop::decide(std::vector<Task>& round) {
    if (failed_here_) {
        for (Task& task : round) task.answer(false);
        return;
    }
    {
        const std::lock_guard lock(tree_mutex_);
        keep_house();
        for (Task& task : round) {
            const Zxid shows = task.decide ? task.decide() : tree().last_zxid();
            hold(shows, std::move(task.answer));
        }
    }
    hand_over();
    for (const auto& go : std::exchange(at_once_, {})) go(true);
}

// What is due by the clock.
void MetadataService::Loop::keep_house() {
    const std::int64_t now_ms = settings_.monotonic_ms();
    round_ms_ = now_ms;
    for (const SessionId session : expiry_.take_expired(now_ms)) {
        // It may have been closed since.
        if (end_session(session)) ++sessions_expired_;
    }
    if (now_ms < next_reap_ms_) return;
    next_reap_ms_ = now_ms + settings_.reap_every_ms;
    const auto reap = tree().decide_reap(reap_nodes_max, settings_.wall_ms());
    if (!reap.changes.empty()) apply(reap);
}

void MetadataService::Loop::hold(Zxid shows, std::function<void(bool durable)> go) {
    if (shows <= durable_here_) {
        at_once_.push_back(std::move(go));
    } else {
        waiting_.push_back({shows, std::move(go)});
    }
}

void MetadataService::Loop::hand_over() {
    if (!tree_->has_uncommitted()) return;
    auto batch = tree_->take_batch();
    {
        const std::lock_guard lock(mutex_);
        handed_.take_over(batch);
    }
    journal_wake_.notify_one();
}

// Let go what became durable, or all of it when nothing ever will.
void MetadataService::Loop::release() {
    unsynced_.synced(durable_here_);
    while (!waiting_.empty() && (failed_here_ || waiting_.front().shows <= durable_here_)) {
        const auto go = std::move(waiting_.front().go);
        const bool durable = waiting_.front().shows <= durable_here_;
        waiting_.pop_front();
        go(durable);
    }
}

// Wait until the tree and the disk are one, and let go what waited for it. The journal is the
// service thread's then, unless it has failed.
void MetadataService::Loop::take_journal() {
    {
        std::unique_lock lock(mutex_);
        durable_moved_.wait(
            lock, [&] { return failed_ || (durable_ == tree().last_zxid() && !journal_is_busy_); });
        durable_here_ = durable_;
        failed_here_ = failed_;
        journal_is_busy_ = !failed_;
    }
    release();
}

void MetadataService::Loop::let_followers_in() {
    take_journal();
    for (auto& [follower, joined] : std::exchange(joining_, {})) {
        if (!failed_here_) {
            follower.start(tree());
            followers_.push_back(std::move(follower));
        }
        joined->set_value();
    }
    if (!failed_here_) give_back_journal();
}

bool MetadataService::Loop::is_snapshot_due() const {
    const std::lock_guard lock(mutex_);
    return !snapshot_is_on_ && (segment_bytes_ >= settings_.snapshot_every_bytes ||
                                segment_transactions_ >= settings_.snapshot_every_transactions);
}

void MetadataService::Loop::begin_snapshot() {
    take_journal();
    if (failed_here_) return;
    const auto rolled = tree_->roll();
    if (!rolled && rolled.error().kind != FaultKind::no_space) return fail(rolled.error());
    give_back_journal();
    // The present segment goes on; a commit will find the same, and says so.
    if (!rolled) return;
    std::unique_ptr<SnapshotRun> run;
    {
        const std::lock_guard lock(tree_mutex_);
        run = tree_->begin_snapshot(settings_.snapshots_kept);
    }
    {
        const std::lock_guard lock(mutex_);
        snapshot_is_on_ = true;
        snapshot_ = std::move(run);
    }
    snapshot_wake_.notify_one();
}

// ---- the journal thread -------------------------------------------------------------------

void MetadataService::Loop::run_journal() {
    const auto has_work = [&] { return !handed_.empty() || journal_stops_; };
    bool is_marked = true;
    for (;;) {
        JournalBatch batch;
        {
            std::unique_lock lock(mutex_);
            if (is_marked) {
                journal_wake_.wait(lock, has_work);
            } else {
                is_marked = !journal_wake_.wait_for(lock, mark_after, has_work);
            }
            if (failed_ || (journal_stops_ && handed_.empty())) return;
            if (journal_is_busy_) continue;  // The service thread has it, and marks it itself.
            std::swap(batch, handed_);
            journal_is_busy_ = true;
        }
        if (batch.empty()) {
            // Nothing to do: time to note that all is durable.
            tree_->mark();
        } else {
            is_marked = false;
            if (!commit(batch)) return;
        }
        give_back_journal();
        if (!is_marked) wake_.notify_one();
    }
}

void MetadataService::Loop::give_back_journal() {
    {
        const std::lock_guard lock(mutex_);
        durable_ = tree_->synced_zxid();
        segment_bytes_ = tree_->journal_bytes();
        segment_transactions_ = tree_->journal_transactions();
        journal_is_busy_ = false;
    }
    durable_moved_.notify_all();
}

// False when that was the end of the journal.
bool MetadataService::Loop::commit(JournalBatch& batch) {
    bool said = false;
    std::int64_t since_ms = 0;
    const Zxid before = tree_->synced_zxid();
    for (;;) {
        since_ms = settings_.monotonic_ms();
        const auto committed = tree_->commit(batch);
        if (committed) break;
        if (committed.error().kind != FaultKind::no_space || !wait_for_space()) {
            fail(committed.error());
            return false;
        }
        if (!std::exchange(said, true)) {
            say("the disk of the metadata journal is full, nothing is acknowledged until there "
                "is space: " +
                committed.error().detail);
        }
    }
    if (said) say("the metadata journal goes on");
    const std::lock_guard lock(mutex_);
    figures_.sync_ms.add(settings_.monotonic_ms() - since_ms);
    figures_.sync_transactions.add(tree_->synced_zxid().value() - before.value());
    return true;
}

// False when the service is to stop instead.
bool MetadataService::Loop::wait_for_space() {
    std::unique_lock lock(mutex_);
    const std::chrono::milliseconds retry(settings_.full_disk_retry_ms);
    return !journal_wake_.wait_for(lock, retry, [&] { return stopping_; });
}

// On the service thread too, when it is the one that touches the journal.
void MetadataService::Loop::fail(const Fault& fault) {
    {
        const std::lock_guard lock(mutex_);
        failed_ = true;
        journal_is_busy_ = false;
    }
    wake_.notify_one();
    durable_moved_.notify_all();
    const std::string why =
        "the metadata journal cannot be written any more, nothing is "
        "acknowledged: " +
        fault.detail;
    say(why);
    if (settings_.on_failure) settings_.on_failure(why);
}

void MetadataService::Loop::say(const std::string& line) const {
    if (settings_.log) settings_.log(line);
}

// ---- the snapshot thread ------------------------------------------------------------------

void MetadataService::Loop::run_snapshots() {
    for (;;) {
        std::unique_ptr<SnapshotRun> run;
        {
            std::unique_lock lock(mutex_);
            snapshot_wake_.wait(lock, [&] { return snapshot_ || stopping_; });
            run = std::move(snapshot_);
        }
        if (!run) return;
        const Zxid zxid = run->zxid();
        const std::int64_t since_ms = settings_.monotonic_ms();
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
        if (!written) continue;
        figures_.snapshot_ms.add(settings_.monotonic_ms() - since_ms);
        figures_.last_snapshot = zxid;
        figures_.last_snapshot_ms = settings_.wall_ms();
    }
}

base::Result<void, Fault> MetadataService::Loop::write(SnapshotRun& run) {
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

bool MetadataService::Loop::is_stopping() const {
    const std::lock_guard lock(mutex_);
    return stopping_;
}

}  // namespace coordinator
