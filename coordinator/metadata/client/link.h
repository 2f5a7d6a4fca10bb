// Link: a client's one connection to one server: frames out, frames in, and silence noticed.
//
// It beats: once a period it sends what it was given to send (a ping), and when for two
// periods nothing at all came it takes the server for dead and closes. With a third of the
// session's time-out as period, the last third is left to find another server.
//
// Threads: all calls on the thread of the socket's io_context.
//
// Limits: a frame has at most frame_bytes_max bytes, and costs memory as it comes. What is
// sent and not taken by the socket is bounded by the client's requests in flight.
#pragma once

#include "protocol/net/frame_reader.h"
#include "protocol/net/out_queue.h"
#include "protocol/net/stream.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace coordinator {

class Link : public std::enable_shared_from_this<Link> {
public:
    // Called with each frame; false ends the connection.
    using OnFrame = std::function<bool(std::span<std::byte>)>;

    Link(boost::asio::ip::tcp::socket socket, std::uint32_t frame_bytes_max, OnFrame on_frame);

    // Reads until somebody closes. OnFrame is not called any more when it returns.
    boost::asio::awaitable<void> run();

    void send(std::vector<std::byte> frames);

    // From now on. `ping` may be empty: then only silence is noticed.
    void beat(std::chrono::milliseconds period, std::vector<std::byte> ping);

    void close();

private:
    boost::asio::awaitable<void> keep_alive();
    boost::asio::awaitable<void> write_rest();
    void flush();

    net::Stream stream_;
    net::FrameReader reader_;
    net::OutQueue out_;
    const OnFrame on_frame_;
    bool is_writing_ = false;
    bool is_beating_ = false;
    bool heard_ = false;  // Anything since the last beat.
    int silent_ = 0;      // Beats since then.
    std::chrono::milliseconds period_{0};
    std::vector<std::byte> ping_;
    boost::asio::steady_timer beat_;
};

}  // namespace coordinator
