#include "coordinator/metadata/server/admin_commands.h"
#include "coordinator/metadata/server/words.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

using namespace coordinator;

namespace {

Observation observation() {
    Observation seen;
    seen.facts = {.port = 2181, .data_directory = "/d", .journal_directory = "/l", .tick_ms = 2000};
    seen.wall_ms = 1'795'288'754'146;
    seen.monotonic_ms = 100'000;
    seen.figures.received = 7;
    seen.figures.sent = 6;
    seen.figures.latency = {0, 9, 10, 4};
    for (const std::int64_t ms : {0, 1, 9}) seen.figures.read_latency.add(ms);
    for (const std::int64_t waited : {1, 2}) seen.service.watchers[1].add(waited);
    ConnectionState one{.peer = "127.0.0.1:4711",
                        .queued = 1,
                        .established_ms = 5,
                        .timeout_ms = 4000,
                        .session = SessionId(0x1a)};
    one.figures.received = 5;
    one.figures.answered({.operation = "EXIS",
                          .xid = 7,
                          .as = Counted::read,
                          .zxid = 3,
                          .bytes = 20,
                          .at_ms = 9,
                          .took_ms = 2});
    one.figures.answered({.operation = "",
                          .xid = -4,
                          .as = Counted::read,
                          .zxid = 0,
                          .bytes = 20,
                          .at_ms = 11,
                          .took_ms = 0});
    seen.connections = {one, {.peer = "[::1]:4712"}};
    seen.zxid = Zxid(0x2b);
    seen.nodes = 5;
    seen.sessions = {{SessionId(0x1a), 104'000}};
    seen.ephemerals_of = {{SessionId(0x1a), {"/e", "/f"}}};
    seen.watches = 3;
    seen.data_watches = {{"/a", {SessionId(0x1a), SessionId(0x1b)}}, {"/b", {SessionId(0x1a)}}};
    seen.bytes = {10, 20};
    return seen;
}

std::string word(std::string_view name) {
    return words::answer(name, observation());
}

nlohmann::json command(std::string_view name) {
    return nlohmann::json::parse(admin_commands::answer(name, observation()));
}

}  // namespace

TEST_CASE("srvr says what monitors parse") {
    CHECK(word("srvr") ==
          "Zookeeper version: " + std::string(server_version) +
              "\nLatency min/avg/max: 0/2.5/9\nReceived: 7\nSent: 6\nConnections: 2\n"
              "Outstanding: 1\nZxid: 0x2b\nMode: standalone\nNode count: 5\n");
}

TEST_CASE("stat lists the clients between the version and the rest") {
    CHECK(
        word("stat").contains("Clients:\n /127.0.0.1:4711[1](queued=1,recved=5,sent=2)\n"
                              " /[::1]:4712[0](queued=0,recved=0,sent=0)\n\nLatency"));
}

TEST_CASE("cons tells all of a connection that has a session, of its last operation too") {
    CHECK(word("cons") ==
          " /127.0.0.1:4711[1](queued=1,recved=5,sent=2,sid=0x1a,lop=EXIS,est=5,to=4000,lzxid=0x0,"
          "lresp=11,llat=0,minlat=0,avglat=1,maxlat=2)\n "
          "/[::1]:4712[0](queued=0,recved=0,sent=0)\n\n");
}

TEST_CASE("mntr has a line for each figure") {
    CHECK(word("mntr").starts_with("zk_version\t3.8.4-milena"));
    CHECK(word("mntr").contains("zk_znode_count\t5\n"));
    CHECK(word("mntr").contains("zk_avg_latency\t2.5\n"));
    CHECK(word("mntr").contains("zk_watch_count\t3\n"));
    CHECK(word("mntr").contains("zk_cnt_fsynctime\t0\n"));
    CHECK(word("mntr").contains("zk_p999_readlatency\t9\n"));
    CHECK(word("mntr").contains("zk_avg_node_deleted_watch_count\t1.5\n"));
}

TEST_CASE("conf has ZooKeeper's names in their order") {
    CHECK(word("conf") ==
          "clientPort=2181\nsecureClientPort=-1\ndataDir=/d\ndataDirSize=10\ndataLogDir=/l\n"
          "dataLogSize=20\ntickTime=2000\nmaxClientCnxns=0\nminSessionTimeout=0\n"
          "maxSessionTimeout=0\nclientPortListenBacklog=-1\nserverId=0\n");
}

TEST_CASE("dump lists sessions by their end, their ephemerals, and connections") {
    const auto text = word("dump");
    CHECK(text.starts_with("SessionTracker dump:\nSession Sets (1)/(1):\n1 expire at "));
    CHECK(
        text.contains(" 2026:\n\t0x1a\nephemeral nodes dump:\nSessions with Ephemerals (1):\n"
                      "0x1a:\n\t/e\n\t/f\nConnections dump:\nConnections Sets (2)/(2):\n"));
    CHECK(text.contains("\tip: /127.0.0.1:4711 sessionId: 0x1a\n"));
}

TEST_CASE("watches are told in sum, by session and by path") {
    CHECK(word("wchs") == "2 connections watching 2 paths\nTotal watches:3\n");
    CHECK(word("wchc") == "0x1a\n\t/a\n\t/b\n0x1b\n\t/a\n\n");
    CHECK(word("wchp") == "/a\n\t0x1a\n\t0x1b\n/b\n\t0x1a\n\n");
}

TEST_CASE("the short words are answered to the letter, what is no word not at all") {
    CHECK(word("ruok") == "imok");
    CHECK(word("isro") == "rw");
    CHECK(word("dirs") == "datadir_size: 10\nlogdir_size: 20\n");
    CHECK(word("gtmk") == "0");
    CHECK(word("envi").starts_with("Environment:\nzookeeper.version=3.8.4-milena"));
    CHECK_FALSE(words::is_word("GET "));
}

TEST_CASE("the admin server tells the same as JSON, under ZooKeeper's names") {
    CHECK(command("srvr")["command"] == "server_stats");
    CHECK(command("server_stats")["error"] == nullptr);
    CHECK(command("server_stats")["server_stats"]["last_processed_zxid"] == 0x2b);
    CHECK(command("connections")["connections"][0]["last_operation"] == "EXIS");
    CHECK(command("stats")["connections"][1]["remote_socket_address"] == "[::1]:4712");
    CHECK(command("dump")["session_id_to_ephemeral_paths"]["26"] ==
          std::vector<std::string>{"/e", "/f"});
    CHECK(command("watches_by_path")["path_to_session_ids"]["/b"] == std::vector<int>{0x1a});
    CHECK(command("watch_summary")["num_total_watches"] == 3);
    CHECK(command("mntr")["znode_count"] == 5);
    CHECK(command("mntr")["avg_node_deleted_watch_count"] == 1.5);
    CHECK(command("mntr")["p50_readlatency"] == 1);
    CHECK(command("conf")["data_log_dir"] == "/l");
    CHECK_FALSE(admin_commands::is_command("nonsense"));
    CHECK_FALSE(admin_commands::is_command(""));
    CHECK(nlohmann::json::parse(admin_commands::unknown("x"))["error"] == "Unknown command: x");
}

TEST_CASE("the admin server's monitor has every line of mntr") {
    const auto json = command("monitor");
    std::istringstream lines(word("mntr"));
    std::size_t count = 0;
    for (std::string name, value; std::getline(std::getline(lines, name, '\t'), value); ++count) {
        CHECK_MESSAGE(json.contains(name.substr(3)), name);
    }
    CHECK(count == json.size() - 2);  // "command" and "error".
}

TEST_CASE("paths that are no text do not break the JSON") {
    Observation seen = observation();
    seen.data_watches = {{"/\xff", {SessionId(1)}}};
    CHECK_FALSE(
        nlohmann::json::parse(admin_commands::answer("wchp", seen))["path_to_session_ids"].empty());
}
