// Transaction: one change of the metadata tree, as it stands in the journal.
//
// decide makes it, the journal keeps it, apply() carries it out, and a restart applies it
// again. Everything that was drawn is inside: the time, the sequence numbers, session ids
// and passwords.
#pragma once

#include "coordinator/metadata/znode.h"
#include "protocol/base/result.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace coordinator {

struct NodeCreated {
    std::string path;
    Data data;
    NodeKind kind = NodeKind::persistent;
    std::int64_t ttl_ms = 0;  // For NodeKind::ttl.
    Acl acl;

    friend bool operator==(const NodeCreated&, const NodeCreated&) = default;
};

struct NodeDeleted {
    std::string path;

    friend bool operator==(const NodeDeleted&, const NodeDeleted&) = default;
};

struct DataSet {
    std::string path;
    Data data;

    friend bool operator==(const DataSet&, const DataSet&) = default;
};

struct AclSet {
    std::string path;
    Acl acl;

    friend bool operator==(const AclSet&, const AclSet&) = default;
};

struct SessionCreated {
    std::int32_t timeout_ms = 0;
    Password password{};

    friend bool operator==(const SessionCreated&, const SessionCreated&) = default;
};

struct SessionClosed {  // And with it all its ephemeral nodes.
    friend bool operator==(const SessionClosed&, const SessionClosed&) = default;
};

using Change =
    std::variant<NodeCreated, NodeDeleted, DataSet, AclSet, SessionCreated, SessionClosed>;

struct Transaction {
    Zxid zxid;  // That of the transaction before it, plus one.
    std::int64_t time_ms = 0;
    SessionId session;  // Whose change it is; the owner of the ephemerals it creates.
    std::vector<Change> changes;

    friend bool operator==(const Transaction&, const Transaction&) = default;
};

// As a journal record's body (journal_format.h), put behind what `out` holds.
void write(const Transaction& transaction, std::vector<std::byte>& out);

// The other way. The error says what is wrong with the bytes, for people.
[[nodiscard]] base::Result<Transaction, std::string> read_transaction(
    std::span<const std::byte> bytes);

}  // namespace coordinator
