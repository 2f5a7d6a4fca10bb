#include "coordinator/metadata/client/client.h"
#include "coordinator/metadata/server/server.h"
#include "coordinator/metadata/turn.h"
#include "coordinator/tests/held_port.h"
#include "coordinator/tests/sim_disk.h"

#include <doctest/doctest.h>

#include <arpa/inet.h>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

using namespace coordinator;
using State = MetadataClient::State;

namespace {

// Only a fault uses it up.
constexpr std::chrono::seconds patience{300};

void draw(std::span<std::byte> bytes) {
    static std::atomic<unsigned> next = 1;
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(next++ * 7919u >> 3);
}

// The service and its port, which may be away for a while.
struct Host {
    sim::SimDisk disk;
    std::unique_ptr<MetadataService> service;
    std::unique_ptr<MetadataServer> server;
    const test::HeldPort held;
    const std::uint16_t port = held.number();

    static constexpr std::int32_t tick_ms = 50;

    explicit Host(std::function<std::int64_t()> monotonic_ms = [] { return 1'000'000; }) {
        MetadataService::Settings settings;
        settings.disk = &disk;
        settings.directory = "/d";
        settings.wall_ms = [] { return std::int64_t{1'000'000}; };
        settings.monotonic_ms = monotonic_ms_ = std::move(monotonic_ms);
        settings.random = draw;
        settings.tick_ms = tick_ms;
        settings.session_timeout_min_ms = 100;
        auto started = MetadataService::start(settings);
        REQUIRE(started);
        service = std::move(*started);
        come();
    }

    void come() {
        MetadataServer::Settings at;
        at.hosts = {"127.0.0.1"};
        at.port = port;  // Held, also while the server is away.
        at.wall_ms = at.monotonic_ms = monotonic_ms_;
        auto serving = MetadataServer::start(*service, at);
        REQUIRE_MESSAGE(serving, serving.error());
        server = std::move(*serving);
    }
    void go() { server = nullptr; }

private:
    std::function<std::int64_t()> monotonic_ms_;
};

// A client whose states and events are written down.
class Peer {
public:
    explicit Peer(const Host& host, const std::string& chroot = "",
                  MetadataClient::Settings more = {})
        : Peer("127.0.0.1:" + std::to_string(host.port) + chroot, std::move(more)) {}

    explicit Peer(const std::string& at, MetadataClient::Settings settings = {}) {
        const auto parsed = parse_connect_string(at);
        REQUIRE_MESSAGE(parsed, parsed.error());
        settings.at = *parsed;
        settings.random = draw;
        settings.on_state = [this](State state) { note("state " + to_string(state)); };
        settings.on_event = [this](const WatchEvent& event) {
            note("event " + std::to_string(static_cast<int>(event.type)) + " " + event.path);
        };
        client = std::make_unique<MetadataClient>(std::move(settings));
    }
    ~Peer() { client = nullptr; }  // Before what its callbacks use.

    void note(const std::string& what) {
        const std::lock_guard lock(mutex_);
        noted_.push_back(what);
        changed_.notify_all();
    }

    // Wait for it, and forget it and what came before.
    bool comes(const std::string& what) {
        std::unique_lock lock(mutex_);
        const auto at = [&] { return std::ranges::find(noted_, what); };
        if (!changed_.wait_for(lock, patience, [&] { return at() != noted_.end(); })) return false;
        noted_.erase(noted_.begin(), at() + 1);
        return true;
    }

    std::vector<std::string> noted() {
        const std::lock_guard lock(mutex_);
        return std::exchange(noted_, {});
    }

    State settle() { return client->wait_settled(patience); }

    Outcome create(const std::string& path, Data data = "", NodeKind kind = NodeKind::persistent) {
        return client->submit_and_wait(
            {Create{.path = path, .data = std::move(data), .kind = kind}});
    }

