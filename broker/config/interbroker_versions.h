// InterbrokerVersions: what brokers say to one another in a release of Kafka's protocol
// (inter.broker.protocol.version). A broker says nothing newer, and understands everything.
//
//     release     leader_and_isr  update_metadata  stop_replica  fetch  ISRs
//     2.6-IV0     4               6                3             11     written into the tree
//     2.8-IV1     5               7                3             12     asked of the controller
//     3.9-IV0     7               8                4             17     likewise
//
// And what they write into the tree for one another:
//
//     release     /brokers/ids/N  /feature     topic ids
//     2.6-IV0     4               1, disabled  none
//     2.8-IV1     5               1            given by the controller
//     3.9-IV0     5               2            likewise
//
// Pure. Source: the tables of Apache Kafka 3.9.1; facts/zookeeper-mode-cluster.md §1.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string_view>

namespace broker {

// "2.6", "2.6.1", "2.6-IV0", "0.10.2". Before 1.0 three numbers are the release, and two since
// then; what follows is left out. Without -IV the last protocol of the release is meant.
struct ProtocolRelease {
    int major = 0;
    int minor = 0;
    int patch = 0;
    int step = 0;  // Of -IV.

    friend auto operator<=>(const ProtocolRelease&, const ProtocolRelease&) = default;
};
std::optional<ProtocolRelease> parse_protocol_release(std::string_view text);

// The newest version of each request that is sent, and of what is written.
struct InterbrokerVersions {
    // As controller.
    std::int16_t leader_and_isr;
    std::int16_t update_metadata;
    std::int16_t stop_replica;
    // As follower.
    std::int16_t fetch;
    std::int16_t list_offsets;
    std::optional<std::int16_t> offset_for_leader_epoch;  // Nothing: it is not sent.
    // As leader. Nothing: ISRs are written into the tree.
    std::optional<std::int16_t> alter_partition;
    // In the tree.
    std::int16_t registration;
    std::int16_t feature;
    bool has_features;   // /feature is in force.
    bool has_topic_ids;  // Topics get ids, and logs keep them.
};
// What is no release counts as the newest one.
InterbrokerVersions interbroker_versions(std::string_view release);

}  // namespace broker
