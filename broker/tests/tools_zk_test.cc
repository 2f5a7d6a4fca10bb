#include "broker/tools/zk_quota.h"
#include "broker/tools/zk_reader.h"
#include "broker/tools/zk_text.h"

#include <doctest/doctest.h>

using namespace broker;
using coordinator::ZkError;
using Words = std::vector<std::string>;

namespace {

std::string fault_of(const auto& call) {
    try {
        call();
    } catch (const ShellError& error) {
        return error.what();
    }
    return "";
}

}  // namespace

TEST_CASE("a line is cut into words, and quotes keep blanks together") {
    CHECK(zk_text::words("  create /a  \"two words\" 'it''s' ") ==
          Words{"create", "/a", "two words", "it", "s"});
    CHECK(zk_text::words("set /a \"open") == Words{"set", "/a", "open"});
    CHECK(zk_text::words(" \t").empty());
}

TEST_CASE("options stand anywhere, letters together, and numbers are no options") {
    const auto parsed = zk_text::parse({"ls", "/a", "-sw", "-v", "3", "-1"}, "s w v:");
    CHECK(parsed.rest == Words{"/a", "-1"});
    CHECK(parsed.has("s"));
    CHECK(parsed.has("w"));
    CHECK(parsed.get("v") == "3");
    CHECK(fault_of([] { zk_text::parse({"ls", "-q"}, "s"); }) == "Unrecognized option: -q");
    CHECK(fault_of([] { zk_text::parse({"ls", "-v"}, "v:"); }) == "Missing argument for option: v");
    CHECK(fault_of([] { zk_text::number("1x", "no number"); }) == "no number");
}

TEST_CASE("ACLs are read and shown in the shell's form") {
    Words complaints;
    const auto acl =
        zk_text::parse_acl("world:anyone:rw,digest:u:p=:cdrwa,ip:1:x,bogus", complaints);
    REQUIRE(acl.size() == 3);
    CHECK(zk_text::acl(acl) == "'world,'anyone\n: rw\n'digest,'u:p=\n: cdrwa\n'ip,'1\n: \n");
    CHECK(complaints ==
          Words{"Unknown perm type: x", "bogus does not have the form scheme:id:perm"});
}

TEST_CASE("paths that no node may have are refused before a server is asked") {
    for (const char* const good : {"/", "/a", "/a/b.c/.d"}) zk_text::check_path(good);
    CHECK(fault_of([] { zk_text::check_path(""); }) == "Path length must be > 0");
    CHECK(fault_of([] { zk_text::check_path("a"); }) == "Path must start with / character");
    CHECK(fault_of([] { zk_text::check_path("/a/"); }) == "Path must not end with / character");
    CHECK(fault_of([] { zk_text::check_path("/a//b"); }) ==
          "Invalid path string \"/a//b\" caused by empty node name specified @3");
    CHECK(fault_of([] { zk_text::check_path("/a/../b"); }) ==
          "Invalid path string \"/a/../b\" caused by relative paths not allowed @4");
}

TEST_CASE("errors are said in the shell's words") {
    CHECK(zk_text::error(ZkError::no_node, "/a") == "Node does not exist: /a");
    CHECK(zk_text::error(ZkError::connection_loss, "/") ==
          "KeeperErrorCode = ConnectionLoss for /");
    CHECK(zk_text::error(static_cast<ZkError>(-123), "") ==
          "KeeperErrorCode = Reconfig is disabled");
}

TEST_CASE("a quota comes back as it was written, by old shells and new") {
    CHECK(ZkQuota("count=5,bytes=-1").text() == "count=5,bytes=-1");
    const std::string hard = "count=5,bytes=1=;byteHardLimit=-1;countHardLimit=9";
    CHECK(ZkQuota(hard).text() == hard);
    CHECK(ZkQuota(hard).get("countHardLimit") == 9);
    CHECK(ZkQuota("junk,count=x,=").text() == "count=-1,bytes=-1");
}

TEST_CASE("members of an old group share partitions without gap or overlap, the first ones more") {
    using Share = std::pair<std::size_t, std::size_t>;
    CHECK(share_of(5, 2, 0) == Share(0, 3));
    CHECK(share_of(5, 2, 1) == Share(3, 2));
    CHECK(share_of(1, 3, 2) == Share(1, 0));
    for (std::size_t count = 0; count < 20; ++count) {
        for (std::size_t members = 1; members < 8; ++members) {
            std::size_t next = 0;
            for (std::size_t at = 0; at < members; ++at) {
                const auto [from, size] = share_of(count, members, at);
                CHECK(from == next);
                next += size;
            }
            CHECK(next == count);
        }
    }
}
