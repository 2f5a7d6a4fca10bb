#include "broker/config/load.h"

#include "broker/config/topic_config.h"

#include <doctest/doctest.h>

#include <algorithm>

using namespace broker;
using Level = ConfigMessage::Level;

namespace {

LoadedConfig load(std::string file, std::vector<std::string> environment = {},
                  std::vector<std::string> overrides = {}) {
    return load_config({.file_name = "server.properties",
                        .file_text = std::move(file),
                        .environment = std::move(environment),
                        .overrides = std::move(overrides)});
}

std::vector<std::string> said(const LoadedConfig& loaded, Level level) {
    std::vector<std::string> out;
    for (const ConfigMessage& message : loaded.messages) {
        if (message.level == level) out.push_back(to_string(message));
    }
    return out;
}

// As Apache Kafka 3.9 ships it, ZooKeeper mode, without its comments.
constexpr const char* zookeeper_sample =
    "broker.id=0\nnum.network.threads=3\nnum.io.threads=8\nsocket.send.buffer.bytes=102400\n"
    "socket.receive.buffer.bytes=102400\nsocket.request.max.bytes=104857600\nlog.dirs=/tmp/"
    "kafka-logs\n"
    "num.partitions=1\nnum.recovery.threads.per.data.dir=1\noffsets.topic.replication.factor=1\n"
    "transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\nlog.retention."
    "hours=168\n"
    "log.retention.check.interval.ms=300000\nzookeeper.connect=localhost:2181\n"
    "zookeeper.connection.timeout.ms=18000\ngroup.initial.rebalance.delay.ms=0\n";

// As Apache Kafka 4.x ships it, without its comments.
constexpr const char* kraft_sample =
    "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.bootstrap.servers=localhost:"
    "9093\n"
    "listeners=PLAINTEXT://:9092,CONTROLLER://:9093\ninter.broker.listener.name=PLAINTEXT\n"
    "advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://"
    "localhost:9093\ncontroller.listener.names=CONTROLLER\n"
    "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_"
    "PLAINTEXT:SASL_PLAINTEXT,"
    "SASL_SSL:SASL_SSL\nnum.network.threads=3\nnum.io.threads=8\nsocket.send.buffer.bytes=102400\n"
    "socket.receive.buffer.bytes=102400\nsocket.request.max.bytes=104857600\nlog.dirs=/tmp/"
    "kraft-combined-logs\n"
    "num.partitions=1\nnum.recovery.threads.per.data.dir=1\noffsets.topic.replication.factor=1\n"
    "share.coordinator.state.topic.replication.factor=1\nshare.coordinator.state.topic.min.isr=1\n"
    "transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\nlog.retention."
    "hours=168\n"
    "log.segment.bytes=1073741824\nlog.retention.check.interval.ms=300000\n";

}  // namespace

