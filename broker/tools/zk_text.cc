#include "broker/tools/zk_text.h"

#include <algorithm>
#include <charconv>
#include <ctime>
#include <utility>

namespace broker::zk_text {

using coordinator::ZkError;
namespace permission = coordinator::permission;

namespace {

// As java.util.Date: "Sat Nov 21 19:21:50 UTC 2026".
std::string date(std::int64_t ms) {
    const auto seconds = static_cast<std::time_t>(ms / 1000);
    std::tm local{};
    ::localtime_r(&seconds, &local);
    char text[64];
    const auto size = std::strftime(text, sizeof text, "%a %b %d %H:%M:%S %Z %Y", &local);
    return {text, size};
}

std::string hex(std::int64_t value) {
    char text[24];
    const auto end = std::to_chars(text, text + sizeof text, static_cast<std::uint64_t>(value), 16);
    return "0x" + std::string(text, end.ptr);
}

constexpr std::pair<char, std::int32_t> permissions[] = {{'c', permission::create},
                                                         {'d', permission::del},
                                                         {'r', permission::read},
                                                         {'w', permission::write},
                                                         {'a', permission::admin}};

// What precedes the path.
std::string_view sentence(ZkError error) {
    switch (error) {
        case ZkError::no_node:
            return "Node does not exist: ";
        case ZkError::no_children_for_ephemerals:
            return "Ephemerals cannot have children: ";
        case ZkError::node_exists:
            return "Node already exists: ";
        case ZkError::not_empty:
            return "Node not empty: ";
        case ZkError::invalid_acl:
            return "Acl is not valid : ";
        case ZkError::no_auth:
            return "Insufficient permission : ";
        case ZkError::bad_arguments:
            return "Arguments are not valid : ";
        case ZkError::bad_version:
            return "version No is not valid : ";
        case ZkError::quota_exceeded:
            return "Quota has exceeded : ";
        default:
            return "";
    }
}

// As Apache ZooKeeper's client calls the others.
std::string code_name(ZkError error) {
    switch (static_cast<std::int32_t>(error)) {
        case -4:
            return "ConnectionLoss";
        case -5:
            return "MarshallingError";
        case -6:
            return "Unimplemented";
        case -7:
            return "OperationTimeout";
        case -112:
            return "Session expired";
        case -115:
            return "AuthFailed";
        case -118:
            return "Session moved";
        case -121:
            return "No such watcher";
        case -123:
            return "Reconfig is disabled";
        default:
            return "Unknown error " + std::to_string(static_cast<std::int32_t>(error));
    }
}

[[noreturn]] void bad_path(std::string_view path, const std::string& why) {
    throw ShellError("Invalid path string \"" + std::string(path) + "\" caused by " + why);
}

}  // namespace

std::string stat(const coordinator::Stat& stat) {
    return "cZxid = " + hex(stat.czxid.value()) + "\nctime = " + date(stat.ctime) +
           "\nmZxid = " + hex(stat.mzxid.value()) + "\nmtime = " + date(stat.mtime) +
           "\npZxid = " + hex(stat.pzxid.value()) +
           "\ncversion = " + std::to_string(stat.cversion) +
           "\ndataVersion = " + std::to_string(stat.version) +
           "\naclVersion = " + std::to_string(stat.aversion) +
           "\nephemeralOwner = " + hex(stat.ephemeral_owner.value()) +
           "\ndataLength = " + std::to_string(stat.data_length) +
           "\nnumChildren = " + std::to_string(stat.num_children) + "\n";
}

std::string acl(const coordinator::Acl& acl) {
    std::string text;
    for (const auto& entry : acl) {
        text += "'" + entry.id.scheme + ",'" + entry.id.id + "\n: ";
        for (const auto& [letter, bit] : permissions) {
            if ((entry.permissions & bit) != 0) text += letter;
        }
        text += "\n";
    }
    return text;
}

std::string list(const std::vector<std::string>& names) {
    std::string text;
    for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
    return "[" + text + "]";
}

coordinator::Acl parse_acl(std::string_view text, std::vector<std::string>& complaints) {
    coordinator::Acl made;
    while (!text.empty()) {
        const auto comma = std::min(text.find(','), text.size());
        const auto one = text.substr(0, comma);
        text.remove_prefix(std::min(comma + 1, text.size()));
        const auto first = one.find(':');
        const auto last = one.rfind(':');
        if (first == last) {
            complaints.push_back(std::string(one) + " does not have the form scheme:id:perm");
            continue;
        }
        coordinator::AclEntry entry;
        entry.id = {std::string(one.substr(0, first)),
                    std::string(one.substr(first + 1, last - first - 1))};
        for (const char letter : one.substr(last + 1)) {
            const auto* const found =
                std::ranges::find(permissions, letter, &std::pair<char, std::int32_t>::first);
            if (found == std::end(permissions)) {
                complaints.push_back("Unknown perm type: " + std::string(1, letter));
            } else {
                entry.permissions |= found->second;
            }
        }
        made.push_back(std::move(entry));
    }
    return made;
}

std::string error(ZkError error, std::string_view path) {
    if (const auto known = sentence(error); !known.empty()) {
        return std::string(known) + std::string(path);
    }
    return "KeeperErrorCode = " + code_name(error) +
           (path.empty() ? "" : " for " + std::string(path));
}

void check_path(std::string_view path) {
    if (path.empty()) throw ShellError("Path length must be > 0");
    if (!path.starts_with('/')) throw ShellError("Path must start with / character");
    if (path == "/") return;
    if (path.ends_with('/')) throw ShellError("Path must not end with / character");
    for (std::size_t begin = 1; begin <= path.size();) {
        const auto end = std::min(path.find('/', begin), path.size());
        const auto name = path.substr(begin, end - begin);
        if (name.empty()) {
            bad_path(path, "empty node name specified @" + std::to_string(begin));
        }
        if (name == "." || name == "..") {
            bad_path(path, "relative paths not allowed @" + std::to_string(end - 1));
        }
        begin = end + 1;
    }
}

std::vector<std::string> words(std::string_view line) {
    constexpr std::string_view blanks = " \t\r\n";
    std::vector<std::string> found;
    for (auto at = line.find_first_not_of(blanks); at != line.npos;
         at = line.find_first_not_of(blanks, at)) {
        const char quote = line[at];
        const bool is_quoted = quote == '"' || quote == '\'';
        const auto close = is_quoted ? line.find(quote, at + 1) : line.npos;
        if (close != line.npos) {
            found.emplace_back(line.substr(at + 1, close - at - 1));
            at = close + 1;
        } else if (is_quoted) {
            ++at;  // A quote that nothing closes is passed over.
        } else {
            const auto end = std::min(line.find_first_of(blanks, at), line.size());
            found.emplace_back(line.substr(at, end - at));
            at = end;
        }
    }
    return found;
}

std::optional<std::string> Parsed::get(std::string_view name) const {
    const auto found = options.find(name);
    if (found == options.end()) return std::nullopt;
    return found->second;
}

namespace {

struct Known {
    std::map<std::string, bool, std::less<>> takes_value;

