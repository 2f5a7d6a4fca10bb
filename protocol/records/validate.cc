#include "protocol/records/validate.h"

#include "protocol/base/crc32c.h"
#include "protocol/records/batch_format.h"
#include "protocol/wire/big_endian.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace records {

namespace {

using Verdict = base::Result<Accepted, Rejection>;

constexpr std::int16_t first_version_of_batches = 3;
constexpr std::int16_t first_version_of_zstd = 7;

// A thread keeps a buffer for what clients send as a rule, not for the largest it ever met.
constexpr std::size_t inflater_bytes_kept = std::size_t{4} << 20;

base::Unexpected<Rejection> reject(ProduceError error, std::string message) {
    return base::Unexpected(Rejection{error, std::move(message)});
}

base::Unexpected<Rejection> invalid(std::string message) {
    return reject(ProduceError::invalid_record, std::move(message));
}

base::Unexpected<Rejection> corrupt(std::string message) {
    return reject(ProduceError::corrupt_message, std::move(message));
}

std::string text(std::int64_t number) {
    return std::to_string(number);
}

// Entries of a payload ------------------------------------------------------------------

struct Shape {
    std::int8_t magic;
    std::size_t size;
};

// The entry at the front. Nothing at the end, and before one that is cut short: Kafka has it
// that such a tail is not there.
base::Result<std::optional<Shape>, Rejection> shape_of(Bytes payload) {
    using namespace message_format;
    if (payload.size() < length_field_end) return std::nullopt;
    const auto length = wire::load<std::int32_t>(payload, message_size_at);
    constexpr auto length_min = static_cast<std::int32_t>(bytes_min(0) - length_field_end);
    if (length < length_min) {
        return corrupt("an entry declares " + text(length) + " bytes; the least is " +
                       text(length_min));
    }
    if (payload.size() <= magic_at) return std::nullopt;
    const auto magic = wire::load<std::int8_t>(payload, magic_at);
    if (magic < 0 || magic > batch_format::magic) {
        return corrupt("an entry has the unknown format " + text(magic));
    }
    const auto size = static_cast<std::size_t>(length) + length_field_end;
    if (size > payload.size()) return std::nullopt;
    return Shape{magic, size};
}

Codec codec_bits_of(Bytes entry, std::int8_t magic) noexcept {
    const auto attributes =
        magic == batch_format::magic
            ? wire::load<std::int16_t>(entry, batch_format::attributes_at)
            : std::int16_t{wire::load<std::int8_t>(entry, message_format::attributes_at)};
    return static_cast<Codec>(attributes & batch_format::codec_mask);
}

// What a Produce since version 3 must be: one batch of format 2, in a codec of its time.
std::optional<Rejection> check_request(Bytes payload, std::int16_t version) {
    const auto rejection = [](ProduceError error, std::string message) {
        return Rejection{error, std::move(message)};
    };
    const auto asked = "a Produce of version " + text(version) + " carries ";
    const auto first = shape_of(payload);
    if (!first) return first.error();
    if (!*first) {
        return rejection(ProduceError::invalid_record,
                         asked + "one record batch per partition, not none");
    }
    if ((*first)->magic != batch_format::magic) {
        return rejection(
            ProduceError::invalid_record,
            asked + "a batch of format 2, not messages of format " + text((*first)->magic));
    }
    if ((*first)->size < batch_format::header_bytes) {
        return rejection(ProduceError::corrupt_message, "a batch is shorter than its header");
    }
    if (version < first_version_of_zstd &&
        codec_bits_of(payload, batch_format::magic) == Codec::zstd) {
        return rejection(
            ProduceError::unsupported_compression_type,
            "zstd needs a Produce of version 7 or above, this is version " + text(version));
    }
    const auto second = shape_of(payload.subspan((*first)->size));
    if (!second) return second.error();
    if (*second) {
        return rejection(ProduceError::invalid_record,
                         asked + "one record batch per partition, not more");
    }
    return std::nullopt;
}

struct Contents {
    std::size_t entries = 0;
    std::int8_t magic = 0;      // Of the first.
    bool mixed = false;         // Others have another.
    Codec codec = Codec::none;  // Of the last that is compressed.
    std::size_t bytes = 0;      // Without a tail that is cut short.
};

// What is asked of each entry before its records: offset, size, checksum.
base::Result<Contents, Rejection> check_entries(Bytes payload, const ProduceRules& rules) {
    Contents contents;
    for (;;) {
        const auto rest = payload.subspan(contents.bytes);
        const auto shape = shape_of(rest);
        if (!shape) return base::Unexpected(shape.error());
        if (!*shape) return contents;
        const auto [magic, size] = **shape;
        const auto entry = rest.first(size);

        if (magic == batch_format::magic) {
            const auto base_offset = wire::load<std::int64_t>(entry, batch_format::base_offset_at);
            if (base_offset != 0) {
                return invalid("the base offset of a batch from a producer is 0, not " +
                               text(base_offset));
            }
        }
        if (rules.message_bytes_max < 0 ||
            size > static_cast<std::size_t>(rules.message_bytes_max)) {
            return reject(ProduceError::message_too_large,
                          "a batch of " + text(static_cast<std::int64_t>(size)) +
                              " bytes is larger than max.message.bytes, which is " +
                              text(rules.message_bytes_max));
        }
        if (magic == batch_format::magic) {
            if (size < batch_format::header_bytes)
                return corrupt("a batch is shorter than its header");
            const auto crc = wire::load<std::uint32_t>(entry, batch_format::crc_at);
            if (crc != base::crc32c(entry.subspan(batch_format::checksummed_from))) {
                return corrupt("the checksum of a batch does not match its bytes");
            }
        } else {
            const auto message = Message::read(entry);
            if (!message && message.error() == MessageFault::bad_codec) {
                return reject(ProduceError::unsupported_compression_type,
                              std::string(describe(message.error())));
            }
            if (!message) return corrupt(std::string(describe(message.error())));
        }

        if (contents.entries == 0) contents.magic = magic;
        contents.mixed = contents.mixed || magic != contents.magic;
        if (const auto codec = codec_bits_of(entry, magic); codec != Codec::none)
            contents.codec = codec;
        ++contents.entries;
        contents.bytes += size;
    }
}

// Records -------------------------------------------------------------------------------

// The timestamps that a record of a CreateTime topic may have, beside -1.
struct Window {
    std::int64_t least;
    std::int64_t most;

