// What a log answers besides records: stable offsets, aborted transactions, times, epochs;
// and how its start and its end are moved.

#include "protocol/records/message_set.h"
#include "storage/tests/invariants.h"

#include <doctest/doctest.h>

#include <algorithm>

using base::LeaderEpoch;
using base::Offset;
using base::ProducerId;
using storage::AbortedTransaction;
using storage::FaultKind;
using storage::Origin;
using test::LogFixture;

namespace {

std::vector<AbortedTransaction> aborted(LogFixture& in, Offset from, Offset bound,
                                        std::size_t bytes_max = std::size_t{1} << 30) {
    const auto result = in.try_read(from, {.bound = bound, .bytes_max = bytes_max,
                                           .at_least_one_batch = true, .with_aborted = true});
    REQUIRE(result);
    return result->aborted;
}

std::optional<std::int64_t> time_of(LogFixture& in, std::int64_t timestamp) {
    const auto found = in.log->find_time(*in.log->time_plan(), timestamp);
    INFO(std::string(found ? "" : found.error().detail));
    REQUIRE(found);
    if (!*found) return std::nullopt;
    return (*found)->offset.value();
}

// Retention as a disk-pool job does it. Gives how many segments went.
std::size_t retain(LogFixture& in, Offset high_watermark, std::int64_t now_ms) {
    const auto verdict = in.log->judge(in.log->retention_plan(high_watermark), now_ms);
    REQUIRE(verdict);
    if (verdict->active_goes) {
        auto roll = in.log->take_roll(now_ms);
        REQUIRE(roll);
        REQUIRE(in.log->write(*roll));
        in.log->commit(std::move(*roll));
    }
    auto dropped = in.log->drop_segments(verdict->keep_from);
    REQUIRE(dropped.rename());
    REQUIRE(dropped.remove());
    return verdict->segments;
}

}  // namespace

