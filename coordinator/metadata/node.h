// Node: one znode as the tree keeps it. For tree.cc and tree_image.cc only.
//
// Small, because trees of a million nodes are kept in memory: with a name of up to 22 bytes and
// its place among its siblings 136 bytes, beside its data.
#pragma once

#include "coordinator/metadata/tree.h"

#include <boost/container/map.hpp>
#include <boost/container/string.hpp>

#include <cstring>
#include <memory>
#include <string>
#include <string_view>

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

// What a Stat is made of beside the data's length, and the only code that knows how it changes.
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
    AclTable::Number acl = 0;  // Of a node in the tree. Here, where it fills a gap.
    NodeKind kind = NodeKind::persistent;

    static Meta made(Zxid zxid, std::int64_t time_ms, NodeKind kind, std::int64_t owner_or_ttl) {
        return {.czxid = zxid,
                .mzxid = zxid,
                .pzxid = zxid,
                .ctime = time_ms,
                .mtime = time_ms,
                .owner_or_ttl = owner_or_ttl,
                .kind = kind};
    }

    // Versions wrap; -1 is left out, because it means any.
    static std::int32_t after(std::int32_t version) noexcept {
        const auto next = static_cast<std::int32_t>(static_cast<std::uint32_t>(version) + 1);
        return next == any_version ? 0 : next;
    }

    void data_set(Zxid zxid, std::int64_t time_ms) noexcept {
        version = after(version);
        mzxid = zxid;
        mtime = time_ms;
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

    Stat stat(std::int32_t data_length) const noexcept {
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
    // 24 bytes, where std::string has 32 and holds less in them.
    using Name = boost::container::string;

    static std::string_view text(const Name& name) noexcept { return {name.data(), name.size()}; }
    static std::string_view text(std::string_view name) noexcept { return name; }

    struct InOrder {
        using is_transparent = void;
        bool operator()(const auto& a, const auto& b) const noexcept { return text(a) < text(b); }
    };

    using Children = boost::container::map<Name, Node, InOrder>;

    Meta meta;
    NodeData data;
    std::unique_ptr<Children> children;  // None, or not empty.

    Stat stat() const noexcept { return meta.stat(static_cast<std::int32_t>(data.size())); }
};

}  // namespace coordinator