    bool holds(std::int64_t timestamp) const noexcept {
        return timestamp == no_timestamp || (least <= timestamp && timestamp <= most);
    }
};

Window window_of(const ProduceRules& rules) noexcept {
    constexpr auto lowest = std::numeric_limits<std::int64_t>::min();
    constexpr auto highest = std::numeric_limits<std::int64_t>::max();
    if (rules.timestamp_type == TimestampType::log_append_time) return {lowest, highest};
    Window window{lowest, highest};
    const bool bounded = rules.timestamp_before_ms_max != highest;
    std::int64_t bound = 0;
    if (bounded && !__builtin_sub_overflow(rules.now_ms, rules.timestamp_before_ms_max, &bound)) {
        window.least = bound;
    }
    if (!__builtin_add_overflow(rules.now_ms, rules.timestamp_after_ms_max, &bound)) {
        window.most = bound;
    }
    return window;
}

// What is asked of each record, and the records that do not have it.
class RecordJudge {
public:
    explicit RecordJudge(const ProduceRules& rules)
        : window_(window_of(rules)),
          compacted_(rules.compacted),
          create_time_(rules.timestamp_type == TimestampType::create_time) {}

    // True if no record that `found` sums up is at fault; otherwise one is, at least.
    bool passes(const RecordsSummary& found) const noexcept {
        return (found.null_keys == 0 || !compacted_) && window_.holds(found.min_timestamp) &&
               window_.holds(found.max_timestamp);
    }

    void look_at(std::int32_t index, bool has_key, std::int64_t timestamp) {
        if (compacted_ && !has_key) {
            add(index, "a record of a compacted topic needs a key");
        } else if (!window_.holds(timestamp)) {
            timestamps_ = true;
            add(index, "the timestamp " + text(timestamp) +
                           " is outside of what the topic takes now, " + text(window_.least) +
                           " to " + text(window_.most));
        }
    }

