#include "coordinator/metadata/znode.h"

namespace coordinator {
namespace {

constexpr std::int64_t ttl_ms_max = (std::int64_t{1} << 40) - 1;

std::string_view name(ZkError error) {
    switch (error) {
        case ZkError::ok:
            return "ok";
        case ZkError::runtime_inconsistency:
            return "runtime_inconsistency";
        case ZkError::connection_loss:
            return "connection_loss";
        case ZkError::marshalling_error:
            return "marshalling_error";
        case ZkError::unimplemented:
            return "unimplemented";
        case ZkError::bad_arguments:
            return "bad_arguments";
        case ZkError::no_node:
            return "no_node";
        case ZkError::no_auth:
            return "no_auth";
        case ZkError::bad_version:
            return "bad_version";
        case ZkError::no_children_for_ephemerals:
            return "no_children_for_ephemerals";
        case ZkError::node_exists:
            return "node_exists";
        case ZkError::not_empty:
            return "not_empty";
        case ZkError::session_expired:
            return "session_expired";
        case ZkError::invalid_acl:
            return "invalid_acl";
        case ZkError::auth_failed:
            return "auth_failed";
        case ZkError::session_moved:
            return "session_moved";
        case ZkError::no_watcher:
            return "no_watcher";
        case ZkError::quota_exceeded:
            return "quota_exceeded";
    }
    return "unknown";
}

}  // namespace

bool is_possible(const Create& op) {
    if (op.kind == NodeKind::ttl) return op.ttl_ms > 0 && op.ttl_ms <= ttl_ms_max;
    if (op.kind == NodeKind::container && op.sequential) return false;
    return op.ttl_ms == 0;
}

std::string to_string(ZkError error) {
    return std::string(name(error)) + " (" + std::to_string(static_cast<std::int32_t>(error)) + ")";
}

const Acl& open_acl() {
    static const Acl open{{permission::all, {"world", "anyone"}}};
    return open;
}

Caller ourselves(SessionId session) {
    return {session, {{"super", ""}}};
}

}  // namespace coordinator
