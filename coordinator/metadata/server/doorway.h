// Doorway: the connections that have not said yet what they want, in the order in which they came.
//
// Who stands here for 10 s is sent away. All have the same time, so the first of the list is the
// first whose time is over, and one timer does for all.
//
// Threads: those of the io_context, one.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <functional>
#include <list>

namespace coordinator {

class Connection;

class Doorway {
    struct Standing {
        std::chrono::steady_clock::time_point until;
        Connection* connection;
    };

public:
    using Place = std::list<Standing>::iterator;

    // `send_away` makes the connection leave its place.
    Doorway(boost::asio::io_context& context, std::function<void(Connection&)> send_away)
        : timer_(context), send_away_(std::move(send_away)) {}

    // Requires that the connection leaves its place before it is gone.
    Place enter(Connection& connection);
    void leave(Place place);

private:
    void arm();
    void look();

    std::list<Standing> standing_;
    boost::asio::steady_timer timer_;
    const std::function<void(Connection&)> send_away_;
};

}  // namespace coordinator
