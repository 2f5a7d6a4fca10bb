// Record: the records inside a batch of message format 2, and walks over them.
//
//     length           varint   bytes after this field
//     attributes       int8     0, unused
//     timestamp_delta  varlong  timestamp - base_timestamp of the batch
//     offset_delta     varint   offset - base_offset of the batch
//     key_length       varint   negative: null
//     key
//     value_length     varint   negative: null
//     value
//     header_count     varint   >= 0
//       key_length     varint   >= 0
//       key            UTF-8
//       value_length   varint   negative: null
//       value
//
// varint and varlong: varint.h.
//
// A records region of a batch is valid if and only if
//   - it holds exactly record_count records, and no byte after them
//   - each record's length is consumed exactly by its fields
//   - header counts and header key lengths are not negative
//   - offset_delta is not negative, and base_offset + offset_delta is an offset
//
// Timestamps may be anything: base_timestamp + timestamp_delta wraps, as in Kafka.
//
// Limits: a record takes at least 7 bytes, so record_count is held against the bytes there
// before anything is done for it. Nothing is allocated in a walk.
//
// Source: https://kafka.apache.org/documentation/#record
#pragma once

#include "protocol/base/result.h"
#include "protocol/records/batch.h"
#include "protocol/records/compression.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace records {

using Bytes = std::span<const std::byte>;

enum class RecordFault {
    cut_short,        // Bytes end before the record does, or before record_count records.
    bad_varint,       // More bytes than its type has.
    bad_length,       // A record's fields take more or fewer bytes than its length says.
    bad_headers,      // A negative header count or a null header key.
    bad_offset,       // An offset below the base, or that is none.
    bytes_left,       // Bytes after the last record.
    bad_compression,  // The region does not inflate, see InflateFault.
    too_large,        // It inflates to more than the cap.
};

// For a log line or an answer: "a record ends before its fields do".
std::string_view describe(RecordFault fault) noexcept;

// The least bytes that a record takes, with the byte of its own length.
constexpr std::size_t record_bytes_min = 7;

// A text as the bytes of a key, a value or a header.
inline Bytes bytes_of(std::string_view text) noexcept {
    return std::as_bytes(std::span(text.data(), text.size()));
}
inline std::string_view text_of(Bytes bytes) noexcept {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

struct Header {
    std::string_view key;
    std::optional<Bytes> value;
};

// The headers of one record, of which the walk has checked every length.
class Headers {
public:
    Headers() noexcept = default;
    Headers(Bytes bytes, std::int32_t count) noexcept : bytes_(bytes), count_(count) {}

    std::int32_t count() const noexcept { return count_; }

    // The encoded headers, without their count.
    Bytes bytes() const noexcept { return bytes_; }

    class Iterator {
    public:
        using value_type = Header;
        using difference_type = std::ptrdiff_t;

        Iterator() noexcept = default;
        Iterator(Bytes rest, std::int32_t left) noexcept : rest_(rest), left_(left) { take(); }

        const Header& operator*() const noexcept { return header_; }
        const Header* operator->() const noexcept { return &header_; }
        Iterator& operator++() noexcept {
            --left_;
            take();
            return *this;
        }
        void operator++(int) noexcept { ++*this; }
        bool operator==(std::default_sentinel_t) const noexcept { return left_ <= 0; }

    private:
        void take() noexcept;

        Bytes rest_;
        std::int32_t left_ = 0;
        Header header_{};
    };

    Iterator begin() const noexcept { return {bytes_, count_}; }
    std::default_sentinel_t end() const noexcept { return {}; }

private:
    Bytes bytes_;
    std::int32_t count_ = 0;
};

// One record. Borrows from the bytes that were walked.
struct Record {
    base::Offset offset;
    std::int64_t timestamp = no_timestamp;  // ms; the batch's max_timestamp if LogAppendTime.
    std::optional<Bytes> key;
    std::optional<Bytes> value;
    Headers headers;
};

// A walk over the records of one batch, in order.
//
//     auto walk = RecordWalk::open(batch, inflater);
//     if (!walk) return walk.error();
//     while (const Record* record = walk->next()) use(*record);
//     if (walk->fault()) return *walk->fault();
class RecordWalk {
public:
    // Inflates the records into `inflater` if they are compressed; they stay there until
    // its next use. Faults: bad_compression, too_large, cut_short (more records declared than
    // the bytes can hold).
    [[nodiscard]] static base::Result<RecordWalk, RecordFault> open(
        const Batch& batch, Inflater& inflater, std::size_t output_bytes_max = inflated_bytes_max);

    // A walk over records that are already inflated; `header` says how many and from where.
    RecordWalk(const BatchHeader& header, Bytes records) noexcept;

    // The next record, valid until the next call; null at the end, and at a fault, which
    // fault() then names.
    const Record* next() noexcept;

    std::optional<RecordFault> fault() const noexcept { return fault_; }

    // How many records next() has given.
    std::int32_t taken() const noexcept { return taken_; }

private:
    Bytes rest_;
    std::int64_t base_offset_;
    std::int64_t base_timestamp_;
    std::optional<std::int64_t> append_time_;
    std::int32_t count_;
    std::int32_t taken_ = 0;
    std::optional<RecordFault> fault_;
    Record record_;
};

// What one pass over the records of a batch found.
struct RecordsSummary {
    std::int64_t max_timestamp = no_timestamp;  // Of all records; -1 if none has one.
    std::int32_t max_timestamp_index = -1;      // The first record that has it.
    std::int64_t min_timestamp = no_timestamp;  // Of the records whose timestamp is not -1.
    bool offsets_in_row = true;                 // The offset deltas are 0, 1, 2 ...
    std::int32_t null_keys = 0;
};

// Check an inflated records region in one pass: counts, lengths, headers; no allocation, no
// look at keys and values. Timestamps are the deltas' even if the batch is LogAppendTime.
[[nodiscard]] base::Result<RecordsSummary, RecordFault> validate_records(
    Bytes records, std::int32_t record_count, std::int64_t base_timestamp);

// Control records ---------------------------------------------------------------------

// The type in a control record's key. Readers meet types that are not named here (those of
// KRaft's metadata log) and pass over them.
enum class ControlType : std::int16_t { abort = 0, commit = 1 };

struct ControlRecord {
    std::int16_t type;                    // ControlType, or another.
    std::int32_t coordinator_epoch = -1;  // Of the transaction coordinator; -1 for other types.

    bool is(ControlType of) const noexcept { return type == static_cast<std::int16_t>(of); }
};

// The first record of a control batch: int16 version, int16 type in its key; int16 version,
// int32 coordinator epoch in the value of COMMIT and ABORT. Faults: RecordFault of the walk;
// cut_short when the key or the value is too short, or there is no record.
[[nodiscard]] base::Result<ControlRecord, RecordFault> read_control(const Batch& batch);

struct Marker {
    ControlType type;
    base::ProducerId producer_id;
    std::int16_t producer_epoch;
    std::int32_t coordinator_epoch;
    std::int64_t timestamp;  // ms
};

// The batch of one COMMIT or ABORT marker, 78 bytes, at base offset 0 without leader epoch.
std::vector<std::byte> build_marker(const Marker& marker);

}  // namespace records
