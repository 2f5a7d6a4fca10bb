#include "protocol/net/frame_reader.h"

#include "protocol/wire/big_endian.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <random>
#include <vector>

namespace {

using Bytes = std::vector<std::byte>;

Bytes framed(const std::vector<Bytes>& bodies) {
    Bytes out;
    for (const Bytes& body : bodies) {
        const std::size_t at = out.size();
        out.resize(at + 4);
        wire::store(std::span<std::byte>(out), at, static_cast<std::int32_t>(body.size()));
        out.insert(out.end(), body.begin(), body.end());
    }
    return out;
}

// Feed the stream in pieces of at most `piece` bytes and collect the frames.
std::vector<Bytes> read_all(net::FrameReader& reader, std::span<const std::byte> stream,
                            const std::function<std::size_t()>& piece) {
    std::vector<Bytes> got;
    std::vector<net::Frame> held;  // Frames stay readable while later ones are read.
    while (!stream.empty()) {
        const auto room = reader.room();
        REQUIRE(!room.empty());
        const std::size_t count = std::min({room.size(), stream.size(), piece()});
        std::ranges::copy(stream.first(count), room.begin());
        reader.received(count);
        stream = stream.subspan(count);
        while (auto frame = reader.next()) held.push_back(std::move(*frame));
    }
    for (const auto& frame : held) got.emplace_back(frame.bytes.begin(), frame.bytes.end());
    return got;
}

}  // namespace

TEST_CASE("frames come out as they went in, however the stream is cut") {
    for (unsigned seed = 0; seed < 40; ++seed) {
        CAPTURE(seed);
        std::mt19937 random(seed);
        std::vector<Bytes> bodies;
        for (int i = 0; i < 60; ++i) {
            const std::size_t sizes[] = {0, 1, 20, 1000, 5000, 31000, 33000, 300000, 2500000};
            Bytes body(sizes[random() % (i % 10 == 0 ? 9 : 7)]);
            for (auto& byte : body) byte = static_cast<std::byte>(random());
            bodies.push_back(std::move(body));
        }
        net::FrameReader reader(100 << 20);
        const auto stream = framed(bodies);
        const std::size_t most = std::size_t{1} << (random() % 20);
        const auto got = read_all(reader, stream, [&] { return 1 + random() % most; });
        CHECK(got == bodies);
        CHECK(reader.open_bytes() == 0);
        CHECK(!reader.fault());
    }
}

TEST_CASE("a length that is negative or over the limit is a fault, after the good frames") {
    for (const std::int32_t length : {-1, 1001, std::int32_t{0x47455420}}) {
        net::FrameReader reader(1000);
        Bytes stream = framed({Bytes(10), Bytes(1000)});
        stream.resize(stream.size() + 4);
        wire::store(std::span<std::byte>(stream), stream.size() - 4, length);
        CHECK(read_all(reader, stream, [] { return std::size_t{1} << 20; }).size() == 2);
        CHECK(reader.fault() == length);
    }
}

TEST_CASE("a frame announced and not sent costs no memory of its length") {
    net::FrameReader reader(100 << 20);
    Bytes announced(4);
    wire::store(std::span<std::byte>(announced), 0, std::int32_t{100 << 20});
    std::ranges::copy(announced, reader.room().begin());
    reader.received(4);
    CHECK(!reader.next());
    CHECK(reader.room().size() <= (1 << 20));
}
