#include "storage/log.h"

#include "storage/names.h"
#include "storage/tests/log_fixture.h"

#include <doctest/doctest.h>

using base::LeaderEpoch;
using base::Offset;
using base::ProducerId;
using storage::FaultKind;
using storage::FlushKind;
using storage::Origin;
using storage::RefusalKind;
using test::BatchOf;
using test::LogFixture;

TEST_SUITE("storage/log") {
    TEST_CASE("records get the offsets behind those before, and are read back") {
        LogFixture in;
        CHECK(in.add({.count = 3}) == Offset(0));
        CHECK(in.add({.count = 2}) == Offset(3));
        CHECK(in.log->end_offset() == Offset(5));
        CHECK(in.bases(Offset(0)) == std::vector<std::int64_t>{0, 3});
        CHECK(in.bases(Offset(4)) == std::vector<std::int64_t>{3});
        CHECK(in.read(Offset(5)).size() == 0);
    }

    TEST_CASE("what is read is what was appended, with base offset and leader epoch in it") {
        LogFixture in;
        in.leader_epoch = 7;
        in.add({});
        in.add({.count = 2});
        const auto bytes = in.bytes_of(in.read(Offset(1)));
        const auto batch = records::Batch::read(bytes);
        REQUIRE(batch);
        CHECK(batch->base_offset() == Offset(1));
        CHECK(batch->leader_epoch() == LeaderEpoch(7));
    }

    TEST_CASE("an offset outside the log is out of range") {
        LogFixture in;
        in.add({.count = 5});
        in.log->advance_log_start(Offset(2));
        const storage::ReadLimits limits{.bound = Offset(5), .bytes_max = 100};
        CHECK(in.try_read(Offset(1), limits).error().kind == FaultKind::out_of_range);
        CHECK(in.try_read(Offset(6), limits).error().kind == FaultKind::out_of_range);
        CHECK(in.try_read(Offset(5), limits).value().size() == 0);
    }

    TEST_CASE("a read is cut at its limit, but for the first batch if that is asked for") {
        LogFixture in;
        in.add({});
        in.add({});
        const auto one = in.bytes_of(in.read(Offset(0))).size() / 2;
        CHECK(in.read(Offset(0), one + 10).size() == one + 10);
        CHECK(in.read(Offset(0), 10).size() == one);
        const auto cut = in.try_read(Offset(0), {.bound = Offset(2), .bytes_max = 10});
        CHECK(cut->first_batch_is_cut);
        CHECK(cut->size() == 10);
    }

    TEST_CASE("a read stops at its bound, also far from the end of the log") {
        LogFixture in;
        for (int i = 0; i < 300; ++i) in.add({.count = 2});
        for (const std::int64_t bound : {2, 100, 300, 598}) {
            CAPTURE(bound);
            const auto result =
                in.try_read(Offset(0), {.bound = Offset(bound), .bytes_max = std::size_t{1} << 30});
            REQUIRE(result);
            CHECK(result->size() == in.read(Offset(0)).size() / 300 * std::size_t(bound / 2));
            CHECK(result->upper == Offset(bound));
        }
    }

    TEST_CASE("every offset is found, at the end by memory and before by index and walk") {
        LogFixture in({.segment_bytes = 20'000, .index_interval_bytes = 500});
        for (int i = 0; i < 1000; ++i) in.add({.count = 3});
        CHECK(in.log->segment_count() > 4);
        for (int i = 0; i < 3000; ++i) {
            const auto bytes = in.bytes_of(in.read(Offset(i), 1));
            const auto batch = records::Batch::read(bytes);
            REQUIRE(batch);
            REQUIRE(batch->base_offset() == Offset(i / 3 * 3));
        }
    }

    TEST_CASE("who may not wait is told what is not in memory, but for what was written last") {
        LogFixture in;
        for (int i = 0; i < 200; ++i) in.add({.value_bytes = 1000});
        in.flush();
        in.disk.go_cold();
        const auto read = [&](std::int64_t from, bool load = false) {
            return in.try_read(Offset(from), {.bound = in.log->end_offset(),
                                              .bytes_max = 10'000,
                                              .at_least_one_batch = true,
                                              .load = load});
        };
        {
            const storage::NoWait guard;
            const auto old = read(0);
            REQUIRE(!old);
            CHECK(old.error().kind == storage::FaultKind::would_block);
            const auto recent = read(195);
            REQUIRE(recent);
            CHECK(recent->size() > 0);
        }
        CHECK(!storage::NoWait::is_on());
        const auto waited = read(0, true);
        REQUIRE(waited);
        CHECK(in.bytes_of(*waited).size() == waited->size());
        const storage::NoWait guard;
        const auto again = read(0);
        REQUIRE(again);
        CHECK(again->size() == waited->size());
    }

    TEST_CASE("a segment rolls when it is full, and its name is the first offset") {
        LogFixture in({.segment_bytes = 300});
        for (int i = 0; i < 10; ++i) in.add({});
        CHECK(in.log->segment_count() > 2);
        CHECK(in.bases(Offset(0)).size() == 10);
        CHECK(in.disk.has(test::log_folder / "00000000000000000000.log"));
        CHECK(in.disk.has(test::log_folder / "00000000000000000000.index"));
        CHECK(in.disk.has(test::log_folder / "00000000000000000000.timeindex"));
        CHECK_FALSE(in.disk.has(test::log_folder / "00000000000000000000.txnindex"));
    }

    TEST_CASE("a segment rolls by the time between its first batch and the new one") {
        LogFixture in({.segment_ms = 500});
        in.add({.timestamp = 1000});
        in.add({.timestamp = 1500});
        CHECK(in.log->segment_count() == 1);
        in.add({.timestamp = 1501});
        CHECK(in.log->segment_count() == 2);
        in.now_ms = 1'000'000;  // A clock that runs ahead rolls nothing that has timestamps.
        in.add({.timestamp = 1502});
        CHECK(in.log->segment_count() == 2);
    }

    TEST_CASE("the jitter makes segments roll earlier, by less than its limit") {
        LogFixture in({.segment_ms = 1000, .segment_jitter_ms = 900});
        in.add({.timestamp = 0});
        in.add({.timestamp = 1001});
        CHECK(in.log->segment_count() == 2);
    }

    TEST_CASE("preallocate takes the room of a segment at once, and gives back what was not used") {
        LogFixture in({.segment_bytes = 500, .preallocate = true});
        const auto room = [&](std::int64_t base) {
            return in.disk.room_of(test::log_folder / storage::file_name(Offset(base), ".log"));
        };
        CHECK(room(0) == 500);
        in.add({.value_bytes = 300});
        in.add({.value_bytes = 300});
        CHECK(in.log->segment_count() == 2);
        CHECK(room(0) < 400);
        CHECK(room(1) == 500);
        in.kill_and_open();
        CHECK(in.log->end_offset() == Offset(2));
        in.close_and_open();
        CHECK(room(1) < 400);
        CHECK(in.bases(Offset(0)) == std::vector<std::int64_t>{0, 1});
    }

    TEST_CASE("a batch that is larger than a segment is refused") {
        LogFixture in({.segment_bytes = 100});
        CHECK(in.try_append(test::batch({.value_bytes = 200})).error().kind ==
              RefusalKind::too_large);
        CHECK(in.log->end_offset() == Offset(0));
    }

    TEST_CASE("control batches come from coordinators, not from clients") {
        LogFixture in;
        CHECK(in.try_append(test::marker(1, true)).error().kind == RefusalKind::invalid_batch);
        CHECK(in.try_append(test::marker(1, true), Origin::coordinator));
    }

    TEST_CASE("a replica stores what its leader has, gaps and leader epochs included") {
        LogFixture in;
        auto bytes = test::batch({.count = 2, .base = Offset(10), .leader_epoch = 4});
        const auto more = test::batch({.base = Offset(20), .leader_epoch = 5});
        bytes.insert(bytes.end(), more.begin(), more.end());
        in.append(bytes, Origin::replication);
        CHECK(in.log->end_offset() == Offset(21));
        CHECK(in.bytes_of(in.read(Offset(0))) == bytes);
        CHECK(in.bases(Offset(12)) == std::vector<std::int64_t>{20});
        CHECK(in.log->latest_epoch() == LeaderEpoch(5));
        CHECK(in.log->epoch_at(Offset(15)) == LeaderEpoch(4));
        CHECK(in.try_append(test::batch({.base = Offset(20)}), Origin::replication).error().kind ==
              RefusalKind::not_behind_the_log);
    }

    TEST_CASE("several appends are one write, and nobody else writes meanwhile") {
        LogFixture in;
        auto first = test::batch({});
        auto second = test::batch({.count = 2});
        auto third = test::batch({});
        REQUIRE(in.log->reserve({first, Origin::client, LeaderEpoch(0)}));
        CHECK(in.log->reserve({second, Origin::client, LeaderEpoch(0)})->first == Offset(1));
        auto group = in.log->take_group(0);
        REQUIRE(group);
        CHECK(group->first() == Offset(0));
        CHECK(group->end() == Offset(3));
        CHECK(in.log->reserve({third, Origin::client, LeaderEpoch(0)})->first == Offset(3));
        CHECK_FALSE(in.log->take_group(0));
        const auto before = in.disk.changes();
        REQUIRE(in.log->write(*group));
        CHECK(in.disk.changes() == before + 1);
        CHECK(in.log->end_offset() == Offset(0));
        in.log->commit(std::move(*group));
        CHECK(in.log->end_offset() == Offset(3));
        group = in.log->take_group(0);
        REQUIRE(group);
        REQUIRE(in.log->write(*group));
        in.log->commit(std::move(*group));
        CHECK(in.log->end_offset() == Offset(4));
    }

    TEST_CASE("a failed write leaves no trace, and the next one takes its offsets") {
        LogFixture in({.segment_bytes = 300});
        std::size_t failures = 0;
        for (int i = 0; i < 12; ++i) {
            // Every changing call of every append fails once.
            for (std::uint64_t call = 0; call < 20; ++call) {
                in.disk.fail_at(in.disk.changes() + call, FaultKind::no_space);
                const auto reserved = in.try_append(
                    test::batch({.producer = 5, .sequence = i, .key = std::to_string(i)}));
                in.disk.fail_at(test::SimulatedDisk::never, FaultKind::no_space);
                if (reserved) {
                    REQUIRE_FALSE(reserved->repetition);
                    REQUIRE(reserved->first == Offset(i));
                    break;
                }
                ++failures;
                REQUIRE(reserved.error().kind == RefusalKind::unavailable);
                REQUIRE(in.log->end_offset() == Offset(i));
            }
        }
        CHECK(failures > 12);
        CHECK(in.bases(Offset(0)).size() == 12);
        in.kill_and_open();
        CHECK(in.bases(Offset(0)).size() == 12);
        CHECK(in.report.bytes_cut == 0);
    }

    TEST_CASE("a clean stop and start changes nothing and scans next to nothing") {
        LogFixture in({.segment_bytes = 20'000});
        for (int i = 0; i < 1000; ++i) in.add({.count = 2, .producer = 9, .sequence = 2 * i});
        const auto bases = in.bases(Offset(0));
        const auto facts = in.log->producers().facts();
        in.close_and_open();
        CHECK(in.report.bytes_scanned < 10'000);
        CHECK(in.log->end_offset() == Offset(2000));
        CHECK(in.log->recovery_point() == Offset(2000));
        CHECK(in.bases(Offset(0)) == bases);
        CHECK(in.log->producers().facts() == facts);
        CHECK(in.add({.count = 2, .producer = 9, .sequence = 2000}) == Offset(2000));
    }

    TEST_CASE("after a kill everything that was written is there") {
        LogFixture in({.segment_bytes = 20'000});
        for (int i = 0; i < 1000; ++i) in.add({.count = 2, .producer = 9, .sequence = 2 * i});
        const auto bases = in.bases(Offset(0));
        const auto facts = in.log->producers().facts();
        SUBCASE("never flushed") {}
        SUBCASE("flushed in between") {
            in.flush();
            in.remember();
            in.add({.producer = 9, .sequence = 2000});
        }
        const auto end = in.log->end_offset();
        in.kill_and_open();
        CHECK(in.log->end_offset() == end);
        CHECK(in.bases(Offset(0)).size() >= bases.size());
        CHECK(in.log->producers().facts().front().producer == facts.front().producer);
    }

    TEST_CASE("after a kill only what lies behind the recovery point is read again") {
        LogFixture in({.segment_bytes = std::int64_t{1} << 30});
        for (int i = 0; i < 2000; ++i) in.add({.value_bytes = 1000});
        in.flush();
        in.remember();
        for (int i = 0; i < 10; ++i) in.add({.value_bytes = 1000});
        in.kill_and_open();
        CHECK(in.log->end_offset() == Offset(2010));
        CHECK(in.report.bytes_scanned < 30'000);
    }
}

TEST_CASE(
    "a start makes no index files that would hold nothing, and cuts those that hold too much") {
    LogFixture in;
    in.add();
    const auto index_bytes = [&]() -> std::optional<std::uint64_t> {
        const auto facts = in.disk.facts(test::log_folder / "00000000000000000000.index");
        return facts ? std::optional(facts->bytes) : std::nullopt;
    };
    in.kill_and_open();
    CHECK(!index_bytes());
    CHECK(in.bases(Offset(0)) == std::vector<std::int64_t>{0});
    const auto file =
        in.disk.open(test::log_folder / "00000000000000000000.index", storage::OpenMode::create);
    REQUIRE(file);
    const std::vector<std::byte> nonsense(16, std::byte{1});
    REQUIRE((*file)->write(0, nonsense));
    in.kill_and_open();
    CHECK(index_bytes() == 0);
    in.close_and_open();
    CHECK(index_bytes() == 0);
}
