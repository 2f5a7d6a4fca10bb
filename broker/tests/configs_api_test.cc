#include "broker/tests/broker_fixture.h"

#include <algorithm>
#include <map>

using namespace protocol;
using test::BrokerFixture;
using wire::Text;

namespace {

constexpr std::int8_t topic_type = 2;
constexpr std::int8_t broker_type = 4;
constexpr std::int8_t set_value = 0;
constexpr std::int8_t delete_value = 1;
constexpr std::int8_t append_value = 2;

using Described = DescribeConfigsResponse::Result;

struct ConfigsFixture : BrokerFixture {
    ConfigsFixture() : BrokerFixture({"log.retention.hours=1", "unheard.of=secret"}) {
        create_topic("t");
    }

    DescribeConfigsResponse describe(std::int8_t type, const std::string& name,
                                     std::int16_t version = 4,
                                     std::optional<std::vector<Text>> keys = std::nullopt) {
        DescribeConfigsRequest request;
        request.include_synonyms = request.include_documentation = true;
        auto& resource = request.resources.emplace_back();
        resource.resource_type = type;
        resource.resource_name = Text(name);
        resource.configuration_keys = std::move(keys);
        return call(std::move(request), version);
    }

    // "value source" of one key.
    std::string shown(std::int8_t type, const std::string& name, const std::string& key) {
        const auto response = describe(type, name, 4, std::vector{Text(key)});
        REQUIRE(response.results.size() == 1);
        if (response.results[0].configs.empty()) return "nothing";
        const auto& config = response.results[0].configs[0];
        return (config.value ? config.value->str() : "null") + " " +
               std::to_string(config.config_source);
    }

    struct Change {
        std::int8_t type;
        std::string name;
        std::string key;
        std::optional<std::string> value;
        std::int8_t operation = set_value;
    };

    std::vector<ErrorCode> change(const std::vector<Change>& changes, bool validate_only = false) {
        IncrementalAlterConfigsRequest request;
        request.validate_only = validate_only;
        for (const Change& one : changes) {
            auto& resource = request.resources.emplace_back();
            resource.resource_type = one.type;
            resource.resource_name = Text(one.name);
            auto& config = resource.configs.emplace_back();
            config.name = Text(one.key);
            config.config_operation = one.operation;
            config.value.reset();
            if (one.value) config.value = Text(*one.value);
        }
        std::vector<ErrorCode> codes;
        for (const auto& each : call(std::move(request), 1).responses) {
            CHECK(each.error_message.has_value() == (each.error_code != ErrorCode::none));
            codes.push_back(each.error_code);
        }
        return codes;
    }

    ErrorCode replace(std::int8_t type, const std::string& name,
                      const std::map<std::string, std::string>& values,
                      bool validate_only = false) {
        AlterConfigsRequest request;
        request.validate_only = validate_only;
        auto& resource = request.resources.emplace_back();
        resource.resource_type = type;
        resource.resource_name = Text(name);
        for (const auto& [key, value] : values) {
            auto& config = resource.configs.emplace_back();
            config.name = Text(key);
            config.value = Text(value);
        }
        const auto response = call(std::move(request), 2);
        REQUIRE(response.responses.size() == 1);
        CHECK(response.responses[0].resource_type == type);
        CHECK(response.responses[0].resource_name == name);
        return response.responses[0].error_code;
    }

    std::int64_t retention_ms() { return cluster().image()->find_topic("t")->config->retention_ms; }
};

const Described::Config* find(const DescribeConfigsResponse& response, std::string_view key) {
    const auto& configs = response.results.at(0).configs;
    const auto at = std::ranges::find_if(configs, [&](const auto& one) { return one.name == key; });
    return at == configs.end() ? nullptr : &*at;
}

}  // namespace

