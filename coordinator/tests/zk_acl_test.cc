#include "coordinator/metadata/acl.h"

#include <doctest/doctest.h>

#include <vector>

using namespace coordinator;

namespace {

const std::vector<Id> nobody{{"ip", "10.1.2.3"}};
const std::vector<Id> user{{"ip", "10.1.2.3"}, {"digest", "u:abc"}, {"x509", "CN=me"}};

bool allowed(const char* scheme, const char* id) {
    return fix_up({{permission::all, {scheme, id}}}, nobody).has_value();
}

bool may_read(const char* scheme, const char* id, const std::vector<Id>& caller) {
    return permits({{permission::read, {scheme, id}}}, permission::read, caller);
}

}  // namespace

TEST_SUITE("coordinator/metadata/acl") {
    TEST_CASE("ids are judged by their scheme") {
        CHECK(allowed("world", "anyone"));
        CHECK_FALSE(allowed("world", "me"));
        CHECK_FALSE(allowed("nonsense", "anyone"));
        CHECK_FALSE(allowed("super", ""));
        CHECK_FALSE(allowed("sasl", "kafka"));
        for (const char* id : {"u:abc", ":x", "a:b:"}) CHECK(allowed("digest", id));
        for (const char* id : {"u:", "x", "a:b:c", ":", ""}) CHECK_FALSE(allowed("digest", id));
        for (const char* id : {"1.2.3.4", "1.2.3.4/0", "1.2.3.4/32", "::1", "fe80::/10"}) {
            CHECK(allowed("ip", id));
        }
        for (const char* id : {"", "1.2.3", "1.2.3.4/33", "1.2.3.4/", "1.2.3.4/x", "::1/129",
                               "1.2.3.4/-1", "localhost"}) {
            CHECK_FALSE(allowed("ip", id));
        }
    }

    TEST_CASE("an empty list is refused, duplicates are dropped, no permission at all is allowed") {
        CHECK_FALSE(fix_up({}, user));
        const AclEntry nothing{0, {"world", "anyone"}};
        CHECK(fix_up({nothing, nothing}, user) == Acl{nothing});
    }

    TEST_CASE("auth stands for the authenticated ids of the caller, not for its address") {
        const Acl asked{{permission::read, {"auth", "whatever"}}};
        CHECK(fix_up(asked, user) ==
              Acl{{permission::read, {"digest", "u:abc"}}, {permission::read, {"x509", "CN=me"}}});
        CHECK_FALSE(fix_up(asked, nobody));
    }

    TEST_CASE("a permission needs an entry with it whose id is one of the caller's") {
        CHECK(may_read("world", "anyone", nobody));
        CHECK(may_read("digest", "u:abc", user));
        CHECK_FALSE(may_read("digest", "u:abd", user));
        CHECK_FALSE(may_read("digest", "u:abc", nobody));
        CHECK(may_read("ip", "10.1.2.3", nobody));
        CHECK(may_read("ip", "10.0.0.0/8", nobody));
        CHECK(may_read("ip", "10.1.2.2/31", nobody));
        CHECK_FALSE(may_read("ip", "10.1.2.4/31", nobody));
        CHECK_FALSE(may_read("ip", "::/0", nobody));
        CHECK_FALSE(permits({{permission::write, {"world", "anyone"}}}, permission::read, nobody));
        CHECK(permits({}, permission::admin, nobody));
        CHECK(permits({{0, {"world", "anyone"}}}, permission::admin, ourselves().ids));
    }
}
