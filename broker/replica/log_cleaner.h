// LogCleaner: compacts logs in the background, the dirtiest first.
//
//     each thread   look at all logs with cleanup.policy=compact  ->  the one with the largest
//                   dirty share that is due  ->  Partition::compact  ->  again; with nothing to
//                   do, wait log.cleaner.backoff.ms
//
// A log that cannot be compacted, because it is damaged, is set aside until the next start and
// reported once; the others go on. All threads share one allowance of bytes a second.
//
// Threads: its own, as many as settings() says at the moment; start, stop and the ports from any.
//
// Limits: one map of keys for each thread, together log.cleaner.dedupe.buffer.size, taken for the
// length of one compaction.
#pragma once

#include "broker/replica/allowance.h"
#include "broker/replica/partition.h"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

namespace broker {

class LogCleaner {
public:
    struct Settings {
        bool enabled = true;                    // log.cleaner.enable
        std::size_t threads = 1;                // log.cleaner.threads
        std::uint64_t map_bytes = 134'217'728;  // log.cleaner.dedupe.buffer.size
        double map_load = 0.9;                  // log.cleaner.io.buffer.load.factor
        std::size_t buffer_bytes = 524'288;     // log.cleaner.io.buffer.size
        double bytes_per_second = std::numeric_limits<double>::max();
        std::int64_t backoff_ms = 15'000;  // log.cleaner.backoff.ms
    };
    struct Ports {
        std::function<Settings()> settings;  // In force now.
        std::function<std::vector<std::shared_ptr<Partition>>()> partitions;
        std::function<void(Partition&, storage::Dropped)> replaced;  // To be removed later.
        std::function<void(Partition&)> cleaned;                     // Its checkpoint moved.
        std::function<std::int64_t()> wall_ms;
        std::function<std::int64_t()> monotonic_ms;
    };

    explicit LogCleaner(Ports ports);
    ~LogCleaner();

    void start();
    // Compactions that are under way give up; returns when the threads have ended.
    void stop();

private:
    void run(std::size_t number);
    void add_threads(std::size_t wanted);
    std::shared_ptr<Partition> take_dirtiest();
    void compact(Partition& partition, const Settings& settings);
    void set_aside(Partition& partition, const std::string& why);
    void spend(std::uint64_t bytes, double bytes_per_second);

    const Ports ports_;

    std::mutex mutex_;  // Of all below.
    std::condition_variable changed_;
    std::vector<std::thread> threads_;
    std::atomic<bool> stopping_{false};  // Changed under it.
    std::set<const Partition*> busy_;
    std::set<std::pair<base::TopicPartition, base::Uuid>> set_aside_;
    Allowance allowance_;
};

}  // namespace broker
