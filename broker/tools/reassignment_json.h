// reassignment_json: the files of kafka-reassign-partitions.sh.
//
//     {"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[1,2],"log_dirs":["any","/d"]}]}
//     {"version":1,"topics":[{"topic":"t"}]}
#pragma once

#include "broker/cluster/placement.h"
#include "broker/tools/options.h"
#include "protocol/base/types.h"

#include <map>
#include <string>
#include <vector>

namespace broker {

// A replica of a partition, where it is to lie.
struct ReplicaPlace {
    base::TopicPartition at;
    base::BrokerId broker;

    friend auto operator<=>(const ReplicaPlace&, const ReplicaPlace&) = default;
};

struct WantedReassignment {
    std::map<base::TopicPartition, std::vector<base::BrokerId>> replicas;
    std::map<ReplicaPlace, std::string> directories;  // Without those that may lie anywhere.
};

// Faults: ToolError.
WantedReassignment parse_reassignment(const std::string& text);

// Topics of a file for --generate, each once. Faults: ToolError.
std::vector<std::string> parse_topics_to_move(const std::string& text);

// As Kafka prints it, for --execute. Log directories: `directories`, else "any".
std::string write_reassignment(
    const std::map<base::TopicPartition, std::vector<base::BrokerId>>& replicas,
    const std::map<ReplicaPlace, std::string>& directories = {});

// --disable-rack-aware: as if there were no racks. Faults: ToolError when only some have one.
void leave_racks_out(std::vector<Seat>& brokers, const Options& options);

// --generate: print what is, and how whole topics would lie spread anew over these brokers. Faults:
// ToolError when they are fewer than replicas.
void print_proposal(const std::map<base::TopicPartition, std::vector<base::BrokerId>>& now,
                    const std::vector<Seat>& brokers);

// "t-0", and "1,2".
std::string text_of(const base::TopicPartition& at);
std::string text_of(const std::vector<base::BrokerId>& brokers);

// --broker-list. Faults: UsageError.
std::vector<base::BrokerId> parse_broker_list(const std::string& text);

}  // namespace broker
