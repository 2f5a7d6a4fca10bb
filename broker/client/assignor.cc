#include "broker/client/assignor.h"

#include <algorithm>
#include <tuple>

namespace broker::inline client {

Assignments assign_ranges(std::vector<Subscriber> subscribers,
                          const std::map<std::string, std::int32_t>& partition_counts) {
    std::ranges::sort(subscribers, [](const Subscriber& a, const Subscriber& b) {
        return std::tuple(!a.instance_id, a.instance_id, a.member_id) <
               std::tuple(!b.instance_id, b.instance_id, b.member_id);
    });
    Assignments assigned;
    for (const auto& each : subscribers) assigned[each.member_id];
    for (const auto& [topic, partitions] : partition_counts) {
        std::vector<const Subscriber*> readers;
        for (const auto& each : subscribers) {
            if (std::ranges::find(each.topics, topic) != each.topics.end())
                readers.push_back(&each);
        }
        if (readers.empty()) continue;
        const auto count = static_cast<std::int32_t>(readers.size());
        std::int32_t next = 0;
        for (std::int32_t reader = 0; reader < count; ++reader) {
            const auto run = partitions / count + (reader < partitions % count ? 1 : 0);
            auto& mine = assigned[readers[static_cast<std::size_t>(reader)]->member_id];
            for (std::int32_t left = run; left > 0; --left)
                mine.push_back({topic, base::PartitionIndex(next++)});
        }
    }
    return assigned;
}

}  // namespace broker
