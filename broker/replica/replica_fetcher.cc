#include "broker/replica/replica_fetcher.h"

#include "protocol/base/log.h"
#include "protocol/base/plant.h"
#include "protocol/schema/api/list_offsets.h"
#include "protocol/schema/api/offset_for_leader_epoch.h"
#include "storage/entry.h"
#include "storage/names.h"

#include <algorithm>
#include <pthread.h>
#include <set>
#include <sys/socket.h>

namespace broker {

using base::LeaderEpoch;
using base::Offset;
using base::Plant;
using base::Result;
using base::TopicPartition;
using base::Unexpected;
using protocol::ErrorCode;
using protocol::FetchRequest;
using protocol::FetchResponse;

namespace {

constexpr std::int16_t version_by_name = 12;  // The last one.
constexpr std::int16_t diverging_epoch_since = 12;
constexpr std::int64_t latest = -1;
constexpr std::int64_t earliest = -2;

// The whole batches at the front, and messages of the formats before them, checksums and all;
// nothing when one is damaged.
std::optional<std::span<std::byte>> whole_batches(std::span<std::byte> bytes) {
    std::size_t size = 0;
    while (bytes.size() - size >= storage::entry_smallest_bytes) {
        const auto rest = bytes.subspan(size);
        const bool is_cut = rest.size() < storage::entry_header_bytes;
        const auto facts = storage::read_entry_header(rest);
        if (!facts && !is_cut) return std::nullopt;
        if (!facts || facts->bytes > rest.size()) break;
        if (!storage::entry_is_intact(rest.first(facts->bytes))) return std::nullopt;
        size += facts->bytes;
    }
    return bytes.first(size);
}

}  // namespace

ReplicaFetcher::ReplicaFetcher(Settings settings) : settings_(std::move(settings)) {
    thread_ = std::thread([this] {
        ::pthread_setname_np(::pthread_self(), "replica-fetcher");
        run();
    });
}

ReplicaFetcher::~ReplicaFetcher() {
    stop();
}

void ReplicaFetcher::add(const std::shared_ptr<Partition>& partition, LeaderEpoch epoch) {
    const std::lock_guard lock(mutex_);
    assigned_.insert_or_assign(partition->id(), Assigned{partition, epoch, Deadline::min()});
    changed_.notify_all();
}

void ReplicaFetcher::remove(const TopicPartition& at) {
    std::unique_lock lock(mutex_);
    assigned_.erase(at);
    changed_.wait(lock, [&] { return busy_ != at; });
}

void ReplicaFetcher::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        assigned_.clear();
        if (descriptor_ >= 0) ::shutdown(descriptor_, SHUT_RDWR);
        changed_.notify_all();
    }
    if (thread_.joinable()) thread_.join();
}

// ---- Rounds ------------------------------------------------------------------------------

void ReplicaFetcher::run() {
    while (auto round = next_round()) {
        if (connection_ || connect()) {
            if ((tells_divergence() || align_all(*round)) && (round->empty() || fetch(*round)))
                continue;
        }
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, settings_.backoff, [&] { return stopping_; });
    }
}

// What is to be fetched now, as soon as there is anything. Nothing at the end.
std::optional<ReplicaFetcher::Round> ReplicaFetcher::next_round() {
    std::unique_lock lock(mutex_);
    for (;;) {
        if (stopping_) return std::nullopt;
        Round round;
        Deadline next = Deadline::max();
        const auto now = std::chrono::steady_clock::now();
        for (const auto& [at, assigned] : assigned_) {
            if (assigned.rests_until > now) {
                next = std::min(next, assigned.rests_until);
                continue;
            }
            if (settings_.is_held_back(at)) {
                next = std::min(next, now + settings_.backoff);
                continue;
            }
            // One that is no follower any more is about to be taken away.
            const auto from = assigned.partition->follower_position(assigned.epoch);
            if (from) round.emplace(at, Wanted{assigned, *from});
        }
        if (!round.empty()) return round;
        if (next == Deadline::max()) {
            changed_.wait(lock);
        } else {
            changed_.wait_until(lock, next);
        }
    }
}

