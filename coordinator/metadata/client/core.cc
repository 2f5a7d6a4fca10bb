#include "coordinator/metadata/client/core.h"

#include "protocol/base/ensure.h"
#include "protocol/net/buffer.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <cstring>
#include <exception>
#include <limits>
#include <pthread.h>

namespace coordinator {

namespace asio = boost::asio;
namespace jute = zookeeper::jute;
using asio::ip::tcp;
using std::chrono::milliseconds;
using zookeeper::OpCode;

namespace {

constexpr auto as_value = asio::as_tuple(asio::use_awaitable);

constexpr std::int32_t xid_auth = -4;
constexpr std::int32_t xid_set_watches = -8;

// Between two rounds through the servers: at first, and at most.
constexpr milliseconds pause_min{50};
constexpr milliseconds pause_max{1000};

template <class Body>
void write_request(std::vector<std::byte>& out, std::int32_t xid, OpCode type, const Body& body) {
    zookeeper::write_frame(out, [&](wire::Writer& writer) {
        jute::write(writer, zookeeper::RequestHeader{xid, type});
        jute::write(writer, body);
    });
}

std::vector<std::byte> ping_frame() {
    std::vector<std::byte> frame;
    write_request(frame, zookeeper::xid_ping, OpCode::ping, zookeeper::Nothing());
    return frame;
}

zookeeper::AuthRequest record_of(const MetadataClient::Auth& auth) {
    return {0, auth.scheme, auth.auth};
}

}  // namespace

MetadataClient::Core::Core(Settings settings) : settings_(std::move(settings)) {
    if (settings_.resume) key_ = *settings_.resume;
    asio::co_spawn(context_, run(), [](std::exception_ptr broken) {
        // Out of memory: nobody would be answered any more, and nobody would know.
        if (broken) std::rethrow_exception(broken);
    });
    thread_ = std::thread([this] {
        own_thread_ = std::this_thread::get_id();
        ::pthread_setname_np(::pthread_self(), "metadata-client");
        net::keep_buffers();
        context_.run();
    });
}

void MetadataClient::Core::ensure_may_wait() const {
    base::ensure(std::this_thread::get_id() != own_thread_.load(),
                 "the client's own thread does not wait for answers");
}

// ---- From other threads -------------------------------------------------------------------

void MetadataClient::Core::submit(AnyRequest request) {
    {
        const std::lock_guard lock(mutex_);
        if (state_ != State::closed) {
            inbox_.push_back(std::move(request));
            if (std::exchange(inbox_seen_, true)) return;
            asio::post(context_, [this] { take_inbox(); });
            return;
        }
    }
    answer(request, ZkError::connection_loss);
}

void MetadataClient::Core::add_auth(const Auth& auth, std::function<void(Reply&)> done) {
    {
        const std::lock_guard lock(mutex_);
        auth_.push_back(auth);
    }
    submit({.type = OpCode::auth,
            .write = [auth](wire::Writer& writer,
                            const Chroot&) { jute::write(writer, record_of(auth)); },
            .done = std::move(done)});
}

void MetadataClient::Core::reopen() {
    asio::post(context_, [this] {
        if (state_ != State::expired) return;
        {
            const std::lock_guard lock(mutex_);
            key_ = {};
        }
        enter(State::connecting);
        wake_.cancel();
    });
}

void MetadataClient::Core::stop(bool ends_session) {
    ensure_may_wait();
    const std::lock_guard once(stop_mutex_);
    if (!thread_.joinable()) return;
    asio::post(context_, [this, ends_session] {
        if (ends_session && has_session_ && !is_closing_) {
            is_closing_ = true;
            take_inbox();
            waiting_.push_back(
                {.type = OpCode::close_session, .write = [](wire::Writer&, const Chroot&) {}});
            send_waiting();
            return;
        }
        is_stopping_ = true;
        if (link_) link_->close();
        if (connecting_) connecting_->close();
        wake_.cancel();
    });
    thread_.join();
}

MetadataClient::State MetadataClient::Core::wait_settled(milliseconds at_most) {
    ensure_may_wait();
    std::unique_lock lock(mutex_);
    settled_.wait_for(lock, at_most, [&] { return state_ != State::connecting; });
    return state_;
}

// ---- Finding a server ---------------------------------------------------------------------

std::uint64_t MetadataClient::Core::draw(std::uint64_t below) {
    std::uint64_t number = 0;
    settings_.random(std::as_writable_bytes(std::span(&number, 1)));
    return number % below;
}

template <class Range>
void MetadataClient::Core::shuffle(Range& range) {
    for (std::size_t left = range.size(); left > 1; --left) {
        std::swap(range[left - 1], range[draw(left)]);
    }
}

asio::awaitable<void> MetadataClient::Core::run() {
    milliseconds next_pause = pause_min;
    while (!is_stopping_) {
        if (state_ == State::expired || state_ == State::auth_failed) {
            wake_.expires_at(asio::steady_timer::time_point::max());
            co_await wake_.async_wait(as_value);
            continue;
        }
        if (co_await try_servers()) {
            next_pause = pause_min;
            continue;
        }
        if (is_stopping_) break;
        take_inbox();
        fail(ZkError::connection_loss);
        // Clients that lost the same server must not come back to it in step.
        const auto half = static_cast<std::uint64_t>(next_pause.count() / 2);
        wake_.expires_after(milliseconds(half + draw(half + 1)));
        co_await wake_.async_wait(as_value);
        next_pause = std::min(2 * next_pause, pause_max);
    }
    enter(State::closed);
    take_inbox();
    fail(ZkError::connection_loss);
}

// True when one of them gave the session and was lost again, or said that the session is gone.
asio::awaitable<bool> MetadataClient::Core::try_servers() {
    auto servers = settings_.at.servers;
    shuffle(servers);
    // All of them are tried before the session's time is over.
    const auto within =
        milliseconds(settings_.session_timeout_ms / static_cast<int>(servers.size() + 1));
    for (const ServerAddress& server : servers) {
        if (is_stopping_) break;
        if (co_await try_server(server, within)) co_return true;
    }
    co_return false;
}

asio::awaitable<bool> MetadataClient::Core::try_server(const ServerAddress& server,
                                                       milliseconds within) {
    tcp::resolver resolver(context_);
    const auto [unknown, found] =
        co_await resolver.async_resolve(server.host, std::to_string(server.port), as_value);
    if (unknown) co_return false;
    std::vector<tcp::endpoint> endpoints(found.begin(), found.end());
    shuffle(endpoints);
    for (const tcp::endpoint& endpoint : endpoints) {
        if (is_stopping_) break;
        auto socket = std::make_shared<tcp::socket>(context_);
        connecting_ = socket;
        const bool reached = co_await connect(*socket, endpoint, within);
        connecting_ = nullptr;
        if (!reached || is_stopping_) continue;
        {
            const std::lock_guard lock(mutex_);
            server_ = server;
        }
        link_ = std::make_shared<Link>(std::move(*socket), settings_.answer_bytes_max,
                                       [this](std::span<std::byte> frame) { return hear(frame); });
        has_session_ = false;
        link_->beat(within / 2, {});
        link_->send(connect_frame());
        co_await link_->run();
        link_ = nullptr;
        const bool had_session = std::exchange(has_session_, false);
        if (is_closing_) is_stopping_ = true;
        if (state_ != State::connecting && state_ != State::connected) co_return true;
        if (!had_session) continue;
        fail(ZkError::connection_loss);
        if (!is_stopping_) enter(State::connecting);
        co_return true;
    }
    co_return false;
}

asio::awaitable<bool> MetadataClient::Core::connect(tcp::socket& socket, tcp::endpoint to,
                                                    milliseconds within) {
    asio::steady_timer deadline(context_, within);
    deadline.async_wait([held = std::weak_ptr(connecting_)](boost::system::error_code cancelled) {
        const auto late = held.lock();
        boost::system::error_code ignored;
        if (!cancelled && late) late->close(ignored);
    });
    const auto [error] = co_await socket.async_connect(to, as_value);
    co_return !error && socket.is_open();
}

// ---- What a server says -------------------------------------------------------------------

std::vector<std::byte> MetadataClient::Core::connect_frame() const {
    zookeeper::ConnectRequest request;
    request.last_zxid_seen = last_zxid_;
    request.timeout_ms = settings_.session_timeout_ms;
    request.session_id = key_.id.value();
    request.password =
        std::string(reinterpret_cast<const char*>(key_.password.data()), key_.password.size());
    request.read_only = settings_.may_be_read_only;
    std::vector<std::byte> frame;
    zookeeper::write_frame(
        frame, [&](wire::Writer& writer) { zookeeper::write_connect_request(writer, request); });
    return frame;
}

bool MetadataClient::Core::hear(std::span<std::byte> frame) {
    wire::Reader reader(frame);
    if (!has_session_) return hear_session(reader);
    const auto header = jute::read<zookeeper::ReplyHeader>(reader);
    if (reader.failed()) return false;
    if (header.xid == zookeeper::xid_event) return hear_event(header, reader);
    last_zxid_ = std::max(last_zxid_, header.zxid);
    switch (header.xid) {
        case zookeeper::xid_ping:
        case xid_set_watches:
            return true;
        case xid_auth:
            return hear_auth(header);
        default:
            return hear_answer(header, reader);
    }
}

bool MetadataClient::Core::hear_session(wire::Reader& reader) {
    const auto given = zookeeper::read_connect_response(reader);
    if (reader.failed() || !given.password || given.password->size() != sizeof(Password)) {
        return false;
    }
    const bool resumes = key_.id.value() != 0;
    if (given.timeout_ms <= 0 || (resumes && given.session_id != key_.id.value())) {
        lose_session(State::expired, ZkError::session_expired);
        return false;
    }
    {
        const std::lock_guard lock(mutex_);
        key_.id = SessionId(given.session_id);
        std::memcpy(key_.password.data(), given.password->data(), key_.password.size());
        timeout_ms_ = given.timeout_ms;
    }
    has_session_ = true;
    link_->beat(milliseconds(std::max(1, given.timeout_ms / 3)), ping_frame());
    say_again();
    enter(State::connected);
    take_inbox();
    return true;
}

// Who it is and what it watches, ahead of all that waits.
void MetadataClient::Core::say_again() {
    std::vector<std::byte> frames;
    for (const Auth& auth : locked(auth_)) {
        write_request(frames, xid_auth, OpCode::auth, record_of(auth));
        auth_in_flight_.emplace_back();
    }
    for (const auto& packet : watches_.to_set(Zxid(last_zxid_))) {
        // Servers before 3.6 do not know of watches that stay.
        if (packet.persistent->empty() && packet.recursive->empty()) {
            write_request(frames, xid_set_watches, OpCode::set_watches, packet.once);
        } else {
            write_request(frames, xid_set_watches, OpCode::set_watches2, packet);
        }
    }
    if (!frames.empty()) link_->send(std::move(frames));
}

bool MetadataClient::Core::hear_event(const zookeeper::ReplyHeader& header, wire::Reader& reader) {
    const auto told = jute::read<zookeeper::WatcherEvent>(reader);
    if (reader.failed()) return false;
    WatchEvent event{static_cast<EventType>(told.type), told.path, Zxid(header.zxid)};
    watches_.fired(event);
    event.path = chroot().relative(event.path);
    if (settings_.on_event) settings_.on_event(event);
    return true;
}

bool MetadataClient::Core::hear_auth(const zookeeper::ReplyHeader& header) {
    if (auth_in_flight_.empty()) return false;
    AnyRequest said = std::move(auth_in_flight_.front());
    auth_in_flight_.pop_front();
    answer(said, static_cast<ZkError>(header.err));
    if (header.err == 0) return true;
    lose_session(State::auth_failed, ZkError::auth_failed);
    return false;
}

bool MetadataClient::Core::hear_answer(const zookeeper::ReplyHeader& header, wire::Reader& reader) {
    if (in_flight_.empty() || in_flight_.front().xid != header.xid) return false;
    AnyRequest request = std::move(in_flight_.front().request);
    in_flight_.pop_front();
    const auto error = static_cast<ZkError>(header.err);
    if (request.settle) request.settle(watches_, error, chroot());
    Reply reply{error, Zxid(header.zxid), reader, chroot()};
    if (request.done) request.done(reply);
    return request.type != OpCode::close_session;
}

// ---- Requests -----------------------------------------------------------------------------

void MetadataClient::Core::take_inbox() {
    std::vector<AnyRequest> taken;
    {
        const std::lock_guard lock(mutex_);
        inbox_seen_ = false;
        taken.swap(inbox_);
    }
    waiting_.insert(waiting_.end(), std::make_move_iterator(taken.begin()),
                    std::make_move_iterator(taken.end()));
    if (has_session_) {
        send_waiting();
    } else if (state_ == State::expired) {
        fail(ZkError::session_expired);
    } else if (state_ == State::auth_failed) {
        fail(ZkError::auth_failed);
    }
}

std::int32_t MetadataClient::Core::take_xid() {
    // What is below zero has meanings of its own.
    constexpr auto last = std::numeric_limits<std::int32_t>::max();
    return std::exchange(next_xid_, next_xid_ == last ? 1 : next_xid_ + 1);
}

void MetadataClient::Core::send_waiting() {
    if (waiting_.empty()) return;
    std::vector<std::byte> frames;
    while (!waiting_.empty()) {
        AnyRequest request = std::move(waiting_.front());
        waiting_.pop_front();
        const bool is_auth = request.type == OpCode::auth;
        const auto xid = is_auth ? xid_auth : take_xid();
        zookeeper::write_frame(frames, [&](wire::Writer& writer) {
            jute::write(writer, zookeeper::RequestHeader{xid, request.type});
            request.write(writer, chroot());
        });
        if (is_auth) {
            auth_in_flight_.push_back(std::move(request));
        } else {
            in_flight_.push_back({xid, std::move(request)});
        }
    }
    link_->send(std::move(frames));
}

void MetadataClient::Core::answer(AnyRequest& request, ZkError error) {
    wire::Reader nothing{std::span<const std::byte>()};
    Reply reply{error, Zxid(), nothing, chroot()};
    if (request.done) request.done(reply);
}

// Everything that was asked so far; what their callbacks ask is asked anew.
void MetadataClient::Core::fail(ZkError error) {
    auto auth = std::exchange(auth_in_flight_, {});
    auto in_flight = std::exchange(in_flight_, {});
    auto waiting = std::exchange(waiting_, {});
    for (AnyRequest& each : auth) answer(each, error);
    for (InFlight& each : in_flight) answer(each.request, error);
    for (AnyRequest& each : waiting) answer(each, error);
}

void MetadataClient::Core::lose_session(State why, ZkError error) {
    watches_.clear();
    has_session_ = false;
    enter(why);
    fail(error);
}

void MetadataClient::Core::enter(State state) {
    {
        const std::lock_guard lock(mutex_);
        if (state_ == state) return;
        state_ = state;
    }
    settled_.notify_all();
    if (settings_.on_state) settings_.on_state(state);
}

}  // namespace coordinator
