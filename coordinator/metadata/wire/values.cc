#include "coordinator/metadata/wire/values.h"

namespace coordinator {

zookeeper::Stat wire_stat(const Stat& stat) {
    return {stat.czxid.value(), stat.mzxid.value(), stat.ctime,        stat.mtime,
            stat.version,       stat.cversion,      stat.aversion,     stat.ephemeral_owner.value(),
            stat.data_length,   stat.num_children,  stat.pzxid.value()};
}

Stat tree_stat(const zookeeper::Stat& stat) {
    return {Zxid(stat.czxid), Zxid(stat.mzxid),  stat.ctime,      stat.mtime,
            stat.version,     stat.cversion,     stat.aversion,   SessionId(stat.ephemeral_owner),
            stat.data_length, stat.num_children, Zxid(stat.pzxid)};
}

Acl tree_acl(const std::optional<std::vector<zookeeper::Acl>>& acl) {
    Acl made;
    if (!acl) return made;
    for (const auto& entry : *acl) {
        made.push_back(
            {entry.permissions, {entry.id.scheme.value_or(""), entry.id.id.value_or("")}});
    }
    return made;
}

std::vector<zookeeper::Acl> wire_acl(const Acl& acl) {
    std::vector<zookeeper::Acl> made;
    for (const AclEntry& entry : acl) {
        made.push_back({entry.permissions, {entry.id.scheme, entry.id.id}});
    }
    return made;
}

}  // namespace coordinator
