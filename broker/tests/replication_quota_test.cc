// ReplicationQuota, on a clock of numbers.

#include "broker/replica/replication_quota.h"

#include <doctest/doctest.h>

namespace {

using base::BrokerId;
using base::PartitionIndex;
using broker::ReplicationQuota;

}  // namespace

TEST_SUITE("broker/replica") {
    TEST_CASE("a quota is exceeded when ten seconds' worth went in less, and heals with time") {
        ReplicationQuota quota;
        CHECK_FALSE(quota.is_exceeded(1000, 5'000));
        quota.charge(9'999, 5'000);
        CHECK_FALSE(quota.is_exceeded(1000, 5'000));
        quota.charge(1, 5'900);
        CHECK(quota.is_exceeded(1000, 5'900));
        CHECK_FALSE(quota.is_exceeded(1001, 5'900));
        CHECK(quota.is_exceeded(1000, 15'999));
        CHECK_FALSE(quota.is_exceeded(1000, 16'000));  // What went in the sixth second is over.
    }

    TEST_CASE("a second that comes round again begins with nothing") {
        ReplicationQuota quota;
        quota.charge(50'000, 3'000);
        quota.charge(10, 14'000);
        CHECK_FALSE(quota.is_exceeded(2, 14'000));
        CHECK(quota.is_exceeded(1, 14'000));
    }

    TEST_CASE("without a rate nobody is held back") {
        ReplicationQuota quota;
        quota.charge(std::size_t{1} << 40, 1'000);
        CHECK_FALSE(quota.is_exceeded(ReplicationQuota::unlimited, 1'000));
    }

    TEST_CASE("throttled replicas are named one by one, or all at once") {
        const PartitionIndex partition(3);
        CHECK(broker::names_replica({"*"}, partition, BrokerId(1)));
        CHECK(broker::names_replica({"0:1", "3:2"}, partition, BrokerId(2)));
        CHECK_FALSE(broker::names_replica({"0:1", "3:2"}, partition, BrokerId(1)));
        CHECK_FALSE(broker::names_replica({}, partition, BrokerId(1)));
    }
}
