// Statistics: what the four-letter words tell of the server, and of each connection.
//
// Threads: Statistics any; ConnectionFigures its owner's.
#pragma once

#include "coordinator/metadata/timing.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <mutex>

namespace coordinator {

// A request and what became of it.
struct Answered {
    const char* operation = "";  // In four letters, as ZooKeeper has them; "": it has none.
    std::int32_t xid = 0;
    std::int64_t zxid = 0;
    std::size_t bytes = 0;  // Of the answer; 0: there was none.
    std::int64_t at_ms = 0;
    std::int64_t took_ms = 0;
};

struct ConnectionFigures {
    std::int64_t received = 0;
    std::int64_t sent = 0;
    Answered last;
    Timing latency;

    void answered(const Answered& what) {
        if (what.bytes == 0) return;
        ++sent;
        latency.took(what.took_ms);
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
        Timing latency;
        std::int64_t bytes_received = 0;
        std::int64_t bytes_sent = 0;
        std::int64_t answer_bytes_last = -1;
        std::int64_t answer_bytes_min = -1;
        std::int64_t answer_bytes_max = -1;
        std::int64_t connections_accepted = 0;
        std::int64_t connections_refused = 0;
        std::int64_t auth_failed = 0;
    };

    void received(std::size_t bytes) {
        const std::lock_guard lock(mutex_);
        ++figures_.received;
        figures_.bytes_received += static_cast<std::int64_t>(bytes);
    }

    void told_of_event() {
        const std::lock_guard lock(mutex_);
        ++figures_.sent;
    }

    void answered(const Answered& what) {
        const auto bytes = static_cast<std::int64_t>(what.bytes);
        const std::lock_guard lock(mutex_);
        ++figures_.sent;
        figures_.latency.took(what.took_ms);
        figures_.bytes_sent += bytes;
        figures_.answer_bytes_last = bytes;
        auto& min = figures_.answer_bytes_min;
        min = min == -1 ? bytes : std::min(min, bytes);
        figures_.answer_bytes_max = std::max(figures_.answer_bytes_max, bytes);
    }

    void connected(bool is_welcome) {
        const std::lock_guard lock(mutex_);
        ++(is_welcome ? figures_.connections_accepted : figures_.connections_refused);
    }

    void auth_failed() {
        const std::lock_guard lock(mutex_);
        ++figures_.auth_failed;
    }

    Figures figures() const {
        const std::lock_guard lock(mutex_);
        return figures_;
    }

    void reset() {
        const std::lock_guard lock(mutex_);
        figures_.received = figures_.sent = 0;
        figures_.latency = {};
        figures_.answer_bytes_last = figures_.answer_bytes_min = figures_.answer_bytes_max = -1;
    }

private:
    mutable std::mutex mutex_;
    Figures figures_;
};

}  // namespace coordinator
