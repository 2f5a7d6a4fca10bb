// milena zk-cli: zkCli.sh, zookeeper-shell.sh and zookeeper-client: ZooKeeper's shell, one
// command from the command line or many from the keyboard or a pipe.

#include "broker/tools/commands.h"
#include "broker/tools/tool.h"
#include "broker/tools/zk_shell.h"

#include <cstdlib>
#include <cstring>
#include <editline/readline.h>
#include <iostream>
#include <memory>
#include <unistd.h>

namespace broker {
namespace {

constexpr int history_lines_max = 1000;

struct CommandLine {
    ZkShell::Settings settings;
    bool waits = false;
    Words command;
};

CommandLine parse(const Words& words) {
    CommandLine line;
    for (std::size_t i = 0; i < words.size(); ++i) {
        const std::string& word = words[i];
        const auto value = [&] {
            if (++i == words.size()) {
                throw ShellError("Error: no argument found for option " + word);
            }
            return words[i];
        };
        if (word == "-server" || word == "--server") {
            line.settings.server = value();
        } else if (word == "-timeout" || word == "--timeout") {
            const auto text = value();
            const auto timeout = zk_text::number(text, "-timeout wants milliseconds, not " + text);
            line.settings.timeout_ms =
                static_cast<std::int32_t>(std::clamp<std::int64_t>(timeout, 1, 1 << 30));
        } else if (word == "-r") {
            line.settings.may_be_read_only = true;
        } else if (word == "-waitforconnection") {
            line.waits = true;
        } else if (word.starts_with('-')) {
            throw ShellError("Error: there is no option " + word + "\n" + ZkShell::usage());
        } else {
            line.command.assign(words.begin() + static_cast<std::ptrdiff_t>(i), words.end());
            break;
        }
    }
    return line;
}

// libedit's completion has no argument of ours.
ZkShell* completing = nullptr;

char* next_completion(const char* text, int state) {
    static std::vector<std::string> found;
    static std::size_t at = 0;
    if (state == 0) {
        found = completing->complete(text);
        at = 0;
    }
    return at < found.size() ? ::strdup(found[at++].c_str()) : nullptr;
}

char** complete(const char* text, int, int) {
    rl_attempted_completion_over = 1;                            // No names of files.
    rl_completion_append_character = *text == '/' ? '\0' : ' ';  // A path may go on.
    return ::rl_completion_matches(text, next_completion);
}

// Lines from a keyboard, with history and completion.
int converse(ZkShell& shell) {
    const char* const home = std::getenv("HOME");
    const std::string kept = home ? std::string(home) + "/.milena_zk_cli_history" : "";
    rl_readline_name = const_cast<char*>("zkCli");
    rl_completer_word_break_characters = const_cast<char*>(" \t\n");
    rl_attempted_completion_function = complete;
    ::using_history();
    ::stifle_history(history_lines_max);
    if (!kept.empty()) ::read_history(kept.c_str());
    completing = &shell;
    int code = 0;
    while (!shell.has_quit()) {
        const std::unique_ptr<char, decltype(&std::free)> line(::readline(shell.prompt().c_str()),
                                                               &std::free);
        if (!line) break;
        if (*line == '\0') continue;
        ::add_history(line.get());
        code = shell.run_line(line.get());
    }
    if (!kept.empty()) ::write_history(kept.c_str());
    return code;
}

int read_lines(ZkShell& shell) {
    int code = 0;
    for (std::string line; !shell.has_quit() && std::getline(std::cin, line);) {
        if (!line.empty()) code = shell.run_line(line);
    }
    return code;
}

}  // namespace

int run_zk_cli(const Words& words) {
    if (!words.empty() && (words[0] == "--help" || words[0] == "-h")) {
        std::cout << ZkShell::usage();
        return 0;
    }
    if (!words.empty() && words[0] == "--version") {
        std::cout << "milena " << version_text() << "\n";
        return 0;
    }
    // Events are printed by another thread, so nobody may flush beside the shell.
    std::cin.tie(nullptr);
    try {
        const auto line = parse(words);
        ZkShell shell(line.settings);
        if (line.waits && !shell.wait_connected()) {
            throw ShellError("ERROR: no connection to " + line.settings.server + " in time");
        }
        if (!line.command.empty()) return shell.run(line.command);
        const bool is_typed = ::isatty(STDIN_FILENO) != 0;
        shell.print(std::string("Welcome to ZooKeeper!\nJLine support is ") +
                    (is_typed ? "enabled\n" : "disabled\n"));
        return is_typed ? converse(shell) : read_lines(shell);
    } catch (const ShellError& error) {
        std::cerr << error.what() << "\n";
        return error.exit_code;
    }
}

}  // namespace broker
