#include "storage/entry.h"

#include "protocol/records/batch.h"
#include "protocol/records/message_set.h"
#include "protocol/wire/big_endian.h"

#include <limits>

namespace storage {

using base::Offset;

namespace {

constexpr std::size_t magic_at = 16;

}  // namespace

std::optional<EntryFacts> read_entry_header(std::span<const std::byte> bytes) noexcept {
    if (bytes.size() <= magic_at) return std::nullopt;
    EntryFacts facts;
    if (wire::load<std::int8_t>(bytes, magic_at) == records::batch_format::magic) {
        const auto header = records::BatchHeader::peek(bytes);
        if (!header) return std::nullopt;
        facts.base = header->base_offset();
        facts.last = header->last_offset();
        facts.bytes = header->size();
        facts.leader_epoch = header->leader_epoch();
        facts.attributes = header->attributes();
        facts.max_timestamp = header->max_timestamp();
        facts.producer = header->producer_id();
        facts.producer_epoch = header->producer_epoch();
        facts.base_sequence = header->base_sequence();
        facts.last_sequence = header->last_sequence();
        facts.record_count = header->record_count();
    } else {
        const auto entry = records::peek_entry(bytes);
        if (!entry) return std::nullopt;
        facts.base = facts.last = entry->last_offset;
        facts.bytes = entry->size;
        facts.magic = entry->magic;
        facts.max_timestamp = entry->max_timestamp;
    }
    if (facts.last.value() == std::numeric_limits<std::int64_t>::max()) return std::nullopt;
    return facts;
}

bool entry_is_intact(std::span<const std::byte> entry) noexcept {
    return records::read_entry(entry).has_value();
}

std::optional<Marker> read_marker(std::span<const std::byte> entry, const EntryFacts& facts) {
    if (!facts.is_control() || !facts.is_transactional()) return std::nullopt;
    const auto batch = records::Batch::view(entry);
    if (!batch) return std::nullopt;
    const auto control = records::read_control(*batch);
    if (!control) return std::nullopt;
    if (control->is(records::ControlType::commit)) return Marker{true, control->coordinator_epoch};
    if (control->is(records::ControlType::abort)) return Marker{false, control->coordinator_epoch};
    return std::nullopt;
}

ProducerBatch producer_batch(const EntryFacts& facts, const std::optional<Marker>& marker) noexcept {
    return {.producer = facts.producer,
            .epoch = facts.producer_epoch,
            .first_sequence = facts.base_sequence,
            .last_sequence = facts.last_sequence,
            .first = facts.base,
            .last = facts.last,
            .timestamp = facts.max_timestamp,
            .transactional = facts.is_transactional(),
            .marker = marker};
}

}  // namespace storage
