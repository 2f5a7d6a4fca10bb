#include "broker/groups/tree_offsets.h"

#include "broker/cluster/cluster_core.h"
#include "broker/cluster/znodes.h"

#include <algorithm>
#include <charconv>

namespace broker {

using base::Offset;
using base::Result;
using base::Unexpected;
using protocol::ErrorCode;

namespace {

// Between the look and the write, others may make or delete the same nodes.
constexpr int attempts_max = 3;

std::string path_of(const std::string& group, const base::TopicPartition& at) {
    return std::string(znodes::path::consumers) + "/" + group + "/offsets/" + at.topic + "/" +
           std::to_string(at.partition.value());
}

std::optional<Offset> parsed(const std::string& text) {
    std::int64_t offset = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), offset);
    if (error != std::errc() || end != text.data() + text.size() || offset < 0) return std::nullopt;
    return Offset(offset);
}

}  // namespace

bool may_be_in_tree(std::string_view group) {
    const auto is_fit = [](char byte) {
        return byte != '/' && static_cast<unsigned char>(byte) >= 0x20 && byte != 0x7f;
    };
    return !group.empty() && group != "." && group != ".." && std::ranges::all_of(group, is_fit);
}

ErrorCode store_tree_offsets(MetadataStore& store, const std::string& group,
                             const std::vector<std::pair<base::TopicPartition, Offset>>& offsets) {
    std::vector<std::string> paths;
    for (const auto& [at, offset] : offsets) paths.push_back(path_of(group, at));
    for (int attempt = 0; attempt < attempts_max; ++attempt) {
        const auto there = store.get(paths);
        if (!there) break;
        std::vector<coordinator::Op> ops;
        for (std::size_t i = 0; i < paths.size(); ++i) {
            auto text = std::to_string(offsets[i].second.value());
            if ((*there)[i]) {
                ops.push_back(coordinator::SetData{paths[i], std::move(text)});
            } else {
                ops.push_back(persistent(paths[i], std::move(text)));
            }
        }
        const auto done = commit_in_parts(store, std::move(ops));
        if (done) return ErrorCode::none;
        if (done.error() != coordinator::ZkError::no_node &&
            done.error() != coordinator::ZkError::node_exists)
            break;
    }
    return ErrorCode::unknown_server_error;
}

Result<std::vector<std::optional<Offset>>, ErrorCode> load_tree_offsets(
    MetadataStore& store, const std::string& group,
    const std::vector<base::TopicPartition>& partitions) {
    std::vector<std::string> paths;
    for (const auto& at : partitions) paths.push_back(path_of(group, at));
    const auto nodes = store.get(paths);
    if (!nodes) return Unexpected(ErrorCode::unknown_server_error);
    std::vector<std::optional<Offset>> offsets;
    for (const auto& node : *nodes) {
        offsets.push_back(node && node->data ? parsed(*node->data) : std::nullopt);
    }
    return offsets;
}

}  // namespace broker
