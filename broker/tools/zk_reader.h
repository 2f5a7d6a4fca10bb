// ZkReader: the high-level consumer of Kafka 0.8: a group whose members find one another, share
// partitions and keep offsets in ZooKeeper.
//
//     /consumers/G/ids/C          who is there, and what it reads (ephemeral)
//     /consumers/G/owners/T/P     who reads what (ephemeral): "C-0"
//     /consumers/G/offsets/T/P    how far
//
// Each member computes the same shares from the same znodes: of each topic its partitions in
// order, split among the members that read it, in order. A partition is read only by who owns
// it; who finds it owned by another waits for that one to let go.
//
// Threads: one at a time; ZooKeeper's events come from the client's own and only set a flag.
//
// Source: Apache Kafka 0.8's ZookeeperConsumerConnector; facts/zookeeper.md §5.
#pragma once

#include "broker/client/fetcher.h"
#include "broker/tools/reader.h"
#include "broker/tools/zk_kafka.h"

#include <atomic>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace broker {

// Of `count` partitions in order, those of member `at` of `members` in order: from, how many.
std::pair<std::size_t, std::size_t> share_of(std::size_t count, std::size_t members,
                                             std::size_t at);

class ZkReader {
public:
    struct Settings {
        std::string zookeeper;
        std::string group;             // "": one of its own, forgotten at the end.
        bool forgets_offsets = false;  // Those that the group had, at the start.
        ReaderSettings reader;         // Topics or include, start, fetch, auto_commit_interval.
    };

    // Joins. Faults: ToolError; so of the others.
    explicit ZkReader(Settings settings);

    // Records, as Fetcher::poll hands them over.
    [[nodiscard]] ClientResult<std::size_t> poll(Deadline deadline, const Fetcher::Take& take);

    // Commit and leave.
    void close();

private:
    void register_self();
    void balance();
    void release();
    bool claim(const std::set<base::TopicPartition>& partitions);
    void read_from(const std::set<base::TopicPartition>& partitions);
    void commit();

    std::vector<std::string> topics_watched();
    std::set<base::TopicPartition> share();
    std::string owner_path(const base::TopicPartition& partition) const;
    std::string offset_path(const base::TopicPartition& partition) const;

    Settings settings_;
    const bool is_own_group_;
    const std::string root_;  // "/consumers/G"
    const std::string id_;
    std::atomic<bool> changed_{true};
    ZkKafka kafka_;
    Cluster cluster_;
    Fetcher fetcher_;
    std::set<base::TopicPartition> owned_;
    std::map<base::TopicPartition, base::Offset> committed_;
    Deadline next_commit_;
};

}  // namespace broker
