#include "coordinator/metadata/tree_image.h"

#include "coordinator/metadata/node.h"
#include "protocol/base/ensure.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace coordinator {

TreeImage::TreeImage(Tree& tree)
    : tree_(tree), zxid_(tree.last_zxid_), last_session_(tree.last_session_) {
    base::ensure(tree.image_ == nullptr, "one image of a tree is taken at a time");
    sessions_.reserve(tree.sessions_.size());
    for (const auto& [id, session] : tree.sessions_) {
        sessions_.push_back({id, session.timeout_ms, session.password});
    }
    tree.image_ = this;
}

TreeImage::~TreeImage() {
    tree_.image_ = nullptr;
}

void TreeImage::keep(std::string_view path, const Tree::Node& node) {
    const bool was_given = !position_.empty() && !zk_path::WalkOrder()(position_, path);
    if (was_given || node.meta.czxid > zxid_ || kept_.contains(path)) return;
    std::string owned(path);
    auto kept = image(owned, node);
    kept_.emplace(std::move(owned), std::move(kept));
}

NodeImage TreeImage::image(std::string path, const Tree::Node& node) const {
    const Tree::Meta& meta = node.meta;
    return {std::move(path),
            node.data.get(),
            *tree_.acls_.at(meta.acl),
            meta.czxid,
            meta.mzxid,
            meta.pzxid,
            meta.ctime,
            meta.mtime,
            meta.version,
            meta.aversion,
            meta.children_created,
            meta.kind,
            meta.owner_or_ttl};
}

const Tree::Node* TreeImage::next_live(std::string& path) const {
    // Down along position_ as far as it still exists, noting at each level where the walk
    // goes on to the right.
    struct Level {
        const Tree::Node::Children* children;
        Tree::Node::Children::const_iterator next;
        std::size_t path_bytes;  // Of the parent.
    };
    std::vector<Level> levels;
    path = position_;
    const Tree::Node* node = tree_.root_.get();
    std::string_view rest = position_ == "/" ? std::string_view() : std::string_view(position_);
    std::size_t walked = 0;
    while (node != nullptr && !rest.empty() && node->children) {
        const auto end = std::min(rest.find('/', 1), rest.size());
        const auto name = rest.substr(1, end - 1);
        const auto at = node->children->lower_bound(name);
        const bool exists = at != node->children->end() && Tree::Node::text(at->first) == name;
        levels.push_back({node->children.get(), exists ? std::next(at) : at, walked});
        node = exists ? &at->second : nullptr;
        walked += end;
        rest.remove_prefix(end);
    }
    const auto go = [&](std::size_t parent_bytes, const auto& child) {
        path.resize(parent_bytes);
        path += '/';
        path += Tree::Node::text(child.first);
        return &child.second;
    };
    if (node != nullptr && rest.empty() && node->children) {
        const std::size_t parent_bytes = position_ == "/" ? 0 : position_.size();
        return go(parent_bytes, *node->children->begin());
    }
    for (; !levels.empty(); levels.pop_back()) {
        const Level& level = levels.back();
        if (level.next != level.children->end()) return go(level.path_bytes, *level.next);
    }
    return nullptr;
}

std::vector<NodeImage> TreeImage::next(std::size_t nodes_max) {
    std::vector<NodeImage> slice;
    if (position_.empty() && nodes_max > 0) {
        auto kept = kept_.extract(std::string("/"));
        slice.push_back(kept.empty() ? image("/", *tree_.root_) : std::move(kept.mapped()));
        position_ = "/";
    }
    while (slice.size() < nodes_max) {
        std::string path;
        const Tree::Node* live = next_live(path);
        const auto kept = kept_.begin();
        const bool kept_first =
            kept != kept_.end() && (live == nullptr || !zk_path::WalkOrder()(path, kept->first));
        if (kept_first) {
            position_ = kept->first;
            slice.push_back(std::move(kept->second));
            kept_.erase(kept);
        } else if (live != nullptr) {
            if (live->meta.czxid <= zxid_) slice.push_back(image(path, *live));
            position_ = std::move(path);
        } else {
            break;
        }
    }
    return slice;
}

// ---- TreeLoader ---------------------------------------------------------------------------

TreeLoader::TreeLoader(Zxid zxid, SessionId last_session,
                       const std::vector<SessionImage>& sessions) {
    tree_.root_->children.reset();
    tree_.root_ = std::make_unique<Tree::Node>();
    tree_.acls_ = AclTable();
    tree_.node_count_ = 0;
    tree_.data_bytes_ = 0;
    tree_.last_zxid_ = zxid;
    tree_.last_session_ = last_session;
    for (const SessionImage& session : sessions) {
        tree_.sessions_.emplace(session.id, Session{session.timeout_ms, session.password});
    }
}

base::Result<void, std::string> TreeLoader::add(NodeImage image) {
    const auto wrong = [&](const char* what) { return base::Unexpected(image.path + ": " + what); };
    const bool is_root = image.path == "/";
    if (!zk_path::is_valid(image.path)) return wrong("not a path");
    if (is_root == has_root_) return wrong(is_root ? "given twice" : "given before /");
    if (image.czxid > tree_.last_zxid_) return wrong("newer than the snapshot");
    Tree::Node* node = tree_.root_.get();
    if (!is_root) {
        Tree::Node* const parent = parent_of(image.path);
        if (parent == nullptr) return wrong("no parent");
        if (parent->meta.kind == NodeKind::ephemeral) return wrong("the parent is ephemeral");
        node = tree_.add(*parent, image.path, image.kind);
        if (node == nullptr) return wrong("given twice");
    }
    if (image.kind == NodeKind::ephemeral) {
        const auto owner = tree_.sessions_.find(SessionId(image.owner_or_ttl));
        if (owner == tree_.sessions_.end()) return wrong("no such owner");
        owner->second.ephemerals.insert(image.path);
    }
    if (is_root) {
        has_root_ = true;
        tree_.node_count_ = 1;
        tree_.data_bytes_ = 1;
    }
    node->meta = {image.czxid,
                  image.mzxid,
                  image.pzxid,
                  image.ctime,
                  image.mtime,
                  image.owner_or_ttl,
                  image.version,
                  image.aversion,
                  image.children_created,
                  0,
                  tree_.acls_.hold(image.acl),
                  image.kind};
    node->data = NodeData(image.data);
    tree_.data_bytes_ += node->data.size();
    if (auto subject = quota::subject(image.path, quota::limits_name)) {
        tree_.quotas_.add(std::move(*subject));
    }
    return {};
}

// Siblings come one behind the other, but for their own children.
Tree::Node* TreeLoader::parent_of(std::string_view path) {
    const auto parent = zk_path::parent(path);
    if (parent_ == nullptr || parent != parent_path_) {
        parent_ = tree_.find(parent);
        parent_path_ = parent;
    }
    return parent_;
}

base::Result<Tree, std::string> TreeLoader::finish() {
    for (const auto* path : {"/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"}) {
        if (!has_root_ || tree_.find(path) == nullptr) {
            return base::Unexpected(std::string("no node ") + path);
        }
    }
    return std::move(tree_);
}

}  // namespace coordinator
