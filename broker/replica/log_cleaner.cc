#include "broker/replica/log_cleaner.h"

#include "protocol/base/log.h"
#include "storage/cleaning.h"
#include "storage/names.h"

#include <algorithm>
#include <pthread.h>

namespace broker {

using storage::FaultKind;

namespace {

// What the allowance may lag behind before somebody waits for it.
constexpr std::int64_t throttle_step_ms = 50;

std::string name_of(const Partition& partition) {
    return storage::directory_name(partition.id());
}

}  // namespace

LogCleaner::LogCleaner(Ports ports) : ports_(std::move(ports)) {}

LogCleaner::~LogCleaner() {
    stop();
}

void LogCleaner::start() {
    add_threads(1);
}

void LogCleaner::stop() {
    std::vector<std::thread> ending;
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        ending.swap(threads_);
    }
    changed_.notify_all();
    for (auto& thread : ending) thread.join();
}

// The first thread is always there: it sees when more are wanted.
void LogCleaner::add_threads(std::size_t wanted) {
    const std::lock_guard lock(mutex_);
    while (!stopping_ && threads_.size() < wanted) {
        threads_.emplace_back([this, number = threads_.size()] {
            ::pthread_setname_np(::pthread_self(),
                                 ("log-cleaner-" + std::to_string(number)).c_str());
            run(number);
        });
    }
}

void LogCleaner::run(std::size_t number) {
    for (;;) {
        const Settings settings = ports_.settings();
        if (number == 0)
            add_threads(std::max<std::size_t>(settings.enabled ? settings.threads : 0, 1));
        std::shared_ptr<Partition> partition;
        if (settings.enabled && number < settings.threads) partition = take_dirtiest();
        if (partition) {
            compact(*partition, settings);
            const std::lock_guard lock(mutex_);
            busy_.erase(partition.get());
            if (stopping_) return;
            continue;
        }
        std::unique_lock lock(mutex_);
        const auto pause =
            std::chrono::milliseconds(std::max<std::int64_t>(settings.backoff_ms, 1));
        if (changed_.wait_for(lock, pause, [&] { return stopping_.load(); })) return;
    }
}

std::shared_ptr<Partition> LogCleaner::take_dirtiest() {
    std::shared_ptr<Partition> dirtiest;
    double ratio = -1;
    for (const auto& partition : ports_.partitions()) {
        {
            const std::lock_guard lock(mutex_);
            if (stopping_) return nullptr;
            if (busy_.contains(partition.get()) ||
                set_aside_.contains({partition->id(), partition->topic_id()})) {
                continue;
            }
        }
        const auto outlook = partition->cleaning_outlook(ports_.wall_ms());
        if (!outlook) {
            if (outlook.error().kind == FaultKind::corrupt)
                set_aside(*partition, outlook.error().detail);
            continue;
        }
        if (!outlook->is_due || outlook->ratio() <= ratio) continue;
        ratio = outlook->ratio();
        dirtiest = partition;
    }
    if (!dirtiest) return nullptr;
    const std::lock_guard lock(mutex_);
    // Another thread may have taken it meanwhile; there will be another look.
    return busy_.insert(dirtiest.get()).second ? dirtiest : nullptr;
}

void LogCleaner::compact(Partition& partition, const Settings& settings) {
    const auto threads = std::max<std::size_t>(settings.threads, 1);
    const storage::CleaningSettings share{
        .map_bytes = settings.map_bytes / threads,
        .map_load = settings.map_load,
        .buffer_bytes = std::max<std::size_t>(settings.buffer_bytes / threads / 2, 4096)};
    storage::CleaningHooks hooks;
    hooks.moved = [&](std::uint64_t bytes) { spend(bytes, settings.bytes_per_second); };
    hooks.stops = [&] { return stopping_.load(std::memory_order_relaxed); };
    hooks.replaced = [&](storage::Dropped dropped) {
        ports_.replaced(partition, std::move(dropped));
    };
    const auto report = partition.compact(share, std::move(hooks), ports_.wall_ms());
    if (report) {
        ports_.cleaned(partition);
        base::log_info("cleaner", name_of(partition) + ": compacted up to offset " +
                                      std::to_string(report->cleaned_to.value()) + ", " +
                                      std::to_string(report->segments_replaced) + " segments of " +
                                      std::to_string(report->bytes_before) + " bytes are " +
                                      std::to_string(report->bytes_after) + " bytes now");
        return;
    }
    switch (report.error().kind) {
        case FaultKind::corrupt:
            return set_aside(partition, report.error().detail);
        case FaultKind::no_space: {
            base::log_warn("cleaner", name_of(partition) +
                                          " is not compacted for now: " + report.error().detail);
            std::unique_lock lock(mutex_);
            changed_.wait_for(
                lock, std::chrono::milliseconds(std::max<std::int64_t>(settings.backoff_ms, 1)),
                [&] { return stopping_.load(); });
            return;
        }
        default:
            return;  // It stopped, or the partition went away, or its directory said that it
                     // failed.
    }
}

void LogCleaner::set_aside(Partition& partition, const std::string& why) {
    {
        const std::lock_guard lock(mutex_);
        if (!set_aside_.emplace(partition.id(), partition.topic_id()).second) return;
    }
    base::log_error("cleaner",
                    name_of(partition) +
                        " cannot be compacted, and is left as it is until the next start: " + why);
}

void LogCleaner::spend(std::uint64_t bytes, double bytes_per_second) {
    if (bytes_per_second <= 0 || bytes_per_second >= std::numeric_limits<double>::max()) return;
    std::unique_lock lock(mutex_);
    const auto ahead_ms = allowance_.spend(bytes, bytes_per_second, ports_.monotonic_ms());
    if (ahead_ms < throttle_step_ms) return;
    changed_.wait_for(lock, std::chrono::milliseconds(ahead_ms), [&] { return stopping_.load(); });
}

}  // namespace broker
