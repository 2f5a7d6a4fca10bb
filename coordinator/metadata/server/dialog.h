// Dialog: one client's side of ZooKeeper's protocol: payloads of frames in, frames out.
//
//     receive(payload)        network thread: decode, queue
//         take_turn           service thread: look, commit, watch; the frame is made
//         send(frame)         once durable, in the order of the requests, events between
//
// The first payload asks for a session, the others are requests on it. After a failure of the
// session nothing is answered any more and the connection is to be closed.
//
// While the outlet is full, requests are put off: their turns pass, and resume() takes new ones,
// one for each. So a client that does not read costs no more than the outlet holds.
//
// Invariants:
//   - every reply leaves in the order of its request, auth and ping too
//   - an event leaves before any reply that shows its cause
//   - nothing leaves that is not durable
//
// Threads: start, receive, resume and leave are the connection's; what the outlet has is called
// on the service thread. The outlet has to be good until the service has answered everything, which
// may be after leave().
//
// Source: Apache ZooKeeper's ZooKeeperServer.processConnectRequest, NIOServerCnxn (3.8.4).
#pragma once

#include "coordinator/metadata/server/answers.h"
#include "coordinator/metadata/server/statistics.h"
#include "coordinator/metadata/service.h"
#include "coordinator/metadata/turn.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace coordinator {

class Dialog final : public Client, public std::enable_shared_from_this<Dialog> {
public:
    // Where it goes. Not four functions: each would take memory of its own, in thousands of
    // dialogs. So with Client.
    class Outlet {
    public:
        virtual ~Outlet() = default;
        // Nobody asked for it, so nothing bounds how many there are.
        virtual void tell(std::vector<std::byte> event) = 0;
        // One request of receive() is over; nothing to send when it ended the session.
        virtual void answer(std::vector<std::byte> frames, const Answered& what) = 0;
        virtual void end(std::string why) = 0;  // Close behind what was sent. "" is no news.
        virtual bool is_full() const = 0;       // Nothing more is to be answered for now.
    };

    // Requires that `service` outlives what was received.
    Dialog(MetadataService& service, std::shared_ptr<Statistics> statistics, std::string host,
           std::function<std::int64_t()> monotonic_ms, std::shared_ptr<Outlet> outlet);

    void start();
    void receive(std::span<const std::byte> payload);
    // The outlet may not be full any more.
    void resume();
    void leave();

    SessionId session() const noexcept {
        return SessionId(session_.load(std::memory_order_relaxed));
    }
    std::int32_t timeout_ms() const noexcept { return timeout_ms_.load(std::memory_order_relaxed); }

private:
    struct Said {
        std::vector<std::byte> frames;
        bool ends = false;
        std::string why = {};  // It ends, for people.
        Answered what = {};
    };

    using Step = std::function<void(Turn&, Said&)>;

    struct Asked {
        Step step;
        std::int64_t since_ms = 0;
        Said said = {};
    };

    void connect(std::span<const std::byte> payload);
    void take_turn(std::size_t bytes, Step step);

    // On the service thread.
    void notify(const Event& event) override;
    void ended() override;
    void decide(Turn& turn, Asked& asked);
    void say(Asked& asked, bool durable);
    void count_events(std::span<const std::byte> frames);
    void look_for_room();
    void take_up_next();

    MetadataService& service_;
    const std::shared_ptr<Statistics> statistics_;
    const std::string host_;
    const std::function<std::int64_t()> monotonic_ms_;
    const std::shared_ptr<Outlet> outlet_;
    WatcherId id_{0};
    bool asked_for_session_ = false;  // The connection's.
    bool over_ = false;               // The service thread's.
    // The service thread's. A list takes no memory when it is empty.
    std::list<std::shared_ptr<Asked>> put_off_;
    std::atomic<bool> waits_for_room_{false};
    std::atomic<std::int64_t> session_{0};
    std::atomic<std::int32_t> timeout_ms_{0};
};

}  // namespace coordinator
