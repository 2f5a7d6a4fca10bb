#include "protocol/records/compression.h"

#include "protocol/base/ensure.h"
#include "protocol/wire/big_endian.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <lz4frame.h>
#include <snappy.h>
#include <utility>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

namespace records {

namespace {

using Input = std::span<const std::byte>;
using Content = base::Result<std::span<const std::byte>, InflateFault>;

constexpr std::size_t free_output_bytes = std::size_t{1} << 20;
constexpr std::size_t ratio_max = 1000;

base::Unexpected<InflateFault> fail(InflateFault fault) {
    return base::Unexpected(fault);
}

const char* chars(Input bytes) {
    return reinterpret_cast<const char*>(bytes.data());
}

bool begins_with(Input bytes, Input with) {
    return bytes.size() >= with.size() && std::ranges::equal(bytes.first(with.size()), with);
}

template <std::size_t count>
constexpr std::array<std::byte, count> bytes(const unsigned char (&values)[count]) {
    std::array<std::byte, count> made{};
    for (std::size_t i = 0; i < count; ++i) made[i] = static_cast<std::byte>(values[i]);
    return made;
}

// Where inflated bytes go: a buffer that doubles up to one byte above the cap, so that a
// codec which fills it has shown that there is more than the cap.
class Output {
public:
    void begin(std::size_t cap) noexcept {
        cap_ = cap;
        total_ += used_;
        used_ = 0;
    }

    // Space for at least one more byte, as much as is there; empty when the cap is passed.
    std::span<std::byte> space() {
        if (used_ == capacity_) grow(std::max(capacity_ * 2, least_bytes));
        return std::span(data_.get(), std::min(capacity_, cap_ + 1)).subspan(used_);
    }

    // Space for `bytes` more, none of which may pass the cap.
    std::span<std::byte> exactly(std::size_t bytes) {
        if (used_ + bytes > capacity_) grow(std::max(used_ + bytes, capacity_ * 2));
        return std::span(data_.get() + used_, bytes);
    }

    // Let the space be at least `bytes` in all if the cap allows; what is there is forgotten.
    void reserve(std::size_t bytes) {
        total_ += used_;
        used_ = 0;
        bytes = std::min(bytes, cap_ + 1);
        if (bytes > capacity_) {
            data_.reset();  // Nothing to keep: old and new need not be there together.
            capacity_ = 0;
            grow(bytes);
        }
    }

    void used(std::size_t bytes) noexcept { used_ += bytes; }
    std::size_t used() const noexcept { return used_; }
    std::size_t room() const noexcept { return cap_ - std::min(used_, cap_); }
    std::uint64_t total() const noexcept { return total_ + used_; }
    bool passed_cap() const noexcept { return used_ > cap_; }
    std::size_t capacity() const noexcept { return capacity_; }

    Content content() const noexcept {
        if (passed_cap()) return fail(InflateFault::too_large);
        return std::span<const std::byte>(data_.get(), used_);
    }

    void release() noexcept {
        total_ += used_;
        data_.reset();
        capacity_ = used_ = 0;
    }

private:
    static constexpr std::size_t least_bytes = std::size_t{64} << 10;

    void grow(std::size_t to) {
        to = std::min(to, cap_ + 1);
        if (to <= capacity_) return;
        auto larger = std::make_unique_for_overwrite<std::byte[]>(to);
        std::copy_n(data_.get(), used_, larger.get());
        data_ = std::move(larger);
        capacity_ = to;
    }