TEST_SUITE("storage/queries") {
    TEST_CASE("readers of committed records stop at the first open transaction") {
        LogFixture in;
        in.add({.count = 3});
        CHECK(in.log->last_stable_offset(Offset(3)) == Offset(3));
        in.add({.count = 2, .producer = 1, .transactional = true});  // 3, 4
        in.add({.producer = 2, .transactional = true});              // 5
        CHECK(in.log->last_stable_offset(Offset(6)) == Offset(3));
        CHECK(in.log->last_stable_offset(Offset(2)) == Offset(2));
        in.end_transaction(1, true);  // 6
        CHECK(in.log->last_stable_offset(Offset(7)) == Offset(5));
        CHECK(in.log->last_stable_offset(Offset(6)) == Offset(3));
        in.end_transaction(2, false);  // 7
        CHECK(in.log->last_stable_offset(Offset(8)) == Offset(8));
    }

    TEST_CASE("a read names the aborted transactions that overlap it, from memory and from files") {
        LogFixture in({.segment_bytes = 600});
        std::vector<AbortedTransaction> all;
        for (int i = 0; i < 20; ++i) {
            const auto first = in.add({.count = 2, .producer = 1, .sequence = 2 * i, .transactional = true});
            const auto last = in.end_transaction(1, i % 2 == 0);
            if (i % 2 != 0) all.push_back({ProducerId(1), first, last, Offset(last.value() + 1)});
            if (i == 12) in.flush();
        }
        REQUIRE(in.log->segment_count() > 4);
        const auto end = in.log->end_offset();
        const auto check = [&] {
            for (std::int64_t from = 0; from < end.value(); ++from) {
                CAPTURE(from);
                const auto batch = in.bytes_of(in.read(Offset(from), 1));
                const auto last = records::Batch::read(batch)->last_offset();
                const auto given = aborted(in, Offset(from), end, 1);
                for (const auto& one : all) {
                    const bool overlaps = one.last >= Offset(from) && one.first <= last;
                    const bool is_given = std::ranges::find(given, one) != given.end();
                    if (overlaps) CHECK(is_given);
                    if (one.last < Offset(from)) CHECK_FALSE(is_given);
                }
            }
        };
        check();
        SUBCASE("after a kill") { in.kill_and_open(); }
        SUBCASE("after a clean stop") { in.close_and_open(); }
        SUBCASE("after a kill behind a recovery point") {
            in.remember();
            in.kill_and_open();
        }
        check();
        CHECK(in.disk.has(test::log_folder / "00000000000000000000.txnindex"));
    }

    TEST_CASE("an uncommitted read lists no aborted transactions") {
        LogFixture in;
        in.add({.producer = 1, .transactional = true});
        in.end_transaction(1, false);
        CHECK(in.read(Offset(0)).aborted.empty());
        CHECK(aborted(in, Offset(0), Offset(2)).size() == 1);
    }

    TEST_CASE("by time the earliest offset is found, also when timestamps jump") {
        for (const auto codec : {records::Codec::none, records::Codec::zstd}) {
            LogFixture in({.segment_bytes = 1500, .index_interval_bytes = 200});
            std::vector<std::int64_t> timestamps;
            std::mt19937 random(11);
            for (int i = 0; i < 150; ++i) {
                const auto timestamp = std::int64_t(1000 + i * 3 + int(random() % 200));
                const int count = 1 + int(random() % 3);
                in.add({.count = count, .timestamp = timestamp, .codec = codec});
                for (int k = 0; k < count; ++k) timestamps.push_back(timestamp + k);
                if (i == 70) in.flush();
            }
            const auto check = [&] {
                for (std::int64_t target = 990; target < 1700; target += 7) {
                    const auto at = std::ranges::find_if(timestamps, [&](auto t) { return t >= target; });
                    const auto found = time_of(in, target);
                    CAPTURE(target);
                    REQUIRE(found.has_value() == (at != timestamps.end()));
                    if (found) CHECK(*found == at - timestamps.begin());
                }
                const auto largest = in.log->find_largest_time(*in.log->time_plan());
                REQUIRE(largest);
                REQUIRE(*largest);
                const auto at = std::ranges::max_element(timestamps);
                CHECK((*largest)->timestamp == *at);
                CHECK((*largest)->offset.value() == at - timestamps.begin());
            };
            check();
            in.kill_and_open();
            check();
            in.close_and_open();
            check();
        }
    }

    TEST_CASE("by time nothing below the start of the log is found, and nothing in an empty one") {
        LogFixture in;
        CHECK_FALSE(time_of(in, 0));
        CHECK_FALSE(*in.log->find_largest_time(*in.log->time_plan()));
        in.add({.count = 10, .timestamp = 100});
        in.log->advance_log_start(Offset(4));
        CHECK(time_of(in, 0) == 4);
        CHECK(time_of(in, 105) == 5);
        CHECK_FALSE(time_of(in, 110));
    }

    TEST_CASE("leader epochs end where the next one begins") {
        LogFixture in;
        CHECK(in.log->end_of_epoch(LeaderEpoch(0)).end == Offset(-1));
        in.leader_epoch = 2;
        in.add({.count = 5});
        in.leader_epoch = 5;
        in.add({.count = 3});
        in.log->assign_epoch(LeaderEpoch(7));
        const auto end_of = [&](int epoch) { return in.log->end_of_epoch(LeaderEpoch(epoch)); };
        CHECK(end_of(7).end == Offset(8));
        CHECK(end_of(5).end == Offset(8));
        CHECK(end_of(4).end == Offset(5));
        CHECK(end_of(4).epoch == LeaderEpoch(2));
        CHECK(end_of(2).end == Offset(5));
        CHECK(end_of(1).end == Offset(0));
        CHECK(end_of(1).epoch == LeaderEpoch(1));
        CHECK(end_of(8).end == Offset(-1));
        CHECK(end_of(-1).end == Offset(-1));
        CHECK(in.log->epoch_at(Offset(4)) == LeaderEpoch(2));
        CHECK(in.log->latest_epoch() == LeaderEpoch(7));
        in.flush();
        in.remember();
        in.kill_and_open();
        CHECK(end_of(4).end == Offset(5));
        CHECK(in.log->latest_epoch() == LeaderEpoch(7));
    }

    TEST_CASE("leader epochs are built again from the batches when their file is lost or wrong") {
        LogFixture in;
        for (int i = 0; i < 6; ++i) {
            in.leader_epoch = i / 2;
            in.add({});
        }
        REQUIRE(in.log->close());
        in.remember();
        in.was_clean = true;
        const auto name = test::log_folder / storage::epochs_file;
        SUBCASE("lost") { REQUIRE(in.disk.remove_file(name)); }
        SUBCASE("wrong") {
            const std::string text = "0\n2\n0 0\n2 1\n";
            REQUIRE(storage::replace_file(in.disk, name, std::as_bytes(std::span(text))));
        }
        in.open();
        CHECK(in.log->end_of_epoch(LeaderEpoch(0)).end == Offset(2));
        CHECK(in.log->end_of_epoch(LeaderEpoch(1)).end == Offset(4));
    }

    TEST_CASE("retention by time takes whole old segments, never what the high watermark keeps") {
        LogFixture in({.segment_bytes = 300, .retention_ms = 1000});
        for (int i = 0; i < 12; ++i) in.add({.timestamp = 1000 + i * 100});
        const auto segments = in.log->segment_count();
        REQUIRE(segments == 4);
        CHECK(retain(in, Offset(12), 2000) == 0);
        CHECK(retain(in, Offset(2), 100'000) == 0);
        CHECK(retain(in, Offset(12), 2300) == 1);
        CHECK(in.log->log_start_offset() == Offset(3));
        CHECK(in.try_read(Offset(2), {}).error().kind == FaultKind::out_of_range);
        CHECK_FALSE(in.disk.has(test::log_folder / "00000000000000000000.log"));
        CHECK_FALSE(in.disk.has(test::log_folder / "00000000000000000000.index.deleted"));
        // All of it is old: an empty segment stays, at the end of the log.
        CHECK(retain(in, Offset(12), 100'000) == 3);
        CHECK(in.log->segment_count() == 1);
        CHECK(in.log->log_start_offset() == Offset(12));
        CHECK(in.add({}) == Offset(12));
        in.kill_and_open();
        CHECK(in.bases(Offset(12)) == std::vector<std::int64_t>{12});
    }

    TEST_CASE("producers whose batches retention took are remembered") {
        LogFixture in({.segment_bytes = 300, .retention_ms = 0});
        in.add({.producer = 8});
        for (int i = 0; i < 11; ++i) in.add({.producer = 9, .sequence = i});
        retain(in, Offset(4), 100'000);
        CHECK(in.log->log_start_offset() == Offset(3));
        in.log->advance_log_start(Offset(5));
        in.log_start = Offset(5);
        const auto facts = in.log->producers().facts();
        REQUIRE(facts.size() == 2);
        SUBCASE("after a kill") { in.kill_and_open(); }
        SUBCASE("after a clean stop") { in.close_and_open(); }
        CHECK(in.log->producers().facts() == facts);
        CHECK(in.try_append(test::batch({.producer = 8}))->repetition);
    }

    TEST_CASE("retention by size keeps at least the size that is asked for") {
        LogFixture in({.segment_bytes = 300, .retention_ms = -1, .retention_bytes = 600});
        for (int i = 0; i < 12; ++i) in.add({});
        const auto segment = in.log->size_bytes() / 4;
        CHECK(retain(in, Offset(12), 0) == (4 * segment - 600) / segment);
        CHECK(in.log->size_bytes() >= 600);
        CHECK(retain(in, Offset(12), 0) == 0);
    }

    TEST_CASE("without delete in cleanup.policy only what DeleteRecords gave up goes") {
        LogFixture in({.segment_bytes = 300, .deletes = false, .compacts = true, .retention_ms = 0,
                       .retention_bytes = 0});
        for (int i = 0; i < 12; ++i) in.add({});
        CHECK(retain(in, Offset(12), 1'000'000) == 0);
        in.log->advance_log_start(Offset(7));
        CHECK(in.bases(Offset(7)).front() == 7);
        CHECK(retain(in, Offset(12), 0) == 2);
        CHECK(in.log->log_start_offset() == Offset(7));
    }

    TEST_CASE("a start that DeleteRecords moved counts after a restart") {
        LogFixture in;
        for (int i = 0; i < 10; ++i) in.add({.count = 2});
        in.log->advance_log_start(Offset(7));
        in.log_start = Offset(7);
        in.kill_and_open();
        CHECK(in.log->log_start_offset() == Offset(7));
        CHECK(in.bases(Offset(7)).front() == 6);
    }

    TEST_CASE("a start above the end sets the old files aside and deletes nothing") {
        LogFixture in;
        for (int i = 0; i < 10; ++i) in.add({});
        in.log_start = Offset(50);
        in.kill_and_open();
        CHECK(in.log->log_start_offset() == Offset(50));
        CHECK(in.log->end_offset() == Offset(50));
        CHECK(in.disk.has(test::log_folder / "00000000000000000000.log.aside"));
        CHECK(in.add({}) == Offset(50));
        in.kill_and_open();
        CHECK(in.bases(Offset(50)) == std::vector<std::int64_t>{50});
    }

    TEST_CASE("a slice of a segment that retention removed can still be read") {
        LogFixture in({.segment_bytes = 300, .retention_ms = 0});
        for (int i = 0; i < 12; ++i) in.add({});
        const auto held = in.read(Offset(0));
        const auto before = in.bytes_of(held);
        retain(in, Offset(12), 100'000);
        CHECK(in.bytes_of(held) == before);
        CHECK(held.slice->still_holds());
    }

    TEST_CASE("a truncation cuts at a batch, and state and files go back with it") {
        LogFixture in({.segment_bytes = 500, .index_interval_bytes = 100});
        for (int i = 0; i < 20; ++i) {
            in.leader_epoch = i / 5;
            in.add({.count = 2, .timestamp = 1000 + i, .producer = 1, .sequence = 2 * i,
                    .transactional = i >= 12});
            if (i == 9) in.flush();
        }
        const auto held = in.read(Offset(36));
        in.truncate(Offset(25));
        CHECK_FALSE(held.slice->still_holds());
        CHECK(in.log->end_offset() == Offset(24));
        CHECK(in.log->recovery_point() <= Offset(24));
        CHECK(in.log->latest_epoch() == LeaderEpoch(2));
        CHECK(in.log->producers().facts() == test::replayed(in.disk));
        CHECK(in.log->last_stable_offset(Offset(24)) == Offset(24));
        CHECK(in.bases(Offset(0)).back() == 22);
        test::check_invariants(in);
        in.leader_epoch = 9;
        CHECK(in.add({.count = 2, .producer = 1, .sequence = 24}) == Offset(24));
        // A directory's checkpoint that still names a higher recovery point is no damage.
        in.recovery_point = Offset(40);
        in.kill_and_open();
        CHECK(in.log->end_offset() == Offset(26));
        test::check_invariants(in);
    }

    TEST_CASE("truncations to any offset leave what lies below") {
        for (std::int64_t target = 0; target <= 24; ++target) {
            CAPTURE(target);
            LogFixture in({.segment_bytes = 500, .index_interval_bytes = 100});
            for (int i = 0; i < 12; ++i) in.add({.count = 2, .producer = 1, .sequence = 2 * i});
            if (target % 2 == 0) in.flush();
            in.truncate(Offset(target));
            CHECK(in.log->end_offset() == Offset(target / 2 * 2));
            CHECK(in.bases(Offset(0)).size() == std::size_t(target / 2));
            test::check_invariants(in);
            CHECK(in.log->producers().facts() == test::replayed(in.disk));
        }
    }

    TEST_CASE("a log that starts over is empty at its new offset") {
        LogFixture in({.segment_bytes = 500});
        for (int i = 0; i < 12; ++i) in.add({.count = 2, .producer = 1, .sequence = 2 * i});
        in.flush();
        in.remember();
        auto plan = in.log->begin_restart(Offset(1000));
        auto done = in.log->truncate(plan);
        REQUIRE(done);
        in.log->finish_truncation(std::move(plan), std::move(*done));
        CHECK(in.log->log_start_offset() == Offset(1000));
        CHECK(in.log->end_offset() == Offset(1000));
        CHECK(in.log->producers().size() == 0);
        CHECK(in.add({}) == Offset(1000));
        in.kill_and_open();
        CHECK(in.bases(Offset(1000)) == std::vector<std::int64_t>{1000});
    }

    TEST_CASE("messages of the old formats are found by offset and by time") {
        LogFixture in;
        std::vector<std::byte> file;
        const auto value = std::as_bytes(std::span("v", 1));
        for (int i = 0; i < 50; ++i) {
            records::append_message(file, i < 25 ? 0 : 1, Offset(i), 0, 1000 + i, std::nullopt, value);
        }
        std::vector<std::byte> inner;
        for (int i = 0; i < 3; ++i) {
            records::append_message(inner, 1, Offset(i), 0, 2000 + i, std::nullopt, value);
        }
        std::vector<std::byte> packed;
        records::Deflater().deflate(records::Codec::gzip, inner, packed);
        records::append_message(file, 1, Offset(52), 1, 2002, std::nullopt, packed);
        in.log.reset();
        const auto log = *in.disk.open(test::log_folder / "00000000000000000000.log", storage::OpenMode::create);
        REQUIRE(log->write(0, file));
        in.open();
        CHECK(in.log->end_offset() == Offset(53));
        CHECK(in.add({}) == Offset(53));
        for (std::int64_t offset : {0, 24, 25, 49, 50, 52, 53}) {
            CAPTURE(offset);
            const auto bytes = in.bytes_of(in.read(Offset(offset), 1));
            const auto entry = records::read_entry(bytes);
            REQUIRE(entry);
            CHECK(entry->last_offset >= Offset(offset));
            CHECK(entry->last_offset.value() == (offset >= 50 && offset < 53 ? 52 : offset));
        }
        CHECK(time_of(in, 1025) == 25);
        CHECK(time_of(in, 2001) == 51);
        CHECK(in.read(Offset(0)).size() > file.size());
    }

    TEST_CASE("leftovers of interrupted cleanings and deletions are dealt with") {
        LogFixture in({.segment_bytes = 300});
        for (int i = 0; i < 12; ++i) in.add({});
        REQUIRE(in.log->close());
        in.remember();
        in.was_clean = true;
        in.log.reset();
        const auto put = [&](const std::string& name, std::span<const std::byte> bytes) {
            const auto file = *in.disk.open(test::log_folder / name, storage::OpenMode::create);
            REQUIRE(file->write(0, bytes));
        };
        const std::vector<std::byte> some(10);
        put("00000000000000000000.log.deleted", some);
        put("00000000000000000003.index.cleaned", some);
        put("00000000000000000099.index", some);  // No segment has it.
        // A whole replacement of the first two segments, of which the second batch is gone.
        std::vector<std::byte> cleaned;
        for (const auto& [offset, bytes] : test::batches_on(in.disk)) {
            if (offset < 6 && offset != 1) cleaned.insert(cleaned.end(), bytes.begin(), bytes.end());
        }
        SUBCASE("a replacement that was complete takes the place of what it replaces") {
            REQUIRE(in.disk.remove_file(test::log_folder / "00000000000000000003.index.cleaned"));
            put("00000000000000000000.log.swap", cleaned);
            put("00000000000000000000.index.swap", {});
            put("00000000000000000000.timeindex.swap", {});
            in.open();
            CHECK(in.bases(Offset(0)) == std::vector<std::int64_t>{0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
        }
        SUBCASE("nothing else is changed by them") {
            in.open();
            CHECK(in.bases(Offset(0)).size() == 12);
        }
        for (const auto& name : in.disk.names()) {
            CHECK_FALSE(name.ends_with(".deleted"));
            CHECK_FALSE(name.ends_with(".cleaned"));
            CHECK_FALSE(name.ends_with(".swap"));
        }
        CHECK_FALSE(in.disk.has(test::log_folder / "00000000000000000099.index"));
    }

    TEST_CASE("indexes with a tail of zeros, as a crash of Apache Kafka leaves them, are read") {
        LogFixture in({.segment_bytes = 2000, .index_interval_bytes = 200});
        for (int i = 0; i < 100; ++i) in.add({.timestamp = 1000 + i});
        REQUIRE(in.log->close());
        in.log.reset();
        for (const auto& name : in.disk.names()) {
            if (name.ends_with(".index")) in.disk.bytes_of(name).resize(10'000);
            if (name.ends_with(".timeindex")) in.disk.bytes_of(name).resize(12'000);
        }
        in.recovery_point = Offset(80);
        in.open();
        for (int i = 0; i < 100; ++i) {
            const auto bytes = in.bytes_of(in.read(Offset(i), 1));
            REQUIRE(records::Batch::read(bytes)->base_offset() == Offset(i));
            CHECK(time_of(in, 1000 + i) == i);
        }
    }

    TEST_CASE("damage in the middle is told with file and position, and all around it is served") {
        LogFixture in({.segment_bytes = 2000, .index_interval_bytes = 100});
        for (int i = 0; i < 60; ++i) in.add({});
        in.close_and_open();
        in.log.reset();
        auto& bytes = in.disk.bytes_of(test::log_folder / "00000000000000000000.log");
        const auto size = bytes.size();
        bytes[size / 2] ^= std::byte{4};
        in.was_clean = true;
        in.open();
        std::size_t refused = 0;
        for (int i = 0; i < 60; ++i) {
            const auto result = in.try_read(Offset(i), {.bound = Offset(60), .bytes_max = 1,
                                                        .at_least_one_batch = true});
            if (!result) {
                ++refused;
                CHECK(result.error().kind == FaultKind::corrupt);
                CHECK(result.error().detail.contains("00000000000000000000.log is damaged at byte"));
            }
        }
        CHECK(refused >= 1);
        CHECK(refused <= 2);
        // A long read ends before the damage.
        CHECK(in.read(Offset(0)).size() < size / 2);
        CHECK(in.disk.bytes_of(test::log_folder / "00000000000000000000.log").size() == size);
    }

    TEST_CASE("a full disk refuses a flush, and a later one succeeds") {
        LogFixture in;
        in.add({.producer = 1});
        for (std::uint64_t call = 0;; ++call) {
            auto plan = in.log->begin_flush(storage::FlushKind::checkpoint);
            REQUIRE(plan);
            in.disk.fail_at(in.disk.changes() + call, FaultKind::no_space);
            const bool done = in.log->flush(*plan).has_value();
            in.disk.fail_at(test::SimulatedDisk::never, FaultKind::no_space);
            in.log->finish_flush(std::move(*plan), done);
            if (done) break;
            CHECK(in.log->recovery_point() == Offset(0));
            in.add({.producer = 1, .sequence = std::int32_t(call) + 1});
        }
        CHECK(in.log->recovery_point() == in.log->end_offset());
    }

    TEST_CASE("after a failed sync nothing more is taken or called durable") {
        LogFixture in;
        in.add({});
        auto plan = in.log->begin_flush(storage::FlushKind::records);
        in.disk.fail_at(in.disk.changes(), FaultKind::io);
        CHECK_FALSE(in.log->flush(*plan));
        in.log->finish_flush(std::move(*plan), false);
        CHECK(in.log->recovery_point() == Offset(0));
        CHECK_FALSE(in.log->begin_flush(storage::FlushKind::records));
        CHECK(in.try_append(test::batch()).error().kind == storage::RefusalKind::unavailable);
        CHECK(in.bases(Offset(0)).size() == 1);
    }
}
