#include "protocol/records/message_set.h"

#include "protocol/base/ensure.h"
#include "protocol/wire/big_endian.h"

#include <limits>
#include <zlib.h>

namespace records {

using namespace message_format;

namespace {

constexpr std::int8_t legacy_codec_max = 3;
constexpr std::int8_t append_time_bit = 0x08;
constexpr std::int8_t codec_bits = 0x07;

std::uint32_t crc32_of(Bytes bytes) noexcept {
    return static_cast<std::uint32_t>(
        crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

// Take a length and as many bytes off the front. False when they are not there.
bool take_field(Bytes& rest, std::optional<Bytes>& field) noexcept {
    if (rest.size() < sizeof(std::int32_t)) return false;
    const auto size = wire::load<std::int32_t>(rest, 0);
    rest = rest.subspan(sizeof(std::int32_t));
    field.reset();
    if (size < 0) return true;
    if (static_cast<std::size_t>(size) > rest.size()) return false;
    field = rest.first(static_cast<std::size_t>(size));
    rest = rest.subspan(static_cast<std::size_t>(size));
    return true;
}

// Bytes of the message at the front, by its own word.
base::Result<std::size_t, MessageFault> size_of_message(Bytes bytes) noexcept {
    if (bytes.size() <= magic_at) return base::Unexpected(MessageFault::cut_short);
    const auto size = wire::load<std::int32_t>(bytes, message_size_at);
    const auto magic = wire::load<std::int8_t>(bytes, magic_at);
    if (size < 0) return base::Unexpected(MessageFault::bad_length);
    const auto whole = static_cast<std::size_t>(size) + length_field_end;
    if (whole < bytes_min(0)) return base::Unexpected(MessageFault::bad_length);
    if (magic != 0 && magic != 1) return base::Unexpected(MessageFault::bad_magic);
    if (whole < bytes_min(magic)) return base::Unexpected(MessageFault::bad_length);
    return whole;
}

std::int64_t add_wrapping(std::int64_t a, std::int64_t b) noexcept {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}

std::int64_t subtract_wrapping(std::int64_t a, std::int64_t b) noexcept {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) - static_cast<std::uint64_t>(b));
}

}  // namespace

std::string_view describe(MessageFault fault) noexcept {
    switch (fault) {
        case MessageFault::cut_short:
            return "a message ends before its length says";
        case MessageFault::bad_length:
            return "a length in a message cannot be";
        case MessageFault::bad_magic:
            return "a message has a format that does not belong there";
        case MessageFault::bad_crc:
            return "a message's checksum does not match";
        case MessageFault::bad_codec:
            return "a message names a codec that its format does not have";
        case MessageFault::bad_wrapper:
            return "a compressed message is empty or holds another compressed one";
        case MessageFault::bad_offset:
            return "a compressed message's offset is below that of its last inner message";
        case MessageFault::bad_compression:
            return "a compressed message does not decompress";
        case MessageFault::too_large:
            return "a compressed message holds more than is allowed";
    }
    return "a message is broken";
}

base::Result<Message, MessageFault> Message::read(Bytes bytes) {
    const auto size = size_of_message(bytes);
    if (!size) return base::Unexpected(size.error());
    if (*size > bytes.size()) return base::Unexpected(MessageFault::cut_short);

    Message message(bytes.first(*size));
    const auto crc = wire::load<std::uint32_t>(message.bytes_, crc_at);
    if (crc != crc32_of(message.bytes_.subspan(checksummed_from))) {
        return base::Unexpected(MessageFault::bad_crc);
    }
    if ((wire::load<std::int8_t>(message.bytes_, attributes_at) & codec_bits) > legacy_codec_max) {
        return base::Unexpected(MessageFault::bad_codec);
    }
    auto rest = message.bytes_.subspan(message.magic() == 0 ? timestamp_at
                                                            : timestamp_at + sizeof(std::int64_t));
    if (!take_field(rest, message.key_) || !take_field(rest, message.value_) || !rest.empty()) {
        return base::Unexpected(MessageFault::bad_length);
    }
    return message;
}

base::Offset Message::offset() const noexcept {
    return base::Offset(wire::load<std::int64_t>(bytes_, offset_at));
}

std::int8_t Message::magic() const noexcept {
    return wire::load<std::int8_t>(bytes_, magic_at);
}

Codec Message::codec() const noexcept {
    return static_cast<Codec>(wire::load<std::int8_t>(bytes_, attributes_at) & codec_bits);
}

TimestampType Message::timestamp_type() const noexcept {
    const auto attributes = wire::load<std::int8_t>(bytes_, attributes_at);
    return magic() == 1 && (attributes & append_time_bit) != 0 ? TimestampType::log_append_time
                                                               : TimestampType::create_time;
}

std::int64_t Message::timestamp() const noexcept {
    return magic() == 0 ? no_timestamp : wire::load<std::int64_t>(bytes_, timestamp_at);
}

base::Result<MessageWalk, MessageFault> MessageWalk::open(const Message& message,
                                                          Inflater& inflater,
                                                          std::size_t output_bytes_max) {
    MessageWalk walk;
    walk.last_offset_ = message.offset().value();
    if (!message.is_wrapper()) {
        walk.rest_ = message.bytes();
        walk.first_offset_ = walk.last_offset_;
        walk.count_ = 1;
        return walk;
    }

    if (!message.value()) return base::Unexpected(MessageFault::bad_wrapper);
    const auto checksum = message.magic() == 0 ? Lz4Header::legacy : Lz4Header::correct;
    const auto inflated =
        inflater.inflate(message.codec(), *message.value(), output_bytes_max, checksum);
    if (!inflated) {
        return base::Unexpected(inflated.error() == InflateFault::too_large
                                    ? MessageFault::too_large
                                    : MessageFault::bad_compression);
    }
    if (message.timestamp_type() == TimestampType::log_append_time) {
        walk.append_time_ = message.timestamp();
    }

    std::int64_t first = 0, last = 0;
    for (auto rest = *inflated; !rest.empty(); ++walk.count_) {
        const auto inner = Message::read(rest);
        if (!inner) return base::Unexpected(inner.error());
        if (inner->magic() != message.magic()) return base::Unexpected(MessageFault::bad_magic);
        if (inner->is_wrapper()) return base::Unexpected(MessageFault::bad_wrapper);
        last = inner->offset().value();
        if (walk.count_ == 0) first = last;
        walk.in_row_ = walk.in_row_ && last == walk.count_;
        rest = rest.subspan(inner->size());
    }
    if (walk.count_ == 0) return base::Unexpected(MessageFault::bad_wrapper);

    walk.rest_ = *inflated;
    if (message.magic() == 1) {
        if (walk.last_offset_ != 0) {
            if (walk.last_offset_ < last) return base::Unexpected(MessageFault::bad_offset);
            walk.base_ = subtract_wrapping(walk.last_offset_, last);
        }
    }
    walk.first_offset_ = add_wrapping(walk.base_, first);
    walk.last_offset_ = add_wrapping(walk.base_, last);
    return walk;
}

const Record* MessageWalk::next() noexcept {
    if (rest_.empty()) return nullptr;
    // All of it was checked when the walk was opened, so only lengths are followed here.
    const auto size = static_cast<std::size_t>(wire::load<std::int32_t>(rest_, message_size_at)) +
                      length_field_end;
    const auto magic = wire::load<std::int8_t>(rest_, magic_at);
    record_.offset = base::Offset(add_wrapping(base_, wire::load<std::int64_t>(rest_, offset_at)));
    auto fields = rest_.first(size).subspan(timestamp_at);
    record_.timestamp = no_timestamp;
    if (magic == 1) {
        record_.timestamp = append_time_.value_or(wire::load<std::int64_t>(fields, 0));
        fields = fields.subspan(sizeof(std::int64_t));
    }
    const bool whole = take_field(fields, record_.key) && take_field(fields, record_.value);
    base::ensure(whole, "a walk follows messages that were read before");
    rest_ = rest_.subspan(size);
    return &record_;
}

base::Result<std::optional<Message>, MessageFault> take_message(Bytes& messages) {
    const auto size = size_of_message(messages);
    if (size && *size > messages.size()) return std::nullopt;
    if (!size && size.error() == MessageFault::cut_short) return std::nullopt;
    const auto message = Message::read(messages);
    if (!message) return base::Unexpected(message.error());
    messages = messages.subspan(message->size());
    return *message;
}

void append_message(std::vector<std::byte>& out, std::int8_t magic, base::Offset offset,
                    std::int8_t attributes, std::int64_t timestamp, std::optional<Bytes> key,
                    std::optional<Bytes> value) {
    const auto at = out.size();
    const auto size = bytes_min(magic) + (key ? key->size() : 0) + (value ? value->size() : 0);
    base::ensure(size <= std::numeric_limits<std::int32_t>::max(), "a message is below 2 GiB");
    out.resize(at + size);
    const auto message = std::span(out).subspan(at);
    wire::store(message, offset_at, offset.value());
    wire::store(message, message_size_at, static_cast<std::int32_t>(size - length_field_end));
    wire::store(message, magic_at, magic);
    wire::store(message, attributes_at, attributes);
    auto to = timestamp_at;
    if (magic == 1) {
        wire::store(message, to, timestamp);
        to += sizeof(timestamp);
    }
    for (const auto& field : {key, value}) {
        wire::store(message, to, field ? static_cast<std::int32_t>(field->size()) : -1);
        to += sizeof(std::int32_t);
        if (!field) continue;
        std::ranges::copy(*field, message.subspan(to).begin());
        to += field->size();
    }
    wire::store(message, crc_at, crc32_of(message.subspan(checksummed_from)));
}

namespace {

base::Result<Entry, EntryFault> peek_message(Bytes bytes, std::size_t size) noexcept {
    const auto magic = wire::load<std::int8_t>(bytes, magic_at);
    if (size < bytes_min(magic)) return base::Unexpected(EntryFault::bad_length);
    const auto header_bytes = magic == 0 ? timestamp_at : timestamp_at + sizeof(std::int64_t);
    if (bytes.size() < header_bytes) return base::Unexpected(EntryFault::cut_short);
    const auto codec = wire::load<std::int8_t>(bytes, attributes_at) & codec_bits;
    const auto offset = wire::load<std::int64_t>(bytes, offset_at);
    if (codec > legacy_codec_max || offset < 0) return base::Unexpected(EntryFault::bad_fields);
    Entry entry{
        .magic = magic,
        .size = size,
        .last_offset = base::Offset(offset),
        .max_timestamp = magic == 0 ? no_timestamp : wire::load<std::int64_t>(bytes, timestamp_at),
        .codec = static_cast<Codec>(codec),
        .first_offset = std::nullopt,
    };
    if (entry.codec == Codec::none) entry.first_offset = entry.last_offset;
    return entry;
}

EntryFault entry_fault(BatchFault fault) noexcept {
    switch (fault) {
        case BatchFault::cut_short:
            return EntryFault::cut_short;
        case BatchFault::bad_length:
            return EntryFault::bad_length;
        case BatchFault::bad_magic:
            return EntryFault::bad_magic;
        case BatchFault::bad_crc:
            return EntryFault::bad_crc;
        case BatchFault::bad_codec:
        case BatchFault::bad_offsets:
        case BatchFault::bad_count:
            break;
    }
    return EntryFault::bad_fields;
}

EntryFault entry_fault(MessageFault fault) noexcept {
    switch (fault) {
        case MessageFault::cut_short:
            return EntryFault::cut_short;
        case MessageFault::bad_length:
            return EntryFault::bad_length;
        case MessageFault::bad_magic:
            return EntryFault::bad_magic;
        case MessageFault::bad_crc:
            return EntryFault::bad_crc;
        default:
            break;
    }
    return EntryFault::bad_fields;
}

}  // namespace

base::Result<Entry, EntryFault> peek_entry(Bytes bytes) {
    if (bytes.size() <= magic_at) return base::Unexpected(EntryFault::cut_short);
    const auto size = wire::load<std::int32_t>(bytes, message_size_at);
    const auto magic = wire::load<std::int8_t>(bytes, magic_at);
    if (size < 0) return base::Unexpected(EntryFault::bad_length);
    const auto whole = static_cast<std::size_t>(size) + length_field_end;
    if (magic == 0 || magic == 1) return peek_message(bytes, whole);
    if (magic != batch_format::magic) return base::Unexpected(EntryFault::bad_magic);
    const auto header = BatchHeader::peek(bytes);
    if (!header) return base::Unexpected(entry_fault(header.error()));
    return Entry{
        .magic = magic,
        .size = whole,
        .last_offset = header->last_offset(),
        .max_timestamp = header->max_timestamp(),
        .codec = header->codec(),
        .first_offset = header->base_offset(),
    };
}

base::Result<Entry, EntryFault> read_entry(Bytes bytes) {
    const auto entry = peek_entry(bytes);
    if (!entry) return entry;
    if (entry->size > bytes.size()) return base::Unexpected(EntryFault::cut_short);
    if (entry->magic == batch_format::magic) {
        const auto batch = Batch::read(bytes);
        if (!batch) return base::Unexpected(entry_fault(batch.error()));
    } else {
        const auto message = Message::read(bytes);
        if (!message) return base::Unexpected(entry_fault(message.error()));
    }
    return entry;
}

base::Result<base::Offset, EntryFault> deep_first_offset(Bytes bytes, Inflater& inflater) {
    const auto entry = peek_entry(bytes);
    if (!entry) return base::Unexpected(entry.error());
    if (entry->first_offset) return *entry->first_offset;
    const auto message = Message::read(bytes);
    if (!message) return base::Unexpected(entry_fault(message.error()));
    const auto walk = MessageWalk::open(*message, inflater);
    if (!walk) return base::Unexpected(EntryFault::bad_fields);
    if (walk->first_offset().value() < 0) return base::Unexpected(EntryFault::bad_fields);
    return walk->first_offset();
}

}  // namespace records
