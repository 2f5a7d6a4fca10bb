#include "coordinator/metadata/tree_image.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <string>
#include <utility>
#include <vector>

using namespace coordinator;

namespace {

void run(Tree& tree, std::vector<Op> ops, SessionId session = SessionId(0)) {
    const auto decision = tree.decide(ops, ourselves(session), 5);
    if (decision && !decision->transaction.changes.empty()) tree.apply(decision->transaction);
}

std::vector<NodeImage> all_of(Tree& tree) {
    return TreeImage(tree).next(1'000'000);
}

std::vector<std::string> paths(const std::vector<NodeImage>& nodes) {
    std::vector<std::string> paths;
    for (const NodeImage& node : nodes) paths.push_back(node.path);
    return paths;
}

}  // namespace

TEST_SUITE("coordinator/metadata/tree_image") {
    TEST_CASE("an image is a walk: parents before children, children by name") {
        Tree tree;
        run(tree, {Create{.path = "/a"}, Create{.path = "/a-b"}, Create{.path = "/a/x"},
                   Create{.path = "/a/x/y"}, Create{.path = "/b"}});
        CHECK(paths(all_of(tree)) ==
              std::vector<std::string>{"/", "/a", "/a/x", "/a/x/y", "/a-b", "/b", "/zookeeper",
                                       "/zookeeper/config", "/zookeeper/quota"});
    }

    TEST_CASE("an image taken in slices is the tree of its beginning, whatever happens meanwhile") {
        for (unsigned seed = 0; seed < 300; ++seed) {
            CAPTURE(seed);
            std::mt19937 random(seed);
            const auto draw = [&](unsigned bound) {
                return static_cast<unsigned>(random() % bound);
            };
            Tree tree;
            tree.apply(tree.decide_create_session(6000, {}, 0));
            const SessionId session = tree.sessions().begin()->first;
            const auto step = [&] {
                std::string path;
                for (unsigned i = 0; i <= draw(4); ++i)
                    path += "/" + std::string(1, "ab-c"[draw(4)]);
                switch (draw(5)) {
                    case 0:
                        run(tree, {Delete{.path = path}});
                        break;
                    case 1:
                        run(tree, {SetData{.path = path, .data = std::to_string(draw(9))}});
                        break;
                    case 2:
                        run(tree, {Create{.path = path, .kind = NodeKind::ephemeral}}, session);
                        break;
                    case 3:
                        run(tree, {SetAcl{.path = path, .acl = {{1, {"world", "anyone"}}}}});
                        break;
                    default:
                        run(tree, {Create{.path = path, .data = ""}});
                }
            };
            for (int i = 0; i < 200; ++i) step();
            const auto expected = all_of(tree);

            TreeImage image(tree);
            std::vector<NodeImage> taken;
            for (;;) {
                for (unsigned i = draw(20); i > 0; --i) step();
                const auto slice = image.next(1 + draw(5));
                if (slice.empty()) break;
                taken.insert(taken.end(), slice.begin(), slice.end());
            }
            CHECK(taken == expected);
            CHECK(image.kept_nodes() == 0);
        }
    }

    TEST_CASE("what is loaded from an image is the tree that it was taken of") {
        Tree tree;
        tree.apply(tree.decide_create_session(6000, Password{std::byte{7}}, 0));
        const SessionId session = tree.sessions().begin()->first;
        run(tree,
            {Create{.path = "/c", .kind = NodeKind::container}, Create{.path = "/c/x"},
             Delete{.path = "/c/x"}, Create{.path = "/t", .kind = NodeKind::ttl, .ttl_ms = 9},
             Create{.path = "/e", .kind = NodeKind::ephemeral}},
            session);
        TreeImage image(tree);
        TreeLoader loader(image.zxid(), image.last_session(), image.sessions());
        const auto nodes = image.next(100);
        for (const NodeImage& node : nodes) REQUIRE(loader.add(node));
        auto loaded = loader.finish();
        REQUIRE(loaded);
        CHECK(all_of(*loaded) == nodes);
        CHECK(loaded->sessions() == tree.sessions());
        CHECK(loaded->node_count() == tree.node_count());
        CHECK(loaded->last_zxid() == tree.last_zxid());
        CHECK(loaded->decide_reap(9, 1000).changes == tree.decide_reap(9, 1000).changes);
        CHECK(loaded->decide_reap(9, 1000).changes.size() == 2);
    }

    TEST_CASE("a snapshot may give nodes in any order that has parents before their children") {
        Tree tree;
        run(tree, {Create{.path = "/a"}, Create{.path = "/a/b"}, Create{.path = "/a/c"},
                   Create{.path = "/a/b/c"}, Create{.path = "/b"}, Create{.path = "/b/a"}});
        TreeImage image(tree);
        const auto nodes = image.next(100);
        auto turned = nodes;
        std::ranges::sort(turned, [](const NodeImage& one, const NodeImage& other) {
            const auto depth = [](const NodeImage& node) {
                return node.path == "/" ? 0 : std::ranges::count(node.path, '/');
            };
            return std::pair(depth(one), other.path) < std::pair(depth(other), one.path);
        });
        REQUIRE(turned != nodes);
        TreeLoader loader(image.zxid(), image.last_session(), image.sessions());
        for (const NodeImage& node : turned) REQUIRE(loader.add(node));
        auto loaded = loader.finish();
        REQUIRE(loaded);
        CHECK(all_of(*loaded) == nodes);
    }

    TEST_CASE("a snapshot that cannot be is refused") {
        const auto loader_with =
            [](std::vector<NodeImage> nodes) -> base::Result<Tree, std::string> {
            TreeLoader loader(Zxid(5), SessionId(3), {{SessionId(3), 6000, {}}});
            for (const NodeImage& node : nodes) {
                const auto added = loader.add(node);
                if (!added) return base::Unexpected(added.error());
            }
            return loader.finish();
        };
        const NodeImage root{.path = "/"};
        CHECK(loader_with({}).error() == "no node /");
        CHECK(loader_with({root}).error() == "no node /zookeeper");
        CHECK(loader_with({root, root}).error() == "/: given twice");
        CHECK(loader_with({{.path = "/a"}}).error() == "/a: given before /");
        CHECK(loader_with({root, {.path = "/a/b"}}).error() == "/a/b: no parent");
        CHECK(loader_with({root, {.path = "/a"}, {.path = "/a"}}).error() == "/a: given twice");
        CHECK(loader_with({root, {.path = "/."}}).error() == "/.: not a path");
        CHECK(loader_with({root, {.path = "/a", .czxid = Zxid(6)}}).error() ==
              "/a: newer than the snapshot");
        CHECK(loader_with({root, {.path = "/e", .kind = NodeKind::ephemeral, .owner_or_ttl = 4}})
                  .error() == "/e: no such owner");
        CHECK(loader_with({root,
                           {.path = "/e", .kind = NodeKind::ephemeral, .owner_or_ttl = 3},
                           {.path = "/e/x"}})
                  .error() == "/e/x: the parent is ephemeral");
    }
}
