#include "broker/client/address.h"
#include "broker/client/assignor.h"
#include "broker/client/partitioner.h"
#include "protocol/records/record.h"

#include <doctest/doctest.h>

using namespace broker;
using base::PartitionIndex;
using base::TopicPartition;

TEST_CASE("addresses are names, IPv4 and IPv6 literals, with or without a protocol") {
    CHECK(*parse_address("localhost:9092") == Address{"localhost", 9092});
    CHECK(*parse_address(" 10.0.0.1:1 ") == Address{"10.0.0.1", 1});
    CHECK(*parse_address("[::1]:9092") == Address{"::1", 9092});
    CHECK(*parse_address("PLAINTEXT://b-1.example:65535") == Address{"b-1.example", 65535});
    CHECK(to_string(Address{"::1", 9092}) == "[::1]:9092");
    CHECK(to_string(Address{"b", 9092}) == "b:9092");
    for (const char* bad : {"", "localhost", "localhost:", ":9092", "localhost:0",
                            "localhost:65536", "::1:9092", "[::1:9092", "a:9092x"}) {
        CAPTURE(bad);
        CHECK(!parse_address(bad));
    }
}

TEST_CASE("a list of addresses has commas and may have blanks and gaps") {
    CHECK(*parse_addresses("a:1, b:2,") == std::vector<Address>{{"a", 1}, {"b", 2}});
    CHECK(!parse_addresses(""));
    CHECK(!parse_addresses(" , "));
    CHECK(!parse_addresses("a:1,b"));
}

// Values of the Java client's Utils.murmur2, which decide where a key has always gone.
TEST_CASE("murmur2 is the Java client's") {
    const auto hash = [](std::string_view text) {
        return static_cast<std::int32_t>(murmur2(records::bytes_of(text)));
    };
    CHECK(hash("21") == -973932308);
    CHECK(hash("foobar") == -790332482);
    CHECK(hash("a-little-bit-long-string") == -985981536);
    CHECK(hash("a-little-bit-longer-string") == -1486304829);
    CHECK(hash("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8") == -58897971);
    CHECK(hash("abc") == 479470107);
}

TEST_CASE("a key's partition is not negative") {
    CHECK(partition_of_key(records::bytes_of("21"), 3).value() == ((-973932308) & 0x7fffffff) % 3);
    CHECK(partition_of_key(records::bytes_of("abc"), 1) == PartitionIndex(0));
}

TEST_CASE("records without a key stay in one partition until a batch is full") {
    StickyPartition sticky(7);
    const std::vector available{PartitionIndex(0), PartitionIndex(1), PartitionIndex(4)};
    const auto first = sticky.take(available, 60, 100);
    CHECK(sticky.take(available, 60, 100) == first);
    const auto second = sticky.take(available, 60, 100);
    CHECK(second != first);
    CHECK(sticky.take({PartitionIndex(9)}, 1, 100) == PartitionIndex(9));
}

TEST_CASE("ranges: the first members get one partition more when it does not come out even") {
    const auto assigned =
        assign_ranges({{"b", {}, {"t"}}, {"a", {}, {"t"}}, {"c", {}, {"other"}}}, {{"t", 3}});
    CHECK(assigned.at("a") ==
          std::vector<TopicPartition>{{"t", PartitionIndex(0)}, {"t", PartitionIndex(1)}});
    CHECK(assigned.at("b") == std::vector<TopicPartition>{{"t", PartitionIndex(2)}});
    CHECK(assigned.at("c").empty());
}

TEST_CASE("ranges: every partition of every topic is one member's, whatever the numbers") {
    for (std::int32_t partitions = 0; partitions < 12; ++partitions) {
        for (int members = 1; members < 8; ++members) {
            std::vector<Subscriber> subscribers;
            for (int each = 0; each < members; ++each) {
                subscribers.push_back({std::to_string(each), {}, {"t", "u"}});
            }
            std::map<TopicPartition, int> owners;
            for (const auto& [id, mine] :
                 assign_ranges(subscribers, {{"t", partitions}, {"u", 2}})) {
                for (const auto& at : mine) ++owners[at];
            }
            CHECK(owners.size() == static_cast<std::size_t>(partitions + 2));
            for (const auto& [at, count] : owners) CHECK(count == 1);
        }
    }
}

TEST_CASE("ranges: static members come first, in the order of their instance ids") {
    const auto assigned =
        assign_ranges({{"a", {}, {"t"}}, {"z", "1", {"t"}}, {"y", "2", {"t"}}}, {{"t", 3}});
    CHECK(assigned.at("z").front().partition == PartitionIndex(0));
    CHECK(assigned.at("y").front().partition == PartitionIndex(1));
    CHECK(assigned.at("a").front().partition == PartitionIndex(2));
}
