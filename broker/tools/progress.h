// Progress: one line on a terminal that shows how far long work is; silent elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace broker {

class Progress {
public:
    // `what` is what is counted: "records". Shown only if standard error is a terminal.
    explicit Progress(std::string_view what, std::int64_t total = 0);

    // Wipes the line.
    ~Progress();
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

    // Cheap: looks at the clock now and then only.
    void at(std::int64_t count);

private:
    void show(std::int64_t count);

    std::string what_;
    std::int64_t total_;
    bool is_shown_;
    bool is_dirty_ = false;
    std::int64_t next_look_ = 0;
    std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
    std::chrono::steady_clock::time_point shown_ = started_;
};

}  // namespace broker