    explicit Known(std::string_view names) {
        for (const auto& name : words(names)) {
            const bool value = name.ends_with(':');
            takes_value[name.substr(0, name.size() - (value ? 1 : 0))] = value;
        }
    }

    // A dash and something that is no number.
    static bool is_option(std::string_view word) {
        return word.size() > 1 && word.starts_with('-') &&
               word.find_first_not_of("0123456789.", 1) != word.npos;
    }

    // "-sw" as "s" and "w".
    bool are_letters(std::string_view word) const {
        return std::ranges::all_of(word, [&](char letter) {
            const auto found = takes_value.find(std::string(1, letter));
            return found != takes_value.end() && !found->second;
        });
    }
};

}  // namespace

Parsed parse(const std::vector<std::string>& all, std::string_view known_names) {
    const Known known(known_names);
    Parsed parsed;
    for (std::size_t i = 1; i < all.size(); ++i) {
        const std::string& word = all[i];
        if (!Known::is_option(word)) {
            parsed.rest.push_back(word);
            continue;
        }
        const std::string name = word.substr(word.starts_with("--") ? 2 : 1);
        const auto found = known.takes_value.find(name);
        if (found != known.takes_value.end() && found->second) {
            if (++i == all.size()) throw ShellError("Missing argument for option: " + name);
            parsed.options[name] = all[i];
        } else if (found != known.takes_value.end()) {
            parsed.options[name] = "";
        } else if (known.are_letters(name)) {
            for (const char letter : name) parsed.options[std::string(1, letter)] = "";
        } else {
            throw ShellError("Unrecognized option: " + word);
        }
    }
    return parsed;
}

std::int64_t number(const std::string& text, const std::string& otherwise) {
    std::int64_t value = 0;
    const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (fault != std::errc() || end != text.data() + text.size()) throw ShellError(otherwise);
    return value;
}

}  // namespace broker::zk_text
