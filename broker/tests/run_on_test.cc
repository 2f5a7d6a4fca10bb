// Work on another pool, for a coroutine that may be cancelled meanwhile.

#include "broker/cluster/run_on.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <doctest/doctest.h>

#include <exception>
#include <stdexcept>

namespace asio = boost::asio;

TEST_CASE("work comes back to the coroutine, or what it throws") {
    asio::thread_pool pool(1);
    asio::io_context here;
    int result = 0;
    bool has_thrown = false;
    auto body = [&]() -> asio::awaitable<void> {
        result = co_await broker::run_on(pool, [] { return 7; });
        try {
            co_await broker::run_on(pool, []() -> int { throw std::runtime_error("no"); });
        } catch (const std::runtime_error&) {
            has_thrown = true;
        }
    };
    std::exception_ptr broken;
    asio::co_spawn(here, body(), [&](std::exception_ptr why) { broken = why; });
    here.run();
    CHECK(result == 7);
    CHECK(has_thrown);
    CHECK_FALSE(broken);
}

TEST_CASE("who is cancelled while its work is on a pool gets what comes of it") {
    constexpr int times = 2'000;
    asio::thread_pool pool(2);
    int finished = 0;
    for (int i = 0; i < times; ++i) {
        asio::io_context here;
        asio::cancellation_signal leaves;
        auto body = [&]() -> asio::awaitable<int> {
            auto work = [i] { return i; };
            co_return co_await broker::run_on(pool, work);
        };
        auto done = [&](std::exception_ptr broken, int result) {
            if (!broken && result == i) ++finished;
        };
        asio::co_spawn(here, body(), asio::bind_cancellation_slot(leaves.slot(), done));
        asio::post(here, [&] { leaves.emit(asio::cancellation_type::terminal); });
        here.run();
    }
    pool.join();
    CHECK(finished == times);
}
