// GroupMember: a member of a consumer group, by the classic protocol, with the "range" strategy.
//
//     join() → assignment → heartbeats in the background → must_rejoin() → join() …
//
// Threads: the caller's; heartbeats have a thread and a connection of their own.
#pragma once

#include "broker/client/cluster.h"

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace broker::inline client {

struct GroupSettings {
    std::string group_id;
    std::optional<std::string> instance_id = std::nullopt;
    std::chrono::milliseconds session_timeout{45'000};
    std::chrono::milliseconds rebalance_timeout{300'000};
    std::chrono::milliseconds heartbeat_interval{3'000};
};

class GroupMember {
public:
    GroupMember(Cluster& cluster, GroupSettings settings)
        : cluster_(cluster), settings_(std::move(settings)) {}

    // Leaves the group, unless it is a static member.
    ~GroupMember();
    GroupMember(const GroupMember&) = delete;
    GroupMember& operator=(const GroupMember&) = delete;

    // Join and wait for the assignment; as leader make it for all. Faults: refused for good.
    [[nodiscard]] ClientResult<std::vector<base::TopicPartition>> join(
        const std::vector<std::string>& topics);

    // The group rebalances, or has lost this member.
    bool must_rejoin() const noexcept { return must_rejoin_; }

    // Offset to read next, per partition. What a rebalance forbids is a fault.
    [[nodiscard]] ClientResult<void> commit(
        const std::map<base::TopicPartition, base::Offset>& offsets);

    // What is committed; partitions without a commit are absent.
    [[nodiscard]] ClientResult<std::map<base::TopicPartition, base::Offset>> committed(
        const std::vector<base::TopicPartition>& partitions);

    void leave();

private:
    struct Joined {
        std::int32_t generation;
        std::string protocol;
        bool is_leader;
        std::map<std::string, std::pair<std::optional<std::string>, std::vector<std::string>>>
            members;
    };

    [[nodiscard]] ClientResult<Joined> join_once(const std::vector<std::string>& topics);
    [[nodiscard]] ClientResult<std::vector<base::TopicPartition>> sync(const Joined& joined);
    void start_heartbeats();
    void stop_heartbeats();
    void beat();

    Cluster& cluster_;
    GroupSettings settings_;
    std::string member_id_;
    std::int32_t generation_ = -1;
    std::atomic<bool> must_rejoin_ = false;

    std::mutex mutex_;
    std::condition_variable stopped_;
    bool stop_ = false;
    std::thread heart_;
};

}  // namespace broker
