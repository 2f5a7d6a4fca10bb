// WatchTable: who wants to know what about which znode, and who is to be told of an event.
//
//     tree.apply() --> events --> fire() --> (watcher, event) pairs, each pair once
//
// Two tables as in ZooKeeper: data watches (exists, getData) and child watches
// (getChildren). A one-shot watch is gone when it fires; a persistent one, in both tables,
// stays; a persistent recursive one also sees every node below, and never children_changed.
// A watcher is a connection; its watches go with it.
//
// Pure, no threads of its own: its owner keeps it beside the tree. setWatches of a client
// that comes back is add() of what is unchanged; what has changed is told by the caller,
// from the Stats.
//
// Limits: watches_of() says how many a watcher has, so that who adds them can refuse.
//
// Source: Apache ZooKeeper's WatchManager and DataTree.
#pragma once

#include "coordinator/metadata/tree.h"
#include "coordinator/metadata/znode.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace coordinator {

using WatcherId = base::Strong<std::uint64_t, struct WatcherIdTag>;

enum class WatchKind : std::int8_t { data, child, persistent, recursive };

// As removeWatches and checkWatches name them.
enum class WatcherType : std::int32_t { children = 1, data = 2, any = 3 };

class WatchTable {
public:
    struct Fired {
        WatcherId watcher;
        const Event* event;  // One of those given to fire().
    };

    void add(WatcherId watcher, std::string_view path, WatchKind kind);

    // Whether anything of that type was there; remove() takes it away. `any` means all kinds.
    bool has(WatcherId watcher, std::string_view path, WatcherType type) const;
    bool remove(WatcherId watcher, std::string_view path, WatcherType type);

    // The connection is gone.
    void remove_all(WatcherId watcher);

    // Who is told of what, in the events' order; consumes one-shot watches.
    std::vector<Fired> fire(const std::vector<Event>& events);

    std::size_t watches_of(WatcherId watcher) const;

    // As ZooKeeper's data table lists them, persistent ones too.
    std::map<std::string, std::set<WatcherId>> data_watches() const;
    std::size_t size() const noexcept { return size_; }
    // As ZooKeeper counts them: a persistent one in both of its tables.
    std::size_t entries() const noexcept { return size_ + in_both_; }

private:
    static constexpr std::size_t kinds = 4;
    using Watchers = std::set<WatcherId>;
    using ByPath = std::map<std::string, Watchers, std::less<>>;

    ByPath& table(WatchKind kind) noexcept { return by_path_[static_cast<std::size_t>(kind)]; }
    const ByPath& table(WatchKind kind) const noexcept {
        return by_path_[static_cast<std::size_t>(kind)];
    }
    static bool is_in_both(WatchKind kind) noexcept { return kind >= WatchKind::persistent; }
    bool has(WatcherId watcher, std::string_view path, WatchKind kind) const;
    bool remove(WatcherId watcher, std::string_view path, WatchKind kind);
    void take(WatchKind kind, std::string_view path, Watchers& told);
    void look(WatchKind kind, std::string_view path, Watchers& told) const;

    ByPath by_path_[kinds];
    std::map<WatcherId, std::set<std::pair<std::string, WatchKind>>> by_watcher_;
    std::size_t size_ = 0;  // Watchers of all paths.
    std::size_t in_both_ = 0;
};

}  // namespace coordinator
