#include "coordinator/metadata/client/client.h"

#include "coordinator/metadata/client/link.h"
#include "coordinator/metadata/path.h"
#include "protocol/base/ensure.h"
#include "protocol/net/buffer.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <exception>
#include <limits>
#include <mutex>
#include <pthread.h>
#include <thread>

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

// Everything but the future-like face. What has no lock is the client thread's.
class MetadataClient::Core {
public:
    explicit Core(Settings settings) : settings_(std::move(settings)) {
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

    ~Core() { stop(false); }

    void submit(AnyRequest request);
    void add_auth(const Auth& auth, std::function<void(Reply&)> done);
    void reopen();
    void stop(bool ends_session);
    State wait_settled(milliseconds at_most);

    State state() const { return locked(state_); }
    SessionKey session() const { return locked(key_); }
    std::int32_t timeout_ms() const { return locked(timeout_ms_); }
    ServerAddress server() const { return locked(server_); }
    const Chroot& chroot() const { return settings_.at.chroot; }

    void ensure_may_wait() const {
        base::ensure(std::this_thread::get_id() != own_thread_.load(),
                     "the client's own thread does not wait for answers");
    }

private:
    struct InFlight {
        std::int32_t xid;
        AnyRequest request;
    };
    template <class T>
    T locked(const T& value) const {
        const std::lock_guard lock(mutex_);
        return value;
    }

    asio::awaitable<void> run();
    asio::awaitable<bool> try_servers();
    asio::awaitable<bool> try_server(const ServerAddress& server, milliseconds within);
    asio::awaitable<bool> connect(tcp::socket& socket, tcp::endpoint to, milliseconds within);
    std::uint64_t draw(std::uint64_t below);
    template <class Range>
    void shuffle(Range& range);

    bool hear(std::span<std::byte> frame);
    bool hear_session(wire::Reader& reader);
    bool hear_event(const zookeeper::ReplyHeader& header, wire::Reader& reader);
    bool hear_answer(const zookeeper::ReplyHeader& header, wire::Reader& reader);
    bool hear_auth(const zookeeper::ReplyHeader& header);
    std::vector<std::byte> connect_frame() const;
    void say_again();

    void take_inbox();
    void send_waiting();
    std::int32_t take_xid();
    void answer(AnyRequest& request, ZkError error);
    void fail(ZkError error);
    void lose_session(State why, ZkError error);
    void enter(State state);

    const Settings settings_;
    asio::io_context context_{1};
    asio::steady_timer wake_{context_, asio::steady_timer::time_point::max()};
    std::shared_ptr<tcp::socket> connecting_;  // While it is being connected.
    std::shared_ptr<Link> link_;
    bool has_session_ = false;  // On link_.
    bool is_stopping_ = false;
    bool is_closing_ = false;  // The session is being ended.
    std::int32_t next_xid_ = 1;
    std::int64_t last_zxid_ = 0;
    std::deque<AnyRequest> auth_in_flight_;
    std::deque<AnyRequest> waiting_;
    std::deque<InFlight> in_flight_;
    WatchBook watches_;

    mutable std::mutex mutex_;
    std::condition_variable settled_;
    std::vector<Auth> auth_ = settings_.auth;
    std::vector<AnyRequest> inbox_;
    bool inbox_seen_ = false;  // take_inbox() is on its way.
    State state_ = State::connecting;
    SessionKey key_{};
    std::int32_t timeout_ms_ = 0;
    ServerAddress server_;

    std::atomic<std::thread::id> own_thread_;
    std::mutex stop_mutex_;
    std::thread thread_;
};

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

// ---- MetadataClient -----------------------------------------------------------------------

MetadataClient::MetadataClient(Settings settings)
    : core_(std::make_unique<Core>(std::move(settings))) {}

MetadataClient::~MetadataClient() = default;

void MetadataClient::stop() {
    core_->stop(false);
}

void MetadataClient::close() {
    core_->stop(true);
}

void MetadataClient::reopen() {
    core_->reopen();
}

MetadataClient::State MetadataClient::wait_settled(milliseconds at_most) {
    return core_->wait_settled(at_most);
}

MetadataClient::State MetadataClient::state() const {
    return core_->state();
}

SessionKey MetadataClient::session() const {
    return core_->session();
}

std::int32_t MetadataClient::timeout_ms() const {
    return core_->timeout_ms();
}

ServerAddress MetadataClient::server() const {
    return core_->server();
}

void MetadataClient::submit_raw(AnyRequest request) {
    core_->submit(std::move(request));
}

void MetadataClient::ensure_may_wait() const {
    core_->ensure_may_wait();
}

namespace {

// The parents of a path below "/", from the top.
std::vector<std::string> parents_of(const std::string& path) {
    std::vector<std::string> parents;
    for (auto at = path.find('/', 1); at != path.npos; at = path.find('/', at + 1)) {
        parents.push_back(path.substr(0, at));
    }
    return parents;
}

Request<Outcome> create_parent(std::string path) {
    std::vector<Op> ops;
    ops.push_back(Create{.path = std::move(path)});
    return request::commit(std::move(ops));
}

// A transaction, and again after the parents that it lacked were made.
class Attempt : public std::enable_shared_from_this<Attempt> {
public:
    Attempt(MetadataClient& client, std::vector<Op> ops, std::function<void(const Outcome&)> done)
        : client_(client), ops_(std::move(ops)), done_(std::move(done)), left_(ops_.size()) {}

