// down_convert: records for clients of old, who read formats 0 and 1.
//
// Source: facts/kafka.md §1.8.
#pragma once

#include "broker/config/topic_config.h"
#include "protocol/base/result.h"
#include "protocol/base/types.h"
#include "protocol/schema/error_code.h"
#include "protocol/wire/payload.h"
#include "storage/log.h"

namespace broker {

// What was read, as a Fetch of version 0 to 3 wants it. Blocks for the disk. Errors:
// unsupported_version, unsupported_compression_type, corrupt_message, and
// not_leader_or_follower when the log was truncated meanwhile.
[[nodiscard]] base::Result<wire::Payload, protocol::ErrorCode> down_convert(
    const storage::ReadResult& data, const TopicConfig& topic, base::Offset fetch_offset,
    std::int16_t version);

}  // namespace broker
