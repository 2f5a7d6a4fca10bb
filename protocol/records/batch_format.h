// Record batch, message format 2 (since Apache Kafka 0.11), as bytes.
//
//     at  size  field
//      0     8  base_offset             0 from a producer; set by the leader
//      8     4  batch_length            bytes after this field
//     12     4  partition_leader_epoch  -1 from a producer; set by the leader
//     16     1  magic                   2
//     17     4  crc                     CRC-32C of everything from byte 21 on
//     21     2  attributes              see below
//     23     4  last_offset_delta       last offset - base_offset; survives compaction
//     27     8  base_timestamp          ms since 1970; the delete horizon if that bit is set
//     35     8  max_timestamp           ms since 1970; -1 for none
//     43     8  producer_id             -1 for none
//     51     2  producer_epoch          -1 for none
//     53     4  base_sequence           -1 for none, and in control batches
//     57     4  record_count            may be less than last_offset_delta + 1 after compaction
//     61        records                 compressed as one piece unless the codec is 0
//
//     attribute bits   0-2  codec: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd
//                        3  timestamp type: 0 CreateTime, 1 LogAppendTime
//                        4  transactional
//                        5  control
//                        6  base_timestamp holds the delete horizon (set by the cleaner)
//
// A batch is valid if and only if
//   - batch_length >= 49, and 12 + batch_length bytes are there
//   - magic is 2
//   - crc matches
//   - the codec is at most 4
//   - base_offset >= 0, last_offset_delta >= 0, and their sum is an offset
//   - record_count >= 0
//
// What a record looks like is in record.h; whether the records are as the header says is
// asked there too.
//
// The leader writes base_offset and partition_leader_epoch into the client's bytes
// as they are: both lie outside the checksum.
//
// Source: https://kafka.apache.org/documentation/#recordbatch
#pragma once

#include <cstddef>
#include <cstdint>

namespace records::batch_format {

constexpr std::size_t base_offset_at = 0;
constexpr std::size_t batch_length_at = 8;
constexpr std::size_t leader_epoch_at = 12;
constexpr std::size_t magic_at = 16;
constexpr std::size_t crc_at = 17;
constexpr std::size_t checksummed_from = 21;
constexpr std::size_t attributes_at = 21;
constexpr std::size_t last_offset_delta_at = 23;
constexpr std::size_t base_timestamp_at = 27;
constexpr std::size_t max_timestamp_at = 35;
constexpr std::size_t producer_id_at = 43;
constexpr std::size_t producer_epoch_at = 51;
constexpr std::size_t base_sequence_at = 53;
constexpr std::size_t record_count_at = 57;

constexpr std::size_t header_bytes = 61;
constexpr std::size_t length_field_end = 12;
constexpr std::int8_t magic = 2;

constexpr std::int16_t codec_mask = 0x07;
constexpr std::int16_t log_append_time_bit = 0x08;
constexpr std::int16_t transactional_bit = 0x10;
constexpr std::int16_t control_bit = 0x20;
constexpr std::int16_t delete_horizon_bit = 0x40;

static_assert(header_bytes - length_field_end == 49, "the least batch_length there is");

}  // namespace records::batch_format
