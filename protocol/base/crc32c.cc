#include "protocol/base/crc32c.h"

#include <isa-l/crc.h>

#include <algorithm>

namespace base {

std::uint32_t crc32c(std::span<const std::byte> bytes) noexcept {
    // ISA-L chooses the widest instructions that the processor has, at run time. It
    // takes the bytes as writable and an int for the length, and changes neither.
    constexpr std::size_t piece_bytes = std::size_t{1} << 30;
    std::uint32_t crc = ~std::uint32_t{0};
    while (!bytes.empty()) {
        const auto piece = bytes.first(std::min(bytes.size(), piece_bytes));
        auto* data = const_cast<unsigned char*>(reinterpret_cast<const unsigned char*>(piece.data()));
        crc = crc32_iscsi(data, static_cast<int>(piece.size()), crc);
        bytes = bytes.subspan(piece.size());
    }
    return ~crc;
}

}  // namespace base
