// Connection: one ZooKeeper client's socket.
//
//     socket --> frames --> Dialog (service thread) --> Outbox --> socket
//
// The Outbox stands between the threads: the service thread puts frames in and wakes the
// connection, which sends what gathered in one write.
//
// The first four bytes may be a four-letter word instead of a frame's length: it is answered
// as text, and the connection closed.
//
// Limits: with requests_in_flight_max requests unanswered, or unsent_bytes_max of answers that
// the client does not read, the connection stops reading. Who does not read its events either
// is closed at event_bytes_max. Who does not ask for a session within 10 s is closed. While
// nothing is said there is no coroutine and no buffer: thousands of sessions mostly say nothing.
//
// Threads: everything runs on the server's one network thread, but for Outbox.
#pragma once

#include "coordinator/metadata/server/dialog.h"
#include "coordinator/metadata/server/doorway.h"
#include "coordinator/metadata/server/observation.h"
#include "coordinator/metadata/server/statistics.h"
#include "protocol/net/frame_reader.h"
#include "protocol/net/out_queue.h"
#include "protocol/net/stream.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace coordinator {

class Connection;

// What the service thread wants sent. Outlives the connection when answers are on their way.
class Outbox final : public Dialog::Outlet {
public:
    struct Taken {
        std::vector<std::byte> bytes;
        bool ends = false;   // Close behind them.
        bool drops = false;  // Close now.
        std::string why;
    };

    Outbox(std::shared_ptr<boost::asio::io_context> context, std::weak_ptr<Connection> connection)
        : context_(std::move(context)), connection_(std::move(connection)) {}

    void tell(std::vector<std::byte> event) override;
    void answer(std::vector<std::byte> frames, const Answered& what) override;
    void say(const std::string& text);  // And nothing more.
    void end(std::string why) override;
    bool is_full() const override;

    // What is to be sent. When what was taken before cannot be sent yet, only that there is
    // nothing to wait for any more: events that nobody reads are counted here.
    Taken take(bool is_blocked);
    void asked();
    void asked_word();
    std::size_t in_flight() const;
    std::size_t bytes_held() const;
    ConnectionFigures figures() const;
    void reset_figures();

    // The connection is gone: nobody is woken any more.
    void close();

private:
    void put(std::span<const std::byte> bytes);
    void wake(std::unique_lock<std::mutex>& lock);

    // The service thread may still be about to wake a connection that the server has closed.
    const std::shared_ptr<boost::asio::io_context> context_;
    const std::weak_ptr<Connection> connection_;
    mutable std::mutex mutex_;
    bool is_closed_ = false;
    bool woken_ = false;
    Taken held_;
    std::size_t in_flight_ = 0;
    ConnectionFigures figures_;
};

class Connection : public std::enable_shared_from_this<Connection> {
public:
    static constexpr std::size_t requests_in_flight_max = 1000;
    static constexpr std::size_t unsent_bytes_max = std::size_t{4} << 20;
    static constexpr std::size_t event_bytes_max = std::size_t{64} << 20;

    // What the connection has of the server that it belongs to; outlives it.
    struct Home {
        std::shared_ptr<boost::asio::io_context> context;
        MetadataService* service = nullptr;
        std::shared_ptr<Statistics> statistics;
        std::function<std::int64_t()> wall_ms;
        std::function<std::int64_t()> monotonic_ms;
        std::uint32_t frame_bytes_max = 0;
        Doorway* doorway = nullptr;
        // The answer to a four-letter word, by `say`, maybe later; "" when it is none. `rest`
        // is what came right behind it.
        std::function<void(const std::string& word, std::span<const std::byte> rest,
                           std::function<void(std::string)> say)>
            word;
        std::function<void(Connection&)> ended;
    };

    Connection(net::Stream stream, const Home& home);

    void start();
    void flush();  // Send what is in the outbox.
    void close(const std::string& why);

    // For the four-letter words.
    ConnectionState state() const;
    void reset_figures() { outbox_->reset_figures(); }
    const std::string& host() const noexcept { return stream_.remote_host(); }

private:
    void read_frames();
    bool take_frames();
    void read_on();
    boost::asio::awaitable<void> write_frames();
    void has_asked();
    bool is_full() const;
    std::string peer() const;
    void answer_word(std::int32_t first_bytes);

    net::Stream stream_;
    const Home& home_;
    std::shared_ptr<Outbox> outbox_;
    std::shared_ptr<Dialog> dialog_;
    net::FrameReader reader_;
    std::unique_ptr<net::OutQueue> out_;  // While something is on its way.
    bool reads_ = true;
    bool is_paused_ = false;  // Until it is not full any more.
    bool ends_ = false;       // Close when out_ is empty.
    std::string why_;
    bool is_writing_ = false;
    bool is_closed_ = false;
    const std::int64_t established_ms_;
    std::optional<Doorway::Place> silent_;  // Until it says what it wants.
};

}  // namespace coordinator
