#include "coordinator/metadata/server/connection.h"

#include "protocol/base/log.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>

#include <array>
#include <utility>

namespace coordinator {

namespace asio = boost::asio;
using net::NetFault;

namespace {

constexpr int reads_per_turn = 8;  // Then others on this thread have theirs.

}  // namespace

// ---- Outbox -------------------------------------------------------------------------------

void Outbox::wake(std::unique_lock<std::mutex>& lock) {
    const bool sleeps = !is_closed_ && !std::exchange(woken_, true);
    // Who is woken wants this lock first of all.
    lock.unlock();
    if (!sleeps) return;
    asio::post(*context_, [weak = connection_] {
        if (const auto connection = weak.lock()) connection->flush();
    });
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

bool Outbox::is_full() const {
    return bytes_held() > Connection::unsent_bytes_max;
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
      established_ms_(home.wall_ms()) {}

void Connection::start() {
    outbox_ = std::make_shared<Outbox>(home_.context, weak_from_this());
    dialog_ = std::make_shared<Dialog>(*home_.service, home_.statistics, stream_.remote_host(),
                                       home_.monotonic_ms, outbox_);
    dialog_->start();
    silent_ = home_.doorway->enter(*this);
    read_on();
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
           (out_ ? out_->bytes_held() : 0) + outbox_->bytes_held() > unsent_bytes_max;
}

void Connection::has_asked() {
    if (silent_) home_.doorway->leave(*std::exchange(silent_, std::nullopt));
}

// As far as what is there goes; then flush(), the socket or the next turn of this thread goes on.
void Connection::read_frames() {
    for (int reads = 0; take_frames(); ++reads) {
        if (reads == reads_per_turn) {
            asio::post(stream_.executor(), [self = shared_from_this()] { self->read_on(); });
            return;
        }
        const auto got = stream_.read(reader_.room());
        if (got) {
            reader_.received(*got);
            continue;
        }
        if (got.error() != NetFault::would_block) {
            if (ends_) return;
            home_.statistics->count(&Statistics::Figures::connections_dropped);
            return close("");
        }
        reader_.rest();
        stream_.when_readable([self = shared_from_this()](bool is_open) {
            if (is_open) self->read_on();
        });
        return;
    }
}

void Connection::read_on() {
    try {
        read_frames();
    } catch (...) {
        // Out of memory, as a rule: this client pays, the others do not.
        close("an exception ended the connection");
    }
}

// False when nothing is to be read for now, or any more.
bool Connection::take_frames() {
    while (reads_) {
        is_paused_ = is_full();
        if (is_paused_) return false;
        const auto frame = reader_.next();
        if (!frame) break;
        has_asked();
        outbox_->asked();
        dialog_->receive(frame->bytes);
    }
    if (reads_ && reader_.fault()) {
        if (silent_) {
            answer_word(*reader_.fault());
        } else {
            close("a frame of " + std::to_string(*reader_.fault()) + " bytes");
        }
    }
    return reads_;
}

void Connection::answer_word(std::int32_t first_bytes) {
    reads_ = false;
    has_asked();
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
    if (!taken.bytes.empty()) {
        if (!out_) out_ = std::make_unique<net::OutQueue>();
        out_->push({std::move(taken.bytes), {}});
    }
    if (taken.ends && !std::exchange(ends_, true)) {
        reads_ = false;
        why_ = std::move(taken.why);
    }
    if (out_ && !is_writing_) {
        const auto sent = out_->send(stream_);
        if (!sent) return close("");
        is_writing_ = !*sent;
        if (is_writing_) {
            asio::co_spawn(stream_.executor(), write_frames(), asio::detached);
        } else {
            out_.reset();
        }
    }
    if (!out_ && ends_) return close(why_);
    if (is_paused_) read_on();
}

asio::awaitable<void> Connection::write_frames() {
    const auto self = shared_from_this();
    bool gone = false;
    while (!is_closed_) {
        if (!co_await stream_.writable()) break;
        const auto sent = out_->send(stream_);
        gone = !sent;
        if (gone || *sent) break;
        if (is_paused_) read_on();
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
    has_asked();
    home_.ended(*this);
}

}  // namespace coordinator
