// lone_controller: what a controller is asked for, answered by a broker that is alone: nobody else
// can lead, and nothing can move.
//
// Threads: the controller's.
#pragma once

#include "broker/cluster/topic_control.h"
#include "coordinator/controller/controller.h"

#include <optional>
#include <vector>

namespace broker {

namespace control = coordinator::controller;

// Nothing: all partitions, and then those that need no election are not answered.
control::ElectLeadersAnswer elect_alone(
    const ClusterImage& image, control::ElectionKind kind,
    const std::optional<std::vector<base::TopicPartition>>& partitions);

control::ReassignmentAnswer reassign_alone(TopicControl& topics,
                                           const std::vector<control::Reassignment>& wanted);

}  // namespace broker
