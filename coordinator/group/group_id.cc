#include "coordinator/group/group_id.h"

#include "protocol/base/ensure.h"

#include <limits>

namespace coordinator {

namespace {

constexpr std::uint32_t replacement = 0xfffd;

// Take one code point off the front. Not UTF-8: one byte, as U+FFFD.
std::uint32_t take_code_point(std::string_view& text) noexcept {
    const auto byte = [&](std::size_t at) {
        return static_cast<std::uint32_t>(static_cast<unsigned char>(text[at]));
    };
    const std::uint32_t first = byte(0);
    const std::size_t size = first < 0x80             ? 1
                             : (first >> 5) == 0x6  ? 2
                             : (first >> 4) == 0xe  ? 3
                             : (first >> 3) == 0x1e ? 4
                                                    : 0;
    std::uint32_t point = size <= 1 ? first : first & (0x7fu >> size);
    bool valid = size != 0 && size <= text.size();
    for (std::size_t at = 1; valid && at < size; ++at) {
        valid = (byte(at) >> 6) == 0x2;
        point = (point << 6) | (byte(at) & 0x3f);
    }
    constexpr std::uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    valid = valid && point >= smallest[size] && point <= 0x10ffff && (point >> 11) != 0x1b;
    text.remove_prefix(valid ? size : 1);
    return valid ? point : replacement;
}

}  // namespace

std::int32_t java_hash(std::string_view text) noexcept {
    std::uint32_t hash = 0;
    while (!text.empty()) {
        const std::uint32_t point = take_code_point(text);
        if (point < 0x10000) {
            hash = 31 * hash + point;
        } else {
            hash = 31 * hash + (0xd800 + ((point - 0x10000) >> 10));
            hash = 31 * hash + (0xdc00 + ((point - 0x10000) & 0x3ff));
        }
    }
    return static_cast<std::int32_t>(hash);
}

base::PartitionIndex partition_of(std::string_view id, std::int32_t partitions) noexcept {
    base::ensure(partitions > 0, "an internal topic has partitions");
    const std::int32_t hash = java_hash(id);
    if (hash == std::numeric_limits<std::int32_t>::min()) return base::PartitionIndex(0);
    return base::PartitionIndex((hash < 0 ? -hash : hash) % partitions);
}

}  // namespace coordinator
