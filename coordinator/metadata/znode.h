// Znode: the words of ZooKeeper's data model: what a node is, what may be done to it,
// and what the answers are.
//
// Values only; the tree that holds them is tree.h. Names, numbers and codes are Apache
// ZooKeeper's (zookeeper.jute, KeeperException.Code, ZooDefs).
#pragma once

#include "protocol/base/strong.h"

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace coordinator {

using Zxid = base::Strong<std::int64_t, struct ZxidTag>;  // Of one transaction; 0: none yet.
using SessionId = base::Strong<std::int64_t, struct SessionIdTag>;  // 0: no session.
using Password = std::array<std::byte, 16>;

// What a node holds. Null and empty are different, and both come back as they went in.
using Data = std::optional<std::string>;

enum class ZkError : std::int32_t {
    ok = 0,
    runtime_inconsistency = -2,  // In a multi: not tried, because an earlier op failed.
    connection_loss = -4,        // The service failed or stopped: the outcome is not known.
    marshalling_error = -5,
    unimplemented = -6,
    bad_arguments = -8,
    no_node = -101,
    no_auth = -102,
    bad_version = -103,
    no_children_for_ephemerals = -108,
    node_exists = -110,
    not_empty = -111,
    session_expired = -112,
    invalid_acl = -114,
    auth_failed = -115,
    session_moved = -118,
    no_watcher = -121,
    quota_exceeded = -125,
};

// For people: "no_node (-101)".
std::string to_string(ZkError error);

namespace permission {
constexpr std::int32_t read = 1;
constexpr std::int32_t write = 2;
constexpr std::int32_t create = 4;  // Of children.
constexpr std::int32_t del = 8;     // Of children.
constexpr std::int32_t admin = 16;
constexpr std::int32_t all = 31;
}  // namespace permission

// Who somebody is, by one scheme: {"world", "anyone"}, {"ip", "127.0.0.1"}.
struct Id {
    std::string scheme;
    std::string id;

    friend auto operator<=>(const Id&, const Id&) = default;
};

struct AclEntry {
    std::int32_t permissions = 0;
    Id id;

    friend auto operator<=>(const AclEntry&, const AclEntry&) = default;
};

using Acl = std::vector<AclEntry>;

// world:anyone with all permissions: what Kafka gives its nodes unless told otherwise.
const Acl& open_acl();

enum class NodeKind : std::int8_t { persistent = 0, ephemeral = 1, container = 2, ttl = 3 };

// As a client sees it; 68 bytes on the wire.
struct Stat {
    Zxid czxid;              // Of its creation.
    Zxid mzxid;              // Of its last setData.
    std::int64_t ctime = 0;  // Milliseconds since 1970.
    std::int64_t mtime = 0;
    std::int32_t version = 0;   // Number of setData.
    std::int32_t cversion = 0;  // Children created plus children deleted.
    std::int32_t aversion = 0;  // Number of setACL.
    SessionId ephemeral_owner;  // 0 unless the node is ephemeral.
    std::int32_t data_length = 0;
    std::int32_t num_children = 0;
    Zxid pzxid;  // Of the last creation or deletion of a child.

    friend bool operator==(const Stat&, const Stat&) = default;
};

constexpr std::int32_t any_version = -1;

// The ops that change nodes. Several of them are one transaction: all or none.
struct Create {
    std::string path;
    Data data = {};
    NodeKind kind = NodeKind::persistent;
    bool sequential = false;    // Ten digits are put behind the path.
    bool with_parents = false;  // Ours only: missing parents are made, persistent, with null data.
    std::int64_t ttl_ms = 0;    // For NodeKind::ttl.
    Acl acl = open_acl();
};

// Whether there is such a kind of node, with this sort of name and time.
bool is_possible(const Create& op);

struct Delete {
    std::string path;
    std::int32_t version = any_version;
};

struct SetData {
    std::string path;
    Data data = {};
    std::int32_t version = any_version;
};

struct SetAcl {
    std::string path;
    Acl acl = open_acl();
    std::int32_t version = any_version;  // Compared with aversion.
};

struct Check {
    std::string path;
    std::int32_t version = any_version;
};

using Op = std::variant<Create, Delete, SetData, SetAcl, Check>;

// What one op of a transaction did: the path that Create made, with its sequence number;
// the node's Stat as of that op for Create, SetData and SetAcl.
struct OpResult {
    std::string path = {};
    Stat stat = {};
};

// A transaction that took effect. `zxid` is that of the last transaction before it when
// it changed nothing (checks only, or no ops at all).
struct Committed {
    Zxid zxid;
    std::vector<OpResult> results = {};
};

// A transaction that did not: nothing of it took effect. For a multi on the wire the ops
// before `at` are ok, those after it runtime_inconsistency.
struct Refused {
    ZkError error = ZkError::ok;
    std::size_t at = 0;
};

// On whose behalf something is decided or read. `ids` are those of its connection.
struct Caller {
    SessionId session = {};
    std::vector<Id> ids = {};
};

// The process itself: passes every ACL, owns ephemerals by `session`.
Caller ourselves(SessionId session = {});

}  // namespace coordinator
