// ZkQuota: a quota as ZooKeeper keeps it in a node: "count=5,bytes=-1".
//
// Pure. Source: Apache ZooKeeper's StatsTrack and Quotas.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace broker {

class ZkQuota {
public:
    static constexpr std::string_view root = "/zookeeper/quota";
    static constexpr std::string_view limits = "zookeeper_limits";
    static constexpr std::string_view stats = "zookeeper_stats";

    // Of a node's text; what cannot be read in it is left out.
    explicit ZkQuota(std::string_view text = {});

    // Keys: count, bytes, countHardLimit, byteHardLimit. -1: none.
    std::int64_t get(std::string_view key) const;
    void set(std::string_view key, std::int64_t value) { values_[std::string(key)] = value; }

    // Readers of old know of "count=1,bytes=2" only, so that comes first.
    std::string text() const;

private:
    std::map<std::string, std::int64_t, std::less<>> values_;
};

}  // namespace broker
