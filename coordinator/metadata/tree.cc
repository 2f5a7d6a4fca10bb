#include "coordinator/metadata/tree.h"

#include "coordinator/metadata/acl.h"
#include "coordinator/metadata/node.h"
#include "coordinator/metadata/path.h"
#include "coordinator/metadata/tree_image.h"
#include "protocol/base/ensure.h"

#include <algorithm>
#include <cstdio>
#include <type_traits>
#include <utility>

namespace coordinator {
namespace {

bool is_special(std::string_view path) {
    return path == "/" || path == "/zookeeper" || path == "/zookeeper/quota" ||
           path == "/zookeeper/config";
}

std::string_view unaliased(std::string_view path) {
    return path.empty() ? "/" : path;
}

std::int32_t length(const Data& data) {
    return data ? static_cast<std::int32_t>(data->size()) : 0;
}

std::string ten_digits(std::int32_t number) {
    char digits[16];
    std::snprintf(digits, sizeof digits, "%010d", number);
    return digits;
}

base::Unexpected<ZkError> refuse(ZkError error) {
    return base::Unexpected(error);
}

}  // namespace

// ---- Draft: the state as the earlier ops of a transaction left it -------------------------

class Tree::Draft {
public:
    struct Entry {
        Meta meta;
        std::int32_t data_length = 0;
        std::shared_ptr<const Acl> acl;
    };

    Draft(const Tree& tree, Zxid zxid, const Caller& caller, std::int64_t now_ms, Rules rules)
        : tree_(tree), caller_(caller), rules_(rules), changes_{zxid, now_ms, caller.session, {}} {}

    [[nodiscard]] base::Result<OpResult, ZkError> operator()(const Create& op);
    [[nodiscard]] base::Result<OpResult, ZkError> operator()(const Delete& op);
    [[nodiscard]] base::Result<OpResult, ZkError> operator()(const SetData& op);
    [[nodiscard]] base::Result<OpResult, ZkError> operator()(const SetAcl& op);
    [[nodiscard]] base::Result<OpResult, ZkError> operator()(const Check& op);

    // The node as it is by now, to look at and to change; null when there is none.
    Entry* find(std::string_view path);

    // The same changes without a judgement, for what was judged before.
    void add(const std::string& path, Entry entry);
    void remove(const std::string& path);

    Transaction take() { return std::move(changes_); }

private:
    bool may(const Entry& entry, std::int32_t permission) const {
        return permits(*entry.acl, permission, caller_.ids);
    }

    bool session_lives() const {
        return caller_.session.value() == 0 || tree_.sessions_.contains(caller_.session);
    }

    [[nodiscard]] base::Result<void, ZkError> create_parents(const Create& op);
    bool fits_quota(std::string_view path, std::int64_t more_count, std::int64_t more_bytes) const;

