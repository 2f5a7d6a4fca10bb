#include "broker/tools/options.h"

#include "protocol/base/ensure.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <map>
#include <set>

namespace broker {
namespace {

std::vector<std::string> split_names(std::string_view names) {
    std::vector<std::string> split;
    while (true) {
        const auto comma = names.find(',');
        split.emplace_back(names.substr(0, comma));
        if (comma == std::string_view::npos) return split;
        names.remove_prefix(comma + 1);
    }
}

// The one thing that makes -1 a value and not an option.
bool looks_like_option(std::string_view word) {
    return word.size() > 1 && word[0] == '-' && !(word[1] >= '0' && word[1] <= '9');
}

}  // namespace

struct Options::State {
    explicit State(std::string purpose) : app(std::move(purpose)) { app.set_help_flag(); }

    CLI::App app;
    std::map<std::string, CLI::Option*, std::less<>> by_name;  // All spellings.

    std::set<const CLI::Option*> takes_many;

    CLI::Option* add(std::string_view names, const std::string& help, int least, int most) {
        std::string spelled;
        const auto split = split_names(names);
        for (const auto& name : split) {
            spelled +=
                (spelled.empty() ? "" : ",") + (name.size() == 1 ? "-" : std::string("--")) + name;
        }
        auto* option = app.add_option(spelled, help);
        option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
        option->expected(least, most);
        for (const auto& name : split) by_name[name] = option;
        return option;
    }

    const CLI::Option* find(std::string_view name) const {
        const auto found = by_name.find(name);
        base::ensure(found != by_name.end(), "a tool asks only for options that it has declared");
        return found->second;
    }

    // The declared name that a word on the command line means.
    std::string resolve(std::string_view given) const {
        if (by_name.contains(given)) return std::string(given);
        std::vector<std::string> candidates;
        for (const auto& [name, option] : by_name) {
            const bool is_new =
                candidates.empty() || by_name.find(candidates.back())->second != option;
            if (name.starts_with(given) && is_new) candidates.push_back(name);
        }
        if (candidates.size() == 1) return candidates.front();
        if (candidates.empty())
            throw UsageError(std::string(given) + " is not a recognized option");
        std::string list;
        for (const auto& name : candidates) list += (list.empty() ? "" : ", ") + name;
        throw UsageError(std::string(given) + " is not a recognized option: it may be " + list);
    }

    // The words with every option in its declared form, `--name`.
    std::vector<std::string> normalise(const std::vector<std::string>& words) const {
        std::vector<std::string> plain;
        for (std::size_t at = 0; at < words.size(); ++at) {
            const std::string_view word = words[at];
            if (!looks_like_option(word)) {
                plain.emplace_back(word);
                continue;
            }
            auto given = word.substr(word.starts_with("--") ? 2 : 1);
            const auto equals = given.find('=');
            const auto name = resolve(given.substr(0, equals));
            const auto* option = by_name.at(name);
            const auto dashed = (name.size() == 1 ? "-" : std::string("--")) + name;
            if (equals != std::string_view::npos) {
                plain.push_back(dashed);
                plain.emplace_back(given.substr(equals + 1));
            } else {
                plain.push_back(dashed);
                const bool needs_value = option->get_items_expected_min() > 0;
                if (needs_value && at + 1 == words.size()) {
                    throw UsageError("Option " + name + " requires an argument");
                }
                // A value may begin with dashes; it is not looked at as an option.
                if (needs_value) plain.push_back(words[++at]);
                const bool takes_more = takes_many.contains(option);
                while (takes_more && at + 1 < words.size() && !looks_like_option(words[at + 1])) {
                    plain.push_back(dashed);
                    plain.push_back(words[++at]);
                }
            }
        }
        return plain;
    }
};

Options::Options(std::string purpose) : state_(std::make_unique<State>(std::move(purpose))) {
    flag("help,h", "Print usage information.");
    flag("version", "Display the version.");
}

Options::~Options() = default;

void Options::flag(std::string_view names, const std::string& help) {
    state_->add(names, help, 0, 0)->type_size(0);
}

void Options::value(std::string_view names, const std::string& what, const std::string& help) {
    state_->add(names, help, 1, 1)->type_name(what);
}

void Options::maybe_value(std::string_view names, const std::string& what,
                          const std::string& help) {
    state_->add(names, help, 0, 1)->type_name(what);
}

void Options::many_values(std::string_view names, const std::string& what,
                          const std::string& help) {
    state_->takes_many.insert(state_->add(names, help, 1, 1)->type_name(what));
}

void Options::positional(const std::string& name, const std::string& help) {
    auto* option = state_->app.add_option(name, help);
    option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    option->expected(-1);  // Any number, one at least once it is there.
    state_->by_name[name] = option;
}

void Options::parse(const std::vector<std::string>& words) {
    auto plain = state_->normalise(words);
    std::ranges::reverse(plain);
    try {
        state_->app.parse(plain);
    } catch (const CLI::ParseError& error) {
        throw UsageError(error.what());
    }
}

std::string Options::help() const {
    return state_->app.help();
}

bool Options::has(std::string_view name) const {
    return state_->find(name)->count() > 0;
}

std::optional<std::string> Options::get(std::string_view name) const {
    const auto* option = state_->find(name);
    if (option->count() == 0) return std::nullopt;
    const auto& results = option->results();
    return results.empty() ? std::string() : results.back();
}

std::string Options::get_or(std::string_view name, std::string_view otherwise) const {
    return get(name).value_or(std::string(otherwise));
}

std::vector<std::string> Options::all(std::string_view name) const {
    return state_->find(name)->results();
}

std::optional<std::int64_t> Options::integer(std::string_view name) const {
    const auto text = get(name);
    if (!text) return std::nullopt;
    std::int64_t number = 0;
    const auto [end, fault] = std::from_chars(text->data(), text->data() + text->size(), number);
    if (fault != std::errc() || end != text->data() + text->size()) {
        throw UsageError("Cannot parse argument '" + *text + "' of option " + std::string(name));
    }
    return number;
}

std::int64_t Options::integer_or(std::string_view name, std::int64_t otherwise) const {
    return integer(name).value_or(otherwise);
}

std::string Options::required(std::string_view name) const {
    const auto text = get(name);
    if (!text) throw UsageError("Missing required argument \"[" + std::string(name) + "]\"");
    return *text;
}

}  // namespace broker
