#include "coordinator/metadata/spread.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

using namespace coordinator;

TEST_SUITE("spread") {
    TEST_CASE("a spread of nothing is 0, and one of one value is that value") {
        Spread spread;
        CHECK(spread.average() == 0.0);
        spread.add(-7);
        CHECK(spread.min == -7);
        CHECK(spread.max == -7);
        CHECK(spread.average() == -7.0);
    }

    TEST_CASE("an average has four places") {
        Spread spread;
        for (const std::int64_t value : {1, 1, 0}) spread.add(value);
        CHECK(spread.average() == 0.6667);
        CHECK(spread.sum == 2);
        CHECK(spread.count == 3);
    }

    TEST_CASE("a percentile is at most an eighth above the value that sorting finds") {
        std::mt19937_64 random(1);
        std::vector<std::int64_t> values;
        Histogram histogram;
        for (int i = 0; i < 10'000; ++i) {
            values.push_back(static_cast<std::int64_t>(random() >> (33 + random() % 31)));
            histogram.add(values.back());
        }
        std::ranges::sort(values);
        for (const double share : {0.5, 0.95, 0.99, 0.999}) {
            const auto at = static_cast<std::size_t>(std::ceil(share * 10'000)) - 1;
            CHECK(histogram.percentile(share) >= values[at]);
            CHECK(histogram.percentile(share) <= values[at] + values[at] / 8);
        }
        CHECK(histogram.percentile(1) == values.back());
    }

    TEST_CASE("small values are told exactly, and values of any size are taken") {
        Histogram histogram;
        CHECK(histogram.percentile(0.5) == 0);
        for (std::int64_t value = 0; value < 16; ++value) histogram.add(value);
        CHECK(histogram.percentile(0.5) == 7);
        histogram.add(-1);
        histogram.add(std::int64_t{1} << 40);
        CHECK(histogram.spread().min == 0);
        CHECK(histogram.percentile(1) == Histogram::value_max);
    }
}
