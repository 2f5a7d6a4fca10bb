// Turns: who waits in line.

#include "broker/api/turns.h"

#include <doctest/doctest.h>

#include <optional>
#include <vector>

using broker::Turns;

TEST_CASE("turns come in the order in which the places were taken, without those who left") {
    Turns turns;
    CHECK(turns.empty());
    std::vector<int> order;
    std::optional first(turns.join());
    std::optional second(turns.join());
    std::optional third(turns.join());
    std::optional fourth(turns.join());
    CHECK(first->is_first());
    CHECK(!second->is_first());
    second->when_first([&] { order.push_back(2); });
    third->when_first([&] { order.push_back(3); });
    third.reset();
    CHECK(order.empty());
    first.reset();
    CHECK(order == std::vector{2});
    CHECK(second->is_first());
    second.reset();
    CHECK(fourth->is_first());  // It had asked for no wake.
    fourth.reset();
    CHECK(turns.empty());
}

TEST_CASE("a place may outlive the line it was in") {
    std::optional<Turns> turns(std::in_place);
    const auto place = turns->join();
    turns.reset();
    CHECK(place.is_first());
}
