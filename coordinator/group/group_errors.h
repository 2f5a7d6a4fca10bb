// group_errors: what a client is told when the coordinator's own journal says no.
//
// The journal answers like any partition; a client of the group APIs knows other codes and
// does the right thing on these. Source: facts/kafka.md, 4.2.
#pragma once

#include "protocol/schema/error_code.h"

namespace coordinator {

// For the record of a group: its members join again, or look for the coordinator.
constexpr protocol::ErrorCode group_write_error(protocol::ErrorCode error) noexcept {
    using enum protocol::ErrorCode;
    switch (error) {
        case unknown_topic_or_partition:
        case not_enough_replicas:
        case not_enough_replicas_after_append: return coordinator_not_available;
        case not_leader_or_follower:
        case kafka_storage_error: return not_coordinator;
        case request_timed_out: return rebalance_in_progress;
        case message_too_large:
        case record_list_too_large:
        case invalid_fetch_size: return unknown_server_error;
        default: return error;
    }
}

// For committed or deleted offsets.
constexpr protocol::ErrorCode commit_write_error(protocol::ErrorCode error) noexcept {
    using enum protocol::ErrorCode;
    switch (error) {
        case unknown_topic_or_partition:
        case not_enough_replicas:
        case not_enough_replicas_after_append:
        case request_timed_out: return coordinator_not_available;
        case not_leader_or_follower:
        case kafka_storage_error: return not_coordinator;
        case message_too_large:
        case record_list_too_large:
        case invalid_fetch_size: return invalid_commit_offset_size;
        default: return error;
    }
}

}  // namespace coordinator
