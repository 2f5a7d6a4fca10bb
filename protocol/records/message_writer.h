// MessageWriter: writes the messages of format 0 or 1 that a batch or a wrapper becomes: plain
// ones, or with a codec one wrapper around them all.
//
//     MessageWriter writer(1, Codec::lz4, {}, scratch, out);
//     writer.add(record);      offsets rise
//     writer.finish();
//
// Threads: none. Limits: the caller bounds what it adds.
#pragma once

#include "protocol/records/convert.h"

#include <algorithm>

namespace records {

class MessageWriter {
public:
    MessageWriter(std::int8_t magic, Codec codec, std::optional<std::int64_t> append_time,
                  ConvertScratch& scratch, std::vector<std::byte>& out)
        : magic_(magic), codec_(codec), append_time_(append_time), scratch_(scratch), out_(out) {
        if (magic_ == 1 && append_time_) attributes_ = append_time_attribute;
        if (wraps()) scratch_.buffer.clear();
    }

    void add(const Record& record) {
        if (count_ == 0) first_ = record.offset;
        last_ = record.offset;
        max_timestamp_ = std::max(max_timestamp_, record.timestamp);
        ++count_;
        // Inside a wrapper of format 1 offsets count from its first message.
        const auto offset =
            wraps() && magic_ == 1 ? base::Offset(record.offset - first_) : record.offset;
        append_message(wraps() ? scratch_.buffer : out_, magic_, offset, attributes_,
                       record.timestamp, record.key, record.value);
    }

    void finish() {
        if (!wraps() || count_ == 0) return;
        std::vector<std::byte> value;
        scratch_.deflater.deflate(codec_, scratch_.buffer, value, std::nullopt,
                                  magic_ == 0 ? Lz4Header::legacy : Lz4Header::correct);
        const auto attributes = static_cast<std::int8_t>(attributes_ | static_cast<int>(codec_));
        append_message(out_, magic_, last_, attributes, append_time_.value_or(max_timestamp_),
                       std::nullopt, value);
    }

    std::int64_t count() const noexcept { return count_; }

private:
    static constexpr std::int8_t append_time_attribute = 0x08;

    bool wraps() const noexcept { return codec_ != Codec::none; }

    std::int8_t magic_;
    Codec codec_;
    std::int8_t attributes_ = 0;
    std::optional<std::int64_t> append_time_;
    ConvertScratch& scratch_;
    std::vector<std::byte>& out_;
    base::Offset first_;
    base::Offset last_;
    std::int64_t max_timestamp_ = no_timestamp;
    std::int64_t count_ = 0;
};

}  // namespace records
