// Quota: how many nodes and bytes may be, or are, below a path: what the nodes
// /zookeeper/quota/PATH/zookeeper_limits and .../zookeeper_stats hold.
//
//     count=10,bytes=-1=;byteHardLimit=-1;countHardLimit=20        limits; -1: none
//     count=3,bytes=120                                            stats
//
// Only hard limits are ever enforced; the others are a monitor's business. The tree keeps the
// stats, without a transaction of their own: they follow from the others.
//
// Source: Apache ZooKeeper's Quotas, StatsTrack and DataTree.
#pragma once

#include "coordinator/metadata/znode.h"

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace coordinator {

struct Quota {
    std::int64_t count = -1;
    std::int64_t bytes = -1;
    std::int64_t count_hard = -1;
    std::int64_t bytes_hard = -1;

    // What is no number, or missing, is -1.
    static Quota read(const Data& data);
    std::string stats() const;

    // Whether `now` may grow by so much under these limits.
    bool permits(const Quota& now, std::int64_t more_count, std::int64_t more_bytes) const;

    friend bool operator==(const Quota&, const Quota&) = default;
};

namespace quota {

constexpr std::string_view root = "/zookeeper/quota";
constexpr std::string_view limits_name = "zookeeper_limits";
constexpr std::string_view stats_name = "zookeeper_stats";

std::string limits_path(std::string_view path);
std::string stats_path(std::string_view path);

// The path that a node of such a name speaks of: "/a" of "/zookeeper/quota/a/zookeeper_limits".
std::optional<std::string> subject(std::string_view node, std::string_view name);

}  // namespace quota

// The paths that have limits.
class QuotaPaths {
public:
    void add(std::string path) { paths_.insert(std::move(path)); }
    void remove(const std::string& path) { paths_.erase(path); }

    // The longest of them that `path` is, or lies below.
    std::optional<std::string_view> above(std::string_view path) const;

private:
    std::set<std::string, std::less<>> paths_;
};

}  // namespace coordinator
