// Controllers that are deposed and do not know it, brokers that die and return, messages that come
// late, twice or never: from a seed.
//
// SEED=n in the environment runs that seed alone, SEEDS=n so many.

#include "coordinator/controller/tests/sim_world.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

using namespace test;

namespace {

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

}  // namespace

TEST_CASE("whatever happens to controllers, brokers and messages, the cluster's promises hold") {
    const std::uint64_t alone = from_environment("SEED", 0);
    const std::uint64_t count = alone != 0 ? 1 : from_environment("SEEDS", 2000);
    std::size_t elections = 0, acknowledgements = 0, depositions = 0, deletions = 0, moves = 0;
    for (std::uint64_t seed = 1; seed <= count; ++seed) {
        const std::uint64_t number = alone != 0 ? alone : seed;
        CAPTURE(number);
        SimWorld world(number);
        for (int i = 0; i < 300 && world.fault().empty(); ++i) world.step();
        if (world.fault().empty()) world.heal();
        if (world.fault().empty()) world.check();
        REQUIRE(world.fault() == "");
        elections += world.elections;
        acknowledgements += world.acknowledgements;
        depositions += world.depositions;
        deletions += world.deletions;
        moves += world.moves;
    }
    MESSAGE("controllers ", elections, ", deposed ", depositions, ", records ", acknowledgements,
            ", topics deleted ", deletions, ", moves ", moves);
    CHECK(elections > count);
    if (alone == 0) CHECK((acknowledgements > count && deletions > 0 && depositions > 0));
}
