// Blob: immutable bytes that are cheap to copy: a member's metadata or its assignment.
//
// The leader's join answer holds the metadata of every member, and a record of the group
// holds it again; a copy of a Blob is a count.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace coordinator {

class Blob {
public:
    Blob() noexcept = default;
    explicit Blob(std::vector<std::byte> bytes)
        : bytes_(std::make_shared<const std::vector<std::byte>>(std::move(bytes))) {}
    static Blob copied(std::span<const std::byte> bytes) {
        return Blob(std::vector<std::byte>(bytes.begin(), bytes.end()));
    }

    std::span<const std::byte> bytes() const noexcept {
        return bytes_ ? std::span<const std::byte>(*bytes_) : std::span<const std::byte>();
    }
    std::size_t size() const noexcept { return bytes_ ? bytes_->size() : 0; }
    bool empty() const noexcept { return size() == 0; }

    friend bool operator==(const Blob& a, const Blob& b) noexcept {
        return a.bytes_ == b.bytes_ || std::ranges::equal(a.bytes(), b.bytes());
    }

private:
    std::shared_ptr<const std::vector<std::byte>> bytes_;
};

}  // namespace coordinator
