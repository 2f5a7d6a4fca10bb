#include "broker/tools/progress.h"

#include <cstdio>
#include <unistd.h>

namespace broker {
namespace {

constexpr std::int64_t counts_between_looks = 1024;
constexpr auto interval = std::chrono::milliseconds(250);

}  // namespace

Progress::Progress(std::string_view what, std::int64_t total)
    : what_(what),
      total_(total),
      is_shown_(::isatty(STDERR_FILENO) == 1 && ::isatty(STDOUT_FILENO) != 1) {}

Progress::~Progress() {
    if (is_dirty_) std::fputs("\r\033[K", stderr);
}

void Progress::at(std::int64_t count) {
    if (!is_shown_ || count < next_look_) return;
    next_look_ = count + counts_between_looks;
    const auto now = std::chrono::steady_clock::now();
    if (now - shown_ < interval) return;
    shown_ = now;
    show(count);
}

void Progress::show(std::int64_t count) {
    const std::chrono::duration<double> passed = shown_ - started_;
    const double rate = static_cast<double>(count) / passed.count();
    if (total_ > 0) {
        std::fprintf(stderr, "\r\033[K%ld of %ld %s, %.0f/s", count, total_, what_.c_str(), rate);
    } else {
        std::fprintf(stderr, "\r\033[K%ld %s, %.0f/s", count, what_.c_str(), rate);
    }
    is_dirty_ = true;
}

}  // namespace broker
