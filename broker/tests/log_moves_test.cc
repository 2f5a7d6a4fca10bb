// Moves of partitions between log directories: under load, through crashes, and what is refused.

#include "broker/tests/log_directories.h"
#include "storage/move_note.h"
#include "storage/names.h"

#include <doctest/doctest.h>

#include <set>

namespace {

namespace fs = std::filesystem;
using base::Offset;
using broker::LogManager;
using broker::Partition;
using protocol::ErrorCode;
using test::wait_until;

const base::TopicPartition orders{"orders", base::PartitionIndex(0)};
const base::Uuid topic_id{std::byte{1}, std::byte{2}};

constexpr double no_limit = 1e18;
// So little that a move of some KiB does not end within a test.
constexpr double a_crawl = 1;

struct Fixture : test::LogDirectories {
    Fixture() { start(); }
    ~Fixture() {
        kill();
        pool.join();
    }

    // The process starts, on what lies in the directories.
    void start() {
        auto with = settings();
        with.moved_bytes_per_second = [this] { return bytes_per_second.load(); };
        with.free_percentage = [this](const std::string& directory) {
            return full.contains(directory) ? 4.0 : 5.0;
        };
        with.free_percentage_min = 5;
        open(std::move(with));
        const auto loaded = logs->load([this](const base::TopicPartition& at) {
            return at == orders ? std::optional(std::pair(topic_id, config)) : std::nullopt;
        });
        REQUIRE(loaded);
        fault.clear();
        for (const auto& one : *loaded) {
            partition = one.partition;
            fault = one.fault;
        }
        if (loaded->empty()) {
            const auto made = logs->create(orders, topic_id, config);
            REQUIRE(made);
            partition = *made;
        }
        if (partition) partition->become_leader(base::LeaderEpoch(0));
        logs->start_keeper();
    }
    // And is gone, as by kill -9.
    void kill() {
        if (partition) partition->resign();
        partition.reset();
        logs.reset();
    }
    void stop() {
        partition->resign();
        partition.reset();
        logs->stop(1);
        logs.reset();
    }

    bool is_in(const std::string& name) const {
        return partition->directory() == scratch.file(name) / "orders-0";
    }
    // Directories of a log directory whose names end so.
    std::vector<std::string> found(const std::string& name, const std::string& suffix) const {
        std::vector<std::string> names;
        for (const auto& each : fs::directory_iterator(scratch.file(name))) {
            if (each.path().filename().string().ends_with(suffix))
                names.push_back(each.path().filename());
        }
        return names;
    }
    std::optional<LogManager::Directory::Copy> copy() const {
        for (const auto& directory : logs->directories()) {
            if (!directory.copies.empty()) return directory.copies.front();
        }
        return std::nullopt;
    }
    ErrorCode move(const std::string& to) { return logs->move(orders, partition, path(to)); }
    // And of where it was before nothing tells any more.
    void wait_until_in(const std::string& name) {
        const std::string other = name == "a" ? "b" : "a";
        wait_until([&] {
            return is_in(name) && !copy() && found(other, "orders-0").empty() &&
                   found(other, "-delete").empty() &&
                   !storage::has_move_note(storage::real_disk(), partition->directory()).value();
        });
    }

    ErrorCode add(const test::BatchOf& of = {.count = 2, .value_bytes = 400}) {
        return test::append(*partition, of);
    }
    std::vector<std::byte> contents() const {
        std::vector<std::byte> all;
        const auto positions = partition->positions();
        REQUIRE(positions);
        for (Offset from = positions->log_start; from < positions->log_end;) {
            const auto read =
                partition->read({.from = from, .bytes_max = 1, .at_least_one_batch = true});
            REQUIRE(read.error == ErrorCode::none);
            std::vector<std::byte> bytes(read.data.size());
            REQUIRE(!bytes.empty());
            REQUIRE(read.data.slice->read(0, bytes));
            const auto facts = storage::read_entry_header(bytes);
            REQUIRE(facts);
            CHECK(facts->last >= from);
            from = facts->last + 1;
            all.insert(all.end(), bytes.begin(), bytes.end());
        }
        return all;
    }
    // A move that has begun, and copied something, but not all.
    void begin_to_move() {
        bytes_per_second = a_crawl;
        for (int i = 0; i < 100; ++i) REQUIRE(add() == ErrorCode::none);
        REQUIRE(move("b") == ErrorCode::none);
        wait_until([&] { return copy() && copy()->bytes > 0; });
        REQUIRE(is_in("a"));
    }

