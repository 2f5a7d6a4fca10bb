// Claims that hold for every message in every version, over the samples of samples.py.
#include "protocol/schema/all_messages.h"

#include "protocol/schema/headers.h"
#include "protocol/tests/allocations.h"
#include "protocol/tests/hex.h"
#include "protocol/wire/reader.h"
#include "protocol/wire/writer.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

using namespace protocol;
using Bytes = std::vector<std::byte>;

namespace {

// A length or a count in a sample; the kinds are listed in samples.py.
struct Place {
    char kind;
    std::size_t at;

    bool compact() const { return kind <= 'Z' || kind == 't' || kind == 'z'; }
};

struct Sample {
    const MessageInfo* message;
    std::int16_t version;
    Bytes bytes;
    std::vector<Place> places;

    std::string name() const { return std::string(message->name) + " v" + std::to_string(version); }
};

std::vector<Sample> load_samples() {
    std::vector<Sample> samples;
    std::ifstream file(SAMPLES);
    std::string line;
    while (std::getline(file, line)) {
        std::istringstream words(line);
        std::string name, bytes, places;
        Sample sample;
        words >> name >> sample.version >> bytes >> places;
        const auto found = std::ranges::find(all_messages(), name, &MessageInfo::name);
        REQUIRE(found != all_messages().end());
        sample.message = &*found;
        if (bytes != "-") sample.bytes = test::hex(bytes);
        std::istringstream list(places);
        for (std::string place; places != "-" && std::getline(list, place, ',');) {
            sample.places.push_back({place[0], std::stoul(place.substr(2))});
        }
        samples.push_back(std::move(sample));
    }
    return samples;
}

const std::vector<Sample>& samples() {
    static const auto loaded = load_samples();
    return loaded;
}

Bytes varint(std::uint64_t value) {
    Bytes out;
    for (; value >= 0x80; value >>= 7) out.push_back(static_cast<std::byte>((value & 0x7f) | 0x80));
    out.push_back(static_cast<std::byte>(value));
    return out;
}

Bytes big_endian(std::uint64_t value, unsigned size) {
    Bytes out;
    for (unsigned i = size; i > 0; --i)
        out.push_back(static_cast<std::byte>(value >> (8 * (i - 1))));
    return out;
}

// Where the length or count at `place` ends.
std::size_t end_of(const Bytes& bytes, const Place& place) {
    if (place.kind == 's') return place.at + 2;
    if (!place.compact()) return place.at + 4;
    auto end = place.at;
    while ((bytes[end] & std::byte{0x80}) != std::byte{0}) ++end;
    return end + 1;
}

// The sample with another length or count at `place`; of what follows only `rest` bytes.
Bytes with(const Sample& sample, const Place& place, std::uint64_t value, std::size_t rest = -1uz) {
    const auto& from = sample.bytes;
    const bool plus_one = place.kind == 'A' || place.kind == 'B' || place.kind == 'S';
    const auto lie =
        place.compact() ? varint(value + plus_one) : big_endian(value, place.kind == 's' ? 2 : 4);
    Bytes out(from.begin(), from.begin() + static_cast<std::ptrdiff_t>(place.at));
    out.insert(out.end(), lie.begin(), lie.end());
    const auto end = end_of(from, place);
    const auto kept = std::min(rest, from.size() - end);
    out.insert(out.end(), from.begin() + static_cast<std::ptrdiff_t>(end),
               from.begin() + static_cast<std::ptrdiff_t>(end + kept));
    return out;
}

// Does it lie in a tagged field, whose size it would change?
bool is_tagged(const Sample& sample, const Place& place) {
    return std::ranges::any_of(sample.places, [&](const Place& outer) {
        if (outer.kind != 'z') return false;
        std::size_t size = 0, at = outer.at;
        for (unsigned shift = 0; at < end_of(sample.bytes, outer); ++at, shift += 7) {
            size |= (static_cast<std::size_t>(sample.bytes[at]) & 0x7f) << shift;
        }
        return place.at >= at && place.at < at + size;
    });
}

// Is it refused, in memory that fits its size?
bool refused_cheaply(const Sample& sample, const Bytes& bytes) {
    Bytes out;
    const test::Allocations allocations;
    const bool accepted = sample.message->transcode(bytes, sample.version, out);
    const auto peak = allocations.peak();
    if (accepted) MESSAGE("accepted: " << sample.name());
    if (peak > 64 * 1024 + 4 * bytes.size()) MESSAGE(peak << " bytes for: " << sample.name());
    return !accepted && peak <= 64 * 1024 + 4 * bytes.size();
}

}  // namespace

