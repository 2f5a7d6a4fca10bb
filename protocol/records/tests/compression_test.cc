#include "protocol/records/compression.h"

#include "protocol/records/record.h"
#include "protocol/tests/hex.h"
#include "protocol/wire/big_endian.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <lz4frame.h>
#include <random>
#include <snappy.h>
#include <string>
#include <zlib.h>
#include <zstd.h>

using namespace records;

namespace {

constexpr std::array codecs{Codec::gzip, Codec::snappy, Codec::lz4, Codec::zstd};
constexpr std::size_t mebibyte = std::size_t{1} << 20;

std::vector<std::byte> text(std::size_t size, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<std::byte> bytes(size);
    for (auto& byte : bytes) byte = static_cast<std::byte>('a' + random() % 16);
    return bytes;
}

std::vector<std::byte> deflated(Codec codec, Bytes input, std::optional<int> level = std::nullopt,
                                Lz4Header lz4 = Lz4Header::correct) {
    Deflater deflater;
    std::vector<std::byte> out;
    deflater.deflate(codec, input, out, level, lz4);
    return out;
}

std::optional<InflateFault> fault(Codec codec, Bytes input, std::size_t cap = inflated_bytes_max) {
    Inflater inflater;
    const auto content = inflater.inflate(codec, input, cap);
    if (content) return std::nullopt;
    return content.error();
}

bool gives(Codec codec, Bytes input, Bytes wanted, Lz4Header lz4 = Lz4Header::correct) {
    Inflater inflater;
    const auto content = inflater.inflate(codec, input, inflated_bytes_max, lz4);
    return content && std::ranges::equal(*content, wanted);
}

std::vector<std::byte> joined(Bytes a, Bytes b) {
    std::vector<std::byte> both(a.begin(), a.end());
    both.insert(both.end(), b.begin(), b.end());
    return both;
}

std::vector<std::byte> lz4_frame(Bytes input, const LZ4F_preferences_t& preferences) {
    std::vector<std::byte> out(LZ4F_compressFrameBound(input.size(), &preferences));
    out.resize(
        LZ4F_compressFrame(out.data(), out.size(), input.data(), input.size(), &preferences));
    return out;
}

std::vector<std::byte> raw_snappy(Bytes input) {
    std::string out;
    snappy::Compress(reinterpret_cast<const char*>(input.data()), input.size(), &out);
    const auto bytes = bytes_of(out);
    return {bytes.begin(), bytes.end()};
}

// zstd as a stream writes it: no content size, and the window that is asked for.
std::vector<std::byte> zstd_stream(Bytes input, int window_log) {
    ZSTD_CCtx* context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
    std::vector<std::byte> out(ZSTD_compressBound(input.size()) + 64);
    ZSTD_outBuffer to{out.data(), out.size(), 0};
    ZSTD_inBuffer first{input.data(), input.size() / 2, 0};
    ZSTD_compressStream2(context, &to, &first, ZSTD_e_flush);
    ZSTD_inBuffer rest{input.data(), input.size(), input.size() / 2};
    REQUIRE(ZSTD_compressStream2(context, &to, &rest, ZSTD_e_end) == 0);
    ZSTD_freeCCtx(context);
    out.resize(to.pos);
    return out;
}

}  // namespace

