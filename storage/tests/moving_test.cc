// What a log and its copy do when the partition moves to another log directory.

#include "protocol/records/message_set.h"
#include "storage/log_directory.h"
#include "storage/move_note.h"
#include "storage/tests/log_fixture.h"

using base::Offset;
using storage::DirectoryKind;
using storage::Log;
using storage::Origin;
using test::LogFixture;

namespace {

const base::TopicPartition orders{"orders", base::PartitionIndex(0)};

// A copy in another directory of the same disk.
struct Copy {
    explicit Copy(LogFixture& of, Offset start = Offset(0)) : in(of) {
        REQUIRE(in.disk.make_directory("/others"));
        REQUIRE(in.disk.make_directory(folder));
        open(start);
    }
    void open(Offset start = Offset(0)) {
        auto opened = Log::open(in.disk, in.files,
                                {.directory = folder,
                                 .config = in.config,
                                 .recovery_point = start,
                                 .log_start_offset = start,
                                 .now_ms = 1000});
        INFO(std::string(opened ? "" : opened.error().detail));
        REQUIRE(opened);
        log = std::move(*opened);
    }
    // Everything that the log has.
    void fill() {
        while (log->end_offset() < in.log->end_offset()) {
            auto bytes = LogFixture::bytes_of(in.read(log->end_offset()));
            if (bytes.empty()) return;
            REQUIRE(log->append({bytes, Origin::replication, base::LeaderEpoch(-1)}, 1000));
        }
    }
    void take_over() {
        in.log->finish_copy(*log);
        REQUIRE(log->close());
        in.log->trade_places(*log);
    }

    const std::filesystem::path folder = "/others/orders-0.0123456789abcdef0123456789abcdef-future";
    LogFixture& in;
    std::unique_ptr<Log> log;
};

}  // namespace

TEST_CASE("a log goes on with the files of its copy, and what was queued meanwhile is behind it") {
    LogFixture in({.segment_bytes = 300});
    for (int i = 0; i < 10; ++i) in.add({.count = 2});
    const auto before = in.bases(Offset(0));
    Copy copy(in);
    copy.fill();
    auto queued = test::batch({.count = 3});
    REQUIRE(in.log->reserve({queued, Origin::client, base::LeaderEpoch(0)}));
    copy.take_over();
    CHECK(in.log->directory() == copy.folder);
    CHECK(copy.log->directory() == test::log_folder);
    CHECK(in.log->recovery_point() == Offset(20));
    CHECK(in.bases(Offset(0)) == before);
    auto group = in.log->take_group(1000);
    REQUIRE(group);
    REQUIRE(in.log->write(*group));
    in.log->commit(std::move(*group));
    CHECK(in.log->end_offset() == Offset(23));
    CHECK(in.bases(Offset(20)) == std::vector<std::int64_t>{20});
    // And so it is after a kill.
    copy.open();
    CHECK(copy.log->end_offset() == Offset(23));
}

TEST_CASE("who planned a read before the copy took over plans again, and slices go on") {
    LogFixture in;
    in.add();
    const auto slice = in.read(Offset(0));
    const auto plan = in.log->locate(Offset(0), {.bound = Offset(1), .bytes_max = 1000});
    REQUIRE(plan);
    Copy copy(in);
    copy.fill();
    copy.take_over();
    const auto read = in.log->read(*plan);
    REQUIRE(!read);
    CHECK(read.error().kind == storage::FaultKind::busy);
    CHECK(slice.slice->still_holds());
    CHECK(LogFixture::bytes_of(in.read(Offset(0))) == LogFixture::bytes_of(slice));
}

TEST_CASE("producers whose records are gone, and leader epochs without records, go with the log") {
    LogFixture in({.segment_bytes = 150, .retention_bytes = 1});
    in.append(test::batch({.count = 2, .producer = 7, .sequence = 0}));
    in.leader_epoch = 3;
    for (int i = 0; i < 5; ++i) in.add();
    in.log->advance_log_start(Offset(4));
    auto dropped = in.log->drop_segments(Offset(4));
    REQUIRE(!dropped.empty());
    in.log->assign_epoch(base::LeaderEpoch(5));
    Copy copy(in, in.log->first_base());
    copy.fill();
    copy.take_over();
    CHECK(in.log->latest_epoch() == base::LeaderEpoch(5));
    REQUIRE(in.log->close());
    auto opened = Log::open(in.disk, in.files,
                            {.directory = copy.folder,
                             .config = in.config,
                             .recovery_point = in.log->recovery_point(),
                             .was_clean = true,
                             .now_ms = 1000});
    REQUIRE(opened);
    CHECK((*opened)->latest_epoch() == base::LeaderEpoch(5));
    REQUIRE((*opened)->producers().size() == 1);
    CHECK((*opened)->producers().facts().front().last_sequence == 1);
}

