#include "broker/cluster/placement.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace broker {

using base::BrokerId;

namespace {

// A broker of each rack in turn, racks by name and brokers by id.
std::vector<Seat> in_turn(const std::vector<Seat>& seats) {
    std::map<std::string, std::vector<Seat>> racks;
    for (const Seat& seat : seats) racks[seat.rack.value_or("")].push_back(seat);
    std::vector<Seat> arranged;
    for (std::size_t round = 0; arranged.size() < seats.size(); ++round) {
        for (const auto& [rack, members] : racks) {
            if (round < members.size()) arranged.push_back(members[round]);
        }
    }
    return arranged;
}

// The others than the leader, in the order in which they are asked.
class Followers {
public:
    Followers(const std::vector<Seat>& seats, std::size_t leader, std::size_t shift)
        : seats_(seats), leader_(leader), shift_(shift) {}

    const Seat& next() {
        const std::size_t distance = 1 + shift_++ % (seats_.size() - 1);
        return seats_[(leader_ + distance) % seats_.size()];
    }

private:
    const std::vector<Seat>& seats_;
    const std::size_t leader_;
    std::size_t shift_;
};

// Of one partition. Brokers without racks count as one rack.
std::vector<BrokerId> replicas_of(const std::vector<Seat>& seats, std::size_t rack_count,
                                  std::int16_t factor, std::size_t leader, std::size_t shift) {
    std::vector<BrokerId> replicas{seats[leader].broker};
    std::set<std::optional<std::string>> racks{seats[leader].rack};
    Followers followers(seats, leader, shift);
    while (replicas.size() < static_cast<std::size_t>(factor)) {
        const Seat& seat = followers.next();
        const bool is_apart = racks.size() == rack_count || !racks.contains(seat.rack);
        if (!is_apart || std::ranges::find(replicas, seat.broker) != replicas.end()) continue;
        replicas.push_back(seat.broker);
        racks.insert(seat.rack);
    }
    return replicas;
}

}  // namespace

bool has_racks_in_part(const std::vector<Seat>& seats) {
    const auto with = std::ranges::count_if(seats, [](const Seat& seat) { return !!seat.rack; });
    return with != 0 && with != std::ssize(seats);
}

Assignment spread(std::int32_t count, std::int16_t replication_factor,
                  const std::vector<Seat>& seats, std::uint32_t start, std::uint32_t shift,
                  std::int32_t first) {
    const auto arranged = in_turn(seats);
    std::set<std::optional<std::string>> racks;
    for (const Seat& seat : seats) racks.insert(seat.rack);
    const std::size_t n = arranged.size();
    Assignment made;
    for (std::int32_t i = 0; i < count; ++i) {
        const auto partition = static_cast<std::size_t>(first + i);
        if (partition > 0 && partition % n == 0) ++shift;
        made.push_back(replicas_of(arranged, racks.size(), replication_factor,
                                   (partition + start) % n, shift * racks.size()));
    }
    return made;
}

}  // namespace broker
