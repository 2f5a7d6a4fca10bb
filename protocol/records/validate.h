// validate_produce: what the leader asks of a client's records before it appends them.
//
//     payload (in the frame)  ->  the same bytes, header patched in place    as a rule
//                             ->  one batch made anew                        old formats, another
//                                                                            compression.type,
//                                                                            inner offsets in
//                                                                            disorder
//                             ->  Rejection: error, sentence, offending records
//
// The result is always one batch of format 2 at base offset 0; its offset and leader epoch are
// written at append (records::place). Sequences are not looked at here: the partition knows
// them.
//
// Order of checks and error codes as Apache Kafka 3.9 (request first, then batch, then
// records), so that a request with several mistakes gets the same answer.
//
// Threads: pure but for `scratch`, which each thread has its own of.
// Limits: ProduceRules::inflated_bytes_max, and those of compression.h.
#pragma once

#include "protocol/records/convert.h"

#include <string>

namespace records {

// The topic's rules at this moment.
struct ProduceRules {
    std::int64_t now_ms;
    std::int32_t message_bytes_max = 1048588;   // max.message.bytes
    std::int32_t segment_bytes = 1 << 30;       // segment.bytes
    std::optional<Codec> codec = std::nullopt;  // compression.type; nothing: producer
    std::optional<int> level = std::nullopt;    // compression.<codec>.level
    TimestampType timestamp_type = TimestampType::create_time;  // message.timestamp.type
    std::int64_t timestamp_before_ms_max = std::numeric_limits<std::int64_t>::max();
    std::int64_t timestamp_after_ms_max = 3600000;
    bool compacted = false;  // cleanup.policy has compact: keys are needed.

    // milena.produce.validate.compressed. Without it compressed batches of format 2 that keep
    // their codec, on topics that need no keys, are not inflated: their headers are believed.
    bool validate_compressed = true;
    std::size_t inflated_bytes_max = records::inflated_bytes_max;
};

// Kafka's errors for this, by their own names; whoever answers maps them to codes.
enum class ProduceError {
    corrupt_message,               // 2
    message_too_large,             // 10
    record_list_too_large,         // 18
    invalid_timestamp,             // 32
    unsupported_compression_type,  // 76
    invalid_record,                // 87
};

// One record that is at fault (Produce v8 and above).
struct RecordError {
    std::int32_t batch_index;
    std::string message;

    friend bool operator==(const RecordError&, const RecordError&) = default;
};

struct Rejection {
    ProduceError error;
    std::string message;
    std::vector<RecordError> records = {};  // At most record_errors_max.
    // It would inflate to more than ProduceRules::inflated_bytes_max, or than any batch may: the
    // payload is as it came, and may be judged again with more.
    bool is_too_much = false;
};

// More than that many offenders are not listed: the answer would be larger than the request.
constexpr std::size_t record_errors_max = 1000;

// A batch to append. Without bytes there is nothing to append: an empty set of messages of
// a Produce below version 3, which Kafka answers without error and with base offset -1.
struct Accepted {
    std::span<std::byte> bytes;      // In the payload, or in `rebuilt`. Writable.
    std::vector<std::byte> rebuilt;  // Empty if the payload's own bytes are appended.
    std::int32_t record_count = 0;
    std::int32_t last_offset_delta = 0;
    std::int64_t max_timestamp = no_timestamp;
    std::int32_t max_timestamp_delta = 0;  // Offset of the first record that has it, from the base.
    std::int64_t log_append_time = no_timestamp;  // Of the answer: -1 if CreateTime.
    base::ProducerId producer_id = base::ProducerId(no_producer_id);
    std::int16_t producer_epoch = no_producer_epoch;
    std::int32_t base_sequence = no_sequence;
    std::int32_t last_sequence = no_sequence;
    bool transactional = false;

    Accepted() = default;
    Accepted(Accepted&&) = default;             // A moved vector keeps its bytes in place,
    Accepted& operator=(Accepted&&) = default;  // so `bytes` stays right.
    Accepted(const Accepted&) = delete;
    Accepted& operator=(const Accepted&) = delete;

    // Requires bytes.
    Batch batch() const { return *Batch::view(bytes); }
};

// True if the payload's first batch is compressed and says so: its validation inflates, which
// can take long (a caller may move it to another thread).
bool inflates(Bytes payload) noexcept;

// True if under these rules its records are compressed anew, which takes longer still.
bool deflates(Bytes payload, const ProduceRules& rules) noexcept;

// Whether the front of a payload can be told at all to be a batch or a message. Looks at a
// header, and not at its checksum.
[[nodiscard]] std::optional<Rejection> check_front(Bytes payload);

// What Apache Kafka asks of the payload of a Produce before anything else about its partition:
// from version 3 on one batch of format 2, below it entries that follow one another. Looks at
// headers only. validate_produce asks it again.
[[nodiscard]] std::optional<Rejection> check_shape(Bytes payload, std::int16_t version);

// Judge `payload` of a Produce of version `version`. Null and empty payloads come as an empty
// span. The bytes may be changed in place even if the answer is a rejection.
[[nodiscard]] base::Result<Accepted, Rejection> validate_produce(std::span<std::byte> payload,
                                                                 std::int16_t version,
                                                                 const ProduceRules& rules,
                                                                 ConvertScratch& scratch);

}  // namespace records
