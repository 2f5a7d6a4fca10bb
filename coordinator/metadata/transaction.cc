#include "coordinator/metadata/transaction.h"

#include "coordinator/metadata/codec.h"
#include "protocol/wire/reader.h"
#include "protocol/wire/writer.h"

#include <utility>

namespace coordinator {
namespace {

constexpr bool compact = true;  // Lengths as varints.

enum class ChangeType : std::int8_t {
    created = 1,
    deleted = 2,
    data_set = 3,
    acl_set = 4,
    session_created = 5,
    session_closed = 6,
};

class ChangeWriter {
public:
    explicit ChangeWriter(wire::Writer& out) : out_(out) {}

    void operator()(const NodeCreated& created) {
        type(ChangeType::created);
        out_.string(created.path, compact);
        codec::write(out_, created.data);
        out_.int8(static_cast<std::int8_t>(created.kind));
        out_.int64(created.ttl_ms);
        codec::write(out_, created.acl);
    }

    void operator()(const NodeDeleted& deleted) {
        type(ChangeType::deleted);
        out_.string(deleted.path, compact);
    }

    void operator()(const DataSet& set) {
        type(ChangeType::data_set);
        out_.string(set.path, compact);
        codec::write(out_, set.data);
    }

    void operator()(const AclSet& set) {
        type(ChangeType::acl_set);
        out_.string(set.path, compact);
        codec::write(out_, set.acl);
    }

    void operator()(const SessionCreated& created) {
        type(ChangeType::session_created);
        out_.int32(created.timeout_ms);
        codec::write(out_, created.password);
    }

    void operator()(const SessionClosed&) { type(ChangeType::session_closed); }

private:
    void type(ChangeType type) { out_.int8(static_cast<std::int8_t>(type)); }

    wire::Writer& out_;
};

Change read_change(wire::Reader& in) {
    switch (static_cast<ChangeType>(in.int8())) {
        case ChangeType::created: {
            NodeCreated created;
            created.path = codec::read_string(in);
            created.data = codec::read_data(in);
            created.kind = codec::read_kind(in);
            created.ttl_ms = in.int64();
            created.acl = codec::read_acl(in);
            return created;
        }
        case ChangeType::deleted:
            return NodeDeleted{codec::read_string(in)};
        case ChangeType::data_set: {
            DataSet set{codec::read_string(in), {}};
            set.data = codec::read_data(in);
            return set;
        }
        case ChangeType::acl_set: {
            AclSet set{codec::read_string(in), {}};
            set.acl = codec::read_acl(in);
            return set;
        }
        case ChangeType::session_created: {
            SessionCreated created{in.int32(), {}};
            created.password = codec::read_password(in);
            return created;
        }
        case ChangeType::session_closed:
            return SessionClosed{};
    }
    in.fail();
    return SessionClosed{};
}

}  // namespace

void write(const Transaction& transaction, std::vector<std::byte>& bytes) {
    wire::Writer out(bytes);
    out.int64(transaction.zxid.value());
    out.int64(transaction.time_ms);
    out.int64(transaction.session.value());
    out.unsigned_varint(static_cast<std::uint32_t>(transaction.changes.size()));
    for (const Change& change : transaction.changes) std::visit(ChangeWriter(out), change);
}

base::Result<Transaction, std::string> read_transaction(std::span<const std::byte> bytes) {
    wire::Reader in(bytes);
    Transaction transaction;
    transaction.zxid = Zxid(in.int64());
    transaction.time_ms = in.int64();
    transaction.session = SessionId(in.int64());
    // Nothing is reserved for a count, which may lie; each change takes a byte at least.
    for (auto left = in.unsigned_varint(); left > 0 && !in.failed(); --left) {
        transaction.changes.push_back(read_change(in));
    }
    if (!in.finish()) return base::Unexpected(std::string("a transaction does not decode"));
    return transaction;
}

}  // namespace coordinator