    // The client set the LogAppendTime bit, which only brokers do, and so gave `count` records
    // one `timestamp`. As Kafka has it, that passes where the batch is then made CreateTime and
    // the timestamp would do; it is an error on topics of LogAppendTime and without timestamp.
    void look_at_claim(std::int32_t count, std::int64_t timestamp) {
        const bool passes = create_time_ && timestamp != no_timestamp;
        count = std::min(count, static_cast<std::int32_t>(record_errors_max));
        for (std::int32_t index = 0; index < count; ++index) {
            if (!passes) {
                timestamps_ = true;
                add(index, "a producer may not set the timestamp type LogAppendTime");
            } else {
                look_at(index, true, timestamp);
            }
        }
    }

    bool offended() const noexcept { return !listed_.empty(); }

    // Requires offended().
    Rejection rejection() && {
        const auto& first = listed_.front();
        return {timestamps_ ? ProduceError::invalid_timestamp : ProduceError::invalid_record,
                "records were rejected, the first at index " + text(first.batch_index) + ": " +
                    first.message,
                std::move(listed_)};
    }

private:
    void add(std::int32_t index, std::string message) {
        if (listed_.size() < record_errors_max) listed_.push_back({index, std::move(message)});
    }

    Window window_;
    bool compacted_;
    bool create_time_;
    bool timestamps_ = false;
    std::vector<RecordError> listed_;
};

// What is said of the batch that came out, once its bytes are final but for offset and epoch.
Verdict accept(Accepted accepted, std::int64_t max_timestamp, std::int32_t max_timestamp_delta,
               const ProduceRules& rules) {
    if (!accepted.rebuilt.empty()) {
        accepted.bytes = accepted.rebuilt;
        if (accepted.bytes.size() > static_cast<std::size_t>(rules.message_bytes_max)) {
            return reject(ProduceError::message_too_large,
                          "the batch made of the records has " +
                              text(static_cast<std::int64_t>(accepted.bytes.size())) +
                              " bytes, more than max.message.bytes, which is " +
                              text(rules.message_bytes_max));
        }
    }
    if (accepted.bytes.size() > static_cast<std::size_t>(std::max(rules.segment_bytes, 0))) {
        return reject(ProduceError::record_list_too_large,
                      "the records have " + text(static_cast<std::int64_t>(accepted.bytes.size())) +
                          " bytes, more than segment.bytes, which is " + text(rules.segment_bytes));
    }

    const auto header = accepted.batch();
    if (rules.timestamp_type == TimestampType::log_append_time) {
        set_append_time(accepted.bytes, rules.now_ms);
        accepted.log_append_time = rules.now_ms;
        max_timestamp = rules.now_ms;
        max_timestamp_delta = 0;
    } else if (header.timestamp_type() == TimestampType::log_append_time ||
               header.max_timestamp() != max_timestamp) {
        set_max_timestamp(accepted.bytes, max_timestamp);
    }
    accepted.record_count = header.record_count();
    accepted.last_offset_delta = header.last_offset_delta();
    accepted.max_timestamp = max_timestamp;
    accepted.max_timestamp_delta = std::max(max_timestamp_delta, 0);
    accepted.producer_id = header.producer_id();
    accepted.producer_epoch = header.producer_epoch();
    accepted.base_sequence = header.base_sequence();
    accepted.last_sequence = header.last_sequence();
    accepted.transactional = header.is_transactional();
    return accepted;
}

// Batches of format 2 -------------------------------------------------------------------

// What the header of a client's batch must say. Its checksum is right.
base::Result<Batch, Rejection> check_header(Bytes bytes) {
    const auto count = wire::load<std::int32_t>(bytes, batch_format::record_count_at);
    const auto delta = wire::load<std::int32_t>(bytes, batch_format::last_offset_delta_at);
    if (!codec_of(wire::load<std::int16_t>(bytes, batch_format::attributes_at))) {
        return reject(ProduceError::unsupported_compression_type, "a batch names an unknown codec");
    }
    if (delta < 0) return invalid("a batch ends before it begins, at offset delta " + text(delta));
    if (count <= 0) return invalid("a batch declares " + text(count) + " records");
    if (std::int64_t{delta} + 1 != count) {
        return invalid("a batch of " + text(count) + " records takes " +
                       text(std::int64_t{delta} + 1) + " offsets");
    }
    const auto batch = Batch::view(bytes);
    if (!batch) return corrupt("the header of a batch is broken");
    if (batch->is_control()) return invalid("clients may not write control records");
    if (batch->has_producer_id() && batch->base_sequence() < 0) {
        return invalid("a batch of producer " + text(batch->producer_id().value()) +
                       " has the sequence number " + text(batch->base_sequence()));
    }
    return *batch;
}

base::Unexpected<Rejection> invalid_records(RecordFault fault) {
    auto rejection = invalid(std::string(describe(fault)));
    rejection.error().is_too_much = fault == RecordFault::too_large;
    return rejection;
}

// The batch made anew with the offsets 0, 1, 2 ...
std::vector<std::byte> in_a_row(const Batch& batch, Bytes records, Codec codec,
                                const ProduceRules& rules, Deflater& deflater) {
    BatchBuilder builder({.codec = codec,
                          .level = rules.level,
                          .producer_id = batch.producer_id(),
                          .producer_epoch = batch.producer_epoch(),
                          .base_sequence = batch.base_sequence(),
                          .transactional = batch.is_transactional()});
    RecordWalk walk(batch, records);
    std::int64_t offset = 0;
    while (const Record* record = walk.next()) builder.copy_at(base::Offset(offset++), *record);
    return builder.finish(deflater);
}

Verdict judge_batch(std::span<std::byte> bytes, const ProduceRules& rules,
                    ConvertScratch& scratch) {
    const auto batch = check_header(bytes);
    if (!batch) return base::Unexpected(batch.error());
    const Codec source = batch->codec();
    const Codec target = rules.codec.value_or(source);
    Bytes region = batch->records();
    RecordsSummary found;
    const bool believed =
        !rules.validate_compressed && source != Codec::none && source == target && !rules.compacted;
    if (believed) {
        found.max_timestamp = batch->max_timestamp();
        found.min_timestamp = std::min(batch->base_timestamp(), batch->max_timestamp());
    } else {
        const auto inflated = scratch.inflater.inflate(source, region, rules.inflated_bytes_max);
        if (!inflated) {
            return invalid_records(inflated.error() == InflateFault::too_large
                                       ? RecordFault::too_large
                                       : RecordFault::bad_compression);
        }
        region = *inflated;
        const auto valid = validate_records(region, batch->record_count(), batch->base_timestamp());
        if (!valid) return invalid_records(valid.error());
        found = *valid;
        if (!found.offsets_in_row && source == Codec::none) {
            return invalid("the offsets of the records of a batch are not in a row");
        }
    }

    RecordJudge judge(rules);
    if (batch->timestamp_type() == TimestampType::log_append_time) {
        judge.look_at_claim(batch->record_count(), batch->max_timestamp());
        if (judge.offended()) return base::Unexpected(std::move(judge).rejection());
        set_max_timestamp(bytes, found.max_timestamp);  // CreateTime from here on.
    }
    if (!judge.passes(found)) {
        if (believed) {
            judge.look_at(0, true, batch->base_timestamp());
            judge.look_at(0, true, batch->max_timestamp());
        } else {
            RecordWalk walk(*batch, region);
            for (std::int32_t index = 0; const Record* record = walk.next(); ++index) {
                judge.look_at(index, record->key.has_value(), record->timestamp);
            }
        }
        return base::Unexpected(std::move(judge).rejection());
    }

    Accepted accepted;
    if (!found.offsets_in_row) {
        accepted.rebuilt = in_a_row(*batch, region, target, rules, scratch.deflater);
    } else if (source != target) {
        const auto made =
            with_codec(*batch, region, target, rules.level, scratch.deflater, accepted.rebuilt);
        if (!made) {
            return reject(ProduceError::message_too_large, "the records have more than 2 GiB");
        }
    } else {
        accepted.bytes = bytes;
    }
    return accept(std::move(accepted), found.max_timestamp, found.max_timestamp_index, rules);
}

// Messages of formats 0 and 1 -----------------------------------------------------------

base::Unexpected<Rejection> invalid_message(MessageFault fault) {
    auto rejection = reject(fault == MessageFault::bad_crc ? ProduceError::corrupt_message
                                                           : ProduceError::invalid_record,
                            std::string(describe(fault)));
    rejection.error().is_too_much = fault == MessageFault::too_large;
    return rejection;
}

// Messages become one batch whatever else; their checksums are right.
Verdict judge_messages(Bytes messages, Codec codec, const ProduceRules& rules,
                       ConvertScratch& scratch) {
    BatchSettings settings{.codec = codec, .level = rules.level};
    if (rules.timestamp_type == TimestampType::log_append_time) settings.append_time = rules.now_ms;
    BatchBuilder builder(settings);
    RecordJudge judge(rules);
    std::int64_t max_timestamp = no_timestamp;
    std::int32_t max_timestamp_index = -1;
    for (;;) {
        const auto message = take_message(messages);
        if (!message) return invalid_message(message.error());
        if (!*message) break;
        auto walk = MessageWalk::open(**message, scratch.inflater, rules.inflated_bytes_max);
        if (!walk) return invalid_message(walk.error());
        if ((*message)->timestamp_type() == TimestampType::log_append_time) {
            judge.look_at_claim(walk->count(), (*message)->timestamp());
        }
        for (std::int32_t index = 0; const Record* record = walk->next(); ++index) {
            if (record->timestamp < no_timestamp) {
                return reject(ProduceError::invalid_timestamp,
                              "the timestamp " + text(record->timestamp) + " is before 1970");
            }
            judge.look_at(index, record->key.has_value(), record->timestamp);
            if (judge.offended()) continue;
            if (record->timestamp > max_timestamp) {
                max_timestamp = record->timestamp;
                max_timestamp_index = builder.count();
            }
            builder.append(
                {.timestamp = record->timestamp, .key = record->key, .value = record->value});
        }
        if (judge.offended()) return base::Unexpected(std::move(judge).rejection());
    }
    Accepted accepted;
    accepted.rebuilt = builder.finish(scratch.deflater);
    return accept(std::move(accepted), max_timestamp, max_timestamp_index, rules);
}

}  // namespace