    std::unique_ptr<std::byte[]> data_;
    std::size_t capacity_ = 0;
    std::size_t used_ = 0;
    std::size_t cap_ = 0;
    std::uint64_t total_ = 0;  // Of what came out before this time.
};

// Snappy ------------------------------------------------------------------------------

constexpr auto xerial_magic = bytes({0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0});
constexpr std::size_t xerial_header_bytes = 16;  // Magic, version, least version to read it.
constexpr std::size_t xerial_block_bytes = std::size_t{32} << 10;

// Three bytes of snappy make 64 at most (a copy), so what a block announces is held against
// its own size before there is a buffer for it.
constexpr std::size_t snappy_ratio_max = 22;

base::Result<void, InflateFault> unsnap_block(Input block, Output& out) {
    std::size_t size = 0;
    if (!snappy::GetUncompressedLength(chars(block), block.size(), &size)) {
        return fail(InflateFault::corrupt);
    }
    if (size / snappy_ratio_max > block.size()) return fail(InflateFault::corrupt);
    if (size > out.room()) return fail(InflateFault::too_large);
    const auto space = out.exactly(size);
    char none = 0;
    char* to = size == 0 ? &none : reinterpret_cast<char*>(space.data());
    if (!snappy::RawUncompress(chars(block), block.size(), to)) return fail(InflateFault::corrupt);
    out.used(size);
    return {};
}

base::Result<void, InflateFault> unsnap_xerial(Input rest, Output& out) {
    while (!rest.empty()) {
        if (begins_with(rest, xerial_magic)) {  // The stream's own header, or that of a next one.
            if (rest.size() < xerial_header_bytes) return fail(InflateFault::corrupt);
            rest = rest.subspan(xerial_header_bytes);
            continue;
        }
        if (rest.size() < sizeof(std::int32_t)) return fail(InflateFault::corrupt);
        const auto size = wire::load<std::int32_t>(rest, 0);
        rest = rest.subspan(sizeof(std::int32_t));
        if (size < 0 || static_cast<std::size_t>(size) > rest.size()) {
            return fail(InflateFault::corrupt);
        }
        const auto block = unsnap_block(rest.first(static_cast<std::size_t>(size)), out);
        if (!block) return block;
        rest = rest.subspan(static_cast<std::size_t>(size));
    }
    return {};
}

Content unsnap(Input input, Output& out) {
    const auto done =
        begins_with(input, xerial_magic) ? unsnap_xerial(input, out) : unsnap_block(input, out);
    if (!done) return fail(done.error());
    return out.content();
}

void snap(Input input, std::vector<std::byte>& out) {
    out.insert(out.end(), xerial_magic.begin(), xerial_magic.end());
    const auto append_int = [&out](std::int32_t value) {
        out.resize(out.size() + sizeof(value));
        wire::store(std::span(out), out.size() - sizeof(value), value);
    };
    append_int(1);
    append_int(1);
    while (!input.empty()) {
        const auto block = input.first(std::min(input.size(), xerial_block_bytes));
        const auto size_at = out.size();
        append_int(0);
        const auto block_at = out.size();
        out.resize(block_at + snappy::MaxCompressedLength(block.size()));
        std::size_t size = 0;
        snappy::RawCompress(chars(block), block.size(),
                            reinterpret_cast<char*>(out.data() + block_at), &size);
        out.resize(block_at + size);
        wire::store(std::span(out), size_at, static_cast<std::int32_t>(size));
        input = input.subspan(block.size());
    }
}

// LZ4 ---------------------------------------------------------------------------------

//     at  size  field of a frame header
//      0     4  04 22 4d 18
//      4     1  flags: version 01, independent blocks, block checksums, content size,
//               content checksum, reserved, dictionary
//      5     1  block size: bits 4-6, 4 to 7
//      6     8  content size, if its flag is set
//     ..     1  second byte of XXH32 over flags .. content size
constexpr auto lz4_magic = bytes({0x04, 0x22, 0x4d, 0x18});
constexpr unsigned lz4_version_mask = 0xc0;
constexpr unsigned lz4_version = 0x40;
constexpr unsigned lz4_independent = 0x20;
constexpr unsigned lz4_content_size = 0x08;
constexpr unsigned lz4_reserved = 0x03;  // A dictionary is not ours to know.
constexpr std::size_t lz4_header_bytes_max = 15;

// XXH32 with seed 0 of fewer than 16 bytes, which is all that frame headers need. The
// library does not export its own.
std::uint32_t xxh32_short(Input input) {
    constexpr std::uint32_t prime1 = 0x9e3779b1, prime2 = 0x85ebca77, prime3 = 0xc2b2ae3d,
                            prime4 = 0x27d4eb2f, prime5 = 0x165667b1;
    auto hash = prime5 + static_cast<std::uint32_t>(input.size());
    std::size_t at = 0;
    for (; at + 4 <= input.size(); at += 4) {
        const auto word = std::byteswap(wire::load<std::uint32_t>(input, at));
        hash = std::rotl(hash + word * prime3, 17) * prime4;
    }
    for (; at < input.size(); ++at) {
        hash = std::rotl(hash + std::to_integer<std::uint32_t>(input[at]) * prime5, 11) * prime1;
    }
    hash = (hash ^ (hash >> 15)) * prime2;
    hash = (hash ^ (hash >> 13)) * prime3;
    return hash ^ (hash >> 16);
}

std::byte lz4_header_checksum(Input hashed) {
    return static_cast<std::byte>((xxh32_short(hashed) >> 8) & 0xff);
}

// Bytes of the frame header at the front of `input`; 0 if there is none that every client
// can read.
std::size_t lz4_header_size(Input input) {
    if (input.size() < 7 || !begins_with(input, lz4_magic)) return 0;
    const auto flags = std::to_integer<unsigned>(input[4]);
    if ((flags & lz4_version_mask) != lz4_version) return 0;
    if ((flags & lz4_independent) == 0 || (flags & lz4_reserved) != 0) return 0;
    const std::size_t size = (flags & lz4_content_size) != 0 ? 15 : 7;
    return size <= input.size() ? size : 0;
}

Content unlz4(LZ4F_dctx* context, Input input, Lz4Header checksum, Output& out) {
    const auto header_size = lz4_header_size(input);
    if (header_size == 0) return fail(InflateFault::corrupt);

    // The library gets a header with the checksum that is right, if it is one of those allowed.
    std::array<std::byte, lz4_header_bytes_max> header{};
    std::ranges::copy(input.first(header_size), header.begin());
    std::byte& stored = header[header_size - 1];
    const auto right = lz4_header_checksum(input.subspan(4, header_size - 5));
    const auto old = lz4_header_checksum(input.first(header_size - 1));
    if (stored != right && !(checksum == Lz4Header::legacy && stored == old)) {
        return fail(InflateFault::corrupt);
    }
    stored = right;

    LZ4F_resetDecompressionContext(context);
    std::size_t nothing = 0;
    std::size_t taken = header_size;
    if (LZ4F_isError(LZ4F_decompress(context, nullptr, &nothing, header.data(), &taken, nullptr)) ||
        taken != header_size) {
        return fail(InflateFault::corrupt);
    }
    for (auto rest = input.subspan(header_size);;) {
        const auto space = out.space();
        if (space.empty()) return fail(InflateFault::too_large);
        std::size_t made = space.size();
        taken = rest.size();
        const auto hint =
            LZ4F_decompress(context, space.data(), &made, rest.data(), &taken, nullptr);
        if (LZ4F_isError(hint)) return fail(InflateFault::corrupt);
        out.used(made);
        rest = rest.subspan(taken);
        if (out.passed_cap()) return fail(InflateFault::too_large);
        if (hint == 0) {
            if (!rest.empty()) return fail(InflateFault::corrupt);
            return out.content();
        }
        if (made == 0 && taken == 0 && rest.empty()) return fail(InflateFault::corrupt);
    }
}

void do_lz4(Input input, int level, Lz4Header checksum, std::vector<std::byte>& out) {
    LZ4F_preferences_t preferences{};
    preferences.frameInfo.blockMode = LZ4F_blockIndependent;
    preferences.frameInfo.blockSizeID = LZ4F_max64KB;
    preferences.compressionLevel = level;
    const auto at = out.size();
    out.resize(at + LZ4F_compressFrameBound(input.size(), &preferences));
    const auto size = LZ4F_compressFrame(out.data() + at, out.size() - at, input.data(),
                                         input.size(), &preferences);
    base::ensure(!LZ4F_isError(size), "a frame fits into its bound");
    out.resize(at + size);
    if (checksum == Lz4Header::legacy) {
        const auto header = std::span(out).subspan(at, 7);
        header[6] = lz4_header_checksum(header.first(6));
    }
}

// zstd --------------------------------------------------------------------------------

constexpr std::uint32_t zstd_magic = 0xfd2fb528;
constexpr std::uint32_t zstd_skippable_magic = 0x184d2a50;  // To ...5f.
constexpr std::uint32_t zstd_skippable_mask = 0xfffffff0;
constexpr unsigned zstd_single_segment = 0x20;
constexpr std::size_t zstd_frame_bytes_min = 8;  // A skippable one without content.
constexpr std::uint64_t zstd_window_bytes_max = std::uint64_t{1} << 27;

// Hold the windows of all frames against the limit: a client that streams must have that much
// memory to read them. (Inflating in one piece, as here, needs none.)
base::Result<void, InflateFault> check_windows(Input rest) {
    while (!rest.empty()) {
        const auto size = ZSTD_findFrameCompressedSize(rest.data(), rest.size());
        if (ZSTD_getErrorCode(size) == ZSTD_error_frameParameter_windowTooLarge) {
            return fail(InflateFault::window_too_large);
        }
        if (ZSTD_isError(size) || size > rest.size() || size < zstd_frame_bytes_min) {
            return fail(InflateFault::corrupt);
        }
        const auto magic = std::byteswap(wire::load<std::uint32_t>(rest, 0));
        if ((magic & zstd_skippable_mask) != zstd_skippable_magic) {
            if (magic != zstd_magic) return fail(InflateFault::corrupt);
            const auto descriptor = std::to_integer<unsigned>(rest[4]);
            if ((descriptor & zstd_single_segment) == 0) {
                const auto window = std::to_integer<unsigned>(rest[5]);
                const auto base = std::uint64_t{1} << (10 + (window >> 3));
                if (base + base / 8 * (window & 7) > zstd_window_bytes_max) {
                    return fail(InflateFault::window_too_large);
                }
            }
        }
        rest = rest.subspan(size);
    }
    return {};
}

Content unzstd(ZSTD_DCtx* context, Input input, Output& out) {
    if (input.empty()) return fail(InflateFault::corrupt);
    const auto windows = check_windows(input);
    if (!windows) return fail(windows.error());

    // In one piece rather than as a stream: the output is then the window, and a sender
    // cannot make us allocate one. A guess that is too small costs a second try.
    out.reserve(std::max(out.capacity(), std::max(input.size() * 4, std::size_t{64} << 10)));
    for (;;) {
        const auto space = out.space();
        if (space.empty()) return fail(InflateFault::too_large);
        const auto size =
            ZSTD_decompressDCtx(context, space.data(), space.size(), input.data(), input.size());
        if (!ZSTD_isError(size)) {
            out.used(size);
            return out.content();
        }
        if (ZSTD_getErrorCode(size) != ZSTD_error_dstSize_tooSmall) {
            return fail(InflateFault::corrupt);
        }
        const auto before = space.size();
        out.reserve(before * 2);
        if (out.space().size() <= before) return fail(InflateFault::too_large);
    }
}

// gzip --------------------------------------------------------------------------------

constexpr int gzip_window_bits = 15 + 16;  // The largest window, and gzip's own header.

Bytef* zlib_bytes(Input bytes) {
    return const_cast<Bytef*>(reinterpret_cast<const Bytef*>(bytes.data()));
}

Content gunzip(z_stream& stream, Input input, Output& out) {
    if (input.size() > std::numeric_limits<uInt>::max()) return fail(InflateFault::too_large);
    stream.next_in = zlib_bytes(input);
    stream.avail_in = static_cast<uInt>(input.size());
    inflateReset(&stream);
    for (;;) {
        const auto space = out.space();
        if (space.empty()) return fail(InflateFault::too_large);
        const auto room = static_cast<uInt>(
            std::min(space.size(), std::size_t{std::numeric_limits<uInt>::max()}));
        stream.next_out = reinterpret_cast<Bytef*>(space.data());
        stream.avail_out = room;
        const auto code = ::inflate(&stream, Z_NO_FLUSH);
        out.used(room - stream.avail_out);
        if (out.passed_cap()) return fail(InflateFault::too_large);
        if (code == Z_STREAM_END) {
            if (stream.avail_in == 0) return out.content();
            inflateReset(&stream);  // The next member.
            continue;
        }
        if (code != Z_OK) return fail(InflateFault::corrupt);  // Z_BUF_ERROR: cut short.
    }
}

void do_gzip(z_stream& stream, Input input, std::vector<std::byte>& out) {
    base::ensure(input.size() <= std::numeric_limits<uInt>::max(), "a batch is less than 4 GiB");
    deflateReset(&stream);
    const auto at = out.size();
    out.resize(at + deflateBound(&stream, static_cast<uLong>(input.size())));
    stream.next_in = zlib_bytes(input);
    stream.avail_in = static_cast<uInt>(input.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + at);
    stream.avail_out = static_cast<uInt>(out.size() - at);
    const auto code = ::deflate(&stream, Z_FINISH);
    base::ensure(code == Z_STREAM_END, "a stream fits into its bound");
    out.resize(out.size() - stream.avail_out);
}

// Contexts, made at their first use and freed with their owner.
struct FreeLz4 {
    void operator()(LZ4F_dctx* context) const noexcept { LZ4F_freeDecompressionContext(context); }
};
struct FreeZstdIn {
    void operator()(ZSTD_DCtx* context) const noexcept { ZSTD_freeDCtx(context); }
};
struct FreeZstdOut {
    void operator()(ZSTD_CCtx* context) const noexcept { ZSTD_freeCCtx(context); }
};
struct FreeInflate {
    void operator()(z_stream* stream) const noexcept {
        inflateEnd(stream);
        delete stream;
    }
};
struct FreeDeflate {
    void operator()(z_stream* stream) const noexcept {
        deflateEnd(stream);
        delete stream;
    }
};

}  // namespace

struct Inflater::State {
    Output output;
    std::unique_ptr<z_stream, FreeInflate> gzip;
    std::unique_ptr<LZ4F_dctx, FreeLz4> lz4;
    std::unique_ptr<ZSTD_DCtx, FreeZstdIn> zstd;
};

Inflater::Inflater() : state_(std::make_unique<State>()) {}
Inflater::~Inflater() = default;
Inflater::Inflater(Inflater&&) noexcept = default;
Inflater& Inflater::operator=(Inflater&&) noexcept = default;

Content Inflater::inflate(Codec codec, Input input, std::size_t output_bytes_max, Lz4Header lz4) {
    auto& out = state_->output;
    out.begin(std::min(output_bytes_max, std::max(free_output_bytes, input.size() * ratio_max)));
    switch (codec) {
        case Codec::none:
            return input;
        case Codec::gzip:
            if (!state_->gzip) {
                auto stream = std::make_unique<z_stream>();
                if (inflateInit2(stream.get(), gzip_window_bits) != Z_OK) throw std::bad_alloc();
                state_->gzip.reset(stream.release());
            }
            return gunzip(*state_->gzip, input, out);
        case Codec::snappy:
            return unsnap(input, out);
        case Codec::lz4:
            if (!state_->lz4) {
                LZ4F_dctx* context = nullptr;
                if (LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION))) {
                    throw std::bad_alloc();
                }
                state_->lz4.reset(context);
            }
            return unlz4(state_->lz4.get(), input, lz4, out);
        case Codec::zstd:
            if (!state_->zstd) {
                state_->zstd.reset(ZSTD_createDCtx());
                if (!state_->zstd) throw std::bad_alloc();
            }
            return unzstd(state_->zstd.get(), input, out);
    }
    return fail(InflateFault::corrupt);
}

