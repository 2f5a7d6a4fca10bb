#include "broker/cluster/cluster_core.h"
#include "broker/cluster/embedded_store.h"
#include "broker/cluster/zookeeper_store.h"
#include "coordinator/metadata/server/server.h"
#include "coordinator/tests/held_port.h"
#include "coordinator/tests/sim_disk.h"

#include <doctest/doctest.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

using namespace broker;
using coordinator::EventType;
using coordinator::ZkError;
using Kind = StoreEvent::Kind;

namespace {

// Only a fault uses it up.
constexpr std::chrono::seconds patience{300};

void draw(std::span<std::byte> bytes) {
    static std::atomic<unsigned> next = 1;
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(next++ * 7919u >> 3);
}

// A metadata service, reached as the broker reaches its own, or through its port.
class Place {
public:
    explicit Place(bool is_embedded) : is_embedded_(is_embedded) {
        coordinator::MetadataService::Settings settings;
        settings.disk = &disk_;
        settings.directory = "/d";
        settings.wall_ms = [] { return std::int64_t{1'000'000}; };
        settings.monotonic_ms = [this] { return now_ms.load(); };
        settings.random = draw;
        settings.tick_ms = 50;
        settings.session_timeout_min_ms = 100;
        auto started = coordinator::MetadataService::start(settings);
        REQUIRE(started);
        service = std::move(*started);
        if (!is_embedded) serve();
    }

    void serve() {
        coordinator::MetadataServer::Settings at;
        at.hosts = {"127.0.0.1"};
        at.port = port_.number();
        at.wall_ms = [] { return std::int64_t{1'000'000}; };
        at.monotonic_ms = [this] { return now_ms.load(); };
        auto serving = coordinator::MetadataServer::start(*service, at);
        REQUIRE_MESSAGE(serving, serving.error());
        server = std::move(*serving);
    }

    std::unique_ptr<MetadataStore> open(std::optional<coordinator::SessionKey> last = {}) {
        if (is_embedded_) {
            auto opened = EmbeddedStore::open(std::move(service), last, 10'000);
            REQUIRE_MESSAGE(opened, opened.error());
            return std::move(*opened);
        }
        ZookeeperStore::Settings settings;
        settings.connect = "127.0.0.1:" + std::to_string(port_.number()) + "/below/here";
        settings.session_timeout_ms = 60'000;
        settings.last = last;
        settings.random = draw;
        auto opened = ZookeeperStore::open(std::move(settings));
        REQUIRE_MESSAGE(opened, opened.error());
        return std::move(*opened);
    }

    std::atomic<std::int64_t> now_ms = 1'000'000;
    std::unique_ptr<coordinator::MetadataService> service;
    std::unique_ptr<coordinator::MetadataServer> server;

private:
    sim::SimDisk disk_;
    const bool is_embedded_;
    const test::HeldPort port_;  // The server's, also while it is away.
};

// What a store has told.
class Told {
public:
    MetadataStore::Tell tell() {
        return [this](const StoreEvent& event) {
            const std::lock_guard lock(mutex_);
            events_.push_back(event);
            changed_.notify_all();
        };
    }

