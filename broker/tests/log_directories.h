// LogDirectories: what a LogManager is given, on the directories a and b of the real disk.
#pragma once

#include "broker/replica/log_manager.h"
#include "broker/tests/wait_until.h"
#include "storage/tests/batches.h"
#include "storage/tests/scratch.h"

#include <doctest/doctest.h>

#include <chrono>
#include <future>
#include <random>

namespace test {

// What an append is answered.
inline protocol::ErrorCode append(broker::Partition& partition,
                                  const BatchOf& of = {.count = 2, .value_bytes = 400}) {
    auto bytes = batch(of);
    std::promise<protocol::ErrorCode> said;
    const auto appended =
        partition.append({bytes, storage::Origin::client, {}}, broker::Acks::all, 1000,
                         [&](protocol::ErrorCode error) { said.set_value(error); });
    if (!appended) return appended.error().code;
    return said.get_future().get();
}

struct LogDirectories {
    broker::LogManager::Settings settings() {
        broker::LogManager::Settings made;
        made.directories = {path("a"), path("b")};
        made.wall_ms = [] { return std::int64_t{1'700'000'000'000}; };
        made.monotonic_ms = [] {
            using namespace std::chrono;
            return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
        };
        made.random_id = [this] {
            base::Uuid id;
            for (auto& byte : id) byte = std::byte(random());
            return id;
        };
        made.on_last_failed = [](const std::string& why) { FAIL(why); };
        made.cleaner = [] { return broker::LogCleaner::Settings{.enabled = false}; };
        made.moved_bytes_per_second = [] { return 0.0; };
        return made;
    }
    void open(broker::LogManager::Settings with) {
        auto opened = broker::LogManager::open(std::move(with), pool);
        INFO(std::string(opened ? "" : opened.error()));
        REQUIRE(opened);
        logs = std::move(*opened);
    }

    std::string path(const std::string& name) const { return scratch.file(name).string(); }

    Scratch scratch;
    std::mt19937 random{1};
    boost::asio::thread_pool pool{2};
    std::unique_ptr<broker::LogManager> logs;
};

}  // namespace test
