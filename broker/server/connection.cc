#include "broker/server/connection.h"

#include "broker/server/machine.h"
#include "protocol/base/ensure.h"
#include "protocol/base/log.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace broker {

namespace asio = boost::asio;
using net::NetFault;

namespace {

constexpr auto as_value = asio::as_tuple(asio::use_awaitable);
constexpr int reads_per_turn = 8;  // Then others on this thread have theirs.
constexpr std::size_t slow_bytes_per_second = 1024;

}  // namespace

Connection::Connection(net::Stream stream, Session session, Limits limits, Services& services,
                       std::function<void(Connection&)> ended)
    : stream_(std::move(stream)),
      session_(std::move(session)),
      limits_(limits),
      services_(services),
      ended_(std::move(ended)),
      reader_(limits.frame_bytes_max),
      changed_(stream_.executor(), asio::steady_timer::time_point::max()),
      last_active_(Clock::now()),
      open_since_(last_active_) {}

void Connection::start() {
    auto self = shared_from_this();
    asio::co_spawn(stream_.executor(), read_requests(), [self](std::exception_ptr broken) {
        // Out of memory, as a rule: this client pays, the others do not.
        if (broken) self->close("an exception ended the connection");
    });
}

bool Connection::is_full() const noexcept {
    return slots_.size() >= limits_.requests_in_flight_max || out_.bytes_held() > limits_.unsent_bytes_max;
}

asio::awaitable<void> Connection::read_requests() {
    const auto self = shared_from_this();
    int reads = 0;
    while (reads_) {
        while (reads_ && is_full()) co_await changed();
        if (!reads_) break;

        const auto room = reader_.room();
        const auto got = stream_.read(room);
        if (!got && got.error() != NetFault::would_block) {
            close("");
            break;
        }
        if (got) {
            last_active_ = Clock::now();
            reader_.received(*got);
            while (reads_) {
                if (is_full()) {
                    flush();
                    while (reads_ && is_full()) co_await changed();
                    continue;
                }
                auto frame = reader_.next();
                if (!frame) break;
                has_open_frame_ = false;
                start_frame(std::move(*frame));
            }
            flush();
            if (reader_.fault()) {
                close("it announced a frame of " + std::to_string(*reader_.fault()) +
                      " bytes, more than socket.request.max.bytes");
                break;
            }
            if (!has_open_frame_ && reader_.open_bytes() > 0) {
                has_open_frame_ = true;
                open_since_ = last_active_;
            }
            if (*got == room.size() && ++reads < reads_per_turn) continue;
        }
        const bool more = got && *got == room.size();
        reads = 0;
        reader_.rest();
        if (more) {
            co_await asio::post(stream_.executor(), asio::use_awaitable);
        } else if (!co_await stream_.readable()) {
            break;
        }
    }
}

void Connection::start_frame(net::Frame frame) {
    Reply reply = start_request(services_, session_, stream_.executor(), frame, wall_ms());
    if (auto* answer = std::get_if<net::Outgoing>(&reply)) {
        if (slots_.empty()) {
            out_.push(std::move(*answer));
        } else {
            slots_.push_back({{}, std::move(*answer), nullptr});
        }
    } else if (auto* later = std::get_if<asio::awaitable<Finished>>(&reply)) {
        park(std::move(frame), std::move(*later));
    } else if (auto* closing = std::get_if<Closing>(&reply)) {
        stop_reading(*closing);
        if (slots_.empty()) {
            flush();
            close("");
        }
    } else {
        base::ensure(std::holds_alternative<NoAnswer>(reply), "a reply is one of four");
    }
}

// What was asked before is still answered.
void Connection::stop_reading(const Closing& closing) {
    if (!closing.why.empty()) {
        base::log_warn("network", "Closing the connection of " + session_.client_host + ": " + closing.why);
    }
    reads_ = false;
    wake();
}

void Connection::park(net::Frame frame, asio::awaitable<Finished> later) {
    const std::uint64_t number = oldest_ + slots_.size();
    auto& slot = slots_.emplace_back();
    slot.frame = std::move(frame);
    slot.cancel = std::make_unique<asio::cancellation_signal>();
    auto done = [self = shared_from_this(), number](std::exception_ptr broken, Finished finished) {
        if (self->is_closed_) return;
        // A handler that could not finish leaves the client without an answer in the middle
        // of its order: only closing is honest.
        if (broken) return self->close("a request could not be finished");
        self->finish(number, std::move(finished));
    };
    asio::co_spawn(stream_.executor(), std::move(later),
                   asio::bind_cancellation_slot(slot.cancel->slot(), std::move(done)));
}

void Connection::finish(std::uint64_t number, Finished finished) {
    auto& slot = slots_[number - oldest_];
    base::ensure(!slot.answer, "a request is answered once");
    auto* const answer = std::get_if<net::Outgoing>(&finished);
    slot.answer = answer ? std::move(*answer) : net::Outgoing();
    if (const auto* closing = std::get_if<Closing>(&finished)) stop_reading(*closing);
    if (number != oldest_) return;
    flush();
    if (!reads_ && !is_closed_ && slots_.empty() && out_.empty()) close("");
}

void Connection::flush() {
    if (is_closed_) return;
    while (!slots_.empty() && slots_.front().answer) {
        if (!slots_.front().answer->bytes.empty()) out_.push(std::move(*slots_.front().answer));
        slots_.pop_front();
        ++oldest_;
    }
    wake();
    if (is_writing_ || out_.empty()) return;
    const auto sent = out_.send(stream_);
    if (!sent) return close("");
    last_active_ = Clock::now();
    if (*sent) return;
    is_writing_ = true;
    asio::co_spawn(stream_.executor(), write_answers(), asio::detached);
}

asio::awaitable<void> Connection::write_answers() {
    const auto self = shared_from_this();
    while (!out_.empty() && !is_closed_) {
        if (!co_await stream_.writable()) break;
        const std::size_t held = out_.bytes_held();
        const auto sent = out_.send(stream_);
        if (!sent) {
            close("");
            break;
        }
        if (out_.bytes_held() != held || *sent) last_active_ = Clock::now();
        wake();
    }
    is_writing_ = false;
    if (!reads_ && !is_closed_ && slots_.empty()) close("");
}

void Connection::close(std::string_view why) {
    if (is_closed_) return;
    is_closed_ = true;
    reads_ = false;
    if (!why.empty()) {
        base::log_warn("network", "Closing the connection of " + session_.client_host + ": " + std::string(why));
    }
    stream_.close();
    wake();
    for (auto& slot : slots_) {
        if (slot.cancel) slot.cancel->emit(asio::cancellation_type::terminal);
    }
    if (ended_) std::exchange(ended_, nullptr)(*this);
}

void Connection::sweep(Clock::time_point now) {
    if (is_closed_) return;
    if (has_open_frame_ && !is_full()) {
        const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now - open_since_).count();
        // The first ten seconds are free: a frame may come in bursts.
        if (seconds > 10 && reader_.open_bytes() < slow_bytes_per_second * static_cast<std::size_t>(seconds)) {
            return close("it sends a request at less than 1 KiB/s");
        }
    }
    const bool waits_for_us = !slots_.empty() && out_.empty();
    if (!waits_for_us && now - last_active_ > limits_.idle) close("");
}

void Connection::wake() {
    changed_.cancel();
}

asio::awaitable<void> Connection::changed() {
    co_await changed_.async_wait(as_value);
}

}  // namespace broker
