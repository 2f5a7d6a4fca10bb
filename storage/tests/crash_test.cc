// Crashes: the process is killed at each call, the power fails, files are cut and damaged.
//
// A failing run of the power tests prints its seed; SEED=n in the environment repeats it.

#include "storage/tests/invariants.h"

#include <doctest/doctest.h>

#include <cstdlib>

using base::LeaderEpoch;
using base::Offset;
using storage::FaultKind;
using storage::FlushKind;
using storage::Origin;
using test::LogFixture;
using test::SimulatedDisk;

namespace {

const storage::LogConfig small{.segment_bytes = 700, .index_interval_bytes = 150};

// A life of a log with everything that changes files, and what it may claim at each moment.
class Story {
public:
    explicit Story(LogFixture& in) : in_(in) {}

    // Ends early when the disk is dead.
    void run() {
        for (int step = 0; step < 40; ++step) {
            if (!append(step)) return;
            if (step % 6 == 5 && !flush(step % 12 == 5 ? FlushKind::checkpoint : FlushKind::records)) {
                return;
            }
            if (step == 17 && !drop(Offset(8))) return;
            if (step == 29 && !cut(3)) return;
        }
        finished_ = in_.log->close().has_value();
        if (finished_) {
            in_.remember();
            in_.was_clean = true;
            synced = in_.log->end_offset();
        }
    }

    // What was acknowledged and not cut off or dropped since: base offset and bytes.
    std::map<std::int64_t, std::vector<std::byte>> acknowledged;
    Offset synced{};      // Everything below it was acknowledged as durable.
    Offset cut_to{std::numeric_limits<std::int64_t>::max()};  // A truncation has begun.
    bool finished() const noexcept { return finished_; }

private:
    bool append(int step) {
        const int producer = step % 3;
        auto bytes = step % 10 == 9
                         ? test::marker(producer, step % 20 == 9)
                         : test::batch({.count = 1 + step % 3,
                                        .timestamp = 1000 + (step * 37) % 50,
                                        .producer = producer,
                                        .sequence = sequences_[producer],
                                        .transactional = true,
                                        .key = std::to_string(step)});
        in_.leader_epoch = step / 15;
        const auto origin = step % 10 == 9 ? Origin::coordinator : Origin::client;
        in_.buffers.push_back(std::move(bytes));
        const auto reserved = in_.log->append({in_.buffers.back(), origin, LeaderEpoch(in_.leader_epoch)},
                                              in_.now_ms);
        if (!reserved) return false;
        if (step % 10 != 9) sequences_[producer] += 1 + step % 3;
        acknowledged[reserved->first.value()] = in_.buffers.back();
        return true;
    }
    bool flush(FlushKind kind) {
        auto plan = in_.log->begin_flush(kind);
        if (!plan) return true;
        const bool done = in_.log->flush(*plan).has_value();
        in_.log->finish_flush(std::move(*plan), done);
        if (!done) return false;
        synced = in_.log->recovery_point();
        in_.remember();
        return true;
    }
    bool drop(Offset to) {
        in_.log->advance_log_start(to);
        in_.log_start = to;
        const auto plan = in_.log->retention_plan(in_.log->end_offset());
        const auto verdict = in_.log->judge(plan, in_.now_ms);
        if (!verdict) return false;
        auto dropped = in_.log->drop_segments(verdict->keep_from);
        std::erase_if(acknowledged, [&](const auto& one) {
            return one.first < in_.log->first_base().value();
        });
        return dropped.rename().has_value() && dropped.remove().has_value();
    }
    bool cut(std::int64_t back) {
        const Offset target(in_.log->end_offset().value() - back);
        auto plan = in_.log->begin_truncation(target);
        cut_to = target;
        synced = std::min(synced, target);
        std::erase_if(acknowledged, [&](const auto& one) {
            return storage::read_entry_header(one.second)->last >= target;
        });
        auto cut = in_.log->truncate(plan);
        if (!cut) return false;
        in_.log->finish_truncation(std::move(plan), std::move(*cut));
        for (const auto& facts : in_.log->producers().facts()) {
            sequences_[int(facts.producer.value())] = facts.last_sequence + 1;
        }
        return true;
    }

