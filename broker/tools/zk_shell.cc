#include "broker/tools/zk_shell.h"

#include "broker/tools/zk_commands.h"
#include "protocol/base/random.h"

#include <algorithm>
#include <fstream>
#include <iostream>

namespace broker {

using coordinator::EventType;
using coordinator::MetadataClient;
using State = MetadataClient::State;

namespace {

constexpr int command_not_found = 127;

std::string_view name_of(EventType type) {
    switch (type) {
        case EventType::created:
            return "NodeCreated";
        case EventType::deleted:
            return "NodeDeleted";
        case EventType::data_changed:
            return "NodeDataChanged";
        case EventType::children_changed:
            break;
    }
    return "NodeChildrenChanged";
}

std::string_view name_of(State state) {
    switch (state) {
        case State::connecting:
            return "Disconnected";
        case State::connected:
            return "SyncConnected";
        case State::expired:
            return "Expired";
        case State::auth_failed:
            return "AuthFailed";
        case State::closed:
            break;
    }
    return "Closed";
}

}  // namespace

ZkShell::ZkShell(Settings settings) : settings_(std::move(settings)) {
    print("Connecting to " + settings_.server + "\n");
    connect(settings_.server);
}

ZkShell::~ZkShell() {
    {
        const std::lock_guard lock(mutex_);
        prints_watches_ = false;
    }
    client_ = nullptr;
}

void ZkShell::connect(const std::string& server) {
    auto at = coordinator::parse_connect_string(server);
    if (!at) throw ShellError(server + ": " + at.error());
    client_ = nullptr;
    server_ = server;
    watches_.clear();
    has_told_connected_ = false;
    MetadataClient::Settings settings;
    settings.at = std::move(*at);
    settings.session_timeout_ms = settings_.timeout_ms;
    settings.may_be_read_only = settings_.may_be_read_only;
    settings.random = base::random_bytes;
    settings.on_state = [this](State state) {
        tell("state:" + std::string(name_of(state)) + " type:None path:null");
        if (state != State::connected) return;
        const std::lock_guard lock(mutex_);
        has_told_connected_ = true;
        told_.notify_all();
    };
    settings.on_event = [this](const coordinator::WatchEvent& event) {
        {
            const std::lock_guard lock(mutex_);
            watches_.fired(event);
        }
        tell("state:SyncConnected type:" + std::string(name_of(event.type)) +
             " path:" + event.path +
             (event.zxid.value() < 0 ? "" : " zxid: " + std::to_string(event.zxid.value())));
    };
    client_ = std::make_unique<MetadataClient>(std::move(settings));
}

bool ZkShell::wait_connected() {
    if (client_->wait_settled(std::chrono::milliseconds(settings_.timeout_ms)) != State::connected)
        return false;
    // The connection is told of before anything that is done with it, as by Apache's shell.
    std::unique_lock lock(mutex_);
    told_.wait(lock, [this] { return has_told_connected_; });
    return true;
}

void ZkShell::print(const std::string& text) {
    const std::lock_guard lock(mutex_);
    std::cout << text << std::flush;
}

void ZkShell::complain(const std::string& text) {
    const std::lock_guard lock(mutex_);
    std::cerr << text << std::flush;
}

void ZkShell::tell(const std::string& event) {
    const std::lock_guard lock(mutex_);
    if (prints_watches_) std::cout << "\nWATCHER::\n\nWatchedEvent " << event << "\n" << std::flush;
}

MetadataClient& ZkShell::client() {
    if (!client_ || client_->state() == State::closed) throw ShellError("Not connected");
    return *client_;
}

coordinator::OpResult ZkShell::commit(coordinator::Op op, std::string_view path) {
    std::vector<coordinator::Op> ops;
    ops.push_back(std::move(op));
    auto done = client().submit_and_wait(std::move(ops));
    if (!done) throw ShellError(zk_text::error(done.error().error, path));
    return std::move(done->results.front());
}

void ZkShell::booked(coordinator::WatchBook::Kind kind, const std::string& path) {
    const std::lock_guard lock(mutex_);
    watches_.add(kind, path);
}

std::string ZkShell::usage() {
    std::string text =
        "ZooKeeper -server host:port [-timeout ms] [-r] [-waitforconnection] cmd args\n";
    for (const auto& command : ZkCommands::all()) {
        if (command.is_old) continue;
        text += "\t" + std::string(command.name) + " " + std::string(command.usage) + "\n";
    }
    return text;
}

int ZkShell::run(const Words& words) {
    try {
        if (words.empty()) {
            complain(usage());
            throw ShellError("No command entered");
        }
        const auto& commands = ZkCommands::all();
        const auto found = std::ranges::find(commands, words.front(), &ZkCommands::Command::name);
        if (found == commands.end()) {
            complain(usage());
            throw ShellError("Command not found: Command not found " + words.front(),
                             command_not_found);
        }
        found->run(*this, words);
        return 0;
    } catch (const ShellError& error) {
        complain(std::string(error.what()) + "\n");
        return error.exit_code;
    }
}

int ZkShell::run_line(const std::string& line) {
    history_.push_back(line);
    return run(zk_text::words(line));
}

std::string ZkShell::prompt() const {
    std::string state = "CLOSED";
    switch (client_->state()) {
        case State::connecting:
            state = "CONNECTING";
            break;
        case State::connected:
            state = "CONNECTED";
            break;
        case State::auth_failed:
            state = "AUTH_FAILED";
            break;
        case State::expired:
        case State::closed:
            break;
    }
    return "[zk: " + server_ + "(" + state + ") " + std::to_string(history_.size()) + "] ";
}

std::vector<std::string> ZkShell::complete(std::string_view beginning) {
    std::vector<std::string> found;
    if (!beginning.starts_with('/')) {
        for (const auto& command : ZkCommands::all()) {
            if (command.name.starts_with(beginning)) found.emplace_back(command.name);
        }
        return found;
    }
    const auto slash = beginning.rfind('/');
    const std::string parent(beginning.substr(0, std::max<std::size_t>(slash, 1)));
    const auto children = client_->ask(coordinator::request::children(parent));
    if (!children) return found;
    for (const auto& name : children->names) {
        auto path = (parent == "/" ? "" : parent) + "/" + name;
        if (path.starts_with(beginning)) found.push_back(std::move(path));
    }
    return found;
}

}  // namespace broker
