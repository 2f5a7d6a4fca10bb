#include "broker/server/io_threads.h"

#include "protocol/net/buffer.h"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <fstream>
#include <pthread.h>
#include <sched.h>
#include <string>

namespace broker {

namespace asio = boost::asio;

namespace {

// cpu.max of cgroup v2: "max 100000" or "150000 100000", the quota and its period in µs.
double cgroup_cores() {
    std::ifstream file("/sys/fs/cgroup/cpu.max");
    std::string quota;
    double period = 0;
    if (!(file >> quota >> period) || quota == "max" || period <= 0) return 1e6;
    try {
        return std::stod(quota) / period;
    } catch (const std::exception&) {
        return 1e6;  // Not a number: as if there were no limit.
    }
}

}  // namespace

unsigned usable_cores() {
    cpu_set_t set;
    unsigned cores = std::thread::hardware_concurrency();
    if (::sched_getaffinity(0, sizeof set, &set) == 0) cores = static_cast<unsigned>(CPU_COUNT(&set));
    const double limit = cgroup_cores();
    if (limit < cores) cores = static_cast<unsigned>(limit);
    return std::max(cores, 1u);
}

IoThread::IoThread(std::chrono::milliseconds sweep_every)
    : work_(context_.get_executor()), sweep_every_(sweep_every), sweep_timer_(context_) {}

void IoThread::adopt(net::Stream stream, Session session, Connection::Limits limits, Services& services,
                     std::function<void(const Session&)> ended) {
    connections_.fetch_add(1, std::memory_order_relaxed);
    auto forget = [this, ended = std::move(ended)](Connection& gone) {
        held_.erase(gone.shared_from_this());
        connections_.fetch_sub(1, std::memory_order_relaxed);
        if (ended) ended(gone.session());
    };
    auto connection = std::make_shared<Connection>(std::move(stream), std::move(session), limits,
                                                   services, std::move(forget));
    asio::post(context_, [this, connection] {
        held_.insert(connection);
        connection->start();
    });
}

void IoThread::start(unsigned number) {
    sweep();
    thread_ = std::thread([this, number] {
        ::pthread_setname_np(::pthread_self(), ("net-" + std::to_string(number)).c_str());
        net::keep_buffers();
        context_.run();
    });
}

void IoThread::sweep() {
    sweep_timer_.expires_after(sweep_every_);
    sweep_timer_.async_wait([this](boost::system::error_code error) {
        // The timer may have gone off just before it was cancelled.
        if (error || is_stopping_) return;
        const auto now = Connection::Clock::now();
        const std::vector<std::shared_ptr<Connection>> all(held_.begin(), held_.end());
        for (const auto& connection : all) connection->sweep(now);
        sweep();
    });
}

void IoThread::stop() {
    if (!thread_.joinable()) return;
    asio::post(context_, [this] {
        is_stopping_ = true;
        sweep_timer_.cancel();
        const std::vector<std::shared_ptr<Connection>> all(held_.begin(), held_.end());
        for (const auto& connection : all) connection->close("");
        work_.reset();
    });
    thread_.join();
}

IoThreads::IoThreads(unsigned count) {
    for (unsigned i = 0; i < count; ++i) threads_.push_back(std::make_unique<IoThread>());
}

void IoThreads::start() {
    unsigned number = 0;
    for (auto& thread : threads_) thread->start(number++);
}

void IoThreads::stop() {
    for (auto& thread : threads_) thread->stop();
}

IoThread& IoThreads::least_loaded() noexcept {
    return **std::ranges::min_element(threads_, {}, [](const auto& each) { return each->connections(); });
}

}  // namespace broker
