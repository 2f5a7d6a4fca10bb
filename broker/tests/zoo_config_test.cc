#include "broker/config/zoo_config.h"

#include <doctest/doctest.h>

#include <fstream>
#include <iterator>

using namespace broker;
using Level = ConfigMessage::Level;

namespace {

LoadedZooConfig load(const std::string& text) {
    return load_zoo_config("zoo.cfg", text);
}

constexpr const char* least = "dataDir=/d\nclientPort=2181\n";

// The first error of the least file and `more`.
std::string error_of(const std::string& more, const std::string& rest = least) {
    const auto loaded = load(rest + more);
    CHECK(!loaded.config);
    for (const auto& message : loaded.messages) {
        if (message.level == Level::error) return to_string(message);
    }
    return "";
}

}  // namespace

TEST_CASE("a zoo.cfg that says the least has ZooKeeper's defaults") {
    const auto loaded = load(least);
    REQUIRE(loaded.config);
    CHECK(loaded.messages.empty());
    CHECK(loaded.config->data_dir == "/d");
    CHECK(loaded.config->data_log_dir == "/d");
    CHECK(loaded.config->client_port == 2181);
    CHECK(loaded.config->tick_ms == 3000);
    CHECK(loaded.config->session_timeout_min_ms == 6000);
    CHECK(loaded.config->session_timeout_max_ms == 60000);
    CHECK(loaded.config->connections_per_host_max == 60);
    CHECK(loaded.config->frame_bytes_max == 1'048'575);
    CHECK(loaded.config->words == std::vector<std::string>{"srvr"});
    CHECK(loaded.config->admin_enabled);
    CHECK(loaded.config->admin_port == 8080);
    CHECK(loaded.config->purges);
}

TEST_CASE("the zoo.cfg that is shipped, and Kafka's zookeeper.properties, are taken") {
    std::ifstream file(SHIPPED_FOLDER "/zoo.cfg");
    const std::string shipped(std::istreambuf_iterator<char>(file), {});
    REQUIRE(load(shipped).config);
    CHECK(load(shipped).messages.empty());
    const auto kafka = load(
        "dataDir=/tmp/zookeeper\nclientPort=2181\nmaxClientCnxns=0\nadmin.enableServer=false\n");
    REQUIRE(kafka.config);
    CHECK(kafka.config->connections_per_host_max == 0);
    CHECK(!kafka.config->admin_enabled);
}

TEST_CASE("every key is taken") {
    const auto loaded = load(
        "dataDir=/d\ndataLogDir=/"
        "l\nclientPort=0\nclientPortAddress=::1\ntickTime=1000\nminSessionTimeout=500\n"
        "maxSessionTimeout=90000\njute.maxbuffer=4194304\nsnapCount=10\nautopurge.snapRetainCount="
        "5\n"
        "autopurge.purgeInterval=0\n4lw.commands.whitelist=stat, ruok\nadmin.serverPort=0\n"
        "admin.serverAddress=127.0.0.1\nadmin.commandURL=/"
        "zk\nenforceQuota=true\ninitLimit=10\npreAllocSize=1024\n"
        "DigestAuthenticationProvider.superDigest=super:abc=\nsnapSizeLimitInKb=0\n"
        "znode.container.checkIntervalMs=5\n");
    REQUIRE(loaded.config);
    CHECK(loaded.config->data_log_dir == "/l");
    CHECK(loaded.config->client_port_address == "::1");
    CHECK(loaded.config->session_timeout_min_ms == 500);
    CHECK(loaded.config->session_timeout_max_ms == 90000);
    CHECK(loaded.config->frame_bytes_max == 4194304);
    CHECK(loaded.config->snapshot_every_transactions == 10);
    CHECK(loaded.config->snapshots_kept == 5);
    CHECK(!loaded.config->purges);
    CHECK(loaded.config->words == std::vector<std::string>{"stat", "ruok"});
    CHECK(loaded.config->admin_port == 0);
    CHECK(loaded.config->admin_url == "/zk");
    CHECK(loaded.config->super_digest == "super:abc=");
    CHECK(loaded.config->enforces_quotas);
    CHECK(loaded.config->journal_room_kib == 1024);
    CHECK(loaded.config->reap_every_ms == 5);
    REQUIRE(loaded.messages.size() == 1);
    CHECK(to_string(loaded.messages[0]) == "zoo.cfg:17: note: initLimit has no effect here");
}

TEST_CASE("a wrong value is told with file, line, key and what is right") {
    CHECK(error_of("tickTime=soon\n") ==
          "zoo.cfg:3: error: tickTime is 'soon'; it must be a whole number, 1 to 1000000");
    CHECK(error_of("clientPort=65536\n")
              .starts_with("zoo.cfg:3: error: clientPort is '65536'; it must be"));
    CHECK(error_of("admin.enableServer=maybe\n").ends_with("it must be true or false"));
    CHECK(error_of("minSessionTimeout=5\nmaxSessionTimeout=4\n") ==
          "zoo.cfg: error: minSessionTimeout (5) must not be above maxSessionTimeout (4)");
    CHECK(error_of("", "clientPort=2181\n") ==
          "zoo.cfg: error: dataDir is missing; add a line like dataDir=/var/lib/zookeeper");
    CHECK(error_of("", "dataDir=/d\n") ==
          "zoo.cfg: error: clientPort is missing; add a line like clientPort=2181");
}

TEST_CASE("a file for several servers is told how Milena uses an ensemble") {
    CHECK(load(std::string(least) + "server.1=a:2888:3888\n").config);
    const auto error =
        error_of("server.1=a:2888:3888\nserver.2=b:2888:3888\nserver.3=c:2888:3888\n");
    CHECK(error.starts_with("zoo.cfg:4: error: server.2: several servers are an ensemble"));
    CHECK(error.contains("zookeeper.connect="));
}

TEST_CASE("what would make the service safer than it is, is refused; what is unknown is noted") {
    CHECK(error_of("secureClientPort=2281\n").contains("TLS is not served"));
    CHECK(error_of("authProvider.1=org.example.X\n").contains("SASL is not served"));
    const auto loaded = load(std::string(least) + "tickTimes=1\ninitLimit=10\n");
    REQUIRE(loaded.config);
    REQUIRE(loaded.messages.size() == 2);
    CHECK(to_string(loaded.messages[0]) ==
          "zoo.cfg:3: warning: unknown key tickTimes; it has no effect");
    CHECK(loaded.messages[1].level == Level::note);
}
