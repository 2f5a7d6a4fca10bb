#include "coordinator/metadata/service.h"

#include "coordinator/tests/gate.h"
#include "coordinator/tests/sim_disk.h"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace coordinator;
using storage::FaultKind;

namespace {

// A service on a simulated disk, with clocks that the test moves.
struct Fixture {
    sim::SimDisk disk;
    std::atomic<std::int64_t> now_ms{1'000'000};
    std::vector<std::string> failures;
    std::vector<std::string> lines;
    MetadataService::Settings settings;
    std::unique_ptr<MetadataService> service;

    Fixture() {
        settings.disk = &disk;
        settings.directory = "/d";
        settings.wall_ms = [this] { return now_ms.load(); };
        settings.monotonic_ms = [this] { return now_ms.load(); };
        settings.random = [n = 0](std::span<std::byte> bytes) mutable {
            for (std::byte& byte : bytes) byte = static_cast<std::byte>(++n);
        };
        settings.on_failure = [this](std::string why) { failures.push_back(std::move(why)); };
        settings.log = [this](std::string line) { lines.push_back(std::move(line)); };
        settings.full_disk_retry_ms = 1;
    }

    void start() {
        auto started = MetadataService::start(settings);
        REQUIRE(started);
        service = std::move(*started);
    }

    void restart() {
        service.reset();
        start();
    }

    ZkError run(std::vector<Op> ops, SessionId session = SessionId(0)) {
        const auto done = service->submit_and_wait(std::move(ops), ourselves(session));
        return done ? ZkError::ok : done.error().error;
    }

    ZkError make(const std::string& path) { return run({Create{.path = path, .data = path}}); }

    bool has(const std::string& path) {
        const auto there =
            service->read([&](const Tree& tree) { return tree.exists(path).has_value(); });
        return there && *there;
    }

    // What was submitted is decided, and handed to the journal: that happens round by round.
    void decide() {
        for (int round = 0; round < 2; ++round) {
            std::promise<void> had_its_turn;
            service->take_turn(WatcherId(0), [&](Turn&) { had_its_turn.set_value(); }, [](bool) {});
            had_its_turn.get_future().wait();
        }
    }

    // The service has worked off its queue, and looked at its clock.
    void settle() { CHECK(run({}) == ZkError::ok); }
};

}  // namespace

