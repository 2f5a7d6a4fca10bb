#include "storage/producers.h"

#include "protocol/base/ensure.h"
#include "protocol/base/plant.h"

#include <algorithm>
#include <limits>

namespace storage {

using base::Offset;
using base::ProducerId;
using base::Result;
using base::Unexpected;

namespace {

constexpr std::int32_t last_sequence_there_is = std::numeric_limits<std::int32_t>::max();

bool follows(std::int32_t last, std::int32_t next) noexcept {
    return std::int64_t{last} + 1 == next || (last == last_sequence_there_is && next == 0);
}

// The sequence that lies `count` before one; they wrap.
std::int32_t sequence_before(std::int32_t sequence, std::int32_t count) noexcept {
    if (sequence >= count) return sequence - count;
    return last_sequence_there_is - (count - sequence) + 1;
}

Unexpected<Refusal> refuse(RefusalKind kind, const ProducerBatch& batch, std::string why) {
    return Unexpected(Refusal{kind, "producer " + std::to_string(batch.producer.value()) +
                                        " epoch " + std::to_string(batch.epoch) + ": " +
                                        std::move(why)});
}

}  // namespace

void Producers::Entry::take(const ProducerBatch& batch) noexcept {
    if (epoch != batch.epoch) {
        epoch = batch.epoch;
        count = 0;
    }
    last_timestamp = batch.timestamp;
    if (batch.marker) {
        coordinator_epoch = batch.marker->coordinator_epoch;
        transaction_start.reset();
        return;
    }
    if (count == batches_kept) {
        std::shift_left(sent.begin(), sent.end(), 1);
        --count;
    }
    sent[count++] = {batch.first_sequence, batch.last_sequence, batch.last,
                     static_cast<std::int32_t>(batch.last - batch.first), batch.timestamp};
    if (batch.transactional && !transaction_start) transaction_start = batch.first;
}

// The state of a producer as it will be when all that is reserved has been committed.
std::optional<Producers::Entry> Producers::after_reserved(ProducerId producer) const {
    std::optional<Entry> entry;
    if (const auto known = entries_.find(producer); known != entries_.end()) entry = known->second;
    if (const auto queued = reserved_.find(producer); queued != reserved_.end()) {
        if (!entry) entry.emplace();
        for (const ProducerBatch& batch : queued->second) entry->take(batch);
    }
    return entry;
}

Result<std::optional<Repetition>, Refusal> Producers::check(const ProducerBatch& batch) const {
    const auto entry = after_reserved(batch.producer);
    if (!entry) return std::optional<Repetition>();
    if (base::is_planted(base::Plant::repetition_appended)) return std::optional<Repetition>();

    if (batch.marker) {
        if (batch.epoch < entry->epoch) {
            return refuse(RefusalKind::stale_producer_epoch, batch,
                          "a marker, and the epoch is " + std::to_string(entry->epoch));
        }
        if (batch.marker->coordinator_epoch < entry->coordinator_epoch) {
            return refuse(RefusalKind::coordinator_fenced, batch,
                          "coordinator epoch " + std::to_string(batch.marker->coordinator_epoch) +
                              " after " + std::to_string(entry->coordinator_epoch));
        }
        return std::optional<Repetition>();
    }

    if (batch.epoch == entry->epoch) {
        for (const Sent& sent : std::span(entry->sent).first(entry->count)) {
            if (sent.first_sequence != batch.first_sequence ||
                sent.last_sequence != batch.last_sequence) {
                continue;
            }
            const auto queued = reserved_.find(batch.producer);
            const bool is_reserved = queued != reserved_.end() &&
                                     queued->second.front().first <= sent.last;
            return std::optional(Repetition{sent.last + -std::int64_t{sent.offset_delta},
                                            sent.last, sent.timestamp, is_reserved});
        }
    }
    if (batch.epoch < entry->epoch) {
        return refuse(RefusalKind::stale_producer_epoch, batch,
                      "the epoch is " + std::to_string(entry->epoch));
    }
    const bool is_in_order = batch.epoch == entry->epoch
                                 ? follows(entry->last_sequence(), batch.first_sequence)
                                 : batch.first_sequence == 0 || entry->epoch == -1;
    if (!is_in_order) {
        return refuse(RefusalKind::out_of_order_sequence, batch,
                      "sequence " + std::to_string(batch.first_sequence) + " after " +
                          std::to_string(entry->last_sequence()) + " of epoch " +
                          std::to_string(entry->epoch));
    }
    if (entry->transaction_start && !batch.transactional) {
        return refuse(RefusalKind::invalid_transaction, batch,
                      "a plain batch inside an open transaction");
    }
    return std::optional<Repetition>();
}

void Producers::reserve(const ProducerBatch& batch) {
    reserved_[batch.producer].push_back(batch);
}

std::optional<AbortedTransaction> Producers::commit(const ProducerBatch& batch) {
    if (const auto queued = reserved_.find(batch.producer); queued != reserved_.end()) {
        base::ensure(queued->second.front().first == batch.first,
                     "batches are committed in the order they were reserved");
        queued->second.pop_front();
        if (queued->second.empty()) reserved_.erase(queued);
    }

    Entry& entry = entries_[batch.producer];
    const auto was_open = entry.transaction_start;
    entry.take(batch);
    if (!was_open && entry.transaction_start) open_.emplace(*entry.transaction_start, batch.producer);
    if (!was_open || entry.transaction_start) return std::nullopt;

    open_.erase(*was_open);
    completed_.emplace(*was_open, batch.last);
    if (batch.marker->commit) return std::nullopt;
    const Offset stable = open_.empty() ? batch.last + 1 : open_.begin()->first;
    return AbortedTransaction{batch.producer, *was_open, batch.last, stable};
}

std::optional<Offset> Producers::first_unstable(Offset high_watermark) const noexcept {
    std::optional<Offset> first;
    if (!open_.empty()) first = open_.begin()->first;
    for (const auto& [start, marker] : completed_) {
        if (first && start >= *first) break;
        if (marker >= high_watermark) {
            first = start;
            break;
        }
    }
    return first;
}

std::optional<Offset> Producers::transaction_start(ProducerId producer) const {
    const auto entry = after_reserved(producer);
    return entry ? entry->transaction_start : std::nullopt;
}

void Producers::replicated_to(Offset high_watermark) noexcept {
    if (completed_.empty()) return;
    std::erase_if(completed_, [&](const auto& one) { return one.second < high_watermark; });
}

void Producers::expire(std::int64_t now_ms, std::int64_t expiration_ms) {
    std::erase_if(entries_, [&](const auto& one) {
        return !one.second.transaction_start && !reserved_.contains(one.first) &&
               now_ms - one.second.last_timestamp >= expiration_ms;
    });
}

std::vector<ProducerFacts> Producers::facts() const {
    std::vector<ProducerFacts> facts;
    facts.reserve(entries_.size());
    for (const auto& [producer, entry] : entries_) {
        ProducerFacts one{.producer = producer,
                          .epoch = entry.epoch,
                          .last_timestamp = entry.last_timestamp,
                          .coordinator_epoch = entry.coordinator_epoch,
                          .transaction_start = entry.transaction_start};
        if (entry.count > 0) {
            const Sent& last = entry.sent[entry.count - 1u];
            one.last_sequence = last.last_sequence;
            one.last_offset = last.last;
            one.offset_delta = last.offset_delta;
        }
        facts.push_back(one);
    }
    std::ranges::sort(facts, {}, &ProducerFacts::producer);
    return facts;
}

void Producers::restore(std::span<const ProducerFacts> facts) {
    base::ensure(entries_.empty(), "a state is restored into an empty one");
    for (const ProducerFacts& one : facts) {
        Entry& entry = entries_[one.producer];
        entry.epoch = one.epoch;
        entry.coordinator_epoch = one.coordinator_epoch;
        entry.last_timestamp = one.last_timestamp;
        entry.transaction_start = one.transaction_start;
        if (one.last_offset >= Offset(0)) {
            const auto first = one.last_sequence < 0
                                   ? one.last_sequence
                                   : sequence_before(one.last_sequence, one.offset_delta);
            entry.sent[0] = {first, one.last_sequence, one.last_offset, one.offset_delta,
                             one.last_timestamp};
            entry.count = 1;
        }
        if (one.transaction_start) open_.emplace(*one.transaction_start, one.producer);
    }
}

}  // namespace storage