    std::unique_ptr<MetadataClient> client;

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::string> noted_;
};

template <class T>
ZkError error_of(const base::Result<T, ZkError>& result) {
    return result ? ZkError::ok : result.error();
}

// A port that takes connections and never says a word.
class SilentPort {
public:
    SilentPort() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in at{};
        at.sin_family = AF_INET;
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof at;
        REQUIRE(::bind(socket_, reinterpret_cast<sockaddr*>(&at), size) == 0);
        REQUIRE(::listen(socket_, 8) == 0);
        REQUIRE(::getsockname(socket_, reinterpret_cast<sockaddr*>(&at), &size) == 0);
        port = ntohs(at.sin_port);
    }
    ~SilentPort() { ::close(socket_); }
    SilentPort(const SilentPort&) = delete;
    SilentPort& operator=(const SilentPort&) = delete;

    std::uint16_t port = 0;

private:
    const int socket_;
};

}  // namespace

TEST_CASE("connect strings name servers and a chroot") {
    const auto parsed = parse_connect_string("zoo1:2182, zoo2,[::1]:2183,[fe80::1]/kafka/a/");
    REQUIRE(parsed);
    CHECK(parsed->servers == std::vector<ServerAddress>{
                                 {"zoo1", 2182}, {"zoo2", 2181}, {"::1", 2183}, {"fe80::1", 2181}});
    CHECK(parsed->chroot.path() == "/kafka/a");
    CHECK(to_string(parsed->servers[2]) == "[::1]:2183");
    CHECK(parse_connect_string("a:1/")->chroot.path().empty());
    for (const char* const bad : {"", "/kafka", "a:x", "a:0", "a:70000", "::1:2181", "a:1/k//b"}) {
        CAPTURE(bad);
        CHECK_FALSE(parse_connect_string(bad));
    }
}

TEST_CASE("a chroot is the root of what a client sees") {
    const Chroot chroot("/kafka");
    CHECK(chroot.full("/") == "/kafka");
    CHECK(chroot.full("/a") == "/kafka/a");
    CHECK(chroot.relative("/kafka") == "/");
    CHECK(chroot.relative("/kafka/a") == "/a");
    CHECK(chroot.relative("/kafkaesque") == "/kafkaesque");
}

TEST_CASE("transactions and reads come to what they come to in the service") {
    Host host;
    Peer peer(host);
    REQUIRE(peer.settle() == State::connected);
    auto& client = *peer.client;
    CHECK(client.server().port == host.port);
    CHECK(client.timeout_ms() == 18'000);
    const auto created = peer.create("/a", "one");
    REQUIRE(created);
    CHECK(created->results.at(0).path == "/a");
    CHECK(created->results[0].stat.czxid == created->zxid);
    const auto set = client.submit_and_wait({SetData{"/a", std::nullopt, 0}});
    REQUIRE(set);
    CHECK(set->results.at(0).stat.version == 1);
    const auto node = client.ask(request::get("/a"));
    REQUIRE(node);
    CHECK(node->data == std::nullopt);
    CHECK(node->stat.mzxid == set->zxid);
    CHECK(client.submit_and_wait({SetData{"/a", "x", 0}}).error().error == ZkError::bad_version);
    CHECK(error_of(client.ask(request::get("/b"))) == ZkError::no_node);
    const auto nodes = client.ask(request::get_all({"/a", "/b", "/a"}));
    REQUIRE(nodes);
    REQUIRE(nodes->size() == 3);
    CHECK(nodes->at(0)->stat.mzxid == set->zxid);
    CHECK(nodes->at(1).error() == ZkError::no_node);
    CHECK(nodes->at(2)->stat.version == 1);
    REQUIRE(client.submit_and_wait({SetAcl{"/a", {{permission::all, {"ip", "127.0.0.1"}}}}}));
    CHECK(client.ask(request::acl("/a"))->first == Acl{{permission::all, {"ip", "127.0.0.1"}}});
    CHECK(client.ask(request::all_children_number("/zookeeper")) == 2);
    REQUIRE(client.submit_and_wait({Delete{"/a"}}));
    CHECK(error_of(client.ask(request::exists("/a"))) == ZkError::no_node);
    CHECK(client.submit_and_wait({})->results.empty());
}

TEST_CASE("a multi takes effect as a whole, or says which op was to blame") {
    Host host;
    Peer peer(host);
    auto& client = *peer.client;
    const auto done = client.submit_and_wait(
        {Create{.path = "/m"}, SetData{"/m", "1", 0}, Check{"/m", 1},
         Create{.path = "/m/s-", .sequential = true},
         Create{.path = "/c", .kind = NodeKind::container},
         Create{.path = "/t", .kind = NodeKind::ttl, .ttl_ms = 1000}, Delete{"/c"}});
    REQUIRE(done);
    REQUIRE(done->results.size() == 7);
    CHECK(done->results[1].stat.version == 1);
    CHECK(done->results[3].path == "/m/s-0000000000");
    CHECK(done->results[4].path == "/c");
    const auto refused =
        client.submit_and_wait({Create{.path = "/n"}, Check{"/m", 7}, Delete{"/m"}});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().error == ZkError::bad_version);
    CHECK(refused.error().at == 1);
    CHECK(error_of(client.ask(request::exists("/n"))) == ZkError::no_node);
    CHECK(client.submit_and_wait({Check{"/m", 1}}));
}

