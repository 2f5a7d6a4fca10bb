#include "broker/tools/zk_quota.h"

#include "broker/tools/zk_commands.h"
#include "coordinator/metadata/path.h"

#include <array>
#include <charconv>

namespace broker {

using namespace coordinator;

ZkQuota::ZkQuota(std::string_view text) {
    while (!text.empty()) {
        const auto end = std::min(text.find_first_of(",;"), text.size());
        const auto pair = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        const auto equals = pair.find('=');
        if (equals == pair.npos) continue;
        std::int64_t value = 0;
        const auto number = pair.substr(equals + 1);
        const auto read = std::from_chars(number.data(), number.data() + number.size(), value);
        if (read.ec == std::errc()) set(pair.substr(0, equals), value);
    }
}

std::int64_t ZkQuota::get(std::string_view key) const {
    const auto found = values_.find(key);
    return found == values_.end() ? -1 : found->second;
}

std::string ZkQuota::text() const {
    std::string text =
        "count=" + std::to_string(get("count")) + ",bytes=" + std::to_string(get("bytes"));
    std::string rest;
    for (const auto& [key, value] : values_) {
        if (key != "count" && key != "bytes") rest += ";" + key + "=" + std::to_string(value);
    }
    return rest.empty() ? text : text + "=" + rest;
}

// ---- The shell's commands -----------------------------------------------------------------

namespace {

struct Limit {
    const char* option;
    const char* key;
};
constexpr std::array<Limit, 4> known_limits{
    {{"n", "count"}, {"b", "bytes"}, {"N", "countHardLimit"}, {"B", "byteHardLimit"}}};

std::string quota_path(const std::string& path) {
    return std::string(ZkQuota::root) + (path == "/" ? "" : path);
}

std::string node_of(const std::string& path, std::string_view name) {
    return quota_path(path) + "/" + std::string(name);
}

zk_text::Parsed parse_quota(const ZkShell::Words& words, std::string_view options,
                            std::string_view usage) {
    auto parsed = zk_text::parse(words, options);
    if (parsed.rest.empty()) throw ShellError(words.front() + " " + std::string(usage));
    zk_text::check_path(parsed.rest[0]);
    return parsed;
}

}  // namespace

void ZkCommands::set_quota(ZkShell& shell, const Words& words) {
    constexpr std::string_view usage = "-n|-b|-N|-B val path";
    const auto parsed = parse_quota(words, "n: b: N: B:", usage);
    const std::string& path = parsed.rest[0];
    if (parsed.options.empty()) {
        throw ShellError(
            "Missing required option: [-n num soft quota, -b bytes soft quota, -N num hard quota, "
            "-B bytes hard quota]");
    }
    if (path.starts_with("/zookeeper/")) {
        throw ShellError("cannot set a quota under the path: " + std::string(ZkQuota::root));
    }
    if (!shell.client().ask(request::exists(path))) {
        throw ShellError(path + " does not exist.");
    }
    // A node has at most one quota, its own or one of those above it.
    for (auto at = path; at != "/";) {
        at = std::string(zk_path::parent(at));
        if (at != "/" && shell.client().ask(request::exists(node_of(at, ZkQuota::limits)))) {
            throw ShellError(path + " has a parent " + at + " which has a quota");
        }
    }
    if (shell.client().ask(request::exists(quota_path(path)))) {
        for (const auto& each : subtree(shell, quota_path(path))) {
            const auto parent = std::string(zk_path::parent(each));
            if (zk_path::name(each) == ZkQuota::limits && parent != quota_path(path)) {
                throw ShellError(path + " has a child " + parent.substr(ZkQuota::root.size()) +
                                 " which has a quota");
            }
        }
    }
    const auto held = shell.client().ask(request::get(node_of(path, ZkQuota::limits)));
    ZkQuota quota(held ? held->data.value_or("") : "");
    for (const auto& [option, key] : known_limits) {
        quota.set(key, quota.get(key));  // What is no limit is written too.
        const auto text = parsed.get(option);
        if (text) quota.set(key, zk_text::number(*text, "For input string: \"" + *text + "\""));
    }
    if (held) {
        shell.commit(SetData{node_of(path, ZkQuota::limits), quota.text()}, path);
        return;
    }
    ZkQuota nothing;
    nothing.set("count", 0);
    nothing.set("bytes", 0);
    for (const auto& [name, text] :
         {std::pair(ZkQuota::limits, quota.text()), std::pair(ZkQuota::stats, nothing.text())}) {
        shell.commit(Create{.path = node_of(path, name), .data = text, .with_parents = true}, path);
    }
}

void ZkCommands::list_quota(ZkShell& shell, const Words& words) {
    const auto parsed = parse_quota(words, "", "path");
    const std::string& path = parsed.rest[0];
    shell.complain("absolute path is " + node_of(path, ZkQuota::limits) + "\n");
    const auto limits = shell.client().ask(request::get(node_of(path, ZkQuota::limits)));
    const auto stats = shell.client().ask(request::get(node_of(path, ZkQuota::stats)));
    if (!limits || !stats) {
        const auto error = limits ? stats.error() : limits.error();
        if (error != ZkError::no_node) throw ShellError(zk_text::error(error, path));
        return shell.complain("quota for " + path + " does not exist.\n");
    }
    shell.print("Output quota for " + path + " " + ZkQuota(limits->data.value_or("")).text() +
                "\nOutput stat for " + path + " " + ZkQuota(stats->data.value_or("")).text() +
                "\n");
}

void ZkCommands::del_quota(ZkShell& shell, const Words& words) {
    const auto parsed = parse_quota(words, "n b N B", "[-n|-b|-N|-B] path");
    const std::string& path = parsed.rest[0];
    const auto held = shell.client().ask(request::get(node_of(path, ZkQuota::limits)));
    if (!held) {
        if (held.error() != ZkError::no_node) throw ShellError(zk_text::error(held.error(), path));
        return shell.print("Quota does not exist for " + path + "\n");
    }
    if (!parsed.options.empty()) {
        ZkQuota quota(held->data.value_or(""));
        for (const auto& [option, key] : known_limits) {
            if (parsed.has(option)) quota.set(key, -1);
        }
        shell.commit(SetData{node_of(path, ZkQuota::limits), quota.text()}, path);
        return;
    }
    for (const auto name : {ZkQuota::limits, ZkQuota::stats}) {
        shell.commit(Delete{node_of(path, name)}, path);
    }
    // Of the nodes above, those that lead to no quota any more go too.
    for (auto at = quota_path(path); at != ZkQuota::root; at = std::string(zk_path::parent(at))) {
        if (!shell.client().submit_and_wait({Delete{at}})) break;
    }
}

}  // namespace broker
