// Compaction of random lives of a log, also when the process or the power ends at any call.
//
// A failing run prints its seed; SEED=n in the environment repeats it.

#include "storage/tests/cleaning_fixture.h"

#include <cstdlib>

using base::Offset;
using test::CleaningFixture;
using test::committed;
using test::Pair;
using test::SimulatedDisk;
using test::table_of;

namespace {

// A log with all that compaction has to tell apart.
class Life {
public:
    Life(CleaningFixture& in, std::uint64_t seed) : in_(in), random_(seed) {}

    void run(int steps) {
        for (int step = 0; step < steps; ++step) one(step);
        for (const auto& [producer, is_open] : open_) {
            if (is_open) in_.end_transaction(producer, false);
        }
        open_.clear();
    }

private:
    void one(int step) {
        const auto key = [&] { return "k" + std::to_string(random_() % 12); };
        std::vector<Pair> pairs;
        const auto count = 1 + random_() % 3;
        for (std::uint64_t i = 0; i < count; ++i) {
            Pair pair{key(), "v" + std::to_string(step) + "." + std::to_string(i)};
            if (random_() % 6 == 0) pair.value.reset();
            pairs.push_back(std::move(pair));
        }
        test::BatchOf of{.timestamp = in_.now_ms + std::int64_t(random_() % 50)};
        if (random_() % 4 == 0) of.codec = records::Codec::lz4;
        const std::int64_t producer = std::int64_t(random_() % 3);
        switch (random_() % 4) {
            case 0:
                of.producer = producer;
                of.sequence = sequences_[producer];
                of.transactional = true;
                sequences_[producer] += int(count);
                in_.put(pairs, of);
                open_[producer] = true;
                if (random_() % 2 == 0) {
                    in_.end_transaction(producer, random_() % 2 == 0);
                    open_[producer] = false;
                }
                return;
            case 1:
                of.producer = 10;
                of.sequence = sequences_[10];
                sequences_[10] += int(count);
                in_.put(pairs, of);
                return;
            default:
                in_.put(pairs, of);
        }
    }

    CleaningFixture& in_;
    std::mt19937_64 random_;
    std::map<std::int64_t, int> sequences_;
    std::map<std::int64_t, bool> open_;
};

}  // namespace

TEST_SUITE("storage/cleaning") {
    TEST_CASE("whatever is written, compaction changes nobody's table") {
        std::uint64_t first = 1, last = 40;
        if (const char* const seed = std::getenv("SEED"))
            first = last = std::strtoull(seed, nullptr, 10);
        for (std::uint64_t seed = first; seed <= last; ++seed) {
            CAPTURE(seed);
            std::mt19937_64 random(seed);
            CleaningFixture in({.segment_bytes = 300 + std::int64_t(random() % 900),
                                .delete_retention_ms = std::int64_t(random() % 3000)},
                               seed);
            Life life(in, seed);
            for (int round = 0; round < 6; ++round) {
                CAPTURE(round);
                life.run(12);
                in.seal();
                const auto before = table_of(committed(in));
                const auto all = in.records();
                const auto end = in.log->end_offset();
                in.now_ms += 1000;
                in.clean();
                if (random() % 2 == 0) in.remove_replaced();
                if (random() % 3 == 0) in.kill_and_open();
                CHECK(table_of(committed(in)) == before);
                CHECK(in.log->end_offset() == end);
                for (const auto& [offset, seen] : in.records()) {
                    REQUIRE(all.contains(offset));
                    CHECK(all.at(offset) == seen);
                }
                test::check_invariants(in);
            }
        }
    }

    TEST_CASE("killed at any call of a compaction, or without power there, nothing is lost") {
        const storage::LogConfig config{.segment_bytes = 500, .delete_retention_ms = 0};
        SimulatedDisk pristine;
        std::map<std::string, std::string> table;
        Offset end;
        std::vector<storage::ProducerFacts> producers;
        {
            CleaningFixture in(config);
            Life life(in, 4);
            life.run(14);
            in.seal();
            in.clean();
            in.remove_replaced();
            life.run(10);
            in.seal();
            table = table_of(committed(in));
            end = in.log->end_offset();
            producers = in.log->producers().facts();
            in.disk.settle();
            pristine = in.disk.copy();
        }
        bool finished = false;
        for (std::uint64_t call = 0; !finished; ++call) {
            REQUIRE(call < 300);
            for (std::uint64_t seed = 0; seed < 3; ++seed) {
                CAPTURE(call);
                CAPTURE(seed);
                SimulatedDisk disk(seed + 1);
                disk.take_over(pristine.copy());
                CleaningFixture in(disk, config);
                in.now_ms = 9000;
                in.recovery_point = end;
                in.open();
                in.flush();
                disk.settle();
                disk.kill_at(disk.changes() + call);
                finished = in.try_clean().has_value();
                in.replaced.clear();
                in.log.reset();
                if (seed == 0) {
                    disk.revive();
                } else {
                    disk.lose_power();
                }
                in.open();
                CHECK(in.log->end_offset() == end);
                CHECK(table_of(committed(in)) == table);
                auto there = in.log->producers().facts();
                for (auto& one : there) {
                    const auto was = std::ranges::find(producers, one.producer,
                                                       &storage::ProducerFacts::producer);
                    REQUIRE(was != producers.end());
                    CHECK(one.last_sequence == was->last_sequence);
                    CHECK(one.epoch == was->epoch);
                }
                test::check_invariants(in);
                for (const auto& name : disk.names()) {
                    CHECK_FALSE(name.ends_with(".cleaned"));
                    CHECK_FALSE(name.ends_with(".swap"));
                }
                in.seal();
                in.clean();
                CHECK(table_of(committed(in)) == table);
            }
        }
    }
}
