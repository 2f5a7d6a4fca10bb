#include "coordinator/metadata/watches.h"

#include "coordinator/metadata/path.h"

#include <utility>

namespace coordinator {
namespace {

// The kinds that a type of removeWatches covers.
std::vector<WatchKind> covered(WatcherType type) {
    switch (type) {
        case WatcherType::children:
            return {WatchKind::child};
        case WatcherType::data:
            return {WatchKind::data};
        case WatcherType::any:
            break;
    }
    return {WatchKind::data, WatchKind::child, WatchKind::persistent, WatchKind::recursive};
}

// That of checkWatches: persistent ones are data watches and child watches.
std::vector<WatchKind> included(WatcherType type) {
    auto kinds = covered(type);
    if (type == WatcherType::any) return kinds;
    kinds.insert(kinds.end(), {WatchKind::persistent, WatchKind::recursive});
    return kinds;
}

}  // namespace

void WatchTable::add(WatcherId watcher, std::string_view path, WatchKind kind) {
    auto at = table(kind).find(path);
    if (at == table(kind).end()) at = table(kind).emplace(path, Watchers()).first;
    if (!at->second.insert(watcher).second) return;
    by_watcher_[watcher].emplace(path, kind);
    ++size_;
    if (is_in_both(kind)) ++in_both_;
}

bool WatchTable::has(WatcherId watcher, std::string_view path, WatchKind kind) const {
    const auto at = table(kind).find(path);
    return at != table(kind).end() && at->second.contains(watcher);
}

bool WatchTable::has(WatcherId watcher, std::string_view path, WatcherType type) const {
    for (const WatchKind kind : included(type)) {
        if (has(watcher, path, kind)) return true;
    }
    return false;
}

bool WatchTable::remove(WatcherId watcher, std::string_view path, WatchKind kind) {
    const auto at = table(kind).find(path);
    if (at == table(kind).end() || at->second.erase(watcher) == 0) return false;
    if (at->second.empty()) table(kind).erase(at);
    const auto own = by_watcher_.find(watcher);
    own->second.erase(std::pair(std::string(path), kind));
    if (own->second.empty()) by_watcher_.erase(own);
    --size_;
    if (is_in_both(kind)) --in_both_;
    return true;
}

bool WatchTable::remove(WatcherId watcher, std::string_view path, WatcherType type) {
    bool removed = false;
    for (const WatchKind kind : covered(type)) {
        if (remove(watcher, path, kind)) removed = true;
    }
    return removed;
}

void WatchTable::remove_all(WatcherId watcher) {
    const auto own = by_watcher_.find(watcher);
    if (own == by_watcher_.end()) return;
    const auto watches = own->second;
    for (const auto& [path, kind] : watches) remove(watcher, path, kind);
}

void WatchTable::take(WatchKind kind, std::string_view path, Watchers& told) {
    const auto at = table(kind).find(path);
    if (at == table(kind).end()) return;
    const Watchers watchers = at->second;
    for (const WatcherId watcher : watchers) remove(watcher, path, kind);
    told.insert(watchers.begin(), watchers.end());
}

void WatchTable::look(WatchKind kind, std::string_view path, Watchers& told) const {
    const auto at = table(kind).find(path);
    if (at != table(kind).end()) told.insert(at->second.begin(), at->second.end());
}

std::vector<WatchTable::Fired> WatchTable::fire(const std::vector<Event>& events) {
    std::vector<Fired> fired;
    if (size_ == 0) return fired;
    for (const Event& event : events) {
        Watchers told;
        if (event.type != EventType::children_changed) take(WatchKind::data, event.path, told);
        if (event.type == EventType::children_changed || event.type == EventType::deleted) {
            take(WatchKind::child, event.path, told);
        }
        look(WatchKind::persistent, event.path, told);
        if (event.type != EventType::children_changed && !table(WatchKind::recursive).empty()) {
            for (std::string_view path = event.path;; path = zk_path::parent(path)) {
                look(WatchKind::recursive, path, told);
                if (path == "/") break;
            }
        }
        for (const WatcherId watcher : told) fired.push_back({watcher, &event});
    }
    return fired;
}

std::map<std::string, std::set<WatcherId>> WatchTable::data_watches() const {
    std::map<std::string, std::set<WatcherId>> all;
    for (const WatchKind kind : {WatchKind::data, WatchKind::persistent, WatchKind::recursive}) {
        for (const auto& [path, watchers] : table(kind)) {
            all[path].insert(watchers.begin(), watchers.end());
        }
    }
    return all;
}

std::size_t WatchTable::watches_of(WatcherId watcher) const {
    const auto own = by_watcher_.find(watcher);
    return own == by_watcher_.end() ? 0 : own->second.size();
}

}  // namespace coordinator
