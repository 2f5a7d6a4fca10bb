#include "broker/tools/zk_commands.h"

#include "broker/tools/version.h"

#include <algorithm>
#include <fstream>
#include <future>
#include <ranges>

namespace broker {

using namespace coordinator;
using zk_text::Parsed;
using WatchedKind = WatchBook::Kind;

namespace {

// Of deletes on their way at once.
constexpr std::size_t batch_default = 1000;

[[noreturn]] void show_usage(std::string_view name) {
    const auto& commands = ZkCommands::all();
    const auto found = std::ranges::find(commands, name, &ZkCommands::Command::name);
    throw ShellError(std::string(name) + " " + std::string(found->usage));
}

// The options and at least `least` other words; the first of them is a path.
Parsed parse(const ZkShell::Words& words, std::string_view known, std::size_t least) {
    auto parsed = zk_text::parse(words, known);
    if (parsed.rest.size() < least) show_usage(words.front());
    if (least > 0) zk_text::check_path(parsed.rest.front());
    return parsed;
}

std::int32_t version_of(const Parsed& parsed) {
    const auto text = parsed.get("v");
    if (!text) return any_version;
    return static_cast<std::int32_t>(zk_text::number(*text, "For input string: \"" + *text + "\""));
}

Watch watch_of(const Parsed& parsed) {
    return parsed.has("w") ? Watch::yes : Watch::no;
}

}  // namespace

// ---- Nodes --------------------------------------------------------------------------------

void ZkCommands::create(ZkShell& shell, const Words& words) {
    const auto parsed = parse(words, "e s c t:", 1);
    const bool ephemeral = parsed.has("e");
    const bool container = parsed.has("c");
    if (container && (ephemeral || parsed.has("s"))) {
        throw ShellError(
            "-c cannot be combined with -s or -e. Containers cannot be ephemeral or sequential.");
    }
    Create op{.path = parsed.rest[0], .sequential = parsed.has("s")};
    if (ephemeral) op.kind = NodeKind::ephemeral;
    if (container) op.kind = NodeKind::container;
    if (const auto ttl = parsed.get("t")) {
        op.ttl_ms = zk_text::number(*ttl, "-t argument must be a long value");
        if (ephemeral) throw ShellError("TTLs cannot be used with Ephemeral znodes");
        if (container) throw ShellError("TTLs cannot be used with Container znodes");
        op.kind = NodeKind::ttl;
    }
    if (parsed.rest.size() > 1) op.data = parsed.rest[1];
    if (parsed.rest.size() > 2) {
        std::vector<std::string> complaints;
        op.acl = zk_text::parse_acl(parsed.rest[2], complaints);
        for (const auto& each : complaints) shell.complain(each + "\n");
    }
    // The path may end in what a sequence number is put behind.
    const auto made = shell.commit(std::move(op), parsed.rest[0]);
    shell.complain("Created " + made.path + "\n");
}

void ZkCommands::del(ZkShell& shell, const Words& words) {
    const auto parsed = parse(words, "v:", 1);
    shell.commit(Delete{parsed.rest[0], version_of(parsed)}, parsed.rest[0]);
}

std::vector<std::string> ZkCommands::subtree(ZkShell& shell, const std::string& path) {
    std::vector<std::string> found;
    std::vector<std::string> open{path};
    while (!open.empty()) {
        std::string next = std::move(open.back());
        open.pop_back();
        auto names = shell.client().ask(request::children(next));
        if (!names && (next == path || names.error() != ZkError::no_node)) {
            throw ShellError(zk_text::error(names.error(), next));
        }
        if (!names) continue;  // Deleted meanwhile.
        for (auto& name : std::views::reverse(names->names)) {
            open.push_back((next == "/" ? "" : next) + "/" + name);
        }
        found.push_back(std::move(next));
    }
    return found;
}

void ZkCommands::delete_below(ZkShell& shell, const std::string& path, std::size_t batch) {
    auto paths = subtree(shell, path);
    bool failed = false;
    while (!paths.empty() && !failed) {
        std::vector<Request<Outcome>> deletes;
        for (; !paths.empty() && deletes.size() < batch; paths.pop_back()) {
            std::vector<Op> ops;
            ops.push_back(Delete{std::move(paths.back())});
            deletes.push_back(request::commit(std::move(ops)));
        }
        for (const auto& answer : shell.client().ask_all(std::move(deletes))) {
            if (!answer && answer.error() != ZkError::no_node) failed = true;
        }
    }
    if (failed) throw ShellError("Failed to delete some node(s) in the subtree!");
}

void ZkCommands::delete_all(ZkShell& shell, const Words& words) {
    const auto parsed = parse(words, "b:", 1);
    std::size_t batch = batch_default;
    if (const auto text = parsed.get("b")) {
        const auto wanted = zk_text::number(*text, "-b argument must be an int value");
        batch = static_cast<std::size_t>(std::clamp<std::int64_t>(wanted, 1, 100'000));
    }
    delete_below(shell, parsed.rest[0], batch);
}

void ZkCommands::get(ZkShell& shell, const Words& words) {
    const auto parsed = parse(words, "s w", 1);
    const std::string& path = parsed.rest[0];
    const auto node = shell.ask(request::get(path, watch_of(parsed)), path);
    if (parsed.has("w")) shell.booked(WatchedKind::data, path);
    shell.print(node.data.value_or("null") + "\n" +
                (parsed.has("s") ? zk_text::stat(node.stat) : ""));
}

void ZkCommands::set(ZkShell& shell, const Words& words) {
    const auto parsed = parse(words, "s v:", 2);
    const std::string& path = parsed.rest[0];
    const auto done = shell.commit(SetData{path, parsed.rest[1], version_of(parsed)}, path);
    if (parsed.has("s")) shell.print(zk_text::stat(done.stat));
}

void ZkCommands::stat(ZkShell& shell, const Words& words) {
    const auto parsed = parse(words, "w", 1);
    const std::string& path = parsed.rest[0];
    if (parsed.has("w")) shell.booked(WatchedKind::data, path);
    shell.print(zk_text::stat(shell.ask(request::exists(path, watch_of(parsed)), path)));
}

void ZkCommands::ls(ZkShell& shell, const Words& words) {
    const auto parsed = parse(words, "s w R ?", 1);
    const std::string& path = parsed.rest[0];
    if (parsed.has("R")) {
        std::string text;
        for (const auto& each : subtree(shell, path)) text += each + "\n";
        return shell.print(text);
    }
    const bool is_watched = parsed.has("w") || parsed.rest.size() > 1;
    if (parsed.rest.size() > 1) {
        shell.complain(
            "'ls path [watch]' has been deprecated. Please use 'ls [-w] path' instead.\n");
    }
    const auto node = shell.ask(request::children(path, is_watched ? Watch::yes : Watch::no), path);
    if (is_watched) shell.booked(WatchedKind::child, path);
    shell.print(zk_text::list(node.names) + "\n" +
                (parsed.has("s") ? zk_text::stat(node.stat) : ""));
}

void ZkCommands::ls2(ZkShell& shell, const Words& words) {
    Words with_stat = words;
    with_stat.insert(with_stat.begin() + 1, "-s");
    ls(shell, with_stat);
}

void ZkCommands::sync(ZkShell& shell, const Words& words) {
    const auto parsed = parse(words, "", 1);
    static_cast<void>(shell.ask(request::sync(parsed.rest[0]), parsed.rest[0]));
    shell.print("Sync is OK\n");
}

void ZkCommands::get_all_children_number(ZkShell& shell, const Words& words) {
    const auto parsed = parse(words, "", 1);
    const auto number = shell.ask(request::all_children_number(parsed.rest[0]), parsed.rest[0]);
    shell.print(std::to_string(number) + "\n");
}

void ZkCommands::get_ephemerals(ZkShell& shell, const Words& words) {
    const auto parsed = parse(words, "", 0);
    const std::string prefix = parsed.rest.empty() ? "/" : parsed.rest[0];
    shell.print(zk_text::list(shell.ask(request::ephemerals(prefix), prefix)) + "\n");
}

// ---- Who may what -------------------------------------------------------------------------

void ZkCommands::get_acl(ZkShell& shell, const Words& words) {
    const auto parsed = parse(words, "s", 1);
    const auto [acl, stat] = shell.ask(request::acl(parsed.rest[0]), parsed.rest[0]);
    shell.print(zk_text::acl(acl) + (parsed.has("s") ? zk_text::stat(stat) : ""));
}

void ZkCommands::set_acl(ZkShell& shell, const Words& words) {
    const auto parsed = parse(words, "s v: R", 2);
    std::vector<std::string> complaints;
    const Acl acl = zk_text::parse_acl(parsed.rest[1], complaints);
    for (const auto& each : complaints) shell.complain(each + "\n");
    if (acl.empty()) throw ShellError(zk_text::error(ZkError::invalid_acl, "null"));
    const std::string& path = parsed.rest[0];
    std::vector<std::string> paths{path};
    if (parsed.has("R")) paths = subtree(shell, path);
    for (const auto& each : paths) {
        const auto done = shell.commit(SetAcl{each, acl, version_of(parsed)}, each);
        if (parsed.has("s")) shell.print(zk_text::stat(done.stat));
    }
}

void ZkCommands::add_auth(ZkShell& shell, const Words& words) {
    const auto parsed = parse(words, "", 0);
    if (parsed.rest.empty()) show_usage("addauth");
    std::promise<void> said;
    shell.client().add_auth({parsed.rest[0], parsed.rest.size() > 1 ? parsed.rest[1] : ""},
                            [&](auto&&) { said.set_value(); });
    said.get_future().wait();
}

void ZkCommands::who_am_i(ZkShell& shell, const Words& words) {
    static_cast<void>(parse(words, "", 0));
    std::string text = "Auth scheme: User\n";
    for (const auto& id : shell.ask(request::who_am_i(), "")) {
        text += id.scheme + ": " + id.id + "\n";
    }
    shell.print(text);
}

// ---- Watches ------------------------------------------------------------------------------

void ZkCommands::add_watch(ZkShell& shell, const Words& words) {
    const auto parsed = parse(words, "m:", 1);
    const std::string mode = parsed.get("m").value_or("PERSISTENT_RECURSIVE");
    const bool recursive = mode == "PERSISTENT_RECURSIVE";
    if (!recursive && mode != "PERSISTENT") show_usage("addWatch");
    const std::string& path = parsed.rest[0];
    static_cast<void>(shell.ask(
        request::add_watch(path, recursive ? WatchKind::recursive : WatchKind::persistent), path));
    shell.booked(recursive ? WatchedKind::recursive : WatchedKind::persistent, path);
}

void ZkCommands::remove_watches(ZkShell& shell, const Words& words) {
    const auto parsed = parse(words, "c d a l", 1);
    const std::string& path = parsed.rest[0];
    WatcherType type = WatcherType::any;
    if (parsed.has("c")) type = WatcherType::children;
    if (parsed.has("d")) type = WatcherType::data;
    WatchBook held;
    {
        const std::lock_guard lock(shell.mutex_);
        held = shell.watches_;
    }
    static_cast<void>(shell.ask(request::remove_watches(path, type), path));
    {
        const std::lock_guard lock(shell.mutex_);
        shell.watches_.remove(path, type);
    }
    const auto told = [&](WatcherType kind, const std::string& name) {
        if (!held.has(path, kind)) return;
        held.remove(path, kind);
        shell.tell("state:SyncConnected type:" + name + " path:" + path);
    };
    if (type != WatcherType::data) told(WatcherType::children, "ChildWatchRemoved");
    if (type != WatcherType::children) told(WatcherType::data, "DataWatchRemoved");
    if (type == WatcherType::any) told(WatcherType::any, "PersistentWatchRemoved");
}

void ZkCommands::print_watches(ZkShell& shell, const Words& words) {
    if (words.size() == 1) {
        return shell.print(std::string("printwatches is ") +
                           (shell.prints_watches_ ? "on" : "off") + "\n");
    }
    const std::lock_guard lock(shell.mutex_);
    shell.prints_watches_ = words[1] == "on";
}

// ---- The ensemble -------------------------------------------------------------------------

namespace {

// "server.1=host:2888:3888:participant;0.0.0.0:2181" and "version=100": what clients connect to.
std::string clients_of(const std::string& config) {
    std::string version;
    std::string servers;
    for (const auto& line : zk_text::words(config)) {
        const auto equals = line.find('=');
        if (line.starts_with("version=")) version = line.substr(equals + 1);
        if (!line.starts_with("server.") || !line.contains(';')) continue;
        const auto host = line.substr(equals + 1, line.find(':', equals) - equals - 1);
        servers +=
            (servers.empty() ? "" : ",") + host + ":" + line.substr(line.find_last_of(":;") + 1);
    }
    return version + " " + servers;
}

}  // namespace

void ZkCommands::config(ZkShell& shell, const Words& words) {
    const auto parsed = parse(words, "s w c", 0);
    const auto node = shell.ask(request::config(watch_of(parsed)), "/zookeeper/config");
    if (parsed.has("w")) shell.booked(WatchedKind::data, "/zookeeper/config");
    std::string text = node.data.value_or("");
    if (parsed.has("c")) text = clients_of(text);
    shell.print(text + "\n" + (parsed.has("s") ? zk_text::stat(node.stat) : ""));
}

namespace {

// The members of a file of "server.N=..." lines.
std::string members_of(const std::string& file) {
    std::ifstream in(file);
    if (!in) throw ShellError("Error processing " + file + ": it cannot be read");
    std::string members;
    for (std::string line; std::getline(in, line);) {
        if (line.starts_with("server.")) members += (members.empty() ? "" : ",") + line;
    }
    return members;
}

}  // namespace

void ZkCommands::reconfig(ZkShell& shell, const Words& words) {
    const auto parsed = parse(words, "s v: file: members: add: remove:", 0);
    const bool whole = parsed.has("file") || parsed.has("members");
    const bool partial = parsed.has("add") || parsed.has("remove");
    if (!whole && !partial) show_usage("reconfig");
    if (whole && partial) {
        throw ShellError(
            "Can't use -file or -members together with -add or -remove (mixing incremental and "
            "non-incremental modes is not allowed)");
    }
    if (parsed.has("file") && parsed.has("members")) {
        throw ShellError(
            "Can't use -file and -members together (conflicting non-incremental modes)");
    }
    zookeeper::ReconfigRequest change;
    change.joining = parsed.get("add");
    change.leaving = parsed.get("remove");
    change.new_members = parsed.get("members");
    if (const auto file = parsed.get("file")) change.new_members = members_of(*file);
    if (const auto text = parsed.get("v")) {
        std::size_t used = 0;
        try {
            change.config_id = std::stoll(*text, &used, 16);
        } catch (const std::exception&) {
            used = 0;
        }
        if (used == 0 || used != text->size()) {
            throw ShellError("-v must be followed by a long (configuration version)");
        }
    }
    const auto node = shell.ask(request::reconfig(std::move(change)), "");
    shell.print("Committed new configuration:\n" + node.data.value_or("") + "\n" +
                (parsed.has("s") ? zk_text::stat(node.stat) : ""));
}

// ---- The shell itself ---------------------------------------------------------------------

void ZkCommands::close(ZkShell& shell, const Words&) {
    shell.client().close();
}

void ZkCommands::connect(ZkShell& shell, const Words& words) {
    if (shell.client_->state() != MetadataClient::State::closed) shell.client_->close();
    shell.connect(words.size() > 1 ? words[1] : shell.server_);
}

void ZkCommands::quit(ZkShell& shell, const Words&) {
    shell.client_->close();
    shell.has_quit_ = true;
}

void ZkCommands::history(ZkShell& shell, const Words&) {
    constexpr std::size_t shown = 11;
    const auto& lines = shell.history_;
    std::string text;
    for (auto i = lines.size() - std::min(lines.size(), shown); i < lines.size(); ++i) {
        text += std::to_string(i) + " - " + lines[i] + "\n";
    }
    shell.print(text);
}

void ZkCommands::redo(ZkShell& shell, const Words& words) {
    if (words.size() < 2) return;
    const auto at = zk_text::number(words[1], "For input string: \"" + words[1] + "\"");
    const auto own = shell.history_.size() - 1;
    if (at < 0 || static_cast<std::size_t>(at) >= own) {
        throw ShellError("Command index out of range");
    }
    const std::string line = shell.history_[static_cast<std::size_t>(at)];
    const auto again = zk_text::words(line);
    if (!again.empty() && again.front() == "redo") throw ShellError("No redoing redos");
    shell.history_[own] = line;
    shell.run(again);
}

void ZkCommands::version(ZkShell& shell, const Words&) {
    shell.print("ZooKeeper CLI version: " + std::string(milena_version) + "-milena, " +
                milena_commit + "\n");
}

// ---- All of them --------------------------------------------------------------------------

const std::vector<ZkCommands::Command>& ZkCommands::all() {
    static const std::vector<Command> commands{
        {"addWatch",
         "[-m mode] path # optional mode is one of [PERSISTENT, PERSISTENT_RECURSIVE] - default "
         "is PERSISTENT_RECURSIVE",
         add_watch},
        {"addauth", "scheme auth", add_auth},
        {"close", "", close},
        {"config", "[-c] [-w] [-s]", config},
        {"connect", "host:port", connect},
        {"create", "[-s] [-e] [-c] [-t ttl] path [data] [acl]", create},
        {"delete", "[-v version] path", del},
        {"deleteall", "path [-b batch size]", delete_all},
        {"delquota", "[-n|-b|-N|-B] path", del_quota},
        {"get", "[-s] [-w] path", get},
        {"getAcl", "[-s] path", get_acl},
        {"getAllChildrenNumber", "path", get_all_children_number},
        {"getEphemerals", "path", get_ephemerals},
        {"history", "", history},
        {"listquota", "path", list_quota},
        {"ls", "[-s] [-w] [-R] path", ls},
        {"ls2", "path [watch]", ls2, true},
        {"printwatches", "on|off", print_watches},
        {"quit", "", quit},
        {"reconfig",
         "[-s] [-v version] [[-file path] | [-members serverID=host:port1:port2;port3[,...]*]] | "
         "[-add serverId=host:port1:port2;port3[,...]]* [-remove serverId[,...]*]",
         reconfig},
        {"redo", "cmdno", redo},
        {"removewatches", "path [-c|-d|-a] [-l]", remove_watches},
        {"rmr", "path", delete_all, true},
        {"set", "[-s] [-v version] path data", set},
        {"setAcl", "[-s] [-v version] [-R] path acl", set_acl},
        {"setquota", "-n|-b|-N|-B val path", set_quota},
        {"stat", "[-w] path", stat},
        {"sync", "path", sync},
        {"version", "", version},
        {"whoami", "", who_am_i},
    };
    return commands;
}

}  // namespace broker
