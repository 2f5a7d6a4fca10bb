#include "coordinator/metadata/server/dialog.h"

#include "coordinator/tests/gate.h"
#include "coordinator/tests/sim_disk.h"
#include "protocol/wire/big_endian.h"
#include "protocol/zookeeper/messages.h"

#include <doctest/doctest.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <vector>

using namespace coordinator;
namespace jute = zookeeper::jute;
using zookeeper::OpCode;

namespace {

using Bytes = std::vector<std::byte>;

constexpr auto no_node = static_cast<std::int32_t>(ZkError::no_node);

struct Host {
    sim::SimDisk disk;
    std::atomic<std::int64_t> now_ms{1'000'000};
    std::shared_ptr<Statistics> statistics = std::make_shared<Statistics>();
    std::unique_ptr<MetadataService> service;

    Host() {
        MetadataService::Settings settings;
        settings.disk = &disk;
        settings.directory = "/d";
        settings.wall_ms = settings.monotonic_ms = [this] { return now_ms.load(); };
        settings.random = [n = 0](std::span<std::byte> bytes) mutable {
            for (std::byte& byte : bytes) byte = static_cast<std::byte>(++n);
        };
        auto started = MetadataService::start(settings);
        REQUIRE(started);
        service = std::move(*started);
    }
};

// A client that waits for what comes.
class Peer {
public:
    explicit Peer(Host& host, std::string address = "10.0.0.1")
        : inbox_(std::make_shared<Inbox>()),
          dialog_(std::make_shared<Dialog>(
              *host.service, host.statistics, std::move(address),
              [&host] { return host.now_ms.load(); }, inbox_)) {
        dialog_->start();
    }
    ~Peer() { dialog_->leave(); }
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;

    // From now on nothing more of it can be sent; and the end of that.
    void block() { inbox_->blocked = true; }
    void unblock() {
        inbox_->blocked = false;
        dialog_->resume();
    }

    void send(const Bytes& payload) { dialog_->receive(payload); }

    template <class Request>
    void ask(std::int32_t xid, OpCode type, const Request& request) {
        Bytes payload;
        wire::Writer writer(payload);
        jute::write(writer, zookeeper::RequestHeader{xid, type});
        jute::write(writer, request);
        send(payload);
    }

    // The next frame's payload; nothing when the connection is to be closed instead.
    std::optional<Bytes> next() { return inbox_->take(); }

    // Whether nothing has come.
    bool is_told_nothing() const { return inbox_->is_empty(); }

    struct Reply {
        zookeeper::ReplyHeader header;
        Bytes body;
    };

    Reply reply() {
        const auto payload = next();
        REQUIRE(payload);
        wire::Reader reader(std::span<const std::byte>{*payload});
        Reply made{jute::read<zookeeper::ReplyHeader>(reader), {}};
        made.body.assign(reader.rest().begin(), reader.rest().end());
        return made;
    }

    template <class Body>
    Body body(std::int32_t xid) {
        const Reply got = reply();
        CHECK(got.header.xid == xid);
        CHECK(got.header.err == 0);
        wire::Reader reader(std::span<const std::byte>{got.body});
        Body read = jute::read<Body>(reader);
        CHECK(reader.finish());
        return read;
    }

    void is_error(std::int32_t xid, std::int32_t err) {
        const Reply got = reply();
        CHECK(got.header.xid == xid);
        CHECK(got.header.err == err);
        CHECK(got.body.empty());
    }

    void is_event(EventType type, const std::string& path) {
        const auto event = body<zookeeper::WatcherEvent>(zookeeper::xid_event);
        CHECK(event.type == static_cast<std::int32_t>(type));
        CHECK(event.path == path);
    }

    zookeeper::ConnectResponse connect(std::int64_t session = 0, zookeeper::Buffer password = {},
                                       std::int32_t timeout_ms = 10'000) {
        zookeeper::ConnectRequest request;
        request.timeout_ms = timeout_ms;
        request.session_id = session;
        request.password = std::move(password);
        request.read_only = false;
        Bytes payload;
        wire::Writer writer(payload);
        write_connect_request(writer, request);
        send(payload);
        const auto answer = next();
        REQUIRE(answer);
        CHECK(answer->size() == 37);
        wire::Reader reader(std::span<const std::byte>{*answer});
        return zookeeper::read_connect_response(reader);
    }

