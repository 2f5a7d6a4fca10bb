#include "coordinator/metadata/path.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

namespace zk_path = coordinator::zk_path;

TEST_SUITE("coordinator/metadata/path") {
    TEST_CASE("the paths that ZooKeeper takes") {
        for (const char* path : {"/", "/a", "/a/b.c", "/...", "/a/..b", "/ ", "/<default>",
                                 "/\u00e9", "/\u4e2d", "/\ufeff"}) {
            CAPTURE(path);
            CHECK(zk_path::is_valid(path));
        }
    }

    TEST_CASE("the paths that ZooKeeper refuses") {
        using namespace std::string_view_literals;
        for (const auto path :
             {""sv,      "a"sv,     "a/b"sv,       "/a/"sv,          "//"sv,      "//a"sv,
              "/a//b"sv, "/."sv,    "/.."sv,       "/a/./b"sv,       "/a/.."sv,   "/a\0b"sv,
              "/\n"sv,   "/\x7f"sv, "/\u0085"sv,   "/\uf000"sv,      "/\ufff0"sv, "/\U0001f600"sv,
              "/\xff"sv, "/\xc3"sv, "/\xc0\xaf"sv, "/\xed\xa0\x80"sv}) {
            CAPTURE(path);
            CHECK_FALSE(zk_path::is_valid(path));
        }
    }

    TEST_CASE("parents and names") {
        CHECK(zk_path::parent("/a/b") == "/a");
        CHECK(zk_path::parent("/a") == "/");
        CHECK(zk_path::parent("/") == "/");
        CHECK(zk_path::name("/a/b") == "b");
    }

    TEST_CASE("a walk meets a node, then its children, then its sisters") {
        const zk_path::WalkOrder before;
        const char* const walk[] = {"/", "/a", "/a/b", "/a/b/c", "/a/b-", "/a-b", "/a.b", "/b"};
        for (std::size_t i = 0; i < std::size(walk); ++i) {
            for (std::size_t j = 0; j < std::size(walk); ++j) {
                CAPTURE(walk[i]);
                CAPTURE(walk[j]);
                CHECK(before(walk[i], walk[j]) == (i < j));
            }
        }
    }
}