std::uint64_t Inflater::inflated_bytes() const noexcept {
    return state_->output.total();
}

std::size_t Inflater::buffer_bytes() const noexcept {
    return state_->output.capacity();
}

void Inflater::trim(std::size_t bytes) noexcept {
    if (state_->output.capacity() <= bytes) return;
    state_->output.release();
    state_->lz4.reset();  // It keeps a buffer of the largest block that it met.
}

int default_level(Codec codec) noexcept {
    switch (codec) {
        case Codec::gzip:
            return -1;
        case Codec::lz4:
            return 9;
        case Codec::zstd:
            return 3;
        case Codec::none:
        case Codec::snappy:
            break;
    }
    return 0;
}

LevelRange levels(Codec codec) noexcept {
    switch (codec) {
        case Codec::gzip:
            return {1, 9};
        case Codec::lz4:
            return {1, 17};
        case Codec::zstd:
            return {-131072, 22};
        case Codec::none:
        case Codec::snappy:
            break;
    }
    return {0, 0};
}

struct Deflater::State {
    std::unique_ptr<z_stream, FreeDeflate> gzip;
    int gzip_level = 0;
    std::unique_ptr<ZSTD_CCtx, FreeZstdOut> zstd;
};

Deflater::Deflater() : state_(std::make_unique<State>()) {}
Deflater::~Deflater() = default;
Deflater::Deflater(Deflater&&) noexcept = default;
Deflater& Deflater::operator=(Deflater&&) noexcept = default;