    void begin() {
        client_.submit<Outcome>(request::commit(ops_), [self = shared_from_this()](
                                                           base::Result<Outcome, ZkError> answer) {
            self->judge(answer ? *answer : base::Unexpected(Refused{answer.error(), 0}));
        });
    }

private:
    void judge(const Outcome& outcome) {
        if (outcome || outcome.error().error != ZkError::no_node || left_ == 0) {
            return done_(outcome);
        }
        const auto* create = std::get_if<Create>(&ops_[outcome.error().at]);
        if (!create || !create->with_parents) return done_(outcome);
        --left_;
        // Those that are there already say so; what else fails, the next attempt tells.
        for (std::string& parent : parents_of(create->path)) {
            client_.submit<Outcome>(create_parent(std::move(parent)), [](auto&&) {});
        }
        begin();
    }

    MetadataClient& client_;
    const std::vector<Op> ops_;
    const std::function<void(const Outcome&)> done_;
    std::size_t left_;  // Attempts: each makes the parents of one op.
};

}  // namespace

void MetadataClient::submit(std::vector<Op> ops, std::function<void(const Outcome&)> done) {
    std::make_shared<Attempt>(*this, std::move(ops), std::move(done))->begin();
}

Outcome MetadataClient::submit_and_wait(std::vector<Op> ops) {
    ensure_may_wait();
    const auto promise = std::make_shared<std::promise<Outcome>>();
    auto future = promise->get_future();
    submit(std::move(ops), [promise](const Outcome& outcome) { promise->set_value(outcome); });
    return future.get();
}

void MetadataClient::add_auth(const Auth& auth, Done<std::monostate> done) {
    core_->add_auth(auth, [done = std::move(done)](Reply& reply) {
        if (!done) return;
        if (reply.error != ZkError::ok) return done(base::Unexpected(reply.error));
        done(std::monostate());
    });
}

base::Result<void, ZkError> MetadataClient::make_chroot() {
    const std::string path = core_->chroot().path();
    if (path.empty()) return {};
    auto wanted = parents_of(path);
    wanted.push_back(path);
    std::vector<Request<Outcome>> requests;
    for (std::string& each : wanted) {
        auto made = create_parent(std::move(each));
        made.raw.write = [write = std::move(made.raw.write)](wire::Writer& writer, const Chroot&) {
            write(writer, Chroot());
        };
        requests.push_back(std::move(made));
    }
    ZkError error = ZkError::ok;
    for (const auto& answer : ask_all(std::move(requests))) {
        error = answer ? ZkError::ok : answer.error();
    }
    if (error == ZkError::ok || error == ZkError::node_exists) return {};
    return base::Unexpected(error);
}

std::string to_string(MetadataClient::State state) {
    switch (state) {
        case MetadataClient::State::connecting:
            return "connecting";
        case MetadataClient::State::connected:
            return "connected";
        case MetadataClient::State::expired:
            return "expired";
        case MetadataClient::State::auth_failed:
            return "auth_failed";
        case MetadataClient::State::closed:
            break;
    }
    return "closed";
}

}  // namespace coordinator
