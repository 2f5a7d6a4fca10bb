// Log: one line per event, for people. Nothing per request.
//
//     [2026-11-21 12:00:00,123] INFO Recovered 3 of 200 logs in 12 ms (storage)
//
// The form is the one that scripts around Kafka already parse: time, level, message, the
// part of the program in parentheses. Bytes that came from a peer or a file are escaped, so
// that nobody can write lines of their own into the log.
//
// Threads: any. Lines go to stderr, or where log_to() says.
#pragma once

#include <string>
#include <string_view>

namespace base {

enum class LogLevel { debug, info, warn, error };

void log(LogLevel level, std::string_view part, std::string_view message);

inline void log_debug(std::string_view part, std::string_view message) {
    log(LogLevel::debug, part, message);
}
inline void log_info(std::string_view part, std::string_view message) {
    log(LogLevel::info, part, message);
}
inline void log_warn(std::string_view part, std::string_view message) {
    log(LogLevel::warn, part, message);
}
inline void log_error(std::string_view part, std::string_view message) {
    log(LogLevel::error, part, message);
}

// Lines below `level` are dropped. Default: info.
void set_log_level(LogLevel level) noexcept;

}  // namespace base
