#include "protocol/net/frame_reader.h"

#include "protocol/wire/big_endian.h"

#include <algorithm>

namespace net {

namespace {

constexpr std::size_t length_bytes = 4;
constexpr std::size_t shared_capacity = std::size_t{256} << 10;
constexpr std::size_t first_capacity = std::size_t{16} << 10;
constexpr std::size_t large_frame = std::size_t{32} << 10;
constexpr std::size_t trusted_capacity = std::size_t{1} << 20;
constexpr std::size_t room_min = std::size_t{2} << 10;
constexpr std::size_t probe_bytes = std::size_t{4} << 10;

}  // namespace

std::size_t FrameReader::open_frame_bytes() const noexcept {
    if (end_ - begin_ < length_bytes) return 0;
    const auto length = wire::load<std::int32_t>(buffer_->bytes(), begin_);
    return length < 0 ? 0 : static_cast<std::size_t>(length) + length_bytes;
}

std::span<const std::byte> FrameReader::open() const noexcept {
    if (!buffer_) return {};
    return buffer_->bytes().subspan(begin_, end_ - begin_);
}

void FrameReader::move_to(std::size_t capacity) {
    auto next = take_buffer(capacity);
    if (buffer_) std::ranges::copy(buffer_->bytes().subspan(begin_, end_ - begin_), next->bytes().begin());
    buffer_ = std::move(next);
    end_ -= begin_;
    begin_ = 0;
}

std::span<std::byte> FrameReader::room() {
    const std::size_t need = open_frame_bytes();
    if (need >= large_frame) {
        if (begin_ + need > buffer_->capacity() && (begin_ > 0 || end_ == buffer_->capacity() ||
                                                    buffer_->capacity() < trusted_capacity)) {
            const std::size_t held = end_ - begin_;
            move_to(std::min(need, std::max(trusted_capacity, 2 * held)));
        }
        const std::size_t frame_end = std::min(begin_ + need, buffer_->capacity());
        return buffer_->bytes().subspan(end_, frame_end - end_);
    }
    if (!buffer_) {
        move_to(first_capacity);
    } else if (begin_ == end_ && buffer_.use_count() == 1) {
        begin_ = end_ = 0;  // Nothing refers to it: fill it again from the start.
    }
    if (buffer_->capacity() - end_ < std::max(room_min, need - std::min(need, end_ - begin_))) {
        // A buffer that was filled to its end belongs to a peer that sends much.
        move_to(std::max(std::min(buffer_->capacity() * 2, shared_capacity), need + room_min));
    }
    auto room = buffer_->bytes().subspan(end_);
    // Behind a large frame comes another one as a rule: take little more than its length, so
    // that little is copied into the buffer it gets.
    if (last_was_large_ && begin_ == end_) room = room.first(std::min(room.size(), probe_bytes));
    return room;
}

std::optional<Frame> FrameReader::next() {
    if (fault_ || end_ - begin_ < length_bytes) return std::nullopt;
    const auto length = wire::load<std::int32_t>(buffer_->bytes(), begin_);
    if (length < 0 || static_cast<std::uint32_t>(length) > frame_bytes_max_) {
        fault_ = length;
        return std::nullopt;
    }
    const auto size = static_cast<std::size_t>(length);
    if (end_ - begin_ - length_bytes < size) return std::nullopt;
    Frame frame{buffer_, buffer_->bytes().subspan(begin_ + length_bytes, size)};
    begin_ += length_bytes + size;
    last_was_large_ = size >= large_frame;
    if (last_was_large_ && begin_ == end_) rest();
    return frame;
}

void FrameReader::rest() noexcept {
    if (begin_ != end_) return;
    buffer_.reset();
    begin_ = end_ = 0;
}

}  // namespace net