    // Wait for it, and forget what came before.
    bool comes(Kind kind, EventType type = EventType::created, const std::string& path = "") {
        std::unique_lock lock(mutex_);
        const auto at = [&] {
            return std::ranges::find_if(events_, [&](const StoreEvent& each) {
                return each.kind == kind &&
                       (kind != Kind::node || (each.type == type && each.path == path));
            });
        };
        if (!changed_.wait_for(lock, patience, [&] { return at() != events_.end(); })) return false;
        events_.erase(events_.begin(), at() + 1);
        return true;
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<StoreEvent> events_;
};

coordinator::Create ephemeral(const std::string& path) {
    coordinator::Create create;
    create.path = path;
    create.kind = coordinator::NodeKind::ephemeral;
    return create;
}

}  // namespace

TEST_CASE("a store reads, writes and watches the tree, wherever it is") {
    for (const bool is_embedded : {true, false}) {
        CAPTURE(is_embedded);
        Place place(is_embedded);
        Told told;
        const auto store = place.open();
        REQUIRE(store->watch({"/a", "/b"}, told.tell()));

        const auto made = store->commit(
            {persistent("/a/x", "one"), persistent("/a/x/deep/down", "two"), ephemeral("/mine")});
        REQUIRE_MESSAGE(made, coordinator::to_string(made.error().error));
        REQUIRE(made->results.size() == 3);
        CHECK(made->results[1].path == "/a/x/deep/down");
        CHECK(told.comes(Kind::node, EventType::created, "/a/x"));

        const std::vector<std::string> paths{"/a/x", "/nothing", "/mine", "/a/x/deep"};
        const auto nodes = store->get(paths);
        REQUIRE(nodes);
        CHECK((*nodes)[0]->data == "one");
        CHECK((*nodes)[0]->stat.czxid == made->results[0].stat.czxid);
        CHECK(!(*nodes)[1]);
        CHECK((*nodes)[2]->stat.ephemeral_owner == store->session().id);
        CHECK(!(*nodes)[3]->data);
        CHECK(store->children("/a").value() == std::vector<std::string>{"x"});
        CHECK(store->children("/nothing").value().empty());

        // All or nothing, parents included.
        const auto refused =
            store->commit({persistent("/new/child"), coordinator::SetData{"/a/x", "three", 7}});
        REQUIRE(!refused);
        CHECK(refused.error().error == ZkError::bad_version);
        CHECK(!store->get("/new").value());

        REQUIRE(store->commit({coordinator::SetData{"/a/x", "three", 0}}));
        CHECK(told.comes(Kind::node, EventType::data_changed, "/a/x"));
        REQUIRE(store->commit({persistent("/b")}));
        CHECK(told.comes(Kind::node, EventType::created, "/b"));
        REQUIRE(store->commit({coordinator::Delete{"/b"}}));
        CHECK(told.comes(Kind::node, EventType::deleted, "/b"));

        // More than fit into one request, every third one missing.
        std::vector<std::string> many;
        std::vector<coordinator::Op> ops;
        for (int i = 0; i < 250; ++i) {
            many.push_back("/a/" + std::to_string(i));
            if (i % 3 != 0) ops.push_back(coordinator::Create{many.back(), many.back()});
        }
        REQUIRE(store->commit(std::move(ops)));
        const auto each = store->get(many);
        REQUIRE(each);
        REQUIRE(each->size() == many.size());
        for (std::size_t i = 0; i < many.size(); ++i) {
            REQUIRE(each->at(i).has_value() == (i % 3 != 0));
            if (each->at(i)) REQUIRE(each->at(i)->data == many[i]);
        }
        CHECK(store->end_session());
        store->stop();
        CHECK(!store->get("/a/x"));
    }
}

TEST_CASE("who opens a store with the key of the last session owns what that one owned") {
    Place place(false);
    coordinator::SessionKey key;
    {
        const auto store = place.open();
        REQUIRE(store->commit({ephemeral("/mine")}));
        key = store->session();
    }
    const auto again = place.open(key);
    CHECK(again->session() == key);
    CHECK(again->get("/mine").value()->stat.ephemeral_owner == key.id);
    REQUIRE(again->end_session());
    const auto anew = place.open(key);
    CHECK(anew->session().id != key.id);
    CHECK(!anew->get("/mine").value());
}

TEST_CASE("a store says when the ensemble is away, back, and has lost the session") {
    Place place(false);
    Told told;
    const auto store = place.open();
    REQUIRE(store->watch({"/a"}, told.tell()));
    REQUIRE(store->commit({ephemeral("/mine")}));
    const auto before = store->session();
    place.server = nullptr;
    CHECK(told.comes(Kind::away));
    place.serve();
    CHECK(told.comes(Kind::back));
    CHECK(store->session() == before);
    REQUIRE(store->commit({persistent("/a/still")}));
    CHECK(told.comes(Kind::node, EventType::created, "/a/still"));

    place.server = nullptr;
    CHECK(told.comes(Kind::away));
    REQUIRE(place.service->close_session(before.id));
    place.serve();
    CHECK(told.comes(Kind::lost));
    CHECK(store->session().id != before.id);
    CHECK(!store->get("/mine").value());
    REQUIRE(store->commit({persistent("/a/again")}));
    CHECK(told.comes(Kind::node, EventType::created, "/a/again"));
}

TEST_CASE("an ensemble that is not there is told in one line") {
    ZookeeperStore::Settings settings;
    settings.connect = "127.0.0.1:1/kafka";
    settings.connection_timeout_ms = 50;
    settings.random = draw;
    const auto opened = ZookeeperStore::open(settings);
    REQUIRE(!opened);
    CHECK(opened.error() ==
          "no ZooKeeper at 127.0.0.1:1/kafka (zookeeper.connect) gives a session within 50 ms "
          "(zookeeper.connection.timeout.ms); start it, or leave zookeeper.connect out, and this "
          "process keeps the metadata");
    settings.connect = "a:b:c";
    CHECK(ZookeeperStore::open(settings).error().starts_with("zookeeper.connect: "));
}

TEST_CASE("what is too large for one transaction is committed in several") {
    Place place(false);
    const auto store = place.open();
    std::vector<coordinator::Op> ops;
    for (int i = 0; i < 30; ++i) {
        ops.push_back(persistent("/large/" + std::to_string(i), std::string(100'000, 'x')));
    }
    const auto done = commit_in_parts(*store, std::move(ops));
    REQUIRE_MESSAGE(done, coordinator::to_string(done.error()));
    CHECK(done->size() == 30);
    CHECK((*done)[29].path == "/large/29");
    CHECK(store->children("/large").value().size() == 30);
}
