#include "protocol/records/record.h"

#include "protocol/records/batch_builder.h"
#include "protocol/records/batch_format.h"
#include "protocol/records/varint.h"
#include "protocol/wire/big_endian.h"

#include <algorithm>
#include <array>
#include <limits>

namespace records {

namespace {

// One record as its bytes say, before base offset and base timestamp.
struct Fields {
    std::int64_t timestamp_delta;
    std::int32_t offset_delta;
    std::int32_t key_bytes;    // Negative: null.
    std::int32_t value_bytes;  // Negative: null.
    std::int32_t header_count;
    const std::byte* key;
    const std::byte* value;
    const std::byte* headers;
    const std::byte* end;
};

constexpr std::size_t header_bytes_min = 2;  // Two lengths.

enum class Taken : std::uint8_t { whole, cut_short, bad_varint, bad_length, bad_headers };

RecordFault fault_of(Taken taken) noexcept {
    switch (taken) {
        case Taken::bad_varint:
            return RecordFault::bad_varint;
        case Taken::bad_length:
            return RecordFault::bad_length;
        case Taken::bad_headers:
            return RecordFault::bad_headers;
        case Taken::whole:
        case Taken::cut_short:
            break;
    }
    return RecordFault::cut_short;
}

// Length and bytes of a key or value. Leaves the bytes behind `in`.
[[gnu::always_inline]] inline Taken take_bytes(Cursor& in, std::int32_t& size,
                                               const std::byte*& bytes) noexcept {
    if (!in.varint(size)) [[unlikely]]
        return Taken::bad_varint;
    bytes = in.at();
    if (size > 0) {
        if (static_cast<std::size_t>(size) > in.left()) [[unlikely]]
            return Taken::bad_length;
        in.skip(static_cast<std::size_t>(size));
    }
    return Taken::whole;
}

Taken check_headers(Cursor& in, std::int32_t count) noexcept {
    if (static_cast<std::size_t>(count) > in.left() / header_bytes_min) return Taken::bad_headers;
    for (; count > 0; --count) {
        std::int32_t key_bytes = 0;
        const std::byte* key = nullptr;
        const Taken taken_key = take_bytes(in, key_bytes, key);
        if (taken_key != Taken::whole) return taken_key;
        if (key_bytes < 0) return Taken::bad_headers;
        std::int32_t value_bytes = 0;
        const std::byte* value = nullptr;
        const Taken taken_value = take_bytes(in, value_bytes, value);
        if (taken_value != Taken::whole) return taken_value;
    }
    return Taken::whole;
}

// The one place that knows how a record lies in its bytes; inlined into the walk, which
// uses all fields, and into the validation, for which the compiler drops most of them.
[[gnu::always_inline]] inline Taken take_record(Cursor& in, Fields& fields) noexcept {
    std::int32_t size = 0;
    if (!in.varint(size)) [[unlikely]] {
        return in.left() == 0 ? Taken::cut_short : Taken::bad_varint;
    }
    if (size < 0) [[unlikely]]
        return Taken::bad_length;
    if (static_cast<std::size_t>(size) > in.left()) [[unlikely]]
        return Taken::cut_short;
    Cursor record(in.take(static_cast<std::size_t>(size)));
    if (record.left() == 0) [[unlikely]]
        return Taken::bad_length;
    record.skip(1);  // Attributes, which mean nothing yet.
    if (!record.varint(fields.timestamp_delta)) [[unlikely]]
        return Taken::bad_varint;
    if (!record.varint(fields.offset_delta)) [[unlikely]]
        return Taken::bad_varint;
    if (const Taken key = take_bytes(record, fields.key_bytes, fields.key); key != Taken::whole)
        [[unlikely]]
        return key;
    if (const Taken value = take_bytes(record, fields.value_bytes, fields.value);
        value != Taken::whole) [[unlikely]]
        return value;
    if (!record.varint(fields.header_count)) [[unlikely]]
        return Taken::bad_varint;
    fields.headers = record.at();
    if (fields.header_count != 0) [[unlikely]] {
        if (fields.header_count < 0) return Taken::bad_headers;
        const Taken headers = check_headers(record, fields.header_count);
        if (headers != Taken::whole) return headers;
    }
    fields.end = record.at();
    if (record.left() != 0) [[unlikely]]
        return Taken::bad_length;
    return Taken::whole;
}

std::optional<Bytes> bytes_or_null(const std::byte* at, std::int32_t size) noexcept {
    if (size < 0) return std::nullopt;
    return Bytes(at, static_cast<std::size_t>(size));
}

std::int64_t add_wrapping(std::int64_t a, std::int64_t b) noexcept {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}

bool more_than_fit(std::int32_t record_count, Bytes records) noexcept {
    return static_cast<std::size_t>(record_count) > records.size() / record_bytes_min;
}

}  // namespace

std::string_view describe(RecordFault fault) noexcept {
    switch (fault) {
        case RecordFault::cut_short:
            return "there are fewer records than the batch declares";
        case RecordFault::bad_varint:
            return "a variable-length number in a record is broken";
        case RecordFault::bad_length:
            return "a record's length does not match its fields";
        case RecordFault::bad_headers:
            return "a record's headers are broken";
        case RecordFault::bad_offset:
            return "a record's offset lies outside the batch";
        case RecordFault::bytes_left:
            return "there are bytes after the last declared record";
        case RecordFault::bad_compression:
            return "the records do not decompress";
        case RecordFault::too_large:
            return "the records decompress to more than is allowed";
    }
    return "the records are broken";
}

void Headers::Iterator::take() noexcept {
    if (left_ <= 0) return;
    Cursor in(rest_);
    std::int32_t key_bytes = 0, value_bytes = 0;
    const std::byte* key = nullptr;
    const std::byte* value = nullptr;
    const bool whole = take_bytes(in, key_bytes, key) == Taken::whole && key_bytes >= 0 &&
                       take_bytes(in, value_bytes, value) == Taken::whole;
    if (!whole) {
        left_ = 0;
        return;
    }
    header_.key = text_of(Bytes(key, static_cast<std::size_t>(key_bytes)));
    header_.value = bytes_or_null(value, value_bytes);
    rest_ = rest_.subspan(rest_.size() - in.left());
}

RecordWalk::RecordWalk(const BatchHeader& header, Bytes records) noexcept
    : rest_(records),
      base_offset_(header.base_offset().value()),
      base_timestamp_(header.base_timestamp()),
      count_(header.record_count()) {
    if (header.timestamp_type() == TimestampType::log_append_time) {
        append_time_ = header.max_timestamp();
    }
    if (more_than_fit(count_, records)) {
        count_ = 0;
        fault_ = RecordFault::cut_short;
    }
}

base::Result<RecordWalk, RecordFault> RecordWalk::open(const Batch& batch, Inflater& inflater,
                                                       std::size_t output_bytes_max) {
    auto records = batch.records();
    if (batch.codec() != Codec::none && !(records.empty() && batch.record_count() == 0)) {
        const auto inflated = inflater.inflate(batch.codec(), records, output_bytes_max);
        if (!inflated) {
            return base::Unexpected(inflated.error() == InflateFault::too_large
                                        ? RecordFault::too_large
                                        : RecordFault::bad_compression);
        }
        records = *inflated;
    }
    RecordWalk walk(batch, records);
    if (walk.fault_) return base::Unexpected(*walk.fault_);
    return walk;
}

const Record* RecordWalk::next() noexcept {
    if (fault_) return nullptr;
    if (taken_ == count_) {
        if (!rest_.empty()) fault_ = RecordFault::bytes_left;
        return nullptr;
    }
    Cursor in(rest_);
    Fields fields{};
    const Taken taken = take_record(in, fields);
    if (taken != Taken::whole) {
        fault_ = fault_of(taken);
        return nullptr;
    }
    if (fields.offset_delta < 0 ||
        base_offset_ > std::numeric_limits<std::int64_t>::max() - fields.offset_delta) {
        fault_ = RecordFault::bad_offset;
        return nullptr;
    }
    record_.offset = base::Offset(base_offset_ + fields.offset_delta);
    record_.timestamp =
        append_time_.value_or(add_wrapping(base_timestamp_, fields.timestamp_delta));
    record_.key = bytes_or_null(fields.key, fields.key_bytes);
    record_.value = bytes_or_null(fields.value, fields.value_bytes);
    record_.headers =
        Headers(Bytes(fields.headers, static_cast<std::size_t>(fields.end - fields.headers)),
                fields.header_count);
    rest_ = rest_.subspan(rest_.size() - in.left());
    ++taken_;
    return &record_;
}

base::Result<RecordsSummary, RecordFault> validate_records(Bytes records, std::int32_t record_count,
                                                           std::int64_t base_timestamp) {
    if (record_count < 0 || more_than_fit(record_count, records)) {
        return base::Unexpected(RecordFault::cut_short);
    }
    RecordsSummary found;
    constexpr auto none_yet = std::numeric_limits<std::int64_t>::max();
    std::int64_t least = none_yet;
    Cursor in(records);
    Fields fields{};
    for (std::int32_t index = 0; index < record_count; ++index) {
        const Taken taken = take_record(in, fields);
        if (taken != Taken::whole) [[unlikely]]
            return base::Unexpected(fault_of(taken));
        if (fields.offset_delta != index) [[unlikely]] {
            if (fields.offset_delta < 0) return base::Unexpected(RecordFault::bad_offset);
            found.offsets_in_row = false;
        }
        found.null_keys += fields.key_bytes < 0;
        const auto timestamp = add_wrapping(base_timestamp, fields.timestamp_delta);
        if (timestamp > found.max_timestamp) {
            found.max_timestamp = timestamp;
            found.max_timestamp_index = index;
        }
        if (timestamp != no_timestamp) least = std::min(least, timestamp);
    }
    if (in.left() != 0) return base::Unexpected(RecordFault::bytes_left);
    const bool timed = least != none_yet || found.max_timestamp != no_timestamp;
    if (timed) found.min_timestamp = least;
    return found;
}

base::Result<ControlRecord, RecordFault> read_control(const Batch& batch) {
    constexpr std::size_t type_at = 2, key_bytes = 4;
    constexpr std::size_t coordinator_epoch_at = 2, value_bytes = 6;

    Inflater inflater;  // Nobody compresses control batches; if someone did, it is read.
    auto walk = RecordWalk::open(batch, inflater);
    if (!walk) return base::Unexpected(walk.error());
    const Record* record = walk->next();
    if (record == nullptr) return base::Unexpected(walk->fault().value_or(RecordFault::cut_short));
    if (!record->key || record->key->size() < key_bytes) {
        return base::Unexpected(RecordFault::cut_short);
    }
    ControlRecord control{wire::load<std::int16_t>(*record->key, type_at)};
    if (control.is(ControlType::abort) || control.is(ControlType::commit)) {
        if (!record->value || record->value->size() < value_bytes) {
            return base::Unexpected(RecordFault::cut_short);
        }
        control.coordinator_epoch = wire::load<std::int32_t>(*record->value, coordinator_epoch_at);
    }
    return control;
}

std::vector<std::byte> build_marker(const Marker& marker) {
    // A version of 0 in front of each.
    std::array<std::byte, 4> key{};
    wire::store(std::span(key), 2, static_cast<std::int16_t>(marker.type));
    std::array<std::byte, 6> value{};
    wire::store(std::span(value), 2, marker.coordinator_epoch);

    BatchBuilder builder({.producer_id = marker.producer_id,
                          .producer_epoch = marker.producer_epoch,
                          .transactional = true,
                          .control = true});
    builder.append({.timestamp = marker.timestamp, .key = key, .value = value});
    return builder.finish();
}

}  // namespace records
