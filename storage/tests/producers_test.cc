#include "storage/producers.h"

#include "protocol/tests/hex.h"
#include "storage/producer_snapshot.h"

#include <doctest/doctest.h>

#include <limits>

using base::Offset;
using base::ProducerId;
using storage::Marker;
using storage::ProducerBatch;
using storage::Producers;
using storage::RefusalKind;

namespace {

struct Fixture {
    ProducerBatch batch(std::int32_t first, std::int32_t last, std::int16_t epoch = 0,
                        bool transactional = false) const {
        return {.producer = ProducerId(1), .epoch = epoch, .first_sequence = first,
                .last_sequence = last, .first = next, .last = next + (std::int64_t{last} - first),
                .timestamp = std::int64_t{100} + first, .transactional = transactional};
    }
    ProducerBatch marker(bool commit, std::int32_t coordinator_epoch = 0, std::int16_t epoch = 0) const {
        return {.producer = ProducerId(1), .epoch = epoch, .first = next, .last = next,
                .timestamp = 100, .transactional = true,
                .marker = Marker{commit, coordinator_epoch}};
    }
    std::optional<storage::AbortedTransaction> commit(const ProducerBatch& one) {
        next = one.last + 1;
        return producers.commit(one);
    }
    bool is_new(const ProducerBatch& one) const {
        const auto judged = producers.check(one);
        return judged && !*judged;
    }
    RefusalKind refusal(const ProducerBatch& one) const { return producers.check(one).error().kind; }

    Producers producers;
    Offset next{};
};

constexpr std::int32_t last_sequence = std::numeric_limits<std::int32_t>::max();

}  // namespace

