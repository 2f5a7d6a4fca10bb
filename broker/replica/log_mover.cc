#include "broker/replica/log_mover.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <pthread.h>

namespace broker {

namespace {

constexpr std::size_t piece_bytes_max = std::size_t{1} << 20;
constexpr std::size_t piece_bytes_min = std::size_t{16} << 10;

// A full directory is tried again this long after.
constexpr std::int64_t rest_ms = 5000;

// What the allowance may lag behind before somebody waits for it.
constexpr std::int64_t throttle_step_ms = 20;

// Few pieces a second, so that a slow move moves steadily.
std::size_t piece_bytes(double bytes_per_second) {
    return static_cast<std::size_t>(
        std::clamp(bytes_per_second / 8, double(piece_bytes_min), double(piece_bytes_max)));
}

}  // namespace

LogMover::LogMover(Ports ports, std::size_t threads_max)
    : ports_(std::move(ports)), threads_max_(std::max<std::size_t>(threads_max, 1)) {}

LogMover::~LogMover() {
    stop();
}

void LogMover::add(std::shared_ptr<LogMove> move) {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    waiting_.push_back({std::move(move), ports_.monotonic_ms()});
    if (threads_.size() < std::min(threads_max_, waiting_.size() + busy_.size())) {
        threads_.emplace_back([this, number = threads_.size()] {
            ::pthread_setname_np(::pthread_self(), ("log-mover-" + std::to_string(number)).c_str());
            run();
        });
    }
    changed_.notify_all();
}

void LogMover::remove(const std::shared_ptr<LogMove>& move) {
    move->abandon();
    std::unique_lock lock(mutex_);
    std::erase_if(waiting_, [&](const Waiting& each) { return each.move == move; });
    changed_.wait(lock, [&] { return std::ranges::find(busy_, move) == busy_.end(); });
}

void LogMover::stop() {
    std::vector<std::thread> ending;
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        waiting_.clear();
        ending.swap(threads_);
    }
    changed_.notify_all();
    for (auto& thread : ending) thread.join();
}

// The move that has waited longest, of those that are due; null at the end.
std::shared_ptr<LogMove> LogMover::take(std::unique_lock<std::mutex>& lock) {
    for (;;) {
        if (stopping_) return nullptr;
        const auto now = ports_.monotonic_ms();
        auto due = std::numeric_limits<std::int64_t>::max();
        for (auto each = waiting_.begin(); each != waiting_.end(); ++each) {
            due = std::min(due, each->due_ms);
            if (each->due_ms > now) continue;
            auto move = std::move(each->move);
            waiting_.erase(each);
            return move;
        }
        if (waiting_.empty()) {
            changed_.wait(lock);
        } else {
            changed_.wait_for(lock, std::chrono::milliseconds(due - now));
        }
    }
}

void LogMover::run() {
    std::unique_lock lock(mutex_);
    while (auto move = take(lock)) {
        busy_.push_back(move);
        lock.unlock();
        const auto outcome = ports_.advance(move, piece_bytes(ports_.bytes_per_second()));
        lock.lock();
        std::erase(busy_, move);
        if (outcome.then != Ports::Then::end && !move->is_abandoned() && !stopping_) {
            const auto pause = outcome.then == Ports::Then::rest ? rest_ms : 0;
            waiting_.push_back({move, ports_.monotonic_ms() + pause});
        }
        move.reset();  // With the last of it compaction may go on.
        changed_.notify_all();
        pay(lock, outcome.bytes);
    }
}

void LogMover::pay(std::unique_lock<std::mutex>& lock, std::uint64_t bytes) {
    const double bytes_per_second = ports_.bytes_per_second();
    if (bytes == 0 || bytes_per_second <= 0) return;
    const auto ahead_ms = allowance_.spend(bytes, bytes_per_second, ports_.monotonic_ms());
    if (ahead_ms < throttle_step_ms) return;
    changed_.wait_for(lock, std::chrono::milliseconds(ahead_ms), [&] { return stopping_; });
}

}  // namespace broker
