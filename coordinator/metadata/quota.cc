#include "coordinator/metadata/quota.h"

#include "coordinator/metadata/path.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace coordinator {

Quota Quota::read(const Data& data) {
    Quota made;
    std::string_view rest = data ? std::string_view(*data) : std::string_view();
    while (!rest.empty()) {
        const auto end = std::min(rest.find_first_of(",;"), rest.size());
        const auto pair = rest.substr(0, end);
        rest.remove_prefix(std::min(end + 1, rest.size()));
        const auto equals = std::min(pair.find('='), pair.size());
        const auto name = pair.substr(0, equals);
        const auto value = pair.substr(std::min(equals + 1, pair.size()));
        std::int64_t number = -1;
        std::from_chars(value.data(), value.data() + value.size(), number);
        if (name == "count") made.count = number;
        if (name == "bytes") made.bytes = number;
        if (name == "countHardLimit") made.count_hard = number;
        if (name == "byteHardLimit") made.bytes_hard = number;
    }
    return made;
}

std::string Quota::stats() const {
    return "count=" + std::to_string(count) + ",bytes=" + std::to_string(bytes);
}

bool Quota::permits(const Quota& now, std::int64_t more_count, std::int64_t more_bytes) const {
    const bool counts = more_count == 0 || count_hard < 0 || now.count + more_count <= count_hard;
    return counts && (more_bytes == 0 || bytes_hard < 0 || now.bytes + more_bytes <= bytes_hard);
}

namespace quota {

std::string limits_path(std::string_view path) {
    return std::string(root) + std::string(path) + "/" + std::string(limits_name);
}

std::string stats_path(std::string_view path) {
    return std::string(root) + std::string(path) + "/" + std::string(stats_name);
}

std::optional<std::string> subject(std::string_view node, std::string_view name) {
    if (!node.starts_with(root) || zk_path::name(node) != name) return std::nullopt;
    const auto path = zk_path::parent(node).substr(root.size());
    if (!path.starts_with('/')) return std::nullopt;
    return std::string(path);
}

}  // namespace quota

std::optional<std::string_view> QuotaPaths::above(std::string_view path) const {
    if (paths_.empty()) return std::nullopt;
    for (; path.size() > 1; path = zk_path::parent(path)) {
        const auto found = paths_.find(path);
        if (found != paths_.end()) return *found;
    }
    return std::nullopt;
}

}  // namespace coordinator