bool ReplicaFetcher::connect() {
    auto opened = Connection::open(settings_.leader, settings_.client_id, after(settings_.timeout));
    if (!opened) {
        lose(opened.error());
        return false;
    }
    if (std::exchange(told_, false))
        base::log_info("replica", "the leader at " + to_string(settings_.leader) + " is back");
    connection_ = std::move(*opened);
    const std::lock_guard lock(mutex_);
    descriptor_ = connection_->descriptor();
    return !stopping_;
}

void ReplicaFetcher::lose(const ClientFault& fault) {
    {
        const std::lock_guard lock(mutex_);
        descriptor_ = -1;
        if (stopping_) return;
    }
    connection_.reset();
    session_.lost();
    if (std::exchange(told_, true)) return;
    base::log_warn("replica", "the leader at " + to_string(settings_.leader) +
                                  " cannot be fetched from: " + fault.detail);
}

bool ReplicaFetcher::fetch(const Round& round) {
    FetchRequest request;
    request.replica_id = settings_.self;
    request.replica_state.replica_id = settings_.self;
    request.max_wait_ms = settings_.wait_ms;
    request.min_bytes = settings_.bytes_min;
    request.max_bytes = settings_.bytes_max;
    LeaderSession::Asks asks;
    for (const auto& [at, wanted] : round) {
        asks[at] = {wanted.assigned.partition->topic_id(),
                    wanted.assigned.epoch,
                    wanted.from.end,
                    is_planted(Plant::logs_not_compared) ? LeaderEpoch(-1) : wanted.from.last_epoch,
                    wanted.from.log_start,
                    settings_.partition_bytes_max};
    }
    const bool by_id = session_.begin(std::move(asks), request);
    auto answer = connection_->call<protocol::FetchApi, FetchResponse>(
        request, after(settings_.timeout),
        by_id ? settings_.versions.fetch : std::min(settings_.versions.fetch, version_by_name));
    if (!answer) {
        lose(answer.error());
        return false;
    }
    session_.answered(**answer);
    switch ((*answer)->error_code) {
        case ErrorCode::none:
            take(round, **answer);
            return true;
        case ErrorCode::fetch_session_id_not_found:
        case ErrorCode::invalid_fetch_session_epoch:
        case ErrorCode::fetch_session_topic_id_error:
            return true;  // The next one begins another.
        default:
            lose(refused((*answer)->error_code));
            return false;
    }
}

// ---- Leaders that do not tell where the logs differ ----------------------------------------

bool ReplicaFetcher::tells_divergence() const {
    if (settings_.versions.fetch < diverging_epoch_since) return false;
    const auto fetch = connection_->versions().find(protocol::FetchApi::key);
    return fetch != connection_->versions().end() && fetch->second.most >= diverging_epoch_since;
}

// Bring those into line that have not been in this term, and leave out who cannot be. False when
// the connection was lost.
bool ReplicaFetcher::align_all(Round& round) {
    for (auto each = round.begin(); each != round.end();) {
        auto& [at, wanted] = *each;
        const auto epoch = wanted.assigned.epoch;
        auto error = ErrorCode::none;
        if (!wanted.assigned.is_aligned) {
            if (!begin(at, epoch)) {
                each = round.erase(each);
                continue;
            }
            error = align(wanted);
            finish(at, epoch, error);
        }
        if (error == ErrorCode::network_exception) return false;
        const auto from = wanted.assigned.partition->follower_position(epoch);
        if (error != ErrorCode::none || !from) {
            each = round.erase(each);
            continue;
        }
        wanted.from = *from;
        const std::lock_guard lock(mutex_);
        const auto found = assigned_.find(at);
        if (found != assigned_.end() && found->second.epoch == epoch)
            found->second.is_aligned = true;
        ++each;
    }
    return true;
}

