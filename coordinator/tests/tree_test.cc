#include "coordinator/metadata/tree.h"

#include "coordinator/metadata/tree_image.h"

#include <doctest/doctest.h>

#include <functional>
#include <pthread.h>
#include <random>
#include <string>
#include <utility>
#include <vector>

using namespace coordinator;

namespace {

const Caller anyone{SessionId(0), {{"ip", "127.0.0.1"}}};

// The tree as a snapshot brings it back.
Tree reloaded(Tree& tree) {
    TreeImage image(tree);
    TreeLoader loader(image.zxid(), image.last_session(), image.sessions());
    for (const NodeImage& node : image.next(1000)) REQUIRE(loader.add(node));
    auto loaded = loader.finish();
    REQUIRE(loaded);
    return std::move(*loaded);
}

// A tree whose journal is a vector.
struct Fixture {
    Tree tree;
    std::vector<Transaction> journal;
    std::vector<Event> events;  // Of the last transaction.
    std::int64_t now_ms = 1000;

    void apply(const Transaction& transaction) {
        REQUIRE(tree.fits(transaction));
        journal.push_back(transaction);
        events = tree.apply(transaction);
    }

    base::Result<Committed, Refused> run(std::vector<Op> ops, const Caller& caller = ourselves()) {
        auto decision = tree.decide(ops, caller, now_ms);
        if (!decision) return base::Unexpected(decision.error());
        const Zxid zxid = decision->transaction.zxid;
        if (!decision->transaction.changes.empty()) apply(decision->transaction);
        return Committed{zxid, std::move(decision->results)};
    }

    // The code of one op; of a multi that of the first op that failed.
    ZkError code(std::vector<Op> ops, const Caller& caller = ourselves()) {
        const auto done = run(std::move(ops), caller);
        return done ? ZkError::ok : done.error().error;
    }

    void make(const std::string& path) { REQUIRE(run({Create{.path = path, .data = ""}})); }

    SessionId open_session() {
        apply(tree.decide_create_session(6000, Password{}, now_ms));
        return journal.back().session;
    }

    ZkError close_session(SessionId session) {
        const auto closed = tree.decide_close_session(session, now_ms);
        if (!closed) return closed.error();
        apply(*closed);
        return ZkError::ok;
    }

    Stat stat(std::string_view path) const { return tree.exists(path).value(); }

    std::vector<std::pair<EventType, std::string>> seen() const {
        std::vector<std::pair<EventType, std::string>> pairs;
        for (const Event& event : events) pairs.emplace_back(event.type, event.path);
        return pairs;
    }
};

std::pair<std::vector<SessionImage>, std::vector<NodeImage>> all_of(Tree& tree) {
    TreeImage image(tree);
    return {image.sessions(), image.next(1'000'000)};
}

Create ephemeral(const std::string& path) {
    return {.path = path, .data = "", .kind = NodeKind::ephemeral};
}

void on_small_stack(std::function<void()> work) {
    pthread_attr_t attributes;
    pthread_t thread;
    REQUIRE(pthread_attr_init(&attributes) == 0);
    REQUIRE(pthread_attr_setstacksize(&attributes, 64 << 10) == 0);
    const auto run = [](void* what) -> void* {
        (*static_cast<std::function<void()>*>(what))();
        return nullptr;
    };
    REQUIRE(pthread_create(&thread, &attributes, run, &work) == 0);
    pthread_join(thread, nullptr);
    pthread_attr_destroy(&attributes);
}

Create sequential(const std::string& path) {
    return {.path = path, .data = "", .sequential = true};
}

}  // namespace