TEST_CASE("a topic is described with the source, the synonyms and the sentence of each key") {
    ConfigsFixture in;
    CHECK(in.change({{topic_type, "t", "retention.ms", "5000"}}) == std::vector{ErrorCode::none});
    const auto response = in.describe(topic_type, "t");
    REQUIRE(response.results.size() == 1);
    CHECK(response.results[0].error_code == ErrorCode::none);
    CHECK(response.results[0].resource_name == "t");
    CHECK(response.results[0].configs.size() == broker::topic_keys().size());
    const auto* retention = find(response, "retention.ms");
    REQUIRE(retention);
    CHECK(*retention->value == "5000");
    CHECK(retention->config_source == 1);
    CHECK(retention->config_type == 5);
    CHECK_FALSE(retention->read_only);
    CHECK_FALSE(retention->documentation->empty());
    REQUIRE(retention->synonyms.size() >= 1);
    CHECK(retention->synonyms[0].name == "retention.ms");
    CHECK(retention->synonyms[0].source == 1);
    CHECK(find(response, "segment.bytes")->config_source == 5);
}

TEST_CASE("only the keys that are asked for are described, and version 0 says what is a default") {
    ConfigsFixture in;
    const auto some =
        in.describe(topic_type, "t", 0, std::vector{Text("retention.ms"), Text("no.such.key")});
    REQUIRE(some.results[0].configs.size() == 1);
    CHECK(*some.results[0].configs[0].value == "3600000");
    CHECK(some.results[0].configs[0].is_default);
    CHECK(in.describe(topic_type, "t", 4, std::vector<Text>{}).results[0].configs.size() ==
          broker::topic_keys().size());
}

TEST_CASE("a broker is described under its own number, and what nobody knows stays hidden") {
    ConfigsFixture in;
    const auto response = in.describe(broker_type, "1");
    CHECK(*find(response, "log.retention.hours")->value == "1");
    CHECK(find(response, "log.retention.hours")->config_source == 4);
    CHECK(find(response, "log.retention.hours")->read_only);
    REQUIRE(find(response, "unheard.of"));
    CHECK(find(response, "unheard.of")->is_sensitive);
    CHECK_FALSE(find(response, "unheard.of")->value);
    CHECK(in.describe(broker_type, "").results[0].configs.empty());
}

TEST_CASE("what is not there is described with Kafka's error") {
    ConfigsFixture in;
    const std::vector<std::tuple<std::int8_t, std::string, ErrorCode>> cases = {
        {topic_type, "none", ErrorCode::unknown_topic_or_partition},
        {topic_type, "", ErrorCode::invalid_topic_exception},
        {topic_type, "a/b", ErrorCode::invalid_topic_exception},
        {broker_type, "2", ErrorCode::invalid_request},
        {broker_type, "x", ErrorCode::invalid_request},
        {8, "1", ErrorCode::invalid_request},
        {16, "m", ErrorCode::invalid_request},
        {0, "u", ErrorCode::invalid_request},
        {99, "u", ErrorCode::invalid_request}};
    for (const auto& [type, name, error] : cases) {
        CAPTURE(name);
        const auto response = in.describe(type, name);
        REQUIRE(response.results.size() == 1);
        CHECK(response.results[0].error_code == error);
        CHECK(response.results[0].resource_type == type);
        CHECK(response.results[0].configs.empty());
    }
}

TEST_CASE("a change of a topic is in force at once and after a restart") {
    ConfigsFixture in;
    CHECK(in.retention_ms() == 3'600'000);
    CHECK(in.change({{topic_type, "t", "retention.ms", "5000"}}) == std::vector{ErrorCode::none});
    CHECK(in.change({{topic_type, "t", "cleanup.policy", "compact", append_value}}) ==
          std::vector{ErrorCode::none});
    CHECK(in.retention_ms() == 5000);
    in.restart();
    CHECK(in.retention_ms() == 5000);
    CHECK(in.shown(topic_type, "t", "cleanup.policy") == "delete,compact 1");
    CHECK(in.change({{topic_type, "t", "retention.ms", std::nullopt, delete_value}}) ==
          std::vector{ErrorCode::none});
    CHECK(in.retention_ms() == 3'600'000);
}

