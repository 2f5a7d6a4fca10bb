#include "broker/groups/group_coordinator.h"

#include "broker/groups/group_replay.h"
#include "coordinator/group/group_id.h"
#include "coordinator/group/group_record_format.h"
#include "protocol/base/log.h"
#include "protocol/records/batch_builder.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <limits>

namespace broker {

namespace asio = boost::asio;
using base::Offset;
using base::PartitionIndex;
using coordinator::Effects;
using coordinator::GroupShard;
using coordinator::Ticket;
using coordinator::Write;
using coordinator::WriteId;
using protocol::ErrorCode;

namespace {

constexpr std::int64_t never_ms = std::numeric_limits<std::int64_t>::max();

coordinator::GroupSettings group_settings(const BrokerConfig& config) {
    coordinator::GroupSettings settings;
    settings.initial_rebalance_delay_ms = config.group_initial_rebalance_delay_ms;
    settings.session_timeout_ms_min = config.group_min_session_timeout_ms;
    settings.session_timeout_ms_max = config.group_max_session_timeout_ms;
    settings.members_max = config.group_max_size;
    settings.retention_ms = std::int64_t{config.offsets_retention_minutes} * 60 * 1000;
    settings.commit_timeout_ms = config.offsets_commit_timeout_ms;
    settings.metadata_bytes_max = config.offset_metadata_max_bytes;
    return settings;
}

std::string uuid_text(const std::function<void(std::span<std::byte>)>& random) {
    base::Uuid id{};
    random(id);
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (std::size_t i = 0; i < id.size(); ++i) {
        if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
        auto value = std::to_integer<unsigned>(id[i]);
        if (i == 6) value = (value & 0x0f) | 0x40;  // A random one, version 4,
        if (i == 8) value = (value & 0x3f) | 0x80;  // of the usual variant.
        text += digits[value >> 4];
        text += digits[value & 0x0f];
    }
    return text;
}

// What the journal finished while the thread that wrote it still held the shard's lock.
struct Inline {
    const void* shard;
    std::vector<std::pair<WriteId, ErrorCode>> finished;
};
thread_local Inline* appending = nullptr;

// The batches of one write on their way. All but deletions are one batch, all or nothing.
struct Pieces {
    std::vector<std::vector<std::byte>> batches;
    std::atomic<std::size_t> open = 0;
    std::atomic<ErrorCode> error = ErrorCode::none;
};

// Deletions of any number of offsets fit into batches of so many.
constexpr std::size_t tombstones_per_batch = 1000;

// Tombstones alone may be put into several batches: half a deletion deletes half.
std::vector<std::vector<std::byte>> encode(const std::vector<coordinator::Record>& records, records::Codec codec,
                                           std::int64_t wall_ms) {
    records::BatchSettings settings;
    settings.codec = codec;
    records::BatchBuilder builder(settings);
    std::vector<coordinator::EncodedRecord> encoded;
    for (const auto& record : records) encoded.push_back(coordinator::encode(record));
    const bool may_split = std::ranges::none_of(encoded, [](const auto& each) { return each.value.has_value(); });

    std::vector<std::vector<std::byte>> batches;
    for (const auto& each : encoded) {
        records::NewRecord added;
        added.timestamp = wall_ms;
        added.key = each.key;
        if (each.value) added.value = *each.value;
        builder.append(added);
        if (may_split && std::cmp_equal(builder.count(), tombstones_per_batch)) batches.push_back(builder.finish());
    }
    if (!builder.empty()) batches.push_back(builder.finish());
    return batches;
}

}  // namespace

// A request that waits, on its connection's thread.
struct GroupAnswer::Parked {
    explicit Parked(const asio::any_io_executor& thread)
        : executor(thread), alarm(thread, asio::steady_timer::time_point::max()) {}

    asio::any_io_executor executor;
    asio::steady_timer alarm;                 // Never expires; cancelled when the reply is there.
    std::optional<coordinator::Reply> reply;  // Set on `executor`.
};

asio::awaitable<void> GroupAnswer::parked() {
    if (!parked_->reply) co_await parked_->alarm.async_wait(asio::as_tuple(asio::use_awaitable));
    reply_ = std::move(parked_->reply);
}

struct GroupCoordinator::Shard {
    Shard(GroupCoordinator& owner, std::shared_ptr<Partition> led, base::LeaderEpoch of_term)
        : partition(std::move(led)),
          term(of_term),
          groups([this, &owner](const Write& write) { return owner.append(*this, write); },
                 group_settings(*owner.cluster_.config()), owner.census_),
          alarm(owner.thread_.get_executor()) {}

