#include "protocol/records/message_set.h"

#include "protocol/records/tests/golden.h"
#include "protocol/records/tests/messages.h"
#include "protocol/wire/big_endian.h"

#include <doctest/doctest.h>

#include <limits>

using namespace records;
using base::Offset;
using test::message;
using test::Model;
using test::wrapper;

namespace {

base::Result<std::vector<Model>, MessageFault> walk(Bytes bytes,
                                                    std::size_t cap = inflated_bytes_max) {
    const auto read = Message::read(bytes);
    if (!read) return base::Unexpected(read.error());
    Inflater inflater;
    auto records = MessageWalk::open(*read, inflater, cap);
    if (!records) return base::Unexpected(records.error());
    std::vector<Model> all;
    while (const Record* record = records->next()) all.push_back(test::model_of(*record));
    CHECK(static_cast<std::size_t>(records->count()) == all.size());
    CHECK(records->first_offset().value() == all.front().offset);
    CHECK(records->last_offset().value() == all.back().offset);
    return all;
}

std::vector<std::byte> with_crc(std::vector<std::byte> bytes) {
    test::set_message_crc(bytes);
    return bytes;
}

}  // namespace

TEST_CASE("messages of both formats are read as others wrote them") {
    CHECK(*walk(golden::message_v0()) == std::vector<Model>{{0, no_timestamp, "k", "v1"}});
    CHECK(*walk(golden::message_v1()) == std::vector<Model>{{0, 1700000000000, "k", "v1"}});
}

TEST_CASE("messages of both formats are written as others write them") {
    CHECK(message(0, {0, no_timestamp, "k", "v1"}) == golden::message_v0());
    CHECK(message(1, {0, 1700000000000, "k", "v1"}) == golden::message_v1());
}

TEST_CASE("null and empty keys and values are different") {
    for (const std::int8_t magic : {0, 1}) {
        const auto none = walk(message(magic, {7, -1, std::nullopt, std::nullopt}));
        CHECK(*none == std::vector<Model>{{7, -1, std::nullopt, std::nullopt}});
        const auto empty = walk(message(magic, {7, -1, "", ""}));
        CHECK(*empty == std::vector<Model>{{7, -1, "", ""}});
    }
}

TEST_CASE("a message cut at any byte is not accepted") {
    for (const auto& bytes : {golden::message_v0(), golden::message_v1()}) {
        for (std::size_t size = 0; size < bytes.size(); ++size) {
            CHECK(Message::read(Bytes(bytes).first(size)).error() == MessageFault::cut_short);
            Bytes rest = Bytes(bytes).first(size);
            CHECK_FALSE(take_message(rest)->has_value());
            CHECK_FALSE(read_entry(Bytes(bytes).first(size)));
        }
    }
}

TEST_CASE("a bit changed anywhere behind a message's offset is noticed") {
    for (const auto& good : {golden::message_v0(), golden::message_v1()}) {
        for (std::size_t at = message_format::message_size_at; at < good.size(); ++at) {
            for (unsigned bit = 0; bit < 8; ++bit) {
                auto bytes = good;
                bytes[at] ^= static_cast<std::byte>(1u << bit);
                CHECK_FALSE(Message::read(bytes));
                CHECK_FALSE(read_entry(bytes));
            }
        }
    }
}

TEST_CASE("lengths that do not fill a message are refused although its checksum is right") {
    using namespace message_format;
    const auto changed = [](std::size_t at, std::int32_t value) {
        auto bytes = golden::message_v0();
        wire::store(std::span(bytes), at, value);
        return Message::read(with_crc(bytes)).error();
    };
    CHECK(changed(timestamp_at, 2) == MessageFault::bad_length);   // Key.
    CHECK(changed(timestamp_at, -1) == MessageFault::bad_length);  // Its byte is left.
    CHECK(changed(timestamp_at, 0x7fffffff) == MessageFault::bad_length);
    CHECK(changed(timestamp_at + 5, 1) == MessageFault::bad_length);  // Value.
    CHECK(changed(timestamp_at + 5, 3) == MessageFault::bad_length);
    CHECK(changed(timestamp_at + 5, -1) == MessageFault::bad_length);
    auto bytes = golden::message_v0();
    wire::store(std::span(bytes), message_size_at, std::int32_t{13});
    CHECK(Message::read(bytes).error() == MessageFault::bad_length);
    bytes = golden::message_v1();
    wire::store(std::span(bytes), message_size_at, std::int32_t{21});
    CHECK(Message::read(bytes).error() == MessageFault::bad_length);
}

