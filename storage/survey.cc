#include "storage/survey.h"

#include "storage/entry_scan.h"
#include "storage/producer_snapshot.h"

#include <algorithm>
#include <map>
#include <optional>

namespace storage {

using base::LeaderEpoch;
using base::Offset;
using base::ProducerId;
using base::Result;
using base::Unexpected;
using std::filesystem::path;

namespace {

constexpr std::uint64_t snapshot_bytes_max = std::uint64_t{1} << 31;

// Epochs and producers of one segment's batches. A tail that is no entry ends the walk: the
// start of the broker will judge it.
Result<void, Fault> walk(Disk& disk, const path& name, SurveyedPartition& partition) {
    const auto file = disk.open(name, OpenMode::read);
    if (!file) return Unexpected(file.error());
    const auto size = (*file)->size();
    if (!size) return Unexpected(size.error());
    EntryScan scan(**file, 0, *size, EntryScan::Depth::headers);
    while (const EntryFacts* const entry = scan.next()) {
        partition.max_leader_epoch = std::max(partition.max_leader_epoch, entry->leader_epoch);
        partition.max_producer = std::max(partition.max_producer, entry->producer);
    }
    if (scan.fault()) return Unexpected(*scan.fault());
    return {};
}

Result<void, Fault> look_into(Disk& disk, const path& directory, SurveyedPartition& partition) {
    const auto id = read_topic_id(disk, directory / partition_metadata_file);
    if (id) partition.topic_id = *id;
    if (!id && id.error().kind != FaultKind::not_found) return Unexpected(id.error());

    const auto epochs = read_epochs(disk, directory / epochs_file);
    if (epochs && !epochs->empty()) partition.max_leader_epoch = epochs->back().epoch;
    if (!epochs && epochs.error().kind == FaultKind::io) return Unexpected(epochs.error());

    const auto entries = disk.list(directory);
    if (!entries) return Unexpected(entries.error());
    std::vector<Offset> segments;
    std::optional<Offset> snapshot;
    for (const DirectoryEntry& entry : *entries) {
        const auto name = parse_file_name(entry.name);
        if (!name) continue;
        if (name->suffix == ".log") {
            const auto facts = disk.facts(directory / entry.name);
            if (!facts) return Unexpected(facts.error());
            partition.bytes += facts->bytes;
            segments.push_back(name->offset);
        }
        if (name->suffix != ".snapshot") continue;
        const auto bytes = read_whole(disk, directory / entry.name, snapshot_bytes_max);
        if (!bytes) return Unexpected(bytes.error());
        const auto facts = decode_snapshot(*bytes);
        if (!facts) continue;
        snapshot = std::max(snapshot.value_or(name->offset), name->offset);
        for (const ProducerFacts& one : *facts) {
            partition.max_producer = std::max(partition.max_producer, one.producer);
        }
    }
    std::ranges::sort(segments);
    if (!segments.empty()) partition.first_offset = segments.front();
    // What the newest snapshot covers was counted with it; epochs are in the batches alone
    // when their checkpoint is missing.
    for (std::size_t i = 0; i < segments.size(); ++i) {
        const bool is_covered = epochs && snapshot && i + 1 < segments.size() &&
                                segments[i + 1] <= *snapshot;
        if (is_covered) continue;
        if (auto done = walk(disk, directory / file_name(segments[i], ".log"), partition); !done) {
            return done;
        }
    }
    return {};
}

}  // namespace

Result<Survey, Fault> survey(Disk& disk, const path& name) {
    Survey found;
    auto identity = read_identity(disk, name / identity_file);
    if (identity) found.identity = std::move(*identity);
    if (!identity && identity.error().kind != FaultKind::not_found) {
        return Unexpected(identity.error());
    }
    const auto entries = disk.list(name);
    if (!entries) return Unexpected(entries.error());
    for (const DirectoryEntry& entry : *entries) {
        if (entry.name == clean_stop_file) found.was_clean = true;
        if (!entry.is_directory) continue;
        auto parsed = parse_directory_name(entry.name);
        if (parsed.kind == DirectoryKind::unknown) found.unknown_directories.push_back(entry.name);
        if (parsed.kind == DirectoryKind::metadata && entry.name.starts_with("__cluster_metadata")) {
            found.has_cluster_metadata = true;
        }
        if (parsed.kind == DirectoryKind::unknown || parsed.kind == DirectoryKind::metadata) continue;
        SurveyedPartition partition;
        partition.at = std::move(parsed.at);
        partition.kind = parsed.kind;
        if (auto done = look_into(disk, name / entry.name, partition); !done) {
            partition.fault = done.error();
        }
        found.max_producer = std::max(found.max_producer, partition.max_producer);
        found.partitions.push_back(std::move(partition));
    }
    return found;
}

}  // namespace storage