namespace {

struct Front {
    bool is_batch = false;
    Codec codec = Codec::none;
};

Front front_of(Bytes payload) noexcept {
    using namespace message_format;
    if (payload.size() <= attributes_at + 1) return {};
    const bool is_batch = wire::load<std::int8_t>(payload, magic_at) == batch_format::magic;
    if (is_batch && payload.size() < batch_format::header_bytes) return {};
    return {is_batch, codec_bits_of(payload, is_batch ? batch_format::magic : std::int8_t{0})};
}

}  // namespace

bool inflates(Bytes payload) noexcept {
    return front_of(payload).codec != Codec::none;
}

bool deflates(Bytes payload, const ProduceRules& rules) noexcept {
    const auto [is_batch, source] = front_of(payload);
    const Codec target = rules.codec.value_or(source);
    return target != Codec::none && (target != source || !is_batch);
}

std::optional<Rejection> check_front(Bytes payload) {
    const auto first = shape_of(payload);
    if (!first) return first.error();
    return std::nullopt;
}

std::optional<Rejection> check_shape(Bytes payload, std::int16_t version) {
    if (version >= first_version_of_batches) return check_request(payload, version);
    for (;;) {
        const auto shape = shape_of(payload);
        if (!shape) return shape.error();
        if (!*shape) return std::nullopt;
        payload = payload.subspan((*shape)->size);
    }
}

Verdict validate_produce(std::span<std::byte> payload, std::int16_t version,
                         const ProduceRules& rules, ConvertScratch& scratch) {
    if (version >= first_version_of_batches) {
        if (auto rejection = check_request(payload, version)) {
            return base::Unexpected(*std::move(rejection));
        }
    }
    const auto contents = check_entries(payload, rules);
    if (!contents) return base::Unexpected(contents.error());
    if (contents->entries == 0) return Accepted();

    const bool batch = contents->magic == batch_format::magic;
    if (contents->entries > 1 && (batch || contents->codec != Codec::none)) {
        return invalid("compressed records and batches of format 2 come alone, not with others");
    }
    if (contents->mixed) return invalid("the records of one partition have several formats");

    const auto whole = payload.first(contents->bytes);
    auto verdict =
        batch ? judge_batch(whole, rules, scratch)
              : judge_messages(whole, rules.codec.value_or(contents->codec), rules, scratch);
    scratch.inflater.trim(inflater_bytes_kept);
    return verdict;
}

}  // namespace records
