// await_call: a coroutine waits for what a callback brings.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <memory>
#include <optional>
#include <utility>

namespace broker {

// `start(done)` is called on `pool`, and calls `done(answer)` once, then or later, on any thread.
template <class Answer, class Start>
boost::asio::awaitable<Answer> await_call(boost::asio::thread_pool& pool, Start start) {
    struct Wait {
        explicit Wait(boost::asio::any_io_executor executor)
            : alarm(std::move(executor), boost::asio::steady_timer::time_point::max()) {}

        boost::asio::steady_timer alarm;
        std::optional<Answer> answer;
    };
    const auto wait = std::make_shared<Wait>(co_await boost::asio::this_coro::executor);
    boost::asio::post(pool, [wait, start = std::move(start)]() mutable {
        start([wait](Answer answer) {
            boost::asio::post(wait->alarm.get_executor(),
                              [wait, answer = std::move(answer)]() mutable {
                                  wait->answer = std::move(answer);
                                  wait->alarm.cancel();
                              });
        });
    });
    while (!wait->answer)
        (void)co_await wait->alarm.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
    co_return std::move(*wait->answer);
}

}  // namespace broker
