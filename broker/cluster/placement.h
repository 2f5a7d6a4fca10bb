// Placement: which brokers get the replicas of new partitions. Pure.
//
//     no racks      brokers by id; the first replicas go round, the others follow at a distance
//                   that grows with each round
//     racks         the same, with the brokers of the racks in turn, and no second replica in one
//                   rack while another has none
//
// Source: facts/kafka.md §6.4.
#pragma once

#include "protocol/base/types.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace broker {

// By partition index: the replicas, preferred leader first.
using Assignment = std::vector<std::vector<base::BrokerId>>;

struct Seat {
    base::BrokerId broker;
    std::optional<std::string> rack = {};
};

// Why nothing is placed when some brokers have a rack (broker.rack), and others none.
constexpr std::string_view racks_in_part_sentence =
    "Some brokers have a rack and others do not (broker.rack), so it cannot be said which replicas "
    "would be apart.";
bool has_racks_in_part(const std::vector<Seat>& seats);

// Spread `count` partitions of `replication_factor` replicas, the first being number `first`.
// `start` and `shift`: where to begin; as a rule random numbers.
// Requires 1 <= replication_factor <= seats.size(), seats sorted by broker, no racks in part.
Assignment spread(std::int32_t count, std::int16_t replication_factor,
                  const std::vector<Seat>& seats, std::uint32_t start, std::uint32_t shift,
                  std::int32_t first = 0);

}  // namespace broker
