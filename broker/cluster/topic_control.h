// TopicControl: topics are created, get more partitions and are deleted.
//
// A change is first durable in the tree, then carried out on the logs, then published, then
// answered. A crash in between leaves what the start finishes.
//
// What others write into the tree is carried out the same way: adopt() and withdraw() are the
// halves of these changes that come after the tree.
//
// In company the tree is all that is changed here: what comes of it is the controller's business,
// whoever that is. `guard` holds for as long as this broker is controller.
//
// Threads: the controller's. Outcomes are in the order of the request.
#pragma once

#include "broker/cluster/admin.h"
#include "broker/cluster/cluster_core.h"
#include "broker/cluster/znodes.h"

#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace broker {

class TopicControl {
public:
    explicit TopicControl(ClusterCore& core) : core_(core) {}

    std::vector<CreatedTopic> create(const std::vector<NewTopic>& topics, bool validate_only,
                                     const Guard& guard = {});
    std::vector<AdminOutcome> remove(const std::vector<std::string>& topics,
                                     const Guard& guard = {});
    std::vector<AdminOutcome> add_partitions(const std::vector<NewPartitions>& wanted,
                                             bool validate_only, const Guard& guard = {});

    // The tree has a topic that is not in the image, or more partitions of one that is: choose
    // leaders, store their states, make the logs, serve it. `node` is /brokers/topics/T.
    [[nodiscard]] base::Result<void, std::string> adopt(const std::string& name,
                                                        const znodes::TopicAssignment& assignment,
                                                        const coordinator::NodeView& node);

    bool has(const base::TopicPartition& at) const;

    // Give a partition these replicas. The error says why it cannot be, for people.
    [[nodiscard]] base::Result<void, std::string> reassign(
        const base::TopicPartition& at, const std::vector<base::BrokerId>& replicas);

    // Stop serving a topic and delete its logs.
    void withdraw(const TopicPointer& topic);

    // Delete what the tree has of a topic, its mark for deletion last. False when it cannot.
    bool remove_nodes(const std::string& topic);
    bool remove_mark(const std::string& topic);

private:
    struct Draft {
        std::size_t place = 0;  // In the request.
        std::shared_ptr<TopicImage> topic;
        ConfigMap configs;
    };

    std::vector<base::BrokerId> brokers() const;
    std::vector<Seat> seats() const;
    std::optional<AdminOutcome> refuse_without_room() const;
    std::optional<AdminOutcome> draft(const NewTopic& topic,
                                      const std::set<std::string>& collisions,
                                      PartitionBudget& budget, Draft& made);
    std::optional<AdminOutcome> store(std::span<Draft> drafts, const Guard& guard);
    void store_in_company(std::vector<Draft>& drafts, const Guard& guard,
                          std::vector<CreatedTopic>& created);
    AdminOutcome mark(const std::string& topic, const Guard& guard);
    AdminOutcome add_partitions(const NewPartitions& wanted, PartitionBudget& budget,
                                bool validate_only, const Guard& guard);
    AdminOutcome add_to_node(const std::string& topic, std::size_t first, const Assignment& added,
                             const Guard& guard);
    [[nodiscard]] base::Result<Assignment, AdminOutcome> assign_more(const NewPartitions& wanted,
                                                                     const TopicImage& topic);
    void open_logs(TopicImage& topic, std::size_t first);
    PartitionImage new_partition(const std::vector<base::BrokerId>& replicas) const;

    ClusterCore& core_;
};

// What /brokers/topics/T says of `topic`.
std::string assignment_text(const TopicImage& topic);

}  // namespace broker
