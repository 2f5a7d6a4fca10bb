// Node: one znode as the tree keeps it. For tree.cc and tree_image.cc only.
//
// Small, because trees of a million nodes are kept in memory: 96 bytes beside its name and
// its data.
#pragma once

#include "coordinator/metadata/tree.h"

#include <cstring>
#include <map>
#include <memory>
#include <string>

namespace coordinator {

// NodeData: Data in one pointer.
class NodeData {
public:
    NodeData() = default;
    explicit NodeData(const Data& data) {
        if (!data) return;
        const auto size = static_cast<std::uint32_t>(data->size());
        block_ = std::make_unique_for_overwrite<char[]>(sizeof(size) + size);
        std::memcpy(block_.get(), &size, sizeof(size));
        if (size > 0) std::memcpy(block_.get() + sizeof(size), data->data(), size);
    }

    std::uint32_t size() const noexcept {
        std::uint32_t size = 0;
        if (block_) std::memcpy(&size, block_.get(), sizeof(size));
        return size;
    }

    Data get() const {
        if (!block_) return std::nullopt;
        return std::string(block_.get() + sizeof(std::uint32_t), size());
    }

private:
    std::unique_ptr<char[]> block_;  // Length, then bytes; none for null.
};

// What a Stat is made of, and the only code that knows how it changes.
struct Tree::Meta {
    Zxid czxid;
    Zxid mzxid;
    Zxid pzxid;
    std::int64_t ctime = 0;
    std::int64_t mtime = 0;
    std::int64_t owner_or_ttl = 0;
    std::int32_t version = 0;
    std::int32_t aversion = 0;
    std::int32_t children_created = 0;  // The next sequence number, too.
    std::int32_t num_children = 0;
    std::int32_t data_length = 0;
    NodeKind kind = NodeKind::persistent;

    static Meta made(Zxid zxid, std::int64_t time_ms, std::int32_t data_length, NodeKind kind,
                     std::int64_t owner_or_ttl) {
        return {.czxid = zxid,
                .mzxid = zxid,
                .pzxid = zxid,
                .ctime = time_ms,
                .mtime = time_ms,
                .owner_or_ttl = owner_or_ttl,
                .data_length = data_length,
                .kind = kind};
    }

    // Versions wrap; -1 is left out, because it means any.
    static std::int32_t after(std::int32_t version) noexcept {
        const auto next = static_cast<std::int32_t>(static_cast<std::uint32_t>(version) + 1);
        return next == any_version ? 0 : next;
    }

    void data_set(Zxid zxid, std::int64_t time_ms, std::int32_t length) noexcept {
        version = after(version);
        mzxid = zxid;
        mtime = time_ms;
        data_length = length;
    }

    void acl_set() noexcept { aversion = after(aversion); }

    void child_created(Zxid zxid) noexcept {
        children_created =
            static_cast<std::int32_t>(static_cast<std::uint32_t>(children_created) + 1);
        ++num_children;
        pzxid = zxid;
    }

    void child_deleted(Zxid zxid) noexcept {
        --num_children;
        pzxid = zxid;
    }

    Stat stat() const noexcept {
        const auto twice = static_cast<std::uint32_t>(children_created) * 2;
        const auto cversion = twice - static_cast<std::uint32_t>(num_children);
        return {czxid,       mzxid,
                ctime,       mtime,
                version,     static_cast<std::int32_t>(cversion),
                aversion,    SessionId(kind == NodeKind::ephemeral ? owner_or_ttl : 0),
                data_length, num_children,
                pzxid};
    }
};

struct Tree::Node {
    using Children = std::map<std::string, Node, std::less<>>;

    Meta meta;
    AclTable::Number acl = 0;
    NodeData data;
    std::unique_ptr<Children> children;  // None, or not empty.
};

}  // namespace coordinator
