#include "broker/tools/line_parser.h"
#include "broker/tools/record_printer.h"
#include "broker/tools/times.h"
#include "broker/tools/tool.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <ctime>

using namespace broker;
using records::bytes_of;
using records::text_of;

namespace {

using Properties = std::map<std::string, std::string>;

std::string printed(const Properties& properties, const records::Record& record) {
    std::string out;
    RecordPrinter::make(properties)->print({"t", base::PartitionIndex(2), record, false, 2}, out);
    return out;
}

}  // namespace

TEST_CASE("a line is the value, whatever is in it") {
    auto parser = *LineParser::make({});
    const auto record = parser.parse("a\tb:c", 1);
    CHECK(!record->key);
    CHECK(text_of(*record->value) == "a\tb:c");
    CHECK(parser.parse("", 2)->value->empty());
}

TEST_CASE("parse.key cuts at the first separator") {
    auto parser = *LineParser::make({{"parse.key", "true"}, {"key.separator", "::"}});
    const auto record = parser.parse("k::v::w", 1);
    CHECK(text_of(*record->key) == "k");
    CHECK(text_of(*record->value) == "v::w");
    CHECK(parser.parse("k3", 3).error() == "No key separator found on line number 3: 'k3'");
}

TEST_CASE("ignore.error takes a line without a separator as the value") {
    auto parser = *LineParser::make({{"parse.key", "true"}, {"ignore.error", "true"}});
    const auto record = parser.parse("k3", 1);
    CHECK(!record->key);
    CHECK(text_of(*record->value) == "k3");
}

TEST_CASE("headers stand before the key") {
    auto parser = *LineParser::make({{"parse.key", "true"}, {"parse.headers", "true"}});
    const auto record = parser.parse("h1:a,h2:b:c\tk\tv", 1);
    REQUIRE(record->headers.size() == 2);
    CHECK(record->headers[0].key == "h1");
    CHECK(text_of(*record->headers[1].value) == "b:c");
    CHECK(text_of(*record->key) == "k");
    CHECK(!parser.parse("h1\tk\tv", 2));
}

TEST_CASE("null.marker stands for null") {
    auto parser = *LineParser::make({{"parse.key", "true"}, {"null.marker", "N"}});
    const auto record = parser.parse("k\tN", 1);
    CHECK(text_of(*record->key) == "k");
    CHECK(!record->value);
}

TEST_CASE("a record is printed as its value and a line end") {
    CHECK(printed({}, {.offset = base::Offset(5), .value = bytes_of("v")}) == "v\n");
    CHECK(printed({}, {.offset = base::Offset(5)}) == "null\n");
}

TEST_CASE("print properties put what they name in front, in Kafka's order") {
    const records::Record record{
        .offset = base::Offset(5), .timestamp = 17, .key = bytes_of("k"), .value = bytes_of("v")};
    const Properties all{{"print.timestamp", "true"},
                         {"print.partition", "true"},
                         {"print.offset", "true"},
                         {"print.headers", "true"},
                         {"print.key", "true"}};
    CHECK(printed(all, record) == "CreateTime:17\tPartition:2\tOffset:5\tNO_HEADERS\tk\tv\n");
    CHECK(printed({{"print.key", "true"}, {"print.value", "false"}, {"line.separator", "|"}},
                  record) == "k|");
    CHECK(printed({{"print.key", "true"}, {"key.separator", "="}, {"null.literal", "-"}},
                  {.value = bytes_of("v")}) == "-=v\n");
}

TEST_CASE("numbers that Java's serializers wrote can be shown") {
    const std::string_view eight("\0\0\0\0\0\0\1\2", 8);
    CHECK(
        printed({{"value.deserializer", "org.apache.kafka.common.serialization.LongDeserializer"}},
                {.value = bytes_of(eight)}) == "258\n");
    CHECK(!RecordPrinter::make({{"value.deserializer", "com.example.Mine"}}));
}

TEST_CASE("times of day are local unless a zone follows") {
    ::setenv("TZ", "UTC-2", 1);  // Two hours east.
    ::tzset();
    CHECK(*parse_datetime("1970-01-02T02:00:00.007") == 86'400'007);
    CHECK(*parse_datetime("1970-01-02T00:00:00.000Z") == 86'400'000);
    CHECK(*parse_datetime("1970-01-02T01:00:00.000+01:00") == 86'400'000);
    CHECK(*parse_datetime("1970-01-02T00:00:00.000Z") ==
          *parse_datetime("1970-01-01T23:00:00-0100"));
    CHECK(perf_time(86'400'007) == "1970-01-02 02:00:00:007");
    for (const char* bad :
         {"", "1970-01-02", "1970-13-02T00:00:00.000", "yesterday", "1970-01-02T00:00:00.000x"}) {
        CAPTURE(bad);
        CHECK(!parse_datetime(bad));
    }
}

TEST_CASE("durations are days, hours, minutes and seconds") {
    CHECK(*parse_duration("PT1H30M") == 5'400'000);
    CHECK(*parse_duration("P7D") == 604'800'000);
    CHECK(*parse_duration("P1DT0.5S") == 86'400'500);
    for (const char* bad : {"", "P", "PT", "1H", "P1H", "PT1", "PT1X"}) {
        CAPTURE(bad);
        CHECK(!parse_duration(bad));
    }
}

TEST_CASE("ids are 22 characters of URL-safe base64") {
    base::Uuid id{};
    CHECK(to_string(id) == "AAAAAAAAAAAAAAAAAAAAAA");
    id.fill(std::byte{0xff});
    CHECK(to_string(id) == "_____________________w");
}

TEST_CASE("a list of topics is an expression with bars") {
    const TopicFilter filter("orders,pay.*");
    CHECK(filter.matches("orders"));
    CHECK(filter.matches("payments"));
    CHECK(!filter.matches("orders2"));
    CHECK_THROWS_AS(TopicFilter("("), ToolError);
}

TEST_CASE("errors have the names of Kafka's Java classes") {
    CHECK(exception_name(protocol::ErrorCode::topic_already_exists) == "TopicExistsException");
    CHECK(exception_name(protocol::ErrorCode::unknown_topic_or_partition) ==
          "UnknownTopicOrPartitionException");
    CHECK(exception_name(protocol::ErrorCode::group_id_not_found) == "GroupIdNotFoundException");
}

TEST_CASE("columns are as wide as their widest cell") {
    CHECK(table({{"A", "B"}, {"long", "x"}}, {2, 0}) == "A    B\nlong x\n");
}
