#include "protocol/records/convert.h"

#include "protocol/base/ensure.h"
#include "protocol/records/batch_format.h"
#include "protocol/records/message_writer.h"
#include "protocol/wire/big_endian.h"

#include <algorithm>
#include <limits>

namespace records {

namespace {

constexpr std::size_t batch_bytes_max = std::numeric_limits<std::int32_t>::max();

// What a message takes beside key and value, and what it can grow by as a record.
constexpr std::size_t record_growth_max = 21;

base::Unexpected<ConvertFault> fail(ConvertFault fault) {
    return base::Unexpected(fault);
}

ConvertFault convert_fault(MessageFault fault) noexcept {
    return fault == MessageFault::too_large ? ConvertFault::too_large : ConvertFault::corrupt;
}

ConvertFault convert_fault(RecordFault fault) noexcept {
    return fault == RecordFault::too_large ? ConvertFault::too_large : ConvertFault::corrupt;
}

std::size_t content_bytes(const Record& record) noexcept {
    return (record.key ? record.key->size() : 0) + (record.value ? record.value->size() : 0);
}

using Count = base::Result<std::int64_t, ConvertFault>;

Count batch_to_messages(Bytes bytes, std::int8_t magic, base::Offset fetch_offset,
                        const ConvertLimits& limits, ConvertScratch& scratch,
                        std::vector<std::byte>& out) {
    const auto batch = Batch::read(bytes);
    if (!batch) return fail(ConvertFault::corrupt);
    if (batch->is_control()) return 0;
    if (batch->codec() == Codec::zstd) return fail(ConvertFault::not_possible);
    auto walk = RecordWalk::open(*batch, scratch.inflater, limits.inflated_bytes_max);
    if (!walk) return fail(convert_fault(walk.error()));

    std::optional<std::int64_t> append_time;
    if (batch->timestamp_type() == TimestampType::log_append_time) {
        append_time = batch->max_timestamp();
    }
    MessageWriter writer(magic, batch->codec(), append_time, scratch, out);
    while (const Record* record = walk->next()) {
        if (batch->codec() == Codec::none && record->offset < fetch_offset) continue;
        writer.add(*record);
    }
    if (walk->fault()) return fail(convert_fault(*walk->fault()));
    writer.finish();
    return writer.count();
}

// Format 1 to format 0.
Count message_to_messages(Bytes bytes, base::Offset fetch_offset, const ConvertLimits& limits,
                          ConvertScratch& scratch, std::vector<std::byte>& out) {
    const auto message = Message::read(bytes);
    if (!message) return fail(ConvertFault::corrupt);
    auto walk = MessageWalk::open(*message, scratch.inflater, limits.inflated_bytes_max);
    if (!walk) return fail(convert_fault(walk.error()));
    MessageWriter writer(0, message->codec(), std::nullopt, scratch, out);
    while (const Record* record = walk->next()) {
        if (!message->is_wrapper() && record->offset < fetch_offset) continue;
        writer.add(*record);
    }
    writer.finish();
    return writer.count();
}

}  // namespace

base::Result<void, ConvertFault> to_batch(Bytes messages, Codec codec, std::optional<int> level,
                                          const ConvertLimits& limits, ConvertScratch& scratch,
                                          std::vector<std::byte>& out) {
    BatchBuilder builder({.codec = codec, .level = level});
    auto inflated_left = limits.inflated_bytes_max;
    for (;;) {
        const auto message = take_message(messages);
        if (!message) return fail(convert_fault(message.error()));
        if (!*message) break;
        auto walk = MessageWalk::open(**message, scratch.inflater, inflated_left);
        if (!walk) return fail(convert_fault(walk.error()));
        while (const Record* record = walk->next()) {
            if ((*message)->is_wrapper()) {
                inflated_left -= std::min(inflated_left, content_bytes(*record));
            }
            if (builder.size() + content_bytes(*record) + record_growth_max > batch_bytes_max) {
                return fail(ConvertFault::too_large);
            }
            builder.append(
                {.timestamp = record->timestamp, .key = record->key, .value = record->value});
        }
    }
    if (builder.empty()) return fail(ConvertFault::corrupt);
    builder.finish(scratch.deflater, out);
    return {};
}

base::Result<std::int64_t, ConvertFault> to_messages(Bytes entries, std::int8_t magic,
                                                     base::Offset fetch_offset,
                                                     const ConvertLimits& limits,
                                                     ConvertScratch& scratch,
                                                     std::vector<std::byte>& out) {
    base::ensure(magic == 0 || magic == 1, "messages are of format 0 or 1");
    const auto before = out.size();
    std::int64_t converted = 0;
    while (!entries.empty()) {
        const auto entry = peek_entry(entries);
        if (!entry && entry.error() == EntryFault::cut_short) break;
        if (entry && entry->size > entries.size()) break;
        Count count = 0;
        if (!entry) {
            count = fail(ConvertFault::corrupt);
        } else if (const auto bytes = entries.first(entry->size); entry->magic <= magic) {
            out.insert(out.end(), bytes.begin(), bytes.end());
        } else if (entry->magic == batch_format::magic) {
            count = batch_to_messages(bytes, magic, fetch_offset, limits, scratch, out);
        } else {
            count = message_to_messages(bytes, fetch_offset, limits, scratch, out);
        }
        if (!count) {
            out.resize(before);
            return count;
        }
        converted += *count;
        entries = entries.subspan(entry->size);
    }
    return converted;
}

void partial_entry(std::size_t bytes, std::vector<std::byte>& out) {
    const auto at = out.size();
    const auto announced = std::min(bytes, batch_bytes_max);
    out.resize(at + message_format::length_field_end);
    const auto entry = std::span(out).subspan(at);
    wire::store(entry, message_format::offset_at, std::int64_t{-1});
    wire::store(entry, message_format::message_size_at, static_cast<std::int32_t>(announced));
}

base::Result<void, ConvertFault> recompress(const Batch& batch, Codec codec,
                                            std::optional<int> level, const ConvertLimits& limits,
                                            ConvertScratch& scratch, std::vector<std::byte>& out) {
    if (batch.is_control() || batch.record_count() == 0) {
        out.insert(out.end(), batch.bytes().begin(), batch.bytes().end());
        return {};
    }
    const auto records =
        scratch.inflater.inflate(batch.codec(), batch.records(), limits.inflated_bytes_max);
    if (!records) {
        return fail(records.error() == InflateFault::too_large ? ConvertFault::too_large
                                                               : ConvertFault::corrupt);
    }
    return with_codec(batch, *records, codec, level, scratch.deflater, out);
}

base::Result<void, ConvertFault> with_codec(const Batch& batch, Bytes records, Codec codec,
                                            std::optional<int> level, Deflater& deflater,
                                            std::vector<std::byte>& out) {
    const auto at = out.size();
    const auto header = batch.bytes().first(batch_format::header_bytes);
    out.insert(out.end(), header.begin(), header.end());
    deflater.deflate(codec, records, out, level);
    const auto made = std::span(out).subspan(at);
    if (made.size() > batch_bytes_max) {
        out.resize(at);
        return fail(ConvertFault::too_large);
    }
    const auto attributes = static_cast<std::int16_t>(
        (batch.attributes() & ~batch_format::codec_mask) | static_cast<std::int16_t>(codec));
    wire::store(made, batch_format::batch_length_at,
                static_cast<std::int32_t>(made.size() - batch_format::length_field_end));
    wire::store(made, batch_format::attributes_at, attributes);
    set_crc(made);
    return {};
}

}  // namespace records
