#include "broker/cluster/zookeeper_store.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

namespace broker {

using base::Result;
using base::Unexpected;
using coordinator::MetadataClient;
using coordinator::NodeView;
using coordinator::Op;
using coordinator::ZkError;
namespace request = coordinator::request;

namespace {

// A server that cannot watch as asked closes the connection once; the next answer is its.
constexpr int sync_attempts_max = 3;

// Of one request: its answer holds up what others ask for, and is in memory at both ends.
constexpr std::size_t nodes_at_once = 100;

// One request a path, all on their way at once; nothing where there is no node.
template <class T, class Ask, class Keep>
auto ask_each(MetadataClient& client, std::span<const std::string> paths, Ask ask, Keep keep)
    -> Result<std::vector<std::optional<T>>, ZkError> {
    std::vector<decltype(ask(paths.front()))> requests;
    requests.reserve(paths.size());
    for (const auto& path : paths) requests.push_back(ask(path));
    std::vector<std::optional<T>> found;
    found.reserve(paths.size());
    for (auto& answer : client.ask_all(std::move(requests))) {
        if (answer) {
            found.push_back(keep(std::move(*answer)));
        } else if (answer.error() == ZkError::no_node) {
            found.push_back(std::nullopt);
        } else {
            return Unexpected(answer.error());
        }
    }
    return found;
}

// From the top; not "/".
std::vector<std::string> parents_of(const std::string& path) {
    std::vector<std::string> parents;
    for (auto at = path.find('/', 1); at != path.npos; at = path.find('/', at + 1)) {
        parents.push_back(path.substr(0, at));
    }
    return parents;
}

}  // namespace

Result<std::unique_ptr<ZookeeperStore>, std::string> ZookeeperStore::open(Settings settings) {
    std::unique_ptr<ZookeeperStore> store(new ZookeeperStore(std::move(settings)));
    if (auto connected = store->connect(); !connected) return Unexpected(connected.error());
    return store;
}

ZookeeperStore::~ZookeeperStore() {
    stop();
}

Result<void, std::string> ZookeeperStore::connect() {
    auto at = coordinator::parse_connect_string(settings_.connect);
    if (!at) return Unexpected("zookeeper.connect: " + at.error());
    using Clock = std::chrono::steady_clock;
    const auto deadline = Clock::now() + std::chrono::milliseconds(settings_.connection_timeout_ms);
    const auto settled = [&](const std::optional<coordinator::SessionKey>& resume) {
        MetadataClient::Settings client;
        client.at = *at;
        client.session_timeout_ms = settings_.session_timeout_ms;
        client.resume = resume;
        client.random = settings_.random;
        client.on_state = [this](MetadataClient::State state) { state_changed(state); };
        client.on_event = [this](const coordinator::WatchEvent& event) { event_happened(event); };
        client_ = std::make_unique<MetadataClient>(std::move(client));
        return client_->wait_settled(
            std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()));
    };
    auto state = settled(settings_.last);
    // The session of the last run may be gone.
    if (state == MetadataClient::State::expired) state = settled(std::nullopt);
    if (state != MetadataClient::State::connected) {
        return Unexpected(
            "no ZooKeeper at " + settings_.connect +
            " (zookeeper.connect) gives a session within " +
            std::to_string(settings_.connection_timeout_ms) +
            " ms (zookeeper.connection.timeout.ms); start it, or leave zookeeper.connect "
            "out, and this process keeps the metadata");
    }
    const auto made = client_->make_chroot();
    if (!made)
        return Unexpected("zookeeper.connect: the path behind the servers cannot be made: " +
                          coordinator::to_string(made.error()));
    return {};
}

// ---- reads and writes ---------------------------------------------------------------------

Result<std::vector<std::optional<NodeView>>, ZkError> ZookeeperStore::get(
    std::span<const std::string> paths) {
    if (paths.size() > 1 && reads_many_) return get_by_many(paths);
    return ask_each<NodeView>(
        *client_, paths, [](const std::string& path) { return request::get(path); },
        [](NodeView node) { return node; });
}

// As get(), with a request for many nodes.
Result<ZookeeperStore::Nodes, ZkError> ZookeeperStore::get_by_many(
    std::span<const std::string> paths) {
    std::vector<coordinator::Request<std::vector<Result<NodeView, ZkError>>>> requests;
    for (std::size_t at = 0; at < paths.size(); at += nodes_at_once) {
        const auto some = paths.subspan(at, std::min(nodes_at_once, paths.size() - at));
        requests.push_back(request::get_all({some.begin(), some.end()}));
    }
    Nodes found;
    found.reserve(paths.size());
    for (auto& answer : client_->ask_all(std::move(requests))) {
        if (!answer) return Unexpected(answer.error());
        for (auto& node : *answer) {
            if (!node && node.error() != ZkError::no_node) return Unexpected(node.error());
            found.push_back(node ? std::optional(std::move(*node)) : std::nullopt);
        }
    }
    if (found.size() != paths.size()) return Unexpected(ZkError::marshalling_error);
    return found;
}

Result<std::vector<std::optional<std::vector<std::string>>>, ZkError> ZookeeperStore::children(
    std::span<const std::string> paths) {
    return ask_each<std::vector<std::string>>(
        *client_, paths, [](const std::string& path) { return request::children(path); },
        [](coordinator::ChildrenView children) { return std::move(children.names); });
}

