#include "protocol/net/out_queue.h"

#include <algorithm>
#include <array>

namespace net {

using base::Result;
using base::Unexpected;

namespace {

constexpr std::size_t sendfile_min = std::size_t{16} << 10;
constexpr std::size_t read_piece = std::size_t{64} << 10;
constexpr std::size_t pieces_per_write = 64;

}  // namespace

void OutQueue::push_bytes(std::vector<std::byte> bytes) {
    if (bytes.empty()) return;
    bytes_held_ += bytes.size();
    pieces_.push_back({std::move(bytes), nullptr, 0});
}

void OutQueue::push_slice(std::shared_ptr<const wire::Slice> slice) {
    if (slice->size() > 0) pieces_.push_back({{}, std::move(slice), 0});
}

void OutQueue::push(Outgoing frame) {
    if (frame.splices.empty()) return push_bytes(std::move(frame.bytes));
    std::size_t from = 0;
    for (auto& splice : frame.splices) {
        const auto begin = frame.bytes.begin();
        push_bytes({begin + static_cast<std::ptrdiff_t>(from), begin + static_cast<std::ptrdiff_t>(splice.at)});
        from = splice.at;
        push_slice(std::move(splice.slice));
    }
    push_bytes({frame.bytes.begin() + static_cast<std::ptrdiff_t>(from), frame.bytes.end()});
}

Result<bool, NetFault> OutQueue::send(Stream& stream) {
    while (!pieces_.empty()) {
        const auto sent = pieces_.front().slice ? send_slice(stream) : send_bytes(stream);
        if (sent) continue;
        if (sent.error() == NetFault::would_block) return false;
        return Unexpected(sent.error());
    }
    return true;
}

// Send the run of bytes at the front in one call.
Result<void, NetFault> OutQueue::send_bytes(Stream& stream) {
    std::array<iovec, pieces_per_write> pieces;
    std::size_t count = 0;
    auto each = pieces_.begin();
    for (; each != pieces_.end() && !each->slice && count < pieces.size(); ++each, ++count) {
        pieces[count] = {each->bytes.data() + each->done, each->bytes.size() - each->done};
    }
    const auto wrote = stream.write(std::span(pieces).first(count), each != pieces_.end());
    if (!wrote) return Unexpected(wrote.error());
    std::size_t left = *wrote;
    while (left > 0) {
        auto& front = pieces_.front();
        const std::size_t rest = front.bytes.size() - front.done;
        const std::size_t taken = std::min(left, rest);
        front.done += taken;
        left -= taken;
        bytes_held_ -= taken;
        if (taken == rest) pieces_.pop_front();
    }
    return {};
}

Result<void, NetFault> OutQueue::send_slice(Stream& stream) {
    auto& front = pieces_.front();
    const auto& slice = *front.slice;
    const std::size_t rest = slice.size() - front.done;
    const auto range = slice.file();
    if (range && stream.sends_files() && rest >= sendfile_min) {
        const auto sent = stream.send_file(range->descriptor, range->position + front.done, rest);
        if (!sent) return Unexpected(sent.error());
        if (!slice.still_holds()) return Unexpected(NetFault::slice_gone);
        front.done += *sent;
        if (front.done == slice.size()) pieces_.pop_front();
        return {};
    }
    // Read a piece of it, which then goes out with the bytes around it.
    std::vector<std::byte> bytes(std::min(rest, read_piece));
    if (!slice.read(front.done, bytes) || !slice.still_holds()) return Unexpected(NetFault::slice_gone);
    front.done += bytes.size();
    if (front.done == slice.size()) pieces_.pop_front();
    bytes_held_ += bytes.size();
    pieces_.push_front({std::move(bytes), nullptr, 0});
    return {};
}

}  // namespace net