    LogFixture& in_;
    std::map<int, int> sequences_;
    bool finished_ = false;
};

// Everything that was acknowledged is there with its bytes; what is there besides lies at
// the end, or in the part that a truncation or a retention was about to take.
void check_nothing_lost(LogFixture& in, const Story& story, Offset up_to) {
    const auto there = test::batches_on(in.disk);
    for (const auto& [offset, bytes] : story.acknowledged) {
        if (storage::read_entry_header(bytes)->last >= up_to) continue;
        CAPTURE(offset);
        REQUIRE(there.contains(offset));
        CHECK(there.at(offset) == bytes);
    }
}

// One partition of three segments, closed cleanly or killed, as files.
struct Partition {
    explicit Partition(bool clean) : in({.segment_bytes = 500, .index_interval_bytes = 100}) {
        for (int i = 0; i < 12; ++i) {
            in.add({.count = 2, .timestamp = 1000 + i * 10, .producer = 4, .sequence = 2 * i,
                    .key = std::to_string(i)});
        }
        in.leader_epoch = 3;
        in.add({.count = 2, .timestamp = 2000, .producer = 4, .sequence = 24});
        in.flush();
        in.remember();
        if (clean) REQUIRE(in.log->close());
        was_clean = clean;
        end = in.log->end_offset();
        bases = in.bases(Offset(0));
        content = test::batches_on(in.disk);
        REQUIRE(in.log->segment_count() == 3);
        in.log.reset();
        in.disk.settle();
    }

    LogFixture in;
    bool was_clean;
    Offset end;
    std::vector<std::int64_t> bases;
    std::map<std::int64_t, std::vector<std::byte>> content;
};

// Opens the damaged partition and reads all of it. Whatever it gives was appended once; what
// it does not give it refuses as corrupt.
void check_no_wrong_record(const Partition& whole, SimulatedDisk& disk, Offset recovery_point) {
    const auto before = disk.content();
    LogFixture again(disk, whole.in.config);
    again.recovery_point = recovery_point;
    again.was_clean = whole.was_clean;
    const auto opened = again.try_open();
    if (!opened) {
        CHECK(opened.error().kind == FaultKind::corrupt);
        CHECK(opened.error().detail.contains("orders-0"));
        for (const auto& [name, bytes] : before) {
            if (name.ends_with(".log")) CHECK(disk.content().at(name) == bytes);
        }
        return;
    }
    Offset from = again.log->log_start_offset();
    while (from < again.log->end_offset()) {
        const auto result = again.try_read(from, {.bound = again.log->end_offset(),
                                                  .bytes_max = 250,
                                                  .at_least_one_batch = true});
        if (!result) {
            CHECK(result.error().kind == FaultKind::corrupt);
            CHECK(result.error().detail.contains(".log is damaged at byte"));
            from = Offset(from.value() + 1);
            continue;
        }
        if (result->size() == 0) break;
        const auto bytes = again.bytes_of(*result);
        for (auto rest = std::span(bytes); !rest.empty();) {
            const auto batch = records::Batch::read(rest);
            if (!batch) break;  // The limit cut it.
            const auto original = whole.content.find(batch->base_offset().value());
            const auto offset_given = batch->base_offset().value();
            CAPTURE(offset_given);
            CHECK(original != whole.content.end());
            if (original == whole.content.end()) return;
            const auto given = batch->bytes();
            // The leader's epoch is under no checksum; everything else is right.
            CHECK(std::equal(given.begin(), given.begin() + 12, original->second.begin()));
            CHECK(std::equal(given.begin() + 16, given.end(), original->second.begin() + 16,
                             original->second.end()));
            from = batch->last_offset() + 1;
            rest = rest.subspan(batch->size());
        }
    }
    CHECK(again.log->end_offset() <= whole.end);
}

}  // namespace

