#include "protocol/tests/hex.h"
#include "protocol/wire/reader.h"
#include "protocol/wire/writer.h"

#include <doctest/doctest.h>

#include <limits>
#include <string>

using test::hex;
using Bytes = std::vector<std::byte>;

namespace {

struct MemorySlice final : wire::Slice {
    explicit MemorySlice(Bytes held, bool gone = false) : bytes(std::move(held)), is_gone(gone) {}

    std::size_t size() const noexcept override { return bytes.size(); }
    bool read(std::size_t at, std::span<std::byte> into) const override {
        std::ranges::copy(std::span(bytes).subspan(at, into.size()), into.begin());
        return !is_gone;
    }

    Bytes bytes;
    bool is_gone;
};

template <class Write>
Bytes written(Write write) {
    Bytes out;
    wire::Writer writer(out);
    write(writer);
    return out;
}

}  // namespace

TEST_CASE("numbers are big-endian, and varints take seven bits a byte") {
    CHECK(written([](auto& w) { w.int16(-2); }) == hex("fffe"));
    CHECK(written([](auto& w) { w.uint16(65535); }) == hex("ffff"));
    CHECK(written([](auto& w) { w.float64(1.5); }) == hex("3ff8000000000000"));
    CHECK(written([](auto& w) { w.unsigned_varint(300); }) == hex("ac02"));
    CHECK(written([](auto& w) { w.varint(-1); }) == hex("01"));
    CHECK(written([](auto& w) { w.varlong(std::numeric_limits<std::int64_t>::min()); }) ==
          hex("ffffffffffffffffff01"));
}

TEST_CASE("every number reads back, the extremes too") {
    for (const std::int64_t value :
         {std::int64_t{0}, std::int64_t{-1}, std::int64_t{63}, std::int64_t{-64}, std::int64_t{64},
          std::int64_t{1} << 31, std::numeric_limits<std::int64_t>::max(),
          std::numeric_limits<std::int64_t>::min()}) {
        const auto bytes = written([&](auto& w) {
            w.varlong(value);
            w.varint(static_cast<std::int32_t>(value));
            w.unsigned_varint(static_cast<std::uint32_t>(value));
            w.int64(value);
            w.boolean(value != 0);
        });
        wire::Reader reader{std::span(bytes)};
        CHECK(reader.varlong() == value);
        CHECK(reader.varint() == static_cast<std::int32_t>(value));
        CHECK(reader.unsigned_varint() == static_cast<std::uint32_t>(value));
        CHECK(reader.int64() == value);
        CHECK(reader.boolean() == (value != 0));
        CHECK(reader.finish());
    }
}

TEST_CASE("a varint that does not end fails") {
    const auto bytes = hex("ffffffffffffffffffffff");
    wire::Reader five{std::span(bytes)};
    five.unsigned_varint();
    CHECK(five.failed());
    wire::Reader ten{std::span(bytes)};
    ten.varlong();
    CHECK(ten.failed());
}

TEST_CASE("after a failure every read gives nothing") {
    const auto bytes = hex("00ff0102030405060708");
    wire::Reader reader{std::span(bytes)};
    reader.string(false);
    CHECK(reader.failed());
    CHECK(reader.int8() == 0);
    CHECK(reader.string(true).empty());
    CHECK(reader.payload(true, true).size() == 0);
    CHECK_FALSE(reader.finish());
}

TEST_CASE("a string is at most 32767 bytes long, compact or not") {
    for (const std::size_t size : {32767, 32768}) {
        const auto bytes = written([&](auto& w) { w.string(std::string(size, 'a'), true); });
        wire::Reader reader{std::span(bytes)};
        CHECK(reader.string(true).size() == (size == 32767 ? size : 0));
        CHECK(reader.finish() == (size == 32767));
    }
}

TEST_CASE("records are borrowed from the frame and may be changed there") {
    auto frame = hex("00000003aabbcc");
    wire::Reader reader{std::span(frame)};
    const auto records = reader.payload(false);
    CHECK(reader.finish());
    records.bytes()[1] = std::byte{0x11};
    CHECK(frame == hex("00000003aa11cc"));
}

TEST_CASE("elements that may be empty are bounded by their memory and their number") {
    struct Large {
        std::byte bytes[1024];
    };
    const auto bytes = hex("000003e8");  // 1000 elements of no bytes and a kilobyte each.
    wire::Reader large{std::span(bytes)};
    CHECK(large.array<Large>(false, 0, [] { return Large{}; }).empty());
    CHECK(large.failed());
    wire::Reader small{std::span(bytes)};
    CHECK(small.array<char>(false, 0, [] { return 'a'; }).size() == 1000);
    CHECK(small.finish());
}

TEST_CASE("slices are noted where they belong, or read when nobody takes note") {
    wire::Payload payload;
    payload.append(std::make_shared<MemorySlice>(hex("aabb")));
    payload.append(std::make_shared<MemorySlice>(hex("cc")));
    const auto write = [&](wire::Writer& writer) {
        writer.int16(1);
        writer.payload(payload, true);
        writer.int16(2);
    };
    CHECK(written(write) == hex("0001 04 aabbcc 0002"));

    Bytes out;
    std::vector<wire::Splice> splices;
    wire::Writer writer(out, &splices);
    write(writer);
    CHECK(out == hex("0001 04 0002"));
    REQUIRE(splices.size() == 2);
    CHECK(splices[0].at == 3);
    CHECK(splices[0].slice == payload.slices()[0]);
    CHECK(splices[1].at == 3);
    CHECK(splices[1].slice == payload.slices()[1]);
}

TEST_CASE("a slice that is gone fails the writer") {
    wire::Payload payload;
    payload.append(std::make_shared<MemorySlice>(hex("aabb"), true));
    Bytes out;
    wire::Writer writer(out);
    writer.payload(payload, false);
    CHECK(writer.failed());
}

TEST_CASE("a tagged field of any size has its size before it") {
    for (const std::size_t size : {0, 1, 127, 128, 16383, 16384}) {
        const auto bytes = written([&](auto& w) {
            w.unsigned_varint(1);
            const auto begin = w.begin_tag(5);
            w.bytes(Bytes(size, std::byte{7}));
            w.end_tag(begin);
        });
        wire::Reader reader{std::span(bytes)};
        wire::Tags tags(reader);
        REQUIRE(tags.next());
        CHECK(tags.tag() == 5);
        CHECK(reader.take(size).size() == size);
        CHECK_FALSE(tags.next());
        CHECK(reader.finish());
    }
}
