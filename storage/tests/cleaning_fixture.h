// CleaningFixture: a log with cleanup.policy=compact on a simulated disk, and what readers see of
// it.
#pragma once

#include "storage/cleaning.h"
#include "storage/tests/invariants.h"

#include <doctest/doctest.h>

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace test {

using base::Offset;

struct Pair {
    std::string key;
    std::optional<std::string> value;
};

// One record, as a reader sees it.
struct Seen {
    std::string key;
    std::optional<std::string> value;
    std::int64_t timestamp = -1;

    friend bool operator==(const Seen&, const Seen&) = default;
};

inline std::string text(const std::optional<records::Bytes>& bytes) {
    return bytes ? std::string(records::text_of(*bytes)) : std::string();
}

struct CleaningFixture : LogFixture {
    explicit CleaningFixture(storage::LogConfig with = {}, std::uint64_t seed = 1)
        : LogFixture(compacting(with), seed) {}
    CleaningFixture(SimulatedDisk& on, storage::LogConfig with)
        : LogFixture(on, compacting(with)) {}

    static storage::LogConfig compacting(storage::LogConfig config) {
        config.compacts = true;
        config.deletes = false;
        if (config.segment_bytes == storage::LogConfig().segment_bytes) config.segment_bytes = 400;
        config.index_interval_bytes = 100;
        config.min_cleanable_dirty_ratio = 0;
        return config;
    }

    Offset put(const std::vector<Pair>& pairs, const BatchOf& of = {}) {
        records::BatchSettings all{.codec = of.codec};
        if (of.producer >= 0) {
            all.producer_id = base::ProducerId(of.producer);
            all.producer_epoch = of.epoch;
            all.base_sequence = of.sequence;
            all.transactional = of.transactional;
        }
        records::BatchBuilder builder(all);
        for (std::int64_t at = of.timestamp; const Pair& pair : pairs) {
            std::optional<records::Bytes> value;
            if (pair.value) value = records::bytes_of(*pair.value);
            builder.append({.timestamp = at++, .key = records::bytes_of(pair.key), .value = value});
        }
        return append(builder.finish());
    }
    Offset put(std::string key, std::string value) {
        return put(std::vector<Pair>{{std::move(key), std::move(value)}});
    }
    Offset remove(std::string key) {
        return put(std::vector<Pair>{{std::move(key), std::nullopt}});
    }
    // What was written until now may be cleaned.
    void seal() {
        if (auto roll = log->take_roll(now_ms)) {
            REQUIRE(log->write(*roll));
            log->commit(std::move(*roll));
        }
        flush();
        log->high_watermark_moved(log->end_offset());
    }

    base::Result<storage::CleaningReport, storage::Fault> try_clean() {
        log->high_watermark_moved(log->end_offset());
        storage::CleaningHooks hooks;
        hooks.replaced = [&](storage::Dropped dropped) { replaced.push_back(std::move(dropped)); };
        return storage::clean(*log, mutex, log->end_offset(), settings, hooks, now_ms);
    }
    storage::CleaningReport clean() {
        auto cleaned = try_clean();
        INFO(std::string(cleaned ? "" : cleaned.error().detail));
        REQUIRE(cleaned);
        return *cleaned;
    }
    void remove_replaced() {
        for (auto& each : replaced) REQUIRE(each.remove());
        replaced.clear();
    }
    storage::CleaningOutlook look() {
        const auto outlook = storage::Cleaning::look(log->cleaning_plan(log->end_offset()), now_ms);
        REQUIRE(outlook);
        return *outlook;
    }

    // All records that a reader gets, control records left out, by offset.
    std::map<std::int64_t, Seen> records() {
        std::map<std::int64_t, Seen> all;
        records::Inflater inflater;
        for (Offset from = log->log_start_offset(); from < log->end_offset();) {
            const auto bytes = bytes_of(read(from));
            if (bytes.empty()) break;
            for (auto rest = std::span(bytes); !rest.empty();) {
                const auto batch = records::Batch::read(rest);
                REQUIRE(batch);
                from = batch->last_offset() + 1;
                rest = rest.subspan(batch->size());
                if (batch->is_control()) continue;
                auto walk = records::RecordWalk::open(*batch, inflater);
                REQUIRE(walk);
                while (const records::Record* const record = walk->next()) {
                    Seen seen{
                        .key = text(record->key), .value = {}, .timestamp = record->timestamp};
                    if (record->value) seen.value = text(record->value);
                    CHECK(all.emplace(record->offset.value(), std::move(seen)).second);
                }
                CHECK_FALSE(walk->fault());
            }
        }
        return all;
    }
    std::vector<std::int64_t> offsets() {
        std::vector<std::int64_t> all;
        for (const auto& [offset, seen] : records()) all.push_back(offset);
        return all;
    }
    std::size_t markers() {
        std::size_t count = 0;
        for (const auto& [offset, bytes] : batches_on(disk)) {
            count += records::Batch::read(bytes)->is_control() ? 1 : 0;
        }
        return count;
    }

    std::mutex mutex;
    storage::CleaningSettings settings;
    std::vector<storage::Dropped> replaced;
};

// The newest of each key, which is what a compacted log is for.
inline std::map<std::string, std::string> table_of(const std::map<std::int64_t, Seen>& records) {
    std::map<std::string, std::string> table;
    for (const auto& [offset, seen] : records) {
        if (seen.value) {
            table[seen.key] = *seen.value;
        } else {
            table.erase(seen.key);
        }
    }
    return table;
}

// What a reader of committed records sees.
inline std::map<std::int64_t, Seen> committed(CleaningFixture& in) {
    auto all = in.records();
    const auto result =
        in.try_read(in.log->log_start_offset(),
                    {.bound = in.log->end_offset(), .bytes_max = 1, .at_least_one_batch = true});
    REQUIRE(result);
    std::map<std::int64_t, std::int64_t> producer_at;
    for (const auto& [offset, bytes] : batches_on(in.disk)) {
        const auto facts = *storage::read_entry_header(bytes);
        for (auto at = facts.base; at <= facts.last; at = at + 1)
            producer_at[at.value()] = facts.is_transactional() ? facts.producer.value() : -1;
    }
    for (Offset from = in.log->log_start_offset(); from < in.log->end_offset();) {
        const auto part = in.try_read(from, {.bound = in.log->end_offset(),
                                             .bytes_max = 1,
                                             .at_least_one_batch = true,
                                             .with_aborted = true});
        REQUIRE(part);
        if (part->size() == 0) break;
        const auto bytes = in.bytes_of(*part);
        const auto facts = *storage::read_entry_header(bytes);
        for (const auto& one : part->aborted) {
            if (one.producer != facts.producer || !facts.is_transactional()) continue;
            if (facts.base < one.first || facts.last > one.last) continue;
            for (auto at = facts.base; at <= facts.last; at = at + 1) all.erase(at.value());
        }
        from = facts.last + 1;
    }
    return all;
}

}  // namespace test