TEST_CASE("a file of Apache Kafka 3.9 in ZooKeeper mode starts unchanged") {
    const LoadedConfig loaded = load(zookeeper_sample);
    REQUIRE(loaded.config);
    CHECK(said(loaded, Level::warning).empty());
    CHECK(said(loaded, Level::note) ==
          std::vector<std::string>{
              "note: accepted without effect: num.io.threads, num.network.threads, "
              "transaction.state.log.min.isr, transaction.state.log.replication.factor"});
    CHECK(loaded.config->zookeeper_connect == "localhost:2181");
    CHECK(loaded.config->zookeeper_connection_timeout_ms == 18'000);
    CHECK(loaded.config->broker_id == 0);
    CHECK(loaded.config->data_dirs() == std::vector<std::string>{"/tmp/kafka-logs"});
    CHECK(loaded.config->log_retention_ms == 604'800'000);
    CHECK(loaded.config->group_initial_rebalance_delay_ms == 0);
    CHECK(loaded.config->offsets_topic_replication_factor == 1);
}

TEST_CASE("a file of Apache Kafka 4.x starts unchanged, with one note on KRaft") {
    const LoadedConfig loaded = load(kraft_sample);
    REQUIRE(loaded.config);
    CHECK(said(loaded, Level::warning).empty());
    const auto notes = said(loaded, Level::note);
    CHECK(std::ranges::count_if(notes, [](const std::string& one) {
              return one.find("keys of KRaft") != std::string::npos;
          }) == 1);
    CHECK(loaded.config->broker_id == 1);
    CHECK(loaded.config->endpoints().size() == 1);
    CHECK(loaded.config->endpoints()[0].advertised == HostPort{"localhost", 9092});
}

TEST_CASE("the variables that Testcontainers sets start a broker") {
    const LoadedConfig loaded = load(
        "",
        {"PATH=/usr/bin", "CLUSTER_ID=4L6g3nShT-eMCtK--X86sw", "KAFKA_NODE_ID=1",
         "KAFKA_PROCESS_ROLES=broker,controller",
         "KAFKA_LISTENERS=PLAINTEXT://0.0.0.0:9092,BROKER://0.0.0.0:9093,CONTROLLER://0.0.0.0:9094",
         "KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://localhost:32768,BROKER://f00:9093",
         "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP=BROKER:PLAINTEXT,PLAINTEXT:PLAINTEXT,CONTROLLER:"
         "PLAINTEXT",
         "KAFKA_INTER_BROKER_LISTENER_NAME=BROKER", "KAFKA_CONTROLLER_LISTENER_NAMES=CONTROLLER",
         "KAFKA_CONTROLLER_QUORUM_VOTERS=1@f00:9094", "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR=1",
         "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS=1", "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR=1",
         "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR=1",
         "KAFKA_LOG_FLUSH_INTERVAL_MESSAGES=9223372036854775807",
         "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS=0", "KAFKA_HEAP_OPTS=-Xmx1G", "KAFKA_OPTS=-Dx=y"});
    REQUIRE(loaded.config);
    CHECK(said(loaded, Level::warning) ==
          std::vector<std::string>{
              "warning: log.dirs is not set; records go to /tmp/kafka-logs, which a restart of the "
              "machine may empty"});
    CHECK(loaded.config->inter_broker_listener() == "BROKER");
    CHECK(loaded.config->find_endpoint("PLAINTEXT")->advertised == HostPort{"localhost", 32768});
    CHECK(loaded.config->offsets_topic_num_partitions == 1);
}

TEST_CASE(
    "an override is stronger than a variable, and that than the file, and the last of a file "
    "counts") {
    const LoadedConfig loaded =
        load("num.partitions=1\nlog.dirs=/a\nnum.partitions=2\nlog.segment.bytes=10000000\n",
             {"KAFKA_NUM_PARTITIONS=3", "KAFKA_LOG_SEGMENT_BYTES=20000000"},
             {"num.partitions=4", " num.partitions = 5 "});
    REQUIRE(loaded.config);
    CHECK(loaded.config->num_partitions == 5);
    CHECK(loaded.config->log_segment_bytes == 20000000);
    CHECK(said(loaded, Level::warning) ==
          std::vector<std::string>{"server.properties:3: warning: num.partitions stands at "
                                   "server.properties:1 too; this one counts"});
}

TEST_CASE("underscores of a variable stand for dots, underscores and dashes") {
    const LoadedConfig loaded =
        load("log.dirs=/a", {"KAFKA_MY__ODD___KEY_X=1", "KAFKA_CFG_NUM_PARTITIONS=7",
                             "KAFKA_ZOOKEEPER_CLIENTCNXNSOCKET=x", "KAFKA_MILENA_METADATA_PORT=-1",
                             "KAFKA_PORT=tcp://10.0.0.1:9092", "kafka_num_io_threads=0"});
    REQUIRE(loaded.config);
    CHECK(loaded.config->num_partitions == 7);
    CHECK(loaded.config->milena_metadata_port == -1);
    CHECK(said(loaded, Level::warning) ==
          std::vector<std::string>{"KAFKA_MY__ODD___KEY_X: warning: unknown key my_odd-key.x"});
    CHECK(said(loaded, Level::note)[0] ==
          "KAFKA_PORT: note: Kubernetes set this for a service named kafka; it is no key");
}

TEST_CASE("everything that is wrong is told at once, with where it stands and what is allowed") {
    const LoadedConfig loaded = load(
        "broker.id=zero\nnum.partitions=0\n\nauto.create.topics.enable=yes\nlog.cleanup.policy="
        "delete,keep\n"
        "log.retention.ms=0\nlog.segment.byte=5\ncompression.type=brotli\n"
        "log.cleaner.min.cleanable.ratio=1.5\nssl.keystore.password=hunter2\n",
        {"KAFKA_MIN_INSYNC_REPLICAS=0"}, {"compression.gzip.level=0", "nonsense"});
    CHECK_FALSE(loaded.config);
    CHECK(said(loaded, Level::error) ==
          std::vector<std::string>{
              "--override nonsense: error: key=value is wanted",
              "server.properties:4: error: auto.create.topics.enable cannot be \"yes\"; it wants "
              "true or false",
              "server.properties:1: error: broker.id cannot be \"zero\"; it wants a whole number "
              "of 32 bits",
              "--override compression.gzip.level: error: compression.gzip.level cannot be \"0\"; "
              "it wants a whole number of 32 bits, from 1 to 9, or -1",
              "server.properties:8: error: compression.type cannot be \"brotli\"; it wants one of "
              "uncompressed, zstd, lz4, snappy, gzip, producer",
              "server.properties:9: error: log.cleaner.min.cleanable.ratio cannot be \"1.5\"; it "
              "wants a number, from 0 to 1",
              "server.properties:5: error: log.cleanup.policy cannot be \"delete,keep\"; it wants "
              "a list, each one of compact, delete",
              "KAFKA_MIN_INSYNC_REPLICAS: error: min.insync.replicas cannot be \"0\"; it wants a "
              "whole number of 32 bits, 1 or more",
              "server.properties:2: error: num.partitions cannot be \"0\"; it wants a whole number "
              "of 32 bits, 1 or more"});
    CHECK(said(loaded, Level::warning) ==
          std::vector<std::string>{"server.properties:7: warning: unknown key log.segment.byte; is "
                                   "log.segment.bytes meant?"});
}

TEST_CASE("values that contradict one another are errors at the line of the key") {
    const auto errors = [](const std::string& text) {
        return said(load("log.dirs=/a\n" + text), Level::error);
    };
    CHECK(errors("log.retention.minutes=0") ==
          std::vector<std::string>{
              "server.properties:2: error: log.retention.ms cannot be \"0\": -1, or 1 and more, is "
              "allowed; 0 would delete at once what was just written"});
    CHECK(errors("broker.id=1001").size() == 1);
    CHECK(errors("broker.id=1001\nreserved.broker.max.id=2000").empty());
    CHECK(errors("node.id=5000\nprocess.roles=broker,controller").empty());
    CHECK(errors("broker.id=-2").size() == 1);
    CHECK(errors("broker.id.generation.enable=false").size() == 1);
    CHECK(errors("broker.id=1\nnode.id=2").size() == 1);
    CHECK(errors("process.roles=controller").size() == 1);
    CHECK(errors("log.dirs= ").size() == 1);
    CHECK(errors("log.dirs=/a,/b,/a").size() == 1);
    CHECK(errors("log.cleaner.min.compaction.lag.ms=10\nlog.cleaner.max.compaction.lag.ms=9")
              .size() == 1);
    CHECK(errors("max.connections.per.ip.overrides=127.0.0.1:5,::1:6").empty());
    CHECK(errors("max.connections.per.ip.overrides=127.0.0.1").size() == 1);
}

TEST_CASE("what would only pretend to protect is refused, and its default is not") {
    const auto errors = [](const std::string& text) {
        return said(load("log.dirs=/a\n" + text), Level::error);
    };
    CHECK(errors("authorizer.class.name=kafka.security.authorizer.AclAuthorizer").size() == 1);
    CHECK(errors("authorizer.class.name=").empty());
    CHECK(errors("create.topic.policy.class.name=com.example.Policy").size() == 1);
    CHECK(errors("remote.log.storage.system.enable=true").size() == 1);
    CHECK(errors("remote.log.storage.system.enable=false").empty());
}

TEST_CASE("a secret is never printed") {
    for (const ConfigMessage& message :
         load("log.dirs=/a\nssl.keystore.password=hunter2\nssl.key.password=hunter2").messages) {
        CHECK(message.text.find("hunter2") == std::string::npos);
    }
}

TEST_CASE("host.name and port of long ago make a listener") {
    const LoadedConfig loaded =
        load("log.dirs=/a\nhost.name=::1\nport=9999\nadvertised.host.name=example.com\n");
    REQUIRE(loaded.config);
    CHECK(loaded.config->endpoints() ==
          std::vector<Listener>{{"PLAINTEXT", SecurityProtocol::plaintext, "::1", 9999,
                                 HostPort{"example.com", 9999}}});
    CHECK(load("log.dirs=/a\nport=9999\nlisteners=PLAINTEXT://h:1").config->endpoints()[0].port ==
          1);
}

TEST_CASE("broker.id and node.id are one number") {
    for (const char* text : {"broker.id=3", "node.id=3", "broker.id=3\nnode.id=3"}) {
        const auto config = load(std::string("log.dirs=/a\n") + text).config;
        REQUIRE(config);
        CHECK(config->broker_id == 3);
        CHECK(config->node_id == 3);
    }
    const auto later = load("log.dirs=/a").config->with_static("broker.id", "1001");
    CHECK(later->broker_id == 1001);
    CHECK(later->node_id == 1001);
}

TEST_CASE("the weaker of two units counts only without the stronger, and years do not overflow") {
    const auto topic = [](const std::string& text) {
        return load("log.dirs=/a\n" + text).config->topic_defaults();
    };
    CHECK(topic("log.retention.hours=1")->retention_ms == 3'600'000);
    CHECK(topic("log.retention.hours=1\nlog.retention.minutes=1")->retention_ms == 60'000);
    CHECK(
        topic("log.retention.hours=1\nlog.retention.minutes=1\nlog.retention.ms=7")->retention_ms ==
        7);
    CHECK(topic("log.retention.hours=-1")->retention_ms == -1);
    CHECK(topic("log.retention.hours=2147483647")->retention_ms == 2147483647LL * 3'600'000);
    CHECK(topic("log.roll.hours=2")->segment_ms == 7'200'000);
    CHECK(topic("log.roll.jitter.hours=2")->segment_jitter_ms == 7'200'000);
    CHECK(topic("log.flush.scheduler.interval.ms=50")->flush_ms == 50);
}

TEST_CASE("keys with a name of people's own in them are not unknown") {
    CHECK(
        said(
            load(
                "log.dirs=/"
                "a\nlistener.name.internal.plain.sasl.jaas.config=x\nconfig.providers.env.class=y"),
            Level::warning)
            .empty());
}

TEST_CASE("settings that will refuse clients later are warned of, where they stand") {
    const auto warned = [](std::string file) {
        const auto loaded = load("log.dirs=/a\n" + std::move(file));
        CHECK(loaded.config);
        return said(loaded, Level::warning);
    };
    CHECK(warned("message.max.bytes=200000000\nlog.segment.bytes=300000000") ==
          std::vector<std::string>{
              "server.properties:2: warning: message.max.bytes is 200000000, more "
              "than socket.request.max.bytes (104857600): the connection that "
              "sends a batch above it is closed"});
    CHECK(warned("log.segment.bytes=1000") ==
          std::vector<std::string>{
              "server.properties:2: warning: log.segment.bytes is 1000, less than "
              "message.max.bytes (1048588): a batch above it is refused as too "
              "large"});
    CHECK(warned("min.insync.replicas=2") ==
          std::vector<std::string>{
              "server.properties:2: warning: min.insync.replicas is 2, more than "
              "default.replication.factor (1): acks=all to topics of that factor "
              "is refused for want of replicas"});
    CHECK(warned("min.insync.replicas=2\ndefault.replication.factor=2").empty());
}

TEST_CASE("the nearest key is found, and nonsense has none") {
    CHECK(nearest_broker_key("log.retension.hours") == "log.retention.hours");
    CHECK(nearest_broker_key("listners") == "listeners");
    CHECK(nearest_broker_key("Log.Dirs") == "log.dirs");
    CHECK(nearest_broker_key("something.else.entirely") == "");
    CHECK(nearest_broker_key(std::string(100'000, 'x')) == "");
}

TEST_CASE("the files that are shipped are right") {
    const auto text = read_config_file(std::string(SHIPPED_FOLDER) + "/server.properties");
    REQUIRE(text);
    const LoadedConfig loaded = load(*text);
    REQUIRE(loaded.config);
    CHECK(said(loaded, Level::warning).empty());
    CHECK(loaded.config->endpoints()[0].host == "localhost");
    const auto absent = read_config_file("/no/such/file");
    REQUIRE_FALSE(absent);
    CHECK(absent.error() ==
          "cannot read the configuration file /no/such/file: No such file or directory");
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size);  // config_fuzz.cc

TEST_CASE(
    "configurations cut at any byte, with odd variables and changes, are accepted or refused") {
    using namespace std::string_literals;
    const std::string tail =
        "\0LOG_DIRS=/x\nNUM_PARTITIONS=2\0"s +
        "Alog.retention.ms=5\nCcleanup.policy=compact\nDlog.cleanup.policy=delete\nFx=y\n";
    for (const std::string& sample : {std::string(zookeeper_sample), std::string(kraft_sample)}) {
        for (std::size_t cut = 0; cut <= sample.size(); cut += 7) {
            const std::string input = sample.substr(0, cut) + tail;
            CHECK(LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()),
                                         input.size()) == 0);
        }
    }
}