TEST_CASE("a change of the broker reaches the topics that have no value of their own") {
    ConfigsFixture in;
    CHECK(in.change({{broker_type, "", "log.retention.ms", "7000"}}) ==
          std::vector{ErrorCode::none});
    CHECK(in.retention_ms() == 7000);
    CHECK(in.shown(broker_type, "1", "log.retention.ms") == "7000 3");
    CHECK(in.change({{broker_type, "1", "log.retention.ms", "8000"}}) ==
          std::vector{ErrorCode::none});
    CHECK(in.retention_ms() == 8000);
    CHECK(in.shown(broker_type, "1", "log.retention.ms") == "8000 2");
    CHECK(in.shown(broker_type, "", "log.retention.ms") == "7000 3");
    in.restart();
    CHECK(in.retention_ms() == 8000);
    CHECK(in.shown(topic_type, "t", "retention.ms") == "8000 2");
}

TEST_CASE("each resource of a request stands or falls alone") {
    ConfigsFixture in;
    in.create_topic("u");
    CHECK(in.change({{topic_type, "t", "retention.ms", "soon"},
                     {topic_type, "u", "retention.ms", "9"},
                     {topic_type, "none", "retention.ms", "9"},
                     {topic_type, "", "retention.ms", "9"},
                     {broker_type, "1", "broker.rack", "r"},
                     {broker_type, "2", "log.retention.ms", "9"},
                     {8, "1", "kafka", "DEBUG"},
                     {16, "m", "interval.ms", "1"},
                     {32, "g", "a", "1"},
                     {0, "x", "a", "1"}}) ==
          std::vector{ErrorCode::invalid_config, ErrorCode::none,
                      ErrorCode::unknown_topic_or_partition, ErrorCode::invalid_request,
                      ErrorCode::invalid_request, ErrorCode::invalid_request,
                      ErrorCode::invalid_request, ErrorCode::invalid_request,
                      ErrorCode::invalid_request, ErrorCode::invalid_request});
    CHECK(in.retention_ms() == 3'600'000);
    CHECK(in.cluster().image()->find_topic("u")->config->retention_ms == 9);
    CHECK(
        in.change({{topic_type, "t", "retention.ms", "1"}, {topic_type, "t", "segment.ms", "1"}}) ==
        std::vector{ErrorCode::invalid_request, ErrorCode::invalid_request});
    CHECK(in.change({{topic_type, "t", "retention.ms", std::nullopt}}) ==
          std::vector{ErrorCode::invalid_request});
}

TEST_CASE("a change that is only to be validated changes nothing") {
    ConfigsFixture in;
    CHECK(in.change({{topic_type, "t", "retention.ms", "5"}}, true) ==
          std::vector{ErrorCode::none});
    CHECK(in.change({{topic_type, "t", "retention.ms", "x"}}, true) ==
          std::vector{ErrorCode::invalid_config});
    CHECK(in.change({{broker_type, "1", "log.retention.ms", "5"}}, true) ==
          std::vector{ErrorCode::none});
    CHECK(in.replace(topic_type, "t", {{"retention.ms", "5"}}, true) == ErrorCode::none);
    CHECK(in.retention_ms() == 3'600'000);
}

TEST_CASE("replacing forgets what is not named") {
    ConfigsFixture in;
    CHECK(in.replace(topic_type, "t", {{"retention.ms", "5"}, {"segment.ms", "6"}}) ==
          ErrorCode::none);
    CHECK(in.shown(topic_type, "t", "segment.ms") == "6 1");
    CHECK(in.replace(topic_type, "t", {{"retention.ms", "7"}}) == ErrorCode::none);
    CHECK(in.shown(topic_type, "t", "segment.ms") == "604800000 5");
    CHECK(in.retention_ms() == 7);
    CHECK(in.replace(topic_type, "none", {}) == ErrorCode::unknown_topic_or_partition);
    CHECK(in.replace(broker_type, "1", {{"log.segment.bytes", "1000"}}) == ErrorCode::none);
    CHECK(in.shown(topic_type, "t", "segment.bytes") == "1000 2");
    CHECK(in.replace(broker_type, "1", {}) == ErrorCode::none);
    CHECK(in.shown(topic_type, "t", "segment.bytes") == "1073741824 5");
}
