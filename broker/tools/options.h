// Options: the command line of one tool, in the forms that Kafka's own tools take.
//
//     --topic orders   --topic=orders   -topic orders   --top orders
//
// A single dash does for a long name, and so does the beginning of a name when only one
// option begins so. An option may have several spellings, old and new; the first one is its
// name here. What a tool can do wrong on its command line ends in UsageError.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace broker {

// The command line makes no sense; what() is the sentence for people.
class UsageError : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

// What was asked for cannot be done; what() is the sentence for people.
class ToolError : public std::runtime_error {
public:
    explicit ToolError(const std::string& what, std::string kind = {})
        : std::runtime_error(what), kind_(std::move(kind)) {}

    // The name by which Kafka's tools report it, TopicExistsException; may be empty.
    const std::string& kind() const noexcept { return kind_; }

private:
    std::string kind_;
};

class Options {
public:
    // `purpose` is the first line of the help.
    explicit Options(std::string purpose);
    ~Options();
    Options(const Options&) = delete;
    Options& operator=(const Options&) = delete;

    // `names` with commas between them: "broker-list,bootstrap-server".
    void flag(std::string_view names, const std::string& help);
    void value(std::string_view names, const std::string& what, const std::string& help);
    // Takes a value or none, as in `--state` and `--state Empty`.
    void maybe_value(std::string_view names, const std::string& what, const std::string& help);
    // Takes all words up to the next option.
    void many_values(std::string_view names, const std::string& what, const std::string& help);
    // Words without a dash.
    void positional(const std::string& name, const std::string& help);

    // Faults: UsageError. After it, the getters tell. Requires that it is called once.
    void parse(const std::vector<std::string>& words);

    bool wants_help() const { return has("help"); }
    bool wants_version() const { return has("version"); }
    std::string help() const;

    bool has(std::string_view name) const;
    // The last value given; nothing without the option, empty when it came without a value.
    std::optional<std::string> get(std::string_view name) const;
    std::string get_or(std::string_view name, std::string_view otherwise) const;
    // Every value in the order of the command line.
    std::vector<std::string> all(std::string_view name) const;
    // A whole number. Faults: UsageError.
    std::optional<std::int64_t> integer(std::string_view name) const;
    std::int64_t integer_or(std::string_view name, std::int64_t otherwise) const;

    // Faults: UsageError `Missing required argument "[name]"`.
    std::string required(std::string_view name) const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace broker
