#include "broker/replica/partition.h"

#include "protocol/base/log.h"
#include "storage/cleaning.h"
#include "storage/names.h"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <chrono>
#include <utility>

namespace broker {

namespace asio = boost::asio;
using base::LeaderEpoch;
using base::Offset;
using base::Result;
using base::Unexpected;
using protocol::ErrorCode;
using storage::FaultKind;

namespace {

std::int64_t steady_ms() {
    using namespace std::chrono;
    return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
}

constexpr std::uint64_t dirty_step = std::uint64_t{64} << 20;

}  // namespace

ErrorCode code_of(const storage::Fault& fault) noexcept {
    switch (fault.kind) {
        case FaultKind::out_of_range:
            return ErrorCode::offset_out_of_range;
        case FaultKind::corrupt:
            return ErrorCode::corrupt_message;
        case FaultKind::busy:
            return ErrorCode::not_leader_or_follower;  // Ask again.
        default:
            return ErrorCode::kafka_storage_error;
    }
}

Partition::Partition(base::TopicPartition id, base::Uuid topic_id,
                     std::unique_ptr<storage::Log> log, asio::thread_pool& disk, WritePace& pace,
                     Hooks hooks, std::optional<Offset> high_watermark)
    : id_(std::move(id)),
      topic_id_(topic_id),
      is_named_(topic_id != base::Uuid{}),
      disk_(disk),
      pace_(&pace),
      hooks_(std::move(hooks)),
      log_(std::move(log)),
      high_watermark_(std::max(log_->log_start_offset(), high_watermark.value_or(Offset(0)))),
      synced_(log_->recovery_point()) {}

void Partition::name_topic(const base::Uuid& topic_id) {
    base::ensure(!is_named_, "a topic keeps its id");
    topic_id_ = topic_id;
    is_named_.store(true, std::memory_order_release);
}

// Why a client is refused, whatever it wants. Requires mutex_.
std::optional<ErrorCode> Partition::refuses(LeaderEpoch current, ReadFrom whom) const noexcept {
    if (state_ == State::offline) return ErrorCode::kafka_storage_error;
    const bool serves =
        state_ == State::leader || (whom == ReadFrom::any_replica && state_ == State::follower);
    if (!serves) return ErrorCode::not_leader_or_follower;
    if (current == LeaderEpoch(-1) || current == leader_epoch_) return std::nullopt;
    return current < leader_epoch_ ? ErrorCode::fenced_leader_epoch
                                   : ErrorCode::unknown_leader_epoch;
}

Positions Partition::positions_locked() const noexcept {
    return {log_->log_start_offset(),
            high_watermark_,
            log_->last_stable_offset(high_watermark_),
            log_->end_offset(),
            leader_epoch_,
            state_ == State::leader && high_watermark_ < term_start_};
}

Result<Appended, AppendError> Partition::append(const storage::AppendRequest& request, Acks acks,
                                                std::int64_t now_ms, Done done) {
    Appended answer;
    bool ready = false;
    {
        const std::lock_guard lock(mutex_);
        if (const auto no = refuses(LeaderEpoch(-1))) return Unexpected(AppendError{*no, {}});
        if (acks == Acks::all && isr_.size() < isr_min())
            return Unexpected(AppendError{ErrorCode::not_enough_replicas, {}});
        auto ours = request;
        ours.leader_epoch = leader_epoch_;
        auto reserved = log_->reserve(ours);
        if (!reserved) {
            return Unexpected(
                AppendError{code_of(reserved.error().kind), std::move(reserved.error().detail)});
        }
        answer = {*reserved, log_->log_start_offset()};
        const auto& last = reserved->repetition ? reserved->repetition->last : reserved->last;
        const Offset end = last + 1;
        const bool synced = end - synced_ >= log_->config().flush_messages;
        ready = end <= log_->end_offset() && (acks != Acks::all || end <= high_watermark_) &&
                (!synced || end <= synced_);
        if (!ready) waiting_.emplace(end, Waiting{acks, synced, std::move(done)});
    }
    if (ready) {
        done(ErrorCode::none);
    } else if (pace_.load(std::memory_order_relaxed)->is_wary(WritePace::Clock::now())) {
        asio::post(disk_, [self = shared_from_this(), now_ms] { self->write_queued(now_ms); });
    } else {
        write_queued(now_ms);
    }
    return answer;
}

// Write until nothing is queued, unless another thread does. Requires that no lock is held.
void Partition::write_queued(std::int64_t now_ms) {
    for (;;) {
        std::optional<storage::AppendGroup> group;
        {
            const std::lock_guard lock(mutex_);
            if (held_ == nullptr) group = log_->take_group(now_ms);
        }
        if (!group) return;
        const auto bytes = static_cast<std::int64_t>(group->bytes());
        const auto began = WritePace::Clock::now();
        const auto written = log_->write(*group);
        pace_.load(std::memory_order_relaxed)->wrote(began, WritePace::Clock::now());

        std::vector<Told> told;
        std::vector<std::shared_ptr<FetchWaiter>> woken;
        std::vector<std::shared_ptr<FetchWaiter>> replicas;
        Dirt dirt;
        {
            const std::lock_guard lock(mutex_);
            if (written) {
                log_->commit(std::move(*group));
                dirt = take_dirt();
                woken = move_high_watermark();
                replicas = replica_fetches_;
                told = take_satisfied();
                if (awaits_sync() && !is_syncing_) start_sync();
            } else {
                log_->roll_back(std::move(*group));
                told = take_failed(log_->end_offset() + 1, ErrorCode::kafka_storage_error);
            }
            tell_holder();
            step_ended();
        }
        // The hooks first: whoever has heard of the last write may end what they work with.
        if (!written) fail_disk(written.error());
        if (dirt.bytes > 0) hooks_.dirtied(dirt.bytes, dirt.flush_ms);
        for (auto& each : told) each.done(each.error);
        for (const auto& waiter : woken) waiter->arrived(bytes);
        for (const auto& waiter : replicas) waiter->arrived(bytes);
    }
}

// Requires mutex_.
void Partition::tell_holder() noexcept {
    if (held_ != nullptr) held_->notify_all();
}

// What is committed, is: this only goes forward. Gives who waits for the move. Requires mutex_, and
// to be leader.
std::vector<std::shared_ptr<FetchWaiter>> Partition::move_high_watermark() {
    Offset to = log_->end_offset();
    if (state_ != State::leader) return {};
    if (!isr_.is_alone()) {
        to = isr_.high_watermark(to, isr_min(), steady_ms()).value_or(high_watermark_);
    }
    if (to <= high_watermark_) return {};
    high_watermark_ = to;
    log_->high_watermark_moved(to);
    return fetches_;
}

// Requires mutex_.
std::vector<Partition::Told> Partition::take_satisfied() {
    std::vector<Told> told;
    for (auto each = waiting_.begin();
         each != waiting_.end() && each->first <= log_->end_offset();) {
        const auto& [end, waits] = *each;
        const bool there = (waits.acks != Acks::all || end <= high_watermark_) &&
                           (!waits.synced || end <= synced_);
        if (!there) {
            ++each;
            continue;
        }
        const bool too_few = waits.acks == Acks::all && isr_.size() < isr_min();
        told.push_back({std::move(each->second.done),
                        too_few ? ErrorCode::not_enough_replicas_after_append : ErrorCode::none});
        each = waiting_.erase(each);
    }
    return told;
}

// Everybody who waits for an offset from `from` on. Requires mutex_.
std::vector<Partition::Told> Partition::take_failed(Offset from, ErrorCode error) {
    std::vector<Told> told;
    for (auto each = waiting_.lower_bound(from); each != waiting_.end();
         each = waiting_.erase(each)) {
        told.push_back({std::move(each->second.done), error});
    }
    return told;
}

// Everybody who waits for a sync. Requires mutex_.
std::vector<Partition::Told> Partition::take_failed_syncs() {
    std::vector<Told> told;
    for (auto each = waiting_.begin(); each != waiting_.end();) {
        const auto here = each++;
        if (!here->second.synced) continue;
        told.push_back({std::move(here->second.done), ErrorCode::kafka_storage_error});
        waiting_.erase(here);
    }
    return told;
}

// Requires mutex_.
bool Partition::awaits_sync() const noexcept {
    // What is still to be written has nothing to sync yet; its write begins the round.
    const auto written = waiting_.upper_bound(log_->end_offset());
    return std::any_of(waiting_.begin(), written,
                       [](const auto& each) { return each.second.synced; });
}

// Requires mutex_, and that no round runs.
void Partition::start_sync() {
    is_syncing_ = true;
    asio::post(disk_, [self = shared_from_this()] { self->sync_while_awaited(); });
}

// Runs on the disk pool. One round serves every append that was written before it began:
// that is the group commit. While the keeper flushes there is nothing to do here: its flush serves
// them too, and begins another round for those who came later.
void Partition::sync_while_awaited() {
    for (;;) {
        {
            const std::lock_guard lock(mutex_);
            is_syncing_ = awaits_sync() && state_ != State::offline && !log_->is_flushing() &&
                          held_ == nullptr;
            if (!is_syncing_) return;
        }
        flush(storage::FlushKind::records);
    }
}

// What is to be flushed and has not been told of; it counts as told then. Requires mutex_.
Partition::Dirt Partition::take_dirt() {
    const auto bytes = log_->unflushed_bytes();
    if (bytes == 0 || bytes < dirty_told_) return {};
    dirty_told_ = bytes + dirty_step;
    return {bytes, log_->config().flush_ms};
}

void Partition::flush(storage::FlushKind kind) {
    std::optional<storage::FlushPlan> plan;
    {
        const std::lock_guard lock(mutex_);
        // Whose turn it is tells at its end what is left.
        if (state_ == State::offline || held_ != nullptr) return;
        plan = log_->begin_flush(kind);
    }
    if (!plan) return;
    const Offset end = plan->end();
    const auto flushed = log_->flush(*plan);
    std::vector<Told> told;
    Dirt dirt;
    {
        const std::lock_guard lock(mutex_);
        log_->finish_flush(std::move(*plan), flushed.has_value());
        tell_holder();
        step_ended();
        if (flushed) synced_ = std::max(synced_, end);
        dirty_told_ = 0;
        // What came meanwhile: whoever asked for a flush takes the log for clean, and nothing more
        // may come.
        if (flushed) dirt = take_dirt();
        told = take_satisfied();
        if (!flushed) {
            // Written, and not known to be durable: whoever asked for that must not be told so.
            std::ranges::move(take_failed_syncs(), std::back_inserter(told));
        } else if (awaits_sync() && !is_syncing_ && state_ != State::offline) {
            start_sync();
        }
    }
    if (!flushed) fail_disk(flushed.error());
    if (dirt.bytes > 0) hooks_.dirtied(dirt.bytes, dirt.flush_ms);
    for (auto& each : told) each.done(each.error);
}

// A full disk may have room again. Whether more than this log has failed, its directory knows. Called
// before those who waited are told, so that who has heard of a failure finds offline what is.
void Partition::fail_disk(const storage::Fault& fault) {
    if (fault.kind == FaultKind::no_space || fault.kind == FaultKind::busy)
        return base::log_error("storage", fault.detail);
    go_offline();
    hooks_.failed(fault);
}

void Partition::set_config(const storage::LogConfig& config) {
    const std::lock_guard lock(mutex_);
    log_->set_config(config);
}

std::uint64_t Partition::size_bytes() const {
    return look([](const storage::Log& log) { return log.size_bytes(); });
}

std::filesystem::path Partition::directory() const {
    return look([](const storage::Log& log) { return log.directory(); });
}

Partition::CheckpointPositions Partition::checkpoint_positions() const {
    const std::lock_guard lock(mutex_);
    return {log_->recovery_point(),   high_watermark_,
            log_->log_start_offset(), log_->log_start_offset() > log_->first_base(),
            log_->cleaned_to(),       log_->config().compacts};
}

Result<void, storage::Fault> Partition::retire(storage::LogDirectory& directory,
                                               const base::Uuid& unique) {
    // A compaction works with names in the directory.
    ++stops_cleaning_;
    const std::lock_guard idle(cleaning_);
    // Nobody uses it any more; the log moves with its directory.
    const std::lock_guard lock(mutex_);
    return directory.retire(id_, log_.get(), unique);
}

storage::Dropped Partition::apply_retention(std::int64_t now_ms) {
    std::optional<storage::RetentionPlan> plan;
    {
        const std::lock_guard lock(mutex_);
        const bool has_role = state_ == State::leader || state_ == State::follower;
        if (!has_role || held_ != nullptr) return {};
        is_retaining_ = true;
        plan = log_->retention_plan(high_watermark_);
    }
    auto dropped = drop_old_segments(*plan, now_ms);
    const std::lock_guard lock(mutex_);
    is_retaining_ = false;
    tell_holder();
    return dropped;
}

storage::Dropped Partition::drop_old_segments(const storage::RetentionPlan& plan,
                                              std::int64_t now_ms) {
    const auto verdict = log_->judge(plan, now_ms);
    if (!verdict) {
        if (verdict.error().kind != FaultKind::busy) fail_disk(verdict.error());
        return {};
    }
    if (verdict->segments == 0) return {};
    if (verdict->active_goes) {
        std::optional<storage::AppendGroup> roll;
        {
            const std::lock_guard lock(mutex_);
            if (held_ == nullptr) roll = log_->take_roll(now_ms);
        }
        if (!roll) return {};  // Somebody writes: it is not that old after all.
        const auto rolled = log_->write(*roll);
        std::vector<Told> told;
        {
            const std::lock_guard lock(mutex_);
            if (rolled) {
                log_->commit(std::move(*roll));
            } else {
                log_->roll_back(std::move(*roll));
                told = take_failed(log_->end_offset() + 1, ErrorCode::kafka_storage_error);
            }
            tell_holder();
            step_ended();
        }
        if (!rolled) fail_disk(rolled.error());
        for (auto& each : told) each.done(each.error);
        if (!rolled) return {};
    }
    storage::Dropped dropped;
    {
        const std::lock_guard lock(mutex_);
        if (is_truncating_) return {};  // What was judged is not what there will be.
        dropped = log_->drop_segments(verdict->keep_from);
    }
    write_queued(now_ms);  // What was queued while the roll was out.
    if (dropped.empty()) return dropped;
    base::log_info("storage", storage::directory_name(id_) + ": dropped " +
                                  std::to_string(verdict->segments) + " segments of " +
                                  std::to_string(dropped.bytes()) + " bytes by " + verdict->reason);
    if (const auto renamed = dropped.rename(); !renamed) fail_disk(renamed.error());
    return dropped;
}

void Partition::expire_producers(std::int64_t now_ms) {
    const std::lock_guard lock(mutex_);
    log_->expire_producers(now_ms);
}

Result<storage::CleaningOutlook, storage::Fault> Partition::cleaning_outlook(
    std::int64_t now_ms) const {
    std::optional<storage::CleaningPlan> plan;
    {
        const std::lock_guard lock(mutex_);
        if (state_ == State::offline || moves_ > 0 || !log_->config().compacts)
            return storage::CleaningOutlook();
        plan = log_->cleaning_plan(high_watermark_);
    }
    return storage::Cleaning::look(*plan, now_ms);
}

Result<storage::CleaningReport, storage::Fault> Partition::compact(
    const storage::CleaningSettings& settings, storage::CleaningHooks hooks, std::int64_t now_ms) {
    const std::lock_guard alone(cleaning_);
    hooks.stops = [this, others = std::move(hooks.stops)] {
        return stops_cleaning_ > 0 || others();
    };
    Offset bound;
    {
        const std::lock_guard lock(mutex_);
        if (moves_ > 0)
            return Unexpected(storage::Fault(FaultKind::busy, "it moves to another log directory"));
        bound = high_watermark_;
    }
    auto report = storage::clean(*log_, mutex_, bound, settings, hooks, now_ms);
    if (report) return report;
    const auto kind = report.error().kind;
    if (kind == FaultKind::io || kind == FaultKind::not_found) fail_disk(report.error());
    return report;
}

bool Partition::close() {
    const std::lock_guard lock(mutex_);
    if (state_ == State::offline) return false;
    state_ = State::none;
    const auto closed = log_->close();
    if (!closed) base::log_error("storage", closed.error().detail);
    return closed.has_value();
}

}  // namespace broker
