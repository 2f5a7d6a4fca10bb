// Message, MessageWalk, Entry: message sets of the formats 0 and 1 (Kafka 0.8 to 0.10), and
// walks over bytes in which all three formats may lie one behind the other.
//
//     at  size  field
//      0     8  offset         of a wrapper: the offset of its last inner message
//      8     4  message_size   bytes after this field, at least 14 (format 0) or 22 (format 1)
//     12     4  crc            CRC-32 (zlib's) of everything from byte 16 on
//     16     1  magic          0 or 1; in all formats byte 16 tells the format
//     17     1  attributes     bits 0-2 codec; bit 3 LogAppendTime (format 1)
//     18     8  timestamp      format 1 only; ms since 1970, -1 for none
//     ..     4  key_length     -1: null
//            .  key
//     ..     4  value_length   -1: null
//            .  value          of a wrapper: a compressed message set
//
// A message is valid if and only if
//   - message_size is at least the format's least, and as many bytes are there
//   - magic is 0 or 1, crc matches, the codec is at most 3 (zstd came with format 2)
//   - key and value fill the rest exactly
//
// A wrapper (codec not 0) is valid if and only if besides
//   - its value is not null and inflates to at least one message and nothing else
//   - the inner messages are valid, of the wrapper's magic, and not wrappers themselves
//   - format 1: its offset is 0, or at least the last inner offset
//
// Offsets inside a wrapper: format 0 has them absolute; in format 1 they count from the
// base, which is the wrapper's offset less the last inner one. A wrapper at offset 0 from an
// old producer has base 0. A LogAppendTime wrapper gives its timestamp to all inside.
// Offsets from producers mean nothing (some send -1 everywhere), so they are not judged more
// than that.
//
// Source: https://kafka.apache.org/documentation/#messageset
#pragma once

#include "protocol/base/result.h"
#include "protocol/records/batch.h"
#include "protocol/records/batch_format.h"
#include "protocol/records/compression.h"
#include "protocol/records/record.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace records {

enum class MessageFault {
    cut_short,        // Bytes end before the message does.
    bad_length,       // A length that is too small, negative, or does not fill the message.
    bad_magic,        // Neither format 0 nor 1, or another one than the wrapper's.
    bad_crc,          // The checksum says that bytes were changed.
    bad_codec,        // A codec that the format does not have.
    bad_wrapper,      // Nested, null or empty.
    bad_offset,       // An offset that the rules above do not allow.
    bad_compression,  // The wrapper's value does not inflate.
    too_large,        // It inflates to more than the cap.
};

std::string_view describe(MessageFault fault) noexcept;

namespace message_format {

constexpr std::size_t offset_at = 0;
constexpr std::size_t message_size_at = 8;
constexpr std::size_t crc_at = 12;
constexpr std::size_t magic_at = 16;
constexpr std::size_t checksummed_from = 16;
constexpr std::size_t attributes_at = 17;
constexpr std::size_t timestamp_at = 18;
constexpr std::size_t length_field_end = 12;

// Bytes of a message with null key and null value, its offset and size included.
constexpr std::size_t bytes_min(std::int8_t magic) noexcept {
    return magic == 0 ? 26 : 34;
}

}  // namespace message_format

// One message of format 0 or 1, as it stands: a wrapper is not opened.
class Message {
public:
    // Check the message at the front of `bytes`, checksum included.
    [[nodiscard]] static base::Result<Message, MessageFault> read(Bytes bytes);

    base::Offset offset() const noexcept;
    std::int8_t magic() const noexcept;
    Codec codec() const noexcept;
    bool is_wrapper() const noexcept { return codec() != Codec::none; }
    TimestampType timestamp_type() const noexcept;
    std::int64_t timestamp() const noexcept;  // -1 in format 0.
    std::optional<Bytes> key() const noexcept { return key_; }
    std::optional<Bytes> value() const noexcept { return value_; }

    std::size_t size() const noexcept { return bytes_.size(); }
    Bytes bytes() const noexcept { return bytes_; }

private:
    explicit Message(Bytes bytes) noexcept : bytes_(bytes) {}

    Bytes bytes_;
    std::optional<Bytes> key_;
    std::optional<Bytes> value_;
};

// A walk over what one message holds: itself, or the inner messages of a wrapper, with
// absolute offsets and the timestamps that apply. Records borrow from `inflater` if the
// message is a wrapper.
class MessageWalk {
public:
    // Opens a wrapper and checks all of it: offsets need its last inner message.
    [[nodiscard]] static base::Result<MessageWalk, MessageFault> open(
        const Message& message, Inflater& inflater,
        std::size_t output_bytes_max = inflated_bytes_max);

    // The next record, valid until the next call; null at the end. Headers are empty.
    const Record* next() noexcept;

    std::int32_t count() const noexcept { return count_; }
    base::Offset first_offset() const noexcept { return base::Offset(first_offset_); }
    base::Offset last_offset() const noexcept { return base::Offset(last_offset_); }

    // Format 1: the inner offsets are 0, 1, 2 ... True for a message that is not a wrapper.
    bool offsets_in_row() const noexcept { return in_row_; }

private:
    MessageWalk() = default;

    Bytes rest_;
    std::int64_t base_ = 0;  // Added to inner offsets.
    std::int64_t first_offset_ = 0;
    std::int64_t last_offset_ = 0;
    std::optional<std::int64_t> append_time_;
    std::int32_t count_ = 0;
    bool in_row_ = true;
    Record record_;
};

// Take the message at the front of `messages` off. Nothing at the end, and before a message that
// is cut short, of which Kafka has it that it is not there. Faults as Message::read.
[[nodiscard]] base::Result<std::optional<Message>, MessageFault> take_message(Bytes& messages);

// Put a message at the end of `out`. `attributes` are as on the wire. Requires magic 0 or 1.
void append_message(std::vector<std::byte>& out, std::int8_t magic, base::Offset offset,
                    std::int8_t attributes, std::int64_t timestamp, std::optional<Bytes> key,
                    std::optional<Bytes> value);

// Entries of any format -----------------------------------------------------------------

enum class EntryFault {
    cut_short,   // Bytes end before the entry does.
    bad_length,  // A length that no entry of this format has.
    bad_magic,   // Not 0, 1 or 2.
    bad_crc,     // The checksum says that bytes were changed.
    bad_fields,  // Offsets, counts or codec that cannot be.
};

// What lies at one place of a segment or payload, whatever its format: a batch, a message or
// a wrapper.
struct Entry {
    std::int8_t magic;
    std::size_t size;  // Bytes, all included.
    base::Offset last_offset;
    std::int64_t max_timestamp;  // ms; -1 in format 0 and for none.
    Codec codec;

    // Nothing for a wrapper, whose first offset its content tells: deep_first_offset().
    std::optional<base::Offset> first_offset;
};

// The most bytes that peek_entry() looks at.
constexpr std::size_t entry_header_bytes = batch_format::header_bytes;

// What the entry at the front of `bytes` says of itself, without its checksum. Of the entry
// only its header has to be there: min(61, what there is of it) bytes are enough.
[[nodiscard]] base::Result<Entry, EntryFault> peek_entry(Bytes bytes);

// The same with its checksum, over the whole entry.
[[nodiscard]] base::Result<Entry, EntryFault> read_entry(Bytes bytes);

// The first offset of the entry at the front of `bytes`; inflates wrappers.
[[nodiscard]] base::Result<base::Offset, EntryFault> deep_first_offset(Bytes bytes,
                                                                       Inflater& inflater);

}  // namespace records
