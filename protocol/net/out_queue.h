// OutQueue: answers on their way out, in order, as bytes and slices of files.
//
//     push(answer) ... push(answer) --> [bytes][slice][bytes][bytes] --> one writev, sendfile, …
//
// Slices of 16 KiB and more go by sendfile with the bytes before them held back for the same
// packet; smaller ones are read and travel with the bytes around them.
//
// Threads: the connection's.
#pragma once

#include "protocol/net/stream.h"
#include "protocol/wire/writer.h"

#include <deque>
#include <vector>

namespace net {

// One frame to send, its length included, and the slices that stand between its bytes.
struct Outgoing {
    std::vector<std::byte> bytes;
    std::vector<wire::Splice> splices;  // Ascending.
};

class OutQueue {
public:
    void push(Outgoing frame);

    // Send until all is gone (true) or the socket takes no more (false). Faults: closed,
    // reset, and slice_gone, after which the stream must be closed: half an answer is out.
    [[nodiscard]] base::Result<bool, NetFault> send(Stream& stream);

    bool empty() const noexcept { return pieces_.empty(); }

    // Bytes that wait in memory; slices cost none.
    std::size_t bytes_held() const noexcept { return bytes_held_; }

private:
    struct Piece {
        std::vector<std::byte> bytes;              // When slice is null.
        std::shared_ptr<const wire::Slice> slice;
        std::size_t done = 0;                      // Of it, how much is sent.
    };

    [[nodiscard]] base::Result<void, NetFault> send_bytes(Stream& stream);
    [[nodiscard]] base::Result<void, NetFault> send_slice(Stream& stream);
    void push_bytes(std::vector<std::byte> bytes);
    void push_slice(std::shared_ptr<const wire::Slice> slice);

    std::deque<Piece> pieces_;
    std::size_t bytes_held_ = 0;
};

}  // namespace net
