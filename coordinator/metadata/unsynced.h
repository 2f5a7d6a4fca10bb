// Unsynced: the nodes that have changed by transactions that are not durable yet.
//
//     note(transaction, its events)     when it is applied
//     synced(zxid)                      when all up to it is durable
//     holds(path)                       whether what is seen of that node is not durable
//
// Memory: of the transactions between the tree and the disk.
#pragma once

#include "coordinator/metadata/transaction.h"
#include "coordinator/metadata/tree.h"

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace coordinator {

class Unsynced {
public:
    using Events = std::shared_ptr<const std::vector<Event>>;

    void note(const Transaction& transaction, Events events) {
        for (const Event& event : *events) latest_[event.path] = transaction.zxid;
        for (const Change& change : transaction.changes) {
            // No watch fires for a list of rights, but a read shows it.
            if (std::holds_alternative<AclSet>(change)) acl_set_ = transaction.zxid;
        }
        all_.emplace_back(transaction.zxid, std::move(events));
    }

    void synced(Zxid zxid) {
        for (; !all_.empty() && all_.front().first <= zxid; all_.pop_front()) {
            for (const Event& event : *all_.front().second) {
                const auto at = latest_.find(event.path);
                if (at != latest_.end() && at->second <= zxid) latest_.erase(at);
            }
        }
        synced_ = zxid;
    }

    bool holds(std::string_view path) const {
        if (all_.empty()) return false;
        return acl_set_ > synced_ || latest_.contains(path);
    }

private:
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const {
            return std::hash<std::string_view>()(text);
        }
    };

    std::deque<std::pair<Zxid, Events>> all_;
    std::unordered_map<std::string, Zxid, Hash, std::equal_to<>> latest_;  // By path.
    Zxid acl_set_;
    Zxid synced_;
};

}  // namespace coordinator