TEST_CASE("many requests are on their way at once and answered in order") {
    Host host;
    Peer peer(host);
    std::vector<Request<Outcome>> creates;
    for (int i = 0; i < 500; ++i) {
        std::vector<Op> ops;
        ops.push_back(Create{.path = "/s-", .sequential = true});
        creates.push_back(request::commit(std::move(ops)));
    }
    const auto answers = peer.client->ask_all(std::move(creates));
    REQUIRE(answers.size() == 500);
    CHECK((*answers[0])->results[0].path == "/s-0000000000");
    CHECK((*answers[499])->results[0].path == "/s-0000000499");
    CHECK(peer.client->ask(request::children("/"))->names.size() == 501);
}

TEST_CASE("missing parents are made when a create asks for it") {
    Host host;
    Peer peer(host);
    const auto done = peer.client->submit_and_wait({Create{.path = "/a/b/c", .with_parents = true},
                                                    Create{.path = "/d/e", .with_parents = true}});
    REQUIRE(done);
    CHECK(done->results[1].path == "/d/e");
    CHECK(peer.client->submit_and_wait({Create{.path = "/x/y"}}).error().error == ZkError::no_node);
}

TEST_CASE("below a chroot paths are the client's own") {
    Host host;
    Peer peer(host, "/over/there");
    CHECK(peer.create("/a").error().error == ZkError::no_node);
    REQUIRE(peer.client->make_chroot());
    REQUIRE(peer.client->make_chroot());
    CHECK(peer.create("/a", "", NodeKind::ephemeral)->results.at(0).path == "/a");
    CHECK(peer.client->ask(request::ephemerals("/")) == std::vector<std::string>{"/a"});
    CHECK(peer.client->ask(request::children("/"))->names == std::vector<std::string>{"a"});
    CHECK(peer.client->ask(request::config())->data == "");
    REQUIRE(peer.client->ask(request::get("/", Watch::yes)));
    Peer other(host);
    REQUIRE(other.client->ask(request::exists("/over/there/a")));
    REQUIRE(other.client->submit_and_wait({SetData{"/over/there", "x"}}));
    CHECK(peer.comes("event 3 /"));
}

TEST_CASE("a watch tells once, before any answer that shows its cause") {
    Host host;
    Peer peer(host);
    CHECK(error_of(peer.client->ask(request::exists("/w", Watch::yes))) == ZkError::no_node);
    REQUIRE(peer.create("/w"));
    peer.note("answered");
    CHECK(peer.noted() == std::vector<std::string>{"state connected", "event 1 /w", "answered"});
    REQUIRE(peer.client->ask(request::children("/w", Watch::yes)));
    REQUIRE(peer.create("/w/a"));
    REQUIRE(peer.create("/w/b"));
    CHECK(peer.noted() == std::vector<std::string>{"event 4 /w"});
}

