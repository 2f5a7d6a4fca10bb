// SimBroker: a broker as far as a controller is concerned: roles, logs, in-sync replicas.
//
// Its logs outlive it, as what a killed process has written does; everything else is forgotten.
// A leader appends, lets followers read, acknowledges what the ISR has, and asks for changes of
// the ISR. It counts on whoever may be in the ISR for as long as it does not know.
#pragma once

#include "coordinator/controller/tests/sim_tree.h"

#include <map>
#include <optional>
#include <set>
#include <vector>

namespace test {

struct SimRecord {
    std::int32_t epoch = 0;
    std::uint64_t value = 0;

    friend bool operator==(const SimRecord&, const SimRecord&) = default;
};

struct SimReplica {
    // Known since LeaderAndIsr.
    bool has_role = false;
    PartitionState state;
    std::int32_t partition_epoch = 0;
    Brokers replicas;
    // Of a leader.
    std::map<BrokerId, std::size_t> ends;
    std::size_t high_watermark = 0;
    std::size_t epoch_start = 0;
    std::optional<Brokers> asks_for;
    std::uint64_t attempt = 0;  // Which request for it may still be answered; 0: none.

    base::Uuid topic_id{};
    std::vector<SimRecord> log;
};

struct SimBroker {
    using Leads = std::function<void(const base::TopicPartition&, const SimReplica&)>;

    BrokerId id;
    std::int64_t epoch = -1;  // Of the registration it knows of.
    bool up = false;
    std::int32_t controller_epoch = 0;
    BrokerId controller{-1};
    std::map<base::TopicPartition, SimReplica> replicas;
    std::map<base::TopicPartition, UpdateMetadata::Partition> metadata;
    std::set<BrokerId> live;

    // Start, or come back under another registration. It has read /controller_epoch.
    void start(std::int64_t registration, std::int32_t epoch_of_controller);
    void kill();

    struct Answer {
        protocol::ErrorCode error = protocol::ErrorCode::none;
        std::vector<PartitionError> partitions;
    };
    Answer receive(const BrokerRequest& request, const Term& from, const Leads& leads);

    bool leads(const base::TopicPartition& at) const;

private:
    void receive(const LeaderAndIsr& content, Answer& answer, const Leads& leads);
    void receive(const UpdateMetadata& content);
    void receive(const StopReplica& content, Answer& answer);
};

// One Fetch of a follower: it cuts off what the leader does not have, tells how far it is, and
// reads at most `most` records.
void fetch(SimBroker& follower, SimBroker& leader, const base::TopicPartition& at,
           std::size_t most);

}  // namespace test
