// Value: one configuration value, from the text that people write to what it means.
//
// Types and ranges are those of Apache Kafka's ConfigDef: blanks around a value do not
// count, booleans are true and false in any case, lists are separated by commas.
#pragma once

#include "broker/config/definitions.h"
#include "protocol/base/result.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace broker {

struct BrokerValues;
struct TopicValues;

std::string_view trimmed(std::string_view text) noexcept;

// "a, b,c" is a b c; nothing but blanks is the empty list.
std::vector<std::string> split_list(std::string_view text);

// Whole, and within the type's range; a + in front is accepted, as Java does.
std::optional<std::int64_t> parse_integer(std::string_view text) noexcept;
std::optional<double> parse_double(std::string_view text) noexcept;
std::optional<bool> parse_boolean(std::string_view text) noexcept;

// Is `value` right for the key? The fault says what is allowed: "a whole number, 1 or more".
[[nodiscard]] base::Result<void, std::string> check_value(const KeyDefinition& key,
                                                          std::string_view value);

// The value as Apache Kafka prints it once parsed: " TRUE " is true, "a , b" is a,b and
// 5e-1 is 0.5. Requires a value that check_value accepts.
std::string canonical_value(ConfigType type, std::string_view value);

// The value of key `from` in the unit of key `to`: hours or minutes to milliseconds, and
// below zero to -1. Otherwise, and if it is no number, the value itself.
std::string converted_value(std::string_view from, std::string_view to, std::string_view value);

// The value in force under a key, or none when it is null.
using Lookup = std::function<std::optional<std::string>(std::string_view key)>;

// Require values that check_value accepts.
void parse_into(bool& to, const std::optional<std::string>& value);
void parse_into(std::int16_t& to, const std::optional<std::string>& value);
void parse_into(std::int32_t& to, const std::optional<std::string>& value);
void parse_into(std::int64_t& to, const std::optional<std::string>& value);
void parse_into(double& to, const std::optional<std::string>& value);
void parse_into(std::string& to, const std::optional<std::string>& value);
void parse_into(std::vector<std::string>& to, const std::optional<std::string>& value);

template <class T>
void parse_into(std::optional<T>& to, const std::optional<std::string>& value) {
    to.reset();
    if (value) parse_into(to.emplace(), value);
}

// Generated from the tables: every field from the value in force under its key.
void fill(BrokerValues& values, const Lookup& value_of);
void fill(TopicValues& values, const Lookup& value_of);

}  // namespace broker
