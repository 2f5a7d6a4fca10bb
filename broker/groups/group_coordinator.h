// GroupCoordinator: the groups whose partitions of `__consumer_offsets` this broker leads.
//
//     handler --> ask --> Journaled<GroupShard> --> Partition::append (acks=all)
//        |                      |                          |
//        | ready: answer        | replies to others        v done
//        | parked: wait <--- deliver <------------- finished (coordinator's thread)
//
// A partition that this broker leads is loaded in the background when it is first seen in a term:
// all of them at the start, those of a topic that was just made when somebody asks. Until
// then its groups answer COORDINATOR_LOAD_IN_PROGRESS.
//
// Threads: all public functions from any thread. A request parks on its connection's own
// thread. Deadlines and expiry run on one thread of the coordinator; loading on the disk
// pool. Locks: mutex_ for look-ups only; a shard's lock, then its partition's.
//
// Limits: coordinator/group/step.h. A request that waits is bounded by its connection.
#pragma once

#include "broker/cluster/cluster.h"
#include "coordinator/group/group_shard.h"
#include "coordinator/runtime/journaled.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace broker {

constexpr std::string_view offsets_topic = "__consumer_offsets";

// A request that was put to a group: its reply, or the promise of one.
class GroupAnswer {
public:
    // The reply, when there was nothing to wait for.
    template <class Reply>
    const Reply* ready() const noexcept {
        return reply_ ? &std::get<Reply>(reply_->answer) : nullptr;
    }

    // Wait for the reply. Requires !ready(), and the thread that asked. A request whose
    // connection closes gets a Reply as it was made.
    template <class Reply>
    boost::asio::awaitable<Reply> wait() {
        co_await parked();
        if (!reply_) co_return Reply();
        co_return std::move(std::get<Reply>(reply_->answer));
    }

private:
    friend class GroupCoordinator;
    struct Parked;

    boost::asio::awaitable<void> parked();

    std::optional<coordinator::Reply> reply_;
    std::shared_ptr<Parked> parked_;
};

class GroupCoordinator {
public:
    struct Settings {
        std::function<std::int64_t()> wall_ms;
        std::function<std::int64_t()> monotonic_ms;
        std::function<void(std::span<std::byte>)> random;
    };

    // Requires that cluster and disk outlive it.
    GroupCoordinator(Cluster& cluster, boost::asio::thread_pool& disk, Settings settings);
    ~GroupCoordinator();

    // Load what this broker leads, and begin to watch the time. Requires a registered broker.
    void start();

    // After what this broker leads has changed. Any thread.
    void look_again();

    // Answer everybody who waits with NOT_COORDINATOR, and everybody who comes. Nothing of
    // it uses the cluster's partitions any more when it returns.
    void stop();

    // ---- Requests. `executor` is the connection's. Tickets are given here.

    GroupAnswer join(const boost::asio::any_io_executor& executor, coordinator::JoinRequest request);
    GroupAnswer sync(const boost::asio::any_io_executor& executor, coordinator::SyncRequest request);
    GroupAnswer leave(const boost::asio::any_io_executor& executor, const std::string& group_id,
                      const std::vector<coordinator::MemberIdentity>& members);
    GroupAnswer commit(const boost::asio::any_io_executor& executor, coordinator::CommitRequest request);
    GroupAnswer delete_offsets(const boost::asio::any_io_executor& executor, const std::string& group_id,
                               const std::vector<base::TopicPartition>& partitions);
    GroupAnswer delete_group(const boost::asio::any_io_executor& executor, const std::string& group_id);

    [[nodiscard]] protocol::ErrorCode heartbeat(const std::string& group_id,
                                                const coordinator::MemberIdentity& member,
                                                std::int32_t generation);
    [[nodiscard]] coordinator::FetchedOffsets fetch_offsets(
        const std::string& group_id, const std::optional<std::vector<base::TopicPartition>>& partitions,
        bool require_stable);
    [[nodiscard]] coordinator::DescribedGroup describe(const std::string& group_id);

    struct Listed {
        protocol::ErrorCode error = protocol::ErrorCode::none;  // Some are still being loaded.
        std::vector<coordinator::ListedGroup> groups;
    };
    Listed list();

    // The topics are no more: their offsets are forgotten, in every group.
    void forget_topics(const std::set<std::string>& topics);

    // A marker has been written into that partition of `__consumer_offsets`: the offsets of the
    // producer's transaction count from now on, or are forgotten.
    void transaction_ended(base::PartitionIndex partition, base::ProducerId producer,
                           bool committed);

    // Who coordinates the group. The topic is made when it is not there, in the background;
    // coordinator_not_available until then and while the partition has no leader.
    [[nodiscard]] base::Result<base::BrokerId, protocol::ErrorCode> locate(std::string_view group_id);

private:
    using Groups = coordinator::Journaled<coordinator::GroupShard>;
    using Replies = Groups::Replies;
    struct Shard;
    using ShardPointer = std::shared_ptr<Shard>;

    coordinator::Now now() const { return {settings_.monotonic_ms(), settings_.wall_ms()}; }
    ShardPointer shard_of(std::string_view group_id);
    ShardPointer open(std::size_t index, const PartitionImage& led);
    std::vector<ShardPointer> all_led();
    void load(const ShardPointer& shard);
    static std::string name_of(const Shard& shard);
    void close(const ShardPointer& shard);

    template <class Event>
    Replies happen(const ShardPointer& shard, Event event);
    template <class Event>
    GroupAnswer ask(const boost::asio::any_io_executor& executor, std::string_view group_id,
                    coordinator::Ticket ticket, Event event);
    protocol::ErrorCode append(Shard& shard, const coordinator::Write& write);
    void finished(const ShardPointer& shard, coordinator::WriteId id, protocol::ErrorCode error);
    void deliver(Replies replies);

    void watch_deadlines(const ShardPointer& shard);
    void arm(const ShardPointer& shard);
    void expire_later();

    Cluster& cluster_;
    boost::asio::thread_pool& disk_;
    const Settings settings_;
    coordinator::GroupCensus census_;
    std::atomic<coordinator::Ticket> tickets_ = 0;

    boost::asio::thread_pool thread_{1};
    boost::asio::steady_timer expiry_;

    std::mutex mutex_;
    std::vector<ShardPointer> shards_;  // By partition; null where this broker does not lead.
    bool stopped_ = false;
    ShardPointer nowhere_;              // Closed for ever: says NOT_COORDINATOR to everything.

    std::mutex waiting_mutex_;
    std::unordered_map<coordinator::Ticket, std::shared_ptr<GroupAnswer::Parked>> waiting_;
};

}  // namespace broker
