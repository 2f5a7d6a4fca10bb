// TreeImage: the tree as it was at one transaction, taken in slices while it goes on changing.
//
//     TreeImage image(tree);                     zxid(), sessions() as of now
//     while (!(slice = image.next(n)).empty())   between calls the tree may change
//         write(slice);
//
// A node that changes before its turn is copied first, as it was; so the memory that an
// image takes is bounded by what changes while it is taken. TreeLoader is the way back.
//
// Invariants:
//   - the slices together are the tree of zxid(), each node once, parents before children
//   - at most one image of a tree is taken at a time
//
// Threads: none of its own; whoever may apply to the tree may call next().
#pragma once

#include "coordinator/metadata/path.h"
#include "coordinator/metadata/tree.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace coordinator {

// All there is to know of one node: what a snapshot holds of it.
struct NodeImage {
    std::string path;
    Data data = {};
    Acl acl = {};
    Zxid czxid = {};
    Zxid mzxid = {};
    Zxid pzxid = {};
    std::int64_t ctime = 0;
    std::int64_t mtime = 0;
    std::int32_t version = 0;
    std::int32_t aversion = 0;
    std::int32_t children_created = 0;
    NodeKind kind = NodeKind::persistent;
    std::int64_t owner_or_ttl = 0;  // The session of an ephemeral, milliseconds of a TTL node.

    friend bool operator==(const NodeImage&, const NodeImage&) = default;
};

struct SessionImage {
    SessionId id;
    std::int32_t timeout_ms = 0;
    Password password{};

    friend bool operator==(const SessionImage&, const SessionImage&) = default;
};

class TreeImage {
public:
    // Requires that no other image of `tree` is being taken, and that the tree outlives this
    // and stays where it is.
    explicit TreeImage(Tree& tree);
    ~TreeImage();
    TreeImage(const TreeImage&) = delete;
    TreeImage& operator=(const TreeImage&) = delete;

    Zxid zxid() const noexcept { return zxid_; }
    SessionId last_session() const noexcept { return last_session_; }
    const std::vector<SessionImage>& sessions() const noexcept { return sessions_; }

    // The next nodes, at most `nodes_max`; none when all were given.
    std::vector<NodeImage> next(std::size_t nodes_max);

    std::size_t kept_nodes() const noexcept { return kept_.size(); }

private:
    friend class Tree;

    // Called by the tree before the node at `path` changes or goes.
    void keep(std::string_view path, const Tree::Node& node);

    // The first node behind position_ that was there at zxid_.
    const Tree::Node* next_live(std::string& path) const;
    NodeImage image(std::string path, const Tree::Node& node) const;

    Tree& tree_;
    const Zxid zxid_;
    const SessionId last_session_;
    std::vector<SessionImage> sessions_;
    std::string position_;  // The last node that was given; empty: none yet.
    std::map<std::string, NodeImage, zk_path::WalkOrder> kept_;
};

// TreeLoader: a tree from what a snapshot says, which may be wrong.
class TreeLoader {
public:
    // Errors, here and below, are for people.
    TreeLoader(Zxid zxid, SessionId last_session, const std::vector<SessionImage>& sessions);

    // Requires that parents come before their children. "/" comes first.
    [[nodiscard]] base::Result<void, std::string> add(NodeImage node);

    // Requires that add() never failed.
    [[nodiscard]] base::Result<Tree, std::string> finish();

private:
    Tree::Node* parent_of(std::string_view path);

    Tree tree_;
    bool has_root_ = false;
    std::string parent_path_;  // Of the last node; parent_ is null before there is one.
    Tree::Node* parent_ = nullptr;
};

}  // namespace coordinator
