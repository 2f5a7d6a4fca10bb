#include "storage/index.h"

#include "protocol/wire/big_endian.h"

#include <array>
#include <functional>
#include <optional>

namespace storage {

using base::Offset;
using base::Result;
using base::Unexpected;

namespace {

std::int32_t relative(Offset offset, Offset base) noexcept {
    return static_cast<std::int32_t>(offset - base);
}

Offset absolute(std::int32_t offset, Offset base) noexcept {
    return base + std::int64_t{offset};
}

OffsetEntry offset_entry(std::span<const std::byte> bytes, std::size_t at, Offset base) noexcept {
    return {absolute(wire::load<std::int32_t>(bytes, at), base),
            wire::load<std::uint32_t>(bytes, at + 4)};
}

TimeEntry time_entry(std::span<const std::byte> bytes, std::size_t at, Offset base) noexcept {
    return {wire::load<std::int64_t>(bytes, at),
            absolute(wire::load<std::int32_t>(bytes, at + 8), base)};
}

// How many of the first `count` entries of a file satisfy `holds`, which is true up to some
// entry and false from there on. One small read for each step, which the kernel's cache
// answers as a rule.
Result<std::uint32_t, Fault> partition_point(
    const File& file, std::uint32_t count, std::size_t entry_bytes,
    const std::function<bool(std::span<const std::byte>)>& holds) {
    std::uint32_t low = 0;
    std::uint32_t high = count;
    std::array<std::byte, 16> buffer;
    const auto entry = std::span(buffer).first(entry_bytes);
    while (low < high) {
        const std::uint32_t middle = low + (high - low) / 2;
        const auto read = file.read(std::uint64_t{middle} * entry_bytes, entry);
        if (!read) return Unexpected(read.error());
        if (*read == entry_bytes && holds(entry)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

template <class Entry, class Read>
Result<std::optional<Entry>, Fault> entry_at(const File& file, std::uint32_t index, Read read) {
    std::array<std::byte, Entry::size> bytes;
    const auto count = file.read(std::uint64_t{index} * Entry::size, bytes);
    if (!count) return Unexpected(count.error());
    if (*count < bytes.size()) return std::optional<Entry>();
    return std::optional<Entry>(read(bytes));
}

}  // namespace

std::vector<std::byte> encode(std::span<const OffsetEntry> entries, Offset base) {
    std::vector<std::byte> bytes(entries.size() * OffsetEntry::size);
    std::size_t at = 0;
    for (const OffsetEntry& entry : entries) {
        wire::store(std::span(bytes), at, relative(entry.last, base));
        wire::store(std::span(bytes), at + 4, entry.position);
        at += OffsetEntry::size;
    }
    return bytes;
}

std::vector<std::byte> encode(std::span<const TimeEntry> entries, Offset base) {
    std::vector<std::byte> bytes(entries.size() * TimeEntry::size);
    std::size_t at = 0;
    for (const TimeEntry& entry : entries) {
        wire::store(std::span(bytes), at, entry.timestamp);
        wire::store(std::span(bytes), at + 8, relative(entry.last, base));
        at += TimeEntry::size;
    }
    return bytes;
}

std::vector<std::byte> encode(std::span<const AbortedTransaction> entries) {
    std::vector<std::byte> bytes(entries.size() * aborted_entry_bytes);
    std::size_t at = 0;
    for (const AbortedTransaction& entry : entries) {
        wire::store(std::span(bytes), at, std::int16_t{0});
        wire::store(std::span(bytes), at + 2, entry.producer.value());
        wire::store(std::span(bytes), at + 10, entry.first.value());
        wire::store(std::span(bytes), at + 18, entry.last.value());
        wire::store(std::span(bytes), at + 26, entry.last_stable_offset.value());
        at += aborted_entry_bytes;
    }
    return bytes;
}

std::vector<OffsetEntry> decode_offsets(std::span<const std::byte> bytes, Offset base) {
    std::vector<OffsetEntry> entries;
    for (std::size_t at = 0; at + OffsetEntry::size <= bytes.size(); at += OffsetEntry::size) {
        const auto entry = offset_entry(bytes, at, base);
        if (entry.last < base || entry.position == 0) break;  // The first batch is never named.
        if (!entries.empty() &&
            (entry.last <= entries.back().last || entry.position <= entries.back().position)) {
            break;
        }
        entries.push_back(entry);
    }
    return entries;
}

std::vector<TimeEntry> decode_times(std::span<const std::byte> bytes, Offset base) {
    std::vector<TimeEntry> entries;
    for (std::size_t at = 0; at + TimeEntry::size <= bytes.size(); at += TimeEntry::size) {
        const auto entry = time_entry(bytes, at, base);
        if (entry.last < base || entry.timestamp < 0) break;
        if (!entries.empty() && (entry.timestamp <= entries.back().timestamp ||
                                 entry.last < entries.back().last)) {
            break;
        }
        entries.push_back(entry);
    }
    return entries;
}

std::optional<std::vector<AbortedTransaction>> decode_aborted(std::span<const std::byte> bytes) {
    if (bytes.size() % aborted_entry_bytes != 0) return std::nullopt;
    std::vector<AbortedTransaction> entries;
    for (std::size_t at = 0; at < bytes.size(); at += aborted_entry_bytes) {
        if (wire::load<std::int16_t>(bytes, at) != 0) return std::nullopt;
        const AbortedTransaction entry{base::ProducerId(wire::load<std::int64_t>(bytes, at + 2)),
                                       Offset(wire::load<std::int64_t>(bytes, at + 10)),
                                       Offset(wire::load<std::int64_t>(bytes, at + 18)),
                                       Offset(wire::load<std::int64_t>(bytes, at + 26))};
        if (entry.first > entry.last || entry.first < Offset(0)) return std::nullopt;
        if (!entries.empty() && entry.last <= entries.back().last) return std::nullopt;
        entries.push_back(entry);
    }
    return entries;
}

Result<std::optional<OffsetEntry>, Fault> find_offset(const File& file, std::uint32_t count,
                                                      Offset base, Offset offset) {
    const auto above =
        partition_point(file, count, OffsetEntry::size, [&](std::span<const std::byte> bytes) {
            return offset_entry(bytes, 0, base).last <= offset;
        });
    if (!above) return Unexpected(above.error());
    if (*above == 0) return std::optional<OffsetEntry>();
    return entry_at<OffsetEntry>(file, *above - 1, [&](std::span<const std::byte> bytes) {
        return offset_entry(bytes, 0, base);
    });
}

Result<std::optional<OffsetEntry>, Fault> find_position(const File& file, std::uint32_t count,
                                                        Offset base, std::uint64_t position) {
    const auto below =
        partition_point(file, count, OffsetEntry::size, [&](std::span<const std::byte> bytes) {
            return offset_entry(bytes, 0, base).position < position;
        });
    if (!below) return Unexpected(below.error());
    if (*below == count) return std::optional<OffsetEntry>();
    return entry_at<OffsetEntry>(file, *below, [&](std::span<const std::byte> bytes) {
        return offset_entry(bytes, 0, base);
    });
}

Result<std::optional<TimeEntry>, Fault> find_time_before(const File& file, std::uint32_t count,
                                                         Offset base, std::int64_t timestamp) {
    const auto above =
        partition_point(file, count, TimeEntry::size, [&](std::span<const std::byte> bytes) {
            return time_entry(bytes, 0, base).timestamp < timestamp;
        });
    if (!above) return Unexpected(above.error());
    if (*above == 0) return std::optional<TimeEntry>();
    return entry_at<TimeEntry>(file, *above - 1, [&](std::span<const std::byte> bytes) {
        return time_entry(bytes, 0, base);
    });
}

}  // namespace storage