void Deflater::deflate(Codec codec, Input input, std::vector<std::byte>& out,
                       std::optional<int> wanted, Lz4Header lz4) {
    int level = wanted.value_or(default_level(codec));
    if (level != default_level(codec)) {
        level = std::clamp(level, levels(codec).least, levels(codec).most);
    }
    switch (codec) {
        case Codec::none:
            out.insert(out.end(), input.begin(), input.end());
            break;
        case Codec::gzip:
            if (!state_->gzip || state_->gzip_level != level) {
                auto stream = std::make_unique<z_stream>();
                if (deflateInit2(stream.get(), level, Z_DEFLATED, gzip_window_bits, 8,
                                 Z_DEFAULT_STRATEGY) != Z_OK) {
                    throw std::bad_alloc();
                }
                state_->gzip.reset(stream.release());
                state_->gzip_level = level;
            }
            do_gzip(*state_->gzip, input, out);
            break;
        case Codec::snappy:
            snap(input, out);
            break;
        case Codec::lz4:
            do_lz4(input, level, lz4, out);
            break;
        case Codec::zstd: {
            if (!state_->zstd) {
                state_->zstd.reset(ZSTD_createCCtx());
                if (!state_->zstd) throw std::bad_alloc();
            }
            const auto at = out.size();
            out.resize(at + ZSTD_compressBound(input.size()));
            const auto size = ZSTD_compressCCtx(state_->zstd.get(), out.data() + at,
                                                out.size() - at, input.data(), input.size(), level);
            base::ensure(!ZSTD_isError(size), "a frame fits into its bound");
            out.resize(at + size);
            break;
        }
    }
}

}  // namespace records
