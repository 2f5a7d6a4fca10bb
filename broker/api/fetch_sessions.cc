#include "broker/api/fetch_sessions.h"

#include "protocol/base/ensure.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

namespace broker {

using base::Offset;
using base::PartitionIndex;
using base::Result;
using base::Unexpected;
using protocol::ErrorCode;

namespace {

using Asked = protocol::FetchRequest::Topic::Partition;
using Told = protocol::FetchResponse::Topic::Partition;

constexpr std::int64_t eviction_ms = 120'000;
constexpr std::size_t shards_max = 8;
constexpr std::size_t slots_per_shard_min = 64;  // Below, one shard has them all.

// Of the list, the table and their nodes, as the allocator hands them out.
constexpr std::size_t partition_bytes = 192;
constexpr std::size_t topic_bytes = 384;

}  // namespace

// ---- One partition -----------------------------------------------------------------------

void FetchPartition::ask(const Asked& asked) noexcept {
    fetch_offset = asked.fetch_offset;
    current_leader_epoch = asked.current_leader_epoch;
    last_fetched_epoch = asked.last_fetched_epoch;
    log_start = asked.log_start_offset;
    bytes_max = asked.partition_max_bytes;
}

bool FetchPartition::is_news(const Told& now) const noexcept {
    return now.records.size() > 0 || now.error_code != ErrorCode::none ||
           now.high_watermark != told_high_watermark || now.log_start_offset != told_log_start ||
           now.preferred_read_replica != base::BrokerId(-1) ||
           now.diverging_epoch.epoch != base::LeaderEpoch(-1);
}

void FetchPartition::told(const Told& now) noexcept {
    // After an error the partition is told again as soon as it is well.
    told_high_watermark = now.error_code == ErrorCode::none ? now.high_watermark : Offset(-1);
    told_log_start = now.log_start_offset;
}

// ---- One session -------------------------------------------------------------------------

std::size_t FetchSession::cost(std::size_t name_bytes, std::size_t partitions) noexcept {
    return topic_bytes + 2 * name_bytes + partitions * partition_bytes;
}

std::string_view FetchSession::key_of(std::string_view name, const base::Uuid& id) const noexcept {
    if (!uses_topic_ids_) return name;
    return {reinterpret_cast<const char*>(id.data()), id.size()};
}

FetchSession::Topic* FetchSession::find(const FetchTopic& topic) {
    const auto found = topics_.find(key_of(topic.name, topic.id));
    return found == topics_.end() ? nullptr : &found->second;
}

// The partition, made at the end unless it is there.
FetchPartition& FetchSession::place(const FetchTopic& wanted, PartitionIndex index) {
    const auto key = key_of(wanted.name, wanted.id);
    auto at = topics_.find(key);
    if (at == topics_.end()) {
        at = topics_.emplace(key, Topic()).first;
        auto& topic = at->second;
        topic.name = wanted.name;
        topic.view = {topic.name, wanted.id};
        bytes_ += cost(wanted.name.size(), 0);
    }
    auto& topic = at->second;
    const auto [place, is_new] = topic.partitions.try_emplace(index.value());
    if (is_new) {
        place->second = partitions_.emplace(partitions_.end());
        place->second->topic = &topic.view;
        place->second->index = index;
        bytes_ += partition_bytes;
    }
    return *place->second;
}

FetchPartition& FetchSession::set(std::string_view name, const base::Uuid& id, const Asked& asked) {
    auto& partition = place({name, id}, asked.partition);
    partition.ask(asked);
    return partition;
}

FetchPartition& FetchSession::add(const FetchPartition& like) {
    auto& partition = place(*like.topic, like.index);
    const FetchTopic* const topic = partition.topic;
    partition = like;
    partition.topic = topic;
    return partition;
}

void FetchSession::forget(std::string_view name, const base::Uuid& id, PartitionIndex index) {
    const auto at = topics_.find(key_of(name, id));
    if (at == topics_.end()) return;
    auto& topic = at->second;
    const auto place = topic.partitions.find(index.value());
    if (place == topic.partitions.end()) return;
    partitions_.erase(place->second);
    topic.partitions.erase(place);
    bytes_ -= partition_bytes;
    if (!topic.partitions.empty()) return;
    bytes_ -= cost(topic.name.size(), 0);
    topics_.erase(at);
}

void FetchSession::name(const FetchPartition& of, std::string_view name) {
    Topic* const topic = find(*of.topic);
    base::ensure(topic != nullptr, "a session has the topics of its partitions");
    bytes_ += 2 * (name.size() - topic->name.size());
    topic->name = name;
    topic->view.name = topic->name;
}

void FetchSession::move_to_end(const FetchPartition& partition) {
    Topic* const topic = find(*partition.topic);
    base::ensure(topic != nullptr, "a session has the topics of its partitions");
    partitions_.splice(partitions_.end(), partitions_,
                       topic->partitions.at(partition.index.value()));
}

// ---- The right to one --------------------------------------------------------------------

FetchSessions::Hold::Hold(Hold&& other) noexcept
    : sessions_(std::exchange(other.sessions_, nullptr)),
      session_(std::exchange(other.session_, nullptr)),
      place_(std::exchange(other.place_, nullptr)) {}

FetchSessions::Hold& FetchSessions::Hold::operator=(Hold&& other) noexcept {
    if (this == &other) return *this;
    release();
    sessions_ = std::exchange(other.sessions_, nullptr);
    session_ = std::exchange(other.session_, nullptr);
    place_ = std::exchange(other.place_, nullptr);
    return *this;
}

bool FetchSessions::Hold::is_granted() const {
    if (!place_) return true;
    const std::lock_guard lock(sessions_->shard_of(session_->id_)->mutex);
    return place_->granted;
}

bool FetchSessions::Hold::wake_when_granted(std::function<void()> wake) {
    if (!place_) return false;
    const std::lock_guard lock(sessions_->shard_of(session_->id_)->mutex);
    if (place_->granted) return false;
    place_->wake = std::move(wake);
    return true;
}

bool FetchSessions::Hold::is_open() const {
    const std::lock_guard lock(sessions_->shard_of(session_->id_)->mutex);
    return session_->is_cached_;
}

void FetchSessions::Hold::release() noexcept {
    if (!session_) return;
    sessions_->let_go(*session_, place_.get());
    place_ = nullptr;
    session_ = nullptr;
}

// ---- All of them -------------------------------------------------------------------------

FetchSessions::FetchSessions(Settings settings) : settings_(std::move(settings)) {
    const auto slots = static_cast<std::size_t>(std::max(settings_.slots, 0));
    const std::size_t count = std::clamp(slots / slots_per_shard_min, std::size_t{1}, shards_max);
    const auto range = std::numeric_limits<std::int32_t>::max() / static_cast<std::int32_t>(count);
    for (std::size_t i = 0; i < count; ++i) {
        auto& shard = shards_.emplace_back();
        shard.slots = slots / count + (i < slots % count ? 1 : 0);
        shard.id_min = std::max(static_cast<std::int32_t>(i) * range, 1);  // 0 is no session.
        shard.id_end = (static_cast<std::int32_t>(i) + 1) * range;
    }
}

// Null for an id that is never given.
FetchSessions::Shard* FetchSessions::shard_of(std::int32_t id) noexcept {
    if (id <= 0) return nullptr;
    const auto index = static_cast<std::size_t>(id / shards_.front().id_end);
    return index < shards_.size() ? &shards_[index] : nullptr;
}

std::int32_t FetchSessions::epoch_after(std::int32_t epoch) noexcept {
    return epoch == std::numeric_limits<std::int32_t>::max() ? 1 : epoch + 1;
}

Result<FetchSessions::Hold, ErrorCode> FetchSessions::enter(std::int32_t id, std::int32_t epoch,
                                                            bool uses_topic_ids) {
    Shard* const shard = shard_of(id);
    if (!shard) return Unexpected(ErrorCode::fetch_session_id_not_found);
    Hold hold;
    const auto now_ms = settings_.monotonic_ms();
    const std::lock_guard lock(shard->mutex);
    const auto found = shard->by_id.find(id);
    if (found == shard->by_id.end()) return Unexpected(ErrorCode::fetch_session_id_not_found);
    auto& session = *found->second;
    if (session.epoch_ != epoch) return Unexpected(ErrorCode::invalid_fetch_session_epoch);
    if (session.uses_topic_ids_ != uses_topic_ids)
        return Unexpected(ErrorCode::fetch_session_topic_id_error);
    if (session.in_use_) {
        hold.place_ = std::make_shared<FetchSession::Place>();
        session.queue_.push_back(hold.place_);
    }
    session.in_use_ = true;
    session.epoch_ = epoch_after(session.epoch_);
    hold.sessions_ = this;
    hold.session_ = found->second;
    touch(*shard, session, now_ms);
    return hold;
}

// The holder is done, or one that waited gives its place up: the next one's turn.
void FetchSessions::let_go(FetchSession& session, FetchSession::Place* place) noexcept {
    std::function<void()> wake;
    {
        const std::lock_guard lock(shard_of(session.id_)->mutex);
        if (place && !place->granted) {
            place->given_up = true;
            place->wake = nullptr;
            return;
        }
        auto& queue = session.queue_;
        while (!queue.empty() && queue.front()->given_up) queue.pop_front();
        session.in_use_ = !queue.empty();
        if (queue.empty()) return;
        queue.front()->granted = true;
        wake = std::move(queue.front()->wake);
        queue.pop_front();
    }
    if (wake) wake();
}

void FetchSessions::settle(FetchSession& session) {
    Shard& shard = *shard_of(session.id_);
    const auto now_ms = settings_.monotonic_ms();
    const std::lock_guard lock(shard.mutex);
    if (!session.is_cached_) return;
    if (session.empty()) return remove(shard, session);
    bytes_.fetch_add(session.bytes_ - session.settled_bytes_, std::memory_order_relaxed);
    session.settled_bytes_ = session.bytes_;
    session.settled_size_ = session.size();
    touch(shard, session, now_ms);
}

std::int32_t FetchSessions::create(std::size_t partitions, std::size_t bytes, bool uses_topic_ids,
                                   bool is_replica,
                                   const std::function<void(FetchSession&)>& fill) {
    auto& shard = shards_[next_shard_.fetch_add(1, std::memory_order_relaxed) % shards_.size()];
    const auto now_ms = settings_.monotonic_ms();
    const FetchSession::Worth worth(is_replica, partitions, 0);
    const std::lock_guard lock(shard.mutex);
    if (shard.slots == 0) return 0;
    while (shard.by_id.size() >= shard.slots || !has_room(bytes + sizeof(FetchSession))) {
        if (!make_room(shard, worth, now_ms)) return 0;
    }
    const auto made = std::make_shared<FetchSession>(new_id(shard), uses_topic_ids, is_replica);
    fill(*made);
    made->is_cached_ = true;
    made->created_ms_ = now_ms;
    made->settled_bytes_ = made->bytes_;
    made->settled_size_ = made->size();
    bytes_.fetch_add(made->bytes_, std::memory_order_relaxed);
    made->by_use_ = shard.by_use.insert(shard.by_use.end(), made);
    shard.by_id.emplace(made->id_, made);
    touch(shard, *made, now_ms);
    return made->id_;
}

std::int32_t FetchSessions::new_id(const Shard& shard) {
    for (;;) {
        std::uint32_t drawn = 0;
        settings_.random(std::as_writable_bytes(std::span(&drawn, 1)));
        const auto range = static_cast<std::uint32_t>(shard.id_end - shard.id_min);
        const auto id = shard.id_min + static_cast<std::int32_t>(drawn % range);
        if (!shard.by_id.contains(id)) return id;
    }
}

// Close the session that is least missed. False when all are worth more than the new one.
bool FetchSessions::make_room(Shard& shard, FetchSession::Worth worth, std::int64_t now_ms) {
    if (shard.by_use.empty()) return false;
    auto& stalest = *shard.by_use.front();
    if (now_ms - stalest.used_ms_ > eviction_ms) {
        remove(shard, stalest);
        return true;
    }
    const auto& candidates = std::get<0>(worth) ? shard.for_replicas : shard.for_all;
    if (candidates.empty() || worth < candidates.begin()->first) return false;
    remove(shard, *candidates.begin()->second);
    return true;
}

// The session is used now; its worth may have changed, and its age.
void FetchSessions::touch(Shard& shard, FetchSession& session, std::int64_t now_ms) {
    if (!session.is_cached_) return;
    session.used_ms_ = now_ms;
    shard.by_use.splice(shard.by_use.end(), shard.by_use, session.by_use_);
    const bool is_old = now_ms - session.created_ms_ > eviction_ms;
    const auto put = [&](auto& set, std::optional<FetchSession::Worth>& key, bool belongs) {
        if (!belongs) return;
        const FetchSession::Worth worth(session.is_replica_, session.settled_size_, session.id_);
        if (key == worth) return;
        if (key) set.erase(*key);
        set.emplace(worth, &session);
        key = worth;
    };
    put(shard.for_replicas, session.for_replicas_, !session.is_replica_ || is_old);
    put(shard.for_all, session.for_all_, is_old);
}

void FetchSessions::remove(Shard& shard, FetchSession& session) {
    session.is_cached_ = false;
    bytes_.fetch_sub(session.settled_bytes_, std::memory_order_relaxed);
    if (session.for_replicas_) shard.for_replicas.erase(*session.for_replicas_);
    if (session.for_all_) shard.for_all.erase(*session.for_all_);
    const auto by_use = session.by_use_;
    shard.by_id.erase(session.id_);
    shard.by_use.erase(by_use);  // Maybe the last that refers to it.
}

void FetchSessions::close(std::int32_t id) {
    Shard* const shard = shard_of(id);
    if (!shard) return;
    const std::lock_guard lock(shard->mutex);
    const auto found = shard->by_id.find(id);
    if (found != shard->by_id.end()) remove(*shard, *found->second);
}

std::size_t FetchSessions::size() const {
    std::size_t count = 0;
    for (const auto& shard : shards_) {
        const std::lock_guard lock(shard.mutex);
        count += shard.by_id.size();
    }
    return count;
}

}  // namespace broker
