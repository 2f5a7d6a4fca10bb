// run_on: do blocking work on another pool, and come back to the coroutine's own thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <concepts>
#include <optional>
#include <type_traits>
#include <utility>

namespace broker {

// `work` is copied or moved into the coroutine's own frame and run on `pool`. Once begun it is not
// cancelled: Asio would take the word of it to the pool, where it might come after the end of the
// work, and of the memory that it is about.
template <std::invocable Work>
boost::asio::awaitable<std::invoke_result_t<Work>> run_on(boost::asio::thread_pool& pool,
                                                          Work work) {
    std::optional<std::invoke_result_t<Work>> result;
    auto task = [&]() -> boost::asio::awaitable<void> {
        result = work();
        co_return;
    };
    co_await boost::asio::co_spawn(
        pool, std::move(task),
        boost::asio::bind_cancellation_slot(boost::asio::cancellation_slot(),
                                            boost::asio::use_awaitable));
    co_return std::move(*result);
}

}  // namespace broker
