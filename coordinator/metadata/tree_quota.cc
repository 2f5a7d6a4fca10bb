// The tree's quotas: what it keeps of them as nodes come, change and go.

#include "coordinator/metadata/node.h"
#include "coordinator/metadata/quota.h"
#include "coordinator/metadata/tree.h"
#include "coordinator/metadata/tree_image.h"

#include <utility>
#include <vector>

namespace coordinator {

// A node that says what a quota is, or how much of it is used, has come into being.
void Tree::begin_quota(const std::string& node) {
    if (auto subject = quota::subject(node, quota::limits_name)) quotas_.add(std::move(*subject));
    if (const auto subject = quota::subject(node, quota::stats_name)) {
        set_stats(node, usage_of(*subject));
    }
}

Quota Tree::usage_of(std::string_view path) const {
    Quota usage{.count = 0, .bytes = 0};
    const Node* top = find(path);
    std::vector<const Node*> rest;
    if (top != nullptr) rest.push_back(top);
    while (!rest.empty()) {
        const Node* node = rest.back();
        rest.pop_back();
        ++usage.count;
        usage.bytes += node->data.size();
        if (!node->children) continue;
        for (const auto& child : *node->children) rest.push_back(&child.second);
    }
    return usage;
}

void Tree::count_in_quota(std::string_view path, std::int64_t more_count, std::int64_t more_bytes) {
    const auto above = quotas_.above(path);
    if (!above) return;
    const std::string at = quota::stats_path(*above);
    const Node* node = find(at);
    if (node == nullptr) return;
    Quota stats = Quota::read(node->data.get());
    stats.count += more_count;
    stats.bytes += more_bytes;
    set_stats(at, stats);
}

void Tree::set_stats(const std::string& path, const Quota& stats) {
    Node* node = find(path);
    if (image_ != nullptr) image_->keep(path, *node);
    const Data data = stats.stats();
    data_bytes_ -= node->data.size();
    node->data = NodeData(data);
    data_bytes_ += node->data.size();
}

}  // namespace coordinator
