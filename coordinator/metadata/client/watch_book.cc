#include "coordinator/metadata/client/watch_book.h"

#include <algorithm>
#include <span>

namespace coordinator {
namespace {

using Kind = WatchBook::Kind;

// Of path text in one packet; Apache ZooKeeper's own client takes as much.
constexpr std::size_t packet_bytes_max = 128 * 1024;

std::span<const Kind> kinds_of(WatcherType type) {
    static constexpr Kind all[] = {Kind::data, Kind::absent, Kind::child, Kind::persistent,
                                   Kind::recursive};
    static constexpr Kind child[] = {Kind::child};
    static constexpr Kind data[] = {Kind::data, Kind::absent};
    switch (type) {
        case WatcherType::children:
            return child;
        case WatcherType::data:
            return data;
        case WatcherType::any:
            return all;
    }
    return {};
}

std::optional<std::vector<std::string>>& list_of(zookeeper::SetWatches2Request& packet, Kind kind) {
    switch (kind) {
        case Kind::data:
            return packet.once.data;
        case Kind::absent:
            return packet.once.exist;
        case Kind::child:
            return packet.once.child;
        case Kind::persistent:
            return packet.persistent;
        case Kind::recursive:
            break;
    }
    return packet.recursive;
}

zookeeper::SetWatches2Request empty_packet(Zxid last_seen) {
    zookeeper::SetWatches2Request packet;
    packet.once.relative_zxid = last_seen.value();
    for (const Kind kind : kinds_of(WatcherType::any)) list_of(packet, kind).emplace();
    return packet;
}

}  // namespace

void WatchBook::remove(const std::string& path, WatcherType type) {
    for (const Kind kind : kinds_of(type)) of(kind).erase(path);
}

bool WatchBook::has(const std::string& path, WatcherType type) const {
    return std::ranges::any_of(kinds_of(type), [&](Kind kind) { return of(kind).contains(path); });
}

void WatchBook::fired(const WatchEvent& event) {
    if (event.type != EventType::children_changed) remove(event.path, WatcherType::data);
    if (event.type == EventType::children_changed || event.type == EventType::deleted) {
        remove(event.path, WatcherType::children);
    }
}

void WatchBook::clear() {
    for (Paths& paths : paths_) paths.clear();
}

bool WatchBook::empty() const {
    return std::ranges::all_of(paths_, &Paths::empty);
}

std::vector<zookeeper::SetWatches2Request> WatchBook::to_set(Zxid last_seen) const {
    std::vector<zookeeper::SetWatches2Request> packets;
    std::size_t room = 0;
    for (const Kind kind : kinds_of(WatcherType::any)) {
        for (const std::string& path : of(kind)) {
            if (room < path.size()) {
                packets.push_back(empty_packet(last_seen));
                room = packet_bytes_max;
            }
            list_of(packets.back(), kind)->push_back(path);
            room -= std::min(room, path.size() + 4);
        }
    }
    return packets;
}

}  // namespace coordinator
