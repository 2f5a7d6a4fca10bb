// BatchBuilder: makes a record batch of message format 2, record by record.
//
//     BatchBuilder builder({.codec = Codec::lz4});
//     builder.append({.timestamp = now, .key = bytes_of("k"), .value = bytes_of("v")});
//     const auto batch = builder.finish();
//
// Threads: none. Limits: the caller bounds what it appends; a batch holds at most 2^31 - 1
// bytes and as many offsets, which ensure holds against it.
#pragma once

#include "protocol/records/record.h"

#include <initializer_list>

namespace records {

struct BatchSettings {
    Codec codec = Codec::none;
    std::optional<int> level = std::nullopt;  // The codec's default.
    base::Offset base_offset = base::Offset(0);
    base::LeaderEpoch leader_epoch = base::LeaderEpoch(-1);
    std::optional<std::int64_t> append_time = std::nullopt;  // ms: the batch is LogAppendTime.
    base::ProducerId producer_id = base::ProducerId(no_producer_id);
    std::int16_t producer_epoch = no_producer_epoch;
    std::int32_t base_sequence = no_sequence;
    bool transactional = false;
    bool control = false;
    // ms: when the cleaner may drop tombstones and markers. Stands in the place of base_timestamp.
    std::optional<std::int64_t> delete_horizon = std::nullopt;
};

// What append() takes. Everything is copied.
struct NewRecord {
    std::int64_t timestamp = no_timestamp;
    std::optional<Bytes> key = std::nullopt;
    std::optional<Bytes> value = std::nullopt;
    std::span<const Header> headers = {};
};

class BatchBuilder {
public:
    explicit BatchBuilder(BatchSettings settings = {});

    // Add a record at the next offset: the first at base_offset.
    void append(const NewRecord& record);

    // Add a record at `offset`, above those before it, as after compaction.
    // Requires base_offset <= offset and offset > the last one's.
    void append_at(base::Offset offset, const NewRecord& record);

    // Add one that was walked, at its own offset; its headers are copied as bytes.
    void copy_at(base::Offset offset, const Record& record);

    std::int32_t count() const noexcept { return count_; }
    bool empty() const noexcept { return count_ == 0; }

    // Bytes of the batch if it were finished now without compression.
    std::size_t size() const noexcept { return bytes_.size(); }

    // The most bytes that `record` adds.
    static std::size_t record_bytes_max(const NewRecord& record) noexcept;

    // Let the batch end at this offset although no record is there (cleaned batches keep
    // theirs). Requires it not to lie before the last record.
    void end_at(base::Offset last_offset);

    // Put the batch, checksum and all, at the end of `out`. The builder is then empty, with the
    // same settings and its buffer kept, which is what makes batch after batch cheap.
    // A batch without records has the timestamps -1 and one offset unless end_at() said more.
    void finish(Deflater& deflater, std::vector<std::byte>& out);

    // The same as bytes of its own.
    std::vector<std::byte> finish(Deflater& deflater);
    std::vector<std::byte> finish();

private:
    // Make space for a record and write what comes before its key; `fields_bytes` is what
    // comes from there on. Returns where the key's length goes.
    std::byte* begin(base::Offset offset, std::int64_t timestamp, std::size_t fields_bytes);

    BatchSettings settings_;
    std::vector<std::byte> bytes_;  // Space for the header, then records, not compressed.
    std::int32_t count_ = 0;
    std::int64_t last_offset_;  // base_offset - 1 while empty.
    std::int64_t base_timestamp_ = no_timestamp;
    std::int64_t max_timestamp_ = no_timestamp;
};

}  // namespace records
