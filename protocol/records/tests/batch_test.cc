#include "protocol/records/batch.h"

#include "protocol/base/crc32c.h"
#include "protocol/records/batch_builder.h"
#include "protocol/records/batch_format.h"
#include "protocol/records/tests/golden.h"
#include "protocol/wire/big_endian.h"

#include <doctest/doctest.h>

#include <limits>

using namespace records;
using base::LeaderEpoch;
using base::Offset;
using base::ProducerId;

namespace {

// The golden batch with one field changed, and its checksum made right again.
template <class T>
std::vector<std::byte> changed(std::size_t at, T value) {
    auto bytes = golden::two_records();
    wire::store(std::span(bytes), at, value);
    set_crc(bytes);
    return bytes;
}

BatchFault fault_of(const std::vector<std::byte>& bytes) {
    const auto batch = Batch::read(bytes);
    REQUIRE_FALSE(batch.has_value());
    return batch.error();
}

}  // namespace

TEST_CASE("the header of a producer's batch is read field by field") {
    const auto bytes = golden::two_records();
    const auto batch = Batch::read(bytes);
    REQUIRE(batch);
    CHECK(batch->size() == 84);
    CHECK(batch->base_offset() == Offset(0));
    CHECK(batch->last_offset() == Offset(1));
    CHECK(batch->offset_count() == 2);
    CHECK(batch->record_count() == 2);
    CHECK(batch->leader_epoch() == LeaderEpoch(-1));
    CHECK(batch->crc() == 0x601d1266);
    CHECK(batch->codec() == Codec::none);
    CHECK(batch->timestamp_type() == TimestampType::create_time);
    CHECK_FALSE(batch->is_transactional());
    CHECK_FALSE(batch->is_control());
    CHECK_FALSE(batch->has_delete_horizon());
    CHECK(batch->base_timestamp() == 1700000000000);
    CHECK(batch->max_timestamp() == 1700000000005);
    CHECK(batch->producer_id() == ProducerId(-1));
    CHECK_FALSE(batch->has_producer_id());
    CHECK(batch->producer_epoch() == -1);
    CHECK(batch->base_sequence() == -1);
    CHECK(batch->last_sequence() == -1);
    CHECK(batch->records().size() == 84 - 61);
}

TEST_CASE("a header is read from its 61 bytes alone and tells the size of the whole") {
    const auto bytes = golden::two_records();
    const auto header = BatchHeader::peek(std::span(bytes).first(61));
    REQUIRE(header);
    CHECK(header->size() == 84);
    CHECK(header->last_offset() == Offset(1));
    CHECK(BatchHeader::peek(std::span(bytes).first(60)).error() == BatchFault::cut_short);
}

TEST_CASE("bytes behind a batch are not part of it") {
    auto bytes = golden::two_records();
    bytes.push_back(std::byte{7});
    const auto batch = Batch::read(bytes);
    REQUIRE(batch);
    CHECK(batch->bytes().size() == 84);
}

TEST_CASE("a batch cut at any byte is not accepted") {
    const auto bytes = golden::two_records();
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        CHECK_FALSE(Batch::read(std::span(bytes).first(size)));
    }
}

TEST_CASE("a bit changed anywhere below the checksum is noticed, above it changes no content") {
    const auto good = golden::two_records();
    for (std::size_t at = 0; at < good.size(); ++at) {
        for (unsigned bit = 0; bit < 8; ++bit) {
            auto bytes = good;
            bytes[at] ^= static_cast<std::byte>(1u << bit);
            const auto batch = Batch::read(bytes);
            if (at >= batch_format::leader_epoch_at && at < batch_format::magic_at) {
                CHECK(batch.has_value());
            } else if (at >= batch_format::batch_length_at) {
                CHECK_FALSE(batch.has_value());
            } else {
                CHECK(batch.has_value() == (bytes[0] < std::byte{0x80}));
            }
        }
    }
}

TEST_CASE("a checksum over another range than the one from the attributes on is refused") {
    for (const std::size_t from : {0u, 12u, 16u, 17u, 20u, 22u, 61u}) {
        auto bytes = golden::two_records();
        const auto crc = base::crc32c(std::span(bytes).subspan(from));
        wire::store(std::span(bytes), batch_format::crc_at, crc);
        CHECK(fault_of(bytes) == BatchFault::bad_crc);
    }
}

TEST_CASE("fields that cannot be are refused although the checksum is right") {
    using namespace batch_format;
    CHECK(fault_of(changed<std::int32_t>(batch_length_at, 48)) == BatchFault::bad_length);
    CHECK(fault_of(changed<std::int32_t>(batch_length_at, -1)) == BatchFault::bad_length);
    CHECK(fault_of(changed<std::int32_t>(batch_length_at, 0x7fffffff)) == BatchFault::cut_short);
    CHECK(fault_of(changed<std::int8_t>(magic_at, 1)) == BatchFault::bad_magic);
    CHECK(fault_of(changed<std::int8_t>(magic_at, 3)) == BatchFault::bad_magic);
    CHECK(fault_of(changed<std::int16_t>(attributes_at, 5)) == BatchFault::bad_codec);
    CHECK(fault_of(changed<std::int16_t>(attributes_at, 7)) == BatchFault::bad_codec);
    CHECK(fault_of(changed<std::int32_t>(last_offset_delta_at, -1)) == BatchFault::bad_offsets);
    CHECK(fault_of(changed<std::int64_t>(base_offset_at, -1)) == BatchFault::bad_offsets);
    CHECK(
        fault_of(changed<std::int64_t>(base_offset_at, std::numeric_limits<std::int64_t>::max())) ==
        BatchFault::bad_offsets);
    CHECK(fault_of(changed<std::int32_t>(record_count_at, -1)) == BatchFault::bad_count);
}

TEST_CASE("the leader places a batch without touching its checksum") {
    auto bytes = golden::two_records();
    place(bytes, Offset(1'000'000), LeaderEpoch(7));
    const auto batch = Batch::read(bytes);
    REQUIRE(batch);
    CHECK(batch->base_offset() == Offset(1'000'000));
    CHECK(batch->last_offset() == Offset(1'000'001));
    CHECK(batch->leader_epoch() == LeaderEpoch(7));
    CHECK(batch->crc() == 0x601d1266);
}

TEST_CASE("append time is set in the header, with a new checksum, and taken back") {
    auto bytes = golden::two_records();
    set_append_time(bytes, 1800000000000);
    auto batch = Batch::read(bytes);
    REQUIRE(batch);
    CHECK(batch->timestamp_type() == TimestampType::log_append_time);
    CHECK(batch->max_timestamp() == 1800000000000);
    set_max_timestamp(bytes, 1700000000005);
    CHECK(bytes == golden::two_records());
}

TEST_CASE("sequence numbers wrap to 0 after the largest") {
    constexpr auto last = std::numeric_limits<std::int32_t>::max();
    CHECK(sequence_after(0, 4) == 4);
    CHECK(sequence_after(last - 1, 1) == last);
    CHECK(sequence_after(last, 1) == 0);
    CHECK(sequence_after(last - 1, 4) == 2);
    CHECK(sequence_after(last, last) == last - 1);

    BatchBuilder builder(
        {.producer_id = ProducerId(9), .producer_epoch = 0, .base_sequence = last});
    for (int i = 0; i < 3; ++i) builder.append({.value = bytes_of("v")});
    const auto bytes = builder.finish();
    CHECK(Batch::read(bytes)->last_sequence() == 1);
}
