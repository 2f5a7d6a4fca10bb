#include "coordinator/runtime/timer_queue.h"

#include <doctest/doctest.h>

#include <random>
#include <string>

using coordinator::TimerQueue;

TEST_SUITE("coordinator/timer_queue") {
    TEST_CASE("a timer is due at its deadline, not before, and once") {
        TimerQueue<std::string> timers;
        timers.set("a", 100);
        CHECK_FALSE(timers.take_due(99));
        CHECK(timers.take_due(100) == "a");
        CHECK_FALSE(timers.take_due(1000));
        CHECK_FALSE(timers.next_ms());
    }

    TEST_CASE("a timer that is pushed back is due at its last deadline") {
        TimerQueue<std::string> timers;
        timers.set("a", 100);
        timers.set("a", 300);
        CHECK_FALSE(timers.take_due(299));
        CHECK(timers.take_due(300) == "a");
    }

    TEST_CASE("a timer that is brought forward is due early") {
        TimerQueue<std::string> timers;
        timers.set("a", 300);
        timers.set("a", 100);
        CHECK(timers.next_ms() == 100);
        CHECK(timers.take_due(100) == "a");
        CHECK(timers.size() == 0);
    }

    TEST_CASE("timers come in the order of their deadlines, equals in the order of arrival") {
        TimerQueue<std::string> timers;
        timers.set("late", 300);
        timers.set("one", 100);
        timers.set("two", 100);
        CHECK(timers.take_due(500) == "one");
        CHECK(timers.take_due(500) == "two");
        CHECK(timers.take_due(500) == "late");
    }

    TEST_CASE("a queue of timers behaves as a map of deadlines does") {
        std::mt19937_64 random(20261121);
        TimerQueue<int> timers;
        std::map<int, std::int64_t> model;
        std::int64_t now_ms = 0;
        int fired = 0;
        for (int turn = 0; turn < 20'000; ++turn) {
            const int key = static_cast<int>(random() % 40);
            switch (random() % 4) {
                case 0:
                case 1: {
                    const auto deadline_ms = now_ms + static_cast<std::int64_t>(random() % 200);
                    timers.set(key, deadline_ms);
                    model[key] = deadline_ms;
                    break;
                }
                case 2:
                    timers.cancel(key);
                    model.erase(key);
                    break;
                default:
                    now_ms += static_cast<std::int64_t>(random() % 50);
                    while (const auto due = timers.take_due(now_ms)) {
                        REQUIRE(model.contains(*due));
                        REQUIRE(model[*due] <= now_ms);
                        model.erase(*due);
                        ++fired;
                    }
                    for (const auto& [waiting, deadline_ms] : model) REQUIRE(deadline_ms > now_ms);
            }
            REQUIRE(timers.size() == model.size());
            for (const auto& [waiting, deadline_ms] : model) REQUIRE(*timers.next_ms() <= deadline_ms);
        }
        CHECK(fired > 1000);
    }
}
