#include "protocol/records/filter.h"

#include "protocol/records/batch_format.h"
#include "protocol/records/message_writer.h"
#include "protocol/wire/big_endian.h"

#include <limits>

namespace records {

namespace {

using Kept = base::Result<std::size_t, ConvertFault>;

constexpr std::size_t batch_bytes_max = std::numeric_limits<std::int32_t>::max();

// What a record's timestamp delta can grow by when it counts from the horizon.
constexpr std::size_t record_growth_max = 10;

void append(std::vector<std::byte>& out, Bytes bytes) {
    out.insert(out.end(), bytes.begin(), bytes.end());
}

base::Unexpected<ConvertFault> fail(ConvertFault fault) {
    return base::Unexpected(fault);
}

BatchSettings settings_of(const Batch& batch, std::optional<std::int64_t> horizon) {
    BatchSettings settings{.codec = batch.codec(),
                           .base_offset = batch.base_offset(),
                           .leader_epoch = batch.leader_epoch(),
                           .producer_id = batch.producer_id(),
                           .producer_epoch = batch.producer_epoch(),
                           .base_sequence = batch.base_sequence(),
                           .transactional = batch.is_transactional(),
                           .control = batch.is_control(),
                           .delete_horizon = horizon};
    if (batch.timestamp_type() == TimestampType::log_append_time) {
        settings.append_time = batch.max_timestamp();
    }
    return settings;
}

// Which records stay, by their place.
struct Choice {
    std::vector<bool> stays;
    std::size_t kept = 0;
    bool has_tombstone = false;

    void add(const Record& record, bool is_kept) {
        stays.push_back(is_kept);
        kept += is_kept ? 1 : 0;
        has_tombstone |= is_kept && !record.value;
    }
    bool is_whole() const noexcept { return kept == stays.size(); }
};

}  // namespace

void append_empty(const Batch& batch, std::vector<std::byte>& out) {
    using namespace batch_format;
    const auto at = out.size();
    append(out, batch.bytes().first(header_bytes));
    const auto made = std::span(out).subspan(at);
    constexpr int gone = codec_mask | delete_horizon_bit;
    wire::store(made, batch_length_at, static_cast<std::int32_t>(header_bytes - length_field_end));
    wire::store(made, attributes_at, static_cast<std::int16_t>(batch.attributes() & ~gone));
    wire::store(made, base_timestamp_at, no_timestamp);
    wire::store(made, record_count_at, std::int32_t{0});
    set_crc(made);
}

Kept filter_batch(const Batch& batch, const BatchRetention& retention, const Keeps& keeps,
                  ConvertScratch& scratch, std::vector<std::byte>& out) {
    const auto records =
        scratch.inflater.inflate(batch.codec(), batch.records(), filtered_bytes_max);
    if (!records) {
        return fail(records.error() == InflateFault::too_large ? ConvertFault::too_large
                                                               : ConvertFault::corrupt);
    }
    Choice choice;
    RecordWalk first(batch, *records);
    while (const Record* const record = first.next()) choice.add(*record, keeps(*record));
    if (first.fault()) return fail(ConvertFault::corrupt);
    if (choice.kept == 0) {
        if (retention.keeps_header) append_empty(batch, out);
        return choice.kept;
    }

    std::optional<std::int64_t> horizon;
    if (batch.has_delete_horizon()) horizon = batch.base_timestamp();
    const bool sets_horizon = !horizon && (choice.has_tombstone || retention.has_marker);
    if (sets_horizon) horizon = retention.delete_horizon;
    if (choice.is_whole() && !sets_horizon) {
        append(out, batch.bytes());
        return choice.kept;
    }
    if (records->size() + choice.kept * record_growth_max + batch_format::header_bytes >
        batch_bytes_max) {
        return fail(ConvertFault::too_large);
    }
    BatchBuilder builder(settings_of(batch, horizon));
    RecordWalk second(batch, *records);
    for (std::size_t i = 0; const Record* const record = second.next(); ++i) {
        if (choice.stays[i]) builder.copy_at(record->offset, *record);
    }
    builder.end_at(batch.last_offset());
    builder.finish(scratch.deflater, out);
    return choice.kept;
}

Kept filter_message(const Message& message, const Keeps& keeps, ConvertScratch& scratch,
                    std::vector<std::byte>& out) {
    const auto open = [&] {
        return MessageWalk::open(message, scratch.inflater, filtered_bytes_max);
    };
    Choice choice;
    auto first = open();
    if (!first) {
        return fail(first.error() == MessageFault::too_large ? ConvertFault::too_large
                                                             : ConvertFault::corrupt);
    }
    while (const Record* const record = first->next()) choice.add(*record, keeps(*record));
    if (choice.kept == 0) return choice.kept;
    if (choice.is_whole()) {
        append(out, message.bytes());
        return choice.kept;
    }
    std::optional<std::int64_t> append_time;
    if (message.timestamp_type() == TimestampType::log_append_time)
        append_time = message.timestamp();
    auto second = open();
    if (!second) return fail(ConvertFault::corrupt);
    MessageWriter writer(message.magic(), message.codec(), append_time, scratch, out);
    for (std::size_t i = 0; const Record* const record = second->next(); ++i) {
        if (choice.stays[i]) writer.add(*record);
    }
    writer.finish();
    return choice.kept;
}

}  // namespace records
