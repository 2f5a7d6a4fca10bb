#include "broker/config/listener.h"

#include "broker/config/load.h"

#include <doctest/doctest.h>

using namespace broker;

namespace {

LoadedConfig load(const std::string& text) {
    return load_config({.file_name = "f",
                        .file_text = "log.dirs=/d\n" + text,
                        .environment = {},
                        .overrides = {}});
}

std::string errors(const std::string& text) {
    std::string out;
    for (const ConfigMessage& message : load(text).messages) {
        if (message.level == ConfigMessage::Level::error) out += to_string(message) + "\n";
    }
    return out;
}

}  // namespace

TEST_CASE("an end point is NAME://host:port, with IPv6 literals in brackets") {
    CHECK(*parse_end_point("PLAINTEXT://localhost:9092") ==
          EndPoint{"PLAINTEXT", "localhost", 9092});
    CHECK(*parse_end_point("plaintext://:9092") == EndPoint{"PLAINTEXT", "", 9092});
    CHECK(*parse_end_point("my-net_1://[fe80::1%eth0]:0") ==
          EndPoint{"MY-NET_1", "fe80::1%eth0", 0});
    CHECK(*parse_end_point("A://[::]:65535") == EndPoint{"A", "::", 65535});
    for (const char* wrong :
         {"localhost:9092", "://h:1", "A://h", "A://h:", "A://h:x", "A://h:65536", "A://h:-1",
          "A://::1:9092", "A B://h:1", "A://h/x:1", "A://[::1:9092", "A://[]:9092", ""}) {
        CAPTURE(wrong);
        const auto point = parse_end_point(wrong);
        REQUIRE_FALSE(point);
        CHECK(point.error().find(std::string("\"") + wrong + "\"") == 0);
    }
}

TEST_CASE("end points are written as they are read") {
    CHECK(to_string(HostPort{"::1", 9092}) == "[::1]:9092");
    CHECK(to_string(HostPort{"localhost", 9092}) == "localhost:9092");
    CHECK(to_string(Listener{"A", SecurityProtocol::plaintext, "", 1, std::nullopt}) == "A://:1");
}

TEST_CASE("without a key there is one listener on every interface that advertises nothing") {
    const auto config = load("").config;
    REQUIRE(config);
    CHECK(config->endpoints() == std::vector<Listener>{{"PLAINTEXT", SecurityProtocol::plaintext,
                                                        "", 9092, std::nullopt}});
    CHECK(config->inter_broker_listener() == "PLAINTEXT");
}

TEST_CASE("listeners find what is advertised for them by name") {
    const auto config = load(
                            "listeners=in://10.0.0.1:9092,OUT://[::1]:0\n"
                            "advertised.listeners=OUT://[2001:db8::1]:19092\n"
                            "listener.security.protocol.map=IN:PLAINTEXT,out:plaintext\n"
                            "inter.broker.listener.name=IN")
                            .config;
    REQUIRE(config);
    REQUIRE(config->endpoints().size() == 2);
    CHECK_FALSE(config->endpoints()[0].advertised);
    CHECK(config->find_endpoint("OUT")->advertised == HostPort{"2001:db8::1", 19092});
    CHECK(config->find_endpoint("ELSE") == nullptr);
    CHECK(config->inter_broker_listener() == "IN");
}

TEST_CASE(
    "both loopback addresses may share a port under two names, an interface and all of them may "
    "not") {
    CHECK(errors("listeners=PLAINTEXT://127.0.0.1:9092,L6://[::1]:9092\n"
                 "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,L6:PLAINTEXT") == "");
    CHECK(errors("listeners=PLAINTEXT://:9092,L6://[::1]:9092\n"
                 "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,L6:PLAINTEXT") ==
          "f:2: error: listeners: PLAINTEXT and L6 share port 9092\n");
}

TEST_CASE("what cannot work is said with the key and the remedy") {
    CHECK(errors("listeners=SSL://:9093,PLAINTEXT://:9092") ==
          "f:2: error: listeners: the listener SSL speaks SSL, which this version cannot do yet; "
          "only PLAINTEXT works\n");
    CHECK(errors("listeners=INSIDE://:9092\ninter.broker.listener.name=INSIDE") ==
          "f: error: listener.security.protocol.map: it has no protocol for the listener INSIDE; add "
          "INSIDE:PLAINTEXT\n");
    CHECK(errors("listeners=PLAINTEXT://:9092\nadvertised.listeners=PLAINTEXT://0.0.0.0:9092") ==
          "f:3: error: advertised.listeners: nobody can connect to 0.0.0.0:9092; name an address "
          "that clients reach\n");
    CHECK(errors("listeners=PLAINTEXT://:9092\nadvertised.listeners=OTHER://h:9092") ==
          "f:3: error: advertised.listeners: it names OTHER, which is not among the listeners\n");
    CHECK(errors("listeners=PLAINTEXT://h:9092,PLAINTEXT://h:9093")
              .find("it names PLAINTEXT twice") != std::string::npos);
    CHECK(errors("listeners=A://:9092\nlistener.security.protocol.map=A:PLAINTEXT") ==
          "f: error: inter.broker.listener.name: the listener for other brokers is PLAINTEXT, which "
          "is not among the "
          "listeners; set it to A\n");
    CHECK(errors("listener.security.protocol.map=A:TELNET,B") ==
          "f:2: error: listener.security.protocol.map: \"A:TELNET\" is not NAME:PROTOCOL; "
          "protocols are PLAINTEXT, SSL, "
          "SASL_PLAINTEXT, SASL_SSL\n"
          "f:2: error: listener.security.protocol.map: \"B\" is not NAME:PROTOCOL; protocols are "
          "PLAINTEXT, SSL, "
          "SASL_PLAINTEXT, SASL_SSL\n"
          "f:2: error: listener.security.protocol.map: it has no protocol for the listener "
          "PLAINTEXT; add PLAINTEXT:PLAINTEXT\n");
    CHECK(errors("listeners=") != "");
}

TEST_CASE("an advertised listener without a host is this machine's name") {
    const auto config = load("advertised.listeners=PLAINTEXT://:9095").config;
    REQUIRE(config);
    REQUIRE(config->endpoints()[0].advertised);
    CHECK_FALSE(config->endpoints()[0].advertised->host.empty());
    CHECK(config->endpoints()[0].advertised->port == 9095);
}

TEST_CASE("a KRaft controller's listener is left out with a note") {
    const LoadedConfig loaded = load(
        "process.roles=broker,controller\nnode.id=1\n"
        "listeners=PLAINTEXT://:9092,CONTROLLER://:9093\n"
        "controller.listener.names=CONTROLLER\n"
        "advertised.listeners=PLAINTEXT://h:9092,CONTROLLER://h:9093");
    REQUIRE(loaded.config);
    REQUIRE(loaded.config->endpoints().size() == 1);
    CHECK(loaded.config->endpoints()[0].name == "PLAINTEXT");
    CHECK(loaded.messages[0].text ==
          "the listener CONTROLLER belongs to a KRaft controller (controller.listener.names) and "
          "is not opened");
}
