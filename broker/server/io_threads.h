// IoThreads: one io_context and one thread per core, and the connections that live on each.
//
// An accepted connection goes to the thread with the fewest and stays there. Nothing on a
// request's path goes from one thread to another.
//
// Threads: start and stop by the owner; adopt() by any thread.
#pragma once

#include "broker/server/connection.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <unordered_set>
#include <vector>

namespace broker {

// The cores that affinity and the cgroup's cpu.max leave to this process, at least 1.
unsigned usable_cores();

class IoThread {
public:
    // `sweep_every`: how often connections are looked at that are slow or idle.
    explicit IoThread(std::chrono::milliseconds sweep_every = std::chrono::seconds(2));

    boost::asio::io_context& context() noexcept { return context_; }
    std::size_t connections() const noexcept { return connections_.load(std::memory_order_relaxed); }

    // Make a connection live here. The stream belongs to context().
    void adopt(net::Stream stream, Session session, Connection::Limits limits, Services& services,
               std::function<void(const Session&)> ended);

    void start(unsigned number);

    // Close all connections, let their coroutines end, and join.
    void stop();

private:
    void sweep();

    boost::asio::io_context context_{1};
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
    const std::chrono::milliseconds sweep_every_;
    // The thread's own, these three.
    boost::asio::steady_timer sweep_timer_;
    std::unordered_set<std::shared_ptr<Connection>> held_;
    bool is_stopping_ = false;
    std::atomic<std::size_t> connections_{0};
    std::thread thread_;
};

class IoThreads {
public:
    explicit IoThreads(unsigned count);
    ~IoThreads() { stop(); }

    void start();
    void stop();

    IoThread& least_loaded() noexcept;
    IoThread& first() noexcept { return *threads_.front(); }
    std::size_t count() const noexcept { return threads_.size(); }

private:
    std::vector<std::unique_ptr<IoThread>> threads_;
};

}  // namespace broker
