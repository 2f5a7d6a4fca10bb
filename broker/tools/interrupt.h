// Interrupt: lets a tool that runs for long end in order on SIGINT and SIGTERM.
#pragma once

namespace broker {

// From now on the two signals are noted instead of ending the process; a second one ends it.
void catch_interrupts();

// The signal that came, or 0. The tool's exit code is then 128 + the signal.
int interrupt() noexcept;

}  // namespace broker