TEST_SUITE("storage/crash") {
    TEST_CASE("killed at any call, a log opens again with all that was acknowledged") {
        std::uint64_t calls = 0;
        {
            LogFixture in(small);
            const auto before = in.disk.changes();
            Story story(in);
            story.run();
            REQUIRE(story.finished());
            calls = in.disk.changes() - before;
        }
        REQUIRE(calls > 100);
        for (std::uint64_t call = 0; call < calls; ++call) {
            CAPTURE(call);
            LogFixture in(small, call + 1);
            in.disk.kill_at(in.disk.changes() + call);
            Story story(in);
            story.run();
            REQUIRE_FALSE(story.finished());
            in.disk.revive();
            in.kill_and_open();
            test::check_invariants(in);
            check_nothing_lost(in, story, story.cut_to);
            // It goes on as if nothing had been.
            const auto end = in.log->end_offset();
            CHECK(in.add({.key = "after"}) == end);
            in.close_and_open();
            test::check_invariants(in);
            CHECK(in.bases(end) == std::vector{end.value()});
        }
    }

    TEST_CASE("killed at any call of its opening after a kill, a log opens the next time") {
        for (std::uint64_t at = 20; at < 120; at += 9) {
            LogFixture in(small, at);
            in.disk.kill_at(in.disk.changes() + at);
            Story story(in);
            story.run();
            in.disk.revive();
            const SimulatedDisk killed = in.disk.copy();
            for (std::uint64_t call = 0;; ++call) {
                CAPTURE(at);
                CAPTURE(call);
                SimulatedDisk disk = killed.copy();
                LogFixture again(disk, small);
                again.recovery_point = in.recovery_point;
                again.log_start = in.log_start;
                disk.kill_at(call);
                const bool opened = again.try_open().has_value();
                disk.revive();
                again.kill_and_open();
                test::check_invariants(again);
                check_nothing_lost(again, story, story.cut_to);
                if (opened) break;
                REQUIRE(call < 200);
            }
        }
    }

    TEST_CASE("after a power cut what was synced is there, and the rest is lost from its end only") {
        std::uint64_t first = 1, last = 400;
        if (const char* const seed = std::getenv("SEED")) first = last = std::strtoull(seed, nullptr, 10);
        for (std::uint64_t seed = first; seed <= last; ++seed) {
            CAPTURE(seed);
            std::mt19937_64 random(seed);
            LogFixture in(small, seed);
            in.disk.kill_at(in.disk.changes() + random() % 170);
            Story story(in);
            story.run();
            in.log.reset();
            in.disk.lose_power();
            in.open();
            test::check_invariants(in);
            check_nothing_lost(in, story, std::min(story.synced, story.cut_to));
            // What is left of the rest is a prefix of it, without a gap.
            const auto there = test::batches_on(in.disk);
            std::int64_t next = -1;
            for (const auto& [offset, bytes] : there) {
                if (next >= 0) CHECK(offset == next);
                next = (storage::read_entry_header(bytes)->last + 1).value();
            }
            const auto end = in.log->end_offset();
            CHECK(in.add({.key = "after"}) == end);
            in.close_and_open();
            test::check_invariants(in);
        }
    }

    TEST_CASE("recovery gives the state that the living log had") {
        LogFixture in({.segment_bytes = 2000, .index_interval_bytes = 200});
        std::mt19937 random(3);
        std::map<std::int64_t, int> sequences;
        for (int i = 0; i < 300; ++i) {
            in.leader_epoch = i / 60;
            const std::int64_t producer = random() % 5;
            if (random() % 6 == 0) {
                in.end_transaction(producer, random() % 2 == 0);
            } else {
                const int count = 1 + int(random() % 3);
                in.add({.count = count, .timestamp = 1000 + std::int64_t(random() % 500),
                        .producer = producer, .sequence = sequences[producer], .transactional = true});
                sequences[producer] += count;
            }
            if (i == 150) {
                in.flush();
                in.remember();
            }
        }
        const auto producers = in.log->producers().facts();
        const auto stable = in.log->last_stable_offset(in.log->end_offset());
        std::vector<storage::EpochEnd> epochs;
        for (int epoch = 0; epoch < 5; ++epoch) epochs.push_back(in.log->end_of_epoch(LeaderEpoch(epoch)));
        const auto aborted = [&] {
            return in.try_read(Offset(0), {.bound = stable, .bytes_max = 1, .at_least_one_batch = true,
                                           .with_aborted = true})->aborted;
        };
        const auto all_aborted = [&] {
            std::vector<storage::AbortedTransaction> all;
            for (Offset from(0); from < stable;) {
                const auto result = in.try_read(from, {.bound = stable, .bytes_max = 1 << 20,
                                                       .at_least_one_batch = true, .with_aborted = true});
                REQUIRE(result);
                for (const auto& one : result->aborted) {
                    if (std::ranges::find(all, one) == all.end()) all.push_back(one);
                }
                const auto bytes = in.bytes_of(*result);
                if (bytes.empty()) break;
                for (auto rest = std::span(bytes); !rest.empty();) {
                    const auto batch = records::Batch::read(rest);
                    from = batch->last_offset() + 1;
                    rest = rest.subspan(batch->size());
                }
            }
            return all;
        };
        const auto aborted_before = all_aborted();
        CHECK(aborted_before.size() > 5);
        const auto first_aborted = aborted();
        for (const bool clean : {false, true}) {
            CAPTURE(clean);
            if (clean) {
                in.close_and_open();
            } else {
                in.kill_and_open();
            }
            CHECK(in.log->producers().facts() == producers);
            CHECK(in.log->producers().facts() == test::replayed(in.disk));
            CHECK(in.log->last_stable_offset(in.log->end_offset()) == stable);
            CHECK(all_aborted() == aborted_before);
            CHECK(aborted() == first_aborted);
            for (int epoch = 0; epoch < 5; ++epoch) {
                CHECK(in.log->end_of_epoch(LeaderEpoch(epoch)).end == epochs[std::size_t(epoch)].end);
            }
            test::check_invariants(in);
        }
    }

    TEST_CASE("the last segment cut at any byte keeps every whole batch behind the recovery point") {
        const Partition whole(false);
        std::filesystem::path name;
        for (const auto& one : whole.in.own.names()) {
            if (one.ends_with(".log")) name = one;
        }
        SimulatedDisk pristine = whole.in.own.copy();
        const auto size = pristine.bytes_of(name).size();
        const Offset first = storage::parse_file_name(name.filename().string())->offset;
        for (std::size_t cut = 0; cut < size; ++cut) {
            CAPTURE(cut);
            // Nothing of it was synced: the torn tail goes, the rest stays.
            SimulatedDisk torn = pristine.copy();
            torn.bytes_of(name).resize(cut);
            LogFixture in(torn, whole.in.config);
            in.recovery_point = first;
            in.open();
            test::check_invariants(in);
            const auto kept = in.bases(Offset(0));
            CHECK(std::equal(kept.begin(), kept.end(), whole.bases.begin()));
            std::uint64_t whole_bytes = 0;
            for (const auto& [base, bytes] : whole.content) {
                if (base < first.value()) continue;
                if (whole_bytes + bytes.size() > cut) break;
                whole_bytes += bytes.size();
            }
            CHECK(torn.bytes_of(name).size() == whole_bytes);
            // All of it was synced: nothing goes, and nothing is served as if it were whole.
            SimulatedDisk synced = pristine.copy();
            synced.bytes_of(name).resize(cut);
            LogFixture strict(synced, whole.in.config);
            strict.recovery_point = whole.end;
            const auto opened = strict.try_open();
            REQUIRE_FALSE(opened);
            CHECK(opened.error().kind == FaultKind::corrupt);
            CHECK(synced.bytes_of(name).size() == cut);
        }
    }

    TEST_CASE("a recovery point that DeleteRecords moved along with the start says nothing of syncs") {
        // Apache Kafka writes both checkpoints with an offset in the middle of a batch.
        LogFixture in;
        in.add({.count = 30});
        in.add({.count = 30});
        in.recovery_point = in.log_start = Offset(25);
        in.kill_and_open();
        CHECK(in.log->log_start_offset() == Offset(25));
        CHECK(in.log->end_offset() == Offset(60));
        CHECK(in.bases(Offset(25)) == std::vector<std::int64_t>{0, 30});
    }

    TEST_CASE("indexes of any length are mended, and every offset is found") {
        for (const bool clean : {true, false}) {
            const Partition whole(clean);
            for (const auto& [name, bytes] : whole.in.own.content()) {
                if (!name.ends_with("index")) continue;
                for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
                    CAPTURE(name);
                    CAPTURE(cut);
                    SimulatedDisk disk = whole.in.own.copy();
                    if (cut == bytes.size()) {
                        REQUIRE(disk.remove_file(name));
                    } else {
                        disk.bytes_of(name).resize(cut);
                    }
                    LogFixture in(disk, whole.in.config);
                    in.recovery_point = whole.end;
                    in.was_clean = clean;
                    in.open();
                    for (std::int64_t offset = 0; offset < whole.end.value(); ++offset) {
                        const auto got = in.bytes_of(in.read(Offset(offset), 1));
                        REQUIRE(records::Batch::read(got)->base_offset().value() == offset / 2 * 2);
                    }
                    const auto found = in.log->find_time(*in.log->time_plan(), 1050);
                    REQUIRE(found);
                    REQUIRE(*found);
                    CHECK((*found)->offset == Offset(10));
                }
            }
        }
    }

    TEST_CASE("one bit flipped in any byte of any file never gives a wrong record") {
        for (const bool clean : {true, false}) {
            const Partition whole(clean);
            std::mt19937 random(5);
            for (const auto& [name, bytes] : whole.in.own.content()) {
                if (bytes.empty()) continue;
                for (std::size_t at = 0; at < bytes.size(); ++at) {
                    const auto bit = random() % 8;
                    CAPTURE(name);
                    CAPTURE(at);
                    CAPTURE(bit);
                    SimulatedDisk disk = whole.in.own.copy();
                    disk.bytes_of(name)[at] ^= std::byte(1u << bit);
                    disk.damaged(name);
                    check_no_wrong_record(whole, disk, whole.end);
                }
            }
        }
    }

    TEST_CASE("a bit flipped behind the recovery point ends the log there, and nothing before it goes") {
        const Partition whole(false);
        std::mt19937 random(6);
        for (const auto& [name, bytes] : whole.in.own.content()) {
            if (!name.ends_with(".log")) continue;
            for (std::size_t at = 0; at < bytes.size(); at += 3) {
                CAPTURE(name);
                CAPTURE(at);
                // Nothing confirms or contradicts the first offset of the last batch.
                const auto last_at = bytes.size() - whole.content.rbegin()->second.size();
                if (name.ends_with("020.log") && at >= last_at && at < last_at + 8) continue;
                SimulatedDisk disk = whole.in.own.copy();
                disk.bytes_of(name)[at] ^= std::byte(1u << (random() % 8));
                check_no_wrong_record(whole, disk, Offset(0));
            }
        }
    }
}
