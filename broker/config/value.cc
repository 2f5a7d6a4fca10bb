#include "broker/config/value.h"

#include "protocol/base/ensure.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

namespace broker {
namespace {

using Checked = base::Result<void, std::string>;

Checked allowed_is(std::string text) {
    return base::Unexpected(std::move(text));
}

bool equal_in_any_case(std::string_view a, std::string_view b) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    return std::ranges::equal(a, b, {}, lower, lower);
}

template <class T>
bool holds(std::int64_t number) {
    return number >= std::numeric_limits<T>::min() && number <= std::numeric_limits<T>::max();
}

// "1..9|-1" of a table: from, to (each may be missing), and one value besides.
struct Range {
    std::optional<double> from;
    std::optional<double> to;
    std::optional<double> besides;
    std::string text;  // "from 1 to 9, or -1"

    bool contains(double number) const {
        if (besides && number == *besides) return true;
        return (!from || number >= *from) && (!to || number <= *to);
    }
};

std::optional<Range> parse_range(std::string_view rule) {
    const std::size_t dots = rule.find("..");
    if (dots == std::string_view::npos) return std::nullopt;
    const std::size_t bar = std::min(rule.find('|'), rule.size());
    const std::string_view from = rule.substr(0, dots);
    const std::string_view to = rule.substr(dots + 2, bar - dots - 2);
    Range range{.from = parse_double(from), .to = parse_double(to)};
    range.text = to.empty() ? std::string(from) + " or more"
                            : "from " + std::string(from) + " to " + std::string(to);
    if (bar < rule.size()) {
        range.besides = parse_double(rule.substr(bar + 1));
        range.text += ", or " + std::string(rule.substr(bar + 1));
    }
    return range;
}

template <class T>
Checked check_integer(const KeyDefinition& key, std::string_view value, std::string_view kind) {
    const std::optional<std::int64_t> number = parse_integer(value);
    const std::optional<Range> range = parse_range(key.allowed);
    const bool right =
        number && holds<T>(*number) && (!range || range->contains(static_cast<double>(*number)));
    if (right) return {};
    return allowed_is(std::string(kind) + (range ? ", " + range->text : ""));
}

Checked check_float(const KeyDefinition& key, std::string_view value) {
    const std::optional<double> number = parse_double(value);
    const std::optional<Range> range = parse_range(key.allowed);
    if (number && (!range || range->contains(*number))) return {};
    return allowed_is("a number" + (range ? ", " + range->text : std::string()));
}

// "compact,delete" of a table, ~ in front for any case.
Checked check_choice(std::string_view rule, std::string_view value) {
    const bool any_case = rule.starts_with('~');
    if (any_case) rule.remove_prefix(1);
    std::string known;
    for (const std::string& choice : split_list(rule)) {
        if (any_case ? equal_in_any_case(choice, value) : choice == value) return {};
        known += (known.empty() ? "" : ", ") + choice;
    }
    return allowed_is("one of " + known);
}

// "0:1,2:3" or "*".
Checked check_throttled_replicas(std::string_view value) {
    if (trimmed(value) == "*") return {};
    for (const std::string& pair : split_list(value)) {
        const std::size_t colon = pair.find(':');
        const bool right = colon != std::string::npos && parse_integer(pair.substr(0, colon)) &&
                           parse_integer(pair.substr(colon + 1));
        if (!right)
            return allowed_is("*, or partition:broker pairs separated by commas, as 0:1,2:3");
    }
    return {};
}

// A release of Apache Kafka: 0.10.2, 2.8, 3.0-IV1, 2.4.1.
Checked check_release(std::string_view value) {
    static constexpr std::string_view known[] = {
        "0.8.0", "0.8.1", "0.8.2", "0.9.0", "0.10.0", "0.10.1", "0.10.2", "0.11.0", "1.0", "1.1",
        "2.0",   "2.1",   "2.2",   "2.3",   "2.4",    "2.5",    "2.6",    "2.7",    "2.8", "3.0",
        "3.1",   "3.2",   "3.3",   "3.4",   "3.5",    "3.6",    "3.7",    "3.8",    "3.9", "4.0"};
    const auto begins = [value](std::string_view release) {
        return value.starts_with(release) &&
               (value.size() == release.size() || value[release.size()] == '.' ||
                value[release.size()] == '-');
    };
    return std::ranges::any_of(known, begins)
               ? Checked()
               : allowed_is("a release from 0.8.0 to 4.0, such as 3.9");
}

Checked check_text(const KeyDefinition& key, std::string_view value) {
    if (key.allowed.empty()) return {};
    if (key.allowed == "release") return check_release(value);
    if (key.allowed == "nonempty") return value.empty() ? allowed_is("something") : Checked();
    return check_choice(key.allowed, value);
}

Checked check_list(const KeyDefinition& key, std::string_view value) {
    if (key.allowed == "throttled-replicas") return check_throttled_replicas(value);
    if (key.allowed.empty()) return {};
    for (const std::string& item : split_list(value)) {
        if (const Checked checked = check_choice(key.allowed, item); !checked) {
            return allowed_is("a list, each " + checked.error());
        }
    }
    return {};
}

// As Java's Double.toString: plain between 10^-3 and 10^7, else with an exponent, and
// always with a digit behind the point.
std::string java_double(double number) {
    if (std::isinf(number)) return number > 0 ? "Infinity" : "-Infinity";
    const double size = std::fabs(number);
    const bool plain = size == 0 || (size >= 1e-3 && size < 1e7);
    char text[64];
    const auto written =
        std::to_chars(text, text + sizeof text, number,
                      plain ? std::chars_format::fixed : std::chars_format::scientific);
    std::string out(text, written.ptr);
    if (plain) return out.find('.') == std::string::npos ? out + ".0" : out;
    const std::size_t e = out.find('e');
    std::string mantissa = out.substr(0, e);
    if (mantissa.find('.') == std::string::npos) mantissa += ".0";
    return mantissa + "E" + std::to_string(*parse_integer(std::string_view(out).substr(e + 1)));
}

}  // namespace

