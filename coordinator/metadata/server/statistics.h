// Statistics: what the four-letter words tell of the server, and of each connection.
//
// Threads: Statistics any; ConnectionFigures its owner's.
#pragma once

#include "coordinator/metadata/spread.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <mutex>

namespace coordinator {

// Which figures a request goes into: as ZooKeeper, which does not time what needs no look at the
// tree, and does not count the bytes of what says nothing of it.
enum class Counted : std::int8_t { aside, session, ping, read, update };

// A request and what became of it.
struct Answered {
    const char* operation = "";  // In four letters, as ZooKeeper has them; "": it has none.
    std::int32_t xid = 0;
    Counted as = Counted::aside;
    std::int64_t zxid = 0;
    std::size_t bytes = 0;  // Of the answer, without its length; 0: there was none.
    std::int64_t at_ms = 0;
    std::int64_t took_ms = 0;
};

struct ConnectionFigures {
    std::int64_t received = 0;
    std::int64_t sent = 0;
    Answered last;
    Spread latency;

    void answered(const Answered& what) {
        if (what.bytes == 0) return;
        ++sent;
        if (what.as != Counted::aside) latency.add(what.took_ms);
        const char* const before = last.operation;
        last = what;
        if (*what.operation == '\0') last.operation = before;
    }
};

class Statistics {
public:
    struct Figures {
        std::int64_t received = 0;
        std::int64_t sent = 0;
        Spread latency;
        Histogram read_latency;
        Histogram update_latency;
        std::int64_t bytes_received = 0;  // Of whole frames.
        std::int64_t bytes_sent = 0;      // Without the lengths of frames; so below.
        std::int64_t event_bytes = 0;
        std::int64_t answer_bytes_last = -1;
        std::int64_t answer_bytes_min = -1;
        std::int64_t answer_bytes_max = -1;
        std::int64_t connections_refused = 0;
        std::int64_t connections_dropped = 0;  // By the other side.
        std::int64_t connections_silent = 0;   // Closed because they asked for nothing.
        std::int64_t connect_requests = 0;
        std::int64_t sessions_asked_for = 0;  // Those that were there before.
    };

    void received(std::size_t bytes) {
        const std::lock_guard lock(mutex_);
        ++figures_.received;
        figures_.bytes_received += static_cast<std::int64_t>(bytes);
    }

    void told_of_event(std::size_t bytes) {
        const std::lock_guard lock(mutex_);
        ++figures_.sent;
        figures_.event_bytes += static_cast<std::int64_t>(bytes);
    }

    void answered(const Answered& what) {
        const auto bytes = static_cast<std::int64_t>(what.bytes);
        const std::lock_guard lock(mutex_);
        ++figures_.sent;
        if (what.as != Counted::aside) {
            const bool reads = what.as == Counted::ping || what.as == Counted::read;
            figures_.latency.add(what.took_ms);
            (reads ? figures_.read_latency : figures_.update_latency).add(what.took_ms);
        }
        if (what.as >= Counted::read) figures_.bytes_sent += bytes;
        figures_.answer_bytes_last = bytes;
        auto& min = figures_.answer_bytes_min;
        min = min == -1 ? bytes : std::min(min, bytes);
        figures_.answer_bytes_max = std::max(figures_.answer_bytes_max, bytes);
    }

    // One more of those: count(&Statistics::Figures::connect_requests).
    void count(std::int64_t Figures::* what) {
        const std::lock_guard lock(mutex_);
        ++(figures_.*what);
    }

    Figures figures() const {
        const std::lock_guard lock(mutex_);
        return figures_;
    }

    void reset() {
        const std::lock_guard lock(mutex_);
        figures_ = {};
    }

private:
    mutable std::mutex mutex_;
    Figures figures_;
};

}  // namespace coordinator