TEST_CASE("a session and its watches outlive a connection, and events that were missed are told") {
    Host host;
    Peer peer(host);
    auto& client = *peer.client;
    REQUIRE(peer.create("/e", "", NodeKind::ephemeral));
    REQUIRE(client.ask(request::get("/e", Watch::yes)));
    CHECK(error_of(client.ask(request::exists("/new", Watch::yes))) == ZkError::no_node);
    REQUIRE(client.ask(request::children("/", Watch::yes)));
    const auto key = client.session();
    peer.noted();
    host.go();
    REQUIRE(peer.comes("state connecting"));
    REQUIRE(host.service->submit_and_wait({SetData{"/e", "x"}, Create{.path = "/new"}}));
    host.come();
    CHECK(peer.comes("state connected"));
    REQUIRE(client.ask(request::sync("/")));
    auto told = peer.noted();
    std::ranges::sort(told);
    CHECK(told == std::vector<std::string>{"event 1 /new", "event 3 /e", "event 4 /"});
    CHECK(client.session() == key);
    CHECK(client.ask(request::get("/e"))->stat.ephemeral_owner == key.id);
}

TEST_CASE("watches that stay are set again on the next connection, unless they were removed") {
    Host host;
    Peer peer(host);
    REQUIRE(peer.create("/p"));
    REQUIRE(peer.create("/q"));
    REQUIRE(peer.client->ask(request::add_watch("/p", WatchKind::recursive)));
    REQUIRE(peer.client->ask(request::add_watch("/q", WatchKind::persistent)));
    REQUIRE(peer.client->ask(request::remove_watches("/q", WatcherType::any)));
    CHECK(error_of(peer.client->ask(request::remove_watches("/q", WatcherType::any))) ==
          ZkError::no_watcher);
    host.go();
    REQUIRE(peer.comes("state connecting"));
    host.come();
    REQUIRE(peer.comes("state connected"));
    REQUIRE(peer.client->submit_and_wait(
        {Create{.path = "/q/a"}, Create{.path = "/p/a/b", .with_parents = true}}));
    REQUIRE(peer.client->submit_and_wait({SetData{"/p/a", "x"}}));
    CHECK(peer.noted() ==
          std::vector<std::string>{"event 1 /p/a", "event 1 /p/a/b", "event 3 /p/a"});
}

TEST_CASE("without a server requests fail, and with one again they do not") {
    Host host;
    Peer peer(host);
    REQUIRE(peer.settle() == State::connected);
    host.go();
    REQUIRE(peer.comes("state connecting"));
    CHECK(error_of(peer.client->ask(request::get("/"))) == ZkError::connection_loss);
    CHECK(peer.create("/x").error().error == ZkError::connection_loss);
    host.come();
    CHECK(peer.settle() == State::connected);
    CHECK(peer.create("/x"));
}

TEST_CASE(
    "what was in flight when the connection was lost is answered once, with connection_loss") {
    Host host;
    SilentPort silent;
    MetadataClient::Settings settings;
    settings.session_timeout_ms = 300;
    Peer peer("127.0.0.1:" + std::to_string(silent.port), settings);
    std::vector<Request<Stat>> asked;
    for (int i = 0; i < 10; ++i) asked.push_back(request::exists("/"));
    for (const auto& answer : peer.client->ask_all(std::move(asked))) {
        CHECK(error_of(answer) == ZkError::connection_loss);
    }
}

TEST_CASE("a server that is silent is left for another one") {
    Host host;
    SilentPort silent;
    MetadataClient::Settings settings;
    settings.session_timeout_ms = 600;
    // A name that cannot be one: nobody is asked for it.
    Peer peer("127.0.0.1:" + std::to_string(silent.port) +
                  ",127.0.0.1:" + std::to_string(host.port) + ",no-such-host..invalid:1",
              settings);
    CHECK(peer.settle() == State::connected);
    const auto id = peer.client->session().id;
    CHECK(host.service->read([id](const Tree& tree) { return tree.sessions().contains(id); }) ==
          true);
}

