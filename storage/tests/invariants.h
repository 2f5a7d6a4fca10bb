// invariants: what must hold of a log whenever it has been opened (reliability: "after every
// recovery").
//
//     segments follow one another, offsets rise, checksums are right
//     index entries name batches by their last offsets, and where they begin
//     time entries rise, and name the batch that has the timestamp
//     the producer state is what a replay of the batches gives
//     leader epochs rise in both columns
#pragma once

#include "storage/checkpoint.h"
#include "storage/entry_scan.h"
#include "storage/index.h"
#include "storage/names.h"
#include "storage/tests/log_fixture.h"

#include <map>

namespace test {

// All whole batches in the files of a log, by base offset; CHECKs that they are valid.
inline std::map<std::int64_t, std::vector<std::byte>> batches_on(SimulatedDisk& disk) {
    std::map<std::int64_t, std::vector<std::byte>> all;
    base::Offset next(0);
    const auto entries_there = *disk.list(log_folder);
    for (const auto& entry : entries_there) {
        const auto name = storage::parse_file_name(entry.name);
        if (!name || name->suffix != ".log") continue;
        CHECK(name->offset.value() >= next.value());
        const auto file = *disk.open(log_folder / entry.name, storage::OpenMode::read);
        storage::EntryScan scan(*file, 0, *file->size(), storage::EntryScan::Depth::whole,
                                base::Offset(next.value() - 1));
        while (const storage::EntryFacts* const facts = scan.next()) {
            const auto bytes = scan.bytes();
            all[facts->base.value()].assign(bytes.begin(), bytes.end());
            next = facts->last + 1;
        }
        CHECK(scan.reached_end());
    }
    return all;
}

inline void check_indexes(SimulatedDisk& disk) {
    const auto entries_there = *disk.list(log_folder);
    for (const auto& entry : entries_there) {
        const auto name = storage::parse_file_name(entry.name);
        if (!name || name->suffix != ".log") continue;
        const auto file = *disk.open(log_folder / entry.name, storage::OpenMode::read);
        std::map<std::uint64_t, storage::EntryFacts> by_position;
        std::map<std::int64_t, std::int64_t> timestamps;
        storage::EntryScan scan(*file, 0, *file->size(), storage::EntryScan::Depth::headers);
        while (const storage::EntryFacts* const facts = scan.next()) {
            by_position[scan.position()] = *facts;
            timestamps[facts->last.value()] = facts->max_timestamp;
        }
        const auto index = log_folder / storage::file_name(name->offset, ".index");
        const auto times = log_folder / storage::file_name(name->offset, ".timeindex");
        if (disk.has(index)) {
            const auto& bytes = disk.bytes_of(index);
            const auto entries = storage::decode_offsets(bytes, name->offset);
            CHECK(entries.size() * storage::OffsetEntry::size == bytes.size());
            for (const auto& one : entries) {
                REQUIRE(by_position.contains(one.position));
                CHECK(by_position[one.position].last == one.last);
            }
        }
        if (disk.has(times)) {
            const auto& bytes = disk.bytes_of(times);
            const auto entries = storage::decode_times(bytes, name->offset);
            CHECK(entries.size() * storage::TimeEntry::size == bytes.size());
            for (const auto& one : entries) {
                REQUIRE(timestamps.contains(one.last.value()));
                CHECK(timestamps[one.last.value()] == one.timestamp);
            }
        }
    }
}

// Requires a log that lost nothing to retention, so that a replay sees all of it.
inline std::vector<storage::ProducerFacts> replayed(SimulatedDisk& disk) {
    storage::Producers producers;
    for (const auto& [offset, bytes] : batches_on(disk)) {
        const auto facts = storage::read_entry_header(bytes);
        if (!facts->has_producer()) continue;
        producers.commit(storage::producer_batch(*facts, storage::read_marker(bytes, *facts)));
    }
    return producers.facts();
}

inline void check_invariants(LogFixture& in) {
    const auto batches = batches_on(in.disk);
    check_indexes(in.disk);
    CHECK(in.log->log_start_offset() <= in.log->end_offset());
    CHECK(in.log->recovery_point() <= in.log->end_offset());
    if (!batches.empty()) {
        const auto last = storage::read_entry_header(batches.rbegin()->second)->last;
        CHECK(in.log->end_offset() == last + 1);
        CHECK(in.log->log_start_offset() >= in.log->first_base());
    }
}

}  // namespace test
