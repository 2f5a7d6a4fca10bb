// Inflater, Deflater: the codecs of record batches and message sets, between buffers.
//
//     gzip    RFC 1952, one member or several
//     snappy  the xerial stream (32-KiB blocks behind a header), or one raw block; read both,
//             write xerial. Streams that were put one behind the other are read as one.
//     lz4     one frame of independent blocks; for messages of format 0 with the header
//             checksum that Kafka 0.8 computed over the wrong bytes (Lz4Header)
//     zstd    frames, with or without their content size
//
// A payload is read whole or not at all: bytes behind the end of the compressed stream are
// a fault, since clients disagree on what they mean.
//
// Threads: one object per thread; the contexts and the output buffer are reused.
//
// Limits: output is counted while inflating and never passes the smaller of the caller's
// cap and max(1 MiB, 1000 x input). The output buffer grows as output arrives, not by what
// the sender announces. zstd windows are at most 2^27 bytes.
//
// Sources: facts of https://kafka.apache.org/documentation/ (message compression), the
// formats of gzip (RFC 1952), snappy-java (xerial), LZ4 frames and zstd (RFC 8878).
#pragma once

#include "protocol/base/result.h"
#include "protocol/records/attributes.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace records {

enum class InflateFault {
    corrupt,           // Not the codec's format, cut short, or with bytes left over.
    too_large,         // More output than the cap or the ratio lets through.
    window_too_large,  // zstd: needs a window above 2^27 bytes.
};

// Which header checksum an LZ4 frame carries.
enum class Lz4Header {
    correct,  // Formats 1 and 2: over the frame descriptor. Reading: nothing else passes.
    legacy,   // Format 0: over magic and descriptor. Reading: either passes.
};

// What a batch may inflate to if the caller has no cap of its own.
constexpr std::size_t inflated_bytes_max = std::size_t{64} << 20;

class Inflater {
public:
    Inflater();
    ~Inflater();
    Inflater(Inflater&&) noexcept;
    Inflater& operator=(Inflater&&) noexcept;

    // The content of `input`. Codec::none gives `input` itself. The result lies in this
    // object until the next call. Faults leave it usable.
    [[nodiscard]] base::Result<std::span<const std::byte>, InflateFault> inflate(
        Codec codec, std::span<const std::byte> input,
        std::size_t output_bytes_max = inflated_bytes_max, Lz4Header lz4 = Lz4Header::correct);

    // Bytes that came out of it in its whole life, faults or not.
    std::uint64_t inflated_bytes() const noexcept;

    // Bytes that the output buffer holds on to.
    std::size_t buffer_bytes() const noexcept;

    // Give the output buffer back if it has grown above `bytes`.
    void trim(std::size_t bytes) noexcept;

private:
    struct State;
    std::unique_ptr<State> state_;
};

// The level of a codec if nobody says otherwise: gzip -1 (zlib's own), lz4 9, zstd 3.
int default_level(Codec codec) noexcept;

// The levels that `compression.gzip.level` and its siblings take, both ends included:
// gzip 1 to 9 (and -1), lz4 1 to 17, zstd -131072 to 22. {0, 0} where there are none.
struct LevelRange {
    int least;
    int most;
};
LevelRange levels(Codec codec) noexcept;

class Deflater {
public:
    Deflater();
    ~Deflater();
    Deflater(Deflater&&) noexcept;
    Deflater& operator=(Deflater&&) noexcept;

    // Put `input`, compressed, at the end of `out`. No level is the codec's default; one
    // outside levels() is brought to the nearest end.
    void deflate(Codec codec, std::span<const std::byte> input, std::vector<std::byte>& out,
                 std::optional<int> level = std::nullopt, Lz4Header lz4 = Lz4Header::correct);

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace records
