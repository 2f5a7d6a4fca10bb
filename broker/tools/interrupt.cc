#include "broker/tools/interrupt.h"

#include <csignal>

namespace broker {
namespace {

volatile std::sig_atomic_t caught = 0;

void note(int signal) {
    caught = signal;
}

}  // namespace

void catch_interrupts() {
    struct sigaction action{};
    action.sa_handler = note;
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
}

int interrupt() noexcept {
    return caught;
}

}  // namespace broker
