#include "storage/entry_scan.h"

#include <algorithm>

namespace storage {

namespace {

constexpr std::size_t headers_window_bytes = std::size_t{4} << 10;
constexpr std::size_t whole_window_bytes = std::size_t{256} << 10;

}  // namespace

EntryScan::EntryScan(const File& file, std::uint64_t from, std::uint64_t to, Depth depth,
                     base::Offset above)
    : file_(file), position_(from), next_(from), to_(to), depth_(depth), last_(above) {}

// Have `count` bytes from `position` on in the buffer, and some more while at it.
bool EntryScan::load(std::uint64_t position, std::size_t count) {
    if (position >= buffer_from_ && position + count <= buffer_from_ + buffer_bytes_) return true;
    const std::size_t window =
        depth_ == Depth::headers ? headers_window_bytes : whole_window_bytes;
    const std::size_t wanted = static_cast<std::size_t>(
        std::min<std::uint64_t>(std::max(count, window), to_ - position));
    if (buffer_.size() < wanted) buffer_.resize(wanted);
    const auto read = file_.read(position, std::span(buffer_).first(wanted));
    if (!read) {
        fault_ = read.error();
        return false;
    }
    buffer_from_ = position;
    buffer_bytes_ = *read;
    return *read >= count;
}

std::span<const std::byte> EntryScan::loaded(std::uint64_t position, std::size_t count) const {
    return std::span(buffer_).subspan(static_cast<std::size_t>(position - buffer_from_), count);
}

const EntryFacts* EntryScan::next() {
    position_ = next_;
    if (position_ >= to_ || fault_) return nullptr;
    const auto header_bytes =
        static_cast<std::size_t>(std::min<std::uint64_t>(entry_header_bytes, to_ - position_));
    if (!load(position_, header_bytes)) return nullptr;
    const auto facts = read_entry_header(loaded(position_, header_bytes));
    if (!facts || facts->bytes > to_ - position_) return nullptr;
    facts_ = *facts;
    if (depth_ == Depth::whole && bytes().empty()) return nullptr;
    overlaps_ = facts->base <= last_;
    if (overlaps_) return nullptr;
    last_ = facts_.last;
    next_ = position_ + facts_.bytes;
    return &facts_;
}

std::span<const std::byte> EntryScan::bytes() {
    const auto count = static_cast<std::size_t>(facts_.bytes);
    if (!load(position_, count)) return {};
    const auto entry = loaded(position_, count);
    return entry_is_intact(entry) ? entry : std::span<const std::byte>();
}

}  // namespace storage