    const Tree& tree_;
    const Caller& caller_;
    const Rules rules_;
    Transaction changes_;
    std::map<std::string, std::optional<Entry>, std::less<>> nodes_;  // No value: deleted.
};

Tree::Draft::Entry* Tree::Draft::find(std::string_view path) {
    path = unaliased(path);
    const auto drafted = nodes_.find(path);
    if (drafted != nodes_.end()) return drafted->second ? &*drafted->second : nullptr;
    const Node* node = tree_.find(path);
    if (node == nullptr) return nullptr;
    const auto data_length = static_cast<std::int32_t>(node->data.size());
    const auto added =
        nodes_.emplace(path, Entry{node->meta, data_length, tree_.acls_.at(node->meta.acl)});
    return &*added.first->second;
}

void Tree::Draft::add(const std::string& path, Entry entry) {
    find(zk_path::parent(path))->meta.child_created(changes_.zxid);
    nodes_.insert_or_assign(path, std::move(entry));
}

void Tree::Draft::remove(const std::string& path) {
    find(zk_path::parent(path))->meta.child_deleted(changes_.zxid);
    nodes_.insert_or_assign(path, std::nullopt);
}

// As ZooKeeper: by what the stats say, so that a multi may go over by what it does itself.
bool Tree::Draft::fits_quota(std::string_view path, std::int64_t more_count,
                             std::int64_t more_bytes) const {
    if (!rules_.enforces_quotas) return true;
    const auto above = tree_.quotas_.above(path);
    if (!above) return true;
    const Node* limits = tree_.find(quota::limits_path(*above));
    const Node* stats = tree_.find(quota::stats_path(*above));
    if (limits == nullptr || stats == nullptr) return true;
    return Quota::read(limits->data.get())
        .permits(Quota::read(stats->data.get()), more_count, more_bytes);
}

base::Result<void, ZkError> Tree::Draft::create_parents(const Create& op) {
    for (std::size_t end = op.path.find('/', 1); end != op.path.npos;
         end = op.path.find('/', end + 1)) {
        std::string ancestor = op.path.substr(0, end);
        if (find(ancestor) != nullptr) continue;
        const auto made = (*this)(Create{.path = std::move(ancestor)});
        if (!made) return base::Unexpected(made.error());
    }
    return {};
}

base::Result<OpResult, ZkError> Tree::Draft::operator()(const Create& op) {
    if (!is_possible(op)) return refuse(ZkError::bad_arguments);
    const bool is_ephemeral = op.kind == NodeKind::ephemeral;
    if (!session_lives() || (is_ephemeral && caller_.session.value() == 0)) {
        return refuse(ZkError::session_expired);
    }
    if (!zk_path::has_name(op.path)) return refuse(ZkError::bad_arguments);
    auto acl = fix_up(op.acl, caller_.ids);
    if (!acl) return refuse(ZkError::invalid_acl);
    if (op.with_parents) {
        const auto parents = create_parents(op);
        if (!parents) return base::Unexpected(parents.error());
    }
    // Not zk_path::parent: what stands before the last slash may be anything yet.
    const Entry* parent = find(std::string_view(op.path).substr(0, op.path.rfind('/')));
    if (parent == nullptr) return refuse(ZkError::no_node);
    if (!may(*parent, permission::create)) return refuse(ZkError::no_auth);
    std::string path = op.path;
    if (op.sequential) path += ten_digits(parent->meta.children_created);
    if (!zk_path::is_valid(path)) return refuse(ZkError::bad_arguments);
    if (find(path) != nullptr) return refuse(ZkError::node_exists);
    if (parent->meta.kind == NodeKind::ephemeral)
        return refuse(ZkError::no_children_for_ephemerals);
    if (!fits_quota(path, 1, length(op.data))) return refuse(ZkError::quota_exceeded);

    const auto meta = Meta::made(changes_.zxid, changes_.time_ms, op.kind,
                                 is_ephemeral ? caller_.session.value() : op.ttl_ms);
    add(path, {meta, length(op.data), std::make_shared<const Acl>(*acl)});
    changes_.changes.push_back(NodeCreated{path, op.data, op.kind, op.ttl_ms, std::move(*acl)});
    return OpResult{std::move(path), meta.stat(length(op.data))};
}

base::Result<OpResult, ZkError> Tree::Draft::operator()(const Delete& op) {
    if (!session_lives()) return refuse(ZkError::session_expired);
    if (!op.path.contains('/') || op.path.contains('\0') || is_special(op.path)) {
        return refuse(ZkError::bad_arguments);
    }
    const Entry* parent = find(std::string_view(op.path).substr(0, op.path.rfind('/')));
    if (parent == nullptr) return refuse(ZkError::no_node);
    if (!may(*parent, permission::del)) return refuse(ZkError::no_auth);
    const Entry* node = find(op.path);
    if (node == nullptr) return refuse(ZkError::no_node);
    if (op.version != any_version && op.version != node->meta.version) {
        return refuse(ZkError::bad_version);
    }
    if (node->meta.num_children > 0) return refuse(ZkError::not_empty);

    remove(op.path);
    changes_.changes.push_back(NodeDeleted{op.path});
    return OpResult{};
}

base::Result<OpResult, ZkError> Tree::Draft::operator()(const SetData& op) {
    if (!session_lives()) return refuse(ZkError::session_expired);
    if (!zk_path::is_valid(op.path)) return refuse(ZkError::bad_arguments);
    Entry* node = find(op.path);
    if (node == nullptr) return refuse(ZkError::no_node);
    if (!may(*node, permission::write)) return refuse(ZkError::no_auth);
    if (!fits_quota(op.path, 0, length(op.data) - node->data_length)) {
        return refuse(ZkError::quota_exceeded);
    }
    if (op.version != any_version && op.version != node->meta.version) {
        return refuse(ZkError::bad_version);
    }
    node->meta.data_set(changes_.zxid, changes_.time_ms);
    node->data_length = length(op.data);
    changes_.changes.push_back(DataSet{op.path, op.data});
    return OpResult{{}, node->meta.stat(node->data_length)};
}

base::Result<OpResult, ZkError> Tree::Draft::operator()(const SetAcl& op) {
    if (!session_lives()) return refuse(ZkError::session_expired);
    if (!zk_path::is_valid(op.path)) return refuse(ZkError::bad_arguments);
    auto acl = fix_up(op.acl, caller_.ids);
    if (!acl) return refuse(ZkError::invalid_acl);
    Entry* node = find(op.path);
    if (node == nullptr) return refuse(ZkError::no_node);
    if (!may(*node, permission::admin)) return refuse(ZkError::no_auth);
    if (op.version != any_version && op.version != node->meta.aversion) {
        return refuse(ZkError::bad_version);
    }
    node->meta.acl_set();
    node->acl = std::make_shared<const Acl>(*acl);
    changes_.changes.push_back(AclSet{op.path, std::move(*acl)});
    return OpResult{{}, node->meta.stat(node->data_length)};
}

base::Result<OpResult, ZkError> Tree::Draft::operator()(const Check& op) {
    if (!session_lives()) return refuse(ZkError::session_expired);
    if (!zk_path::is_valid(op.path)) return refuse(ZkError::bad_arguments);
    const Entry* node = find(op.path);
    if (node == nullptr) return refuse(ZkError::no_node);
    if (!may(*node, permission::read)) return refuse(ZkError::no_auth);
    if (op.version != any_version && op.version != node->meta.version) {
        return refuse(ZkError::bad_version);
    }
    return OpResult{};
}

// ---- decide -------------------------------------------------------------------------------

base::Result<Decision, Refused> Tree::decide(const std::vector<Op>& ops, const Caller& caller,
                                             std::int64_t now_ms, Rules rules) const {
    Draft draft(*this, last_zxid_ + std::int64_t{1}, caller, now_ms, rules);
    std::vector<OpResult> results;
    results.reserve(ops.size());
    for (const Op& op : ops) {
        auto result = std::visit(draft, op);
        if (!result) return base::Unexpected(Refused{result.error(), results.size()});
        results.push_back(std::move(*result));
    }
    return Decision{draft.take(), std::move(results)};
}

Transaction Tree::decide_create_session(std::int32_t timeout_ms, const Password& password,
                                        std::int64_t now_ms) const {
    // ZooKeeper's layout: a server's number, 40 bits of a clock, 16 bits of a counter.
    constexpr std::uint64_t server = 1;
    const auto clock = (static_cast<std::uint64_t>(now_ms) << 24) >> 8 & ~std::uint64_t{0xffff};
    const SessionId by_clock(static_cast<std::int64_t>(server << 56 | clock));
    const SessionId id = std::max(by_clock, last_session_ + std::int64_t{1});
    return {last_zxid_ + std::int64_t{1}, now_ms, id, {SessionCreated{timeout_ms, password}}};
}

base::Result<Transaction, ZkError> Tree::decide_close_session(SessionId session,
                                                              std::int64_t now_ms) const {
    if (!sessions_.contains(session)) return base::Unexpected(ZkError::session_expired);
    return Transaction{last_zxid_ + std::int64_t{1}, now_ms, session, {SessionClosed{}}};
}

Transaction Tree::decide_reap(std::size_t nodes_max, std::int64_t now_ms) const {
    Transaction reap{last_zxid_ + std::int64_t{1}, now_ms, SessionId(0), {}};
    const auto is_over = [&](const Meta& meta) {
        if (meta.num_children > 0) return false;
        if (meta.kind == NodeKind::container) return meta.children_created != 0;
        return now_ms - meta.mtime > meta.owner_or_ttl;
    };
    for (const auto* paths : {&containers_, &ttl_nodes_}) {
        for (const std::string& path : *paths) {
            if (reap.changes.size() >= nodes_max) return reap;
            if (is_over(find(path)->meta)) reap.changes.push_back(NodeDeleted{path});
        }
    }
    return reap;
}

base::Result<void, std::string> Tree::fits(const Transaction& transaction) const {
    const auto wrong = [](std::string what) { return base::Unexpected(std::move(what)); };
    if (transaction.zxid != last_zxid_ + std::int64_t{1}) {
        return wrong("transaction " + std::to_string(transaction.zxid.value()) +
                     " does not follow " + std::to_string(last_zxid_.value()));
    }
    if (transaction.changes.empty()) return wrong("a transaction without changes");
    const Caller us = ourselves(transaction.session);
    Draft draft(*this, transaction.zxid, us, transaction.time_ms, {});
    for (const Change& change : transaction.changes) {
        const bool alone = transaction.changes.size() == 1;
        if (std::holds_alternative<SessionCreated>(change)) {
            if (!alone) return wrong("a session is created among other changes");
            if (transaction.session <= last_session_) return wrong("a session id is given twice");
        } else if (std::holds_alternative<SessionClosed>(change)) {
            if (!alone) return wrong("a session is closed among other changes");
            if (!sessions_.contains(transaction.session)) return wrong("no such session");
        } else if (const auto* created = std::get_if<NodeCreated>(&change)) {
            const auto* path = &created->path;
            if (!zk_path::is_valid(*path)) return wrong("not a path: " + *path);
            if (draft.find(*path) != nullptr) return wrong("created twice: " + *path);
            const auto* parent = draft.find(zk_path::parent(*path));
            if (parent == nullptr) return wrong("no parent: " + *path);
            const bool is_ephemeral = created->kind == NodeKind::ephemeral;
            if (parent->meta.kind == NodeKind::ephemeral)
                return wrong("parent ephemeral: " + *path);
            if (is_ephemeral && !sessions_.contains(transaction.session)) {
                return wrong("no owner: " + *path);
            }
            draft.add(*path, {Meta::made(transaction.zxid, transaction.time_ms, created->kind, 0),
                              0, parent->acl});
        } else if (const auto* deleted = std::get_if<NodeDeleted>(&change)) {
            const auto* node = draft.find(deleted->path);
            if (node == nullptr || is_special(unaliased(deleted->path))) {
                return wrong("cannot be deleted: " + deleted->path);
            }
            if (node->meta.num_children > 0) return wrong("has children: " + deleted->path);
            draft.remove(deleted->path);
        } else {
            const auto& path = std::holds_alternative<DataSet>(change)
                                   ? std::get<DataSet>(change).path
                                   : std::get<AclSet>(change).path;
            if (path.empty() || draft.find(path) == nullptr) return wrong("no node: " + path);
        }
    }
    return {};
}

// ---- apply --------------------------------------------------------------------------------

Tree::Tree() : root_(std::make_unique<Node>()) {
    static_assert(sizeof(Node) == 88, "there may be a million of them");
    root_->meta.acl = acls_.hold(open_acl());
    node_count_ = 1;
    data_bytes_ = 1;
    // As in ZooKeeper, these are not counted as children created: cversion -1 and -2.
    const Data empty = std::string();
    root_->data = NodeData(empty);
    for (const auto* path : {"/zookeeper", "/zookeeper/config", "/zookeeper/quota"}) {
        Node& node = *add(*find(zk_path::parent(path)), path, NodeKind::persistent);
        node.data = NodeData(empty);
        const bool is_config = std::string_view(path) == "/zookeeper/config";
        node.meta.acl =
            acls_.hold(is_config ? Acl{{permission::read, {"world", "anyone"}}} : open_acl());
    }
}

Tree::~Tree() {
    // By hand, because a node's own destructor would recurse once per level, and a path may
    // have half a million levels.
    if (!root_ || !root_->children) return;
    std::vector<std::unique_ptr<Node::Children>> rest;
    rest.push_back(std::move(root_->children));
    while (!rest.empty()) {
        const auto children = std::move(rest.back());
        rest.pop_back();
        for (auto& child : *children) {
            if (child.second.children) rest.push_back(std::move(child.second.children));
        }
    }
}

Tree::Tree(Tree&&) noexcept = default;

Tree& Tree::operator=(Tree&& other) noexcept {
    Tree old(std::move(*this));
    root_ = std::move(other.root_);
    acls_ = std::move(other.acls_);
    sessions_ = std::move(other.sessions_);
    containers_ = std::move(other.containers_);
    ttl_nodes_ = std::move(other.ttl_nodes_);
    quotas_ = std::move(other.quotas_);
    last_zxid_ = other.last_zxid_;
    last_session_ = other.last_session_;
    node_count_ = other.node_count_;
    data_bytes_ = other.data_bytes_;
    image_ = other.image_;
    return *this;
}

const Tree::Node* Tree::find(std::string_view path) const {
    path = unaliased(path);
    if (path.front() != '/') return nullptr;
    const Node* node = root_.get();
    if (path == "/") return node;
    while (!path.empty()) {
        path.remove_prefix(1);
        const auto end = std::min(path.find('/'), path.size());
        if (!node->children) return nullptr;
        const auto child = node->children->find(path.substr(0, end));
        if (child == node->children->end()) return nullptr;
        node = &child->second;
        path.remove_prefix(end);
    }
    return node;
}

Tree::Node* Tree::find(std::string_view path) {
    return const_cast<Node*>(std::as_const(*this).find(path));
}

Tree::Node* Tree::add(Node& parent, std::string_view path, NodeKind kind) {
    if (!parent.children) parent.children = std::make_unique<Node::Children>();
    Node::Children& siblings = *parent.children;
    const auto before = siblings.size();
    // Names mostly come in their order.
    const auto name = zk_path::name(path);
    const auto added = siblings.try_emplace(siblings.end(), Node::Name(name.data(), name.size()));
    if (siblings.size() == before) return nullptr;
    ++parent.meta.num_children;
    ++node_count_;
    data_bytes_ += path.size();
    if (kind == NodeKind::container) containers_.emplace(path);
    if (kind == NodeKind::ttl) ttl_nodes_.emplace(path);
    return &added->second;
}

std::vector<Event> Tree::apply(const Transaction& transaction) {
    base::ensure(transaction.zxid == last_zxid_ + std::int64_t{1}, "transactions come one by one");
    std::vector<Event> events;
    for (const Change& change : transaction.changes) {
        std::visit(
            [&](const auto& what) {
                using What = std::decay_t<decltype(what)>;
                if constexpr (std::is_same_v<What, NodeCreated>) {
                    create(what, transaction, events);
                } else if constexpr (std::is_same_v<What, NodeDeleted>) {
                    remove(what.path, transaction.zxid, events);
                } else if constexpr (std::is_same_v<What, DataSet>) {
                    set_data(what, transaction, events);
                } else if constexpr (std::is_same_v<What, AclSet>) {
                    set_acl(what);
                } else if constexpr (std::is_same_v<What, SessionCreated>) {
                    sessions_.emplace(transaction.session, Session{what.timeout_ms, what.password});
                    last_session_ = transaction.session;
                } else {
                    close_session(transaction.session, transaction.zxid, events);
                }
            },
            change);
    }
    last_zxid_ = transaction.zxid;
    return events;
}

void Tree::create(const NodeCreated& created, const Transaction& by, std::vector<Event>& events) {
    const auto parent_path = zk_path::parent(created.path);
    Node* parent = find(parent_path);
    base::ensure(parent != nullptr, "a node that is created has a parent");
    if (image_ != nullptr) image_->keep(parent_path, *parent);
    const bool is_ephemeral = created.kind == NodeKind::ephemeral;
    const auto owner_or_ttl = is_ephemeral ? by.session.value() : created.ttl_ms;
    Node* const node = add(*parent, created.path, created.kind);
    base::ensure(node != nullptr, "a node is created once");
    --parent->meta.num_children;  // add() counted it, and so does the next line.
    parent->meta.child_created(by.zxid);
    node->meta = Meta::made(by.zxid, by.time_ms, created.kind, owner_or_ttl);
    node->meta.acl = acls_.hold(created.acl);
    node->data = NodeData(created.data);
    data_bytes_ += node->data.size();
    if (created.path.starts_with(quota::root)) begin_quota(created.path);
    count_in_quota(created.path, 1, length(created.data));
    if (is_ephemeral) {
        const auto owner = sessions_.find(by.session);
        base::ensure(owner != sessions_.end(), "an ephemeral node's owner is a session");
        owner->second.ephemerals.insert(created.path);
    }
    events.push_back({EventType::created, created.path, by.zxid, acls_.at(node->meta.acl)});
    events.push_back({EventType::children_changed, std::string(parent_path), by.zxid,
                      acls_.at(parent->meta.acl)});
}

void Tree::remove(const std::string& path, Zxid zxid, std::vector<Event>& events) {
    const auto parent_path = zk_path::parent(path);
    Node* parent = find(parent_path);
    base::ensure(parent != nullptr && parent->children, "a node that is deleted has a parent");
    const auto at = parent->children->find(zk_path::name(path));
    base::ensure(at != parent->children->end(), "a node that is deleted is there");
    const Node& node = at->second;
    base::ensure(!node.children, "a node that is deleted has no children");
    if (image_ != nullptr) {
        image_->keep(parent_path, *parent);
        image_->keep(path, node);
    }
    events.push_back({EventType::deleted, path, zxid, acls_.at(node.meta.acl)});
    events.push_back(
        {EventType::children_changed, std::string(parent_path), zxid, acls_.at(parent->meta.acl)});
    if (node.meta.kind == NodeKind::ephemeral) {
        const auto owner = sessions_.find(SessionId(node.meta.owner_or_ttl));
        if (owner != sessions_.end()) owner->second.ephemerals.erase(path);
    }
    containers_.erase(path);
    ttl_nodes_.erase(path);
    if (const auto subject = quota::subject(path, quota::limits_name)) quotas_.remove(*subject);
    count_in_quota(path, -1, -std::int64_t{node.data.size()});
    acls_.release(node.meta.acl);
    data_bytes_ -= path.size() + node.data.size();
    parent->children->erase(at);
    if (parent->children->empty()) parent->children.reset();
    parent->meta.child_deleted(zxid);
    --node_count_;
}

void Tree::set_data(const DataSet& set, const Transaction& by, std::vector<Event>& events) {
    Node* node = find(set.path);
    base::ensure(node != nullptr, "a node that is set is there");
    if (image_ != nullptr) image_->keep(set.path, *node);
    count_in_quota(set.path, 0, std::int64_t{length(set.data)} - node->data.size());
    node->meta.data_set(by.zxid, by.time_ms);
    data_bytes_ -= node->data.size();
    node->data = NodeData(set.data);
    data_bytes_ += node->data.size();
    events.push_back({EventType::data_changed, set.path, by.zxid, acls_.at(node->meta.acl)});
}

void Tree::set_acl(const AclSet& set) {
    Node* node = find(set.path);
    base::ensure(node != nullptr, "a node whose ACL is set is there");
    if (image_ != nullptr) image_->keep(set.path, *node);
    node->meta.acl_set();
    const auto old = node->meta.acl;
    node->meta.acl = acls_.hold(set.acl);
    acls_.release(old);
}

void Tree::close_session(SessionId session, Zxid zxid, std::vector<Event>& events) {
    const auto at = sessions_.find(session);
    base::ensure(at != sessions_.end(), "a session that is closed is there");
    const auto ephemerals = std::move(at->second.ephemerals);
    sessions_.erase(at);
    for (const std::string& path : ephemerals) remove(path, zxid, events);
}

// ---- reads --------------------------------------------------------------------------------

base::Result<const Tree::Node*, ZkError> Tree::readable(std::string_view path,
                                                        std::int32_t permissions,
                                                        const Caller& caller) const {
    const Node* node = find(path);
    if (node == nullptr) return base::Unexpected(ZkError::no_node);
    if (!permits(*acls_.at(node->meta.acl), permissions, caller.ids)) {
        return base::Unexpected(ZkError::no_auth);
    }
    return node;
}

base::Result<Stat, ZkError> Tree::exists(std::string_view path, const Caller& caller) const {
    if (path.contains('\0')) return base::Unexpected(ZkError::bad_arguments);
    const auto node = readable(path, permission::read, caller);
    if (!node) return base::Unexpected(node.error());
    return (*node)->stat();
}

base::Result<NodeView, ZkError> Tree::get(std::string_view path, const Caller& caller) const {
    const auto node = readable(path, permission::read, caller);
    if (!node) return base::Unexpected(node.error());
    return NodeView{(*node)->data.get(), (*node)->stat()};
}

base::Result<ChildrenView, ZkError> Tree::children(std::string_view path,
                                                   const Caller& caller) const {
    const auto node = readable(path, permission::read, caller);
    if (!node) return base::Unexpected(node.error());
    ChildrenView view{{}, (*node)->stat()};
    if (!(*node)->children) return view;
    view.names.reserve((*node)->children->size());
    for (const auto& child : *(*node)->children) view.names.emplace_back(Node::text(child.first));
    return view;
}

base::Result<std::pair<Acl, Stat>, ZkError> Tree::acl(std::string_view path,
                                                      const Caller& caller) const {
    const auto node = readable(path, permission::read | permission::admin, caller);
    if (!node) return base::Unexpected(node.error());
    const Acl& acl = *acls_.at((*node)->meta.acl);
    const bool may_see_all = permits(acl, permission::admin, caller.ids);
    return std::pair(may_see_all ? acl : masked(acl), (*node)->stat());
}

base::Result<std::int32_t, ZkError> Tree::all_children_number(std::string_view path,
                                                              const Caller& caller) const {
    const auto top = readable(path, permission::read, caller);
    if (!top) return base::Unexpected(top.error());
    if (*top == root_.get()) return static_cast<std::int32_t>(node_count_ - 1);
    std::int32_t count = 0;
    std::vector<const Node*> rest{*top};
    while (!rest.empty()) {
        const Node* node = rest.back();
        rest.pop_back();
        if (!node->children) continue;
        count += static_cast<std::int32_t>(node->children->size());
        for (const auto& child : *node->children) rest.push_back(&child.second);
    }
    return count;
}

}  // namespace coordinator
