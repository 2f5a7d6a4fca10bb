// Connection: one client. Requests start in the order they came, are answered in that
// order, and wait beside one another in between.
//
//     read --> [frame][frame][frame] --> start_request(frame) each, in order
//                                            |  |  |
//     write <-- longest ready prefix <-- [ready][ready][ - ][ready]   slots_
//
// Kafka's clients match answers to requests by order, so an answer that is ready early stays
// in its slot until those before it are ready. All frames that one read brought are started
// before anything is written, and all answers that are ready leave in one write.
//
// A request that is ready at once and has nothing before it never gets a slot.
//
// Threads: everything runs on the socket's io_context, which one thread runs; so nothing
// here needs a lock. Lives as long as its coroutines.
//
// Limits: with requests_in_flight_max slots taken, or unsent_bytes_max of answers that the
// client does not read, the connection stops reading: the client's window fills and it waits.
// Who neither reads nor sends for idle_ms, or sends a frame slower than 1 KiB/s, is closed.
#pragma once

#include "broker/api/dispatch.h"
#include "broker/api/session.h"
#include "protocol/net/frame_reader.h"
#include "protocol/net/out_queue.h"
#include "protocol/net/stream.h"

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>

namespace broker {

class Connection : public std::enable_shared_from_this<Connection> {
public:
    using Clock = std::chrono::steady_clock;

    struct Limits {
        std::uint32_t frame_bytes_max = 100 << 20;              // socket.request.max.bytes
        std::size_t requests_in_flight_max = 128;
        std::size_t unsent_bytes_max = std::size_t{4} << 20;
        std::chrono::milliseconds idle{600'000};                // connections.max.idle.ms
    };

    // `ended` is called once, on the connection's thread, when the socket is closed.
    Connection(net::Stream stream, Session session, Limits limits, Services& services,
               std::function<void(Connection&)> ended);

    // Serve the client until it leaves or breaks the protocol.
    void start();

    // Close now; what waits is cancelled. `why` goes to the log unless empty.
    void close(std::string_view why);

    // Close if the client has been idle, or too slow, for too long.
    void sweep(Clock::time_point now);

    const Session& session() const noexcept { return session_; }

private:
    struct Slot {
        net::Frame frame;                     // The request borrows from it.
        std::optional<net::Outgoing> answer;  // Once ready; empty bytes: nobody wants one.
        std::unique_ptr<boost::asio::cancellation_signal> cancel;
    };

    boost::asio::awaitable<void> read_requests();
    boost::asio::awaitable<void> write_answers();
    boost::asio::awaitable<void> changed();
    void start_frame(net::Frame frame);
    void park(net::Frame frame, boost::asio::awaitable<Finished> later);
    void finish(std::uint64_t number, Finished finished);
    void stop_reading(const Closing& closing);
    void flush();
    bool is_full() const noexcept;
    void wake();

    net::Stream stream_;
    Session session_;
    const Limits limits_;
    Services& services_;
    std::function<void(Connection&)> ended_;

    net::FrameReader reader_;
    net::OutQueue out_;
    std::deque<Slot> slots_;         // One per request that could not be answered at once.
    std::uint64_t oldest_ = 0;       // The number of the request in slots_.front().
    bool reads_ = true;              // More requests may come.
    bool is_writing_ = false;        // write_answers() runs.
    bool is_closed_ = false;
    boost::asio::steady_timer changed_;  // Never expires; cancelled at every change.

    Clock::time_point last_active_;
    Clock::time_point open_since_;      // When the frame that is incomplete began.
    bool has_open_frame_ = false;
};

}  // namespace broker
