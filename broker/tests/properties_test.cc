#include "broker/config/properties.h"

#include <doctest/doctest.h>

using broker::parse_properties;
using broker::Property;

namespace {

// "key=value;key=value", with the lines they stand on left out.
std::string read(std::string_view text) {
    const auto properties = parse_properties(text);
    if (!properties)
        return "line " + std::to_string(properties.error().line) + ": " + properties.error().detail;
    std::string out;
    for (const Property& one : *properties)
        out += (out.empty() ? "" : ";") + one.key + "=" + one.value;
    return out;
}

}  // namespace

TEST_CASE("a key ends at the first =, : or blank that is not escaped") {
    CHECK(read("a=1\nb:2\nc 3\nd\t=\t4\ne = : 5\nf") == "a=1;b=2;c=3;d=4;e=: 5;f=");
    CHECK(read("a\\=b\\:c\\ d=1") == "a=b:c d=1");
    CHECK(read("  \t a   =   1  ") == "a=1  ");
    CHECK(read("=1\n:2") == "=1;=2");
}

TEST_CASE("comments and empty lines are nothing") {
    CHECK(read("# a=1\n! b=2\n\n   # c=3\n\t\nd=#4\ne=5 # 6") == "d=#4;e=5 # 6");
}

TEST_CASE("a line that ends in an odd number of backslashes goes on in the next") {
    CHECK(read("a=1,\\\n    2,\\\r\n\t3\nb=x") == "a=1,2,3;b=x");
    CHECK(read("a=1\\\\\nb=2") == "a=1\\;b=2");
    CHECK(read("a=1\\\n# no comment here\nb=2") == "a=1# no comment here;b=2");
    CHECK(read("# a comment does not go on\\\nb=2") == "b=2");
    CHECK(read("a=1\\") == "a=1");
}

TEST_CASE("escapes are Java's") {
    CHECK(read("a=\\t\\n\\r\\f\\q\\\\") == "a=\t\n\r\fq\\");
    CHECK(read("a=\\u0041\\u00e9\\u20AC") == "a=A\xC3\xA9\xE2\x82\xAC");
    CHECK(read("a=\\uD83D\\uDE00") == "a=\xF0\x9F\x98\x80");
    CHECK(read("ok=1\na=\\u12g4") == "line 2: \\u wants four hexadecimal digits behind it");
    CHECK(read("a=\\u12") == "line 1: \\u wants four hexadecimal digits behind it");
}

TEST_CASE("text may be UTF-8 or ISO-8859-1") {
    CHECK(read("a=\xC3\xA9") == "a=\xC3\xA9");
    CHECK(read("a=\xE9t\xE9") == "a=\xC3\xA9t\xC3\xA9");
    CHECK(read("\xEF\xBB\xBF"
               "a=1") == "a=1");
}

TEST_CASE("each assignment knows the line it begins on, and repeats are kept") {
    const auto properties = parse_properties("# one\na=1\\\n2\r\rb=2\na=3\n");
    REQUIRE(properties);
    CHECK(*properties == std::vector<Property>{{"a", "12", 2}, {"b", "2", 5}, {"a", "3", 6}});
}

TEST_CASE("whatever the bytes are, the parser ends and reads no further than they go") {
    const std::string text = "k\\u0041=\\\r\n v\\uD800\\uDC00 : \xF0\x9F\n#\\\n\\";
    for (std::size_t cut = 0; cut <= text.size(); ++cut) {
        const auto properties = parse_properties(std::string_view(text).substr(0, cut));
        if (properties)
            CHECK(properties->size() <= 3);
        else
            CHECK(properties.error().line >= 1);
    }
}
