#include "coordinator/metadata/watches.h"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

using namespace coordinator;

namespace {

constexpr WatcherId one(1);
constexpr WatcherId two(2);

struct Fixture {
    WatchTable watches;

    using Told = std::vector<std::pair<WatcherId, EventType>>;

    Told fire(std::vector<std::pair<EventType, std::string>> happened) {
        std::vector<Event> events;
        for (auto& [type, path] : happened) events.push_back({type, path, Zxid(1), nullptr});
        Told told;
        for (const auto& fired : watches.fire(events)) {
            told.emplace_back(fired.watcher, fired.event->type);
        }
        return told;
    }

    Told create(const std::string& path, const std::string& parent) {
        return fire({{EventType::created, path}, {EventType::children_changed, parent}});
    }

    Told remove(const std::string& path, const std::string& parent) {
        return fire({{EventType::deleted, path}, {EventType::children_changed, parent}});
    }

    Told set(const std::string& path) { return fire({{EventType::data_changed, path}}); }
};

}  // namespace

TEST_SUITE("coordinator/metadata/watches") {
    TEST_CASE("a data watch fires once") {
        Fixture in;
        in.watches.add(one, "/a", WatchKind::data);
        in.watches.add(one, "/a", WatchKind::data);
        CHECK(in.watches.size() == 1);
        CHECK(in.set("/b").empty());
        CHECK(in.set("/a") == Fixture::Told{{one, EventType::data_changed}});
        CHECK(in.set("/a").empty());
        CHECK(in.watches.size() == 0);
    }

    TEST_CASE("an exists watch of an absent node fires when it is created") {
        Fixture in;
        in.watches.add(one, "/p/a", WatchKind::data);
        in.watches.add(two, "/p", WatchKind::child);
        CHECK(in.create("/p/a", "/p") ==
              Fixture::Told{{one, EventType::created}, {two, EventType::children_changed}});
    }

    TEST_CASE("a deleted node with both kinds of watch is told once") {
        Fixture in;
        in.watches.add(one, "/p/a", WatchKind::data);
        in.watches.add(one, "/p/a", WatchKind::child);
        CHECK(in.remove("/p/a", "/p") == Fixture::Told{{one, EventType::deleted}});
        CHECK(in.watches.size() == 0);
    }

    TEST_CASE("a child watch does not see data") {
        Fixture in;
        in.watches.add(one, "/a", WatchKind::child);
        CHECK(in.set("/a").empty());
        CHECK(in.create("/a", "/").empty());
        CHECK(in.watches.size() == 1);
    }

    TEST_CASE("a persistent watch stays and sees the node and its children") {
        Fixture in;
        in.watches.add(one, "/a", WatchKind::persistent);
        CHECK(in.create("/a", "/") == Fixture::Told{{one, EventType::created}});
        CHECK(in.create("/a/b", "/a") == Fixture::Told{{one, EventType::children_changed}});
        CHECK(in.set("/a") == Fixture::Told{{one, EventType::data_changed}});
        CHECK(in.remove("/a", "/") == Fixture::Told{{one, EventType::deleted}});
        CHECK(in.watches.size() == 1);
    }

    TEST_CASE("a recursive watch sees every node below and never children_changed") {
        Fixture in;
        in.watches.add(one, "/", WatchKind::recursive);
        in.watches.add(two, "/a", WatchKind::recursive);
        CHECK(in.create("/a/b/c", "/a/b") ==
              Fixture::Told{{one, EventType::created}, {two, EventType::created}});
        CHECK(in.set("/ab") == Fixture::Told{{one, EventType::data_changed}});
        CHECK(in.watches.size() == 2);
    }

    TEST_CASE("watches are removed by type, and all of them with their watcher") {
        Fixture in;
        for (const auto kind : {WatchKind::data, WatchKind::child, WatchKind::persistent}) {
            in.watches.add(one, "/a", kind);
        }
        in.watches.add(two, "/a", WatchKind::data);
        CHECK_FALSE(in.watches.remove(one, "/b", WatcherType::any));
        CHECK(in.watches.remove(one, "/a", WatcherType::data));
        CHECK_FALSE(in.watches.remove(one, "/a", WatcherType::data));
        CHECK(in.watches.has(one, "/a", WatcherType::children));
        CHECK(in.watches.has(two, "/a", WatcherType::any));
        CHECK(in.watches.watches_of(one) == 2);
        CHECK(in.watches.remove(one, "/a", WatcherType::any));
        CHECK(in.watches.watches_of(one) == 0);
        in.watches.add(two, "/b", WatchKind::recursive);
        in.watches.remove_all(two);
        CHECK(in.watches.size() == 0);
        CHECK(in.set("/a").empty());
    }
}
