#include "coordinator/metadata/durable_tree.h"

#include "coordinator/metadata/journal_format.h"
#include "coordinator/metadata/snapshot_format.h"
#include "coordinator/tests/metadata_fixture.h"
#include "coordinator/tests/sim_disk.h"
#include "protocol/base/crc32c.h"
#include "protocol/wire/big_endian.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <vector>

using namespace coordinator;
using storage::FaultKind;

namespace {

const std::filesystem::path directory = "/d";

std::string journal_file(std::int64_t first) {
    return (directory / numbered_name(journal_format::name_prefix, Zxid(first))).string();
}

std::string snapshot_file(std::int64_t zxid) {
    return (directory / numbered_name(snapshot_format::name_prefix, Zxid(zxid))).string();
}

// A tree on a simulated disk, and all that was ever applied to it.
struct World {
    sim::SimDisk disk;
    std::mt19937_64 random{1};
    std::vector<Transaction> history;
    std::size_t acknowledged = 0;  // How many of them.
    std::unique_ptr<DurableTree> tree;
    std::unique_ptr<SnapshotRun> snapshot;
    JournalBatch beside;         // On its way to the disk while others are applied.
    std::size_t beside_end = 0;  // Of the history.
    std::uint64_t room = 0;      // That the journal takes in advance.

    base::Result<void, storage::Fault> open() {
        const auto draw_id = [&] {
            base::Uuid id{};
            for (std::byte& byte : id) byte = static_cast<std::byte>(random());
            return id;
        };
        auto opened = DurableTree::open(disk, directory, draw_id, room);
        if (!opened) return base::Unexpected(opened.error());
        tree = std::move(*opened);
        return {};
    }

    void close() {
        beside = {};
        beside_end = 0;
        snapshot.reset();
        tree.reset();
    }

    void apply(const Transaction& transaction) {
        history.push_back(transaction);
        tree->apply(transaction);
    }

    void apply_some(std::size_t count, std::size_t data_bytes_max = 40) {
        for (; count > 0; --count) apply(drawn(tree->tree(), random, data_bytes_max));
    }

    base::Result<void, storage::Fault> commit() {
        const auto first = tree->commit(beside);
        if (!first) return first;
        acknowledged = std::max(acknowledged, beside_end);
        const auto committed = tree->commit();
        if (committed) acknowledged = history.size();
        return committed;
    }

    // Some more is applied while the disk is busy.
    base::Result<void, storage::Fault> commit_beside(std::size_t count) {
        if (beside.empty()) {
            beside = tree->take_batch();
            beside_end = history.size();
        }
        apply_some(count);
        return commit();
    }

    bool has_uncommitted() const { return !beside.empty() || tree->has_uncommitted(); }

    void write_snapshot() {
        REQUIRE(tree->roll());
        const auto run = tree->begin_snapshot();
        for (auto slice = run->take(7); !slice.empty(); slice = run->take(7)) {
            REQUIRE(run->write(slice));
        }
        REQUIRE(run->finish());
    }

    // Everything, as the files have it: taken through another start.
    base::Result<Everything, storage::Fault> reopened() {
        close();
        const auto opened = open();
        if (!opened) return base::Unexpected(opened.error());
        return everything();
    }

    Everything everything() const { return everything_of(const_cast<Tree&>(tree->tree())); }

