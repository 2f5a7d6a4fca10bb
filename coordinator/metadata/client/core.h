// Core: what a MetadataClient does on its own thread: find a server, keep the session, match
// answers with requests.
//
// For client.cc only. What is not under mutex_ belongs to the client's thread.
#pragma once

#include "coordinator/metadata/client/client.h"
#include "coordinator/metadata/client/link.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace coordinator {

class MetadataClient::Core {
public:
    explicit Core(Settings settings);
    ~Core() { stop(false); }

    void submit(AnyRequest request);
    void add_auth(const Auth& auth, std::function<void(Reply&)> done);
    void reopen();
    void stop(bool ends_session);
    State wait_settled(std::chrono::milliseconds at_most);

    State state() const { return locked(state_); }
    SessionKey session() const { return locked(key_); }
    std::int32_t timeout_ms() const { return locked(timeout_ms_); }
    ServerAddress server() const { return locked(server_); }
    const Chroot& chroot() const { return settings_.at.chroot; }

    void ensure_may_wait() const;

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

    boost::asio::awaitable<void> run();
    boost::asio::awaitable<bool> try_servers();
    boost::asio::awaitable<bool> try_server(const ServerAddress& server,
                                            std::chrono::milliseconds within);
    boost::asio::awaitable<bool> connect(boost::asio::ip::tcp::socket& socket,
                                         boost::asio::ip::tcp::endpoint to,
                                         std::chrono::milliseconds within);
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
    boost::asio::io_context context_{1};
    boost::asio::steady_timer wake_{context_, boost::asio::steady_timer::time_point::max()};
    std::shared_ptr<boost::asio::ip::tcp::socket> connecting_;  // While it is being connected.
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

}  // namespace coordinator
