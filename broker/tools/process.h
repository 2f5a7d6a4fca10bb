// Process: how a server's process behaves in the foreground, until SIGTERM or SIGINT.
//
//     const Foreground foreground;                  before any thread is started
//     ...start...
//     foreground.serves("PLAINTEXT://...", began);  one line on stdout; systemd is told
//     foreground.wait_for_end();
//     ...stop...
//
// A second signal ends the process at once: the next start recovers as after a crash.
#pragma once

#include <chrono>
#include <csignal>
#include <cstdint>
#include <string>

namespace broker {

// The soft limit of descriptors up to the hard one. Returns what there is then.
std::uint64_t raise_descriptor_limit();

// The reason to the log, and exit code 1, without closing anything.
[[noreturn]] void end_at_once(const std::string& why);

class Foreground {
public:
    // The calling thread takes the signals, and threads that start from now on do not.
    Foreground();

    void serves(const std::string& where, std::chrono::steady_clock::time_point since) const;

    // Returns at the first signal. A terminal that went away is no reason to stop.
    void wait_for_end() const;

private:
    sigset_t signals_{};
};

}  // namespace broker
