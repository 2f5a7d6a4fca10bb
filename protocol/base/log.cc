#include "protocol/base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace base {

namespace {

spdlog::logger& logger() {
    static const auto made = [] {
        auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
        auto logger = std::make_shared<spdlog::logger>("milena", std::move(sink));
        logger->set_pattern("[%Y-%m-%d %H:%M:%S,%e] %v");
        logger->set_level(spdlog::level::info);
        logger->flush_on(spdlog::level::info);
        return logger;
    }();
    return *made;
}

constexpr spdlog::level::level_enum to_spdlog(LogLevel level) noexcept {
    switch (level) {
        case LogLevel::debug: return spdlog::level::debug;
        case LogLevel::info: return spdlog::level::info;
        case LogLevel::warn: return spdlog::level::warn;
        case LogLevel::error: return spdlog::level::err;
    }
    return spdlog::level::info;
}

constexpr std::string_view name_of(LogLevel level) noexcept {
    switch (level) {
        case LogLevel::debug: return "DEBUG";
        case LogLevel::info: return "INFO";
        case LogLevel::warn: return "WARN";
        case LogLevel::error: return "ERROR";
    }
    return "INFO";
}

// Control characters as \xNN, so that a line stays a line.
std::string escaped(std::string_view text) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string out;
    out.reserve(text.size());
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte != 0x7f) {
            out += c;
        } else {
            out += "\\x";
            out += digits[byte >> 4];
            out += digits[byte & 0xf];
        }
    }
    return out;
}

}  // namespace

void log(LogLevel level, std::string_view part, std::string_view message) {
    const auto as = to_spdlog(level);
    if (!logger().should_log(as)) return;
    logger().log(as, "{} {} ({})", name_of(level), escaped(message), part);
}

void set_log_level(LogLevel level) noexcept {
    logger().set_level(to_spdlog(level));
}

}  // namespace base
