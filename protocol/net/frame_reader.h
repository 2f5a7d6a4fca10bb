// FrameReader: cuts a byte stream into frames. Kafka and ZooKeeper both put a four-byte
// big-endian length before each, so one class serves both.
//
//     auto room = reader.room();                  where the socket puts the next bytes
//     reader.received(count);                     how many came
//     while (auto frame = reader.next()) …        every whole frame that is there
//     if (reader.fault()) …                       after the last good one: close
//
// A frame of 32 KiB or more gets a buffer of its own and is read to its end exactly, so
// that its bytes are never copied from one buffer to another; smaller ones share buffers.
//
// Threads: none of its own; it does no I/O.
//
// Limits: memory grows with the bytes that came, not with the length announced: beyond
// 1 MiB a buffer is at most twice what it holds.
#pragma once

#include "protocol/net/buffer.h"

#include <cstdint>
#include <optional>

namespace net {

// One message without its length. The bytes are the holder's to change.
struct Frame {
    std::shared_ptr<Buffer> buffer;
    std::span<std::byte> bytes;
};

class FrameReader {
public:
    // `frame_bytes_max`: socket.request.max.bytes.
    explicit FrameReader(std::uint32_t frame_bytes_max) noexcept : frame_bytes_max_(frame_bytes_max) {}

    // Where the next bytes go; never empty.
    std::span<std::byte> room();

    // Requires count <= the size of the last room().
    void received(std::size_t count) noexcept { end_ += count; }

    // The next whole frame; nothing when it has not come yet, or after a fault.
    std::optional<Frame> next();

    // The length that a peer announced and that is negative or over the limit.
    std::optional<std::int32_t> fault() const noexcept { return fault_; }

    // What has come and was not handed out.
    std::span<const std::byte> open() const noexcept;

    // Bytes of a frame that has begun and is not complete.
    std::size_t open_bytes() const noexcept { return end_ - begin_; }

    // The length of the frame that has begun, its four bytes included; 0 when unknown.
    std::size_t open_frame_bytes() const noexcept;

    // Let go of the buffer if nothing is in it: an idle connection costs no buffer.
    void rest() noexcept;

private:
    void move_to(std::size_t capacity);

    const std::uint32_t frame_bytes_max_;
    std::shared_ptr<Buffer> buffer_;
    std::size_t begin_ = 0;  // Of what is not yet handed out.
    std::size_t end_ = 0;    // Of what has come.
    bool last_was_large_ = false;
    std::optional<std::int32_t> fault_;
};

}  // namespace net
