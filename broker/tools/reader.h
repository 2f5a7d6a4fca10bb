// TopicReader: what the consuming tools read from: partitions that are named, all partitions
// of some topics, or what a consumer group assigns.
//
// Threads: one at a time (a group's heartbeats have their own).
#pragma once

#include "broker/client/fetcher.h"
#include "broker/client/group_member.h"
#include "broker/tools/tool.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace broker {

struct ReaderSettings {
    std::vector<std::string> topics;     // By name; created if missing, where the broker does so.
    std::optional<std::string> include;  // Or by regular expression.
    std::optional<base::PartitionIndex> partition;  // Only this one, of the only topic.
    std::int64_t start =
        latest_timestamp;  // Without a committed offset: a time as for list_offsets().
    std::optional<base::Offset> offset;  // Of `partition`, instead of `start`.
    std::optional<GroupSettings> group;
    bool auto_commit = true;  // With a group.
    std::chrono::milliseconds auto_commit_interval{5'000};
    std::chrono::milliseconds metadata_max_age{300'000};
    FetchSettings fetch;
};

class TopicReader {
public:
    TopicReader(ClientSettings client, ReaderSettings settings);

    // Records, as Fetcher::poll hands them over; assigns and joins as needed. 0 may also mean
    // that there is nothing to read from yet, or that the cluster cannot be reached just now.
    // Faults: those that do not heal.
    [[nodiscard]] ClientResult<std::size_t> poll(Deadline deadline, const Fetcher::Take& take);

    // Commit and leave.
    [[nodiscard]] ClientResult<void> close();

    const Fetcher& fetcher() const noexcept { return fetcher_; }
    std::chrono::milliseconds joining_time() const noexcept { return joining_time_; }

private:
    [[nodiscard]] ClientResult<std::size_t> poll_once(Deadline deadline, const Fetcher::Take& take);
    [[nodiscard]] ClientResult<void> look();  // What topics and partitions are there.
    [[nodiscard]] ClientResult<void> assign();
    [[nodiscard]] ClientResult<void> assign_from(
        std::vector<base::TopicPartition> partitions,
        const std::map<base::TopicPartition, base::Offset>& known);
    [[nodiscard]] ClientResult<void> commit();

    ReaderSettings settings_;
    Cluster cluster_;
    Fetcher fetcher_;
    std::unique_ptr<GroupMember> member_;
    std::map<std::string, std::size_t> seen_;  // Topics and their numbers of partitions.
    bool is_assigned_ = false;                 // Once at least.
    bool must_assign_ = true;                  // Before the next read.
    std::chrono::milliseconds joining_time_{0};
    Deadline next_look_{};
    Deadline next_commit_{};
};

}  // namespace broker
