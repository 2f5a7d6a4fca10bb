#include "protocol/records/batch_builder.h"

#include "protocol/base/crc32c.h"
#include "protocol/base/ensure.h"
#include "protocol/records/batch_format.h"
#include "protocol/records/varint.h"
#include "protocol/wire/big_endian.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace records {

using namespace batch_format;

namespace {

constexpr std::size_t int32_max = std::numeric_limits<std::int32_t>::max();

std::int32_t size_of(const std::optional<Bytes>& bytes) noexcept {
    return bytes ? static_cast<std::int32_t>(bytes->size()) : -1;
}

std::size_t field_bytes(const std::optional<Bytes>& bytes) noexcept {
    return varint_bytes(size_of(bytes)) + (bytes ? bytes->size() : 0);
}

std::byte* put_bytes(std::byte* to, Bytes bytes) noexcept {
    return std::ranges::copy(bytes, to).out;
}

std::byte* put_field(std::byte* to, const std::optional<Bytes>& bytes) noexcept {
    to = put_varint(to, size_of(bytes));
    return bytes ? put_bytes(to, *bytes) : to;
}

std::size_t headers_bytes(std::span<const Header> headers) noexcept {
    std::size_t bytes = 0;
    for (const Header& header : headers) {
        bytes += field_bytes(bytes_of(header.key)) + field_bytes(header.value);
    }
    return bytes;
}

}  // namespace

BatchBuilder::BatchBuilder(BatchSettings settings)
    : settings_(settings), bytes_(header_bytes), last_offset_(settings.base_offset.value() - 1) {}

std::byte* BatchBuilder::begin(base::Offset offset, std::int64_t timestamp,
                               std::size_t fields_bytes) {
    base::ensure(offset.value() > last_offset_, "the offsets of a batch go up");
    const auto delta = offset - settings_.base_offset;
    base::ensure(delta <= std::int64_t{int32_max}, "a batch takes at most 2^31 offsets");
    if (count_ == 0) base_timestamp_ = settings_.delete_horizon.value_or(timestamp);
    const auto timestamp_delta = static_cast<std::int64_t>(
        static_cast<std::uint64_t>(timestamp) - static_cast<std::uint64_t>(base_timestamp_));
    const auto offset_delta = static_cast<std::int32_t>(delta);

    const auto body = 1 + varint_bytes(timestamp_delta) + varint_bytes(offset_delta) + fields_bytes;
    base::ensure(body < int32_max && bytes_.size() + body < int32_max,
                 "a batch has less than 2^31 bytes");
    const auto length = static_cast<std::int32_t>(body);
    const auto at = bytes_.size();
    bytes_.resize(at + varint_bytes(length) + body);
    std::byte* to = put_varint(bytes_.data() + at, length);
    *to++ = std::byte{0};
    to = put_varint(to, timestamp_delta);
    to = put_varint(to, offset_delta);

    ++count_;
    last_offset_ = offset.value();
    max_timestamp_ = std::max(max_timestamp_, timestamp);
    return to;
}

void BatchBuilder::append(const NewRecord& record) {
    append_at(base::Offset(last_offset_ + 1), record);
}

void BatchBuilder::append_at(base::Offset offset, const NewRecord& record) {
    const auto header_count = static_cast<std::int32_t>(record.headers.size());
    std::byte* to = begin(offset, record.timestamp,
                          field_bytes(record.key) + field_bytes(record.value) +
                              varint_bytes(header_count) + headers_bytes(record.headers));
    to = put_field(to, record.key);
    to = put_field(to, record.value);
    to = put_varint(to, header_count);
    for (const Header& header : record.headers) {
        to = put_field(to, bytes_of(header.key));
        to = put_field(to, header.value);
    }
}

void BatchBuilder::copy_at(base::Offset offset, const Record& record) {
    const auto header_count = record.headers.count();
    std::byte* to = begin(offset, record.timestamp,
                          field_bytes(record.key) + field_bytes(record.value) +
                              varint_bytes(header_count) + record.headers.bytes().size());
    to = put_field(to, record.key);
    to = put_field(to, record.value);
    to = put_varint(to, header_count);
    put_bytes(to, record.headers.bytes());
}

std::size_t BatchBuilder::record_bytes_max(const NewRecord& record) noexcept {
    constexpr std::size_t before_key = 5 + 1 + 10 + 5;  // Length, attributes, both deltas.
    return before_key + field_bytes(record.key) + field_bytes(record.value) +
           varint_bytes(static_cast<std::int32_t>(record.headers.size())) +
           headers_bytes(record.headers);
}

void BatchBuilder::end_at(base::Offset last_offset) {
    base::ensure(last_offset.value() >= last_offset_, "a batch ends at its last record or later");
    base::ensure(last_offset - settings_.base_offset <= std::int64_t{int32_max},
                 "a batch takes at most 2^31 offsets");
    last_offset_ = last_offset.value();
}

std::vector<std::byte> BatchBuilder::finish() {
    Deflater deflater;
    return finish(deflater);
}

std::vector<std::byte> BatchBuilder::finish(Deflater& deflater) {
    std::vector<std::byte> batch;
    finish(deflater, batch);
    return batch;
}

void BatchBuilder::finish(Deflater& deflater, std::vector<std::byte>& out) {
    const auto at = out.size();
    const auto codec = count_ == 0 ? Codec::none : settings_.codec;
    const auto header_end = bytes_.begin() + header_bytes;
    if (codec == Codec::none) {
        out.insert(out.end(), bytes_.begin(), bytes_.end());
    } else {
        out.insert(out.end(), bytes_.begin(), header_end);
        deflater.deflate(codec, Bytes(bytes_).subspan(header_bytes), out, settings_.level);
    }
    const auto batch = std::span(out).subspan(at);
    base::ensure(batch.size() <= int32_max, "a batch has less than 2^31 bytes");

    auto attributes = static_cast<std::int16_t>(codec);
    if (settings_.append_time) attributes |= log_append_time_bit;
    if (settings_.transactional) attributes |= transactional_bit;
    if (settings_.control) attributes |= control_bit;
    if (settings_.delete_horizon && count_ > 0) attributes |= delete_horizon_bit;
    const auto base_offset = settings_.base_offset.value();
    const auto last_delta = std::max<std::int64_t>(last_offset_ - base_offset, 0);

    wire::store(batch, base_offset_at, base_offset);
    wire::store(batch, batch_length_at, static_cast<std::int32_t>(batch.size() - length_field_end));
    wire::store(batch, leader_epoch_at, settings_.leader_epoch.value());
    wire::store(batch, magic_at, magic);
    wire::store(batch, attributes_at, attributes);
    wire::store(batch, last_offset_delta_at, static_cast<std::int32_t>(last_delta));
    wire::store(batch, base_timestamp_at, base_timestamp_);
    wire::store(batch, max_timestamp_at, settings_.append_time.value_or(max_timestamp_));
    wire::store(batch, producer_id_at, settings_.producer_id.value());
    wire::store(batch, producer_epoch_at, settings_.producer_epoch);
    wire::store(batch, base_sequence_at, settings_.base_sequence);
    wire::store(batch, record_count_at, count_);
    set_crc(batch);

    bytes_.erase(header_end, bytes_.end());
    count_ = 0;
    last_offset_ = base_offset - 1;
    base_timestamp_ = max_timestamp_ = no_timestamp;
}

}  // namespace records