TEST_SUITE("storage/producers") {
    TEST_CASE("of an unknown producer any sequence is accepted") {
        Fixture in;
        CHECK(in.is_new(in.batch(17, 19, 4)));
    }

    TEST_CASE("the next sequence is accepted, any other is out of order") {
        Fixture in;
        in.commit(in.batch(0, 4));
        CHECK(in.is_new(in.batch(5, 5)));
        CHECK(in.refusal(in.batch(6, 6)) == RefusalKind::out_of_order_sequence);
        CHECK(in.refusal(in.batch(4, 5)) == RefusalKind::out_of_order_sequence);
    }

    TEST_CASE("0 follows the last sequence there is") {
        Fixture in;
        in.commit(in.batch(last_sequence - 1, last_sequence));
        CHECK(in.is_new(in.batch(0, 3)));
    }

    TEST_CASE("the last five batches are known again, with their offsets and timestamps") {
        Fixture in;
        for (std::int32_t i = 0; i < 7; ++i) in.commit(in.batch(2 * i, 2 * i + 1));
        for (std::int32_t i = 2; i < 7; ++i) {
            const auto judged = in.producers.check(in.batch(2 * i, 2 * i + 1));
            REQUIRE(judged);
            REQUIRE(*judged);
            CHECK((*judged)->first == Offset(2 * i));
            CHECK((*judged)->last == Offset(2 * i + 1));
            CHECK((*judged)->timestamp == 100 + 2 * i);
            CHECK_FALSE((*judged)->is_reserved);
        }
        CHECK(in.refusal(in.batch(2, 3)) == RefusalKind::out_of_order_sequence);
    }

    TEST_CASE("an older epoch is refused, a newer one starts at 0") {
        Fixture in;
        in.commit(in.batch(0, 4, 3));
        CHECK(in.refusal(in.batch(5, 5, 2)) == RefusalKind::stale_producer_epoch);
        CHECK(in.refusal(in.batch(5, 5, 4)) == RefusalKind::out_of_order_sequence);
        CHECK(in.is_new(in.batch(0, 0, 4)));
        // The same sequences of an older epoch are no repetition.
        CHECK(in.is_new(in.batch(0, 4, 4)));
    }

    TEST_CASE("after a marker of a newer epoch the next sequence is 0") {
        Fixture in;
        in.commit(in.batch(0, 4, 0, true));
        in.commit(in.marker(false, 0, 1));
        CHECK(in.is_new(in.batch(0, 0, 1)));
        CHECK(in.refusal(in.batch(5, 5, 1)) == RefusalKind::out_of_order_sequence);
        CHECK(in.refusal(in.batch(5, 5, 0)) == RefusalKind::stale_producer_epoch);
    }

    TEST_CASE("a plain batch does not go into an open transaction") {
        Fixture in;
        in.commit(in.batch(0, 0, 0, true));
        CHECK(in.refusal(in.batch(1, 1)) == RefusalKind::invalid_transaction);
        CHECK(in.is_new(in.batch(1, 1, 0, true)));
        in.commit(in.marker(true));
        CHECK(in.is_new(in.batch(1, 1)));
    }

    TEST_CASE("a marker of an older coordinator or producer is refused") {
        Fixture in;
        in.commit(in.batch(0, 0, 2, true));
        in.commit(in.marker(true, 5, 2));
        CHECK(in.refusal(in.marker(true, 4, 2)) == RefusalKind::coordinator_fenced);
        CHECK(in.refusal(in.marker(true, 5, 1)) == RefusalKind::stale_producer_epoch);
        CHECK(in.is_new(in.marker(true, 5, 2)));
    }

    TEST_CASE("what is reserved counts for the next check, and is gone when it is forgotten") {
        Fixture in;
        const auto first = in.batch(0, 1);
        in.producers.reserve(first);
        in.next = Offset(2);
        const auto second = in.batch(2, 3);
        CHECK(in.is_new(second));
        in.producers.reserve(second);
        const auto again = in.producers.check(first);
        REQUIRE(*again);
        CHECK((*again)->is_reserved);
        in.commit(first);
        CHECK_FALSE((*in.producers.check(first))->is_reserved);
        CHECK((*in.producers.check(second))->is_reserved);
        in.producers.forget_reserved();
        CHECK(in.is_new(second));
        CHECK((*in.producers.check(first))->first == Offset(0));
    }

    TEST_CASE("the first unstable offset is that of the oldest transaction that is not settled") {
        Fixture in;
        CHECK_FALSE(in.producers.first_unstable(Offset(100)));
        in.commit(in.batch(0, 4, 0, true));  // 0 to 4
        CHECK(in.producers.first_unstable(Offset(5)) == Offset(0));
        in.commit(in.marker(true));  // 5
        // Until the high watermark has passed the marker it holds readers back.
        CHECK(in.producers.first_unstable(Offset(5)) == Offset(0));
        CHECK_FALSE(in.producers.first_unstable(Offset(6)));
        in.commit(in.batch(5, 5, 0, true));  // 6
        CHECK(in.producers.first_unstable(Offset(7)) == Offset(6));
        in.producers.replicated_to(Offset(6));
        CHECK(in.producers.first_unstable(Offset(0)) == Offset(6));
    }

    TEST_CASE("an abort names the transaction and the stable offset after it") {
        Fixture in;
        auto other = in.batch(0, 0, 0, true);
        other.producer = ProducerId(2);
        in.commit(in.batch(0, 1, 0, true));  // 0, 1
        other.first = other.last = Offset(2);
        in.commit(other);
        const auto aborted = in.commit(in.marker(false));  // 3
        REQUIRE(aborted);
        CHECK(*aborted == storage::AbortedTransaction{ProducerId(1), Offset(0), Offset(3), Offset(2)});
        // A marker without data aborts nothing.
        CHECK_FALSE(in.commit(in.marker(false)));
        CHECK_FALSE(in.commit(in.marker(true)));
    }

    TEST_CASE("idle producers are forgotten, but not inside a transaction") {
        Fixture in;
        in.commit(in.batch(0, 0));  // At time 100.
        in.producers.expire(1099, 1000);
        CHECK(in.producers.size() == 1);
        in.producers.expire(1100, 1000);
        CHECK(in.producers.size() == 0);
        in.commit(in.batch(1, 1, 0, true));
        in.producers.expire(1'000'000, 1000);
        CHECK(in.producers.size() == 1);
    }

    TEST_CASE("a snapshot is the bytes that Apache Kafka writes") {
        Producers producers;
        producers.commit({.producer = ProducerId(1000), .epoch = 0, .first_sequence = 0,
                          .last_sequence = 1, .first = Offset(0), .last = Offset(1),
                          .timestamp = 1700000000005});
        const auto golden = test::hex(
            "0001 0fab3f35 00000001 00000000000003e8 0000 00000001 0000000000000001 00000001"
            "0000018bcfe56805 ffffffff ffffffffffffffff");
        CHECK(storage::encode_snapshot(producers.facts()) == golden);
        const auto facts = storage::decode_snapshot(golden);
        REQUIRE(facts);
        CHECK(*facts == producers.facts());
    }

    TEST_CASE("a restored state judges like the one it was taken from") {
        Fixture in;
        in.commit(in.batch(last_sequence - 1, 0));
        in.next = Offset(10);
        in.commit({.producer = ProducerId(1), .epoch = 0, .first_sequence = last_sequence,
                   .last_sequence = 2, .first = Offset(10), .last = Offset(13), .timestamp = 5,
                   .transactional = true});
        Producers restored;
        restored.restore(in.producers.facts());
        CHECK(restored.facts() == in.producers.facts());
        CHECK(restored.first_unstable(Offset(14)) == Offset(10));
        const auto again = restored.check({.producer = ProducerId(1), .epoch = 0,
                                           .first_sequence = last_sequence, .last_sequence = 2,
                                           .transactional = true});
        REQUIRE(again);
        REQUIRE(*again);
        CHECK((*again)->first == Offset(10));
    }

    TEST_CASE("a snapshot that was cut or changed anywhere is not valid") {
        Fixture in;
        in.commit(in.batch(0, 4, 3, true));
        const auto whole = storage::encode_snapshot(in.producers.facts());
        for (std::size_t size = 0; size < whole.size(); ++size) {
            CHECK_FALSE(storage::decode_snapshot(std::span(whole).first(size)));
        }
        for (std::size_t at = 0; at < whole.size(); ++at) {
            auto changed = whole;
            changed[at] ^= std::byte{0x10};
            CHECK_FALSE(storage::decode_snapshot(changed));
        }
        auto longer = whole;
        longer.push_back(std::byte{0});
        CHECK_FALSE(storage::decode_snapshot(longer));
    }
}
