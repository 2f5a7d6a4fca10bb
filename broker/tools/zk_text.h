// What ZooKeeper's shell prints and reads: Stats, ACLs, errors, paths, and the options of its
// commands.
//
// Pure. Source: the shell of Apache ZooKeeper 3.8.4, its output compared in compat-tests.
#pragma once

#include "coordinator/metadata/znode.h"

#include <cstdint>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace broker {

// A command of the shell that came to nothing; what() is the sentence, exit_code that of a
// shell that ends with it.
class ShellError : public std::runtime_error {
public:
    explicit ShellError(const std::string& what, int code = 1)
        : std::runtime_error(what), exit_code(code) {}

    const int exit_code;
};

namespace zk_text {

// "cZxid = 0x2\n...": eleven lines.
std::string stat(const coordinator::Stat& stat);

// "'world,'anyone\n: cdrwa\n", for each entry.
std::string acl(const coordinator::Acl& acl);

// "[a, b]".
std::string list(const std::vector<std::string>& names);

// "scheme:id:cdrwa,scheme:id:r"; what is none of these is left out and named in `complaints`.
coordinator::Acl parse_acl(std::string_view text, std::vector<std::string>& complaints);

// "Node does not exist: /a".
std::string error(coordinator::ZkError error, std::string_view path);

// Throws ShellError for what cannot be a path, as the client of Apache's shell does.
void check_path(std::string_view path);

// The words of a command line, quotes taken off.
std::vector<std::string> words(std::string_view line);

// A command's words, its options among them.
struct Parsed {
    std::map<std::string, std::string, std::less<>> options;  // By name, without dash.
    std::vector<std::string> rest;                            // Behind the command's name.

    bool has(std::string_view name) const { return options.contains(name); }
    std::optional<std::string> get(std::string_view name) const;
};

// `known` are names with blanks between them, of those that take a value with a colon behind:
// "s w v:". One-letter options may stand together. Throws ShellError.
Parsed parse(const std::vector<std::string>& words, std::string_view known);

// A whole number, or a ShellError with `otherwise`.
std::int64_t number(const std::string& text, const std::string& otherwise);

}  // namespace zk_text

}  // namespace broker