TEST_SUITE("coordinator/metadata/service") {
    TEST_CASE("what was answered is there after a kill, and after a power loss") {
        Fixture in;
        in.start();
        CHECK(in.make("/a") == ZkError::ok);
        CHECK(in.make("/a") == ZkError::node_exists);
        CHECK(in.make("/none/b") == ZkError::no_node);
        in.restart();
        CHECK(in.has("/a"));
        CHECK(in.make("/b") == ZkError::ok);
        in.service.reset();
        in.disk.lose_power();
        in.start();
        CHECK(in.has("/a"));
        CHECK(in.has("/b"));
        const auto data = [](const Tree& tree) { return tree.get("/b")->data; };
        CHECK(in.service->read(data).value() == "/b");
    }

    TEST_CASE("one fsync serves everything that waits") {
        Fixture in;
        in.start();
        test::Gate gate;
        std::atomic<int> syncs = 0;
        in.disk.refuse_by([&](const std::string& call) -> std::optional<FaultKind> {
            if (call == "sync" && ++syncs == 1) gate.pass();
            return std::nullopt;
        });
        std::vector<Zxid> zxids;  // Written on the service thread only, read when it is done.
        std::promise<void> all;
        const auto answered = [&](const base::Result<Committed, Refused>& done) {
            zxids.push_back(done.value().zxid);
            if (zxids.size() == 101) all.set_value();
        };
        in.service->submit({Create{.path = "/first"}}, ourselves(), answered);
        gate.await_one();
        for (int i = 0; i < 100; ++i) {
            in.service->submit({Create{.path = "/" + std::to_string(i)}}, ourselves(), answered);
        }
        in.decide();
        gate.open();
        all.get_future().wait();
        CHECK(syncs == 2);
        CHECK(std::ranges::is_sorted(zxids));
        CHECK(zxids.back() == Zxid(101));
        in.service.reset();
    }

    TEST_CASE("nobody is shown what is not durable: no answer, no follower, no read") {
        Fixture in;
        in.start();
        std::atomic<int> shown = 0;
        in.service->subscribe({[](const Tree&) {}, [&](auto) { ++shown; }});
        test::Gate gate;
        in.disk.refuse_by([&](const std::string& call) -> std::optional<FaultKind> {
            if (call == "sync") gate.pass();
            return std::nullopt;
        });
        in.service->submit({Create{.path = "/a"}}, ourselves(), [&](const auto&) { ++shown; });
        gate.await_one();
        std::thread reader([&] {
            CHECK(in.has("/a"));
            ++shown;
        });
        CHECK(shown == 0);
        gate.open();
        reader.join();
        in.settle();
        CHECK(shown == 3);
        in.service.reset();
    }

    TEST_CASE("a refusal that shows a write is answered when that write is durable") {
        Fixture in;
        in.start();
        std::atomic<bool> synced = false;
        in.disk.refuse_by([&](const std::string& call) -> std::optional<FaultKind> {
            if (call == "sync") synced = true;
            return std::nullopt;
        });
        std::promise<bool> answered;
        in.service->submit({Create{.path = "/a"}}, ourselves(), [](const auto&) {});
        in.service->submit({Create{.path = "/a"}}, ourselves(), [&](const auto& done) {
            answered.set_value(!done && done.error().error == ZkError::node_exists && synced);
        });
        CHECK(answered.get_future().get());
        in.service.reset();
    }

    TEST_CASE(
        "after a failed fsync everything is answered with connection_loss, and it is said once") {
        Fixture in;
        in.start();
        CHECK(in.make("/before") == ZkError::ok);
        // Once: another try would succeed, and prove nothing.
        in.disk.refuse_by(
            [failed = false](const std::string& call) mutable -> std::optional<FaultKind> {
                if (call == "sync" && !std::exchange(failed, true)) return FaultKind::io;
                return std::nullopt;
            });
        CHECK(in.make("/lost") == ZkError::connection_loss);
        in.disk.refuse_by(nullptr);
        CHECK(in.make("/later") == ZkError::connection_loss);
        CHECK(in.run({}) == ZkError::connection_loss);
        CHECK(in.service->read([](const Tree&) { return 0; }).error() == ZkError::connection_loss);
        CHECK(in.service->open_session(6000).error() == ZkError::connection_loss);
        in.service.reset();  // Who waits is told first, and then whose service it is.
        CHECK(in.failures.size() == 1);
        in.disk.lose_power();
        in.start();
        CHECK(in.has("/before"));
        CHECK_FALSE(in.has("/later"));
    }

    TEST_CASE("on a full disk answers wait until there is space") {
        Fixture in;
        in.start();
        std::atomic<int> tries = 0;
        in.disk.refuse_by([&](const std::string& call) -> std::optional<FaultKind> {
            if (call == "write" && ++tries <= 3) return FaultKind::no_space;
            return std::nullopt;
        });
        CHECK(in.make("/a") == ZkError::ok);
        CHECK(tries > 3);
        CHECK(in.lines.size() == 2);
        CHECK(in.failures.empty());
        in.restart();
        CHECK(in.has("/a"));
        in.service.reset();
    }

    TEST_CASE("a follower starts with the whole tree and misses nothing after it") {
        Fixture in;
        in.start();
        CHECK(in.make("/a") == ZkError::ok);
        std::vector<std::string> seen;
        std::vector<NodeChange> changes;
        const auto session = in.service->open_session(6000);
        REQUIRE(session);
        in.service->subscribe({[&](const Tree& tree) { seen = tree.children("/")->names; },
                               [&](std::span<const NodeChange> more) {
                                   changes.insert(changes.end(), more.begin(), more.end());
                               }});
        CHECK(seen == std::vector<std::string>{"a", "zookeeper"});
        CHECK(in.run({Create{.path = "/e", .kind = NodeKind::ephemeral},
                      SetData{.path = "/e", .data = "x"}},
                     session->id) == ZkError::ok);
        CHECK(in.run({SetData{.path = "/a", .data = "new"}}) == ZkError::ok);
        CHECK(in.run({Create{.path = "/t"}, Delete{.path = "/t"}}) == ZkError::ok);
        CHECK(in.service->close_session(session->id));
        REQUIRE(changes.size() == 5);
        CHECK(changes[0].type == EventType::created);
        CHECK(changes[0].path == "/e");
        CHECK(changes[0].data == "x");
        CHECK(changes[0].version == 1);
        CHECK(changes[0].czxid == Zxid(3));
        CHECK(changes[0].ephemeral_owner == session->id);
        CHECK(changes[1].type == EventType::data_changed);
        CHECK(changes[2].path == "/a");
        CHECK(changes[2].data == "new");
        CHECK(changes[2].czxid == Zxid(1));
        CHECK(changes[3].type == EventType::deleted);
        CHECK(changes[3].path == "/t");
        CHECK(changes[4].type == EventType::deleted);
        CHECK(changes[4].path == "/e");
        CHECK(changes[4].zxid == Zxid(6));
        in.service.reset();
    }

    TEST_CASE("a follower has seen a write when it is answered") {
        Fixture in;
        in.start();
        std::atomic<int> seen = 0;
        in.service->subscribe({[](const Tree&) {}, [&](auto) { ++seen; }});
        for (int i = 1; i <= 50; ++i) {
            CHECK(in.make("/" + std::to_string(i)) == ZkError::ok);
            CHECK(seen == i);
        }
        in.service.reset();
    }

    TEST_CASE("a session is resumed with its password only, and its ephemerals live on") {
        Fixture in;
        in.start();
        const auto key = in.service->open_session(6000);
        REQUIRE(key);
        CHECK(in.run({Create{.path = "/e", .kind = NodeKind::ephemeral}}, key->id) == ZkError::ok);
        in.restart();
        auto wrong = *key;
        wrong.password[0] ^= std::byte{1};
        CHECK(in.service->resume_session(wrong).error() == ZkError::session_expired);
        CHECK(in.service->resume_session({SessionId(5), key->password}).error() ==
              ZkError::session_expired);
        CHECK(in.service->resume_session(*key));
        // Attached, it does not end, however long nothing is heard of it.
        for (int i = 0; i < 10; ++i) {
            in.now_ms += 2000;
            in.settle();
        }
        CHECK(in.has("/e"));
        in.service->detach_session(key->id);
        for (int i = 0; i < 5; ++i) {
            in.now_ms += 2000;
            in.settle();
        }
        CHECK_FALSE(in.has("/e"));
        CHECK(in.service->resume_session(*key).error() == ZkError::session_expired);
    }

    TEST_CASE("a session that nobody resumes after a restart ends after its time-out, not before") {
        Fixture in;
        in.start();
        const auto key = in.service->open_session(6000);
        CHECK(in.run({Create{.path = "/e", .kind = NodeKind::ephemeral}}, key->id) == ZkError::ok);
        in.now_ms += 5000;
        in.restart();
        for (int i = 0; i < 3; ++i) {
            in.now_ms += 2000;
            in.settle();
            CHECK(in.has("/e"));
        }
        in.now_ms += 2000;
        in.settle();
        CHECK_FALSE(in.has("/e"));
    }

    TEST_CASE("time-outs are clamped, sessions closed are gone") {
        Fixture in;
        in.start();
        const auto key = in.service->open_session(1);
        const auto timeout_ms = [&] {
            return in.service
                ->read([&](const Tree& tree) { return tree.sessions().at(key->id).timeout_ms; })
                .value();
        };
        CHECK(timeout_ms() == 4000);
        CHECK(in.service->close_session(key->id));
        CHECK(in.service->close_session(key->id).error() == ZkError::session_expired);
    }

    TEST_CASE("empty containers are reaped once a minute") {
        Fixture in;
        in.start();
        CHECK(in.run({Create{.path = "/c", .kind = NodeKind::container}, Create{.path = "/c/x"},
                      Delete{.path = "/c/x"}}) == ZkError::ok);
        in.now_ms += 59'000;
        in.settle();
        CHECK(in.has("/c"));
        in.now_ms += 1000;
        in.settle();
        CHECK_FALSE(in.has("/c"));
    }

    TEST_CASE("the journal may have a directory of its own, and snapshots come by transactions") {
        Fixture in;
        in.settings.journal_directory = "/j";
        in.settings.snapshot_every_transactions = 10;
        in.settings.snapshots_kept = 0;
        in.start();
        const auto has_snapshot = [&] {
            return std::ranges::any_of(in.disk.files(), [](const std::string& file) {
                return file.starts_with("/d/milena-metadata-snapshot.0");
            });
        };
        int made = 0;
        while (!has_snapshot()) CHECK(in.make("/n" + std::to_string(made++)) == ZkError::ok);
        CHECK(made >= 10);
        in.restart();
        CHECK(in.has("/n0"));
        CHECK(in.has("/n" + std::to_string(made - 1)));
        const auto files = in.disk.files();
        CHECK(std::ranges::count(files, "/j/milena-metadata-journal.00000000000000000001") == 1);
        CHECK(std::ranges::none_of(files, [](const std::string& file) {
            return file.starts_with("/d/milena-metadata-journal.0");
        }));
    }

    TEST_CASE("a directory serves one service at a time") {
        Fixture in;
        in.start();
        const auto second = MetadataService::start(in.settings);
        REQUIRE_FALSE(second);
        CHECK(second.error().contains("in use by another process"));
        CHECK(second.error().contains("/d"));
    }

    TEST_CASE("the same on the machine's own disk") {
        char made[] = "/tmp/milena-service-test-XXXXXX";
        REQUIRE(mkdtemp(made) != nullptr);
        Fixture in;
        in.settings.disk = &storage::real_disk();
        in.settings.directory = made;
        in.settings.snapshot_every_bytes = 5000;
        in.start();
        CHECK(MetadataService::start(in.settings).error().contains("in use by another process"));
        for (int i = 0; i < 50; ++i) CHECK(in.make("/" + std::to_string(i)) == ZkError::ok);
        const auto key = in.service->open_session(6000);
        REQUIRE(key);
        in.restart();
        for (int i = 0; i < 50; ++i) CHECK(in.has("/" + std::to_string(i)));
        CHECK(in.service->resume_session(*key));
        in.service.reset();
        std::filesystem::remove_all(made);
    }

    TEST_CASE("a damaged journal refuses the start with its file") {
        Fixture in;
        in.start();
        CHECK(in.make("/a") == ZkError::ok);
        in.service.reset();
        std::string journal;
        for (const auto& file : in.disk.files()) {
            if (file.ends_with("1")) journal = file;
        }
        auto content = in.disk.content(journal);
        content[60] ^= std::byte{1};
        in.disk.put(journal, content);
        const auto refused = MetadataService::start(in.settings);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().contains(journal + ": byte 40"));
    }

    TEST_CASE("transactions that are too long are refused") {
        Fixture in;
        in.start();
        std::vector<Op> ops;
        for (int i = 0; i < 17; ++i) {
            ops.push_back(
                Create{.path = "/" + std::to_string(i), .data = std::string(1 << 20, 'x')});
        }
        CHECK(in.run(ops) == ZkError::marshalling_error);
        std::string deep;
        for (int i = 0; i < 10'000; ++i) deep += "/a";
        CHECK(in.run({Create{.path = deep, .with_parents = true}}) == ZkError::marshalling_error);
    }

    TEST_CASE("snapshots are taken beside many writers, and nothing is lost") {
        Fixture in;
        in.settings.snapshot_every_bytes = 20'000;
        in.start();
        CHECK(in.make("/n") == ZkError::ok);
        std::vector<std::thread> writers;
        for (int writer = 0; writer < 4; ++writer) {
            writers.emplace_back([&, writer] {
                for (int i = 0; i < 300; ++i) {
                    const auto path = "/n/" + std::to_string(writer) + "-" + std::to_string(i);
                    CHECK(in.make(path) == ZkError::ok);
                    CHECK(in.has(path));
                    if (i % 3 == 0) CHECK(in.run({Delete{.path = path}}) == ZkError::ok);
                }
            });
        }
        for (auto& writer : writers) writer.join();
        const auto count = [&] {
            return in.service
                ->read([](const Tree& tree) { return tree.children("/n")->names.size(); })
                .value();
        };
        CHECK(count() == 800);
        // More was written than a snapshot is due for: one is on its way at least.
        const auto has_snapshot = [&] {
            return std::ranges::any_of(in.disk.files(), [](const auto& file) {
                return file.contains("milena-metadata-snapshot.0");
            });
        };
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(300);
        while (!has_snapshot()) {
            REQUIRE(std::chrono::steady_clock::now() < deadline);
            std::this_thread::yield();
        }
        in.service.reset();
        in.start();
        CHECK(count() == 800);
        CHECK(in.lines.empty());
    }

    TEST_CASE("what is submitted before stop is answered, what comes after is refused") {
        Fixture in;
        in.start();
        std::atomic<int> done = 0;
        std::atomic<int> lost = 0;
        const auto count = [&](const base::Result<Committed, Refused>& result) {
            ++(result ? done : lost);
        };
        for (int i = 0; i < 100; ++i) {
            in.service->submit({Create{.path = "/" + std::to_string(i)}}, ourselves(), count);
        }
        in.service->stop();
        CHECK(done == 100);
        in.service->submit({Create{.path = "/x"}}, ourselves(), count);
        CHECK(lost == 1);
        CHECK(in.service->read([](const Tree&) { return 0; }).error() == ZkError::connection_loss);
    }
}