TEST_CASE("formats and codecs that a message cannot have are refused") {
    auto bytes = golden::message_v0();
    bytes[message_format::magic_at] = std::byte{2};
    CHECK(Message::read(bytes).error() == MessageFault::bad_magic);
    bytes = golden::message_v1();
    bytes[message_format::attributes_at] = std::byte{4};  // zstd.
    CHECK(Message::read(with_crc(bytes)).error() == MessageFault::bad_codec);
    CHECK(peek_entry(with_crc(bytes)).error() == EntryFault::bad_fields);
}

TEST_CASE("a wrapper of format 1 holds offsets from its base, of format 0 absolute ones") {
    for (const Codec codec : {Codec::gzip, Codec::snappy, Codec::lz4}) {
        CAPTURE(name_of(codec));
        const std::vector<Model> relative{{0, 5, "a", "1"}, {1, 9, "b", "2"}, {4, 7, "c", "3"}};
        const auto v1 = wrapper(1, codec, 104, relative);
        CHECK(*walk(v1) ==
              std::vector<Model>{{100, 5, "a", "1"}, {101, 9, "b", "2"}, {104, 7, "c", "3"}});
        const std::vector<Model> absolute{{100, -1, "a", "1"}, {101, -1, "b", "2"}};
        CHECK(*walk(wrapper(0, codec, 101, absolute)) == absolute);
    }
}

TEST_CASE("a wrapper at offset 0 from an old producer begins at 0") {
    const std::vector<Model> inner{{0, 5, "a", "1"}, {1, 9, "b", "2"}};
    CHECK(*walk(wrapper(1, Codec::gzip, 0, inner)) == inner);
    CHECK(walk(wrapper(1, Codec::gzip, -1, inner)).error() == MessageFault::bad_offset);
    const std::vector<Model> three{{0, 5, "a", "1"}, {1, 9, "b", "2"}, {2, 9, "b", "2"}};
    CHECK(walk(wrapper(1, Codec::gzip, 1, three)).error() == MessageFault::bad_offset);
}

TEST_CASE("a wrapper with append time gives its timestamp to all inside") {
    auto bytes = wrapper(1, Codec::gzip, 1, {{0, 5, "a", "1"}, {1, 9, "b", "2"}});
    bytes[message_format::attributes_at] |= std::byte{8};
    const auto all = walk(with_crc(bytes));
    REQUIRE(all);
    CHECK(all->at(0).timestamp == 9);
    CHECK(all->at(1).timestamp == 9);
}

TEST_CASE("wrappers that are empty, null, nested, mixed or damaged inside are refused") {
    const std::vector<Model> one{{0, 5, "a", "1"}};
    for (const std::int8_t magic : {0, 1}) {
        const auto around = [&](Bytes inner, Codec codec = Codec::gzip) {
            return walk(test::wrapper_around(magic, codec, 0, inner));
        };
        const auto plain = message(magic, one[0]);
        CHECK(around(plain));
        CHECK(around({}).error() == MessageFault::bad_wrapper);
        CHECK(around(wrapper(magic, Codec::gzip, 0, one)).error() == MessageFault::bad_wrapper);
        CHECK(around(message(static_cast<std::int8_t>(1 - magic), one[0])).error() ==
              MessageFault::bad_magic);
        CHECK(around(Bytes(plain).first(plain.size() - 1)).error() == MessageFault::cut_short);
        auto longer = plain;
        longer.push_back(std::byte{0});
        CHECK(around(longer).error() == MessageFault::cut_short);
        auto damaged = plain;
        damaged.back() ^= std::byte{1};
        CHECK(around(damaged).error() == MessageFault::bad_crc);

        std::vector<std::byte> null;
        append_message(null, magic, Offset(0), 1, 5, std::nullopt, std::nullopt);
        CHECK(walk(null).error() == MessageFault::bad_wrapper);
        std::vector<std::byte> no_gzip;
        append_message(no_gzip, magic, Offset(0), 1, 5, std::nullopt, bytes_of("not gzip"));
        CHECK(walk(no_gzip).error() == MessageFault::bad_compression);
    }
}

TEST_CASE("lz4 wrappers of format 0 have the header checksum of Kafka 0.8, or the right one") {
    const auto inner = message(0, {0, -1, "a", "1"});
    for (const Lz4Header checksum : {Lz4Header::legacy, Lz4Header::correct}) {
        Deflater deflater;
        std::vector<std::byte> value, bytes;
        deflater.deflate(Codec::lz4, inner, value, std::nullopt, checksum);
        append_message(bytes, 0, Offset(0), 3, -1, std::nullopt, value);
        CHECK(walk(bytes));
        const auto inner_v1 = message(1, {0, -1, "a", "1"});
        value.clear();
        bytes.clear();
        deflater.deflate(Codec::lz4, inner_v1, value, std::nullopt, checksum);
        append_message(bytes, 1, Offset(0), 3, -1, std::nullopt, value);
        CHECK(walk(bytes).has_value() == (checksum == Lz4Header::correct));
    }
}

