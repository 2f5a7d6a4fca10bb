#include "coordinator/metadata/server/words.h"

#include <doctest/doctest.h>

#include <string>

using namespace coordinator;

namespace {

words::State state() {
    words::State state;
    state.packets_received = 7;
    state.packets_sent = 6;
    state.latency = {0, 9, 10, 4};
    state.connections = {{"127.0.0.1", 1, 5, SessionId(0x1a)}, {"[::1]", 0, 0, SessionId(0)}};
    state.zxid = Zxid(0x2b);
    state.nodes = 5;
    return state;
}

}  // namespace

TEST_CASE("srvr says what monitors parse") {
    CHECK(words::answer("srvr", state()) ==
          "Zookeeper version: " + std::string(words::version) +
              "\nLatency min/avg/max: 0/2.5/9\nReceived: 7\nSent: 6\nConnections: 2\n"
              "Outstanding: 1\nZxid: 0x2b\nMode: standalone\nNode count: 5\n");
}

TEST_CASE("stat lists the clients between the version and the rest") {
    const auto text = words::answer("stat", state());
    REQUIRE(text);
    CHECK(
        text->contains("Clients:\n /127.0.0.1[1](queued=1,recved=5,sent=4)\n"
                       " /[::1][0](queued=0,recved=0,sent=0)\n\nLatency"));
}

TEST_CASE("cons names sessions, mntr has a line for each figure") {
    CHECK(words::answer("cons", state())->contains(",sid=0x1a)\n"));
    CHECK(words::answer("mntr", state())->contains("zk_znode_count\t5\n"));
    CHECK(words::answer("mntr", state())->contains("zk_avg_latency\t2.5\n"));
}

TEST_CASE("ruok and isro are answered to the letter, other words not at all") {
    CHECK(words::answer("ruok", state()) == "imok");
    CHECK(words::answer("isro", state()) == "rw");
    CHECK_FALSE(words::answer("GET ", state()));
}
