#include "protocol/records/batch.h"

#include "protocol/base/crc32c.h"
#include "protocol/base/plant.h"
#include "protocol/records/batch_format.h"
#include "protocol/wire/big_endian.h"

#include <limits>

namespace records {

using namespace batch_format;

base::Result<BatchHeader, BatchFault> BatchHeader::peek(std::span<const std::byte> bytes) {
    if (bytes.size() < header_bytes) return base::Unexpected(BatchFault::cut_short);

    const auto length = wire::load<std::int32_t>(bytes, batch_length_at);
    if (length < static_cast<std::int32_t>(header_bytes - length_field_end)) {
        return base::Unexpected(BatchFault::bad_length);
    }
    if (wire::load<std::int8_t>(bytes, magic_at) != magic) {
        return base::Unexpected(BatchFault::bad_magic);
    }
    const BatchHeader header(bytes);
    if (!codec_of(header.attributes())) return base::Unexpected(BatchFault::bad_codec);
    const auto base = header.base_offset().value();
    const auto delta = header.last_offset_delta();
    if (base < 0 || delta < 0 || base > std::numeric_limits<std::int64_t>::max() - delta) {
        return base::Unexpected(BatchFault::bad_offsets);
    }
    if (header.record_count() < 0) return base::Unexpected(BatchFault::bad_count);
    return header;
}

std::size_t BatchHeader::size() const noexcept {
    return static_cast<std::size_t>(wire::load<std::int32_t>(bytes_, batch_length_at)) +
           length_field_end;
}

base::Offset BatchHeader::base_offset() const noexcept {
    return base::Offset(wire::load<std::int64_t>(bytes_, base_offset_at));
}

base::Offset BatchHeader::last_offset() const noexcept {
    return base_offset() + std::int64_t{last_offset_delta()};
}

std::int32_t BatchHeader::last_offset_delta() const noexcept {
    return wire::load<std::int32_t>(bytes_, last_offset_delta_at);
}

std::int32_t BatchHeader::record_count() const noexcept {
    return wire::load<std::int32_t>(bytes_, record_count_at);
}

base::LeaderEpoch BatchHeader::leader_epoch() const noexcept {
    return base::LeaderEpoch(wire::load<std::int32_t>(bytes_, leader_epoch_at));
}

std::uint32_t BatchHeader::crc() const noexcept {
    return wire::load<std::uint32_t>(bytes_, crc_at);
}

std::int16_t BatchHeader::attributes() const noexcept {
    return wire::load<std::int16_t>(bytes_, attributes_at);
}

TimestampType BatchHeader::timestamp_type() const noexcept {
    return (attributes() & log_append_time_bit) != 0 ? TimestampType::log_append_time
                                                     : TimestampType::create_time;
}

bool BatchHeader::is_transactional() const noexcept {
    return (attributes() & transactional_bit) != 0;
}

bool BatchHeader::is_control() const noexcept {
    return (attributes() & control_bit) != 0;
}

bool BatchHeader::has_delete_horizon() const noexcept {
    return (attributes() & delete_horizon_bit) != 0;
}

std::int64_t BatchHeader::base_timestamp() const noexcept {
    return wire::load<std::int64_t>(bytes_, base_timestamp_at);
}

std::int64_t BatchHeader::max_timestamp() const noexcept {
    return wire::load<std::int64_t>(bytes_, max_timestamp_at);
}

base::ProducerId BatchHeader::producer_id() const noexcept {
    return base::ProducerId(wire::load<std::int64_t>(bytes_, producer_id_at));
}

std::int16_t BatchHeader::producer_epoch() const noexcept {
    return wire::load<std::int16_t>(bytes_, producer_epoch_at);
}

std::int32_t BatchHeader::base_sequence() const noexcept {
    return wire::load<std::int32_t>(bytes_, base_sequence_at);
}

std::int32_t BatchHeader::last_sequence() const noexcept {
    const auto first = base_sequence();
    return first < 0 ? no_sequence : sequence_after(first, last_offset_delta());
}

base::Result<Batch, BatchFault> Batch::view(std::span<const std::byte> bytes) {
    const auto header = peek(bytes);
    if (!header) return base::Unexpected(header.error());
    if (header->size() > bytes.size()) return base::Unexpected(BatchFault::cut_short);
    return Batch(bytes.first(header->size()));
}

base::Result<Batch, BatchFault> Batch::read(std::span<const std::byte> bytes) {
    auto batch = view(bytes);
    if (batch && batch->crc() != base::crc32c(batch->bytes().subspan(checksummed_from))) {
        return base::Unexpected(BatchFault::bad_crc);
    }
    return batch;
}

std::span<const std::byte> Batch::records() const noexcept {
    return bytes_.subspan(header_bytes);
}

void place(std::span<std::byte> batch, base::Offset base_offset, base::LeaderEpoch epoch) noexcept {
    wire::store(batch, base_offset_at, base_offset.value());
    wire::store(batch, leader_epoch_at, epoch.value());
}

void set_append_time(std::span<std::byte> batch, std::int64_t now_ms) noexcept {
    const auto attributes = wire::load<std::int16_t>(batch, attributes_at);
    wire::store(batch, attributes_at, static_cast<std::int16_t>(attributes | log_append_time_bit));
    wire::store(batch, max_timestamp_at, now_ms);
    set_crc(batch);
}

void set_max_timestamp(std::span<std::byte> batch, std::int64_t max_timestamp) noexcept {
    const auto attributes = wire::load<std::int16_t>(batch, attributes_at);
    wire::store(batch, attributes_at, static_cast<std::int16_t>(attributes & ~log_append_time_bit));
    wire::store(batch, max_timestamp_at, max_timestamp);
    set_crc(batch);
}

void set_crc(std::span<std::byte> batch) noexcept {
    const std::size_t left_out = base::is_planted(base::Plant::crc_of_wrong_range) ? 2 : 0;
    wire::store(batch, crc_at, base::crc32c(batch.subspan(checksummed_from + left_out)));
}

}  // namespace records
