// Acl: who may do what with a znode: which lists are allowed, and what they allow.
//
// Pure. Schemes: world, auth, digest, ip, x509, and super, which passes everything and is
// never written into a list. Source: Apache ZooKeeper's PrepRequestProcessor.fixupACL and
// ZooKeeperServer.checkACL.
#pragma once

#include "coordinator/metadata/znode.h"

#include <optional>
#include <span>

namespace coordinator {

// The list as it is stored: duplicates gone, "auth" replaced by the caller's authenticated
// ids (not its address). Nothing for an empty list, an unknown scheme, an id that its scheme
// does not allow, or "auth" of a caller without such ids: invalid_acl.
std::optional<Acl> fix_up(const Acl& acl, std::span<const Id> caller);

// Whether one of the caller's ids has one of the wanted permissions. An empty list permits all.
bool permits(const Acl& acl, std::int32_t wanted, std::span<const Id> caller);

// The list as somebody without ADMIN may see it: passwords of digest ids masked.
Acl masked(Acl acl);

}  // namespace coordinator