    void flip(const std::string& file, std::size_t byte, unsigned bit) {
        auto content = disk.content(file);
        content[byte] ^= static_cast<std::byte>(1u << bit);
        disk.put(file, std::move(content));
    }
};

bool names(const storage::Fault& fault, const std::string& text) {
    return fault.detail.contains(text);
}

// ---- power loss, from a seed --------------------------------------------------------------

// Random work with crashes at random calls. After each of them what was acknowledged is
// there, and what is there is what was applied, in its order.
void crash_and_recover(std::uint64_t seed) {
    World in;
    in.random.seed(seed);
    in.disk.random.seed(seed + 1);
    const auto draw = [&](std::uint64_t bound) { return in.random() % bound; };
    std::uint64_t calls_left = 0;
    bool is_full = false;
    const auto plan_crash = [&](std::uint64_t calls_max) {
        calls_left = 1 + draw(calls_max);
        is_full = false;
        in.disk.refuse_by([&](const std::string& call) -> std::optional<FaultKind> {
            if (calls_left > 0) --calls_left;
            if (calls_left == 0) return FaultKind::io;
            const bool is_big = call == "write" || call == "reserve";
            if (is_full && (is_big || (call == "create" && draw(2) == 0))) {
                return FaultKind::no_space;
            }
            return std::nullopt;
        });
    };
    const auto crash = [&] {
        in.close();
        if (draw(3) == 0) {
            in.disk.kill_process();
        } else {
            in.disk.lose_power();
        }
    };

    const std::size_t data_bytes_max = draw(8) == 0 ? 3000 : 40;
    const std::uint64_t rooms[] = {0, 500, 10'000, 1 << 20};
    for (int life = 0; life < 4; ++life) {
        // The start itself may be cut short, and then there is another one.
        in.room = rooms[draw(std::size(rooms))];
        plan_crash(draw(3) == 0 ? 6 : 1000);
        auto opened = in.open();
        while (!opened) {
            REQUIRE_MESSAGE(calls_left == 0, opened.error().detail);
            crash();
            plan_crash(1000);
            opened = in.open();
        }
        const auto found = static_cast<std::size_t>(in.tree->tree().last_zxid().value());
        REQUIRE(found >= in.acknowledged);
        REQUIRE(found <= in.history.size());
        in.history.resize(found);
        in.acknowledged = found;
        REQUIRE(in.everything() == replayed(in.history));

        plan_crash(60);
        while (calls_left > 0) {
            switch (draw(8)) {
                case 0:
                    is_full = draw(3) == 0;
                    break;
                case 1:
                    if (!in.has_uncommitted() && !in.snapshot) {
                        if (in.tree->roll()) in.snapshot = in.tree->begin_snapshot();
                    }
                    break;
                case 2:
                    if (!in.has_uncommitted()) in.tree->mark();
                    break;
                case 3:
                case 4:
                    if (in.snapshot) {
                        const auto slice = in.snapshot->take(1 + draw(20));
                        const auto done =
                            slice.empty() ? in.snapshot->finish() : in.snapshot->write(slice);
                        if (!done) in.snapshot->abandon();
                        if (!done || slice.empty()) in.snapshot.reset();
                        break;
                    }
                    [[fallthrough]];
                default:
                    in.apply_some(1 + draw(4), data_bytes_max);
                    static_cast<void>(draw(2) == 0 ? in.commit() : in.commit_beside(draw(4)));
            }
        }
        crash();
    }
}

}  // namespace

TEST_SUITE("coordinator/metadata/durable_tree") {
    TEST_CASE("what was acknowledged survives a crash at any call, and nothing else appears") {
        // 2,000 lives of four crashes each. SEED=n runs one of them, SEEDS=n that many.
        const auto from_environment = [](const char* name, std::uint64_t otherwise) {
            const char* text = std::getenv(name);
            return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
        };
        if (std::getenv("SEED") != nullptr) {
            crash_and_recover(from_environment("SEED", 0));
            return;
        }
        const std::uint64_t seeds = from_environment("SEEDS", 2000);
        for (std::uint64_t seed = 0; seed < seeds; ++seed) {
            CAPTURE(seed);
            crash_and_recover(seed);
        }
    }

    TEST_CASE("a fresh directory is a fresh tree, and stays one") {
        World in;
        REQUIRE(in.open());
        const auto fresh = replayed({});
        CHECK(in.everything() == fresh);
        CHECK(in.disk.files() == std::vector<std::string>{journal_file(1)});
        CHECK(*in.reopened() == fresh);
        CHECK(in.tree->notes().empty());
    }

    TEST_CASE("a journal cut at any byte behind its header gives the transactions before the cut") {
        World in;
        REQUIRE(in.open());
        std::vector<std::size_t> ends{journal_format::header_bytes};
        for (int i = 0; i < 12; ++i) {
            in.apply_some(1);
            REQUIRE(in.commit());
            ends.push_back(in.disk.content(journal_file(1)).size());
        }
        const auto whole = in.disk.content(journal_file(1));
        std::vector<Everything> expected;
        for (std::size_t k = 0; k <= in.history.size(); ++k) {
            expected.push_back(
                replayed({in.history.begin(), in.history.begin() + std::ptrdiff_t(k)}));
        }
        for (std::size_t length = journal_format::header_bytes; length <= whole.size(); ++length) {
            CAPTURE(length);
            in.disk.put(journal_file(1), {whole.begin(), whole.begin() + std::ptrdiff_t(length)});
            const auto found = in.reopened();
            REQUIRE(found);
            const auto entries = std::ranges::upper_bound(ends, length) - ends.begin() - 1;
            CHECK(*found == expected[static_cast<std::size_t>(entries)]);
            CHECK(in.disk.content(journal_file(1)).size() ==
                  ends[static_cast<std::size_t>(entries)]);
        }
    }

    TEST_CASE(
        "a changed bit anywhere in a marked journal is found: nothing is ever lost in silence") {
        World in;
        REQUIRE(in.open());
        for (int i = 0; i < 8; ++i) {
            in.apply_some(2, 20);
            REQUIRE(in.commit());
        }
        const auto before_mark = in.disk.content(journal_file(1)).size();
        in.tree->close();
        const auto whole = in.disk.content(journal_file(1));
        const auto expected = in.everything();
        for (std::size_t byte = 0; byte < whole.size(); ++byte) {
            CAPTURE(byte);
            in.disk.put(journal_file(1), whole);
            in.flip(journal_file(1), byte, static_cast<unsigned>(byte % 8));
            const auto found = in.reopened();
            if (byte >= before_mark) {
                REQUIRE(found);
                CHECK(*found == expected);
            } else {
                REQUIRE_FALSE(found);
                CHECK((found.error().kind == FaultKind::corrupt ||
                       found.error().kind == FaultKind::foreign));
                CHECK(names(found.error(), journal_file(1)));
            }
        }
    }

    TEST_CASE("the refusal of a damaged journal names file, position and transaction") {
        World in;
        REQUIRE(in.open());
        std::vector<std::size_t> ends;
        for (int i = 0; i < 3; ++i) {
            in.apply_some(1);
            REQUIRE(in.commit());
            ends.push_back(in.disk.content(journal_file(1)).size());
        }
        in.flip(journal_file(1), ends[0] + 30, 3);
        const auto found = in.reopened();
        REQUIRE_FALSE(found);
        CHECK(found.error().detail == journal_file(1) + ": byte " + std::to_string(ends[0]) +
                                          ": transaction 2 is damaged, and it was acknowledged; "
                                          "restore the file from a copy");
    }

    TEST_CASE("blocks of one unsynced write that came to the disk out of order are a torn tail") {
        World in;
        REQUIRE(in.open());
        in.apply_some(1);
        REQUIRE(in.commit());
        const auto durable = in.disk.content(journal_file(1)).size();
        in.apply_some(10, 2000);
        in.disk.refuse_by([](const std::string& call) -> std::optional<FaultKind> {
            if (call == "sync") return FaultKind::io;
            return std::nullopt;
        });
        REQUIRE_FALSE(in.commit());
        in.disk.refuse_by(nullptr);
        in.flip(journal_file(1), durable + 40, 0);  // The first of the ten; the others are right.
        const auto found = in.reopened();
        REQUIRE(found);
        CHECK(found->zxid == Zxid(1));
        CHECK(in.tree->notes().size() == 1);
    }

    TEST_CASE("room for the journal is taken in advance, in steps, and given back at the end") {
        World in;
        in.room = 100'000;
        REQUIRE(in.open());
        const auto size = [&] { return in.disk.content(journal_file(1)).size(); };
        CHECK(size() == journal_format::header_bytes);
        in.apply_some(1);
        REQUIRE(in.commit());
        const auto first = size();
        CHECK(first > 64 * 1024);
        for (int i = 0; i < 10; ++i) {
            in.apply_some(1);
            REQUIRE(in.commit());
        }
        CHECK(size() == first);
        auto largest_step = first;
        for (auto before = first; before < 1'000'000; before = size()) {
            in.apply_some(5, 1000);
            REQUIRE(in.commit());
            largest_step = std::max(largest_step, size() - before);
        }
        CHECK(largest_step > 100'000);
        CHECK(largest_step < 130'000);
        CHECK(*in.reopened() == replayed(in.history));
        CHECK(in.tree->notes().empty());
        in.apply_some(3);
        REQUIRE(in.commit());
        CHECK(in.disk.content(journal_file(1)).back() == std::byte{0});
        const auto used = in.tree->journal_bytes();
        in.tree->close();
        CHECK(size() >= used);
        CHECK(size() < used + 100);
        CHECK(*in.reopened() == replayed(in.history));
    }

    TEST_CASE("in room that was taken in advance a torn tail is cut, and damage is damage") {
        World in;
        in.room = 1 << 20;
        REQUIRE(in.open());
        in.apply_some(1);
        REQUIRE(in.commit());
        const auto durable = in.tree->journal_bytes();
        in.apply_some(10, 2000);
        SUBCASE("torn, and what came first did not come to the disk") {
            in.disk.refuse_by([](const std::string& call) -> std::optional<FaultKind> {
                if (call == "sync") return FaultKind::io;
                return std::nullopt;
            });
            REQUIRE_FALSE(in.commit());
            in.disk.refuse_by(nullptr);
            auto content = in.disk.content(journal_file(1));
            std::fill_n(content.begin() + static_cast<std::ptrdiff_t>(durable), 20, std::byte{0});
            in.disk.put(journal_file(1), std::move(content));
            const auto found = in.reopened();
            REQUIRE(found);
            CHECK(found->zxid == Zxid(1));
            CHECK(in.tree->notes().size() == 1);
            CHECK(in.disk.content(journal_file(1)).size() == durable);
        }
        SUBCASE("damaged") {
            REQUIRE(in.commit());
            in.apply_some(1);
            REQUIRE(in.commit());
            in.flip(journal_file(1), durable + 40, 0);
            CHECK(names(in.reopened().error(), "transaction 2 is damaged"));
        }
    }

    TEST_CASE("a disk without room to spare takes what it has room for") {
        World in;
        in.room = 1 << 20;
        REQUIRE(in.open());
        in.disk.refuse_by([](const std::string& call) -> std::optional<FaultKind> {
            if (call == "reserve") return FaultKind::no_space;
            return std::nullopt;
        });
        in.apply_some(5);
        REQUIRE(in.commit());
        CHECK(in.disk.content(journal_file(1)).size() == in.tree->journal_bytes());
        CHECK(*in.reopened() == replayed(in.history));
    }

    TEST_CASE("what a node holds is not taken for what the journal says") {
        World in;
        REQUIRE(in.open());
        in.apply_some(1);
        REQUIRE(in.commit());
        const auto durable = in.disk.content(journal_file(1)).size();
        // A mark that says that transaction 3 was durable, as a node's data.
        std::string mark(journal_format::entry_transaction_at, '\0');
        const auto bytes = std::as_writable_bytes(std::span(mark));
        wire::store(bytes, journal_format::entry_length_at, std::uint32_t{8});
        wire::store(bytes, journal_format::entry_synced_zxid_at, std::int64_t{3});
        wire::store(bytes, journal_format::entry_crc_at,
                    base::crc32c(bytes.subspan(journal_format::entry_length_at)));
        for (const Create& create : {Create{.path = "/x"}, Create{.path = "/y", .data = mark}}) {
            const auto decision = in.tree->tree().decide({create}, ourselves(), 1);
            REQUIRE(decision);
            in.apply(decision->transaction);
        }
        in.disk.refuse_by([](const std::string& call) -> std::optional<FaultKind> {
            if (call == "sync") return FaultKind::io;
            return std::nullopt;
        });
        REQUIRE_FALSE(in.commit());
        in.disk.refuse_by(nullptr);
        in.flip(journal_file(1), durable + 40, 0);  // Of /x, so that it is a torn tail.
        const auto found = in.reopened();
        REQUIRE(found);
        CHECK(found->zxid == Zxid(1));
    }

    TEST_CASE("a snapshot and the journal since then give the same tree as the whole journal") {
        World in;
        REQUIRE(in.open());
        for (int round = 0; round < 5; ++round) {
            in.apply_some(30);
            REQUIRE(in.commit());
            in.write_snapshot();
            in.apply_some(3);
            REQUIRE(in.commit());
            CHECK(*in.reopened() == replayed(in.history));
        }
        // The newest two snapshots, and the journal since the older one.
        CHECK(in.disk.files() == std::vector<std::string>{journal_file(130), journal_file(163),
                                                          snapshot_file(129), snapshot_file(162)});
    }

    TEST_CASE("a damaged snapshot is passed over for the one before and the journal since") {
        World in;
        REQUIRE(in.open());
        for (int round = 0; round < 2; ++round) {
            in.apply_some(20);
            REQUIRE(in.commit());
            in.write_snapshot();
        }
        in.apply_some(5);
        REQUIRE(in.commit());
        const auto expected = in.everything();
        const auto newest = snapshot_file(40);
        const auto whole = in.disk.content(newest);
        for (std::size_t byte = 0; byte < whole.size(); ++byte) {
            CAPTURE(byte);
            in.disk.put(newest, whole);
            in.flip(newest, byte, static_cast<unsigned>(byte % 8));
            const auto found = in.reopened();
            const bool says_newer = !found && found.error().kind == FaultKind::foreign;
            const auto version_end = snapshot_format::version_at + sizeof(std::int32_t);
            if (says_newer) {
                CHECK((byte >= snapshot_format::version_at && byte < version_end));
            } else {
                REQUIRE(found);
                CHECK(*found == expected);
                CHECK(in.tree->notes().size() == 1);
            }
        }
        for (std::size_t length = 0; length < whole.size(); ++length) {
            CAPTURE(length);
            in.disk.put(newest, {whole.begin(), whole.begin() + std::ptrdiff_t(length)});
            const auto found = in.reopened();
            REQUIRE(found);
            CHECK(*found == expected);
        }
    }

    TEST_CASE(
        "when no snapshot is whole and the journal does not begin at the beginning, the start "
        "is refused") {
        World in;
        REQUIRE(in.open());
        for (int round = 0; round < 3; ++round) {
            in.apply_some(20);
            REQUIRE(in.commit());
            in.write_snapshot();
        }
        in.flip(snapshot_file(40), 60, 0);
        in.flip(snapshot_file(60), 60, 0);
        const auto found = in.reopened();
        REQUIRE_FALSE(found);
        CHECK(found.error().kind == FaultKind::corrupt);
        CHECK(names(found.error(), snapshot_file(40)));
        CHECK(names(found.error(), snapshot_file(60)));
    }

    TEST_CASE("a journal that is missing or was shortened behind a snapshot refuses the start") {
        const auto with_snapshots = [](World& in) {
            REQUIRE(in.open());
            for (int round = 0; round < 2; ++round) {
                in.apply_some(20);
                REQUIRE(in.commit());
                in.write_snapshot();
            }
            in.apply_some(20);
            REQUIRE(in.commit());
        };
        SUBCASE("all of it") {
            World in;
            with_snapshots(in);
            for (const auto first : {1, 21, 41}) in.disk.remove(journal_file(first));
            CHECK(names(in.reopened().error(), "no journal"));
        }
        SUBCASE("what follows the older snapshot, while the newest is damaged") {
            World in;
            with_snapshots(in);
            in.disk.remove(journal_file(21));
            in.flip(snapshot_file(40), 60, 0);
            CHECK(names(in.reopened().error(), "the journal begins with transaction 41"));
        }
        SUBCASE("one in the middle") {
            World in;
            REQUIRE(in.open());
            for (int round = 0; round < 3; ++round) {
                in.apply_some(20);
                REQUIRE(in.commit());
                REQUIRE(in.tree->roll());
            }
            in.disk.remove(journal_file(21));
            CHECK(in.reopened().error().detail ==
                  journal_file(41) +
                      ": byte 28: it begins with transaction 41, but 21 is the next");
        }
        SUBCASE("the last") {
            World in;
            with_snapshots(in);
            in.disk.remove(journal_file(41));
            auto content = in.disk.content(journal_file(21));
            content.resize(content.size() / 2);
            in.disk.put(journal_file(21), content);
            CHECK(in.reopened().error().kind == FaultKind::corrupt);
        }
    }

    TEST_CASE("files of another tree refuse the start") {
        World in;
        World other;
        other.random.seed(2);
        for (World* world : {&in, &other}) {
            REQUIRE(world->open());
            world->apply_some(20);
            REQUIRE(world->commit());
            world->write_snapshot();
        }
        in.disk.put(journal_file(21), other.disk.content(journal_file(21)));
        const auto found = in.reopened();
        REQUIRE_FALSE(found);
        CHECK(found.error().kind == FaultKind::foreign);
        CHECK(names(found.error(), journal_file(21)));
    }

    TEST_CASE("a version newer than ours refuses the start, naming file and both versions") {
        World in;
        REQUIRE(in.open());
        in.apply_some(20);
        REQUIRE(in.commit());
        in.write_snapshot();
        in.close();
        const auto with_version_7 = [&](const std::string& file, std::size_t at) {
            auto content = in.disk.content(file);
            wire::store(std::span(content), at, std::int32_t{7});
            in.disk.put(file, content);
        };
        SUBCASE("of the journal") {
            with_version_7(journal_file(21), journal_format::version_at);
            CHECK(in.open().error().detail ==
                  journal_file(21) + ": format version 7, this build knows up to 1");
        }
        SUBCASE("of a snapshot") {
            with_version_7(snapshot_file(20), snapshot_format::version_at);
            CHECK(in.open().error().detail ==
                  snapshot_file(20) + ": format version 7, this build knows up to 1");
        }
    }

    TEST_CASE("a full disk refuses a commit, and takes it when there is space again") {
        World in;
        REQUIRE(in.open());
        in.apply_some(3);
        in.disk.refuse_by([](const std::string&) { return FaultKind::no_space; });
        for (int i = 0; i < 3; ++i) {
            const auto refused = in.commit();
            REQUIRE_FALSE(refused);
            CHECK(refused.error().kind == FaultKind::no_space);
        }
        CHECK(in.tree->synced_zxid() == Zxid(0));
        in.apply_some(2);
        in.disk.refuse_by(nullptr);
        REQUIRE(in.commit());
        CHECK(*in.reopened() == replayed(in.history));
    }

    TEST_CASE("after a failed fsync nothing is ever acknowledged again") {
        World in;
        REQUIRE(in.open());
        in.apply_some(3);
        in.disk.refuse_by([](const std::string& call) -> std::optional<FaultKind> {
            if (call == "sync") return FaultKind::io;
            return std::nullopt;
        });
        REQUIRE_FALSE(in.commit());
        in.disk.refuse_by(nullptr);
        CHECK_FALSE(in.commit());
        CHECK_FALSE(in.tree->roll());
        CHECK(in.tree->synced_zxid() == Zxid(0));
    }

    TEST_CASE("a snapshot that fails leaves the journal as it was") {
        World in;
        REQUIRE(in.open());
        in.apply_some(10);
        REQUIRE(in.commit());
        REQUIRE(in.tree->roll());
        auto run = in.tree->begin_snapshot();
        in.disk.refuse_by([](const std::string&) { return FaultKind::no_space; });
        CHECK_FALSE(run->write(run->take(100)));
        in.disk.refuse_by(nullptr);
        run->abandon();
        run.reset();
        in.apply_some(10);
        REQUIRE(in.commit());
        in.write_snapshot();
        CHECK(*in.reopened() == replayed(in.history));
    }

    TEST_CASE("a snapshot waits for the disk as it goes, so that nobody waits for all of it") {
        World in;
        REQUIRE(in.open());
        for (int i = 0; i < 16; ++i) {
            const Op create = Create{"/n" + std::to_string(i), std::string(400'000, 'x')};
            const auto made = in.tree->tree().decide({create}, ourselves(), 0);
            REQUIRE(made);
            in.apply(made->transaction);
        }
        REQUIRE(in.commit());
        int writes = 0;
        int unsynced = 0;
        int unsynced_max = 0;
        in.disk.refuse_by([&](const std::string& call) -> std::optional<FaultKind> {
            if (call == "sync") unsynced = 0;
            if (call == "write") unsynced_max = std::max(++unsynced, unsynced_max), ++writes;
            return std::nullopt;
        });
        in.write_snapshot();
        in.disk.refuse_by(nullptr);
        CHECK(writes >= 16);
        CHECK(unsynced_max <= 5);
        CHECK(*in.reopened() == replayed(in.history));
    }

    TEST_CASE("a transaction comes back as it was written") {
        Transaction transaction{Zxid(9), -5, SessionId(-7), {}};
        transaction.changes = {
            NodeCreated{
                "/a", std::nullopt, NodeKind::ttl, 1, {{31, {"world", "anyone"}}, {1, {"", ""}}}},
            NodeCreated{"/b", "", NodeKind::container, 0, {}},
            NodeDeleted{"/c"},
            DataSet{"/d", std::string(100'000, '\0')},
            AclSet{"/e", {}},
            SessionCreated{-1, Password{std::byte{1}}},
            SessionClosed{}};
        for (int i = 0; i < 5000; ++i) transaction.changes.push_back(NodeDeleted{"/"});
        std::vector<std::byte> bytes;
        write(transaction, bytes);
        CHECK(read_transaction(bytes) == transaction);
        for (std::size_t length = 0; length < bytes.size(); length += 1 + length / 50) {
            CHECK_FALSE(read_transaction(std::span(bytes).first(length)));
        }
        bytes.push_back(std::byte{0});
        CHECK_FALSE(read_transaction(bytes));
        CHECK_FALSE(read_transaction(std::vector<std::byte>(40, std::byte{0xff})));
    }
}
