#include "broker/cluster/one_shot_watches.h"

#include <algorithm>

namespace broker {

using coordinator::EventType;
using coordinator::Watch;
using coordinator::ZkError;
namespace request = coordinator::request;

void OneShotWatches::begin() {
    children_.clear();
    for (const auto& root : roots_) {
        look_at_root(root);
        look_at_children(root);
    }
}

void OneShotWatches::happened(const coordinator::WatchEvent& event) {
    const bool is_root = std::ranges::find(roots_, event.path) != roots_.end();
    if (event.type == EventType::children_changed) {
        if (is_root) look_at_children(event.path);
        return;
    }
    if (is_root) {
        look_at_root(event.path);
        if (event.type == EventType::created) look_at_children(event.path);
    } else if (event.type == EventType::data_changed) {
        watch_child(event.path);
    }
    tell_(event.type, event.path);
}

void OneShotWatches::look_at_root(const std::string& root) {
    client_.submit<coordinator::Stat>(request::exists(root, Watch::yes), [](const auto&) {});
}

void OneShotWatches::look_at_children(const std::string& root) {
    client_.submit<coordinator::ChildrenView>(request::children(root, Watch::yes),
                                              [this, root](const auto& found) {
                                                  if (found) compare(root, found->names);
                                              });
}

void OneShotWatches::compare(const std::string& root, const std::vector<std::string>& names) {
    const auto [known, is_first] = children_.try_emplace(root);
    std::set<std::string> now(names.begin(), names.end());
    for (const auto& name : now) {
        const bool is_new = !known->second.contains(name);
        if (is_new) watch_child(root + "/" + name);
        if (is_new && !is_first) tell_(EventType::created, root + "/" + name);
    }
    known->second = std::move(now);
}

void OneShotWatches::watch_child(const std::string& path) {
    client_.submit<coordinator::NodeView>(request::get(path, Watch::yes), [](const auto&) {});
}

}  // namespace broker