// Source: facts/kafka.md §3.6, method A.
ErrorCode ReplicaFetcher::align(const Wanted& wanted) {
    auto& partition = *wanted.assigned.partition;
    const auto epoch = wanted.assigned.epoch;
    const bool knows_epochs =
        settings_.versions.offset_for_leader_epoch &&
        connection_->versions().contains(protocol::OffsetForLeaderEpochApi::key);
    for (std::optional<LeaderEpoch> asked;;) {
        const auto at = partition.follower_position(epoch);
        if (!at) return at.error();
        const auto cut = [&](Offset end) {
            return end < at->end ? partition.cut(epoch, end) : ErrorCode::none;
        };
        // Logs of old formats have no epochs.
        if (!knows_epochs || at->last_epoch < LeaderEpoch(0)) return cut(at->high_watermark);
        if (asked && at->last_epoch >= *asked) return ErrorCode::none;
        asked = at->last_epoch;
        const auto theirs = ask_epoch_end(wanted, *asked);
        if (!theirs) return theirs.error();
        if (theirs->end < Offset(0)) return cut(at->high_watermark);
        // Version 0 of the answer has no epoch: the end is that of the one that was asked for.
        if (theirs->epoch < LeaderEpoch(0)) return cut(theirs->end);
        const bool is_same = theirs->epoch == *asked;
        if (is_same && theirs->end >= at->end) return ErrorCode::none;
        const auto error = partition.cut_diverging(epoch, *theirs);
        if (error != ErrorCode::none || is_same) return error;
    }
}

Result<storage::EpochEnd, ErrorCode> ReplicaFetcher::ask_epoch_end(const Wanted& wanted,
                                                                   LeaderEpoch epoch) {
    using protocol::OffsetForLeaderEpochResponse;
    const auto& at = wanted.assigned.partition->id();
    protocol::OffsetForLeaderEpochRequest request;
    request.replica_id = settings_.self;
    auto& topic = request.topics.emplace_back();
    topic.topic = wire::Text::borrowed(at.topic);
    auto& asked = topic.partitions.emplace_back();
    asked.partition = at.partition;
    asked.current_leader_epoch = wanted.assigned.epoch;
    asked.leader_epoch = epoch;
    const auto answer =
        connection_->call<protocol::OffsetForLeaderEpochApi, OffsetForLeaderEpochResponse>(
            request, after(settings_.timeout), *settings_.versions.offset_for_leader_epoch);
    if (!answer) {
        lose(answer.error());
        return Unexpected(ErrorCode::network_exception);
    }
    if ((*answer)->topics.size() != 1 || (*answer)->topics.front().partitions.size() != 1)
        return Unexpected(ErrorCode::unknown_server_error);
    const auto& found = (*answer)->topics.front().partitions.front();
    if (found.error_code != ErrorCode::none) return Unexpected(found.error_code);
    return storage::EpochEnd{found.leader_epoch, found.end_offset};
}

// ---- Answers -----------------------------------------------------------------------------

// Whether the partition is still to be stored for; then it is until finish().
bool ReplicaFetcher::begin(const TopicPartition& at, LeaderEpoch epoch) {
    const std::lock_guard lock(mutex_);
    const auto found = assigned_.find(at);
    if (stopping_ || found == assigned_.end() || found->second.epoch != epoch) return false;
    busy_ = at;
    return true;
}

void ReplicaFetcher::finish(const TopicPartition& at, LeaderEpoch epoch, ErrorCode error) {
    const std::lock_guard lock(mutex_);
    busy_.reset();
    changed_.notify_all();
    const auto found = assigned_.find(at);
    if (found == assigned_.end() || found->second.epoch != epoch) return;
    if (error != ErrorCode::none) found->second.rests_until = after(settings_.backoff);
}