    std::atomic<double> bytes_per_second = no_limit;
    std::set<std::string> full;  // Directories that have too little room for new partitions.
    storage::LogConfig config{.segment_bytes = 20'000, .retention_ms = -1};
    std::shared_ptr<Partition> partition;
    std::string fault;
};

}  // namespace

TEST_CASE("a partition moves while it is written to, and nothing is lost or out of order") {
    Fixture in;
    for (int i = 0; i < 200; ++i) REQUIRE(in.add() == ErrorCode::none);
    REQUIRE(in.move("b") == ErrorCode::none);
    std::int64_t acknowledged = 400;
    // A busy disk may take long over it: no more than is read again in a moment.
    constexpr std::int64_t acknowledged_max = 40'000;
    for (bool is_there = false; !is_there && acknowledged < acknowledged_max; acknowledged += 2) {
        is_there = in.is_in("b");
        REQUIRE(in.add() == ErrorCode::none);
    }
    in.wait_until_in("b");
    CHECK(in.partition->positions()->log_end == Offset(acknowledged));
    const auto contents = in.contents();
    in.kill();
    in.start();
    CHECK(in.is_in("b"));
    CHECK(in.contents() == contents);
    CHECK(in.add() == ErrorCode::none);
    in.stop();
    in.start();
    CHECK(in.partition->positions()->log_end == Offset(acknowledged + 2));
}

TEST_CASE("a copy stands in a directory of Kafka's name, and lags behind") {
    Fixture in;
    in.begin_to_move();
    const auto names = in.found("b", "-future");
    REQUIRE(names.size() == 1);
    CHECK(storage::parse_directory_name(names[0]).kind == storage::DirectoryKind::future);
    CHECK(storage::parse_directory_name(names[0]).at == orders);
    const auto copy = in.copy();
    REQUIRE(copy);
    CHECK(copy->at == orders);
    CHECK(copy->lag > 0);
    CHECK(copy->lag < 200);
    CHECK(in.logs->directories().at(1).copies.size() == 1);
    CHECK(in.logs->directories().at(1).partitions.empty());
}

TEST_CASE("a move that a kill interrupts goes on where it was") {
    Fixture in;
    in.begin_to_move();
    const auto contents = in.contents();
    const auto names = in.found("b", "-future");
    const auto copied = in.copy()->bytes;
    in.kill();
    in.start();
    CHECK(in.found("b", "-future") == names);
    REQUIRE(in.copy());
    CHECK(in.copy()->bytes >= copied);
    in.bytes_per_second = no_limit;
    in.kill();  // The mover sleeps until its slow piece is paid for.
    in.start();
    in.wait_until_in("b");
    CHECK(in.contents() == contents);
}

TEST_CASE("a move that a clean stop interrupts goes on where it was") {
    Fixture in;
    in.begin_to_move();
    const auto contents = in.contents();
    const auto names = in.found("b", "-future");
    in.bytes_per_second = no_limit;
    in.stop();
    in.start();
    in.wait_until_in("b");
    CHECK(in.contents() == contents);
    wait_until(
        [&] { return in.found("a", "-delete").empty() && in.found("b", "-delete").empty(); });
}

TEST_CASE("a copy that is not the beginning of the log is made anew") {
    Fixture in;
    in.begin_to_move();
    const auto contents = in.contents();
    const auto names = in.found("b", "-future");
    REQUIRE(names.size() == 1);
    in.kill();
    {
        storage::FileCache files(storage::real_disk(), 10);
        auto log =
            storage::Log::open(storage::real_disk(), files,
                               {.directory = in.scratch.file("b") / names[0], .config = in.config});
        REQUIRE(log);
        auto stranger = test::batch({.count = 1, .key = "stranger"});
        REQUIRE((*log)->append({stranger, storage::Origin::client, base::LeaderEpoch(0)}, 1000));
    }
    in.start();
    CHECK(in.found("b", "-future") != names);
    in.bytes_per_second = no_limit;
    in.kill();
    in.start();
    in.wait_until_in("b");
    CHECK(in.contents() == contents);
}

TEST_CASE("a copy of a log that was compacted since is made anew") {
    Fixture in;
    in.config.compacts = true;
    in.kill();
    in.start();
    in.begin_to_move();
    const auto names = in.found("b", "-future");
    REQUIRE(names.size() == 1);
    in.kill();
    REQUIRE(
        storage::write_move_note(storage::real_disk(), in.scratch.file("b") / names[0], Offset(3)));
    in.start();
    CHECK(in.found("b", "-future") != names);
}

TEST_CASE("a crash between the two renames leaves one partition, where it moved to") {
    Fixture in;
    for (int i = 0; i < 10; ++i) REQUIRE(in.add() == ErrorCode::none);
    const auto contents = in.contents();
    in.kill();
    fs::copy(in.scratch.file("a") / "orders-0", in.scratch.file("b") / "orders-0",
             fs::copy_options::recursive);
    SUBCASE("it has a note") {
        REQUIRE(storage::write_move_note(storage::real_disk(), in.scratch.file("b") / "orders-0",
                                         Offset(0)));
        in.start();
        CHECK(in.is_in("b"));
        CHECK(in.contents() == contents);
        CHECK(in.found("a", "orders-0").empty());
        CHECK(!storage::has_move_note(storage::real_disk(), in.partition->directory()).value());
    }
    SUBCASE("without a note nobody knows which is right, and nothing is deleted") {
        in.start();
        CHECK(!in.partition);
        CHECK(in.fault.contains("is not served until one of the two directories is taken away"));
        CHECK(in.found("a", "orders-0").size() == 1);
        CHECK(in.found("b", "orders-0").size() == 1);
        in.kill();
        fs::remove_all(in.scratch.file("a") / "orders-0");
        in.start();
        CHECK(in.contents() == contents);
    }
}

TEST_CASE("a copy of a partition that is in no log directory is set aside") {
    Fixture in;
    in.begin_to_move();
    in.kill();
    fs::remove_all(in.scratch.file("a") / "orders-0");
    in.start();
    CHECK(in.found("b", "-future").empty());
    CHECK(in.found("b", "-stray").size() == 1);
}

TEST_CASE("where a log begins, and whose batches it has, goes with it") {
    Fixture in;
    REQUIRE(in.add({.count = 5, .producer = 9, .sequence = 0}) == ErrorCode::none);
    for (int i = 0; i < 100; ++i) REQUIRE(in.add() == ErrorCode::none);
    REQUIRE(in.partition->delete_records(Offset(3)).has_value());
    REQUIRE(in.move("b") == ErrorCode::none);
    in.wait_until_in("b");
    const auto again = [&] {
        CHECK(in.partition->positions()->log_start == Offset(3));
        const auto end = in.partition->positions()->log_end;
        CHECK(in.add({.count = 5, .producer = 9, .sequence = 0}) == ErrorCode::none);
        CHECK(in.partition->positions()->log_end == end);
        CHECK(in.add({.count = 1, .producer = 9, .sequence = 7}) ==
              ErrorCode::out_of_order_sequence_number);
    };
    again();
    in.kill();
    in.start();
    REQUIRE(in.is_in("b"));
    again();
}

TEST_CASE("a partition moves there and back") {
    Fixture in;
    for (int i = 0; i < 50; ++i) REQUIRE(in.add() == ErrorCode::none);
    const auto contents = in.contents();
    for (const auto* to : {"b", "a", "b"}) {
        REQUIRE(in.move(to) == ErrorCode::none);
        in.wait_until_in(to);
        CHECK(in.contents() == contents);
    }
    in.kill();
    in.start();
    CHECK(in.contents() == contents);
}

TEST_CASE("a move to where the partition is ends the one that is under way") {
    Fixture in;
    in.begin_to_move();
    CHECK(in.move("b") == ErrorCode::none);  // It goes there already.
    REQUIRE(in.copy());
    CHECK(in.move("a") == ErrorCode::none);
    CHECK(!in.copy());
    CHECK(in.found("b", "-future").empty());
    CHECK(in.is_in("a"));
}

TEST_CASE("a partition that is deleted takes its copy along") {
    Fixture in;
    in.begin_to_move();
    in.partition->resign();
    in.logs->retire(in.partition, topic_id);
    CHECK(in.found("b", "-future").empty());
    CHECK(in.found("a", "orders-0").empty());
    wait_until(
        [&] { return in.found("a", "-delete").empty() && in.found("b", "-delete").empty(); });
}

TEST_CASE("a directory that nobody configured, and a partition that is not there, are refused") {
    Fixture in;
    CHECK(in.move("c") == ErrorCode::log_dir_not_found);
    CHECK(in.logs->move(orders, in.partition, "b") == ErrorCode::log_dir_not_found);
    const base::TopicPartition later{"later", base::PartitionIndex(4)};
    CHECK(in.logs->move(later, nullptr, in.path("b")) == ErrorCode::replica_not_available);
    CHECK(in.logs->move({std::string(240, 't'), base::PartitionIndex(0)}, nullptr, in.path("b")) ==
          ErrorCode::invalid_topic_exception);
    // But it is made where it was wished.
    for (std::int32_t i = 0; i < 3; ++i)
        REQUIRE(in.logs->create({"fill", base::PartitionIndex(i)}, topic_id, {}));
    for (const auto* wish : {"b", "a"}) {
        CHECK(in.logs->move(later, nullptr, in.path(wish)) == ErrorCode::replica_not_available);
        const auto made = in.logs->create(later, topic_id, {});
        REQUIRE(made);
        CHECK((*made)->directory().parent_path() == in.path(wish));
        in.logs->retire(*made, topic_id);
    }
}

TEST_CASE("a nearly full directory gets new partitions only when no other has room") {
    Fixture in;
    CHECK(in.logs->has_room());
    int index = 0;
    const auto directory_of_next = [&] {
        const auto made = in.logs->create({"next", base::PartitionIndex(index++)}, topic_id, {});
        REQUIRE(made);
        return (*made)->directory().parent_path();
    };
    // The other one has fewer, but is nearly full.
    const std::string taken = in.partition->directory().parent_path();
    const std::string other = taken == in.path("a") ? in.path("b") : in.path("a");
    in.full = {other};
    CHECK(in.logs->has_room());
    CHECK(directory_of_next() == taken);
    CHECK(directory_of_next() == taken);
    // What the cluster has decided is made in any case.
    in.full = {taken, other};
    CHECK(!in.logs->has_room());
    CHECK(directory_of_next() == other);
    in.full.clear();
    CHECK(in.logs->has_room());
    CHECK(directory_of_next() == other);
}