    void make(std::int32_t xid, const std::string& path, std::int32_t flags = 0) {
        ask(xid, OpCode::create, plain(path, flags));
        body<zookeeper::PathResponse>(xid);
    }

    static zookeeper::CreateRequest plain(const std::string& path, std::int32_t flags = 0) {
        return {path, "x", std::vector<zookeeper::Acl>{{31, {"world", "anyone"}}}, flags};
    }

private:
    struct Inbox final : Dialog::Outlet {
        mutable std::mutex mutex;
        std::condition_variable changed;
        Bytes bytes;
        bool ended = false;
        std::atomic<bool> blocked{false};

        void tell(Bytes event) override { put(std::move(event)); }
        void answer(Bytes frames, const Answered&) override { put(std::move(frames)); }
        bool is_full() const override { return blocked; }

        void put(Bytes frames) {
            const std::lock_guard lock(mutex);
            bytes.insert(bytes.end(), frames.begin(), frames.end());
            changed.notify_all();
        }

        void end(std::string) override {
            const std::lock_guard lock(mutex);
            ended = true;
            changed.notify_all();
        }

        bool is_empty() {
            const std::lock_guard lock(mutex);
            return bytes.empty() && !ended;
        }

        std::optional<Bytes> take() {
            std::unique_lock lock(mutex);
            changed.wait(lock, [&] { return !bytes.empty() || ended; });
            if (bytes.empty()) return std::nullopt;
            const auto size = static_cast<std::size_t>(wire::load<std::int32_t>(bytes, 0));
            REQUIRE(bytes.size() >= 4 + size);
            const auto begin = bytes.begin() + 4;
            const auto end = begin + static_cast<std::ptrdiff_t>(size);
            Bytes payload(begin, end);
            bytes.erase(bytes.begin(), end);
            return payload;
        }
    };

    std::shared_ptr<Inbox> inbox_;
    std::shared_ptr<Dialog> dialog_;
};

}  // namespace

TEST_CASE("a client connects, and its time-out is brought within bounds") {
    Host host;
    Peer peer(host);
    const auto opened = peer.connect(0, {}, 1);
    CHECK(opened.timeout_ms == 4000);
    CHECK(opened.session_id != 0);
    CHECK(opened.password->size() == 16);
    CHECK(opened.read_only == false);
}

TEST_CASE("a session is resumed with its password by another connection, which ends the first") {
    Host host;
    Peer first(host);
    const auto opened = first.connect();
    first.make(1, "/e", 1);
    Peer thief(host);
    const auto refused = thief.connect(opened.session_id, std::string(16, 'z'));
    CHECK(refused.timeout_ms == 0);
    CHECK(refused.session_id == 0);
    CHECK(refused.password == std::string(16, '\0'));
    CHECK_FALSE(thief.next());

    Peer second(host);
    const auto resumed = second.connect(opened.session_id, opened.password, 5000);
    CHECK(resumed.session_id == opened.session_id);
    CHECK(resumed.timeout_ms == 5000);
    CHECK_FALSE(first.next());
    second.ask(1, OpCode::get_ephemerals, zookeeper::EphemeralsRequest{});
    CHECK(second.body<zookeeper::NamesResponse>(1).names == std::vector<std::string>{"/e"});
}