void ReplicaFetcher::take(const Round& round, const FetchResponse& answer) {
    std::map<base::Uuid, std::string_view> names;
    for (const auto& [at, wanted] : round)
        names.emplace(wanted.assigned.partition->topic_id(), at.topic);
    for (const auto& topic : answer.responses) {
        std::string_view name = topic.topic.view();
        if (name.empty()) {
            const auto known = names.find(topic.topic_id);
            if (known == names.end()) continue;
            name = known->second;
        }
        for (const auto& partition : topic.partitions) {
            const TopicPartition at{std::string(name), partition.partition_index};
            const auto wanted = round.find(at);
            if (wanted == round.end()) continue;
            const auto epoch = wanted->second.assigned.epoch;
            if (!begin(at, epoch)) continue;
            finish(at, epoch, take(wanted->second, partition));
        }
    }
}

ErrorCode ReplicaFetcher::take(const Wanted& wanted, const Answer& answer) {
    auto& partition = *wanted.assigned.partition;
    if (answer.error_code == ErrorCode::offset_out_of_range) return come_into_range(wanted);
    if (answer.error_code != ErrorCode::none) return answer.error_code;
    if (answer.diverging_epoch.end_offset >= Offset(0)) {
        return partition.cut_diverging(wanted.assigned.epoch, {answer.diverging_epoch.epoch,
                                                               answer.diverging_epoch.end_offset});
    }
    settings_.took(partition.id(), answer.records.size());
    const auto batches = whole_batches(answer.records.bytes());
    // Not even one is whole: it is larger than what may be fetched at once.
    if (!batches || (batches->empty() && answer.records.size() > 0)) {
        base::log_error("replica", "what the leader sent of " +
                                       storage::directory_name(partition.id()) + " from offset " +
                                       std::to_string(wanted.from.end.value()) +
                                       " on is damaged, or cut in its first batch");
        return ErrorCode::corrupt_message;
    }
    return partition.append_fetched(wanted.assigned.epoch,
                                    {*batches, answer.high_watermark, answer.log_start_offset},
                                    settings_.wall_ms());
}

// The leader has not the offset where this log ends.
ErrorCode ReplicaFetcher::come_into_range(const Wanted& wanted) {
    auto& partition = *wanted.assigned.partition;
    const auto end = ask_offset(wanted, latest);
    if (!end) return end.error();
    if (*end < wanted.from.end) return partition.cut(wanted.assigned.epoch, *end);
    const auto start = ask_offset(wanted, earliest);
    if (!start) return start.error();
    if (*start <= wanted.from.end) return ErrorCode::none;  // By now it has.
    return partition.start_over(wanted.assigned.epoch, *start);
}

Result<Offset, ErrorCode> ReplicaFetcher::ask_offset(const Wanted& wanted, std::int64_t timestamp) {
    using protocol::ListOffsetsResponse;
    const auto& at = wanted.assigned.partition->id();
    protocol::ListOffsetsRequest request;
    request.replica_id = settings_.self;
    auto& topic = request.topics.emplace_back();
    topic.name = wire::Text::borrowed(at.topic);
    auto& asked = topic.partitions.emplace_back();
    asked.partition_index = at.partition;
    asked.current_leader_epoch = wanted.assigned.epoch;
    asked.timestamp = timestamp;
    const auto answer = connection_->call<protocol::ListOffsetsApi, ListOffsetsResponse>(
        request, after(settings_.timeout), settings_.versions.list_offsets);
    if (!answer) return Unexpected(ErrorCode::network_exception);
    if ((*answer)->topics.size() != 1 || (*answer)->topics.front().partitions.size() != 1)
        return Unexpected(ErrorCode::unknown_server_error);
    const auto& found = (*answer)->topics.front().partitions.front();
    if (found.error_code != ErrorCode::none) return Unexpected(found.error_code);
    // Version 0 has a list of them.
    const auto offset =
        found.old_style_offsets.empty() ? found.offset : found.old_style_offsets.front();
    if (offset < Offset(0)) return Unexpected(ErrorCode::unknown_server_error);
    return offset;
}

}  // namespace broker
