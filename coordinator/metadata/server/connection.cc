#include "coordinator/metadata/server/connection.h"

#include "protocol/base/log.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <array>
#include <chrono>
#include <utility>

namespace coordinator {

namespace asio = boost::asio;
using net::NetFault;

namespace {

constexpr auto as_value = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::seconds first_frame_within{10};
constexpr int reads_per_turn = 8;  // Then others on this thread have theirs.

}  // namespace

// ---- Outbox -------------------------------------------------------------------------------

void Outbox::wake(std::unique_lock<std::mutex>& lock) {
    const bool sleeps = !is_closed_ && !std::exchange(woken_, true);
    // Who is woken wants this lock first of all.
    lock.unlock();
    if (sleeps) wake_();
}

void Outbox::put(std::span<const std::byte> bytes) {
    if (is_closed_ || held_.ends) return;
    held_.bytes.insert(held_.bytes.end(), bytes.begin(), bytes.end());
}

void Outbox::tell(std::vector<std::byte> event) {
    std::unique_lock lock(mutex_);
    put(event);
    if (!held_.ends && held_.bytes.size() > Connection::event_bytes_max) {
        held_ = {.bytes = {}, .ends = true, .drops = true, .why = "it does not read its events"};
    }
    wake(lock);
}

void Outbox::answer(std::vector<std::byte> frames, const Answered& what) {
    std::unique_lock lock(mutex_);
    put(frames);
    --in_flight_;
    figures_.answered(what);
    wake(lock);
}

void Outbox::say(const std::string& text) {
    std::unique_lock lock(mutex_);
    put(std::as_bytes(std::span(text)));
    held_.ends = true;
    wake(lock);
}

void Outbox::end(std::string why) {
    std::unique_lock lock(mutex_);
    if (std::exchange(held_.ends, true)) return;
    held_.why = std::move(why);
    wake(lock);
}

Outbox::Taken Outbox::take(bool is_blocked) {
    const std::lock_guard lock(mutex_);
    woken_ = false;
    if (is_blocked && !held_.drops) return {};
    Taken taken = std::move(held_);
    held_.bytes.clear();
    held_.ends = taken.ends;
    return taken;
}

void Outbox::asked() {
    const std::lock_guard lock(mutex_);
    ++in_flight_;
    ++figures_.received;
}

void Outbox::asked_word() {
    const std::lock_guard lock(mutex_);
    ++figures_.received;
}

std::size_t Outbox::in_flight() const {
    const std::lock_guard lock(mutex_);
    return in_flight_;
}

std::size_t Outbox::bytes_held() const {
    const std::lock_guard lock(mutex_);
    return held_.bytes.size();
}

ConnectionFigures Outbox::figures() const {
    const std::lock_guard lock(mutex_);
    return figures_;
}

void Outbox::reset_figures() {
    const std::lock_guard lock(mutex_);
    figures_ = {};
}

void Outbox::close() {
    const std::lock_guard lock(mutex_);
    is_closed_ = true;
    held_ = {};
}

// ---- Connection ---------------------------------------------------------------------------

Connection::Connection(net::Stream stream, const Home& home)
    : stream_(std::move(stream)),
      home_(home),
      reader_(home.frame_bytes_max),
      established_ms_(home.wall_ms()),
      changed_(stream_.executor(), asio::steady_timer::time_point::max()),
      deadline_(stream_.executor(), first_frame_within) {}

void Connection::start() {
    const auto self = shared_from_this();
    // The service thread may still be about to wake a connection that the server has closed.
    outbox_ = std::make_shared<Outbox>([context = home_.context, weak = weak_from_this()] {
        asio::post(*context, [weak] {
            if (const auto connection = weak.lock()) connection->flush();
        });
    });
    dialog_ = std::make_shared<Dialog>(
        *home_.service, home_.statistics, stream_.remote_host(), home_.monotonic_ms,
        Dialog::Outlet{
            [box = outbox_](std::vector<std::byte> event) { box->tell(std::move(event)); },
            [box = outbox_](std::vector<std::byte> frames, const Answered& what) {
                box->answer(std::move(frames), what);
            },
            [box = outbox_](std::string why) { box->end(std::move(why)); },
            [box = outbox_] { return box->bytes_held() > unsent_bytes_max; }});
    dialog_->start();
    asio::co_spawn(stream_.executor(), read_frames(), [self](std::exception_ptr broken) {
        // Out of memory, as a rule: this client pays, the others do not.
        if (broken) self->close("an exception ended the connection");
    });
    asio::co_spawn(stream_.executor(), close_late_comer(), asio::detached);
}

std::string Connection::peer() const {
    const std::string& host = stream_.remote_host();
    return (host.contains(':') ? "[" + host + "]" : host) + ":" +
           std::to_string(stream_.remote_port());
}

ConnectionState Connection::state() const {
    return {.peer = peer(),
            .queued = outbox_->in_flight(),
            .established_ms = established_ms_,
            .timeout_ms = dialog_->timeout_ms(),
            .session = dialog_->session(),
            .figures = outbox_->figures()};
}

bool Connection::is_full() const {
    return outbox_->in_flight() >= requests_in_flight_max ||
           out_.bytes_held() + outbox_->bytes_held() > unsent_bytes_max;
}

asio::awaitable<void> Connection::changed() {
    co_await changed_.async_wait(as_value);
}

void Connection::wake() {
    changed_.cancel();
}

asio::awaitable<void> Connection::close_late_comer() {
    const auto self = shared_from_this();
    const auto [cancelled] = co_await deadline_.async_wait(as_value);
    if (!cancelled && !has_asked_) close("it does not say what it wants");
}

asio::awaitable<void> Connection::read_frames() {
    const auto self = shared_from_this();
    int reads = 0;
    while (reads_) {
        while (reads_ && is_full()) co_await changed();
        if (!reads_) break;
        const auto room = reader_.room();
        const auto got = stream_.read(room);
        if (!got && got.error() != NetFault::would_block) {
            if (!ends_) close("");
            break;
        }
        if (!got) {
            reader_.rest();
            if (!co_await stream_.readable()) break;
            reads = 0;
            continue;
        }
        reader_.received(*got);
        while (reads_) {
            while (reads_ && is_full()) co_await changed();
            if (!reads_) break;
            const auto frame = reader_.next();
            if (!frame) break;
            if (!std::exchange(has_asked_, true)) deadline_.cancel();
            outbox_->asked();
            dialog_->receive(frame->bytes);
        }
        if (reads_ && reader_.fault()) {
            if (has_asked_) {
                close("a frame of " + std::to_string(*reader_.fault()) + " bytes");
                break;
            }
            answer_word(*reader_.fault());
        }
        if (++reads == reads_per_turn) {
            reads = 0;
            co_await asio::post(stream_.executor(), asio::use_awaitable);
        }
    }
}

void Connection::answer_word(std::int32_t first_bytes) {
    reads_ = false;
    has_asked_ = true;
    deadline_.cancel();
    std::string word;
    for (int shift = 24; shift >= 0; shift -= 8) {
        word.push_back(static_cast<char>(static_cast<std::uint32_t>(first_bytes) >> shift & 0xff));
    }
    outbox_->asked_word();
    home_.word(word, reader_.open().subspan(sizeof first_bytes),
               [box = outbox_](const std::string& text) { box->say(text); });
}

void Connection::flush() {
    if (is_closed_) return;
    auto taken = outbox_->take(is_writing_);
    if (taken.drops) return close(taken.why);
    if (!is_writing_) dialog_->resume();
    if (!taken.bytes.empty()) out_.push({std::move(taken.bytes), {}});
    if (taken.ends && !std::exchange(ends_, true)) {
        reads_ = false;
        why_ = std::move(taken.why);
    }
    wake();
    if (is_writing_) return;
    const auto sent = out_.send(stream_);
    if (!sent) return close("");
    if (!*sent) {
        is_writing_ = true;
        asio::co_spawn(stream_.executor(), write_frames(), asio::detached);
        return;
    }
    if (ends_) close(why_);
}

asio::awaitable<void> Connection::write_frames() {
    const auto self = shared_from_this();
    bool gone = false;
    while (!is_closed_) {
        if (!co_await stream_.writable()) break;
        const auto sent = out_.send(stream_);
        gone = !sent;
        if (gone || *sent) break;
        wake();
    }
    is_writing_ = false;
    if (gone) {
        close("");
    } else {
        flush();
    }
}

void Connection::close(const std::string& why) {
    if (std::exchange(is_closed_, true)) return;
    if (!why.empty()) {
        base::log_info("metadata", "Closing the connection of " + peer() + ": " + why);
    }
    reads_ = false;
    outbox_->close();
    dialog_->leave();
    // What it sent and nobody read would make the kernel take back what we sent.
    std::array<std::byte, 4096> rest;
    for (int i = 0; i < 16; ++i) {
        if (!stream_.read(rest)) break;
    }
    stream_.close();
    deadline_.cancel();
    wake();
    home_.ended(*this);
}

}  // namespace coordinator