// ZooKeeper makes no parents: those that are missing are put into the transaction, each before the
// node that needs it, so that all of it takes effect or nothing.
Result<coordinator::Committed, coordinator::Refused> ZookeeperStore::commit(std::vector<Op> ops) {
    auto missing = missing_parents(ops);
    if (!missing) return Unexpected(coordinator::Refused{missing.error(), 0});
    std::vector<Op> all;
    std::vector<std::size_t> places;  // Of `ops` in `all`.
    for (Op& op : ops) {
        if (auto* create = std::get_if<coordinator::Create>(&op); create && create->with_parents) {
            create->with_parents = false;
            for (auto& parent : parents_of(create->path)) {
                if (missing->erase(parent) > 0)
                    all.push_back(coordinator::Create{std::move(parent)});
            }
        }
        places.push_back(all.size());
        all.push_back(std::move(op));
    }
    auto done = client_->submit_and_wait(std::move(all));
    if (!done) {
        // Of which op it was, as its caller counts; a parent's refusal is its child's.
        const auto at = std::ranges::lower_bound(places, done.error().at);
        done.error().at =
            std::min<std::size_t>(static_cast<std::size_t>(at - places.begin()), places.size());
        return done;
    }
    std::vector<coordinator::OpResult> results;
    for (const auto place : places) results.push_back(std::move(done->results[place]));
    done->results = std::move(results);
    return done;
}

// Parents that neither are there nor are made by the transaction itself.
Result<std::set<std::string>, ZkError> ZookeeperStore::missing_parents(const std::vector<Op>& ops) {
    std::set<std::string> wanted;
    for (const Op& op : ops) {
        const auto* create = std::get_if<coordinator::Create>(&op);
        if (!create || !create->with_parents) continue;
        for (auto& parent : parents_of(create->path)) wanted.insert(std::move(parent));
    }
    for (const Op& op : ops) {
        if (const auto* create = std::get_if<coordinator::Create>(&op)) wanted.erase(create->path);
    }
    std::vector<coordinator::Request<coordinator::Stat>> requests;
    for (const auto& path : wanted) requests.push_back(request::exists(path));
    auto path = wanted.begin();
    for (const auto& there : client_->ask_all(std::move(requests))) {
        if (!there && there.error() != ZkError::no_node) return Unexpected(there.error());
        path = there ? wanted.erase(path) : std::next(path);
    }
    return wanted;
}

// ---- watches and the session --------------------------------------------------------------

Result<void, ZkError> ZookeeperStore::watch(std::vector<std::string> roots, Tell tell) {
    {
        const std::lock_guard lock(mutex_);
        roots_ = std::move(roots);
        tell_ = std::move(tell);
    }
    add_watches();
    // Answered after them, by a server that has them or after a reconnection.
    for (int attempt = 0;; ++attempt) {
        const auto synced = client_->ask(request::sync("/"));
        if (synced) return {};
        if (attempt == sync_attempts_max) return Unexpected(synced.error());
    }
}

// A server before 3.6 refuses these watches, and closes the connection.
void ZookeeperStore::add_watches() {
    const std::lock_guard lock(mutex_);
    for (const auto& root : roots_) {
        client_->submit<std::monostate>(request::add_watch(root, coordinator::WatchKind::recursive),
                                        [this](const auto& added) {
                                            // What came with 3.6 came together.
                                            if (added) reads_many_ = true;
                                            if (!added && added.error() == ZkError::unimplemented)
                                                watch_one_by_one();
                                        });
    }
}

void ZookeeperStore::watch_one_by_one() {
    const std::lock_guard lock(mutex_);
    reads_many_ = false;
    if (one_shot_) return;
    one_shot_ = std::make_unique<OneShotWatches>(
        *client_, roots_, [this](coordinator::EventType type, const std::string& path) {
            tell({StoreEvent::Kind::node, type, path});
        });
}

void ZookeeperStore::tell(const StoreEvent& event) {
    const std::lock_guard lock(mutex_);
    if (tell_) tell_(event);
}

void ZookeeperStore::event_happened(const coordinator::WatchEvent& event) {
    if (one_shot_) return one_shot_->happened(event);
    if (event.type == coordinator::EventType::children_changed) return;
    tell({StoreEvent::Kind::node, event.type, event.path});
}

void ZookeeperStore::state_changed(MetadataClient::State state) {
    using State = MetadataClient::State;
    if (state == State::connecting && !is_lost_ && !std::exchange(is_away_, true)) {
        tell({StoreEvent::Kind::away});
    }
    if (state == State::expired) {
        const std::lock_guard lock(mutex_);
        if (!tell_) return;  // open() knows what to do.
        is_lost_ = true;
        client_->reopen();
    }
    if (state != State::connected) return;
    if (one_shot_) one_shot_->begin();
    if (std::exchange(is_lost_, false)) {
        if (!one_shot_) add_watches();
        tell({StoreEvent::Kind::lost});
    }
    if (std::exchange(is_away_, false)) tell({StoreEvent::Kind::back});
}

bool ZookeeperStore::end_session() {
    const bool is_told = client_->state() == MetadataClient::State::connected;
    client_->close();
    return is_told;
}

void ZookeeperStore::stop() {
    if (client_) client_->stop();
}

}  // namespace broker
