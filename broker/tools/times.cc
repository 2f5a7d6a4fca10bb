#include "broker/tools/times.h"

#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <ctime>

namespace broker {
namespace {

// Takes `digits` digits off the front.
bool take_number(std::string_view& text, std::size_t digits, int& into) {
    if (text.size() < digits) return false;
    const auto [end, fault] = std::from_chars(text.data(), text.data() + digits, into);
    if (fault != std::errc() || end != text.data() + digits) return false;
    text.remove_prefix(digits);
    return true;
}

bool take_letter(std::string_view& text, char letter) {
    if (!text.starts_with(letter)) return false;
    text.remove_prefix(1);
    return true;
}

}  // namespace

base::Result<std::int64_t, std::string> parse_datetime(std::string_view text) {
    const auto invalid = base::Unexpected<std::string>("Unparseable date: \"" + std::string(text) +
                                                       "\"; YYYY-MM-DDTHH:mm:ss.sss is wanted");
    auto rest = text;
    std::tm date{};
    int milliseconds = 0;
    const bool has_minutes = take_number(rest, 4, date.tm_year) && take_letter(rest, '-') &&
                             take_number(rest, 2, date.tm_mon) && take_letter(rest, '-') &&
                             take_number(rest, 2, date.tm_mday) && take_letter(rest, 'T') &&
                             take_number(rest, 2, date.tm_hour) && take_letter(rest, ':') &&
                             take_number(rest, 2, date.tm_min);
    if (!has_minutes) return invalid;
    if (take_letter(rest, ':') && !take_number(rest, 2, date.tm_sec)) return invalid;
    if (take_letter(rest, '.') && !take_number(rest, 3, milliseconds)) return invalid;
    const bool is_in_range = date.tm_mon >= 1 && date.tm_mon <= 12 && date.tm_mday >= 1 &&
                             date.tm_mday <= 31 && date.tm_hour <= 23 && date.tm_min <= 59 &&
                             date.tm_sec <= 60;
    if (!is_in_range) return invalid;
    date.tm_year -= 1900;
    date.tm_mon -= 1;
    std::int64_t seconds = 0;
    if (rest.empty()) {
        date.tm_isdst = -1;
        seconds = std::mktime(&date);
    } else if (rest == "Z") {
        seconds = ::timegm(&date);
    } else {
        const int sign = rest[0] == '-' ? -1 : 1;
        int hours = 0;
        int minutes = 0;
        if (!take_letter(rest, '+') && !take_letter(rest, '-')) return invalid;
        if (!take_number(rest, 2, hours)) return invalid;
        take_letter(rest, ':');
        if (!take_number(rest, 2, minutes) || !rest.empty()) return invalid;
        seconds = ::timegm(&date) - sign * (hours * 3600 + minutes * 60);
    }
    return seconds * 1000 + milliseconds;
}

base::Result<std::int64_t, std::string> parse_duration(std::string_view text) {
    const auto invalid = base::Unexpected<std::string>(
        "Text cannot be parsed to a Duration: \"" + std::string(text) + "\"; PnDTnHnMnS is wanted");
    auto rest = text;
    if (!take_letter(rest, 'P') || rest.empty()) return invalid;
    std::int64_t milliseconds = 0;
    bool is_time = false;
    while (!rest.empty()) {
        if (!is_time && take_letter(rest, 'T')) {
            is_time = true;
            if (rest.empty()) return invalid;
            continue;
        }
        double number = 0;
        const auto [end, fault] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
        if (fault != std::errc() || end == rest.data() + rest.size()) return invalid;
        const char unit = *end;
        rest.remove_prefix(static_cast<std::size_t>(end - rest.data()) + 1);
        if (!is_time && unit == 'D') {
            number *= 86'400'000;
        } else if (is_time && unit == 'H') {
            number *= 3'600'000;
        } else if (is_time && unit == 'M') {
            number *= 60'000;
        } else if (is_time && unit == 'S') {
            number *= 1'000;
        } else {
            return invalid;
        }
        milliseconds += static_cast<std::int64_t>(number);
    }
    return milliseconds;
}

std::string perf_time(std::int64_t milliseconds) {
    const std::time_t seconds = milliseconds / 1000;
    std::tm local{};
    ::localtime_r(&seconds, &local);
    std::array<char, 40> text{};
    const auto size = std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &local);
    std::snprintf(text.data() + size, text.size() - size, ":%03d",
                  static_cast<int>(milliseconds % 1000));
    return text.data();
}

std::int64_t wall_clock_ms() {
    using namespace std::chrono;
    return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

}  // namespace broker
