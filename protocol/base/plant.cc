#include "protocol/base/plant.h"

#ifdef MILENA_PLANTS
#include <cstdlib>
#include <iterator>

namespace base {
namespace {

constexpr std::string_view names[] = {
    "ack-before-sync",     "torn-tail-kept",        "retry-after-failed-sync",
    "producer-id-reused",  "unstable-is-stable",    "crc-of-wrong-range",
    "index-off-by-one",    "names-not-synced",      "any-generation-commits",
    "repetition-appended", "count-unchecked",       "checkpoint-before-data",
    "controller-unfenced", "outsider-elected",      "told-before-written",
    "leader-epoch-kept",   "ack-before-isr",        "isr-never-shrunk",
    "logs-not-compared",   "stale-leader-accepted",
};

static_assert(std::size(names) == static_cast<std::size_t>(Plant::stale_leader_accepted) + 1);

std::string_view wanted() noexcept {
    static const char* const name = std::getenv("MILENA_PLANT");
    return name ? name : "";
}

}  // namespace

bool is_planted(Plant plant) noexcept {
    return wanted() == names[static_cast<std::size_t>(plant)];
}

}  // namespace base
#endif
