#include "broker/config/alter.h"
#include "broker/config/broker_config.h"
#include "broker/config/load.h"
#include "broker/config/topic_config.h"
#include "broker/config/value.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <map>
#include <set>
#include <sstream>

using namespace broker;

namespace {

std::shared_ptr<const BrokerConfig> config_of(std::string text) {
    return load_config({.file_name = "f",
                        .file_text = "log.dirs=/d\n" + text,
                        .environment = {},
                        .overrides = {}})
        .config;
}

std::shared_ptr<const BrokerConfig> standard() {
    return config_of("");
}

// The golden file's columns from the key on.
std::string row_of(const ConfigEntry& entry) {
    static const std::map<ConfigSource, std::string> sources = {
        {ConfigSource::dynamic_topic, "DYNAMIC_TOPIC_CONFIG"},
        {ConfigSource::dynamic_broker, "DYNAMIC_BROKER_CONFIG"},
        {ConfigSource::dynamic_default_broker, "DYNAMIC_DEFAULT_BROKER_CONFIG"},
        {ConfigSource::static_broker, "STATIC_BROKER_CONFIG"},
        {ConfigSource::default_value, "DEFAULT_CONFIG"}};
    static const char* types[] = {"UNKNOWN", "BOOLEAN", "STRING", "INT",   "SHORT",
                                  "LONG",    "DOUBLE",  "LIST",   "CLASS", "PASSWORD"};
    std::string out = entry.name + "\t" + entry.value.value_or("null") + "\t" +
                      sources.at(entry.source) + "\t" + types[static_cast<int>(entry.type)] + "\t" +
                      (entry.read_only ? "read-only" : "") + "\t" +
                      (entry.sensitive ? "sensitive" : "") + "\t";
    for (const ConfigSynonym& one : entry.synonyms) {
        out += (&one == entry.synonyms.data() ? "" : " ") + sources.at(one.source) + ":" +
               one.name + "=" + one.value.value_or("null");
    }
    return out;
}

std::vector<std::string> golden_rows(const std::string& resource) {
    std::ifstream file(std::string(GOLDEN_FOLDER) + "/describe_configs_3.9.1.tsv");
    std::vector<std::string> rows;
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with(resource + "\t")) rows.push_back(line.substr(resource.size() + 1));
    }
    return rows;
}

std::vector<std::string> rows_of(const std::vector<ConfigEntry>& entries) {
    std::vector<std::string> rows;
    for (const ConfigEntry& entry : entries) {
        if (!entry.name.starts_with("milena.")) rows.push_back(row_of(entry));
    }
    return rows;
}

// The broker that the golden file was captured from.
std::shared_ptr<const BrokerConfig> golden_broker() {
    const auto loaded = load_config(
        {.file_name = "f",
         .file_text = "broker.id=7\nlisteners=PLAINTEXT://127.0.0.1:9092\n"
                      "zookeeper.connect=127.0.0.1:2181\nlog.dir=/var/lib/kafka\n"
                      "log.retention.hours=24\nlog.roll.ms=3600000\nlog.roll.hours=2\n"
                      "num.io.threads= 4\nlog.cleaner.min.cleanable.ratio=0.50\n"
                      "group.initial.rebalance.delay.ms=0\nauto.create.topics.enable=FALSE\n"
                      "offsets.topic.replication.factor=1\nstrange.key=1\n"
                      "ssl.keystore.password=abc\nlog.cleanup.policy=compact, delete\n",
         .environment = {},
         .overrides = {}});
    REQUIRE(loaded.config);
    return loaded.config->with_dynamic(
        {{"log.index.interval.bytes", "5000"}, {"log.cleanup.policy", "delete"}},
        {{"log.retention.ms", "777777"},
         {"num.io.threads", "5"},
         {"num.network.threads", "1"},
         {"log.cleanup.policy", ""}});
}

