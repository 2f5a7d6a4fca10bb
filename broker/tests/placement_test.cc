// Placement: which brokers get the replicas of new partitions.

#include "broker/cluster/placement.h"

#include <doctest/doctest.h>

#include <map>
#include <set>

namespace {

using base::BrokerId;
using broker::Assignment;
using broker::Seat;
using broker::spread;

Assignment ids(std::vector<std::vector<int>> partitions) {
    Assignment made;
    for (const auto& partition : partitions) {
        auto& replicas = made.emplace_back();
        for (const int id : partition) replicas.emplace_back(id);
    }
    return made;
}

std::vector<Seat> plain(int count) {
    std::vector<Seat> seats;
    for (int id = 0; id < count; ++id) seats.push_back({BrokerId(id)});
    return seats;
}

// Brokers 0, 3 and 4 are in rack a, 1 and 5 in b, 2 in c.
const std::vector<Seat> racks = {{BrokerId(0), "a"}, {BrokerId(1), "b"}, {BrokerId(2), "c"},
                                 {BrokerId(3), "a"}, {BrokerId(4), "a"}, {BrokerId(5), "b"}};

}  // namespace

TEST_CASE("leaders go round, and followers at a distance that grows") {
    CHECK(spread(10, 3, plain(5), 0, 0) == ids({{0, 1, 2},
                                                {1, 2, 3},
                                                {2, 3, 4},
                                                {3, 4, 0},
                                                {4, 0, 1},
                                                {0, 2, 3},
                                                {1, 3, 4},
                                                {2, 4, 0},
                                                {3, 0, 1},
                                                {4, 1, 2}}));
    CHECK(spread(2, 1, plain(1), 7, 9) == ids({{0}, {0}}));
}

TEST_CASE("partitions that are added go on where the first ones were") {
    const auto all = spread(13, 3, plain(4), 2, 2);
    for (const int before : {1, 4, 8, 12}) {
        const auto added = spread(13 - before, 3, plain(4), 2,
                                  2 + static_cast<std::uint32_t>((before - 1) / 4), before);
        CHECK(added == Assignment(all.begin() + before, all.end()));
    }
}

TEST_CASE("brokers of the racks take turns") {
    // The turns are 0 1 2 3 5 4.
    CHECK(spread(6, 1, racks, 0, 0) == ids({{0}, {1}, {2}, {3}, {5}, {4}}));
    CHECK(spread(6, 3, racks, 0, 0) ==
          ids({{0, 1, 2}, {1, 2, 3}, {2, 3, 5}, {3, 5, 2}, {5, 4, 2}, {4, 1, 2}}));
    CHECK(spread(14, 2, racks, 4, 3) == ids({{5, 3},
                                             {4, 5},
                                             {0, 1},
                                             {1, 0},
                                             {2, 1},
                                             {3, 2},
                                             {5, 2},
                                             {4, 2},
                                             {0, 5},
                                             {1, 4},
                                             {2, 4},
                                             {3, 1},
                                             {5, 4},
                                             {4, 1}}));
}

TEST_CASE("no second replica goes to a rack while another has none") {
    for (std::uint32_t start = 0; start < 6; ++start) {
        for (std::uint32_t shift = 0; shift < 7; ++shift) {
            for (const auto& replicas : spread(50, 3, racks, start, shift)) {
                std::set<std::string> used;
                for (const auto id : replicas)
                    used.insert(racks[static_cast<std::size_t>(id.value())].rack.value());
                CHECK(used.size() == 3);
            }
            for (const auto& replicas : spread(50, 5, racks, start, shift)) {
                CHECK(std::set(replicas.begin(), replicas.end()).size() == 5);
            }
        }
    }
}

TEST_CASE("where all brokers have the same number in each rack, each leads as often") {
    const std::vector<Seat> even = {
        {BrokerId(1), "x"}, {BrokerId(2), "x"}, {BrokerId(3), "y"}, {BrokerId(4), "y"}};
    std::map<BrokerId, int> leads;
    std::map<BrokerId, int> has;
    for (const auto& replicas : spread(40, 2, even, 3, 1)) {
        ++leads[replicas.front()];
        for (const auto id : replicas) ++has[id];
    }
    for (const auto& seat : even) {
        CHECK(leads[seat.broker] == 10);
        CHECK(has[seat.broker] == 20);
    }
}

TEST_CASE("that only some brokers have a rack is seen") {
    CHECK_FALSE(broker::has_racks_in_part({}));
    CHECK_FALSE(broker::has_racks_in_part(plain(3)));
    CHECK_FALSE(broker::has_racks_in_part(racks));
    CHECK(broker::has_racks_in_part({{BrokerId(1), "a"}, {BrokerId(2)}}));
}
