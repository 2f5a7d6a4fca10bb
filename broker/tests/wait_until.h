// wait_until: a condition that other threads make true, and that only a fault keeps from it. A busy
// disk alone may take a minute.
#pragma once

#include <doctest/doctest.h>

#include <chrono>
#include <functional>
#include <thread>

namespace test {

inline void wait_until(const std::function<bool()>& holds) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(300);
    while (!holds()) {
        REQUIRE(std::chrono::steady_clock::now() < deadline);
        std::this_thread::yield();
    }
}

}  // namespace test
