// ReassignmentCluster: a cluster as one sees it who moves partitions: where they are, which are
// moving, and the words that move them.
//
// All functions throw ToolError for what the cluster refuses. Threads: one at a time.
#pragma once

#include "broker/tools/admin.h"
#include "broker/tools/reassignment_json.h"

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace broker {

using Replicas = std::map<base::TopicPartition, std::vector<base::BrokerId>>;

// "t-0-1": partition 0 of t at broker 1.
std::string text_of(const ReplicaPlace& place);

// One that is under way.
struct ReplicaMove {
    std::vector<base::BrokerId> replicas;
    std::vector<base::BrokerId> adding;
    std::vector<base::BrokerId> removing;
};

// Where a replica lies, and where it moves to. Empty: nowhere.
struct DirectoryState {
    std::string current;
    std::string future;
};

class ReassignmentCluster {
public:
    explicit ReassignmentCluster(ClientSettings settings);

    std::set<base::BrokerId> brokers() const;
    // Those of `ids` that are there, with their racks.
    std::vector<Seat> seats(const std::vector<base::BrokerId>& ids) const;
    // Faults for those that are not there.
    void require_brokers(const std::vector<base::BrokerId>& ids) const;

    // The replicas now: of a topic; of partitions, where `may_miss` leaves out those that are not
    // there.
    Replicas replicas_of(const std::string& topic);
    Replicas replicas_of(const Replicas& partitions, bool may_miss = false);

    std::map<base::TopicPartition, ReplicaMove> moves();
    // Nothing as a target: cancel. `title`: of the refusals, a line each.
    void reassign(
        const std::map<base::TopicPartition, std::optional<std::vector<base::BrokerId>>>& targets,
        const std::string& title, bool may_change_factor = true);

    std::map<ReplicaPlace, DirectoryState> directories(
        const std::map<ReplicaPlace, std::string>& of);
    // Say which move begins. Replicas that are about to be made are waited for.
    void move_directories(const std::map<ReplicaPlace, std::string>& to,
                          std::chrono::milliseconds patience);

    void configure(ResourceType type, const std::string& name,
                   const std::vector<ConfigChange>& changes);

private:
    Cluster cluster_;
    ClientSettings settings_;
};

}  // namespace broker
