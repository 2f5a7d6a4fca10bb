// Compaction: what stays of a log, and what goes.

#include "protocol/records/message_set.h"
#include "storage/tests/cleaning_fixture.h"

using base::Offset;
using storage::FaultKind;
using test::CleaningFixture;
using test::committed;
using test::Pair;
using test::Seen;
using test::SimulatedDisk;
using test::table_of;
using test::text;

TEST_SUITE("storage/cleaning") {
    TEST_CASE("of each key the newest record stays, at its offset, and the rest goes") {
        CleaningFixture in;
        in.put("a", "1");
        in.put("b", "1");
        in.put(std::vector<Pair>{{"a", "2"}, {"c", "1"}}, {.codec = records::Codec::zstd});
        in.put("b", "2");
        in.seal();
        in.put("a", "3");
        const auto end = in.log->end_offset();
        const auto report = in.clean();
        CHECK(report.cleaned_to == Offset(5));
        CHECK(in.log->cleaned_to() == Offset(5));
        CHECK(in.offsets() == std::vector<std::int64_t>{2, 3, 4, 5});
        CHECK(in.records().at(2) == Seen{"a", "2", 1000});
        CHECK(in.records().at(3) == Seen{"c", "1", 1001});
        CHECK(in.log->end_offset() == end);
        test::check_invariants(in);
        in.kill_and_open();
        CHECK(in.offsets() == std::vector<std::int64_t>{2, 3, 4, 5});
    }

    TEST_CASE("what is not synced, not replicated or still open is not touched") {
        CleaningFixture unsynced;
        unsynced.put("a", "1");
        auto roll = *unsynced.log->take_roll(0);
        REQUIRE(unsynced.log->write(roll));
        unsynced.log->commit(std::move(roll));
        CHECK(unsynced.look().dirty_bytes == 0);
        unsynced.flush();
        CHECK(unsynced.look().dirty_bytes > 0);

        CleaningFixture open;
        open.put("a", "1");
        open.put(std::vector<Pair>{{"a", "2"}}, {.producer = 1, .transactional = true});
        open.seal();
        CHECK(open.look().dirty_bytes == 0);
        open.end_transaction(1, true);
        open.seal();
        CHECK(open.look().dirty_bytes > 0);
    }

    TEST_CASE(
        "a tombstone stays until delete.retention.ms after the compaction that saw it first") {
        CleaningFixture in({.delete_retention_ms = 500});
        in.put("a", "1");
        in.remove("a");
        in.seal();
        in.now_ms = 10'000;
        in.clean();
        CHECK(in.offsets() == std::vector<std::int64_t>{1});
        CHECK(in.records().at(1) == Seen{"a", std::nullopt, 1000});  // Its time is what it was.
        in.put("b", "1");
        in.seal();
        in.now_ms = 10'499;
        in.clean();
        CHECK(in.offsets() == std::vector<std::int64_t>{1, 2});
        in.put("b", "2");
        in.seal();
        in.now_ms = 10'500;
        in.clean();
        CHECK(in.offsets() == std::vector<std::int64_t>{3});
    }

    TEST_CASE("an aborted transaction's records go at once, its marker when nothing needs it") {
        for (const bool commits : {false, true}) {
            CAPTURE(commits);
            CleaningFixture in({.delete_retention_ms = 100});
            in.put("a", "1");
            in.put(std::vector<Pair>{{"a", "2"}, {"b", "1"}},
                   {.producer = 1, .transactional = true});
            in.end_transaction(1, commits);
            in.put(std::vector<Pair>{{"x", "1"}},
                   {.producer = 1, .sequence = 2});  // Its last batch.
            in.put("b", "2");
            in.put("a", commits ? "3" : "1");
            in.seal();
            in.clean();
            CHECK(in.offsets() == std::vector<std::int64_t>{4, 5, 6});
            CHECK(in.markers() == 1);  // It has got its horizon now, or had data before it.
            for (int i = 0; i < 3; ++i) {
                in.now_ms += 1000;
                in.put("z", std::to_string(i));
                in.seal();
                in.clean();
            }
            CHECK(in.markers() == 0);
            in.kill_and_open();
            CHECK(in.log->last_stable_offset(in.log->end_offset()) == in.log->end_offset());
        }
    }

    TEST_CASE(
        "aborted records that are not cleaned yet stay hidden from readers of committed ones") {
        CleaningFixture in;
        in.put(std::vector<Pair>{{"a", "no"}}, {.producer = 1, .transactional = true});
        in.put("b", "1");
        in.seal();
        in.end_transaction(1, false);
        in.put("c", "1");
        in.seal();
        // The map is full behind the first keys: the second part waits for the next cleaning.
        in.clean();
        const auto table = table_of(committed(in));
        CHECK(table == std::map<std::string, std::string>{{"b", "1"}, {"c", "1"}});
    }

    TEST_CASE("a producer goes on after compaction and a crash as if nothing had been") {
        CleaningFixture in;
        for (int i = 0; i < 6; ++i) {
            in.put(std::vector<Pair>{{"a", std::to_string(i)}}, {.producer = 7, .sequence = i});
        }
        in.put("a", "newest");
        in.seal();
        in.clean();
        CHECK(in.offsets() == std::vector<std::int64_t>{6});
        in.remove_replaced();
        for (const auto& name : in.disk.names()) {
            if (name.ends_with(".snapshot")) REQUIRE(in.disk.remove_file(name));
        }
        in.kill_and_open();
        const auto producers = in.log->producers().facts();
        REQUIRE(producers.size() == 1);
        CHECK(producers.front().last_sequence == 5);
        CHECK(producers.front().last_offset == Offset(5));
        in.put(std::vector<Pair>{{"a", "6"}}, {.producer = 7, .sequence = 6});
    }

    TEST_CASE("small segments become one, and an empty log stays readable") {
        CleaningFixture in({.segment_bytes = 500, .delete_retention_ms = 0});
        for (int i = 0; i < 40; ++i) in.put("k" + std::to_string(i % 2), std::to_string(i));
        in.seal();
        const auto before = in.log->segment_count();
        REQUIRE(before > 5);
        in.clean();
        CHECK(in.log->segment_count() == 2);
        in.remove("k0");
        in.remove("k1");
        in.seal();
        in.clean();
        in.put("z", "1");
        in.seal();
        in.clean();
        in.clean();
        CHECK(table_of(in.records()) == std::map<std::string, std::string>{{"z", "1"}});
        CHECK(in.log->log_start_offset() == Offset(0));
        in.close_and_open();
        CHECK(table_of(in.records()) == std::map<std::string, std::string>{{"z", "1"}});
        test::check_invariants(in);
    }

    TEST_CASE(
        "a map that is too small for all keys cleans a part, and the next cleaning the rest") {
        CleaningFixture in({.segment_bytes = 20'000});
        in.settings.map_bytes = 1;  // The least there is: 1024 slots.
        for (int round = 0; round < 2; ++round) {
            for (int i = 0; i < 1500; ++i)
                in.put("key-" + std::to_string(i), std::to_string(round));
        }
        in.seal();
        const auto table = table_of(in.records());
        const auto first = in.clean();
        CHECK(first.cleaned_to < in.log->active_base());
        CHECK(table_of(in.records()) == table);
        int rounds = 1;
        for (; in.log->cleaned_to() < in.log->active_base(); ++rounds) {
            REQUIRE(rounds < 10);
            in.clean();
        }
        CHECK(rounds > 2);
        CHECK(in.records().size() == 1500);
        CHECK(table_of(in.records()) == table);
    }

    TEST_CASE("a log is due by its dirty share, or by the age of what is dirty") {
        CleaningFixture in({.segment_bytes = 300, .max_compaction_lag_ms = 5000});
        for (int i = 0; i < 8; ++i) in.put("k" + std::to_string(i), "1");
        in.seal();
        CHECK(in.look().ratio() == 1.0);
        in.clean();
        CHECK(in.look().dirty_bytes == 0);
        CHECK_FALSE(in.look().is_due);
        auto config = in.config;
        config.min_cleanable_dirty_ratio = 0.6;
        in.log->set_config(config);
        in.put("k0", "2");
        in.seal();
        CHECK(in.look().ratio() < 0.6);
        CHECK_FALSE(in.look().is_due);
        in.now_ms = 6001;
        CHECK(in.look().is_overdue);
        CHECK(in.look().is_due);
        config.min_compaction_lag_ms = 6000;
        in.log->set_config(config);
        CHECK_FALSE(in.look().is_due);
    }

    TEST_CASE("records younger than min.compaction.lag.ms stay as they are") {
        CleaningFixture in({.min_compaction_lag_ms = 100});
        in.put("a", "1");
        in.put("a", "2");
        in.seal();
        in.put(std::vector<Pair>{{"a", "3"}}, {.timestamp = 5000});
        in.put(std::vector<Pair>{{"a", "4"}}, {.timestamp = 5000});
        in.seal();
        in.now_ms = 5050;
        CHECK(in.clean().cleaned_to == Offset(2));
        CHECK(in.offsets() == std::vector<std::int64_t>{1, 2, 3});
        in.now_ms = 5100;
        in.clean();
        CHECK(in.offsets() == std::vector<std::int64_t>{3});
    }

    TEST_CASE("an older cleaner-offset-checkpoint means more work, and no other outcome") {
        CleaningFixture in;
        for (int i = 0; i < 10; ++i) in.put("k" + std::to_string(i % 3), std::to_string(i));
        in.seal();
        in.clean();
        const auto kept = in.records();
        in.close_and_open();
        CHECK(in.log->cleaned_to() == Offset(0));
        in.clean();
        CHECK(in.records() == kept);
    }

    TEST_CASE("messages of the formats 0 and 1 are compacted in their own format") {
        for (const std::int8_t magic : {std::int8_t{0}, std::int8_t{1}}) {
            for (const auto codec :
                 {records::Codec::none, records::Codec::gzip, records::Codec::lz4}) {
                CAPTURE(magic);
                CAPTURE(static_cast<int>(codec));
                std::vector<std::byte> batches;
                for (std::int64_t base = 0; base < 9; base += 3) {
                    records::BatchBuilder builder({.codec = codec, .base_offset = Offset(base)});
                    for (int i = 0; i < 3; ++i) {
                        const auto key = "k" + std::to_string(i + base / 3);
                        const auto value = std::to_string(base + i);
                        builder.append({.timestamp = 500 + base + i,
                                        .key = records::bytes_of(key),
                                        .value = records::bytes_of(value)});
                    }
                    const auto one = builder.finish();
                    batches.insert(batches.end(), one.begin(), one.end());
                }
                std::vector<std::byte> old;
                records::ConvertScratch scratch;
                REQUIRE(records::to_messages(batches, magic, Offset(0), {}, scratch, old));
                SimulatedDisk disk;
                REQUIRE(disk.make_directory("/logs"));
                REQUIRE(disk.make_directory(test::log_folder));
                const auto file =
                    *disk.open(test::log_folder / storage::file_name(Offset(0), ".log"),
                               storage::OpenMode::create);
                REQUIRE(file->write(0, old));
                disk.settle();
                CleaningFixture in(disk, {.segment_bytes = 10'000});
                in.open();
                in.put("k9", "new");
                in.seal();
                in.clean();
                const auto bytes = in.bytes_of(in.read(Offset(0)));
                records::Inflater inflater;
                std::map<std::int64_t, std::string> kept;
                for (records::Bytes rest = bytes;
                     !rest.empty() && records::peek_entry(rest)->magic == magic;) {
                    const auto message = records::Message::read(rest);
                    REQUIRE(message);
                    CHECK(message->codec() == codec);
                    auto walk = records::MessageWalk::open(*message, inflater);
                    REQUIRE(walk);
                    while (const records::Record* const record = walk->next()) {
                        kept[record->offset.value()] =
                            text(record->key) + "=" + text(record->value);
                        CHECK(record->timestamp ==
                              (magic == 0 ? -1 : 500 + record->offset.value()));
                    }
                    rest = rest.subspan(message->size());
                }
                CHECK(kept == std::map<std::int64_t, std::string>{
                                  {0, "k0=0"}, {3, "k1=3"}, {6, "k2=6"}, {7, "k3=7"}, {8, "k4=8"}});
            }
        }
    }

    TEST_CASE("a reader that was under way reads again, and what it holds already stays whole") {
        CleaningFixture in;
        in.put("a", "1");
        in.put("a", "2");
        in.seal();
        const storage::ReadLimits all{
            .bound = in.log->end_offset(), .bytes_max = 1000, .at_least_one_batch = true};
        const auto before = in.log->locate(Offset(0), all);
        REQUIRE(before);
        const auto held = in.log->read(*before);
        REQUIRE(held);
        const auto bytes = in.bytes_of(*held);
        in.clean();
        const auto again = in.log->read(*before);
        REQUIRE_FALSE(again);
        CHECK(again.error().kind == FaultKind::busy);
        CHECK(held->slice->still_holds());
        in.remove_replaced();
        CHECK(in.bytes_of(*held) == bytes);
        CHECK(in.offsets() == std::vector<std::int64_t>{1});
    }

    TEST_CASE("retention takes the segments that are being cleaned, and the cleaning gives up") {
        CleaningFixture in;
        for (int i = 0; i < 12; ++i) in.put("k" + std::to_string(i % 3), std::to_string(i));
        in.seal();
        storage::CleaningHooks hooks;
        storage::Cleaning cleaning(in.log->cleaning_plan(in.log->end_offset()), {}, hooks,
                                   in.now_ms);
        REQUIRE(cleaning.read_keys());
        auto piece = cleaning.next();
        REQUIRE(piece);
        REQUIRE(*piece);
        const auto first = in.log->active_base();
        auto dropped = in.log->drop_segments(first);
        CHECK_FALSE(in.log->begin_swap(**piece));
        (*piece)->give_up(in.disk);
        REQUIRE(dropped.rename());
        REQUIRE(dropped.remove());
        in.kill_and_open();
        CHECK(in.log->first_base() == first);
        for (const auto& name : in.disk.names()) CHECK_FALSE(name.contains(".cleaned"));
    }

    TEST_CASE("told to stop, or on a full disk, it leaves the log as it was") {
        CleaningFixture in;
        for (int i = 0; i < 12; ++i) in.put("k" + std::to_string(i % 3), std::to_string(i));
        in.seal();
        const auto before = table_of(in.records());
        storage::CleaningHooks hooks;
        int left = 20;
        hooks.stops = [&] { return left-- == 0; };
        auto report = storage::clean(*in.log, in.mutex, in.log->end_offset(), {}, hooks, in.now_ms);
        REQUIRE_FALSE(report);
        CHECK(report.error().kind == FaultKind::busy);
        CHECK(table_of(in.records()) == before);
        in.disk.fail_at(in.disk.changes() + 2, FaultKind::no_space);
        report = in.try_clean();
        REQUIRE_FALSE(report);
        CHECK(report.error().kind == FaultKind::no_space);
        CHECK(table_of(in.records()) == before);
        for (const auto& name : in.disk.names()) CHECK_FALSE(name.contains(".cleaned"));
        in.clean();
        CHECK(in.records().size() == 3);
    }

    TEST_CASE("a damaged log is not cleaned, and nothing of it is touched") {
        CleaningFixture in({.segment_bytes = 300});
        for (int i = 0; i < 12; ++i) in.put("k" + std::to_string(i % 3), std::to_string(i));
        in.seal();
        const auto name = test::log_folder / storage::file_name(Offset(0), ".log");
        in.disk.bytes_of(name)[70] ^= std::byte{1};
        const auto before = in.disk.content();
        const auto report = in.try_clean();
        REQUIRE_FALSE(report);
        CHECK(report.error().kind == FaultKind::corrupt);
        CHECK(report.error().detail.contains(name.string()));
        CHECK(in.disk.content() == before);
    }
}
