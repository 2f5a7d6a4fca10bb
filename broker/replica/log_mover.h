// LogMover: the threads that move partitions to other log directories, a piece of each in turn.
//
// The first move starts the first thread; there are num.replica.alter.log.dirs.threads at most.
// All share one allowance, replica.alter.log.dirs.io.max.bytes.per.second.
//
// Threads: its own; everything else from any.
//
// Limits: one move for each partition, which the owner sees to.
#pragma once

#include "broker/replica/allowance.h"
#include "broker/replica/log_move.h"

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace broker {

class LogMover {
public:
    struct Ports {
        enum class Then {
            go_on,
            rest,  // Go on after a while: the directory is full.
            end,
        };
        struct Outcome {
            Then then;
            std::uint64_t bytes = 0;  // Copied.
        };
        // Copy a piece of about so many bytes. Called without locks, for each move by one thread at
        // a time.
        std::function<Outcome(const std::shared_ptr<LogMove>&, std::size_t)> advance;
        std::function<double()> bytes_per_second;  // In force now.
        std::function<std::int64_t()> monotonic_ms;
    };

    LogMover(Ports ports, std::size_t threads_max);
    ~LogMover();

    void add(std::shared_ptr<LogMove> move);
    // Returns when no thread works on it, and none will.
    void remove(const std::shared_ptr<LogMove>& move);
    // No move goes on; returns when the threads have ended.
    void stop();

private:
    struct Waiting {
        std::shared_ptr<LogMove> move;
        std::int64_t due_ms;
    };

    void run();
    std::shared_ptr<LogMove> take(std::unique_lock<std::mutex>& lock);
    void pay(std::unique_lock<std::mutex>& lock, std::uint64_t bytes);

    const Ports ports_;
    const std::size_t threads_max_;

    std::mutex mutex_;  // Of all below.
    std::condition_variable changed_;
    std::list<Waiting> waiting_;
    std::vector<std::shared_ptr<LogMove>> busy_;
    std::vector<std::thread> threads_;
    Allowance allowance_;
    bool stopping_ = false;
};

}  // namespace broker
