// OneShotWatches: what a recursive watch tells, from servers that have none (ZooKeeper before 3.6).
//
//     root      exists + getChildren, each with a watch --> fired: told, asked and watched again
//     child     getData with a watch                    --> fired: told, asked and watched again
//
// Of children that come, the difference between two lists is told; one that goes tells so itself.
//
// Threads: the client's.
#pragma once

#include "broker/cluster/metadata_store.h"
#include "coordinator/metadata/client/client.h"

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace broker {

class OneShotWatches {
public:
    using Tell = std::function<void(coordinator::EventType, const std::string&)>;

    OneShotWatches(coordinator::MetadataClient& client, std::vector<std::string> roots, Tell tell)
        : client_(client), roots_(std::move(roots)), tell_(std::move(tell)) {}

    // Watch all of it, after each connection. What is there is not told.
    void begin();

    void happened(const coordinator::WatchEvent& event);

private:
    void look_at_root(const std::string& root);
    void look_at_children(const std::string& root);
    void compare(const std::string& root, const std::vector<std::string>& names);
    void watch_child(const std::string& path);

    coordinator::MetadataClient& client_;
    const std::vector<std::string> roots_;
    const Tell tell_;
    std::map<std::string, std::set<std::string>>
        children_;  // By root; none before the first answer.
};

}  // namespace broker
