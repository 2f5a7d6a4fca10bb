#include "coordinator/metadata/client/link.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <utility>

namespace coordinator {

namespace asio = boost::asio;

namespace {

constexpr auto as_value = asio::as_tuple(asio::use_awaitable);
constexpr int silent_beats_max = 2;
constexpr int reads_per_turn = 16;

}  // namespace

Link::Link(asio::ip::tcp::socket socket, std::uint32_t frame_bytes_max, OnFrame on_frame)
    : stream_(std::move(socket)),
      reader_(frame_bytes_max),
      on_frame_(std::move(on_frame)),
      beat_(stream_.executor()) {}

asio::awaitable<void> Link::run() {
    const auto self = shared_from_this();
    int reads = 0;
    while (stream_.is_open()) {
        const auto got = stream_.read(reader_.room());
        if (!got && got.error() == net::NetFault::would_block) {
            reader_.rest();
            if (!co_await stream_.readable()) break;
            reads = 0;
            continue;
        }
        if (!got) break;
        heard_ = true;
        reader_.received(*got);
        while (stream_.is_open()) {
            const auto frame = reader_.next();
            if (!frame) break;
            if (!on_frame_(frame->bytes)) close();
        }
        if (reader_.fault()) break;
        if (++reads == reads_per_turn) {
            // A server that never pauses must not keep requests and beats waiting.
            reads = 0;
            co_await asio::post(stream_.executor(), asio::use_awaitable);
        }
    }
    close();
}

void Link::send(std::vector<std::byte> frames) {
    if (!stream_.is_open()) return;
    out_.push({std::move(frames), {}});
    flush();
}

void Link::flush() {
    if (is_writing_) return;
    const auto sent = out_.send(stream_);
    if (!sent) return close();
    if (*sent) return;
    is_writing_ = true;
    asio::co_spawn(stream_.executor(), write_rest(), asio::detached);
}

asio::awaitable<void> Link::write_rest() {
    const auto self = shared_from_this();
    while (co_await stream_.writable()) {
        const auto sent = out_.send(stream_);
        if (!sent) close();
        if (!sent || *sent) break;
    }
    is_writing_ = false;
}

void Link::beat(std::chrono::milliseconds period, std::vector<std::byte> ping) {
    period_ = period;
    ping_ = std::move(ping);
    beat_.cancel();
    if (std::exchange(is_beating_, true)) return;
    asio::co_spawn(stream_.executor(), keep_alive(), asio::detached);
}

asio::awaitable<void> Link::keep_alive() {
    const auto self = shared_from_this();
    while (stream_.is_open()) {
        beat_.expires_after(period_);
        const auto [cancelled] = co_await beat_.async_wait(as_value);
        if (cancelled) continue;  // Closed, or another period.
        silent_ = std::exchange(heard_, false) ? 0 : silent_ + 1;
        if (silent_ >= silent_beats_max) close();
        if (!ping_.empty()) send(ping_);
    }
}

void Link::close() {
    stream_.close();
    beat_.cancel();
}

}  // namespace coordinator