TEST_CASE("an idle session is kept alive by pings") {
    constexpr std::int32_t timeout_ms = 1500;
    std::atomic<std::int64_t> now_ms = 1'000'000;
    Host host([&] { return now_ms.load(); });
    MetadataClient::Settings settings;
    settings.session_timeout_ms = timeout_ms;
    Peer idle(host, "", settings);
    REQUIRE(idle.settle() == State::connected);
    const auto id = idle.client->session().id;
    // As long a time-out, and nobody who pings.
    const auto unheard = host.service->open_session(timeout_ms);
    REQUIRE(unheard);
    host.service->detach_session(unheard->id);
    // For the service time passes in its own steps, and only while the client is heard of.
    const auto pass = [&](std::int64_t ms) {
        for (const auto end = now_ms + ms; now_ms < end;) {
            now_ms += Host::tick_ms;
            REQUIRE(host.service->submit_and_wait({}));
        }
    };
    const auto ends_at = [&] {
        std::promise<std::int64_t> told;
        host.service->take_turn(
            WatcherId(0),
            [&](Turn& turn) {
                for (const auto& [session, deadline_ms] : turn.deadlines()) {
                    if (session == id) return told.set_value(deadline_ms);
                }
                told.set_value(-1);
            },
            [](bool) {});
        return told.get_future().get();
    };
    // Where the client is stopped for so long that it leaves its server, it comes back and counts
    // anew. One that hears no answers makes but one ping on each connection.
    idle.noted();
    int pings = 0;
    for (const auto deadline = std::chrono::steady_clock::now() + patience; pings < 3;) {
        REQUIRE(std::chrono::steady_clock::now() < deadline);
        const auto before = ends_at();
        REQUIRE(before > now_ms);
        pass(timeout_ms / 2);
        while (ends_at() == before) {
            REQUIRE(std::chrono::steady_clock::now() < deadline);
            std::this_thread::yield();
        }
        pings = idle.noted().empty() ? pings + 1 : 0;
    }
    const auto lives = [&](SessionId session) {
        return host.service
            ->read([=](const Tree& tree) { return tree.sessions().contains(session); })
            .value();
    };
    CHECK(lives(id));
    CHECK_FALSE(lives(unheard->id));
}

TEST_CASE("a session is resumed by its key, and left alive by stop but not by close") {
    Host host;
    SessionKey key;
    {
        Peer first(host);
        REQUIRE(first.create("/e", "", NodeKind::ephemeral));
        key = first.client->session();
        first.client->stop();
        CHECK(first.client->state() == State::closed);
        CHECK(error_of(first.client->ask(request::get("/e"))) == ZkError::connection_loss);
    }
    MetadataClient::Settings settings;
    settings.resume = key;
    Peer second(host, "", settings);
    REQUIRE(second.settle() == State::connected);
    CHECK(second.client->session() == key);
    CHECK(second.client->ask(request::ephemerals("/")) == std::vector<std::string>{"/e"});
    second.client->close();
    Peer third(host);
    CHECK(error_of(third.client->ask(request::exists("/e"))) == ZkError::no_node);
}

TEST_CASE("an expired session is told, and a new one begins only when its owner says so") {
    Host host;
    Peer peer(host);
    REQUIRE(peer.create("/e", "", NodeKind::ephemeral));
    REQUIRE(peer.client->ask(request::get("/e", Watch::yes)));
    const auto old = peer.client->session();
    REQUIRE(host.service->close_session(old.id));
    REQUIRE(peer.comes("state expired"));
    CHECK(error_of(peer.client->ask(request::get("/"))) == ZkError::session_expired);
    CHECK(peer.client->wait_settled(patience) == State::expired);
    peer.client->reopen();
    REQUIRE(peer.comes("state connected"));
    CHECK(peer.client->session().id != old.id);
    CHECK(error_of(peer.client->ask(request::exists("/e"))) == ZkError::no_node);
    REQUIRE(peer.create("/e"));
    CHECK(peer.noted().empty());
    MetadataClient::Settings settings;
    settings.resume = old;
    Peer late(host, "", settings);
    CHECK(late.settle() == State::expired);
}