TEST_CASE("frames captured between brokers of Apache Kafka 3.9.1 are written as they were read") {
    std::ifstream file(CAPTURED);
    std::size_t frames = 0;
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with('#')) continue;
        std::istringstream words(line);
        std::int16_t key = 0, version = 0;
        std::string kind, text;
        words >> key >> version >> kind >> text;
        INFO(line);
        ++frames;

        const auto frame = test::hex(text);
        wire::Reader reader{std::span(frame)};
        Bytes out;
        wire::Writer writer(out);
        if (kind == "request") {
            const auto header = read_request_header(reader);
            CHECK(header.request_api_key == key);
            CHECK(header.request_api_version == version);
            write_request_header(writer, header);
        } else {
            const auto header = read_response_header(reader, key, version);
            write_response_header(writer, key, version, header.correlation_id);
        }
        const auto message = std::ranges::find_if(all_messages(), [&](const MessageInfo& each) {
            return each.key == key &&
                   each.kind == (kind == "request" ? MessageKind::request : MessageKind::response);
        });
        REQUIRE(message != all_messages().end());
        CHECK(message->transcode(reader.rest(), version, out));
        CHECK(out == frame);
    }
    CHECK(frames == 60);
}

TEST_CASE("every message of every version has a sample") {
    std::size_t versions = 0;
    for (const auto& message : all_messages()) {
        versions += static_cast<std::size_t>(message.version_max - message.version_min + 1);
    }
    CHECK(samples().size() == versions);
}

TEST_CASE("what is decoded is encoded to the same bytes") {
    for (const auto& sample : samples()) {
        INFO(sample.name());
        Bytes out;
        CHECK(sample.message->transcode(sample.bytes, sample.version, out));
        CHECK(out == sample.bytes);
    }
}

TEST_CASE("a message cut anywhere, or with a byte behind it, is refused") {
    for (const auto& sample : samples()) {
        INFO(sample.name());
        std::size_t refused = 0;
        Bytes out;
        for (std::size_t size = 0; size < sample.bytes.size(); ++size) {
            refused += !sample.message->transcode(std::span(sample.bytes).first(size),
                                                  sample.version, out);
        }
        CHECK(refused == sample.bytes.size());
        auto longer = sample.bytes;
        longer.push_back(std::byte{0});
        CHECK_FALSE(sample.message->transcode(longer, sample.version, out));
        CHECK(out.empty());
    }
}

