// The small files and names of a log directory.

#include "storage/checkpoint.h"
#include "storage/flusher.h"
#include "storage/index.h"
#include "storage/names.h"
#include "storage/no_wait.h"
#include "storage/tests/eviction.h"
#include "storage/tests/scratch.h"
#include "storage/tests/simulated_disk.h"

#include <doctest/doctest.h>

#include <limits>

using base::LeaderEpoch;
using base::Offset;
using base::PartitionIndex;
using base::TopicPartition;
using storage::DirectoryKind;
using storage::FaultKind;

namespace {

struct Fixture {
    Fixture() {
        REQUIRE(disk.make_directory("/logs"));
        disk.settle();
    }
    void put(const std::string& text) {
        const auto opened = *disk.open(file, storage::OpenMode::create);
        REQUIRE(opened->truncate(0));
        REQUIRE(opened->write(0, std::as_bytes(std::span(text))));
    }
    std::string text() {
        std::string all;
        for (const std::byte byte : disk.bytes_of(file)) all += static_cast<char>(byte);
        return all;
    }

    test::SimulatedDisk disk;
    std::filesystem::path file = "/logs/file";
};

}  // namespace

TEST_SUITE("storage/files") {
    TEST_CASE("a directory name is the topic and the number behind its last dash") {
        const auto name = storage::parse_directory_name("my-topic.x_1-12");
        CHECK(name.kind == DirectoryKind::partition);
        CHECK(name.at == TopicPartition{"my-topic.x_1", PartitionIndex(12)});
        CHECK(storage::directory_name(name.at) == "my-topic.x_1-12");
    }

    TEST_CASE("directories that are no partitions are told apart") {
        const auto kind = [](std::string_view name) {
            return storage::parse_directory_name(name).kind;
        };
        CHECK(kind("orders-3.0123456789abcdef0123456789abcdef-delete") == DirectoryKind::deleted);
        CHECK(kind("orders-3.0123456789abcdef0123456789abcdef-future") == DirectoryKind::future);
        CHECK(kind("orders-3.0123456789abcdef0123456789abcdef-stray") == DirectoryKind::stray);
        CHECK(kind("__cluster_metadata-0") == DirectoryKind::metadata);
        CHECK(kind("remote-log-index-cache") == DirectoryKind::metadata);
        CHECK(kind("__consumer_offsets-49") == DirectoryKind::partition);
        for (const auto* const name :
             {"lost+found", "orders", "orders-", "-3", "orders-x", "orders-03", "orders--1x",
              "a b-1", "..-1", "orders-99999999999"}) {
            CAPTURE(name);
            CHECK(kind(name) == DirectoryKind::unknown);
        }
    }

    TEST_CASE("the directory of a deleted partition is never too long for a file system") {
        const TopicPartition at{std::string(249, 't'), PartitionIndex(1234)};
        base::Uuid id{};
        id[0] = std::byte{0xab};
        const auto name = storage::directory_name(at, DirectoryKind::deleted, id);
        CHECK(name.size() == 255);
        CHECK(name.ends_with("-1234.ab000000000000000000000000000000-delete"));
        CHECK(storage::parse_directory_name(name).kind == DirectoryKind::deleted);
        const auto brief =
            storage::directory_name({"orders", PartitionIndex(3)}, DirectoryKind::stray, id);
        CHECK(brief == "orders-3.ab000000000000000000000000000000-stray");
        CHECK(storage::parse_directory_name(brief).at ==
              TopicPartition{"orders", PartitionIndex(3)});
    }

    TEST_CASE("a topic's name holds what Kafka allows") {
        CHECK(storage::is_topic_name("a"));
        CHECK(storage::is_topic_name(std::string(249, 'x')));
        CHECK(storage::is_topic_name("A-b.c_0"));
        for (const std::string& name :
             {std::string(), std::string(250, 'x'), std::string("."), std::string(".."),
              std::string("../etc"), std::string("a/b"), std::string("a b"), std::string("ä")}) {
            CHECK_FALSE(storage::is_topic_name(name));
        }
    }

    TEST_CASE("file names carry twenty digits") {
        CHECK(storage::file_name(Offset(1840), ".log") == "00000000000000001840.log");
        const auto name = storage::parse_file_name("00000000000000001840.index.swap");
        REQUIRE(name);
        CHECK(name->offset == Offset(1840));
        CHECK(name->suffix == ".index.swap");
        CHECK_FALSE(storage::parse_file_name("1840.log"));
        CHECK_FALSE(storage::parse_file_name("leader-epoch-checkpoint"));
        CHECK_FALSE(storage::parse_file_name("99999999999999999999.log"));
    }

    TEST_CASE("ids are written as Kafka writes them") {
        base::Uuid id{};
        for (std::size_t i = 0; i < id.size(); ++i) id[i] = std::byte(i * 17);
        const auto text = storage::uuid_text(id);
        CHECK(text == "ABEiM0RVZneImaq7zN3u_w");
        CHECK(storage::parse_uuid(text) == id);
        CHECK(storage::uuid_text({}) == "AAAAAAAAAAAAAAAAAAAAAA");
        for (const auto* const bad :
             {"", "ABEiM0RVZneImaq7zN3u/w", "ABEiM0RVZneImaq7zN3u_", "ABEiM0RVZneImaq7zN3u_x"}) {
            CHECK_FALSE(storage::parse_uuid(bad));
        }
    }

    TEST_CASE("a checkpoint of offsets is Kafka's text, and comes back") {
        Fixture in;
        const storage::Offsets offsets{{{"a-b", PartitionIndex(0)}, Offset(7)},
                                       {{"orders", PartitionIndex(12)}, Offset(9'000'000'000)}};
        REQUIRE(storage::write_offsets(in.disk, in.file, offsets));
        CHECK(in.text() == "0\n2\na-b 0 7\norders 12 9000000000\n");
        CHECK(storage::read_offsets(in.disk, in.file) == offsets);
    }

    TEST_CASE("an empty checkpoint holds nothing, a broken one is corrupt") {
        Fixture in;
        CHECK(storage::read_offsets(in.disk, in.file).error().kind == FaultKind::not_found);
        in.put("");
        CHECK(storage::read_offsets(in.disk, in.file)->empty());
        for (const auto* const bad :
             {"1\n0\n", "0\n", "0\nx\n", "0\n2\na 0 1\n", "0\n1\na 0 1\nb 0 1\n", "0\n1\na 0\n",
              "0\n1\na 0 -1\n", "0\n1\na x 1\n", "0\n1\n../a 0 1\n"}) {
            CAPTURE(bad);
            in.put(bad);
            CHECK(storage::read_offsets(in.disk, in.file).error().kind == FaultKind::corrupt);
        }
    }

    TEST_CASE("a checkpoint is there as it was or as it is, whenever the process is killed") {
        const storage::Offsets before{{{"a", PartitionIndex(0)}, Offset(1)}};
        const storage::Offsets after{{{"a", PartitionIndex(0)}, Offset(2)}};
        for (std::uint64_t call = 0;; ++call) {
            for (const bool power : {false, true}) {
                Fixture in;
                REQUIRE(storage::write_offsets(in.disk, in.file, before));
                in.disk.kill_at(in.disk.changes() + call);
                const bool done = storage::write_offsets(in.disk, in.file, after).has_value();
                if (power) in.disk.lose_power();
                in.disk.revive();
                const auto now = storage::read_offsets(in.disk, in.file);
                REQUIRE(now);
                CHECK((*now == before || *now == after));
                if (done) CHECK(*now == after);
                if (done && power) return;
            }
        }
    }

    TEST_CASE("leader epochs are Kafka's text and rise in both columns") {
        Fixture in;
        const std::vector<storage::EpochStart> starts{{LeaderEpoch(0), Offset(0)},
                                                      {LeaderEpoch(4), Offset(17)}};
        REQUIRE(storage::write_epochs(in.disk, in.file, starts));
        CHECK(in.text() == "0\n2\n0 0\n4 17\n");
        CHECK(storage::read_epochs(in.disk, in.file) == starts);
        for (const auto* const bad : {"0\n2\n4 0\n4 1\n", "0\n2\n0 5\n4 5\n", "0\n1\n-1 5\n"}) {
            in.put(bad);
            CHECK(storage::read_epochs(in.disk, in.file).error().kind == FaultKind::corrupt);
        }
    }

    TEST_CASE("partition.metadata holds the topic's id, without a line end behind it") {
        Fixture in;
        base::Uuid id{};
        id[15] = std::byte{1};
        REQUIRE(storage::write_topic_id(in.disk, in.file, id));
        CHECK(in.text() == "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ");
        CHECK(storage::read_topic_id(in.disk, in.file) == id);
        in.put("version: 1\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ");
        CHECK(storage::read_topic_id(in.disk, in.file).error().kind == FaultKind::foreign);
        in.put("version: x\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ");
        CHECK(storage::read_topic_id(in.disk, in.file).error().kind == FaultKind::corrupt);
    }

    TEST_CASE("meta.properties of both versions says whose directory it is") {
        Fixture in;
        in.put("#\n#Sat Nov 21 11:46:00 UTC 2026\nversion=0\nbroker.id=3\ncluster.id=abc-DEF_1\n");
        auto identity = storage::read_identity(in.disk, in.file);
        REQUIRE(identity);
        CHECK(identity->broker == base::BrokerId(3));
        CHECK(identity->cluster == "abc-DEF_1");
        in.put("version=1\nnode.id=5\ncluster.id=x\ndirectory.id=y\n");
        identity = storage::read_identity(in.disk, in.file);
        REQUIRE(identity);
        CHECK(identity->version == 1);
        CHECK(identity->broker == base::BrokerId(5));
        REQUIRE(storage::write_identity(in.disk, in.file, *identity));
        CHECK(storage::read_identity(in.disk, in.file) == *identity);
        in.put("version=2\nbroker.id=3\n");
        CHECK(storage::read_identity(in.disk, in.file).error().kind == FaultKind::foreign);
        for (const auto* const bad :
             {"broker.id=3\n", "version=x\n", "version=0\nbroker.id=x\n", "version\n"}) {
            in.put(bad);
            CHECK(storage::read_identity(in.disk, in.file).error().kind == FaultKind::corrupt);
        }
    }

    TEST_CASE("index entries of any kind come back, up to the first that does not rise") {
        const Offset base(1000);
        const std::vector<storage::OffsetEntry> offsets{{Offset(1004), 100}, {Offset(1009), 5000}};
        auto bytes = storage::encode(offsets, base);
        CHECK(bytes.size() == 16);
        CHECK(storage::decode_offsets(bytes, base) == offsets);
        bytes.resize(64);  // The zeros that a crash leaves.
        CHECK(storage::decode_offsets(bytes, base) == offsets);

        const std::vector<storage::TimeEntry> times{
            {50, Offset(1004)}, {60, Offset(1004)}, {70, Offset(1009)}};
        auto time_bytes = storage::encode(times, base);
        CHECK(storage::decode_times(time_bytes, base) == times);
        time_bytes.resize(120);
        CHECK(storage::decode_times(time_bytes, base) == times);

        const std::vector<storage::AbortedTransaction> aborted{
            {base::ProducerId(5), Offset(1), Offset(9), Offset(4)},
            {base::ProducerId(6), Offset(4), Offset(12), Offset(13)}};
        const auto aborted_bytes = storage::encode(aborted);
        CHECK(aborted_bytes.size() == 68);
        CHECK(storage::decode_aborted(aborted_bytes) == aborted);
        CHECK_FALSE(storage::decode_aborted(std::span(aborted_bytes).first(67)));
    }

    TEST_CASE("the flusher waits a second, unless much has been written") {
        storage::Flusher flusher;
        CHECK(flusher.next_ms() == std::numeric_limits<std::int64_t>::max());
        flusher.dirtied(1, 100, 0, storage::Flusher::LogId(1) << 40);
        flusher.dirtied(2, std::uint64_t{64} << 20, 10, std::int64_t{1} << 40);
        CHECK(flusher.next_ms() == 10);
        auto round = flusher.take_round(10);
        CHECK(round.logs == std::vector<storage::Flusher::LogId>{2});
        CHECK_FALSE(round.sync_everything);
        CHECK(round.checkpoint);
        CHECK(flusher.take_round(999).logs.empty());
        round = flusher.take_round(1000);
        CHECK(round.logs == std::vector<storage::Flusher::LogId>{1});
        CHECK_FALSE(round.checkpoint);
        CHECK(flusher.next_ms() == 5010);
        CHECK(flusher.take_round(5010).checkpoint);
        CHECK(flusher.next_ms() == std::numeric_limits<std::int64_t>::max());
    }

    TEST_CASE("above 64 dirty logs one sync serves all, and a log's own flush.ms comes first") {
        storage::Flusher flusher;
        for (std::uint64_t log = 0; log < 65; ++log)
            flusher.dirtied(log, 1, 0, log == 64 ? 20 : 5000);
        CHECK(flusher.next_ms() == 20);
        const auto round = flusher.take_round(20);
        CHECK(round.sync_everything);
        CHECK(round.logs.size() == 65);
        CHECK(round.logs.front() == 64);
        CHECK(flusher.dirty() == 0);
    }
}

TEST_CASE("a real file is read without waiting or not at all, and load() brings it into memory") {
    const test::Scratch scratch;
    const auto path = scratch.file("00000000000000000000.log");
    const auto made = storage::real_disk().open(path, storage::OpenMode::create);
    REQUIRE(made);
    const storage::File& file = **made;
    std::vector<std::byte> bytes(1 << 20);
    for (std::size_t at = 0; at < bytes.size(); ++at) bytes[at] = static_cast<std::byte>(at / 4096);
    REQUIRE((*made)->write(0, bytes));
    CHECK(file.is_in_memory(0, bytes.size()));
    std::vector<std::byte> into(5000);
    // The kernel may be told to begin with what it is asked for, and a fast disk has it at once.
    test::evict(path);
    {
        const storage::NoWait guard;
        const storage::NoWait inner;  // They nest.
        const auto read = file.read(500'000, into);
        if (read) {
            CHECK(std::ranges::equal(into, std::span(bytes).subspan(500'000, into.size())));
        } else {
            CHECK(read.error().kind == FaultKind::would_block);
        }
    }
    CHECK(!storage::NoWait::is_on());
    test::evict(path);
    file.load(400'000, 200'000, 0);
    CHECK(file.is_in_memory(400'000, 200'000));
    {
        const storage::NoWait guard;
        const auto read = file.read(500'000, into);
        REQUIRE(read);
        CHECK(std::ranges::equal(into, std::span(bytes).subspan(500'000, into.size())));
    }
    test::evict(path);
    file.load(0, bytes.size(), 1 << 20);  // Also behind the end.
    CHECK(test::residence_of(path).resident == test::residence_of(path).pages);
    const storage::NoWait guard;
    CHECK(*file.read(bytes.size() - 100, into) == 100);
    CHECK(*file.read(bytes.size() + 100, into) == 0);
}