TEST_CASE("what a codec compresses it gives back, at every size and with reused contexts") {
    Inflater inflater;
    Deflater deflater;
    for (const Codec codec : codecs) {
        for (const std::size_t size :
             {0u, 1u, 2u, 100u, 32767u, 32768u, 32769u, 65536u, 300'000u}) {
            CAPTURE(name_of(codec));
            CAPTURE(size);
            const auto input = text(size, size);
            std::vector<std::byte> out{std::byte{42}};
            deflater.deflate(codec, input, out);
            CHECK(out.front() == std::byte{42});
            const auto content = inflater.inflate(codec, Bytes(out).subspan(1));
            REQUIRE(content);
            CHECK(std::ranges::equal(*content, input));
        }
    }
}

TEST_CASE("every level of a codec gives back what went in, and levels beyond are brought inside") {
    const auto input = text(5000, 1);
    for (const Codec codec : codecs) {
        const auto range = levels(codec);
        for (const int level : {-200'000, range.least, -1, 0, 1, 3, 6, 9, 12, range.most, 100}) {
            CAPTURE(name_of(codec));
            CAPTURE(level);
            CHECK(gives(codec, deflated(codec, input, level), input));
        }
    }
    CHECK(deflated(Codec::gzip, input, 9).size() < deflated(Codec::gzip, input, 1).size());
}

TEST_CASE("no codec gives the bytes themselves") {
    const auto input = text(10, 1);
    Inflater inflater;
    CHECK(inflater.inflate(Codec::none, input)->data() == input.data());
}

TEST_CASE("snappy comes as a raw block, as a stream, and as streams one behind the other") {
    const auto a = text(70'000, 1), b = text(10, 2);
    const auto stream_a = deflated(Codec::snappy, a), stream_b = deflated(Codec::snappy, b);
    CHECK(std::ranges::equal(Bytes(stream_a).first(16),
                             test::hex("82534e4150505900 00000001 00000001")));
    CHECK(gives(Codec::snappy, raw_snappy(a), a));
    CHECK(gives(Codec::snappy, raw_snappy(b), b));
    CHECK(gives(Codec::snappy, joined(stream_a, stream_b), joined(a, b)));
    auto little_endian = stream_b;
    std::ranges::reverse(std::span(little_endian).subspan(8, 4));
    std::ranges::reverse(std::span(little_endian).subspan(12, 4));
    CHECK(gives(Codec::snappy, little_endian, b));
}

TEST_CASE(
    "snappy streams hold blocks of at most 32 KiB when we write, and of any size when we read") {
    const auto input = text(100'000, 3);
    auto stream = deflated(Codec::snappy, input);
    auto rest = Bytes(stream).subspan(16);
    std::size_t blocks = 0;
    while (!rest.empty()) {
        const auto size = static_cast<std::size_t>(wire::load<std::int32_t>(rest, 0));
        std::size_t content = 0;
        REQUIRE(snappy::GetUncompressedLength(reinterpret_cast<const char*>(rest.data()) + 4, size,
                                              &content));
        CHECK(content <= 32768);
        rest = rest.subspan(4 + size);
        ++blocks;
    }
    CHECK(blocks == 4);

    const auto block = raw_snappy(input);
    stream.resize(16);
    stream.resize(20);
    wire::store(std::span(stream), 16, static_cast<std::int32_t>(block.size()));
    CHECK(gives(Codec::snappy, joined(stream, block), input));
}

TEST_CASE("gzip of several members is read as one") {
    const auto a = text(1000, 1), b = text(2000, 2);
    CHECK(gives(Codec::gzip, joined(deflated(Codec::gzip, a), deflated(Codec::gzip, b)),
                joined(a, b)));
}

TEST_CASE("zstd is read without its content size, and in several frames") {
    const auto a = text(200'000, 1), b = text(2000, 2);
    CHECK(gives(Codec::zstd, zstd_stream(a, 17), a));
    CHECK(gives(Codec::zstd, joined(zstd_stream(a, 17), deflated(Codec::zstd, b)), joined(a, b)));
}

TEST_CASE("lz4 frames carry 64-KiB independent blocks and the checksum that their readers expect") {
    const auto input = text(200'000, 1);
    const auto frame = deflated(Codec::lz4, input);
    CHECK(std::ranges::equal(Bytes(frame).first(7), test::hex("04224d18 60 40 82")));
    const auto old = deflated(Codec::lz4, input, std::nullopt, Lz4Header::legacy);
    CHECK_FALSE(std::ranges::equal(old, frame));
    CHECK(std::ranges::equal(Bytes(old).subspan(7), Bytes(frame).subspan(7)));

    CHECK(gives(Codec::lz4, frame, input));
    CHECK(gives(Codec::lz4, frame, input, Lz4Header::legacy));
    CHECK(gives(Codec::lz4, old, input, Lz4Header::legacy));
    CHECK(fault(Codec::lz4, old) == InflateFault::corrupt);
}

TEST_CASE(
    "lz4 frames with content size, checksums and larger blocks are read, linked blocks are not") {
    const auto input = text(500'000, 1);
    LZ4F_preferences_t all{};
    all.frameInfo.blockMode = LZ4F_blockIndependent;
    all.frameInfo.blockSizeID = LZ4F_max256KB;
    all.frameInfo.contentSize = input.size();
    all.frameInfo.contentChecksumFlag = LZ4F_contentChecksumEnabled;
    all.frameInfo.blockChecksumFlag = LZ4F_blockChecksumEnabled;
    CHECK(gives(Codec::lz4, lz4_frame(input, all), input));
    CHECK(gives(Codec::lz4, lz4_frame(input, all), input, Lz4Header::legacy));
    LZ4F_preferences_t linked{};
    linked.frameInfo.blockMode = LZ4F_blockLinked;
    CHECK(fault(Codec::lz4, lz4_frame(input, linked)) == InflateFault::corrupt);
}

TEST_CASE("a payload cut anywhere, or with a byte behind its end, is refused") {
    const auto input = text(3000, 1);
    for (const Codec codec : codecs) {
        const auto whole = deflated(codec, input);
        for (std::size_t size = 0; size < whole.size(); ++size) {
            CAPTURE(name_of(codec));
            CAPTURE(size);
            // A snappy stream may end after its header and after each block.
            if (codec == Codec::snappy && size == 16) continue;
            CHECK(fault(codec, Bytes(whole).first(size)) == InflateFault::corrupt);
        }
        CHECK(fault(codec, joined(whole, test::hex("00"))) == InflateFault::corrupt);
    }
    CHECK(fault(Codec::snappy, joined(raw_snappy(input), test::hex("00"))) ==
          InflateFault::corrupt);
}

TEST_CASE("damaged payloads never do worse than give a fault or other bytes below the cap") {
    std::mt19937_64 random(11);
    Inflater inflater;
    std::size_t faults = 0;
    for (const Codec codec : codecs) {
        const auto whole = deflated(codec, text(2000, 5));
        for (std::size_t at = 0; at < whole.size(); ++at) {
            auto bytes = whole;
            bytes[at] ^= static_cast<std::byte>(1 + random() % 255);
            const auto content = inflater.inflate(codec, bytes);
            if (content) CHECK(content->size() <= mebibyte);
            faults += !content;
        }
        const auto again = inflater.inflate(codec, whole);
        REQUIRE(again);
        CHECK(again->size() == 2000);
    }
    CHECK(faults > 1000);
}

TEST_CASE("output may reach the cap and not pass it") {
    const auto input = text(100'000, 1);
    for (const Codec codec : codecs) {
        CAPTURE(name_of(codec));
        const auto bytes = deflated(codec, input);
        CHECK_FALSE(fault(codec, bytes, 100'000).has_value());
        CHECK(fault(codec, bytes, 99'999) == InflateFault::too_large);
        CHECK(fault(codec, bytes, 0) == InflateFault::too_large);
    }
}

TEST_CASE("a cap holds although an earlier payload was allowed a larger one") {
    const auto input = text(100'000, 1);
    Inflater inflater;
    for (const Codec codec : codecs) {
        const auto bytes = deflated(codec, input);
        CHECK(inflater.inflate(codec, bytes));
        CHECK(inflater.inflate(codec, bytes, 50'000).error() == InflateFault::too_large);
        CHECK(inflater.inflate(codec, bytes));
    }
}

TEST_CASE("CVE-2023-34455: lengths in snappy payloads are held against what is there") {
    // A chunk length of 2^31 - 1, of -1, and one byte more than there is.
    const auto header = test::hex("82534e4150505900 00000001 00000001");
    CHECK(fault(Codec::snappy, joined(header, test::hex("7fffffff 00"))) == InflateFault::corrupt);
    CHECK(fault(Codec::snappy, joined(header, test::hex("ffffffff 00"))) == InflateFault::corrupt);
    CHECK(fault(Codec::snappy, joined(header, test::hex("00000002 00"))) == InflateFault::corrupt);
    CHECK(fault(Codec::snappy, joined(header, test::hex("000000"))) == InflateFault::corrupt);
    // Blocks that announce 4 GiB - 1 bytes and bring none, raw and in a stream.
    CHECK(fault(Codec::snappy, test::hex("ffffffff0f 00 61")) == InflateFault::corrupt);
    CHECK(fault(Codec::snappy, joined(header, test::hex("00000007 ffffffff0f 00 61"))) ==
          InflateFault::corrupt);
}

TEST_CASE(
    "CVE-2023-34455: bombs of every codec stop at the ratio and the cap, with little memory") {
    const std::vector<std::byte> zeros(12 * mebibyte);
    for (const Codec codec : codecs) {
        CAPTURE(name_of(codec));
        const auto bomb = deflated(codec, zeros, codec == Codec::gzip ? 9 : 1);
        Inflater inflater;
        CHECK(inflater.inflate(codec, bomb, 10 * mebibyte).error() == InflateFault::too_large);
        CHECK(inflater.buffer_bytes() <= 10 * mebibyte + 1);
    }
}

TEST_CASE("CVE-2023-34455: a kilobyte inflates to a mebibyte at most") {
    const std::vector<std::byte> zeros(4 * mebibyte);
    const auto bomb = deflated(Codec::zstd, zeros);
    REQUIRE(bomb.size() < 1000);
    CHECK(fault(Codec::zstd, bomb) == InflateFault::too_large);
    const auto small = deflated(Codec::zstd, Bytes(zeros).first(mebibyte));
    CHECK_FALSE(fault(Codec::zstd, small));
}

TEST_CASE("CVE-2023-34455: zstd frames that need a window above 128 MiB are refused") {
    const auto input = text(1000, 1);
    auto frame = zstd_stream(input, 27);
    CHECK_FALSE(fault(Codec::zstd, frame));
    // Frame header: magic, descriptor without single segment, then the window's exponent - 10.
    REQUIRE((std::to_integer<unsigned>(frame[4]) & 0x20) == 0);
    CHECK(frame[5] == std::byte{17 << 3});
    for (const unsigned exponent : {18u, 21u, 31u}) {
        frame[5] = static_cast<std::byte>(exponent << 3);
        CHECK(fault(Codec::zstd, frame) == InflateFault::window_too_large);
        // Also in a second frame.
        CHECK(fault(Codec::zstd, joined(deflated(Codec::zstd, input), frame)) ==
              InflateFault::window_too_large);
    }
    frame[5] = std::byte{(17 << 3) + 1};
    CHECK(fault(Codec::zstd, frame) == InflateFault::window_too_large);
}

TEST_CASE("CVE-2023-34455: a content size that lies makes no buffer of its size") {
    // A zstd frame of one segment that announces 2^40 bytes and has an empty last block.
    const auto zstd = test::hex("28b52ffd e0 0000000000010000 010000");
    Inflater inflater;
    CHECK_FALSE(inflater.inflate(Codec::zstd, zstd));
    CHECK(inflater.buffer_bytes() <= mebibyte + 1);
}

TEST_CASE("the output buffer is kept for the next payload until it is trimmed") {
    Inflater inflater;
    const auto bytes = deflated(Codec::lz4, text(3 * mebibyte, 1));
    REQUIRE(inflater.inflate(Codec::lz4, bytes));
    CHECK(inflater.buffer_bytes() >= 3 * mebibyte);
    inflater.trim(8 * mebibyte);
    CHECK(inflater.buffer_bytes() >= 3 * mebibyte);
    inflater.trim(mebibyte);
    CHECK(inflater.buffer_bytes() == 0);
    CHECK(inflater.inflate(Codec::lz4, bytes));
}
