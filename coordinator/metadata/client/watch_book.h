// WatchBook: the watches that a client has at its server, kept to set them again.
//
// A server forgets a client's watches with its connection. On the next connection the client
// says which it had and how much it has seen; what happened meanwhile is told as events.
//
// Paths are the server's. Pure, no threads.
//
// Source: Apache ZooKeeper's ClientCnxn.primeConnection and ZKWatchManager.
#pragma once

#include "coordinator/metadata/watches.h"
#include "coordinator/metadata/znode.h"
#include "protocol/zookeeper/messages.h"

#include <array>
#include <cstddef>
#include <set>
#include <string>
#include <vector>

namespace coordinator {

// An event at a client: what the server says of a znode's change.
struct WatchEvent {
    EventType type;
    std::string path;
    Zxid zxid;  // Of the change; -1 when the server does not say (before 3.9).
};

class WatchBook {
public:
    // `absent` waits for a node to be created; the others are as the server's kinds.
    enum class Kind : std::size_t { data, absent, child, persistent, recursive };

    void add(Kind kind, const std::string& path) { of(kind).insert(path); }

    // As removeWatches does: of `any` type all kinds go.
    void remove(const std::string& path, WatcherType type);

    // Whether anything of that type is there.
    bool has(const std::string& path, WatcherType type) const;

    // One-shot watches go as they fire.
    void fired(const WatchEvent& event);

    void clear();
    bool empty() const;

    // What sets them all again, in packets that pass the server's limit for one.
    std::vector<zookeeper::SetWatches2Request> to_set(Zxid last_seen) const;

private:
    using Paths = std::set<std::string>;
    static constexpr std::size_t kinds = 5;

    Paths& of(Kind kind) { return paths_[static_cast<std::size_t>(kind)]; }
    const Paths& of(Kind kind) const { return paths_[static_cast<std::size_t>(kind)]; }

    std::array<Paths, kinds> paths_;
};

}  // namespace coordinator