TEST_CASE(
    "CVE-2026-111108: an array count that lies is refused before anything is allocated for it") {
    std::size_t arrays = 0;
    for (const auto& sample : samples()) {
        for (const auto& place : sample.places) {
            if (place.kind != 'a' && place.kind != 'A') continue;
            ++arrays;
            INFO(sample.name() << ", array at " << place.at);
            for (const std::uint64_t count :
                 {0x7fff'fffful, 0x1000'0000ul, 1'000'001ul, 1'000'000ul, 65'536ul}) {
                CHECK(refused_cheaply(sample, with(sample, place, count)));
                CHECK(refused_cheaply(sample, with(sample, place, count, 0)));
            }
            CHECK(refused_cheaply(sample, with(sample, place, 2, 0)));
        }
    }
    CHECK(arrays > 2000);
}

TEST_CASE(
    "CVE-2026-111108: an array count that fits the bytes behind it costs no more than they do") {
    // Zeros are behind each count: as many elements as that can be.
    for (const auto& sample : samples()) {
        for (const auto& place : sample.places) {
            if (place.kind != 'a' && place.kind != 'A') continue;
            auto bytes = with(sample, place, 200'000, 0);
            bytes.resize(bytes.size() + 200'000);
            Bytes out;
            const test::Allocations allocations;
            sample.message->transcode(bytes, sample.version, out);
            INFO(sample.name() << ", array at " << place.at << ": " << allocations.peak());
            CHECK(allocations.peak() <= 64 * 1024 + 24 * bytes.size());
        }
    }
}

TEST_CASE("a length of a string or of bytes that lies is refused") {
    for (const auto& sample : samples()) {
        for (const auto& place : sample.places) {
            if (place.kind == 'a' || place.kind == 'A' || place.kind == 't' || place.kind == 'z')
                continue;
            INFO(sample.name() << ", length at " << place.at);
            CHECK(refused_cheaply(sample, with(sample, place, 0x7fff)));
            if (place.kind == 's') continue;
            CHECK(refused_cheaply(sample, with(sample, place, 0x7fff'ffff)));
            if (place.compact()) CHECK(refused_cheaply(sample, with(sample, place, 0xffff'fffe)));
        }
    }
}

TEST_CASE(
    "CVE-2026-111115: a count of tagged fields that lies is refused before anything is allocated "
    "for it") {
    std::size_t counts = 0;
    for (const auto& sample : samples()) {
        for (const auto& place : sample.places) {
            if (place.kind != 't') continue;
            ++counts;
            INFO(sample.name() << ", tags at " << place.at);
            for (const std::uint64_t count : {0xffff'fffful, 0x7fff'fffful, 100'000ul, 10'000ul}) {
                CHECK(refused_cheaply(sample, with(sample, place, count)));
                CHECK(refused_cheaply(sample, with(sample, place, count, 0)));
            }
        }
    }
    CHECK(counts > 2000);
}

TEST_CASE(
    "CVE-2026-111115: unknown tagged fields are passed over and cost nothing, up to 10,000 of "
    "them") {
    for (const auto& sample : samples()) {
        for (const auto& place : sample.places) {
            if (place.kind != 't' || sample.bytes[place.at] != std::byte{0}) continue;
            if (is_tagged(sample, place)) continue;
            INFO(sample.name() << ", tags at " << place.at);
            const auto bomb = [&](std::size_t count) {
                auto bytes = with(sample, place, count, 0);
                for (std::size_t i = 0; i < count; ++i) {
                    const auto tag = varint(1'000 + i / 2);  // Each twice.
                    bytes.insert(bytes.end(), tag.begin(), tag.end());
                    bytes.push_back(std::byte{0});
                }
                bytes.insert(bytes.end(),
                             sample.bytes.begin() + static_cast<std::ptrdiff_t>(place.at) + 1,
                             sample.bytes.end());
                return bytes;
            };
            Bytes out;
            const auto few = bomb(3);
            CHECK(sample.message->transcode(few, sample.version, out));
            CHECK(out == sample.bytes);
            if (place.at != sample.bytes.size() - 1) continue;  // Large ones at the end only.
            const auto most = bomb(10'000);
            out.clear();
            out.reserve(1024);
            const test::Allocations allocations;
            CHECK(sample.message->transcode(most, sample.version, out));
            CHECK(allocations.peak() <= 64 * 1024);
            CHECK(refused_cheaply(sample, bomb(10'001)));
        }
    }
}

TEST_CASE("a tagged field uses up exactly the bytes that it announces") {
    std::size_t sizes = 0;
    for (const auto& sample : samples()) {
        for (const auto& place : sample.places) {
            if (place.kind != 'z') continue;
            ++sizes;
            INFO(sample.name() << ", tagged field at " << place.at);
            const auto size = static_cast<std::uint64_t>(sample.bytes[place.at]);
            if (size >= 0x7f || is_tagged(sample, place))
                continue;  // Two bytes of varint; the others show it.
            CHECK(refused_cheaply(sample, with(sample, place, size - 1)));
            CHECK(refused_cheaply(sample, with(sample, place, 0)));
            CHECK(refused_cheaply(sample, with(sample, place, 0xffff'ffff)));
            auto longer = with(sample, place, size + 1);
            longer.insert(longer.begin() + static_cast<std::ptrdiff_t>(place.at + 1 + size),
                          std::byte{0});
            CHECK(refused_cheaply(sample, longer));
        }
    }
    CHECK(sizes > 50);
}

TEST_CASE("a changed byte makes another message or none, and costs little") {
    for (const auto& sample : samples()) {
        INFO(sample.name());
        std::size_t most = 0, unstable = 0;
        auto bytes = sample.bytes;
        Bytes out, again;
        for (auto& byte : bytes) {
            const auto was = byte;
            for (const unsigned value : {0x00u, 0xffu, static_cast<unsigned>(was) ^ 1}) {
                byte = static_cast<std::byte>(value);
                out.clear();
                again.clear();
                const test::Allocations allocations;
                const bool accepted = sample.message->transcode(bytes, sample.version, out);
                most = std::max(most, allocations.peak());
                if (!accepted) continue;
                // What was accepted has one form, which reads back as itself.
                const bool stable = sample.message->transcode(out, sample.version, again);
                unstable += !stable || again != out;
            }
            byte = was;
        }
        CHECK(unstable == 0);
        CHECK(most <= 64 * 1024 + 4 * bytes.size());
    }
}
