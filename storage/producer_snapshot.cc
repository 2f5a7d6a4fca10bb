#include "storage/producer_snapshot.h"

#include "protocol/base/crc32c.h"
#include "protocol/wire/big_endian.h"

namespace storage {

using base::Offset;

namespace {

constexpr std::int16_t version = 1;
constexpr std::size_t crc_at = 2;
constexpr std::size_t count_at = 6;
constexpr std::size_t entries_at = 10;
constexpr std::size_t entry_bytes = 46;

}  // namespace

std::vector<std::byte> encode_snapshot(std::span<const ProducerFacts> facts) {
    std::vector<std::byte> bytes(entries_at + facts.size() * entry_bytes);
    const std::span out(bytes);
    wire::store(out, 0, version);
    wire::store(out, count_at, static_cast<std::int32_t>(facts.size()));
    std::size_t at = entries_at;
    for (const ProducerFacts& one : facts) {
        wire::store(out, at, one.producer.value());
        wire::store(out, at + 8, one.epoch);
        wire::store(out, at + 10, one.last_sequence);
        wire::store(out, at + 14, one.last_offset.value());
        wire::store(out, at + 22, one.offset_delta);
        wire::store(out, at + 26, one.last_timestamp);
        wire::store(out, at + 34, one.coordinator_epoch);
        wire::store(out, at + 38, one.transaction_start.value_or(Offset(-1)).value());
        at += entry_bytes;
    }
    wire::store(out, crc_at, base::crc32c(out.subspan(count_at)));
    return bytes;
}

std::optional<std::vector<ProducerFacts>> decode_snapshot(std::span<const std::byte> bytes) {
    if (bytes.size() < entries_at || wire::load<std::int16_t>(bytes, 0) != version) {
        return std::nullopt;
    }
    if (wire::load<std::uint32_t>(bytes, crc_at) != base::crc32c(bytes.subspan(count_at))) {
        return std::nullopt;
    }
    const auto count = wire::load<std::int32_t>(bytes, count_at);
    if (count < 0 ||
        std::size_t(count) * entry_bytes != bytes.size() - entries_at) {
        return std::nullopt;
    }
    std::vector<ProducerFacts> facts;
    facts.reserve(std::size_t(count));
    for (std::size_t at = entries_at; at < bytes.size(); at += entry_bytes) {
        const Offset start(wire::load<std::int64_t>(bytes, at + 38));
        facts.push_back({.producer = base::ProducerId(wire::load<std::int64_t>(bytes, at)),
                         .epoch = wire::load<std::int16_t>(bytes, at + 8),
                         .last_sequence = wire::load<std::int32_t>(bytes, at + 10),
                         .last_offset = Offset(wire::load<std::int64_t>(bytes, at + 14)),
                         .offset_delta = wire::load<std::int32_t>(bytes, at + 22),
                         .last_timestamp = wire::load<std::int64_t>(bytes, at + 26),
                         .coordinator_epoch = wire::load<std::int32_t>(bytes, at + 34),
                         .transaction_start = start < Offset(0) ? std::nullopt
                                                                : std::optional(start)});
    }
    return facts;
}

}  // namespace storage
