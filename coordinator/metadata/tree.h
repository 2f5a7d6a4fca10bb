// Tree: the znodes and the sessions: ZooKeeper's state as a pure state machine.
//
//     ops, caller, time --> decide() const --> Transaction --> journal --> apply() --> events
//                               |                                 |          ^
//                               v                                 v          |
//                            refusal                   after a restart: apply()
//
// A multi is decided op by op against a draft of the state as its earlier ops left it, so
// a node may be created and set in one transaction. apply() is the only mutator.
//
// Invariants:
//   - two trees that applied the same transactions in the same order are equal
//   - a transaction's zxid is last_zxid() + 1
//   - every node but "/" has a parent, which is not ephemeral
//   - cversion is 2 * (children ever created) - (children there are), so that sequence
//     numbers, which are the first count, never go back
//   - a session's ephemerals are exactly the nodes that name it as their owner
//
// Threads: none of its own. The owner keeps decide and apply apart from each other.
//
// Limits: bounded by what callers put in. Paths and data are limited where they come in
// (jute.maxbuffer); the tree itself has no depth limit, and no recursion over depth.
//
// Source: Apache ZooKeeper's DataTree and PrepRequestProcessor; check order, Stat rules
// and the initial tree are theirs.
#pragma once

#include "coordinator/metadata/acl_table.h"
#include "coordinator/metadata/quota.h"
#include "coordinator/metadata/transaction.h"
#include "coordinator/metadata/znode.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace coordinator {

class TreeImage;

enum class EventType : std::int8_t {
    created = 1,
    deleted = 2,
    data_changed = 3,
    children_changed = 4
};

// What a transaction did to one node, in the order in which watches fire: a node before its
// parent's children_changed.
struct Event {
    EventType type;
    std::string path;
    Zxid zxid;
    std::shared_ptr<const Acl> acl;  // The node's when it happened: who lacks READ is not told.
};

// A transaction that may be applied, and what to answer once it is durable.
struct Decision {
    Transaction transaction;  // Without changes: nothing to journal, nothing to apply.
    std::vector<OpResult> results;
};

struct NodeView {
    Data data;
    Stat stat;
};

struct ChildrenView {
    std::vector<std::string> names;  // Sorted.
    Stat stat;
};

struct Session {
    std::int32_t timeout_ms = 0;
    Password password{};
    std::set<std::string, std::less<>> ephemerals = {};  // Paths.

    friend bool operator==(const Session&, const Session&) = default;
};

// What ops are held against besides the tree.
struct Rules {
    bool enforces_quotas = false;
};

class Tree {
public:
    // A fresh service's tree: "/", "/zookeeper" and its two children.
    Tree();
    ~Tree();
    Tree(Tree&&) noexcept;
    Tree& operator=(Tree&&) noexcept;

    // Judge `ops` as one transaction. ZooKeeper's codes in ZooKeeper's order, of the first op
    // that fails; session_expired when the caller's session is not there (0 passes, but may
    // not own ephemerals).
    [[nodiscard]] base::Result<Decision, Refused> decide(const std::vector<Op>& ops,
                                                         const Caller& caller, std::int64_t now_ms,
                                                         Rules rules = {}) const;

    // A new session; its id is transaction.session, above every id that was ever given.
    [[nodiscard]] Transaction decide_create_session(std::int32_t timeout_ms,
                                                    const Password& password,
                                                    std::int64_t now_ms) const;

    // End a session and delete its ephemerals. session_expired when it is not there.
    [[nodiscard]] base::Result<Transaction, ZkError> decide_close_session(
        SessionId session, std::int64_t now_ms) const;

    // Delete the containers that have lost their last child and the TTL nodes whose time is
    // over, at most `nodes_max` of them. No changes when there are none.
    [[nodiscard]] Transaction decide_reap(std::size_t nodes_max, std::int64_t now_ms) const;

    // Whether there is anything that decide_reap() may find one day.
    bool may_need_reaping() const noexcept { return !containers_.empty() || !ttl_nodes_.empty(); }

    // Requires transaction.zxid == last_zxid() + 1, and that it was decided on this state.
    std::vector<Event> apply(const Transaction& transaction);

    // Whether `transaction` may be applied here: for what a journal says, which may be wrong.
    // The text says what does not fit, for people.
    [[nodiscard]] base::Result<void, std::string> fits(const Transaction& transaction) const;

    // Reads. Errors: no_node; no_auth when the caller may not.
    [[nodiscard]] base::Result<Stat, ZkError> exists(std::string_view path,
                                                     const Caller& caller = ourselves()) const;
    [[nodiscard]] base::Result<NodeView, ZkError> get(std::string_view path,
                                                      const Caller& caller = ourselves()) const;
    [[nodiscard]] base::Result<ChildrenView, ZkError> children(
        std::string_view path, const Caller& caller = ourselves()) const;
    // Digest ids are masked for callers without ADMIN.
    [[nodiscard]] base::Result<std::pair<Acl, Stat>, ZkError> acl(
        std::string_view path, const Caller& caller = ourselves()) const;
    // All descendants; for "/" every node but itself.
    [[nodiscard]] base::Result<std::int32_t, ZkError> all_children_number(
        std::string_view path, const Caller& caller = ourselves()) const;

    const std::map<SessionId, Session>& sessions() const noexcept { return sessions_; }
    Zxid last_zxid() const noexcept { return last_zxid_; }
    std::size_t node_count() const noexcept { return node_count_; }    // With "/".
    std::uint64_t data_bytes() const noexcept { return data_bytes_; }  // Of paths and data.

private:
    struct Meta;
    struct Node;
    class Draft;
    friend class TreeImage;
    friend class TreeLoader;

    const Node* find(std::string_view path) const;
    Node* find(std::string_view path);
    // Null when there is a node of that path.
    Node* add(Node& parent, std::string_view path, NodeKind kind);
    [[nodiscard]] base::Result<const Node*, ZkError> readable(std::string_view path,
                                                              std::int32_t permissions,
                                                              const Caller& caller) const;

    // Each is one change carried out; they add to `events` what watches want to know.
    void create(const NodeCreated& created, const Transaction& by, std::vector<Event>& events);
    void remove(const std::string& path, Zxid zxid, std::vector<Event>& events);
    void set_data(const DataSet& set, const Transaction& by, std::vector<Event>& events);
    void set_acl(const AclSet& set);
    void close_session(SessionId session, Zxid zxid, std::vector<Event>& events);

    // The stats of the quota that a node lies under follow it.
    void count_in_quota(std::string_view path, std::int64_t more_count, std::int64_t more_bytes);
    void begin_quota(const std::string& node);
    Quota usage_of(std::string_view path) const;
    void set_stats(const std::string& node, const Quota& stats);

    std::unique_ptr<Node> root_;
    AclTable acls_;
    std::map<SessionId, Session> sessions_;
    std::set<std::string, std::less<>> containers_;  // Paths, for decide_reap.
    std::set<std::string, std::less<>> ttl_nodes_;
    QuotaPaths quotas_;
    Zxid last_zxid_;
    SessionId last_session_;  // The highest id ever given.
    std::size_t node_count_ = 0;
    std::uint64_t data_bytes_ = 0;
    TreeImage* image_ = nullptr;  // Wants to see a node before it changes.
};

}  // namespace coordinator
