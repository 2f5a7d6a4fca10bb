// Isr: who is in sync, and what is committed, on numbers alone.

#include "broker/replica/isr.h"

#include <doctest/doctest.h>

namespace {

using base::BrokerId;
using base::Offset;
using broker::Isr;

constexpr std::int64_t lag_ms = 1000;

Isr::Brokers brokers(std::initializer_list<int> ids) {
    Isr::Brokers all;
    for (const int id : ids) all.emplace_back(id);
    return all;
}

// Broker 1 leads, and its clock stands at 0.
Isr led(std::initializer_list<int> replicas, std::initializer_list<int> isr) {
    return Isr({BrokerId(1), brokers(replicas), brokers(isr), 5}, 0, lag_ms);
}

}  // namespace

TEST_SUITE("broker/isr") {
    TEST_CASE("an only replica commits what it has") {
        const Isr isr;
        CHECK(isr.size() == 1);
        CHECK(isr.high_watermark(Offset(7), 1, 0) == Offset(7));
        CHECK_FALSE(isr.shrink(Offset(7), 100 * lag_ms));
    }

    TEST_CASE("the high watermark is what every in-sync replica has") {
        auto isr = led({1, 2, 3}, {1, 2, 3});
        CHECK(isr.high_watermark(Offset(10), 1, 0) == Offset(-1));  // Nobody has fetched yet.
        CHECK(isr.fetched(BrokerId(2), Offset(10), Offset(10), 1));
        CHECK(isr.fetched(BrokerId(3), Offset(6), Offset(10), 1));
        CHECK(isr.high_watermark(Offset(10), 1, 1) == Offset(6));
        CHECK(isr.fetched(BrokerId(3), Offset(10), Offset(10), 2));
        CHECK(isr.high_watermark(Offset(10), 1, 2) == Offset(10));
    }

    TEST_CASE("a broker that is no replica moves nothing") {
        auto isr = led({1, 2}, {1, 2});
        CHECK_FALSE(isr.fetched(BrokerId(9), Offset(10), Offset(10), 1));
        CHECK_FALSE(isr.fetched(BrokerId(1), Offset(10), Offset(10), 1));
        CHECK(isr.high_watermark(Offset(10), 1, 1) == Offset(-1));
    }

    TEST_CASE("nothing is committed while the ISR is smaller than min.insync.replicas") {
        auto isr = led({1, 2}, {1});
        CHECK(isr.high_watermark(Offset(10), 1, 5 * lag_ms) == Offset(10));
        CHECK_FALSE(isr.high_watermark(Offset(10), 2, 5 * lag_ms));
    }

    TEST_CASE("a follower outside the ISR that keeps up holds the high watermark back") {
        auto isr = led({1, 2}, {1});
        isr.fetched(BrokerId(2), Offset(10), Offset(10), 100);
        CHECK(isr.high_watermark(Offset(12), 1, 200) == Offset(10));
        CHECK(isr.high_watermark(Offset(12), 1, 100 + lag_ms + 1) == Offset(12));
    }

    TEST_CASE("a follower comes in when it has the high watermark and the start of the term") {
        auto isr = led({1, 2}, {1});
        isr.fetched(BrokerId(2), Offset(7), Offset(10), 1);
        CHECK_FALSE(isr.expansion(BrokerId(2), Offset(8), Offset(5)));
        CHECK_FALSE(isr.expansion(BrokerId(2), Offset(6), Offset(9)));
        const auto wanted = isr.expansion(BrokerId(2), Offset(7), Offset(7));
        REQUIRE(wanted);
        CHECK(*wanted == Isr::Proposal{brokers({1, 2}), 5});
        CHECK_FALSE(isr.expansion(BrokerId(9), Offset(0), Offset(0)));
    }

    TEST_CASE("a proposed member holds the high watermark back until the controller has answered") {
        auto isr = led({1, 2}, {1});
        isr.fetched(BrokerId(2), Offset(10), Offset(10), 1);
        isr.propose(*isr.expansion(BrokerId(2), Offset(10), Offset(0)));
        const std::int64_t later = 10 * lag_ms;
        CHECK(isr.high_watermark(Offset(20), 1, later) == Offset(10));
        CHECK(isr.size() == 1);
        CHECK_FALSE(isr.expansion(BrokerId(2), Offset(10), Offset(0)));
        CHECK_FALSE(isr.shrink(Offset(20), later));
        SUBCASE("it said yes") {
            isr.commit(brokers({1, 2}), 6);
            CHECK(isr.high_watermark(Offset(20), 1, later) == Offset(10));
            CHECK(isr.size() == 2);
            CHECK(isr.partition_epoch() == 6);
        }
        SUBCASE("it said no") {
            isr.reject();
            CHECK(isr.high_watermark(Offset(20), 1, later) == Offset(20));
            CHECK(isr.expansion(BrokerId(2), Offset(10), Offset(0)));
        }
    }

    TEST_CASE("who does not catch up in time goes, and counts until the controller agrees") {
        auto isr = led({1, 2, 3}, {1, 2, 3});
        isr.fetched(BrokerId(2), Offset(0), Offset(0), 1);
        isr.fetched(BrokerId(3), Offset(0), Offset(0), 1);
        CHECK_FALSE(isr.shrink(Offset(4), 1 + lag_ms));
        isr.fetched(BrokerId(3), Offset(4), Offset(4), 1 + lag_ms);
        const auto wanted = isr.shrink(Offset(4), 2 + lag_ms);
        REQUIRE(wanted);
        CHECK(*wanted == Isr::Proposal{brokers({1, 3}), 5});
        isr.propose(*wanted);
        CHECK(isr.high_watermark(Offset(4), 1, 2 + lag_ms) == Offset(0));
        isr.commit(wanted->isr, 6);
        CHECK(isr.high_watermark(Offset(4), 1, 2 + lag_ms) == Offset(4));
    }

    TEST_CASE("a follower that has all there is stays, however long ago it asked") {
        auto isr = led({1, 2}, {1, 2});
        isr.fetched(BrokerId(2), Offset(4), Offset(4), 1);
        CHECK_FALSE(isr.shrink(Offset(4), 100 * lag_ms));
    }

    TEST_CASE("a follower that has never fetched goes, though the log is empty") {
        const auto isr = led({1, 2}, {1, 2});
        CHECK_FALSE(isr.shrink(Offset(0), lag_ms));
        CHECK(isr.shrink(Offset(0), lag_ms + 1));
    }

    TEST_CASE("one that is always a Fetch behind a busy leader keeps up") {
        auto isr = led({1, 2}, {1, 2});
        std::int64_t now = 0;
        Offset end(0);
        for (int i = 0; i < 10; ++i) {
            // It asks for what was the end when it asked last.
            isr.fetched(BrokerId(2), end, end + 5, now);
            end = end + 5;
            now += lag_ms / 2;
            CHECK_FALSE(isr.shrink(end + 5, now));
        }
        isr.fetched(BrokerId(2), end + -5, end + 5, now);  // It has fallen behind.
        CHECK(isr.shrink(end + 5, now + lag_ms));
    }

    TEST_CASE(
        "what all who are alive have deleted is known when each has said where its log starts") {
        auto isr = led({1, 2, 3}, {1, 2, 3});
        const auto all = brokers({1, 2, 3});
        CHECK(isr.low_watermark(Offset(7), all) == Offset(-1));
        CHECK(isr.starts_at(BrokerId(2), Offset(4)));
        CHECK_FALSE(isr.starts_at(BrokerId(2), Offset(4)));
        CHECK_FALSE(isr.starts_at(BrokerId(9), Offset(4)));
        CHECK(isr.low_watermark(Offset(7), brokers({1, 2})) == Offset(4));
        CHECK(isr.starts_at(BrokerId(3), Offset(9)));
        CHECK(isr.low_watermark(Offset(7), all) == Offset(4));
        CHECK(isr.low_watermark(Offset(7), brokers({1, 3})) == Offset(7));
    }

    TEST_CASE("a consumer reads from the follower in sync that has the offset and the most") {
        auto isr = led({1, 2, 3, 4}, {1, 2, 3});
        for (const int id : {2, 3, 4}) {
            isr.fetched(BrokerId(id), Offset(id * 10), Offset(50), 1);
            isr.starts_at(BrokerId(id), Offset(5));
        }
        const auto all = brokers({1, 2, 3, 4});
        CHECK(isr.best_of(all, Offset(12)) == BrokerId(3));
        CHECK(isr.best_of(brokers({2, 4}), Offset(12)) == BrokerId(2));
        CHECK_FALSE(isr.best_of(brokers({2, 4}), Offset(21)));
        CHECK_FALSE(isr.best_of(all, Offset(4)));
    }
}
