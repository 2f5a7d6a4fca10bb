#include "broker/tools/options.h"

#include <doctest/doctest.h>

using broker::Options;
using broker::UsageError;

namespace {

struct Fixture {
    Options options{"a tool"};

    Fixture() {
        options.flag("list", "");
        options.flag("describe", "");
        options.flag("delete", "");
        options.flag("delete-offsets", "");
        options.value("bootstrap-server,broker-list", "host:port", "");
        options.value("topic", "name", "");
        options.value("property,formatter-property", "k=v", "");
        options.value("time", "time", "");
        options.maybe_value("state", "states", "");
        options.many_values("producer-props", "k=v", "");
    }

    Options& parse(std::vector<std::string> words) {
        options.parse(words);
        return options;
    }
};

}  // namespace

TEST_CASE("an option's value follows it, or an equals sign") {
    Fixture in;
    auto& options = in.parse({"--topic", "a", "--time=5"});
    CHECK(options.get("topic") == "a");
    CHECK(options.integer("time") == 5);
    CHECK(!options.has("list"));
    CHECK(!options.get("bootstrap-server"));
}

TEST_CASE("a single dash does for a long name, and so does the beginning of one") {
    Fixture in;
    auto& options = in.parse({"-list", "-topic", "a", "--boot", "b:1"});
    CHECK(options.has("list"));
    CHECK(options.get("topic") == "a");
    CHECK(options.get("bootstrap-server") == "b:1");
}

TEST_CASE("old spellings are the same option") {
    Fixture in;
    CHECK(in.parse({"--broker-list", "b:1"}).get("bootstrap-server") == "b:1");
}

TEST_CASE("a whole name goes before the names that begin with it") {
    Fixture in;
    CHECK(in.parse({"--delete"}).has("delete"));
    CHECK(!in.options.has("delete-offsets"));
}

TEST_CASE("the beginning of several names is not taken for one of them") {
    Fixture in;
    CHECK_THROWS_AS(in.parse({"--de"}), UsageError);
}

TEST_CASE("values may be negative numbers, and may look like options") {
    Fixture in;
    auto& options = in.parse(
        {"--time", "-1", "--property", "--x=y", "--formatter-property", "key.separator= - "});
    CHECK(options.integer("time") == -1);
    CHECK(options.all("property") == std::vector<std::string>{"--x=y", "key.separator= - "});
}

TEST_CASE("the last value counts where one is asked for") {
    Fixture in;
    CHECK(in.parse({"--topic", "a", "--topic", "b"}).get("topic") == "b");
}

TEST_CASE("an option whose value may be left out") {
    SUBCASE("absent") {
        Fixture in;
        CHECK(!in.parse({"--list"}).get("state"));
    }
    SUBCASE("without a value") {
        Fixture in;
        CHECK(in.parse({"--state", "--list"}).get("state") == "");
        CHECK(in.options.has("list"));
    }
    SUBCASE("with a value") {
        Fixture in;
        CHECK(in.parse({"--state", "Empty"}).get("state") == "Empty");
    }
}

TEST_CASE("an option takes all words up to the next one when it is made so") {
    Fixture in;
    auto& options = in.parse({"--producer-props", "a=1", "b=2", "--topic", "t"});
    CHECK(options.all("producer-props") == std::vector<std::string>{"a=1", "b=2"});
    CHECK(options.get("topic") == "t");
}

TEST_CASE("what the command line does wrong is said") {
    Fixture in;
    CHECK_THROWS_WITH_AS(in.parse({"--bogus"}), "bogus is not a recognized option", UsageError);
    CHECK_THROWS_WITH_AS(Fixture().parse({"--topic"}), "Option topic requires an argument",
                         UsageError);
    CHECK_THROWS_AS(Fixture().parse({"stray"}), UsageError);
    CHECK_THROWS_WITH_AS(Fixture().parse({"--list"}).required("topic"),
                         "Missing required argument \"[topic]\"", UsageError);
    CHECK_THROWS_AS((void)Fixture().parse({"--time", "soon"}).integer("time"), UsageError);
}

TEST_CASE("words without a dash go where they are declared to") {
    Fixture in;
    in.options.positional("words", "");
    CHECK(in.parse({"check", "--topic", "t", "file"}).all("words") ==
          std::vector<std::string>{"check", "file"});
    Fixture without;
    without.options.positional("words", "");
    CHECK(without.parse({"--list"}).all("words").empty());
}
