#include "broker/cluster/znodes.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

using namespace broker::znodes;
using base::BrokerId;
using base::LeaderEpoch;
using base::PartitionIndex;
using base::ProducerId;

namespace {

base::Uuid counting_uuid() {
    base::Uuid id{};
    for (std::size_t i = 0; i < id.size(); ++i) id[i] = static_cast<std::byte>(i * 17);
    return id;
}

}  // namespace

TEST_SUITE("broker/cluster/znodes") {
    TEST_CASE("a broker makes Kafka's paths, parents before children") {
        std::vector<std::string> made;
        for (const std::string& path : persistent_paths()) {
            CAPTURE(path);
            const auto parent = path.substr(0, path.rfind('/'));
            CHECK((parent.empty() || std::ranges::find(made, parent) != made.end()));
            made.push_back(path);
        }
        CHECK(made.size() == 17);
    }

    TEST_CASE("paths are Kafka's") {
        CHECK(path::broker(BrokerId(7)) == "/brokers/ids/7");
        CHECK(path::topic("t") == "/brokers/topics/t");
        CHECK(path::partitions("t") == "/brokers/topics/t/partitions");
        CHECK(path::partition("t", PartitionIndex(3)) == "/brokers/topics/t/partitions/3");
        CHECK(path::partition_state("t", PartitionIndex(3)) ==
              "/brokers/topics/t/partitions/3/state");
        CHECK(path::delete_topic("t") == "/admin/delete_topics/t");
    }

    TEST_CASE("the path of a partition's state names the partition") {
        CHECK(path::parse_partition_state("/brokers/topics/a.b/partitions/12/state") ==
              base::TopicPartition{"a.b", PartitionIndex(12)});
        for (const char* path :
             {"/brokers/topics/t/partitions/1", "/brokers/topics/t/partitions//state",
              "/brokers/topics//partitions/1/state", "/brokers/topics/t/x/partitions/1/state",
              "/brokers/topics/t/partitions/1/2/state", "/brokers/topics/t/partitions/-1/state",
              "/brokers/topics/partitions/1/state", "/brokers/topicsx/partitions/1/state",
              "/state"}) {
            CAPTURE(path);
            CHECK_FALSE(path::parse_partition_state(path));
        }
        CHECK(path::child_of("/brokers/ids/5", path::broker_ids) == "5");
        CHECK_FALSE(path::child_of("/brokers/ids", path::broker_ids));
        CHECK_FALSE(path::child_of("/brokers/idsx/5", path::broker_ids));
        CHECK_FALSE(path::child_of("/brokers/ids/5/6", path::broker_ids));
    }

    TEST_CASE("a broker registers as 3.9.1 does") {
        const BrokerRegistration broker{
            .endpoints = {{"PLAINTEXT", "127.0.0.1", 22091, "PLAINTEXT"}},
            .timestamp_ms = 1795254806296};
        const std::string json =
            R"({"features":{},"listener_security_protocol_map":{"PLAINTEXT":"PLAINTEXT"},)"
            R"("endpoints":["PLAINTEXT://127.0.0.1:22091"],"jmx_port":-1,"port":22091,)"
            R"("host":"127.0.0.1","version":5,"timestamp":"1795254806296"})";
        CHECK(write(broker) == json);
        CHECK(parse_broker(json) == broker);
    }

    TEST_CASE("a broker without a plaintext listener has no host and no port for old clients") {
        const BrokerRegistration broker{.endpoints = {{"EXTERNAL", "::1", 9093, "SASL_SSL"}},
                                        .rack = "r1",
                                        .jmx_port = 9999,
                                        .timestamp_ms = 5,
                                        .features = {{"f", {1, 3}}}};
        const std::string json =
            R"({"features":{"f":{"min_version":1,"max_version":3}},)"
            R"("listener_security_protocol_map":{"EXTERNAL":"SASL_SSL"},)"
            R"("endpoints":["EXTERNAL://[::1]:9093"],"rack":"r1","jmx_port":9999,"port":-1,)"
            R"("host":null,"version":5,"timestamp":"5"})";
        CHECK(write(broker) == json);
        CHECK(parse_broker(json) == broker);
    }

    TEST_CASE("in older protocols a broker registers as 3.9.1 does in them") {
        const BrokerRegistration broker{
            .endpoints = {{"PLAINTEXT", "127.0.0.1", 29646, "PLAINTEXT"}},
            .rack = "r1",
            .timestamp_ms = 1795342092959};
        CHECK(write(broker, 4) ==
              R"({"listener_security_protocol_map":{"PLAINTEXT":"PLAINTEXT"},)"
              R"("endpoints":["PLAINTEXT://127.0.0.1:29646"],"rack":"r1","jmx_port":-1,)"
              R"("port":29646,"host":"127.0.0.1","version":4,"timestamp":"1795342092959"})");
        CHECK(write(broker, 2) ==
              R"({"endpoints":["PLAINTEXT://127.0.0.1:29646"],"jmx_port":-1,"port":29646,)"
              R"("host":"127.0.0.1","version":2,"timestamp":"1795342092959"})");
        CHECK(parse_broker(write(broker, 4)) == broker);
    }

    TEST_CASE("registrations of older brokers are read") {
        const auto v1 = parse_broker(
            R"({"version":1,"host":"localhost","port":9092,"jmx_port":9999,"timestamp":"223"})");
        REQUIRE(v1);
        CHECK(v1->endpoints ==
              std::vector<Endpoint>{{"PLAINTEXT", "localhost", 9092, "PLAINTEXT"}});
        CHECK(v1->jmx_port == 9999);
        CHECK(v1->timestamp_ms == 223);

        const auto v3 = parse_broker(
            R"({"jmx_port":-1,"timestamp":"1","endpoints":["PLAINTEXT://h:1","SSL://h:2"],)"
            R"("host":"h","version":3,"port":1,"rack":"/default-rack"})");
        REQUIRE(v3);
        CHECK(v3->endpoints[1] == Endpoint{"SSL", "h", 2, "SSL"});
        CHECK(v3->rack == "/default-rack");

        const auto v6 =
            parse_broker(R"({"version":6,"new":[{}],"features":{},"endpoints":)"
                         R"(["A://h:1"],"listener_security_protocol_map":{"A":"SSL"}})");
        REQUIRE(v6);
        CHECK(v6->endpoints[0].security_protocol == "SSL");
    }

    TEST_CASE("a topic is written as 3.9.1 does") {
        TopicAssignment topic;
        topic.partitions = {{PartitionIndex(0), {BrokerId(1), BrokerId(2), BrokerId(3)}},
                            {PartitionIndex(1), {BrokerId(2), BrokerId(3), BrokerId(1)}},
                            {PartitionIndex(10), {BrokerId(3)}}};
        topic.topic_id = parse_uuid("D8SJzdzqRHe6hfMDRJci7Q");
        const std::string json =
            R"({"partitions":{"0":[1,2,3],"1":[2,3,1],"10":[3]},"topic_id":"D8SJzdzqRHe6hfMDRJci7Q",)"
            R"("adding_replicas":{},"removing_replicas":{},"version":3})";
        CHECK(write(topic) == json);
        CHECK(parse_topic(json) == topic);

        topic.topic_id.reset();
        topic.partitions = {{PartitionIndex(0), {BrokerId(2)}}};
        topic.adding_replicas = {{PartitionIndex(0), {BrokerId(3)}}};
        topic.removing_replicas = {{PartitionIndex(0), {BrokerId(1)}}};
        CHECK(write(topic) == R"({"partitions":{"0":[2]},"adding_replicas":{"0":[3]},)"
                              R"("removing_replicas":{"0":[1]},"version":3})");
        CHECK(parse_topic(write(topic)) == topic);
        CHECK(parse_topic(R"({"version":1,"partitions":{"0":[1,2]}})")
                  ->partitions.at(PartitionIndex(0))
                  .size() == 2);
    }

    TEST_CASE("a partition's state is written as 3.9.1 does") {
        PartitionState state{1, BrokerId(1), LeaderEpoch(0), {BrokerId(1), BrokerId(2)}};
        CHECK(write(state) ==
              R"({"controller_epoch":1,"leader":1,"version":1,"leader_epoch":0,"isr":[1,2]})");
        CHECK(parse_partition_state(write(state)) == state);
        state.leader = BrokerId(-1);
        state.recovering = true;
        CHECK(write(state) == R"({"controller_epoch":1,"leader":-1,"version":1,"leader_epoch":0,)"
                              R"("isr":[1,2],"leader_recovery_state":1})");
        CHECK(parse_partition_state(write(state)) == state);
        CHECK(parse_partition_state(
            R"({ "isr": [ 0, 1 ], "leader": 0, "controller_epoch": 1, "leader_epoch": 0 })"));
    }

    TEST_CASE("the controller and its epoch") {
        const Controller controller{BrokerId(1), 1795254806363};
        CHECK(
            write(controller) ==
            R"({"version":2,"brokerid":1,"timestamp":"1795254806363","kraftControllerEpoch":-1})");
        CHECK(parse_controller(write(controller)) == controller);
        CHECK(parse_controller(R"({"version":1,"brokerid":3,"timestamp":"7"})") ==
              Controller{BrokerId(3), 7});
        CHECK(parse_controller("3") == Controller{BrokerId(3), -1});
        CHECK(write_controller_epoch(12) == "12");
        CHECK(parse_controller_epoch("12") == 12);
        for (const char* text : {"", "x", "1x", "99999999999"}) {
            CHECK_FALSE(parse_controller_epoch(text));
        }
    }

    TEST_CASE("the cluster's id") {
        CHECK(write_cluster_id("T8vpJA_9Sty29drbsqV5JA") ==
              R"({"version":"1","id":"T8vpJA_9Sty29drbsqV5JA"})");
        CHECK(parse_cluster_id(write_cluster_id("abc")) == "abc");
        CHECK_FALSE(parse_cluster_id(R"({"version":"1","id":""})"));
    }

    TEST_CASE("configurations and their change notices") {
        CHECK(write_config({}) == R"({"version":1,"config":{}})");
        CHECK(write_config({{"retention.ms", "123456"}}) ==
              R"({"version":1,"config":{"retention.ms":"123456"}})");
        CHECK(parse_config(R"({"version":1,"config":{"a":"b","n":5,"t":true}})") ==
              Config{{"a", "b"}, {"n", "5"}, {"t", "true"}});
        CHECK(parse_config("") == Config());
        CHECK_FALSE(parse_config(R"({"version":1,"config":{"a":{}}})"));
        CHECK(parse_config(write_config({{"key", "\xff \" \n"}}))->at("key") == "\ufffd \" \n");

        using Type = ConfigEntity::Type;
        struct Case {
            ConfigEntity entity;
            const char* path;
        };
        const std::vector<Case> cases{
            {{Type::topic, "ra"}, "topics/ra"},
            {{Type::broker, "<default>"}, "brokers/<default>"},
            {{Type::client, "a/b*c d"}, "clients/a%2Fb%2Ac%20d"},
            {{Type::user, "<default>"}, "users/<default>"},
            {{Type::user, "CN=me,O=\u00e9"}, "users/CN%3Dme%2CO%3D%C3%A9"},
            {{Type::user_client, "u", "c"}, "users/u/clients/c"},
            {{Type::user_client, "u", "<default>"}, "users/u/clients/<default>"},
            {{Type::ip, "10.0.0.1"}, "ips/10.0.0.1"}};
        for (const auto& [entity, path] : cases) {
            CAPTURE(path);
            CHECK(entity_path(entity) == path);
            CHECK(parse_entity_path(path) == entity);
            CHECK(config_path(entity) == std::string("/config/") + path);
            CHECK(parse_config_change(write_config_change(entity)) == entity);
        }
        CHECK(write_config_change({Type::topic, "ra"}) ==
              R"({"version":2,"entity_path":"topics/ra"})");
        CHECK(parse_config_change(R"({"version":1,"entity_type":"clients","entity_name":"c"})") ==
              ConfigEntity{Type::client, "c"});
        CHECK(parse_config_change(R"("old")") == ConfigEntity{Type::topic, "old"});
        for (const char* path :
             {"", "topics", "topics/", "topics/a/b", "things/a", "users/u/clients/",
              "users//clients/c", "clients/%4", "clients/%zz", "users/a/b"}) {
            CAPTURE(path);
            CHECK_FALSE(parse_entity_path(path));
        }
    }

    TEST_CASE("topic ids are 22 characters") {
        const auto id = counting_uuid();
        CHECK(uuid_text(id) == "ABEiM0RVZneImaq7zN3u_w");
        CHECK(parse_uuid(uuid_text(id)) == id);
        CHECK(uuid_text({}) == "AAAAAAAAAAAAAAAAAAAAAA");
        for (const char* text :
             {"", "AAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAA=", "AAAAAAAAAAAAAAAAAAAA/A"}) {
            CHECK_FALSE(parse_uuid(text));
        }
    }

    TEST_CASE("lists of partitions, reassignments and log directory events") {
        const std::vector<base::TopicPartition> partitions{{"t", PartitionIndex(0)},
                                                           {"u", PartitionIndex(3)}};
        CHECK(
            write_partitions(partitions) ==
            R"({"version":1,"partitions":[{"topic":"t","partition":0},{"topic":"u","partition":3}]})");
        CHECK(parse_partitions(write_partitions(partitions)) == partitions);
        const Reassignments moves{{{"t", PartitionIndex(1)}, {BrokerId(2), BrokerId(3)}}};
        CHECK(write_reassignments(moves) ==
              R"({"version":1,"partitions":[{"topic":"t","partition":1,"replicas":[2,3]}]})");
        CHECK(parse_reassignments(write_reassignments(moves)) == moves);
        CHECK_FALSE(parse_reassignments(write_partitions(partitions)));
        CHECK(write_log_dir_event(BrokerId(4)) == R"({"version":1,"broker":4,"event":1})");
        CHECK(parse_log_dir_event(write_log_dir_event(BrokerId(4))) == BrokerId(4));
    }

    TEST_CASE("blocks of producer ids are written as strings") {
        const ProducerIdBlock block{BrokerId(2), ProducerId(1000), ProducerId(1999)};
        CHECK(write(block) ==
              R"({"version":1,"broker":2,"block_start":"1000","block_end":"1999"})");
        CHECK(parse_producer_id_block(write(block)) == block);
        CHECK_FALSE(parse_producer_id_block(
            R"({"version":1,"broker":2,"block_start":"5","block_end":"4"})"));
    }

    TEST_CASE("features") {
        CHECK(write(Features()) == R"({"features":{},"version":2,"status":1})");
        CHECK(write(Features{.enabled = false}, 1) == R"({"features":{},"version":1,"status":0})");
        CHECK(parse_features(write(Features())) == Features());
        CHECK(parse_features(R"({"version":1,"status":0,"features":)"
                             R"({"f":{"min_version_level":1,"max_version_level":5}}})") ==
              Features{false, {{"f", 5}}});
    }

    TEST_CASE("what is not what it should be gives nothing, whatever it is") {
        const char* const texts[] = {
            "",
            "x",
            "null",
            "[]",
            "{",
            "[{}]",
            "{}",
            "1.5",
            R"({"version":{}})",
            "\xff\xfe",
            R"({"partitions":5})",
            R"({"partitions":{"x":[1]}})",
            R"({"partitions":{"0":["x"]}})",
            R"({"partitions":{"-1":[1]}})",
            R"({"partitions":{"0":[99999999999]}})",
            R"({"partitions":[1]})",
            R"({"partitions":[{"topic":1,"partition":0}]})",
            R"({"partitions":[{"topic":"t","partition":-1}]})",
            R"({"endpoints":[1]})",
            R"({"endpoints":["h:1"]})",
            R"({"endpoints":["A://h"]})",
            R"({"endpoints":["A://h:x"]})",
            R"({"endpoints":["A://h:1"],"listener_security_protocol_map":{"B":"SSL"}})",
            R"({"endpoints":["A://h:1"],"listener_security_protocol_map":[]})",
            R"({"endpoints":["A://h:1"],"features":{"f":1}})",
            R"({"brokerid":"x"})",
            R"({"leader":1,"isr":[],"leader_epoch":0})",
            R"({"topic_id":"short","partitions":{}})",
            R"({"id":5})",
            R"({"broker":1.5})",
            R"({"status":1,"features":{"f":1}})"};
        for (const char* text : texts) {
            CAPTURE(text);
            CHECK_FALSE(parse_broker(text));
            CHECK_FALSE(parse_topic(text));
            CHECK_FALSE(parse_partition_state(text));
            CHECK_FALSE(parse_controller(text));
            CHECK_FALSE(parse_cluster_id(text));
            CHECK_FALSE(parse_config_change(text));
            CHECK_FALSE(parse_reassignments(text));
            CHECK_FALSE(parse_log_dir_event(text));
            CHECK_FALSE(parse_producer_id_block(text));
            CHECK_FALSE(parse_features(text));
        }
        CHECK_FALSE(parse_partitions("{}"));
        CHECK_FALSE(parse_config("[]"));
        CHECK_FALSE(parse_topic(std::string(100'000, '[')));
    }
}
