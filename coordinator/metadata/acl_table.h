// AclTable: every ACL list of a tree, once, however many nodes have it.
//
// Nodes hold a 4-byte number instead of a list. Nearly all nodes of a tree share a few.
#pragma once

#include "coordinator/metadata/znode.h"

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

namespace coordinator {

class AclTable {
public:
    using Number = std::uint32_t;

    // The number of this list, held once more.
    Number hold(const Acl& acl);

    // Hold it once less. A list that nobody holds is forgotten.
    void release(Number number);

    // Requires that the number is held.
    const std::shared_ptr<const Acl>& at(Number number) const { return entries_[number].acl; }

private:
    struct Entry {
        std::shared_ptr<const Acl> acl;
        std::size_t holders = 0;
    };

    std::vector<Entry> entries_;
    std::map<Acl, Number> numbers_;
    std::vector<Number> free_;
};

}  // namespace coordinator