std::string fault_of(const base::Result<ConfigMap, AlterFault>& altered) {
    if (altered) return "none";
    return (altered.error().kind == AlterFault::Kind::invalid_config ? "config: " : "request: ") +
           altered.error().message;
}

Alteration set(std::string name, std::string value) {
    return {std::move(name), AlterOperation::set, std::move(value)};
}
Alteration unset(std::string name) {
    return {std::move(name), AlterOperation::remove, std::nullopt};
}
Alteration append(std::string name, std::string value) {
    return {std::move(name), AlterOperation::append, std::move(value)};
}
Alteration subtract(std::string name, std::string value) {
    return {std::move(name), AlterOperation::subtract, std::move(value)};
}

auto on_topic(const ConfigMap& stored, std::vector<Alteration> wanted) {
    return alter_topic_configs(*standard(), stored, wanted);
}

auto on_broker(const BrokerConfig& broker, const ConfigMap& stored,
               std::vector<Alteration> wanted) {
    return alter_broker_configs(broker, BrokerScope::one_broker, stored, wanted);
}

auto on_cluster(std::vector<Alteration> wanted) {
    return alter_broker_configs(*standard(), BrokerScope::cluster_default, {}, wanted);
}

}  // namespace

TEST_CASE("a broker describes itself as Apache Kafka 3.9.1 does, key by key") {
    auto expected = golden_rows("BROKER/7");
    REQUIRE(expected.size() == 316);
    // Apache Kafka does not know the keys of its own authorizer; here they are known.
    std::erase_if(expected,
                  [](const std::string& row) { return row.starts_with("super.users\t"); });
    const auto rows = rows_of(golden_broker()->describe());
    CHECK(rows.size() == expected.size());
    for (std::size_t i = 0; i < std::min(rows.size(), expected.size()); ++i)
        CHECK(rows[i] == expected[i]);
}

TEST_CASE("the cluster's default describes itself as Apache Kafka 3.9.1 does") {
    CHECK(rows_of(golden_broker()->describe_cluster_default()) == golden_rows("BROKER/"));
}

TEST_CASE("a topic describes itself as Apache Kafka 3.9.1 does, key by key") {
    const auto broker = golden_broker();
    const TopicConfig topic(*broker, {{"cleanup.policy", "compact,delete"},
                                      {"retention.ms", "1000"},
                                      {"min.compaction.lag.ms", "9223372036854775807"},
                                      {"leader.replication.throttled.replicas", "*"}});
    const auto expected = golden_rows("TOPIC/t");
    const auto rows = rows_of(topic.describe(*broker));
    REQUIRE(rows.size() == expected.size());
    for (std::size_t i = 0; i < rows.size(); ++i) CHECK(rows[i] == expected[i]);
}

TEST_CASE("every default of the tables is a right value, and every synonym is a key") {
    for (const auto keys : {broker_keys(), topic_keys()}) {
        CHECK(std::ranges::is_sorted(keys, {}, &KeyDefinition::name));
        for (const KeyDefinition& key : keys) {
            CAPTURE(key.name);
            if (key.standard) CHECK(check_value(key, *key.standard));
            for (const std::string_view synonym : key.synonyms)
                CHECK(find_broker_key(synonym) != nullptr);
            CHECK(key.documentation.size() > 10);
        }
    }
    CHECK(find_broker_key("log.dirs")->name == "log.dirs");
    CHECK(find_broker_key("log.dir ") == nullptr);
    CHECK(find_topic_key("") == nullptr);
}

TEST_CASE("values are printed as Java prints them") {
    CHECK(canonical_value(ConfigType::boolean, " TRUE ") == "true");
    CHECK(canonical_value(ConfigType::int32, "+007") == "7");
    CHECK(canonical_value(ConfigType::list, " a , b,,c") == "a,b,,c");
    CHECK(canonical_value(ConfigType::list, "  ") == "");
    CHECK(canonical_value(ConfigType::float64, "0.50") == "0.5");
    CHECK(canonical_value(ConfigType::float64, "1") == "1.0");
    CHECK(canonical_value(ConfigType::float64, "12345678") == "1.2345678E7");
    CHECK(canonical_value(ConfigType::float64, "1e10") == "1.0E10");
    CHECK(canonical_value(ConfigType::float64, "0.0001") == "1.0E-4");
    CHECK(canonical_value(ConfigType::float64, "0") == "0.0");
}

