// MetadataClient: a session with a ZooKeeper ensemble, or with a metadata service of ours in
// another process.
//
//     ask, submit (any thread) --> waiting --> in flight --> answers, in order
//                                     |            |
//                                     |       connection lost: connection_loss, outcome unknown
//                              no server reached: connection_loss, nothing was sent
//
// It connects to any server of the list, in an order drawn anew each time, names resolved
// anew; when the connection is lost it finds another one, resumes the session, says again who
// it is and sets its watches again. When the server says that the session has expired, all
// requests get session_expired until reopen(): what the session owned is gone, and the owner
// has to know.
//
// Guarantees:
//   - requests take effect and are answered in the order in which they were submitted
//   - an event is told before any answer that shows its cause
//   - every request is answered once; none waits longer than the session's time-out for a
//     server that is silent
//
// Threads: one of its own. All callbacks run on it, and must not wait for an answer there,
// which is ensured. The other functions may be called from any thread.
//
// Limits: requests waiting and in flight are bounded by their callers; an answer has at most
// answer_bytes_max.
//
// Source: Apache ZooKeeper's ClientCnxn; the protocol is in protocol/zookeeper.
#pragma once

#include "coordinator/metadata/client/connect_string.h"
#include "coordinator/metadata/client/requests.h"
#include "coordinator/metadata/service.h"
#include "protocol/base/result.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace coordinator {

class MetadataClient {
public:
    enum class State {
        connecting,   // Has no server; requests wait for one.
        connected,    // Has a session at a server.
        expired,      // The session is gone: reopen().
        auth_failed,  // A server refused who it says it is. Final.
        closed,       // Final.
    };

    // Said on each connection: {"digest", "user:password"}.
    struct Auth {
        std::string scheme;
        std::string auth;
    };

    struct Settings {
        ConnectString at;
        std::int32_t session_timeout_ms = 18'000;  // Wished for; the server has bounds.
        std::optional<SessionKey> resume = {};     // Instead of a new session.
        std::vector<Auth> auth = {};
        bool may_be_read_only = false;  // Servers without a quorum will do.
        std::uint32_t answer_bytes_max = 256u << 20;
        std::function<void(std::span<std::byte>)> random = {};  // Draws the order of servers.
        std::function<void(State)> on_state = {};               // After each change.
        std::function<void(const WatchEvent&)> on_event = {};   // Of watches.
    };

    // Begin to connect. Requires settings.random.
    explicit MetadataClient(Settings settings);

    // As stop().
    ~MetadataClient();

    // Leave the server and end the thread; the session lives on for its time-out, and its key
    // resumes it.
    void stop();

    // End the session, if there is a server to tell, and stop.
    void close();

    // After State::expired: begin a new session, which owns nothing and watches nothing.
    void reopen();

    // Wait until it is connected, expired, refused or closed, at most so long.
    State wait_settled(std::chrono::milliseconds at_most);

    State state() const;
    SessionKey session() const;       // Id 0 before there was one.
    std::int32_t timeout_ms() const;  // As the server gave it; 0 before.
    ServerAddress server() const;     // The one it has or had last.

    template <class T>
    using Done = std::function<void(base::Result<T, ZkError>)>;

    template <class T>
    void submit(Request<T> request, Done<T> done) {
        request.raw.done = [read = std::move(request.read), done = std::move(done)](Reply& reply) {
            if (reply.error != ZkError::ok) return done(base::Unexpected(reply.error));
            T value = read(reply);
            if (reply.body.failed()) return done(base::Unexpected(ZkError::marshalling_error));
            done(std::move(value));
        };
        submit_raw(std::move(request.raw));
    }

    // Wait for the answer.
    template <class T>
    [[nodiscard]] base::Result<T, ZkError> ask(Request<T> request) {
        return submit_for_future(std::move(request)).get();
    }

    // All of them on their way at once; the answers in their order.
    template <class T>
    [[nodiscard]] std::vector<base::Result<T, ZkError>> ask_all(std::vector<Request<T>> requests) {
        std::vector<std::future<base::Result<T, ZkError>>> futures;
        for (auto& request : requests) futures.push_back(submit_for_future(std::move(request)));
        std::vector<base::Result<T, ZkError>> answers;
        for (auto& future : futures) answers.push_back(future.get());
        return answers;
    }

    // As the functions of MetadataService, with this session as the caller. Create::with_parents
    // makes the parents first, each by itself: they stay if the transaction is refused.
    // connection_loss: it may have taken effect; look before trying again.
    void submit(std::vector<Op> ops, std::function<void(const Outcome&)> done);
    [[nodiscard]] Outcome submit_and_wait(std::vector<Op> ops);

    // Say who it is, on this connection and all later ones.
    void add_auth(const Auth& auth, Done<std::monostate> done);

    // Make the chroot's node and those above it. Errors: as of Create.
    [[nodiscard]] base::Result<void, ZkError> make_chroot();

private:
    class Core;

    template <class T>
    std::future<base::Result<T, ZkError>> submit_for_future(Request<T> request) {
        ensure_may_wait();
        // Shared: the waiter may be gone before set_value() has returned.
        auto promise = std::make_shared<std::promise<base::Result<T, ZkError>>>();
        auto future = promise->get_future();
        submit<T>(std::move(request), [promise](base::Result<T, ZkError> result) {
            promise->set_value(std::move(result));
        });
        return future;
    }

    void submit_raw(AnyRequest request);
    void ensure_may_wait() const;

    const std::unique_ptr<Core> core_;
};

// For people: "connected".
std::string to_string(MetadataClient::State state);

}  // namespace coordinator