std::string_view trimmed(std::string_view text) noexcept {
    while (!text.empty() && static_cast<unsigned char>(text.front()) <= ' ') text.remove_prefix(1);
    while (!text.empty() && static_cast<unsigned char>(text.back()) <= ' ') text.remove_suffix(1);
    return text;
}

std::vector<std::string> split_list(std::string_view text) {
    std::vector<std::string> items;
    text = trimmed(text);
    if (text.empty()) return items;
    while (true) {
        const std::size_t comma = text.find(',');
        items.emplace_back(trimmed(text.substr(0, comma)));
        if (comma == std::string_view::npos) return items;
        text.remove_prefix(comma + 1);
    }
}

std::optional<std::int64_t> parse_integer(std::string_view text) noexcept {
    text = trimmed(text);
    if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
    std::int64_t number = 0;
    const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (fault != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
}

std::optional<double> parse_double(std::string_view text) noexcept {
    text = trimmed(text);
    if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
    double number = 0;
    const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
    const bool whole = fault == std::errc() && end == text.data() + text.size();
    return whole && !std::isnan(number) ? std::optional(number) : std::nullopt;
}

std::optional<bool> parse_boolean(std::string_view text) noexcept {
    text = trimmed(text);
    if (equal_in_any_case(text, "true")) return true;
    if (equal_in_any_case(text, "false")) return false;
    return std::nullopt;
}

base::Result<void, std::string> check_value(const KeyDefinition& key, std::string_view value) {
    value = trimmed(value);
    switch (key.type) {
        case ConfigType::boolean:
            return parse_boolean(value) ? Checked() : allowed_is("true or false");
        case ConfigType::int16:
            return check_integer<std::int16_t>(key, value, "a whole number of 16 bits");
        case ConfigType::int32:
            return check_integer<std::int32_t>(key, value, "a whole number of 32 bits");
        case ConfigType::int64:
            return check_integer<std::int64_t>(key, value, "a whole number of 64 bits");
        case ConfigType::float64:
            return check_float(key, value);
        case ConfigType::list:
            return check_list(key, value);
        case ConfigType::unknown:
        case ConfigType::string:
        case ConfigType::class_name:
        case ConfigType::password:
            return check_text(key, value);
    }
    return {};
}

std::string canonical_value(ConfigType type, std::string_view value) {
    value = trimmed(value);
    switch (type) {
        case ConfigType::boolean:
            return parse_boolean(value).value_or(false) ? "true" : "false";
        case ConfigType::int16:
        case ConfigType::int32:
        case ConfigType::int64:
            return std::to_string(parse_integer(value).value_or(0));
        case ConfigType::float64:
            return java_double(parse_double(value).value_or(0));
        case ConfigType::list: {
            std::string joined;
            const std::vector<std::string> items = split_list(value);
            for (const std::string& item : items)
                joined += (&item == items.data() ? "" : ",") + item;
            return joined;
        }
        case ConfigType::unknown:
        case ConfigType::string:
        case ConfigType::class_name:
        case ConfigType::password:
            break;
    }
    return std::string(value);
}

std::string converted_value(std::string_view from, std::string_view to, std::string_view value) {
    std::int64_t factor = 1;
    if (to.ends_with(".ms") && from.ends_with(".hours")) factor = 3'600'000;
    if (to.ends_with(".ms") && from.ends_with(".minutes")) factor = 60'000;
    const std::optional<std::int64_t> number = parse_integer(value);
    if (factor == 1 || !number) return std::string(value);
    if (*number < 0) return "-1";
    // Hours and minutes are 32 bits wide, so this cannot overflow; a map that somebody
    // else wrote is held to the same bound.
    const std::int64_t whole =
        std::min<std::int64_t>(*number, std::numeric_limits<std::int32_t>::max());
    return std::to_string(whole * factor);
}

namespace {

template <class T>
void parse_integer_into(T& to, const std::optional<std::string>& value) {
    const std::optional<std::int64_t> number = value ? parse_integer(*value) : std::nullopt;
    base::ensure(number && holds<T>(*number), "a value was checked before it is parsed");
    to = static_cast<T>(*number);
}

}  // namespace

void parse_into(std::int16_t& to, const std::optional<std::string>& value) {
    parse_integer_into(to, value);
}
void parse_into(std::int32_t& to, const std::optional<std::string>& value) {
    parse_integer_into(to, value);
}
void parse_into(std::int64_t& to, const std::optional<std::string>& value) {
    parse_integer_into(to, value);
}

void parse_into(bool& to, const std::optional<std::string>& value) {
    const std::optional<bool> parsed = value ? parse_boolean(*value) : std::nullopt;
    base::ensure(parsed.has_value(), "a value was checked before it is parsed");
    to = *parsed;
}

void parse_into(double& to, const std::optional<std::string>& value) {
    const std::optional<double> parsed = value ? parse_double(*value) : std::nullopt;
    base::ensure(parsed.has_value(), "a value was checked before it is parsed");
    to = *parsed;
}

void parse_into(std::string& to, const std::optional<std::string>& value) {
    to = value ? std::string(trimmed(*value)) : std::string();
}

void parse_into(std::vector<std::string>& to, const std::optional<std::string>& value) {
    to = value ? split_list(*value) : std::vector<std::string>();
}

}  // namespace broker