    const std::shared_ptr<Partition> partition;  // Null: nowhere.
    const base::LeaderEpoch term;                // In which this broker leads it.
    Groups groups;
    asio::steady_timer alarm;                  // The coordinator's thread.
    std::atomic<std::int64_t> armed_ms = never_ms;  // For when it is, on the steady clock.
    std::weak_ptr<Shard> self;
    // Written while it is loaded, perhaps behind what is read of it. The shard's lock.
    std::vector<std::pair<base::ProducerId, bool>> late_markers;
};

std::string GroupCoordinator::name_of(const Shard& shard) {
    return std::string(offsets_topic) + "-" + std::to_string(shard.partition->id().partition.value());
}

GroupCoordinator::GroupCoordinator(Cluster& cluster, asio::thread_pool& disk, Settings settings)
    : cluster_(cluster),
      disk_(disk),
      settings_(std::move(settings)),
      expiry_(thread_.get_executor()),
      nowhere_(std::make_shared<Shard>(*this, nullptr, base::LeaderEpoch(-1))) {
    // Nobody waits in it, so there is nobody to answer.
    (void)nowhere_->groups.happen([&](GroupShard& groups) { return groups.unload(now()); }, now());
}

GroupCoordinator::~GroupCoordinator() { stop(); }

void GroupCoordinator::start() {
    (void)all_led();
    asio::post(thread_, [this] { expire_later(); });
}

void GroupCoordinator::stop() {
    std::vector<ShardPointer> shards;
    {
        const std::lock_guard lock(mutex_);
        if (std::exchange(stopped_, true)) return;
        shards.swap(shards_);
    }
    for (const auto& shard : shards) {
        if (shard) close(shard);
    }
    asio::post(thread_, [this] { expiry_.cancel(); });
    // Loading looks whether its shard was closed, and what the journal still finishes is
    // for a closed shard.
    thread_.join();
    const std::lock_guard lock(waiting_mutex_);
    waiting_.clear();
}

// ---- Shards ----------------------------------------------------------------------------

GroupCoordinator::ShardPointer GroupCoordinator::shard_of(std::string_view group_id) {
    const auto image = cluster_.image();
    const TopicImage* topic = image->find_topic(offsets_topic);
    if (!topic || topic->partitions.empty()) return nowhere_;
    const auto index = coordinator::partition_of(group_id, static_cast<std::int32_t>(topic->partitions.size()));
    const PartitionImage* partition = topic->find(index);
    if (!partition || partition->leader != image->self || !partition->local) return nowhere_;
    return open(static_cast<std::size_t>(index.value()), *partition);
}

std::vector<GroupCoordinator::ShardPointer> GroupCoordinator::all_led() {
    std::vector<ShardPointer> led;
    const auto image = cluster_.image();
    const TopicImage* topic = image->find_topic(offsets_topic);
    if (!topic) return led;
    for (std::size_t index = 0; index < topic->partitions.size(); ++index) {
        const auto& partition = topic->partitions[index];
        if (partition.leader != image->self || !partition.local) continue;
        led.push_back(open(index, partition));
    }
    return led;
}

// What is led no more is closed, so that whoever waits there is told to go elsewhere; what is led
// now is loaded.
void GroupCoordinator::look_again() {
    const auto led = all_led();
    std::vector<ShardPointer> left;
    {
        const std::lock_guard lock(mutex_);
        for (auto& shard : shards_) {
            if (shard && std::ranges::find(led, shard) == led.end())
                left.push_back(std::exchange(shard, nullptr));
        }
    }
    for (const auto& shard : left) close(shard);
}

GroupCoordinator::ShardPointer GroupCoordinator::open(std::size_t index,
                                                      const PartitionImage& led) {
    const auto& partition = led.local;
    const auto is_it = [&](const ShardPointer& shard) {
        return shard && shard->partition == partition && shard->term == led.leader_epoch;
    };
    {
        const std::lock_guard lock(mutex_);
        if (stopped_) return nowhere_;
        if (shards_.size() <= index) shards_.resize(index + 1);
        if (is_it(shards_[index])) return shards_[index];
    }
    const auto positions = partition->positions();
    // The cluster says that it is led here, and it is about to be.
    if (!positions && positions.error() == ErrorCode::not_leader_or_follower) return nowhere_;
    ShardPointer shard;
    ShardPointer old;
    {
        const std::lock_guard lock(mutex_);
        if (stopped_) return nowhere_;
        auto& place = shards_[index];
        if (is_it(place)) return place;
        old = std::move(place);
        shard = std::make_shared<Shard>(*this, partition, led.leader_epoch);
        shard->self = shard;
        place = shard;
    }
    if (old) close(old);
    // A partition that was just made has nothing to load, so nobody needs to be put off.
    if (positions && positions->log_start == positions->log_end) {
        deliver(happen(shard, [&](GroupShard& groups) { return groups.finish_loading(now()); }));
    } else {
        asio::post(disk_, [this, shard] { load(shard); });
    }
    return shard;
}

void GroupCoordinator::close(const ShardPointer& shard) {
    deliver(shard->groups.happen([&](GroupShard& groups) { return groups.unload(now()); }, now()));
    asio::post(thread_, [shard] { shard->alarm.cancel(); });
}

// ---- Loading ---------------------------------------------------------------------------

void GroupCoordinator::load(const ShardPointer& shard) {
    const auto began_ms = settings_.monotonic_ms();
    const auto buffer_bytes = static_cast<std::size_t>(cluster_.config()->offsets_load_buffer_size);
    const bool loaded = replay_groups(*shard->partition, shard->groups, buffer_bytes);
    if (!loaded) {
        const bool is_awaited = shard->groups.read([](const GroupShard& groups) { return groups.is_loading(); });
        if (!is_awaited) return;  // Closed meanwhile.
        base::log_error("groups", "Cannot read " + name_of(*shard) + ": its groups stay unavailable until the next start");
        return;
    }
    std::size_t count = 0;
    deliver(happen(shard, [&](GroupShard& groups) {
        count = groups.log().groups().size();
        if (!groups.is_loading()) return Effects{};
        for (const auto& [producer, committed] : shard->late_markers)
            groups.replay_marker(producer, committed);
        return groups.finish_loading(now());
    }));
    if (count == 0) return;
    base::log_info("groups", "Loaded " + std::to_string(count) + " groups of " + name_of(*shard) + " in " +
                                 std::to_string(settings_.monotonic_ms() - began_ms) + " ms");
}

void GroupCoordinator::transaction_ended(PartitionIndex partition, base::ProducerId producer,
                                         bool committed) {
    ShardPointer shard;
    {
        const std::lock_guard lock(mutex_);
        const auto index = static_cast<std::size_t>(partition.value());
        if (index < shards_.size()) shard = shards_[index];
    }
    if (!shard) return;  // When it is loaded, so is the marker.
    shard->groups.touch([&](GroupShard& groups) {
        if (groups.is_loading()) {
            shard->late_markers.emplace_back(producer, committed);
        } else {
            groups.replay_marker(producer, committed);
        }
    });
}

// ---- Events ----------------------------------------------------------------------------

// Let `event` happen, with what it appends and, where that is finished at once, what comes
// of it. Returns the replies.
template <class Event>
GroupCoordinator::Replies GroupCoordinator::happen(const ShardPointer& shard, Event event) {
    Inline here{shard.get(), {}};
    Inline* const outer = std::exchange(appending, &here);
    auto replies = shard->groups.happen(event, now());
    // Finishing one write may append another.
    for (std::size_t at = 0; at < here.finished.size(); ++at) {
        const auto [id, error] = here.finished[at];
        std::ranges::move(shard->groups.finished(id, error, now()), std::back_inserter(replies));
    }
    appending = outer;
    watch_deadlines(shard);
    return replies;
}

ErrorCode GroupCoordinator::append(Shard& shard, const Write& write) {
    if (!shard.partition) return ErrorCode::not_leader_or_follower;
    const auto image = cluster_.image();
    const TopicImage* topic = image->find_topic(offsets_topic);
    if (!topic) return ErrorCode::not_leader_or_follower;
    const auto codec = records::codec_of(static_cast<std::int16_t>(image->config->offsets_topic_compression_codec));

    const auto wall_ms = settings_.wall_ms();
    auto pieces = std::make_shared<Pieces>();
    pieces->batches = encode(write.records, codec.value_or(records::Codec::none), wall_ms);
    pieces->open = pieces->batches.size();
    const auto bytes_max = static_cast<std::size_t>(topic->config->max_message_bytes);
    const auto too_large = [&](const std::vector<std::byte>& batch) { return batch.size() > bytes_max; };
    if (std::ranges::any_of(pieces->batches, too_large)) return ErrorCode::message_too_large;

    for (auto& batch : pieces->batches) {
        storage::AppendRequest request;
        request.batches = batch;
        request.origin = storage::Origin::coordinator;
        auto done = [this, held = shard.self.lock(), pieces, id = write.id](ErrorCode error) {
            if (error != ErrorCode::none) pieces->error = error;
            if (--pieces->open > 0) return;
            // This may be called while the shard is locked, by the very thread that locked it.
            if (appending && appending->shard == held.get()) {
                appending->finished.emplace_back(id, pieces->error.load());
                return;
            }
            asio::post(thread_, [this, held, id, pieces] { finished(held, id, pieces->error.load()); });
        };
        const auto appended = shard.partition->append(request, Acks::all, wall_ms, std::move(done));
        if (appended) continue;
        // Pieces before this one are tombstones that will be asked for again.
        if (&batch == &pieces->batches.front()) return appended.error().code;
        const auto missing = static_cast<std::size_t>(&pieces->batches.back() - &batch) + 1;
        pieces->error = appended.error().code;
        if ((pieces->open -= missing) == 0) appending->finished.emplace_back(write.id, pieces->error.load());
        break;
    }
    return ErrorCode::none;
}

void GroupCoordinator::finished(const ShardPointer& shard, WriteId id, ErrorCode error) {
    Inline here{shard.get(), {{id, error}}};
    Inline* const outer = std::exchange(appending, &here);
    Replies replies;
    for (std::size_t at = 0; at < here.finished.size(); ++at) {
        const auto [next, outcome] = here.finished[at];
        std::ranges::move(shard->groups.finished(next, outcome, now()), std::back_inserter(replies));
    }
    appending = outer;
    watch_deadlines(shard);
    deliver(std::move(replies));
}

template <class Event>
GroupAnswer GroupCoordinator::ask(const asio::any_io_executor& executor, std::string_view group_id,
                                  Ticket ticket, Event event) {
    GroupAnswer answer;
    answer.parked_ = std::make_shared<GroupAnswer::Parked>(executor);
    {
        const std::lock_guard lock(waiting_mutex_);
        waiting_.emplace(ticket, answer.parked_);
    }
    auto replies = happen(shard_of(group_id), event);
    const auto own = std::ranges::find(replies, ticket, &coordinator::Reply::ticket);
    if (own != replies.end()) {
        answer.reply_ = std::move(*own);
        replies.erase(own);
        const std::lock_guard lock(waiting_mutex_);
        waiting_.erase(ticket);
    }
    deliver(std::move(replies));
    return answer;
}

// Each reply goes to the thread of the connection that waits for it.
void GroupCoordinator::deliver(Replies replies) {
    for (auto& reply : replies) {
        std::shared_ptr<GroupAnswer::Parked> parked;
        {
            const std::lock_guard lock(waiting_mutex_);
            auto node = waiting_.extract(reply.ticket);
            if (node.empty()) continue;
            parked = std::move(node.mapped());
        }
        const auto executor = parked->executor;
        asio::post(executor, [parked = std::move(parked), reply = std::move(reply)]() mutable {
            parked->reply = std::move(reply);
            parked->alarm.cancel();
        });
    }
}

// ---- Requests --------------------------------------------------------------------------

GroupAnswer GroupCoordinator::join(const asio::any_io_executor& executor, coordinator::JoinRequest request) {
    request.ticket = ++tickets_;
    if (request.member_id.empty()) request.uuid = uuid_text(settings_.random);
    return ask(executor, request.group_id, request.ticket,
               [&](GroupShard& groups) { return groups.join(request, now()); });
}

GroupAnswer GroupCoordinator::sync(const asio::any_io_executor& executor, coordinator::SyncRequest request) {
    request.ticket = ++tickets_;
    return ask(executor, request.group_id, request.ticket,
               [&](GroupShard& groups) { return groups.sync(request, now()); });
}

GroupAnswer GroupCoordinator::leave(const asio::any_io_executor& executor, const std::string& group_id,
                                    const std::vector<coordinator::MemberIdentity>& members) {
    const Ticket ticket = ++tickets_;
    return ask(executor, group_id, ticket,
               [&](GroupShard& groups) { return groups.leave(ticket, group_id, members, now()); });
}

GroupAnswer GroupCoordinator::commit(const asio::any_io_executor& executor, coordinator::CommitRequest request) {
    request.ticket = ++tickets_;
    return ask(executor, request.group_id, request.ticket,
               [&](GroupShard& groups) { return groups.commit(request, now()); });
}

GroupAnswer GroupCoordinator::delete_offsets(const asio::any_io_executor& executor, const std::string& group_id,
                                             const std::vector<base::TopicPartition>& partitions) {
    const Ticket ticket = ++tickets_;
    return ask(executor, group_id, ticket,
               [&](GroupShard& groups) { return groups.delete_offsets(ticket, group_id, partitions, now()); });
}

GroupAnswer GroupCoordinator::delete_group(const asio::any_io_executor& executor, const std::string& group_id) {
    const Ticket ticket = ++tickets_;
    return ask(executor, group_id, ticket,
               [&](GroupShard& groups) { return groups.delete_group(ticket, group_id, now()); });
}

ErrorCode GroupCoordinator::heartbeat(const std::string& group_id, const coordinator::MemberIdentity& member,
                                      std::int32_t generation) {
    // A heartbeat only moves a deadline back, so nobody has to look earlier.
    return shard_of(group_id)->groups.touch(
        [&](GroupShard& groups) { return groups.heartbeat(group_id, member, generation, now()); });
}

coordinator::FetchedOffsets GroupCoordinator::fetch_offsets(
    const std::string& group_id, const std::optional<std::vector<base::TopicPartition>>& partitions,
    bool require_stable) {
    return shard_of(group_id)->groups.read(
        [&](const GroupShard& groups) { return groups.fetch_offsets(group_id, partitions, require_stable); });
}

coordinator::DescribedGroup GroupCoordinator::describe(const std::string& group_id) {
    return shard_of(group_id)->groups.read([&](const GroupShard& groups) { return groups.describe(group_id); });
}

GroupCoordinator::Listed GroupCoordinator::list() {
    Listed listed;
    for (const auto& shard : all_led()) {
        auto groups = shard->groups.read([&](const GroupShard& each) {
            if (each.is_loading()) listed.error = ErrorCode::coordinator_load_in_progress;
            return each.list();
        });
        std::ranges::move(groups, std::back_inserter(listed.groups));
    }
    return listed;
}

void GroupCoordinator::forget_topics(const std::set<std::string>& topics) {
    const auto gone = [&](const base::TopicPartition& partition) { return topics.contains(partition.topic); };
    for (const auto& shard : all_led()) {
        deliver(happen(shard, [&](GroupShard& groups) { return groups.forget_partitions(gone, now()); }));
    }
}

base::Result<base::BrokerId, ErrorCode> GroupCoordinator::locate(std::string_view group_id) {
    const auto image = cluster_.image();
    const TopicImage* topic = image->find_topic(offsets_topic);
    if (!topic) {
        cluster_.auto_create({std::string(offsets_topic)});
        return base::Unexpected(ErrorCode::coordinator_not_available);
    }
    if (topic->partitions.empty()) return base::Unexpected(ErrorCode::coordinator_not_available);
    const auto* partition =
        topic->find(coordinator::partition_of(group_id, static_cast<std::int32_t>(topic->partitions.size())));
    if (!partition || partition->leader.value() < 0) return base::Unexpected(ErrorCode::coordinator_not_available);
    return partition->leader;
}

// ---- Time ------------------------------------------------------------------------------

// After an event: is there a deadline before the alarm goes off?
void GroupCoordinator::watch_deadlines(const ShardPointer& shard) {
    const auto next_ms = shard->groups.read([](const GroupShard& groups) { return groups.next_deadline_ms(); });
    if (!next_ms || *next_ms >= shard->armed_ms.load(std::memory_order_relaxed)) return;
    shard->armed_ms.store(*next_ms, std::memory_order_relaxed);
    asio::post(thread_, [this, shard] { arm(shard); });
}

// On the coordinator's thread.
void GroupCoordinator::arm(const ShardPointer& shard) {
    const auto next_ms = shard->groups.read([](const GroupShard& groups) { return groups.next_deadline_ms(); });
    shard->armed_ms.store(next_ms.value_or(never_ms), std::memory_order_relaxed);
    if (!next_ms) return;
    const auto wait_ms = std::max<std::int64_t>(*next_ms - settings_.monotonic_ms(), 0);
    shard->alarm.expires_after(std::chrono::milliseconds(wait_ms));
    shard->alarm.async_wait([this, shard](const boost::system::error_code& error) {
        if (error) return;  // Armed anew, or closed.
        deliver(happen(shard, [&](GroupShard& groups) { return groups.time_passes(now()); }));
        arm(shard);
    });
}

void GroupCoordinator::expire_later() {
    {
        const std::lock_guard lock(mutex_);
        if (stopped_) return;
    }
    expiry_.expires_after(std::chrono::milliseconds(cluster_.config()->offsets_retention_check_interval_ms));
    expiry_.async_wait([this](const boost::system::error_code& error) {
        if (error) return;
        for (const auto& shard : all_led()) {
            deliver(happen(shard, [&](GroupShard& groups) { return groups.expire_offsets(now()); }));
        }
        expire_later();
    });
}

}  // namespace broker