TEST_CASE("a copy takes messages of the old formats as they are, and clients' never") {
    LogFixture in;
    // A message of format 0: offset 0, size 14, no key, no value; its checksum is right.
    std::vector<std::byte> old(26);
    const auto put = [&](std::size_t at, std::uint32_t value) {
        for (int i = 0; i < 4; ++i) old[at + std::size_t(i)] = std::byte(value >> (24 - 8 * i));
    };
    put(8, 14);
    put(18, 0xffffffff);
    put(22, 0xffffffff);
    std::uint32_t crc = 0xffffffff;
    for (std::size_t i = 16; i < old.size(); ++i) {
        crc ^= std::to_integer<std::uint32_t>(old[i]);
        for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320u : 0);
    }
    put(12, ~crc);
    CHECK(!in.try_append(old));
    REQUIRE(in.try_append(old, Origin::replication));
    CHECK(in.log->end_offset() == Offset(1));
    CHECK(LogFixture::bytes_of(in.read(Offset(0))) == old);
    in.kill_and_open();
    CHECK(in.log->end_offset() == Offset(1));
}

TEST_CASE("a copy goes on behind a gap that compaction left at the end") {
    LogFixture in({.compacts = true});
    in.add({.count = 2});
    auto gap = in.log->take_gap(Offset(9), 1000);
    REQUIRE(gap);
    REQUIRE(in.log->write(*gap));
    in.log->commit(std::move(*gap));
    CHECK(in.log->end_offset() == Offset(9));
    CHECK(in.add() == Offset(9));
    in.kill_and_open();
    CHECK(in.log->end_offset() == Offset(10));
    CHECK(in.bases(Offset(0)) == std::vector<std::int64_t>{0, 9});
}

namespace {

bool is_there(storage::Disk& disk) {
    return storage::has_move_note(disk, "/copy").value();
}
std::optional<Offset> said(storage::Disk& disk) {
    return storage::read_move_note(disk, "/copy").value();
}

}  // namespace

TEST_CASE("a note says what it was told, and nothing when it is cut anywhere") {
    test::SimulatedDisk disk(1);
    REQUIRE(disk.make_directory("/copy"));
    CHECK(!is_there(disk));
    CHECK(!said(disk));
    REQUIRE(storage::write_move_note(disk, "/copy", Offset(1234)));
    CHECK(said(disk) == Offset(1234));
    const auto whole = storage::read_whole(disk, "/copy/move.milena", 100);
    REQUIRE(whole);
    for (std::size_t bytes = 0; bytes < whole->size(); ++bytes) {
        const auto file = disk.open("/copy/move.milena", storage::OpenMode::read_write);
        REQUIRE(file);
        REQUIRE((*file)->truncate(bytes));
        CHECK(!said(disk));
        CHECK(is_there(disk));
        REQUIRE((*file)->write(0, *whole));
    }
    REQUIRE(storage::remove_move_note(disk, "/copy"));
    REQUIRE(storage::remove_move_note(disk, "/copy"));
    CHECK(!is_there(disk));
}

TEST_CASE("the note of an earlier build says what it said then") {
    const auto released = std::filesystem::path(MILENA_UPGRADES) / "move-note-v1";
    CHECK(storage::read_move_note(storage::real_disk(), released).value() == Offset(1234));
}

TEST_CASE("a topic whose name is too long for a copy's directory cannot be copied") {
    CHECK(storage::can_name_copy({std::string(212, 't'), base::PartitionIndex(1)}));
    CHECK(!storage::can_name_copy({std::string(214, 't'), base::PartitionIndex(1)}));
    CHECK(!storage::can_name_copy({std::string(213, 't'), base::PartitionIndex(10)}));
}
