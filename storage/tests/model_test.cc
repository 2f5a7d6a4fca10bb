// Random operations on a log and on a model of it, which is a map; then compare.

#include "storage/tests/invariants.h"

#include <doctest/doctest.h>

#include <cstdlib>

using base::Offset;
using test::LogFixture;

namespace {

struct Model {
    std::map<std::int64_t, std::vector<std::byte>> batches;  // By base offset.
    std::int64_t start = 0;
    std::int64_t end = 0;
    std::int64_t recovery_point = 0;

    // The first batch that a reader at an offset gets.
    const std::vector<std::byte>* at(std::int64_t offset) const {
        for (const auto& [base, bytes] : batches) {
            if (storage::read_entry_header(bytes)->last.value() >= offset) return &bytes;
        }
        return nullptr;
    }
};

class Walk {
public:
    explicit Walk(std::uint64_t seed)
        : random_(seed),
          in_({.segment_bytes = 700 + std::int64_t(random_() % 1500),
               .index_interval_bytes = std::int64_t(random_() % 400)},
              seed) {}

    void run(int steps) {
        for (int step = 0; step < steps; ++step) {
            CAPTURE(step);
            one();
            compare();
        }
        in_.close_and_open();
        compare();
        test::check_invariants(in_);
    }

private:
    std::int64_t below(std::int64_t limit) { return std::int64_t(random_() % std::uint64_t(limit)); }

    void one() {
        switch (random_() % 16) {
            case 0:
                return flush();
            case 1:
                in_.remember();
                return;
            case 2:
                in_.kill_and_open();
                return;
            case 3:
                in_.close_and_open();
                return;
            case 4:
                return truncate();
            case 5:
                return advance();
            case 6:
                return retain();
            case 7:
                return append_replica();
            default:
                return append();
        }
    }

    void append() {
        const auto count = 1 + below(4);
        in_.leader_epoch = epoch_ += int(random_() % 10 == 0);
        const auto first = in_.add({.count = std::int32_t(count), .timestamp = 1000 + below(300),
                                    .value_bytes = std::size_t(below(120)),
                                    .codec = random_() % 4 == 0 ? records::Codec::lz4 : records::Codec::none,
                                    .key = std::to_string(random_() % 1000)});
        CHECK(first.value() == model_.end);
        model_.batches[model_.end] = in_.buffers.back();
        model_.end += count;
    }
    void append_replica() {
        in_.leader_epoch = epoch_ += int(random_() % 10 == 0);
        std::vector<std::byte> all;
        for (int i = 0; i < 3; ++i) {
            const auto count = 1 + below(3);
            const auto one = test::batch({.count = std::int32_t(count), .timestamp = 1000 + below(300),
                                          .base = Offset(model_.end), .leader_epoch = epoch_});
            all.insert(all.end(), one.begin(), one.end());
            model_.batches[model_.end] = one;
            model_.end += count;
        }
        in_.append(all, storage::Origin::replication);
    }
    void flush() {
        in_.flush(random_() % 2 == 0 ? storage::FlushKind::records : storage::FlushKind::checkpoint);
        CHECK(in_.log->recovery_point().value() == model_.end);
    }
    void truncate() {
        if (random_() % 3 != 0) return;
        const auto target = model_.end - below(std::min<std::int64_t>(model_.end - model_.start, 8) + 1);
        if (target < model_.start) return;
        in_.truncate(Offset(target));
        while (!model_.batches.empty() &&
               storage::read_entry_header(model_.batches.rbegin()->second)->last.value() >= target) {
            model_.end = model_.batches.rbegin()->first;
            model_.batches.erase(std::prev(model_.batches.end()));
        }
        model_.start = std::min(model_.start, model_.end);
        in_.log_start = Offset(model_.start);
    }
    void advance() {
        const auto to = model_.start + below(std::min<std::int64_t>(model_.end - model_.start, 5) + 1);
        in_.log->advance_log_start(Offset(to));
        model_.start = std::max(model_.start, to);
        in_.log_start = Offset(model_.start);
    }
    void retain() {
        const auto verdict = in_.log->judge(in_.log->retention_plan(in_.log->end_offset()), 1000);
        REQUIRE(verdict);
        auto dropped = in_.log->drop_segments(verdict->keep_from);
        REQUIRE(dropped.rename());
        REQUIRE(dropped.remove());
        std::erase_if(model_.batches,
                      [&](const auto& one) { return one.first < in_.log->first_base().value(); });
    }

    void compare() {
        REQUIRE(in_.log->end_offset().value() == model_.end);
        REQUIRE(in_.log->log_start_offset().value() == model_.start);
        for (int i = 0; i < 3 && model_.end > model_.start; ++i) {
            const auto from = model_.start + below(model_.end - model_.start);
            CAPTURE(from);
            const auto got = in_.bytes_of(in_.read(Offset(from), 1));
            const auto* const expected = model_.at(from);
            REQUIRE(expected != nullptr);
            CHECK(got == *expected);
        }
    }

    std::mt19937_64 random_;
    LogFixture in_;
    Model model_;
    int epoch_ = 0;
};

}  // namespace

TEST_SUITE("storage/model") {
    TEST_CASE("whatever is done to a log, it holds what a map would hold") {
        std::uint64_t first = 1, last = 60;
        if (const char* const seed = std::getenv("SEED")) first = last = std::strtoull(seed, nullptr, 10);
        for (std::uint64_t seed = first; seed <= last; ++seed) {
            CAPTURE(seed);
            Walk(seed).run(120);
        }
    }
}
