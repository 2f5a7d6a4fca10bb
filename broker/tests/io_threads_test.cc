#include "broker/server/io_threads.h"

#include <doctest/doctest.h>

#include <chrono>

TEST_CASE("a thread ends whenever it is told to, also while its timer goes off") {
    // With no time between sweeps the timer has always just gone off.
    for (int round = 0; round < 200; ++round) {
        broker::IoThread thread(std::chrono::milliseconds(0));
        thread.start(0);
        thread.stop();
        CHECK(thread.connections() == 0);
    }
}
