// Fuzzer for everything in records that looks at foreign bytes.
//
// The first byte chooses what is fed with the rest; the second one its settings. Checksums are
// made right where the bytes allow, so that the fuzzer gets behind them. What is accepted is
// held against what it promises: a broken promise aborts, and so does a read outside (under
// the sanitizers).
//
//     CXX=clang++-19 meson setup build-fuzz -Dfuzz=true -Dbuildtype=debugoptimized
//     ninja -C build-fuzz protocol/records/records_fuzz
//     build-fuzz/protocol/records/records_fuzz -max_len=4096 CORPUS protocol/records/tests/corpus
#include "protocol/base/ensure.h"
#include "protocol/records/validate.h"
#include "protocol/records/varint.h"
#include "protocol/wire/big_endian.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <zlib.h>

using namespace records;

namespace {

constexpr std::size_t cap = std::size_t{1} << 20;

struct Work {
    ConvertScratch scratch;
    std::vector<std::byte> out;
};

Codec codec_from(unsigned byte) {
    return static_cast<Codec>(byte % 5);
}

void repair_message(std::span<std::byte> message) {
    const auto from = message.subspan(message_format::checksummed_from);
    const auto crc = crc32_z(0, reinterpret_cast<const Bytef*>(from.data()), from.size());
    wire::store(message, message_format::crc_at, static_cast<std::uint32_t>(crc));
}

// Make the checksum of each entry right that is whole.
void repair(std::span<std::byte> entries) {
    while (entries.size() > message_format::magic_at) {
        const auto length = wire::load<std::int32_t>(entries, message_format::message_size_at);
        if (length < 14) return;
        const auto size = static_cast<std::size_t>(length) + message_format::length_field_end;
        if (size > entries.size()) return;
        const auto entry = entries.first(size);
        if (wire::load<std::int8_t>(entry, message_format::magic_at) != batch_format::magic) {
            repair_message(entry);
        } else if (size >= batch_format::header_bytes) {
            set_crc(entry);
        }
        entries = entries.subspan(size);
    }
}

// Walk the batch and hold it against the validation. True if it is valid.
bool walk_batch(const Batch& batch, Inflater& inflater) {
    auto walk = RecordWalk::open(batch, inflater, cap);
    if (!walk) return false;
    std::int32_t count = 0;
    while (const Record* record = walk->next()) {
        ++count;
        base::ensure(record->offset >= batch.base_offset(), "no record lies before its batch");
        std::size_t seen = 0;
        for (const Header& header : record->headers) seen += 1 + header.key.size();
        base::ensure(seen >= static_cast<std::size_t>(record->headers.count()),
                     "all headers that were counted are there");
    }
    base::ensure(count == walk->taken() && (walk->fault() || count == batch.record_count()),
                 "a walk without fault gives all records");
    if (batch.codec() == Codec::none) {
        const auto found =
            validate_records(batch.records(), batch.record_count(), batch.base_timestamp());
        const bool overflow = walk->fault() == RecordFault::bad_offset;
        base::ensure(overflow || found.has_value() == !walk->fault(),
                     "walk and validation agree on what is valid");
    }
    static_cast<void>(read_control(batch));
    return !walk->fault();
}

void fuzz_batch(std::span<std::byte> bytes, unsigned settings, Work& work) {
    repair(bytes);
    const auto batch = Batch::read(bytes);
    if (!batch) return;
    if (!walk_batch(*batch, work.scratch.inflater)) return;
    const ConvertLimits limits{cap};
    const auto target = codec_from(settings);
    if (recompress(*batch, target, std::nullopt, limits, work.scratch, work.out)) {
        const auto made = Batch::read(work.out);
        base::ensure(made.has_value(), "a batch in another codec is one");
        base::ensure(made->record_count() == batch->record_count(), "and has as many records");
    }
}

bool is_copied(Bytes from, Bytes message) {
    return !std::ranges::search(from, message).empty();
}

void fuzz_entries(std::span<std::byte> bytes, unsigned settings, Work& work) {
    repair(bytes);
    Bytes rest = bytes;
    while (const auto entry = read_entry(rest)) {
        const auto first = deep_first_offset(rest, work.scratch.inflater);
        base::ensure(!first || !entry->first_offset || *first == *entry->first_offset,
                     "an entry has one first offset");
        rest = rest.subspan(entry->size);
    }
    const auto magic = static_cast<std::int8_t>(settings & 1);
    const ConvertLimits limits{cap};
    if (to_messages(bytes, magic, base::Offset(settings), limits, work.scratch, work.out)) {
        for (Bytes made = work.out; !made.empty();) {
            const auto entry = peek_entry(made);
            base::ensure(entry && entry->size <= made.size(), "old clients get whole messages");
            base::ensure(entry->magic <= magic, "of a format that they know");
            // What is copied is as good as it was.
            base::ensure(is_copied(bytes, made.first(entry->size)) || Message::read(made),
                         "what was made anew is valid");
            made = made.subspan(entry->size);
        }
    }
    work.out.clear();
    if (to_batch(bytes, codec_from(settings), std::nullopt, limits, work.scratch, work.out)) {
        const auto made = Batch::read(work.out);
        base::ensure(made && made->offset_count() == made->record_count(),
                     "messages make a batch without gaps");
        base::ensure(made->codec() != Codec::none || walk_batch(*made, work.scratch.inflater),
                     "whose records can be read");
    }
}

// The bytes as content of a wrapper, which is then valid around them.
void fuzz_wrapper(std::span<std::byte> bytes, unsigned settings, Work& work) {
    repair(bytes);
    const auto magic = static_cast<std::int8_t>(settings & 1);
    const auto codec = static_cast<Codec>(1 + (settings >> 1) % 3);
    std::vector<std::byte> value, wrapper;
    work.scratch.deflater.deflate(codec, bytes, value, std::nullopt,
                                  magic == 0 ? Lz4Header::legacy : Lz4Header::correct);
    append_message(wrapper, magic, base::Offset(settings >> 3),
                   static_cast<std::int8_t>(static_cast<int>(codec) | (settings & 0x08)), 7,
                   std::nullopt, value);
    fuzz_entries(wrapper, settings, work);
}

void fuzz_inflate(std::span<std::byte> bytes, unsigned settings, Work& work) {
    const auto checksum = (settings & 0x80) != 0 ? Lz4Header::legacy : Lz4Header::correct;
    const auto content = work.scratch.inflater.inflate(codec_from(settings), bytes, cap, checksum);
    base::ensure(!content || content->size() <= std::max(cap, bytes.size()), "the cap holds");
    base::ensure(work.scratch.inflater.buffer_bytes() <= cap + 1, "and bounds the buffer");
}

void fuzz_deflate(std::span<std::byte> bytes, unsigned settings, Work& work) {
    const auto codec = codec_from(settings);
    work.scratch.deflater.deflate(codec, bytes, work.out, static_cast<int>(settings >> 3));
    const auto content = work.scratch.inflater.inflate(codec, work.out, cap);
    base::ensure(content && std::ranges::equal(*content, bytes), "a codec gives back what went in");
}

void fuzz_produce(std::span<std::byte> bytes, unsigned settings, Work& work) {
    repair(bytes);
    constexpr std::int64_t now = 1700000000000;
    ProduceRules rules{.now_ms = now, .inflated_bytes_max = cap};
    rules.compacted = (settings & 0x08) != 0;
    if ((settings & 0x10) != 0) rules.timestamp_type = TimestampType::log_append_time;
    if ((settings & 0x20) != 0) rules.timestamp_before_ms_max = 1'000'000;
    if ((settings & 0x40) != 0) rules.codec = codec_from(settings);
    const std::int16_t version = (settings & 0x80) != 0 ? 9 : 2;
    const auto verdict = validate_produce(bytes, version, rules, work.scratch);
    if (!verdict) {
        base::ensure(!verdict.error().message.empty(), "a rejection says why");
        base::ensure(verdict.error().records.size() <= record_errors_max, "and not at length");
        return;
    }
    if (verdict->bytes.empty()) {
        base::ensure(version < 3, "only old producers send nothing");
        return;
    }
    const auto batch = Batch::read(verdict->bytes);
    base::ensure(batch.has_value(), "what is accepted is a batch");
    base::ensure(batch->size() == verdict->bytes.size(), "and nothing else");
    base::ensure(batch->base_offset().value() == 0 && !batch->is_control(), "as a client may send");
    base::ensure(batch->record_count() == verdict->record_count &&
                     batch->offset_count() == verdict->record_count,
                 "its records take one offset each");
    auto walk = RecordWalk::open(*batch, work.scratch.inflater, 16 * cap);
    base::ensure(walk.has_value(), "its records can be read");
    std::int64_t offset = 0, max_timestamp = no_timestamp;
    while (const Record* record = walk->next()) {
        base::ensure(record->offset.value() == offset++, "they lie in a row");
        base::ensure(!rules.compacted || record->key, "they have the keys that they need");
        max_timestamp = std::max(max_timestamp, record->timestamp);
    }
    base::ensure(!walk->fault() && offset == verdict->record_count, "they are all there");
    base::ensure(batch->max_timestamp() == max_timestamp, "the largest timestamp is theirs");
    base::ensure(verdict->max_timestamp == max_timestamp, "and known to the caller");
}

void fuzz_records(std::span<std::byte> bytes, unsigned settings, Work&) {
    const auto found = validate_records(bytes, static_cast<std::int32_t>(settings), 0);
    base::ensure(!found || (found->null_keys >= 0 &&
                            found->null_keys <= static_cast<std::int32_t>(settings)),
                 "no more null keys than records");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    // A copy of its own size, so that the address sanitizer sees its end.
    std::vector<std::byte> bytes(size - 2);
    std::ranges::transform(std::span(data, size).subspan(2), bytes.begin(),
                           [](std::uint8_t byte) { return static_cast<std::byte>(byte); });
    static Work work;
    work.out.clear();
    using Fuzz = void (*)(std::span<std::byte>, unsigned, Work&);
    constexpr Fuzz all[] = {fuzz_batch,   fuzz_entries, fuzz_wrapper, fuzz_inflate,
                            fuzz_deflate, fuzz_produce, fuzz_records};
    all[data[0] % std::size(all)](bytes, data[1], work);
    return 0;
}