TEST_CASE("CVE-2023-34455: bombs in wrappers, and wrappers in wrappers, stop at the cap") {
    const std::string zeros(std::size_t{2} << 20, '\0');
    for (const std::int8_t magic : {0, 1}) {
        for (const Codec codec : {Codec::gzip, Codec::snappy, Codec::lz4}) {
            const auto bomb = wrapper(magic, codec, 0, {{0, 5, std::nullopt, zeros}});
            CHECK(walk(bomb, std::size_t{1} << 20).error() == MessageFault::too_large);
            const auto nested = test::wrapper_around(magic, codec, 0, bomb);
            const auto fault = walk(nested).error();
            CHECK((fault == MessageFault::bad_wrapper || fault == MessageFault::too_large));
        }
    }
}

TEST_CASE("messages are taken off one by one, and a last one that is cut short is not there") {
    auto bytes = message(1, {0, 5, "a", "1"});
    const auto second = message(1, {1, 5, "b", "2"});
    bytes.insert(bytes.end(), second.begin(), second.end());
    bytes.insert(bytes.end(), second.begin(), second.end() - 1);
    Bytes rest = bytes;
    CHECK((*take_message(rest))->offset() == Offset(0));
    CHECK((*take_message(rest))->offset() == Offset(1));
    CHECK_FALSE(take_message(rest)->has_value());
}

TEST_CASE("entries of all formats are told apart by byte 16") {
    const auto v0 = read_entry(golden::message_v0());
    REQUIRE(v0);
    CHECK(v0->magic == 0);
    CHECK(v0->size == 29);
    CHECK(v0->first_offset == Offset(0));
    CHECK(v0->last_offset == Offset(0));
    CHECK(v0->max_timestamp == -1);

    const auto v1 = read_entry(wrapper(1, Codec::gzip, 104, {{0, 5, "a", "1"}, {4, 7, "c", "3"}}));
    REQUIRE(v1);
    CHECK(v1->magic == 1);
    CHECK_FALSE(v1->first_offset.has_value());
    CHECK(v1->last_offset == Offset(104));
    CHECK(v1->max_timestamp == 7);
    CHECK(v1->codec == Codec::gzip);

    const auto v2 = read_entry(golden::commit_marker());
    REQUIRE(v2);
    CHECK(v2->magic == 2);
    CHECK(v2->size == 78);
    CHECK(v2->first_offset == Offset(2));
    CHECK(v2->last_offset == Offset(2));
    CHECK(v2->max_timestamp == 1700000000000);
}

TEST_CASE("an entry's header is enough to pass over it") {
    for (const auto& bytes : {golden::message_v0(), golden::message_v1(), golden::two_records(),
                              wrapper(1, Codec::gzip, 104, {{0, 5, "a", "1"}, {4, 7, "c", "3"}})}) {
        const auto whole = peek_entry(bytes);
        const auto header =
            peek_entry(Bytes(bytes).first(std::min(entry_header_bytes, bytes.size())));
        REQUIRE(whole);
        REQUIRE(header);
        CHECK(header->size == bytes.size());
        CHECK(header->last_offset == whole->last_offset);
    }
}

TEST_CASE("the first offset of a wrapper is that of its first message") {
    Inflater inflater;
    CHECK(*deep_first_offset(wrapper(1, Codec::gzip, 104, {{0, 5, "a", "1"}, {4, 7, "c", "3"}}),
                             inflater) == Offset(100));
    CHECK(*deep_first_offset(golden::commit_marker(), inflater) == Offset(2));
    CHECK(*deep_first_offset(golden::message_v0(), inflater) == Offset(0));
    CHECK(deep_first_offset(wrapper(1, Codec::gzip, 3, {{0, 5, "a", "1"}, {4, 7, "c", "3"}}),
                            inflater)
              .error() == EntryFault::bad_fields);
}

TEST_CASE("entries with impossible headers are refused") {
    auto bytes = golden::message_v0();
    bytes[message_format::magic_at] = std::byte{3};
    CHECK(peek_entry(bytes).error() == EntryFault::bad_magic);
    bytes = golden::message_v0();
    wire::store(std::span(bytes), 0, std::int64_t{-1});
    CHECK(peek_entry(bytes).error() == EntryFault::bad_fields);
    bytes = golden::message_v0();
    wire::store(std::span(bytes), message_format::message_size_at, std::int32_t{-1});
    CHECK(peek_entry(bytes).error() == EntryFault::bad_length);
    wire::store(std::span(bytes), message_format::message_size_at, std::int32_t{13});
    CHECK(peek_entry(bytes).error() == EntryFault::bad_length);
}