TEST_SUITE("coordinator/metadata/tree") {
    TEST_CASE("a fresh tree is ZooKeeper's fresh tree") {
        const Tree tree;
        CHECK(tree.node_count() == 4);
        CHECK(tree.children("/")->names == std::vector<std::string>{"zookeeper"});
        CHECK(tree.exists("/")->cversion == -1);
        CHECK(tree.exists("/")->num_children == 1);
        CHECK(tree.exists("/zookeeper")->cversion == -2);
        CHECK(tree.children("/zookeeper")->names == std::vector<std::string>{"config", "quota"});
        CHECK(tree.exists("/zookeeper/config")->czxid == Zxid(0));
        CHECK(tree.get("/zookeeper/quota")->data == "");
        CHECK(tree.exists("") == tree.exists("/"));
        CHECK(tree.acl("/zookeeper/config", anyone)->first.front().permissions == permission::read);
    }

    TEST_CASE("the Stat of a node and of its parent follows ZooKeeper's rules") {
        Fixture in;
        in.make("/p");
        in.now_ms = 2000;
        const auto made = in.run({Create{.path = "/p/n", .data = "12345"}});
        REQUIRE(made);
        CHECK(made->results[0].path == "/p/n");
        const Stat expected{.czxid = made->zxid,
                            .mzxid = made->zxid,
                            .ctime = 2000,
                            .mtime = 2000,
                            .data_length = 5,
                            .pzxid = made->zxid};
        CHECK(made->results[0].stat == expected);
        CHECK(in.stat("/p/n") == expected);
        CHECK(in.stat("/p").cversion == 1);
        CHECK(in.stat("/p").pzxid == made->zxid);
        CHECK(in.stat("/p").mzxid == Zxid(1));
        CHECK(in.stat("/p").version == 0);
        CHECK(in.stat("/p").mtime == 1000);

        in.now_ms = 3000;
        const auto set = in.run({SetData{.path = "/p/n", .data = "123"}});
        REQUIRE(set);
        CHECK(set->results[0].stat == in.stat("/p/n"));
        CHECK(in.stat("/p/n").version == 1);
        CHECK(in.stat("/p/n").mzxid == set->zxid);
        CHECK(in.stat("/p/n").mtime == 3000);
        CHECK(in.stat("/p/n").data_length == 3);
        CHECK(in.stat("/p").cversion == 1);
        CHECK(in.stat("/p").pzxid == made->zxid);

        const Stat before = in.stat("/p/n");
        REQUIRE(in.run({SetAcl{.path = "/p/n"}}));
        CHECK(in.events.empty());
        Stat after = in.stat("/p/n");
        CHECK(after.aversion == 1);
        after.aversion = 0;
        CHECK(after == before);

        const auto deleted = in.run({Delete{.path = "/p/n"}});
        REQUIRE(deleted);
        CHECK(in.stat("/p").cversion == 2);
        CHECK(in.stat("/p").num_children == 0);
        CHECK(in.stat("/p").pzxid == deleted->zxid);
        CHECK(in.stat("/p").mzxid == Zxid(1));
    }

    TEST_CASE("null and empty data are two things") {
        Fixture in;
        REQUIRE(in.run({Create{.path = "/null"}, Create{.path = "/empty", .data = ""}}));
        CHECK(in.tree.get("/null")->data == std::nullopt);
        CHECK(in.tree.get("/empty")->data == "");
        CHECK(in.stat("/null").data_length == 0);
    }

    TEST_CASE("sequence numbers count all children ever created and never go back") {
        Fixture in;
        in.make("/p");
        for (const char* name : {"/p/a0", "/p/a1", "/p/a2"}) in.make(name);
        REQUIRE(in.run({Delete{.path = "/p/a0"}}));
        CHECK(in.run({sequential("/p/s-")})->results[0].path == "/p/s-0000000003");
        REQUIRE(in.run({Delete{.path = "/p/s-0000000003"}}));
        CHECK(in.run({sequential("/p/")})->results[0].path == "/p/0000000004");
        CHECK(in.run({sequential("/p/..")})->results[0].path == "/p/..0000000005");
        const auto two = in.run({sequential("/p/x"), sequential("/p/x")});
        CHECK(two->results[0].path == "/p/x0000000006");
        CHECK(two->results[1].path == "/p/x0000000007");
    }

    TEST_CASE("a refused create has the code of its first failing check") {
        Fixture in;
        const SessionId session = in.open_session();
        in.make("/t");
        REQUIRE(in.run({ephemeral("/e")}, ourselves(session)));
        REQUIRE(
            in.run({Create{.path = "/closed", .acl = {{permission::read, {"world", "anyone"}}}}}));
        const Create bad_ttl{.path = "no slash", .kind = NodeKind::ttl, .ttl_ms = 0};
        const Create long_ttl{.path = "/x", .kind = NodeKind::ttl, .ttl_ms = std::int64_t{1} << 40};
        const Create not_ttl{.path = "/x", .ttl_ms = 5};
        const Create bad_acl{.path = "/nowhere/x", .acl = {}};
        struct Case {
            Create op;
            ZkError code;
            Caller caller = anyone;
        };
        const std::vector<Case> cases{
            {bad_ttl, ZkError::bad_arguments, ourselves(SessionId(99))},
            {long_ttl, ZkError::bad_arguments},
            {not_ttl, ZkError::bad_arguments},
            {{.path = "no slash"}, ZkError::session_expired, ourselves(SessionId(99))},
            {ephemeral("/x"), ZkError::session_expired},
            {{.path = "no slash"}, ZkError::bad_arguments},
            {{.path = std::string("/a\0b", 4)}, ZkError::bad_arguments},
            {bad_acl, ZkError::invalid_acl},
            {{.path = "/nowhere/x"}, ZkError::no_node},
            {{.path = "/t//a"}, ZkError::no_node},
            {{.path = "/t/./a"}, ZkError::no_node},
            {{.path = "x/y"}, ZkError::no_node},
            {{.path = "/closed/a//"}, ZkError::no_node},
            {{.path = "/closed/."}, ZkError::no_auth},
            {{.path = "/t/"}, ZkError::bad_arguments},
            {{.path = "/t/."}, ZkError::bad_arguments},
            {{.path = "/"}, ZkError::node_exists},
            {{.path = "/t"}, ZkError::node_exists},
            {{.path = "/e/child"}, ZkError::no_children_for_ephemerals},
        };
        for (const Case& one : cases) {
            CAPTURE(one.op.path);
            CHECK(in.code({one.op}, one.caller) == one.code);
        }
    }

    TEST_CASE("refused deletes, sets and checks have the code of their first failing check") {
        Fixture in;
        in.make("/t");
        in.make("/t/full");
        in.make("/t/full/child");
        const Acl read_only{{permission::read, {"world", "anyone"}}};
        const Acl write_only{{permission::write, {"world", "anyone"}}};
        REQUIRE(in.run(
            {Create{.path = "/r", .acl = read_only}, Create{.path = "/r/n", .acl = write_only}}));
        for (const char* path : {"/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config", "x"}) {
            CAPTURE(path);
            CHECK(in.code({Delete{.path = path}}) == ZkError::bad_arguments);
        }
        CHECK(in.code({Delete{.path = "/no/where"}}, anyone) == ZkError::no_node);
        CHECK(in.code({Delete{.path = "/r/none"}}, anyone) == ZkError::no_auth);
        CHECK(in.code({Delete{.path = "/t/none"}}, anyone) == ZkError::no_node);
        CHECK(in.code({Delete{.path = "/t/full", .version = 3}}) == ZkError::bad_version);
        CHECK(in.code({Delete{.path = "/t/full", .version = 0}}) == ZkError::not_empty);

        CHECK(in.code({SetData{.path = "/t/"}}) == ZkError::bad_arguments);
        CHECK(in.code({SetData{.path = "/none", .version = 9}}) == ZkError::no_node);
        CHECK(in.code({SetData{.path = "/r", .version = 9}}, anyone) == ZkError::no_auth);
        CHECK(in.code({SetData{.path = "/r", .version = 9}}) == ZkError::bad_version);
        CHECK(in.code({SetData{.path = "/zookeeper/config"}}, anyone) == ZkError::no_auth);

        CHECK(in.code({SetAcl{.path = "/none", .acl = {}}}) == ZkError::invalid_acl);
        CHECK(in.code({SetAcl{.path = "/r"}}, anyone) == ZkError::no_auth);
        CHECK(in.code({SetAcl{.path = "/r", .version = 1}}) == ZkError::bad_version);

        CHECK(in.code({Check{.path = "/none"}}) == ZkError::no_node);
        CHECK(in.code({Check{.path = "/r/n"}}, anyone) == ZkError::no_auth);
        CHECK(in.code({Check{.path = "/t", .version = 1}}) == ZkError::bad_version);
        CHECK(in.code({Check{.path = "/t", .version = 0}}) == ZkError::ok);
        CHECK(in.code({Check{.path = "/t"}}) == ZkError::ok);
    }

    TEST_CASE("reads are refused to who lacks READ") {
        Fixture in;
        REQUIRE(in.run({Create{.path = "/w", .acl = {{permission::write, {"world", "anyone"}}}}}));
        REQUIRE(in.run({Create{.path = "/d",
                               .acl = {{permission::read, {"world", "anyone"}},
                                       {permission::all, {"digest", "u:secret"}}}}}));
        CHECK(in.tree.get("/w", anyone).error() == ZkError::no_auth);
        CHECK(in.tree.exists("/w", anyone).error() == ZkError::no_auth);
        CHECK(in.tree.children("/w", anyone).error() == ZkError::no_auth);
        CHECK(in.tree.acl("/w", anyone).error() == ZkError::no_auth);
        CHECK(in.tree.get("/none", anyone).error() == ZkError::no_node);
        CHECK(in.tree.get("/w/", anyone).error() == ZkError::no_node);
        CHECK(in.tree.acl("/d", anyone)->first[1].id.id == "u:x");
        const Caller owner{SessionId(0), {{"digest", "u:secret"}}};
        CHECK(in.tree.acl("/d", owner)->first[1].id.id == "u:secret");
    }

    TEST_CASE("a multi is all or nothing, and has one zxid") {
        Fixture in;
        in.make("/a");
        const auto refused =
            in.run({Create{.path = "/b"}, Check{.path = "/a", .version = 7}, Delete{.path = "/a"}});
        REQUIRE_FALSE(refused);
        CHECK(refused.error().error == ZkError::bad_version);
        CHECK(refused.error().at == 1);
        CHECK_FALSE(in.tree.exists("/b"));
        CHECK(in.tree.last_zxid() == Zxid(1));

        const auto done = in.run({Create{.path = "/b"}, SetData{.path = "/a", .data = "x"}});
        REQUIRE(done);
        CHECK(in.stat("/b").czxid == Zxid(2));
        CHECK(in.stat("/a").mzxid == Zxid(2));
    }

    TEST_CASE("each op of a multi sees what the ops before it did") {
        Fixture in;
        const SessionId session = in.open_session();
        const auto registered =
            in.run({ephemeral("/1"), SetData{.path = "/1", .data = "x", .version = 0}},
                   ourselves(session));
        REQUIRE(registered);
        CHECK(registered->results[0].stat.version == 0);
        CHECK(registered->results[1].stat.version == 1);
        CHECK(in.stat("/1").ephemeral_owner == session);
        CHECK(in.stat("/1").version == 1);
        CHECK(in.code({Create{.path = "/x"}, Create{.path = "/x"}}) == ZkError::node_exists);
        CHECK(in.code({Create{.path = "/x"}, Create{.path = "/x/y"}, Delete{.path = "/x"}}) ==
              ZkError::not_empty);
        CHECK(in.code({Create{.path = "/x"}, Create{.path = "/x/y"}, Delete{.path = "/x/y"},
                       Delete{.path = "/x"}}) == ZkError::ok);
        CHECK(in.code({Delete{.path = "/1"}, Check{.path = "/1"}}) == ZkError::no_node);
        CHECK(in.code({Delete{.path = "/1"}, ephemeral("/1")}, ourselves(session)) == ZkError::ok);
        CHECK(in.stat("/1").version == 0);
    }

    TEST_CASE("ops that change nothing leave no transaction") {
        Fixture in;
        in.make("/a");
        for (const auto& ops : {std::vector<Op>{}, std::vector<Op>{Check{.path = "/a"}}}) {
            const auto decision = in.tree.decide(ops, ourselves(), 0);
            REQUIRE(decision);
            CHECK(decision->transaction.changes.empty());
            CHECK(decision->results.size() == ops.size());
        }
    }

    TEST_CASE("missing parents are made with null data when we ask for it") {
        Fixture in;
        REQUIRE(in.run({Create{.path = "/brokers/topics/t", .data = "{}", .with_parents = true}}));
        CHECK(in.tree.get("/brokers")->data == std::nullopt);
        CHECK(in.tree.get("/brokers/topics/t")->data == "{}");
        CHECK(in.code({Create{.path = "/brokers/topics/t", .with_parents = true}}) ==
              ZkError::node_exists);
        CHECK(in.code({Create{.path = "/a//b", .with_parents = true}}) == ZkError::bad_arguments);
        CHECK_FALSE(in.tree.exists("/a"));
    }

    TEST_CASE("the end of a session takes its ephemerals and nobody else's") {
        Fixture in;
        const SessionId one = in.open_session();
        const SessionId two = in.open_session();
        CHECK(two > one);
        in.make("/e");
        REQUIRE(in.run({ephemeral("/e/1"), ephemeral("/e/2")}, ourselves(one)));
        REQUIRE(in.run({ephemeral("/e/3")}, ourselves(two)));
        REQUIRE(in.run({Delete{.path = "/e/2"}}, ourselves(two)));
        CHECK(in.close_session(one) == ZkError::ok);
        CHECK(in.seen() == std::vector<std::pair<EventType, std::string>>{
                               {EventType::deleted, "/e/1"}, {EventType::children_changed, "/e"}});
        CHECK(in.tree.children("/e")->names == std::vector<std::string>{"3"});
        CHECK(in.close_session(one) == ZkError::session_expired);
        CHECK(in.code({Create{.path = "/x"}}, ourselves(one)) == ZkError::session_expired);
        CHECK(in.tree.sessions().at(two).ephemerals.size() == 1);
    }

    TEST_CASE("session ids never repeat, even when the clock goes back") {
        Fixture in;
        in.now_ms = 1'795'000'000'000;
        const SessionId first = in.open_session();
        CHECK((first.value() >> 56) == 1);
        CHECK(in.close_session(first) == ZkError::ok);
        in.now_ms = 0;
        CHECK(in.open_session() == SessionId(first.value() + 1));
    }

    TEST_CASE("empty containers and childless nodes whose time is over are reaped") {
        Fixture in;
        REQUIRE(in.run({Create{.path = "/c", .kind = NodeKind::container},
                        Create{.path = "/fresh", .kind = NodeKind::container},
                        Create{.path = "/ttl", .kind = NodeKind::ttl, .ttl_ms = 100}}));
        in.make("/c/x");
        in.make("/ttl/x");
        CHECK(in.stat("/c").ephemeral_owner == SessionId(0));
        CHECK(in.stat("/ttl").ephemeral_owner == SessionId(0));
        CHECK(in.tree.decide_reap(10, 5000).changes.empty());
        REQUIRE(in.run({Delete{.path = "/c/x"}, Delete{.path = "/ttl/x"}}));
        CHECK(in.tree.decide_reap(10, 1100).changes == std::vector<Change>{NodeDeleted{"/c"}});
        CHECK(in.tree.decide_reap(1, 1101).changes.size() == 1);
        in.apply(in.tree.decide_reap(10, 1101));
        CHECK_FALSE(in.tree.exists("/c"));
        CHECK_FALSE(in.tree.exists("/ttl"));
        CHECK(in.tree.exists("/fresh"));
    }

    TEST_CASE("events come in the order in which watches fire") {
        Fixture in;
        in.make("/p");
        CHECK(in.seen() == std::vector<std::pair<EventType, std::string>>{
                               {EventType::created, "/p"}, {EventType::children_changed, "/"}});
        REQUIRE(in.run({Create{.path = "/p/n"}, SetData{.path = "/p/n"}, Delete{.path = "/p/n"}}));
        CHECK(in.seen() ==
              std::vector<std::pair<EventType, std::string>>{{EventType::created, "/p/n"},
                                                             {EventType::children_changed, "/p"},
                                                             {EventType::data_changed, "/p/n"},
                                                             {EventType::deleted, "/p/n"},
                                                             {EventType::children_changed, "/p"}});
    }

    TEST_CASE("a transaction that does not fit the state is found out before it is applied") {
        Fixture in;
        const SessionId session = in.open_session();
        in.make("/a");
        in.make("/a/b");
        const auto made = [&](std::vector<Change> changes) {
            return Transaction{in.tree.last_zxid() + std::int64_t{1}, 0, SessionId(7),
                               std::move(changes)};
        };
        const auto node = [](std::string path, NodeKind kind = NodeKind::persistent) {
            return NodeCreated{std::move(path), std::nullopt, kind, 0, open_acl()};
        };
        CHECK(
            in.tree.fits(made({node("/x"), node("/x/y"), NodeDeleted{"/x/y"}, DataSet{"/x", ""}})));
        CHECK_FALSE(in.tree.fits(made({})));
        CHECK_FALSE(in.tree.fits(made({node("/a")})));
        CHECK_FALSE(in.tree.fits(made({node("/x"), node("/x")})));
        CHECK_FALSE(in.tree.fits(made({node("/none/x")})));
        CHECK_FALSE(in.tree.fits(made({node("relative")})));
        CHECK_FALSE(in.tree.fits(made({node("/")})));
        CHECK_FALSE(in.tree.fits(made({node("/x", NodeKind::ephemeral)})));
        CHECK_FALSE(in.tree.fits(made({NodeDeleted{"/a"}})));
        CHECK_FALSE(in.tree.fits(made({NodeDeleted{"/"}})));
        CHECK_FALSE(in.tree.fits(made({NodeDeleted{""}})));
        CHECK_FALSE(in.tree.fits(made({NodeDeleted{"/none"}})));
        CHECK_FALSE(in.tree.fits(made({DataSet{"/none", ""}})));
        CHECK_FALSE(in.tree.fits(made({DataSet{"", ""}})));
        CHECK_FALSE(in.tree.fits(made({AclSet{"/none", open_acl()}})));
        CHECK_FALSE(in.tree.fits(made({SessionClosed{}})));
        CHECK_FALSE(in.tree.fits(made({SessionCreated{}})));
        CHECK_FALSE(in.tree.fits(made({SessionCreated{}, node("/x")})));
        auto gap = made({node("/x")});
        gap.zxid = gap.zxid + std::int64_t{1};
        CHECK_FALSE(in.tree.fits(gap));
        auto owned = made({node("/e", NodeKind::ephemeral)});
        owned.session = session;
        CHECK(in.tree.fits(owned));
    }

    TEST_CASE("a deep tree is counted and taken down without recursion") {
        Tree tree;
        std::string path;
        std::vector<Change> changes;
        for (int level = 0; level < 3000; ++level) {
            path += "/a";
            changes.push_back(NodeCreated{path, std::nullopt, NodeKind::persistent, 0, open_acl()});
        }
        tree.apply({Zxid(1), 0, SessionId(0), changes});
        // On a stack of 64 KiB, which 3,000 levels of recursion overrun.
        on_small_stack([&] {
            CHECK(tree.all_children_number("/a") == 2999);
            CHECK(tree.all_children_number("/") == 3003);
            tree = Tree();
        });
        CHECK_FALSE(tree.exists("/a"));
    }

    TEST_CASE("the stats of a quota follow the nodes below its path, and hard limits are kept") {
        Tree tree;
        const auto run = [&](Op op, bool enforces = true) {
            const auto decision = tree.decide({op}, ourselves(), 1, {enforces});
            if (!decision) return decision.error().error;
            tree.apply(decision->transaction);
            return ZkError::ok;
        };
        const auto make = [&](const std::string& path, const std::string& data = "") {
            return run(Create{.path = path, .data = data, .with_parents = true});
        };
        const auto stats = [&] { return *tree.get("/zookeeper/quota/a/zookeeper_stats")->data; };
        CHECK(make("/a", "12") == ZkError::ok);
        CHECK(make("/a/b", "345") == ZkError::ok);
        CHECK(make("/zookeeper/quota/a/zookeeper_limits",
                   "count=1,bytes=1=;byteHardLimit=10;countHardLimit=4") == ZkError::ok);
        CHECK(make("/zookeeper/quota/a/zookeeper_stats", "whatever") == ZkError::ok);
        CHECK(stats() == "count=2,bytes=5");
        CHECK(make("/a/c", "6") == ZkError::ok);
        CHECK(make("/ab", "not below it") == ZkError::ok);
        CHECK(stats() == "count=3,bytes=6");
        CHECK(run(SetData{.path = "/a/c", .data = "1234"}) == ZkError::ok);
        CHECK(run(Delete{.path = "/a/b"}) == ZkError::ok);
        CHECK(stats() == "count=2,bytes=6");
        CHECK(tree.exists("/zookeeper/quota/a/zookeeper_stats")->data_length == 15);
        CHECK(make("/a/d", "12345") == ZkError::quota_exceeded);
        CHECK(run(SetData{.path = "/a/c", .data = "123456789"}) == ZkError::quota_exceeded);
        CHECK(make("/a/d") == ZkError::ok);
        CHECK(make("/a/e") == ZkError::ok);
        CHECK(make("/a/f") == ZkError::quota_exceeded);
        CHECK(run(Create{.path = "/a/f"}, false) == ZkError::ok);  // Only when they are enforced.
        Tree loaded = reloaded(tree);
        CHECK(loaded.decide({Create{.path = "/a/g"}}, ourselves(), 1, {true}).error().error ==
              ZkError::quota_exceeded);
        CHECK(run(Delete{.path = "/zookeeper/quota/a/zookeeper_limits"}) == ZkError::ok);
        CHECK(make("/a/g") == ZkError::ok);
    }

    TEST_CASE("a journal replayed gives the state that wrote it") {
        Fixture live;
        std::mt19937 random(7);
        const auto draw = [&](unsigned bound) { return random() % bound; };
        std::vector<SessionId> sessions{SessionId(0)};
        const auto path = [&] {
            std::string made;
            for (unsigned i = 0; i <= draw(3); ++i) made += "/" + std::string(1, "abc"[draw(3)]);
            return made;
        };
        for (int step = 0; step < 5000; ++step) {
            live.now_ms += draw(50);
            const auto session = sessions[draw(static_cast<unsigned>(sessions.size()))];
            std::vector<Op> ops;
            for (unsigned i = 0; i < 1 + draw(3); ++i) {
                switch (draw(7)) {
                    case 0:
                    case 1:
                        ops.push_back(Create{.path = path(), .data = std::to_string(step)});
                        break;
                    case 2:
                        ops.push_back(ephemeral(path()));
                        break;
                    case 3:
                        ops.push_back(sequential(path()));
                        break;
                    case 4:
                        ops.push_back(Delete{.path = path()});
                        break;
                    case 5:
                        ops.push_back(SetData{.path = path(), .data = std::nullopt});
                        break;
                    default:
                        ops.push_back(Create{.path = path(), .kind = NodeKind::ttl, .ttl_ms = 500});
                }
            }
            static_cast<void>(live.run(ops, ourselves(session)));
            if (draw(50) == 0) sessions.push_back(live.open_session());
            if (draw(60) == 0) {
                static_cast<void>(live.close_session(sessions.back()));
                if (sessions.size() > 1) sessions.pop_back();
            }
            const auto reap = live.tree.decide_reap(3, live.now_ms);
            if (!reap.changes.empty()) live.apply(reap);
        }
        REQUIRE(live.journal.size() > 1000);

        Tree replayed;
        for (const Transaction& transaction : live.journal) replayed.apply(transaction);
        CHECK(all_of(replayed) == all_of(live.tree));
        CHECK(replayed.sessions() == live.tree.sessions());
        CHECK(replayed.last_zxid() == live.tree.last_zxid());
        CHECK(replayed.decide_create_session(1, {}, 0).session ==
              live.tree.decide_create_session(1, {}, 0).session);
    }
}
