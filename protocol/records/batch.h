// Batch: a checked view of one record batch of message format 2. It owns nothing.
//
//     BatchHeader::peek   61 bytes, no checksum: scans of a log, index work
//     Batch::read         the whole batch, checksum included: whatever comes from outside
//
// What the records inside say is not looked at here: record.h walks and validates them.
//
// On the wire and on disk: batch_format.h.
#pragma once

#include "protocol/base/result.h"
#include "protocol/base/types.h"
#include "protocol/records/attributes.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace records {

enum class BatchFault {
    cut_short,    // Bytes end before the batch does.
    bad_length,   // batch_length is less than a header.
    bad_magic,    // Not message format 2.
    bad_crc,      // The checksum says that bytes were changed.
    bad_codec,    // A codec that does not exist.
    bad_offsets,  // An offset is negative, or the last one is none.
    bad_count,    // record_count is negative.
};

// The 61 bytes before the records.
class BatchHeader {
public:
    // Check the header at the front of `bytes`, all but its checksum. Of the batch only the
    // header has to be there: size() may be more than bytes.size().
    // Faults: cut_short (fewer than 61 bytes), bad_length, bad_magic, bad_codec,
    // bad_offsets, bad_count.
    [[nodiscard]] static base::Result<BatchHeader, BatchFault> peek(
        std::span<const std::byte> bytes);

    // Bytes of the whole batch, header included.
    std::size_t size() const noexcept;

    base::Offset base_offset() const noexcept;
    base::Offset last_offset() const noexcept;
    std::int32_t last_offset_delta() const noexcept;

    // The number of offsets that the batch takes, at least 1.
    std::int64_t offset_count() const noexcept { return std::int64_t{last_offset_delta()} + 1; }

    // The number of records in it; 0 in a batch that the cleaner emptied.
    std::int32_t record_count() const noexcept;

    base::LeaderEpoch leader_epoch() const noexcept;
    std::uint32_t crc() const noexcept;
    std::int16_t attributes() const noexcept;

    Codec codec() const noexcept { return *codec_of(attributes()); }
    TimestampType timestamp_type() const noexcept;
    bool is_transactional() const noexcept;
    bool is_control() const noexcept;
    bool has_delete_horizon() const noexcept;

    // Where the records' timestamp deltas start from, ms; the delete horizon if
    // has_delete_horizon().
    std::int64_t base_timestamp() const noexcept;
    std::int64_t max_timestamp() const noexcept;

    base::ProducerId producer_id() const noexcept;
    bool has_producer_id() const noexcept { return producer_id().value() > no_producer_id; }
    std::int16_t producer_epoch() const noexcept;
    std::int32_t base_sequence() const noexcept;

    // The sequence number of the last offset, which wraps; -1 if the batch has none.
    std::int32_t last_sequence() const noexcept;

protected:
    explicit BatchHeader(std::span<const std::byte> bytes) noexcept : bytes_(bytes) {}

    std::span<const std::byte> bytes_;
};

class Batch : public BatchHeader {
public:
    // Check the batch at the front of `bytes`, checksum included. Bytes after it
    // are not looked at.
    [[nodiscard]] static base::Result<Batch, BatchFault> read(std::span<const std::byte> bytes);

    // The same without the checksum, for bytes that were checked before.
    [[nodiscard]] static base::Result<Batch, BatchFault> view(std::span<const std::byte> bytes);

    // All of the batch and nothing else.
    std::span<const std::byte> bytes() const noexcept { return bytes_; }

    // What follows the header, compressed if codec() says so.
    std::span<const std::byte> records() const noexcept;

private:
    explicit Batch(std::span<const std::byte> bytes) noexcept : BatchHeader(bytes) {}
};

// The functions below change a batch in place.
// Requires, for all of them: a whole batch that Batch::view accepts, and nothing after it.

// Write what the leader decides: where the batch lies in the log, and whose term it was.
// The checksum stays right.
void place(std::span<std::byte> batch, base::Offset base_offset, base::LeaderEpoch epoch) noexcept;

// Make it LogAppendTime at `now_ms`: that is then the timestamp of every record. Makes
// the checksum anew.
void set_append_time(std::span<std::byte> batch, std::int64_t now_ms) noexcept;

// Make it CreateTime with `max_timestamp`, and the checksum anew.
void set_max_timestamp(std::span<std::byte> batch, std::int64_t max_timestamp) noexcept;

// Make the checksum right for the bytes as they are.
void set_crc(std::span<std::byte> batch) noexcept;

}  // namespace records