TEST_CASE("who a client says it is holds on every connection") {
    Host host;
    MetadataClient::Settings settings;
    settings.auth = {{"digest", "u:p"}};
    Peer peer(host, "", settings);
    const Acl own{{permission::all, {"auth", ""}}};
    REQUIRE(peer.client->submit_and_wait({Create{.path = "/mine", .acl = own}}));
    Peer other(host);
    CHECK(error_of(other.client->ask(request::get("/mine"))) == ZkError::no_auth);
    std::mutex mutex;
    bool added = false;
    other.client->add_auth({"digest", "u:p"}, [&](base::Result<std::monostate, ZkError> answer) {
        const std::lock_guard lock(mutex);
        added = answer.has_value();
    });
    CHECK(other.client->ask(request::get("/mine")));
    CHECK(added);
    host.go();
    REQUIRE(other.comes("state connecting"));
    host.come();
    REQUIRE(other.settle() == State::connected);
    CHECK(other.client->ask(request::get("/mine")));
    CHECK(peer.client->wait_settled(patience) == State::connected);
    CHECK(other.client->ask(request::who_am_i())->back() == Id{"digest", "u"});
}

TEST_CASE("a client that is not who it says it is gets no answers") {
    Host host;
    MetadataClient::Settings settings;
    settings.auth = {{"no-such-scheme", ""}};
    Peer peer(host, "", settings);
    CHECK(peer.comes("state auth_failed"));
    CHECK(error_of(peer.client->ask(request::get("/"))) == ZkError::auth_failed);
}

TEST_CASE("an answer that is cut short is no answer") {
    const Chroot chroot;
    const auto cut = [&](auto request, std::span<const std::byte> whole) {
        for (std::size_t size = 0; size <= whole.size(); ++size) {
            wire::Reader reader(whole.first(size));
            Reply reply{ZkError::ok, Zxid(1), reader, chroot};
            static_cast<void>(request.read(reply));
            CHECK(reader.failed() == (size < whole.size()));
        }
    };
    std::vector<std::byte> bytes;
    wire::Writer writer(bytes);
    zookeeper::jute::write(writer, zookeeper::DataResponse{"data", {}});
    cut(request::get("/"), bytes);
    bytes.clear();
    zookeeper::jute::write(writer, zookeeper::Children2Response{{"a", "b"}, {}});
    cut(request::children("/"), bytes);
    bytes.clear();
    zookeeper::jute::write(writer, zookeeper::MultiHeader{zookeeper::OpCode::create2, false, 0});
    zookeeper::jute::write(writer, zookeeper::CreatedResponse{"/a", {}});
    zookeeper::jute::write(writer, zookeeper::MultiHeader{zookeeper::OpCode::error, false, -103});
    writer.int32(-103);
    zookeeper::jute::write(writer, zookeeper::MultiHeader{});
    cut(request::commit({Check{"/a", 1}, Check{"/b", 1}}), bytes);
}

TEST_CASE("watches are set again in packets that a server takes") {
    WatchBook book;
    for (int i = 0; i < 5000; ++i) {
        book.add(WatchBook::Kind::data, "/" + std::string(100, 'x') + std::to_string(i));
    }
    book.add(WatchBook::Kind::child, "/c");
    book.add(WatchBook::Kind::recursive, "/r");
    std::size_t data = 0;
    const auto packets = book.to_set(Zxid(9));
    CHECK(packets.size() == 5);
    for (const auto& packet : packets) {
        CHECK(packet.once.relative_zxid == 9);
        std::vector<std::byte> bytes;
        wire::Writer writer(bytes);
        zookeeper::jute::write(writer, packet);
        CHECK(bytes.size() < 200 * 1024);
        data += packet.once.data->size();
    }
    CHECK(data == 5000);
    CHECK(packets.back().once.child == std::vector<std::string>{"/c"});
    CHECK(packets.back().recursive == std::vector<std::string>{"/r"});
    book.fired({EventType::deleted, "/c", Zxid(10)});
    CHECK_FALSE(book.has("/c", WatcherType::any));
    CHECK(book.has("/r", WatcherType::any));
}