TEST_CASE("a session that nobody renews expires, and its connection is closed") {
    Host host;
    Peer peer(host);
    const auto opened = peer.connect(0, {}, 4000);
    peer.make(1, "/e", 1);
    Peer watcher(host);
    watcher.connect(0, {}, 60'000);
    watcher.ask(1, OpCode::exists, zookeeper::ReadRequest{"/e", true});
    watcher.body<zookeeper::StatResponse>(1);
    bool is_told = false;
    // In steps of one tick: who is late by more than that ends no session.
    for (int tick = 0; tick < 4; ++tick) {
        host.now_ms += 2000;
        watcher.ask(2, OpCode::ping, zookeeper::Nothing{});
        const auto got = watcher.reply();
        if (got.header.xid == zookeeper::xid_ping) continue;
        CHECK(got.header.xid == zookeeper::xid_event);
        is_told = true;
        CHECK(watcher.reply().header.xid == zookeeper::xid_ping);
    }
    CHECK_FALSE(peer.next());
    // A ping shows nothing, so it need not wait for the disk as the event does.
    if (!is_told) watcher.is_event(EventType::deleted, "/e");
    watcher.ask(3, OpCode::exists, zookeeper::ReadRequest{"/e", false});
    watcher.is_error(3, no_node);
    Peer again(host);
    CHECK(again.connect(opened.session_id, opened.password).timeout_ms == 0);
}

TEST_CASE("a client that has seen a later state is turned away without an answer") {
    Host host;
    Peer peer(host);
    zookeeper::ConnectRequest request;
    request.last_zxid_seen = 1'000'000;
    Bytes payload;
    wire::Writer writer(payload);
    write_connect_request(writer, request);
    peer.send(payload);
    CHECK_FALSE(peer.next());
}

TEST_CASE("replies come in the order of the requests, pings and auth too") {
    Host host;
    Peer peer(host);
    peer.connect();
    peer.ask(1, OpCode::create, Peer::plain("/a"));
    peer.ask(-4, OpCode::auth, zookeeper::AuthRequest{0, "digest", "u:p"});
    peer.ask(2, OpCode::get_data, zookeeper::ReadRequest{"/a", false});
    peer.ask(77, OpCode::ping, zookeeper::Nothing{});
    peer.ask(3, OpCode::who_am_i, zookeeper::Nothing{});
    CHECK(peer.body<zookeeper::PathResponse>(1).path == "/a");
    const auto auth = peer.reply();
    CHECK(auth.header.xid == -4);
    CHECK(auth.header.zxid == 0);
    CHECK(peer.body<zookeeper::DataResponse>(2).data == "x");
    CHECK(peer.reply().header.xid == zookeeper::xid_ping);
    const auto who = peer.body<zookeeper::WhoAmIResponse>(3);
    REQUIRE(who.ids.size() == 2);
    CHECK(who.ids[0].id == "10.0.0.1");
    CHECK(who.ids[1].id == "u");
}

TEST_CASE("an event comes after the answer that set the watch and before its cause is seen") {
    Host host;
    Peer peer(host);
    peer.connect();
    peer.ask(1, OpCode::create, Peer::plain("/a"));
    peer.ask(2, OpCode::get_data, zookeeper::ReadRequest{"/a", true});
    peer.ask(3, OpCode::set_data, zookeeper::SetDataRequest{"/a", "y", -1});
    peer.ask(4, OpCode::get_data, zookeeper::ReadRequest{"/a", false});
    peer.body<zookeeper::PathResponse>(1);
    CHECK(peer.body<zookeeper::DataResponse>(2).data == "x");
    peer.is_event(EventType::data_changed, "/a");
    CHECK(peer.body<zookeeper::StatResponse>(3).stat.version == 1);
    CHECK(peer.body<zookeeper::DataResponse>(4).data == "y");
}

TEST_CASE("a read passes while the disk is busy, but not behind a write of its own connection") {
    Host host;
    Peer writer(host);
    Peer reader(host);
    Peer witness(host);
    for (Peer* const peer : {&writer, &reader, &witness}) peer->connect();
    writer.make(1, "/a");
    test::Gate gate;
    host.disk.refuse_by([&](const std::string& call) -> std::optional<storage::FaultKind> {
        if (call == "sync") gate.pass();
        return std::nullopt;
    });
    writer.ask(2, OpCode::create, Peer::plain("/b"));
    gate.await_one();
    reader.ask(1, OpCode::get_data, zookeeper::ReadRequest{"/a", false});
    CHECK(reader.body<zookeeper::DataResponse>(1).data == "x");

    writer.ask(3, OpCode::get_data, zookeeper::ReadRequest{"/a", false});
    // What others read of the write waits for it, too.
    reader.ask(2, OpCode::get_data, zookeeper::ReadRequest{"/b", false});
    // When this is answered, those two have had their turn.
    witness.ask(1, OpCode::get_data, zookeeper::ReadRequest{"/a", false});
    CHECK(witness.body<zookeeper::DataResponse>(1).data == "x");
    CHECK(writer.is_told_nothing());
    CHECK(reader.is_told_nothing());
    gate.open();
    CHECK(writer.body<zookeeper::PathResponse>(2).path == "/b");
    CHECK(writer.body<zookeeper::DataResponse>(3).data == "x");
    CHECK(reader.body<zookeeper::DataResponse>(2).data == "x");
    host.service->stop();
}

TEST_CASE("what a client asks while it does not read is put off, and done in its order later") {
    Host host;
    Peer peer(host);
    Peer witness(host);
    peer.connect();
    witness.connect();
    peer.block();
    peer.ask(1, OpCode::create, Peer::plain("/a"));
    peer.ask(2, OpCode::get_data, zookeeper::ReadRequest{"/a", false});
    witness.ask(1, OpCode::exists, zookeeper::ReadRequest{"/a", false});
    witness.is_error(1, no_node);
    peer.ask(3, OpCode::set_data, zookeeper::SetDataRequest{"/a", "y", -1});
    peer.unblock();
    peer.ask(4, OpCode::get_data, zookeeper::ReadRequest{"/a", false});
    CHECK(peer.body<zookeeper::PathResponse>(1).path == "/a");
    CHECK(peer.body<zookeeper::DataResponse>(2).data == "x");
    CHECK(peer.body<zookeeper::StatResponse>(3).stat.version == 1);
    CHECK(peer.body<zookeeper::DataResponse>(4).data == "y");
}

TEST_CASE("events are kept from who may not read the node") {
    Host host;
    Peer owner(host);
    owner.connect();
    Peer other(host);
    other.connect();
    other.ask(1, OpCode::add_watch, zookeeper::WatchesRequest{"/", 1});
    other.body<zookeeper::NumberResponse>(1);
    owner.ask(-4, OpCode::auth, zookeeper::AuthRequest{0, "digest", "u:p"});
    owner.reply();
    auto secret = Peer::plain("/secret");
    secret.acl = {{31, {"auth", ""}}};
    owner.ask(1, OpCode::create, secret);
    owner.body<zookeeper::PathResponse>(1);
    owner.ask(2, OpCode::get_acl, zookeeper::PathRequest{"/secret"});
    const auto acl = owner.body<zookeeper::AclResponse>(2).acl;
    REQUIRE(acl.size() == 1);
    CHECK(acl[0].id.id == "u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ=");
    owner.make(3, "/open");
    other.is_event(EventType::created, "/open");
    other.ask(2, OpCode::get_data, zookeeper::ReadRequest{"/secret", false});
    other.is_error(2, static_cast<std::int32_t>(ZkError::no_auth));
}

TEST_CASE("setWatches tells what was missed, then answers, and watches the rest") {
    Host host;
    Peer peer(host);
    peer.connect();
    for (int n = 0; n < 3; ++n) peer.make(n, "/" + std::to_string(n));
    const auto since = [&] {
        peer.ask(9, OpCode::exists, zookeeper::ReadRequest{"/2", false});
        return peer.reply().header.zxid;
    }();
    peer.ask(10, OpCode::set_data, zookeeper::SetDataRequest{"/0", "y", -1});
    peer.body<zookeeper::StatResponse>(10);
    const std::vector<std::string> data{"/0", "/1", "/gone"}, exist{"/2", "/later"}, child{"/1"};
    peer.ask(-8, OpCode::set_watches, zookeeper::SetWatchesRequest{since, data, exist, child});
    peer.is_event(EventType::data_changed, "/0");
    peer.is_event(EventType::deleted, "/gone");
    peer.is_event(EventType::created, "/2");
    peer.body<zookeeper::Nothing>(-8);
    peer.ask(11, OpCode::create, Peer::plain("/later"));
    peer.is_event(EventType::created, "/later");
    peer.body<zookeeper::PathResponse>(11);
    peer.ask(12, OpCode::create, Peer::plain("/1/child"));
    peer.is_event(EventType::children_changed, "/1");
    peer.body<zookeeper::PathResponse>(12);
}

TEST_CASE("watches are checked and removed") {
    Host host;
    Peer peer(host);
    peer.connect();
    peer.ask(1, OpCode::get_children2, zookeeper::ReadRequest{"/", true});
    peer.body<zookeeper::Children2Response>(1);
    peer.ask(2, OpCode::check_watches, zookeeper::WatchesRequest{"/", 2});
    peer.is_error(2, static_cast<std::int32_t>(ZkError::no_watcher));
    peer.ask(3, OpCode::remove_watches, zookeeper::WatchesRequest{"/", 3});
    peer.is_error(3, 0);
    peer.ask(4, OpCode::remove_watches, zookeeper::WatchesRequest{"/", 3});
    peer.is_error(4, static_cast<std::int32_t>(ZkError::no_watcher));
    peer.ask(5, OpCode::add_watch, zookeeper::WatchesRequest{"/", 9});
    peer.is_error(5, static_cast<std::int32_t>(ZkError::marshalling_error));
}

TEST_CASE("a multi is done as one, and says of each op what became of it") {
    Host host;
    Peer peer(host);
    peer.connect();
    const auto multi = [&](std::int32_t xid, std::int32_t version) {
        Bytes payload;
        wire::Writer writer(payload);
        jute::write(writer, zookeeper::RequestHeader{xid, OpCode::multi});
        jute::write(writer, zookeeper::MultiHeader{OpCode::create2, false, -1});
        jute::write(writer, Peer::plain("/m"));
        jute::write(writer, zookeeper::MultiHeader{OpCode::set_data, false, -1});
        jute::write(writer, zookeeper::SetDataRequest{"/m", "y", version});
        jute::write(writer, zookeeper::MultiHeader{OpCode::check, false, -1});
        jute::write(writer, zookeeper::CheckVersionRequest{"/m", -1});
        jute::write(writer, zookeeper::MultiHeader{});
        peer.send(payload);
        return peer.reply();
    };
    const auto failed = multi(1, 7);
    CHECK(failed.header.err == 0);
    Bytes expected;
    wire::Writer writer(expected);
    for (const std::int32_t code : {0, -103, -2}) {
        jute::write(writer, zookeeper::MultiHeader{OpCode::error, false, code});
        writer.int32(code);
    }
    jute::write(writer, zookeeper::MultiHeader{});
    CHECK(failed.body == expected);

    const auto done = multi(2, 0);
    wire::Reader reader(std::span<const std::byte>{done.body});
    CHECK(jute::read<zookeeper::MultiHeader>(reader).type == OpCode::create2);
    CHECK(jute::read<zookeeper::CreatedResponse>(reader).path == "/m");
    CHECK(jute::read<zookeeper::MultiHeader>(reader).type == OpCode::set_data);
    CHECK(jute::read<zookeeper::StatResponse>(reader).stat.version == 1);
    CHECK(jute::read<zookeeper::MultiHeader>(reader).type == OpCode::check);
    CHECK(jute::read<zookeeper::MultiHeader>(reader).done);
    CHECK(reader.finish());
}

TEST_CASE("a multi with an op that has no place in it is refused whole") {
    Host host;
    Peer peer(host);
    peer.connect();
    Bytes payload;
    wire::Writer writer(payload);
    jute::write(writer, zookeeper::RequestHeader{1, OpCode::multi});
    jute::write(writer, zookeeper::MultiHeader{OpCode::multi, false, -1});
    jute::write(writer, zookeeper::MultiHeader{});
    peer.send(payload);
    peer.is_error(1, static_cast<std::int32_t>(ZkError::marshalling_error));
}

TEST_CASE("a multiRead answers each of its reads by itself") {
    Host host;
    Peer peer(host);
    peer.connect();
    peer.make(1, "/a");
    Bytes payload;
    wire::Writer writer(payload);
    jute::write(writer, zookeeper::RequestHeader{2, OpCode::multi_read});
    for (const auto* path : {"/a", "/none"}) {
        jute::write(writer, zookeeper::MultiHeader{OpCode::get_data, false, -1});
        jute::write(writer, zookeeper::ReadRequest{path, false});
    }
    jute::write(writer, zookeeper::MultiHeader{});
    peer.send(payload);
    const auto got = peer.reply();
    wire::Reader reader(std::span<const std::byte>{got.body});
    CHECK(jute::read<zookeeper::MultiHeader>(reader).type == OpCode::get_data);
    CHECK(jute::read<zookeeper::DataResponse>(reader).data == "x");
    CHECK(jute::read<zookeeper::MultiHeader>(reader).err == no_node);
    CHECK(reader.int32() == no_node);
    CHECK(jute::read<zookeeper::MultiHeader>(reader).done);
    CHECK(reader.finish());
}

TEST_CASE("who reads one large node again and again in one request is cut off, and nobody else") {
    Host host;
    Peer greedy(host);
    Peer other(host);
    greedy.connect();
    other.connect();
    const std::string data(1'000'000, 'x');
    auto large = Peer::plain("/a");
    large.data = data;
    greedy.ask(1, OpCode::create, large);
    CHECK(greedy.body<zookeeper::PathResponse>(1).path == "/a");
    Bytes payload;
    wire::Writer writer(payload);
    jute::write(writer, zookeeper::RequestHeader{2, OpCode::multi_read});
    for (std::size_t i = 0; i <= multi_read_bytes_max / data.size(); ++i) {
        jute::write(writer, zookeeper::MultiHeader{OpCode::get_data, false, -1});
        jute::write(writer, zookeeper::ReadRequest{"/a", false});
    }
    jute::write(writer, zookeeper::MultiHeader{});
    greedy.send(payload);
    CHECK(!greedy.next());
    other.ask(3, OpCode::get_data, zookeeper::ReadRequest{"/a", false});
    CHECK(other.body<zookeeper::DataResponse>(3).data == data);
}

TEST_CASE("all kinds of nodes are made by the operations that are for them") {
    Host host;
    Peer peer(host);
    peer.connect();
    const auto bad_arguments = static_cast<std::int32_t>(ZkError::bad_arguments);
    peer.ask(1, OpCode::create_container, Peer::plain("/c", 4));
    CHECK(peer.body<zookeeper::CreatedResponse>(1).stat.ephemeral_owner == 0);
    peer.ask(2, OpCode::create_ttl, zookeeper::CreateTtlRequest{Peer::plain("/t", 5), 1000});
    CHECK(peer.body<zookeeper::CreatedResponse>(2).path == "/t");
    peer.ask(3, OpCode::create_ttl, zookeeper::CreateTtlRequest{Peer::plain("/u", 0), -1});
    peer.is_error(3, bad_arguments);
    peer.ask(4, OpCode::create_ttl, zookeeper::CreateTtlRequest{Peer::plain("/u", 5), 0});
    peer.is_error(4, bad_arguments);
    peer.ask(5, OpCode::create2, Peer::plain("/u", 5));
    peer.is_error(5, bad_arguments);
    peer.ask(6, OpCode::create2, Peer::plain("/c/s-", 3));
    const auto made = peer.body<zookeeper::CreatedResponse>(6);
    CHECK(made.path == "/c/s-0000000000");
    CHECK(made.stat.ephemeral_owner != 0);
}

TEST_CASE("what no operation is, and what is none for clients, is answered as ZooKeeper does") {
    Host host;
    Peer peer(host);
    peer.connect();
    peer.ask(1, OpCode::reconfig, zookeeper::Nothing{});
    peer.is_error(1, zookeeper::err_reconfig_disabled);
    peer.ask(2, OpCode::delete_container, zookeeper::PathRequest{"/"});
    peer.is_error(2, static_cast<std::int32_t>(ZkError::bad_arguments));
    peer.ask(3, OpCode::get_data, zookeeper::Nothing{});
    peer.is_error(3, static_cast<std::int32_t>(ZkError::marshalling_error));
    peer.ask(4, static_cast<OpCode>(-10), zookeeper::Nothing{});
    peer.is_error(4, static_cast<std::int32_t>(ZkError::unimplemented));
    CHECK_FALSE(peer.next());
}

TEST_CASE("a path that is null is refused behind what ZooKeeper looks at before it") {
    Host host;
    Peer peer(host);
    peer.connect();
    const auto bad_arguments = static_cast<std::int32_t>(ZkError::bad_arguments);
    const auto marshalling_error = static_cast<std::int32_t>(ZkError::marshalling_error);
    const std::vector<zookeeper::Acl> broken{{31, {"ip", std::nullopt}}};
    auto nowhere = Peer::plain("", 5);
    nowhere.path = std::nullopt;
    peer.ask(1, OpCode::create_ttl, zookeeper::CreateTtlRequest{nowhere, 0});
    peer.is_error(1, bad_arguments);
    peer.ask(2, OpCode::create_ttl, zookeeper::CreateTtlRequest{nowhere, 1000});
    peer.is_error(2, marshalling_error);
    auto relative = Peer::plain("a", 0);
    relative.acl = broken;
    peer.ask(3, OpCode::create, relative);
    peer.is_error(3, bad_arguments);
    peer.ask(4, OpCode::set_acl, zookeeper::SetAclRequest{std::nullopt, broken, -1});
    peer.is_error(4, bad_arguments);
    peer.ask(5, OpCode::set_acl, zookeeper::SetAclRequest{"/", broken, -1});
    peer.is_error(5, marshalling_error);
    peer.ask(6, OpCode::sync, zookeeper::SyncPath{});
    CHECK_FALSE(peer.body<zookeeper::SyncPath>(6).path);
}

TEST_CASE("the path \"\" reads the root, counts it too, and is told of nothing") {
    Host host;
    Peer peer(host);
    peer.connect();
    peer.ask(1, OpCode::get_children, zookeeper::ReadRequest{"", true});
    CHECK(peer.body<zookeeper::NamesResponse>(1).names.size() == 1);
    peer.ask(2, OpCode::get_all_children_number, zookeeper::PathRequest{"/"});
    const auto below = peer.body<zookeeper::NumberResponse>(2).number;
    peer.ask(3, OpCode::get_all_children_number, zookeeper::PathRequest{""});
    CHECK(peer.body<zookeeper::NumberResponse>(3).number == below + 1);
    peer.ask(4, OpCode::create, Peer::plain("/a", 0));
    CHECK(peer.body<zookeeper::PathResponse>(4).path == "/a");
}

TEST_CASE("a scheme that is not known ends the connection") {
    Host host;
    Peer peer(host);
    peer.connect();
    peer.ask(-4, OpCode::auth, zookeeper::AuthRequest{0, "world", "anyone"});
    peer.is_error(-4, static_cast<std::int32_t>(ZkError::auth_failed));
    CHECK_FALSE(peer.next());
}

TEST_CASE("closeSession is answered, ephemerals go, and what follows is not answered") {
    Host host;
    Peer peer(host);
    peer.connect();
    peer.make(1, "/e", 1);
    peer.ask(2, OpCode::close_session, zookeeper::Nothing{});
    peer.ask(3, OpCode::get_data, zookeeper::ReadRequest{"/", false});
    peer.body<zookeeper::Nothing>(2);
    CHECK_FALSE(peer.next());
    Peer other(host);
    other.connect();
    other.ask(1, OpCode::exists, zookeeper::ReadRequest{"/e", false});
    other.is_error(1, no_node);
}

TEST_CASE("whatever bytes come as requests, others are served") {
    std::mt19937_64 random(9);
    Host host;
    Peer witness(host);
    witness.connect();
    for (int round = 0; round < 300; ++round) {
        Peer peer(host);
        if (round % 10 != 0) peer.connect();
        Bytes payload(random() % 60);
        for (std::byte& byte : payload) byte = static_cast<std::byte>(random());
        if (payload.size() >= 8) {
            for (std::size_t i = 4; i < 7; ++i) payload[i] = std::byte{0};
            payload[7] = static_cast<std::byte>(random() % 110);
        }
        peer.send(payload);
        peer.ask(5, OpCode::close_session, zookeeper::Nothing{});
        while (peer.next()) {
        }
    }
    witness.ask(1, OpCode::exists, zookeeper::ReadRequest{"/", false});
    witness.body<zookeeper::StatResponse>(1);
}
