#include "coordinator/controller/tests/sim_broker.h"

#include "coordinator/controller/brokers.h"

#include <utility>

namespace test {

using protocol::ErrorCode;

void SimBroker::start(std::int64_t registration, std::int32_t epoch_of_controller) {
    kill();
    up = true;
    epoch = registration;
    controller_epoch = epoch_of_controller;
}

void SimBroker::kill() {
    up = false;
    controller = BrokerId(-1);
    metadata.clear();
    for (auto& [at, replica] : replicas) {
        replica = {.topic_id = replica.topic_id, .log = std::move(replica.log)};
    }
}

bool SimBroker::leads(const base::TopicPartition& at) const {
    const auto found = replicas.find(at);
    return up && found != replicas.end() && found->second.has_role &&
           found->second.state.leader == id;
}

SimBroker::Answer SimBroker::receive(const BrokerRequest& request, const Term& from,
                                     const Leads& leads) {
    Answer answer;
    if (from.epoch < controller_epoch) {
        answer.error = ErrorCode::stale_controller_epoch;
    } else if (request.broker_epoch < epoch) {
        answer.error = ErrorCode::stale_broker_epoch;
    }
    if (answer.error != ErrorCode::none) return answer;
    controller_epoch = from.epoch;
    if (const auto* roles = std::get_if<LeaderAndIsr>(&request.content)) {
        receive(*roles, answer, leads);
    } else if (const auto* stops = std::get_if<StopReplica>(&request.content)) {
        receive(*stops, answer);
    } else {
        controller = from.controller;
        live.clear();
        for (const Broker& broker : *request.live) live.insert(broker.id);
        receive(std::get<UpdateMetadata>(request.content));
    }
    return answer;
}

void SimBroker::receive(const LeaderAndIsr& content, Answer& answer, const Leads& told) {
    for (const auto& partition : content.partitions) {
        const base::TopicPartition at{partition.topic, partition.index};
        SimReplica& replica = replicas[at];
        // A removed replica of an earlier topic of that name, which nobody told to go.
        if (replica.topic_id != partition.topic_id) replica = {};
        if (replica.has_role && partition.state.leader_epoch <= replica.state.leader_epoch) {
            answer.partitions.push_back({at, ErrorCode::stale_controller_epoch});
            continue;
        }
        answer.partitions.push_back({at});
        replica.has_role = true;
        replica.topic_id = partition.topic_id;
        replica.state = partition.state;
        replica.partition_epoch = partition.partition_epoch;
        replica.replicas = partition.assignment.replicas;
        replica.ends.clear();
        replica.asks_for.reset();
        replica.attempt = 0;
        replica.epoch_start = replica.log.size();
        if (replica.state.leader == id) told(at, replica);
    }
}

void SimBroker::receive(const UpdateMetadata& content) {
    for (const auto& partition : content.partitions) {
        const base::TopicPartition at{partition.topic, partition.index};
        if (partition.state.leader == BrokerId(during_deletion)) {
            metadata.erase(at);
        } else {
            metadata.insert_or_assign(at, partition);
        }
    }
}

void SimBroker::receive(const StopReplica& content, Answer& answer) {
    for (const auto& stop : content.partitions) {
        answer.partitions.push_back({stop.at});
        const auto found = replicas.find(stop.at);
        if (found == replicas.end()) continue;
        const bool is_old = found->second.has_role && stop.leader_epoch.value() >= 0 &&
                            stop.leader_epoch < found->second.state.leader_epoch;
        if (is_old) {
            answer.partitions.back().error = ErrorCode::fenced_leader_epoch;
        } else if (stop.deletes) {
            replicas.erase(found);
        } else {
            found->second.has_role = false;
        }
    }
}

void fetch(SimBroker& follower, SimBroker& leader, const base::TopicPartition& at,
           std::size_t most) {
    SimReplica& copy = follower.replicas.at(at);
    SimReplica& origin = leader.replicas.at(at);
    const bool same_epoch = copy.state.leader_epoch == origin.state.leader_epoch;
    if (!same_epoch || !contains(origin.replicas, follower.id)) return;
    std::size_t common = 0;
    while (common < copy.log.size() && common < origin.log.size() &&
           copy.log[common] == origin.log[common]) {
        ++common;
    }
    copy.log.resize(common);
    origin.ends[follower.id] = common;
    for (; most > 0 && copy.log.size() < origin.log.size(); --most) {
        copy.log.push_back(origin.log[copy.log.size()]);
    }
}

}  // namespace test
