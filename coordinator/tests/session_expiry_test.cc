#include "coordinator/metadata/session_expiry.h"

#include <doctest/doctest.h>

#include <vector>

using coordinator::SessionExpiry;
using coordinator::SessionId;

namespace {

constexpr SessionId one(1);
constexpr SessionId two(2);
using Sessions = std::vector<SessionId>;

}  // namespace

TEST_SUITE("coordinator/metadata/session_expiry") {
    TEST_CASE("a session lives for its time-out, and for a tick more at most") {
        for (std::int64_t now_ms = 0; now_ms < 4000; now_ms += 333) {
            SessionExpiry expiry(2000);
            expiry.touch(one, 4000, now_ms);
            CHECK(*expiry.next_ms() > now_ms + 4000);
            CHECK(*expiry.next_ms() <= now_ms + 6000);
            CHECK(expiry.take_expired(now_ms + 4000).empty());
            CHECK(expiry.take_expired(now_ms + 6000) == Sessions{one});
            CHECK_FALSE(expiry.next_ms());
        }
    }

    TEST_CASE("a session that is heard of lives on, one that is forgotten does not end") {
        SessionExpiry expiry(2000);
        expiry.touch(one, 4000, 0);
        expiry.touch(two, 4000, 0);
        expiry.touch(one, 4000, 3000);
        expiry.forget(two);
        CHECK(expiry.take_expired(6000).empty());
        CHECK(expiry.take_expired(8000) == Sessions{one});
    }

    TEST_CASE("sessions that end together are found together") {
        SessionExpiry expiry(2000);
        expiry.touch(one, 4000, 100);
        expiry.touch(two, 4000, 900);
        CHECK(expiry.take_expired(6000) == Sessions{one, two});
    }

    TEST_CASE("a stall of ours ends no session: each gets that much more") {
        SessionExpiry expiry(2000);
        expiry.touch(one, 4000, 0);
        expiry.touch(two, 10'000, 0);
        CHECK(expiry.take_expired(30'000).empty());
        CHECK(expiry.next_ms() == 32'000);
        CHECK(expiry.take_expired(32'000) == Sessions{one});
        CHECK(expiry.next_ms() == 38'000);
    }
}
