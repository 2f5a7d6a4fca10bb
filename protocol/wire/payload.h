// Payload: the BYTES or RECORDS of a message: borrowed from a frame, owned, or slices of
// files that nobody has read yet.
//
// A Produce's payload borrows from the frame and is written from there; a Fetch's answer
// is made of slices, which the socket sends by sendfile or reads (protocol/net).
#pragma once

#include "protocol/base/ensure.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace wire {

// A range of bytes that lies somewhere else, in a file as a rule. Immutable while held.
class Slice {
public:
    virtual ~Slice() = default;

    virtual std::size_t size() const noexcept = 0;

    // Copy the bytes from `at` on into all of `into`. False when they are gone (the file
    // was truncated or cannot be read): the answer then cannot be completed.
    // Requires at + into.size() <= size().
    [[nodiscard]] virtual bool read(std::size_t at, std::span<std::byte> into) const = 0;

    struct FileRange {
        int descriptor;          // Stays open while the slice lives.
        std::uint64_t position;  // Of the slice's first byte.
    };

    // Where sendfile finds the bytes; nothing when only read() has them.
    virtual std::optional<FileRange> file() const noexcept { return std::nullopt; }

    // Asked after the bytes were sent: false when the file was truncated meanwhile, so
    // that what went out may be something else and the connection has to be closed.
    virtual bool still_holds() const noexcept { return true; }
};

class Payload {
public:
    Payload() noexcept = default;  // Empty, not null.
    Payload(std::vector<std::byte> bytes)
        : owned_(std::make_shared<std::vector<std::byte>>(std::move(bytes))), bytes_(*owned_) {}

    static Payload null() noexcept {
        Payload made;
        made.null_ = true;
        return made;
    }

    // Requires that the bytes outlive this Payload and every copy of it.
    static Payload borrowed(std::span<std::byte> bytes) noexcept {
        Payload made;
        made.bytes_ = bytes;
        return made;
    }

    static Payload copied(std::span<const std::byte> bytes) {
        return Payload(std::vector<std::byte>(bytes.begin(), bytes.end()));
    }

    // Add a slice behind what is there. Requires that it holds no bytes of its own.
    void append(std::shared_ptr<const Slice> slice) {
        base::ensure(bytes_.empty(), "a payload is bytes or slices, never both");
        null_ = false;
        slices_bytes_ += slice->size();
        slices_.push_back(std::move(slice));
    }

    bool is_null() const noexcept { return null_; }
    bool empty() const noexcept { return size() == 0; }
    std::size_t size() const noexcept { return bytes_.size() + slices_bytes_; }

    // The bytes held in memory; those of a decoded message lie in its frame, which the
    // reader of the message owns, so they may be changed in place.
    std::span<std::byte> bytes() const noexcept { return bytes_; }
    const std::vector<std::shared_ptr<const Slice>>& slices() const noexcept { return slices_; }

    // Compares what is in memory; slices by identity.
    friend bool operator==(const Payload& a, const Payload& b) noexcept {
        return a.null_ == b.null_ && std::ranges::equal(a.bytes_, b.bytes_) && a.slices_ == b.slices_;
    }

private:
    std::shared_ptr<std::vector<std::byte>> owned_;
    std::span<std::byte> bytes_;
    std::vector<std::shared_ptr<const Slice>> slices_;
    std::size_t slices_bytes_ = 0;
    bool null_ = false;
};

}  // namespace wire
