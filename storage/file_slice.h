// FileSlice: a range of a segment file as the payload of an answer.
//
// It holds the descriptor and the segment, so neither the descriptor cache nor the deletion
// of the file takes the bytes away under a sender. A truncation of the log voids it.
#pragma once

#include "protocol/wire/payload.h"
#include "storage/segment.h"

namespace storage {

class FileSlice final : public wire::Slice {
public:
    FileSlice(std::shared_ptr<const Segment> segment, std::shared_ptr<File> file,
              std::uint64_t position, std::size_t size, std::uint32_t generation)
        : segment_(std::move(segment)), file_(std::move(file)), position_(position), size_(size),
          generation_(generation) {}

    std::size_t size() const noexcept override { return size_; }

    [[nodiscard]] bool read(std::size_t at, std::span<std::byte> into) const override {
        const auto count = file_->read(position_ + at, into);
        return count && *count == into.size() && still_holds();
    }

    std::optional<FileRange> file() const noexcept override {
        if (file_->descriptor() < 0) return std::nullopt;
        return FileRange{file_->descriptor(), position_};
    }

    bool still_holds() const noexcept override { return segment_->generation() == generation_; }

private:
    std::shared_ptr<const Segment> segment_;
    std::shared_ptr<File> file_;
    std::uint64_t position_;
    std::size_t size_;
    std::uint32_t generation_;
};

}  // namespace storage
