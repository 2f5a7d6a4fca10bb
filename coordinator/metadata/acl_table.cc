#include "coordinator/metadata/acl_table.h"

#include "protocol/base/ensure.h"

namespace coordinator {

AclTable::Number AclTable::hold(const Acl& acl) {
    const auto known = numbers_.find(acl);
    if (known != numbers_.end()) {
        ++entries_[known->second].holders;
        return known->second;
    }
    if (free_.empty()) {
        free_.push_back(static_cast<Number>(entries_.size()));
        entries_.emplace_back();
    }
    const Number number = free_.back();
    free_.pop_back();
    entries_[number] = {std::make_shared<const Acl>(acl), 1};
    numbers_.emplace(acl, number);
    return number;
}

void AclTable::release(Number number) {
    Entry& entry = entries_[number];
    base::ensure(entry.holders > 0, "only a list that is held is released");
    if (--entry.holders > 0) return;
    numbers_.erase(*entry.acl);
    entry.acl.reset();
    free_.push_back(number);
}

}  // namespace coordinator
