// group_record_format: records of `__consumer_offsets` as keys and values of log records.
//
//     key    i16 type: 0 or 1 an offset, 2 a group; then group [, topic, partition]
//     value  i16 version, then the fields; null is a tombstone
//
// Written are version 3 of both values, and version 1 of an offset's value when the commit
// named its own retention: what every tool of the field can read. Read are all versions.
// Other types of key belong to other kinds of groups and are passed over.
//
// Source: facts/kafka.md, 4.4; protocol/schema/journal.
#pragma once

#include "coordinator/group/group_records.h"
#include "protocol/base/result.h"

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace coordinator {

struct EncodedRecord {
    std::vector<std::byte> key;
    std::optional<std::vector<std::byte>> value;  // Nothing: a tombstone.
};

// Requires that the record's strings fit an int16 length, which GroupShard sees to.
EncodedRecord encode(const Record& record);

enum class RecordFault {
    other_type,  // Not a record of classic groups: pass over it.
    damaged,     // Such a record, but not its bytes.
};

// No value: a tombstone.
[[nodiscard]] base::Result<Record, RecordFault> decode(
    std::span<const std::byte> key, std::optional<std::span<const std::byte>> value);

}  // namespace coordinator
