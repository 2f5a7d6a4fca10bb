// Producers: what a partition remembers of each idempotent or transactional producer.
//
//     check(batch)   const: may it be appended, is it a repetition?     facts/kafka.md §5.4
//     reserve(batch) it is on its way to the disk: later checks see it
//     commit(batch)  it is in the log: the only change of the committed state
//     forget_reserved() no batch that is on its way will ever be in the log
//
// The committed state is what a replay of the log gives, nothing else goes into it. What is
// reserved lies beside it and is gone with the process.
//
// Invariants:
//   - at most batches_kept batches of a producer are kept, the youngest last
//   - a transaction is open, or complete but not yet below the high watermark, or forgotten
//
// Threads: one at a time, which the partition's lock sees to. Nothing here blocks.
//
// On disk: producer_snapshot.h.
#pragma once

#include "protocol/base/result.h"
#include "protocol/base/types.h"

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace storage {

struct Marker {
    bool commit = false;  // Otherwise abort.
    std::int32_t coordinator_epoch = 0;
};

// What the log needs to know of a batch with a producer id.
struct ProducerBatch {
    base::ProducerId producer;
    std::int16_t epoch = 0;
    std::int32_t first_sequence = -1;  // -1 on markers.
    std::int32_t last_sequence = -1;
    base::Offset first;
    base::Offset last;
    std::int64_t timestamp = -1;  // The batch's largest; what a repetition is answered with.
    bool transactional = false;
    std::optional<Marker> marker;
};

enum class RefusalKind {
    out_of_order_sequence,   // OUT_OF_ORDER_SEQUENCE_NUMBER(45)
    stale_producer_epoch,    // INVALID_PRODUCER_EPOCH(47)
    invalid_transaction,     // INVALID_TXN_STATE(48): plain batch inside an open transaction
    coordinator_fenced,      // TRANSACTION_COORDINATOR_FENCED(52): marker of an old coordinator
    invalid_batch,           // Not what Requires says; INVALID_RECORD(87) or CORRUPT_MESSAGE(2)
    too_large,               // Larger than a segment: RECORD_LIST_TOO_LARGE(18)
    not_behind_the_log,      // A replicated batch whose offsets lie below the log's end
    unavailable,             // The log failed or is being truncated: KAFKA_STORAGE_ERROR(56)
};

struct Refusal {
    RefusalKind kind;
    std::string detail;
};

// The batch of a producer that a new one repeats.
struct Repetition {
    base::Offset first;
    base::Offset last;
    std::int64_t timestamp = -1;
    bool is_reserved = false;  // It is still on its way to the disk.
};

struct AbortedTransaction {
    base::ProducerId producer;
    base::Offset first;
    base::Offset last;                // Of its marker.
    base::Offset last_stable_offset;  // Right after it completed.

    friend bool operator==(const AbortedTransaction&, const AbortedTransaction&) = default;
};

// One line of DescribeProducers, and of a snapshot.
struct ProducerFacts {
    base::ProducerId producer;
    std::int16_t epoch = -1;
    std::int32_t last_sequence = -1;
    base::Offset last_offset{-1};
    std::int32_t offset_delta = 0;  // last_offset minus the first offset of its batch.
    std::int64_t last_timestamp = -1;
    std::int32_t coordinator_epoch = -1;
    std::optional<base::Offset> transaction_start;

    friend bool operator==(const ProducerFacts&, const ProducerFacts&) = default;
};

class Producers {
public:
    static constexpr std::size_t batches_kept = 5;

    // Judge a batch that a client (or, with a marker, the transaction coordinator) sends,
    // after everything committed and reserved. Nothing when it may be appended.
    [[nodiscard]] base::Result<std::optional<Repetition>, Refusal> check(
        const ProducerBatch& batch) const;

    void reserve(const ProducerBatch& batch);
    void forget_reserved() noexcept { reserved_.clear(); }

    // Take over a batch that is in the log, reserved before or not; offsets rise from call
    // to call. Gives the aborted transaction that a marker ended.
    std::optional<AbortedTransaction> commit(const ProducerBatch& batch);

    // The first offset that a reader of committed records must not pass while the high
    // watermark is there; nothing when no transaction holds it back.
    std::optional<base::Offset> first_unstable(base::Offset high_watermark) const noexcept;

    // Where the open transaction of a producer begins, what is reserved included.
    std::optional<base::Offset> transaction_start(base::ProducerId producer) const;

    // Forget transactions that completed below `high_watermark`; they hold nothing back.
    void replicated_to(base::Offset high_watermark) noexcept;

    // Forget producers whose last batch is older, but those with an open transaction.
    void expire(std::int64_t now_ms, std::int64_t expiration_ms);

    std::size_t size() const noexcept { return entries_.size(); }
    std::vector<ProducerFacts> facts() const;  // Committed; by producer id.
    void restore(std::span<const ProducerFacts> facts);  // Into an empty one.

private:
    // A batch that is in the log.
    struct Sent {
        std::int32_t first_sequence = -1;
        std::int32_t last_sequence = -1;
        base::Offset last;
        std::int32_t offset_delta = 0;
        std::int64_t timestamp = -1;
    };
    struct Entry {
        std::int16_t epoch = -1;
        std::uint8_t count = 0;
        std::int32_t coordinator_epoch = -1;
        std::optional<base::Offset> transaction_start;
        std::int64_t last_timestamp = -1;
        std::array<Sent, batches_kept> sent{};  // [0, count), the youngest last.

        std::int32_t last_sequence() const noexcept { return count ? sent[count - 1u].last_sequence : -1; }
        void take(const ProducerBatch& batch) noexcept;
    };

    std::optional<Entry> after_reserved(base::ProducerId producer) const;

    std::unordered_map<base::ProducerId, Entry> entries_;
    std::unordered_map<base::ProducerId, std::deque<ProducerBatch>> reserved_;
    std::map<base::Offset, base::ProducerId> open_;       // By first offset.
    std::map<base::Offset, base::Offset> completed_;      // First offset to its marker's.
};

}  // namespace storage