TEST_CASE("numbers that do not fit, trail off or are none are no numbers") {
    for (const char* wrong :
         {"", " ", "x", "1x", "1.5", "--1", "+-1", "9223372036854775808", "0x10", "1 2"}) {
        CAPTURE(wrong);
        CHECK_FALSE(parse_integer(wrong));
    }
    CHECK(parse_integer(" -9223372036854775808 ") == std::numeric_limits<std::int64_t>::min());
    CHECK_FALSE(parse_double("nan"));
    CHECK_FALSE(check_value(*find_broker_key("num.partitions"), "2147483648"));
    CHECK_FALSE(check_value(*find_broker_key("offsets.topic.replication.factor"), "32768"));
}

TEST_CASE("a topic has its own value, else the broker's, else the default") {
    const auto broker =
        config_of("log.retention.minutes=1\nmin.insync.replicas=2\ncompression.type=lz4");
    const auto plain = effective_config(broker, {});
    CHECK(plain == broker->topic_defaults());
    CHECK(plain->retention_ms == 60'000);
    CHECK(plain->min_insync_replicas == 2);
    CHECK(plain->compression() == CompressionType::lz4);
    CHECK(plain->is_deleted());
    CHECK_FALSE(plain->is_compacted());
    CHECK_FALSE(plain->is_log_append_time());
    CHECK(plain->segment_bytes == 1'073'741'824);

    const auto own = effective_config(broker, {{"retention.ms", "-1"},
                                               {"cleanup.policy", "compact"},
                                               {"message.timestamp.type", "LogAppendTime"},
                                               {"compression.type", "zstd"}});
    CHECK(own->retention_ms == -1);
    CHECK(own->min_insync_replicas == 2);
    CHECK(own->is_compacted());
    CHECK_FALSE(own->is_deleted());
    CHECK(own->is_log_append_time());
    CHECK(own->compression() == CompressionType::zstd);
}

TEST_CASE("message.timestamp.difference.max.ms speaks where the two newer keys say nothing") {
    const auto topic = effective_config(standard(), {{"message.timestamp.difference.max.ms", "5"},
                                                     {"message.timestamp.after.max.ms", "6"}});
    CHECK(topic->message_timestamp_before_max_ms == 5);
    CHECK(topic->message_timestamp_after_max_ms == 6);
}

TEST_CASE(
    "a dynamic value of this broker is stronger than that of the cluster, and that than the file") {
    const auto broker = config_of("log.segment.bytes=1000\nlog.retention.hours=1");
    const auto changed =
        broker->with_dynamic({{"log.segment.bytes", "2000"}, {"log.retention.ms", "5"}},
                             {{"log.segment.bytes", "3000"}});
    CHECK(changed->log_segment_bytes == 3000);
    CHECK(changed->topic_defaults()->segment_bytes == 3000);
    CHECK(changed->topic_defaults()->retention_ms == 5);
    CHECK(broker->log_segment_bytes == 1000);
    const auto back = changed->with_dynamic({}, {});
    CHECK(back->log_segment_bytes == 1000);
    CHECK(back->topic_defaults()->retention_ms == 3'600'000);
}

TEST_CASE("what a znode holds wrongly is left out with a sentence") {
    std::vector<std::string> complaints;
    const auto broker = standard()->with_dynamic(
        {{"broker.id", "9"}, {"log.segment.bytes", "many"}, {"listeners", "X://:1"}},
        {{"some.plug.in", "1"}, {"log.segment.bytes", "77"}}, &complaints);
    CHECK(broker->log_segment_bytes == 77);
    CHECK(broker->endpoints() == standard()->endpoints());
    CHECK(complaints ==
          std::vector<std::string>{
              "the dynamic configuration broker.id is left out: it is read at the start only",
              "the dynamic configuration listeners is left out: it is read at the start only",
              "the dynamic configuration log.segment.bytes is left out: it wants a whole number of "
              "32 bits, 14 or more, not \"many\""});
    complaints.clear();
    const TopicConfig topic(
        *broker, {{"retention.ms", "soon"}, {"colour", "red"}, {"segment.ms", "5"}}, &complaints);
    CHECK(topic.segment_ms == 5);
    CHECK(topic.retention_ms == 604'800'000);
    CHECK(complaints.size() == 2);
    CHECK(topic.overrides() == ConfigMap{{"segment.ms", "5"}});
}

TEST_CASE("a topic's values are judged one by one") {
    CHECK(validate_topic_config("retention.ms", "-1"));
    CHECK(validate_topic_config("leader.replication.throttled.replicas", "*"));
    CHECK(validate_topic_config("leader.replication.throttled.replicas", "0:1, 1:2"));
    CHECK(validate_topic_config("cleanup.policy", " compact , delete "));
    CHECK(validate_topic_config("cleanup.policy", ""));
    const std::map<std::string, std::string> wrong = {
        {"retention.ms", "-2"},
        {"segment.bytes", "13"},
        {"preallocate", "maybe"},
        {"compression.type", "brotli"},
        {"cleanup.policy", "compact,keep"},
        {"min.cleanable.dirty.ratio", "2"},
        {"min.insync.replicas", "0"},
        {"compression.gzip.level", "0"},
        {"follower.replication.throttled.replicas", "a:b"},
        {"colour", "red"}};
    for (const auto& [key, value] : wrong) {
        CAPTURE(key);
        const auto checked = validate_topic_config(key, value);
        REQUIRE_FALSE(checked);
        CHECK(checked.error().find(key) != std::string::npos);
    }
    CHECK(validate_topic_config("retention.ms", "x").error() ==
          "Invalid value x for configuration retention.ms: it wants a whole number of 64 bits, -1 "
          "or more");
}

TEST_CASE("an incremental change of a topic sets, deletes, appends and subtracts") {
    CHECK(*on_topic({{"retention.ms", "1"}},
                    {set("segment.ms", "5"), unset("retention.ms"), unset("flush.ms")}) ==
          ConfigMap{{"segment.ms", "5"}});
    CHECK(*on_topic({}, {append("cleanup.policy", "compact")}) ==
          ConfigMap{{"cleanup.policy", "delete,compact"}});
    CHECK(
        *on_topic({{"cleanup.policy", "compact"}}, {append("cleanup.policy", "compact,delete")}) ==
        ConfigMap{{"cleanup.policy", "compact,delete"}});
    CHECK(*on_topic({{"cleanup.policy", "compact,delete"}},
                    {subtract("cleanup.policy", "compact")}) ==
          ConfigMap{{"cleanup.policy", "delete"}});
    CHECK(*on_topic({}, {subtract("cleanup.policy", "delete")}) ==
          ConfigMap{{"cleanup.policy", ""}});
}

TEST_CASE("a wrong change of a topic is refused with Kafka's error") {
    const std::vector<std::pair<std::vector<Alteration>, std::string>> cases = {
        {{set("colour", "red")}, "config"},
        {{set("retention.ms", "x")}, "config"},
        {{set("retention.ms", "")}, "config"},
        {{append("retention.ms", "1")}, "config"},
        {{subtract("colour", "1")}, "config"},
        {{append("cleanup.policy", "keep")}, "config"},
        {{set("min.compaction.lag.ms", "6"), set("max.compaction.lag.ms", "5")}, "config"},
        {{set("remote.storage.enable", "true")}, "config"},
        {{set("retention.ms", "1"), unset("retention.ms")}, "request"},
        {{{"retention.ms", AlterOperation::set, std::nullopt}}, "request"},
        {{{"retention.ms", static_cast<AlterOperation>(9), "1"}}, "request"},
        {{set("message.format.version", "9.9")}, "config"},
        {{set("", "1")}, "config"}};
    for (const auto& [wanted, kind] : cases) {
        CAPTURE(wanted.front().name);
        CHECK(fault_of(on_topic({}, wanted)).starts_with(kind + ": "));
    }
    CHECK(on_topic({}, {unset("colour")}));
    CHECK(on_topic({}, {set("remote.storage.enable", "false")}));
}

TEST_CASE("replacing the configurations of a topic forgets what is not named") {
    const std::vector<Alteration> wanted = {set("segment.ms", "5")};
    CHECK(*replace_topic_configs(*standard(), wanted) == ConfigMap{{"segment.ms", "5"}});
    CHECK(*replace_topic_configs(*standard(), {}) == ConfigMap{});
    const std::vector<Alteration> twice = {set("segment.ms", "5"), set("segment.ms", "6")};
    CHECK(fault_of(replace_topic_configs(*standard(), twice)).starts_with("request: "));
}

TEST_CASE("a broker's keys change at run time where Kafka lets them") {
    const auto broker = standard();
    CHECK(*on_broker(*broker, {}, {set("log.retention.ms", "777777")}) ==
          ConfigMap{{"log.retention.ms", "777777"}});
    CHECK(on_broker(*broker, {}, {set("some.plug.in", "x")}));
    CHECK(on_broker(*broker, {}, {unset("broker.rack"), unset("nonsense")}));
    CHECK(*on_broker(*broker, {}, {subtract("log.cleanup.policy", "delete")}) ==
          ConfigMap{{"log.cleanup.policy", ""}});
    CHECK(on_cluster({set("message.max.bytes", "5000"), append("log.cleanup.policy", "compact")}));
    for (const auto& [key, value] :
         std::map<std::string, std::string>{{"broker.rack", "x"},
                                            {"listeners", "PLAINTEXT://:1"},
                                            {"log.retention.ms", "x"},
                                            {"log.retention.ms", "0"},
                                            {"ssl.keystore.location", "x"},
                                            {"ssl.keystore.password", "x"},
                                            {"listener.name.x.ssl.keystore.location", "x"},
                                            {"log.segment.bytes", "13"}}) {
        CAPTURE(key);
        CHECK(fault_of(on_broker(*broker, {}, {set(key, value)})).starts_with("request: "));
        CHECK(fault_of(on_cluster({set(key, value)})).starts_with("request: "));
    }
    CHECK(fault_of(on_broker(*broker, {}, {append("log.retention.ms", "1")}))
              .starts_with("config: "));
    CHECK(fault_of(
              on_broker(*broker, {}, {set("log.retention.ms", "1"), set("log.retention.ms", "2")}))
              .starts_with("request: "));
}

TEST_CASE("threads can be halved or doubled at most in one step") {
    const auto broker = config_of("num.io.threads=8");
    CHECK(on_broker(*broker, {}, {set("num.io.threads", "16")}));
    CHECK(on_broker(*broker, {}, {set("num.io.threads", "4")}));
    CHECK_FALSE(on_broker(*broker, {}, {set("num.io.threads", "17")}));
    CHECK_FALSE(on_broker(*broker, {}, {set("num.io.threads", "3")}));
    const auto changed = broker->with_dynamic({}, {{"num.io.threads", "16"}});
    CHECK(on_broker(*changed, {{"num.io.threads", "16"}}, {set("num.io.threads", "32")}));
}

TEST_CASE("what was stored before, by whomever, does not stand in the way of another change") {
    const ConfigMap stored = {{"broker.rack", "written by hand"}};
    CHECK(*on_broker(*standard(), stored, {set("log.segment.bytes", "1000")}) ==
          ConfigMap{{"broker.rack", "written by hand"}, {"log.segment.bytes", "1000"}});
}
