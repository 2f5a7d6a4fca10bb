#include "storage/log_directory.h"

#include "protocol/base/ensure.h"

#include <algorithm>
#include <thread>

namespace storage {

using base::Offset;
using base::Result;
using base::TopicPartition;
using base::Unexpected;
namespace fs = std::filesystem;

namespace {

Result<bool, Fault> exists(Disk& disk, const fs::path& name) {
    const auto facts = disk.facts(name);
    if (facts) return true;
    if (facts.error().kind == FaultKind::not_found) return false;
    return Unexpected(facts.error());
}

// Make a directory and what it lies in, each name durable.
Result<void, Fault> make_path(Disk& disk, const fs::path& name) {
    const auto there = exists(disk, name);
    if (!there) return Unexpected(there.error());
    if (*there) return {};
    const fs::path parent = name.has_parent_path() ? name.parent_path() : ".";
    if (parent == name) {
        return Unexpected(Fault(FaultKind::not_found, name.string() + " is not there"));
    }
    if (auto done = make_path(disk, parent); !done) return done;
    if (auto done = disk.make_directory(name); !done) return done;
    return disk.sync_directory(parent);
}

Result<void, Fault> remove_tree(Disk& disk, const fs::path& name) {
    const auto entries = disk.list(name);
    if (!entries) return Unexpected(entries.error());
    for (const DirectoryEntry& entry : *entries) {
        const auto done = entry.is_directory ? remove_tree(disk, name / entry.name)
                                             : disk.remove_file(name / entry.name);
        if (!done) return done;
    }
    return disk.remove_directory(name);
}

}  // namespace

Result<std::unique_ptr<LogDirectory>, Fault> LogDirectory::open(Disk& disk, FileCache& files,
                                                                const fs::path& name) {
    const fs::path whole = name.has_filename() ? name : name.parent_path();
    if (auto done = make_path(disk, whole); !done) return Unexpected(done.error());
    std::unique_ptr<LogDirectory> directory(new LogDirectory(disk, files, whole));
    auto lock = disk.lock(whole / lock_file);
    if (!lock) return Unexpected(lock.error());
    directory->lock_ = std::move(*lock);
    if (auto done = directory->look_around(); !done) return Unexpected(done.error());
    return directory;
}

Result<void, Fault> LogDirectory::look_around() {
    auto identity = read_identity(disk_, path_ / identity_file);
    if (identity) {
        identity_ = std::move(*identity);
    } else if (identity.error().kind != FaultKind::not_found) {
        return Unexpected(identity.error());
    }

    const auto entries = disk_.list(path_);
    if (!entries) return Unexpected(entries.error());
    for (const DirectoryEntry& entry : *entries) {
        if (!entry.is_directory) continue;
        auto name = parse_directory_name(entry.name);
        if (name.kind == DirectoryKind::unknown) unknown_.push_back(entry.name);
        if (name.kind != DirectoryKind::partition && name.kind != DirectoryKind::future) continue;
        Found found{std::move(name.at), std::nullopt, path_ / entry.name};
        const auto id = read_topic_id(disk_, found.directory / partition_metadata_file);
        if (id) {
            found.topic_id = *id;
        } else if (id.error().kind == FaultKind::io) {
            return Unexpected(id.error());
        } else if (id.error().kind == FaultKind::corrupt) {
            notes_.push_back(id.error().detail);
        } else if (id.error().kind == FaultKind::foreign) {
            found.fault = id.error();
        }
        (name.kind == DirectoryKind::partition ? partitions_ : copies_).push_back(std::move(found));
    }

    for (const auto which : {Checkpoint::recovery_point, Checkpoint::high_watermark,
                             Checkpoint::log_start, Checkpoint::cleaner}) {
        auto& last = checkpoints_[which];
        auto offsets = read_offsets(disk_, path_ / name_of(which));
        if (offsets) {
            last = std::move(*offsets);
        } else if (offsets.error().kind == FaultKind::io) {
            return Unexpected(offsets.error());
        } else if (offsets.error().kind == FaultKind::corrupt) {
            notes_.push_back(offsets.error().detail + "; taken as empty");
        }
    }

    const auto clean = exists(disk_, path_ / clean_stop_file);
    if (!clean) return Unexpected(clean.error());
    was_clean_ = *clean;
    return {};
}

// The marker goes before a log is changed: a crash from now on is not a clean stop.
Result<void, Fault> LogDirectory::take_marker() {
    if (!was_clean_) return {};
    if (auto done = disk_.remove_file(path_ / clean_stop_file); !done) {
        if (done.error().kind == FaultKind::not_found) return {};
        return done;
    }
    return disk_.sync_directory(path_);
}

Result<void, Fault> LogDirectory::claim(const Identity& identity) {
    if (identity_) return {};
    if (auto done = write_identity(disk_, path_ / identity_file, identity); !done) return done;
    identity_ = identity;
    return {};
}

// Its path may lead to an empty directory by now: the one that it was mounted on, or a new one.
std::optional<Fault> LogDirectory::failure() const {
    for (const char* const file : {lock_file, identity_file}) {
        const auto facts = disk_.facts(path_ / file);
        if (facts || facts.error().kind == FaultKind::no_space) return std::nullopt;
        if (facts.error().kind == FaultKind::io) return facts.error();
    }
    return Fault(FaultKind::io, path_.string() + " has neither " + lock_file + " nor " +
                                    identity_file + ": it was removed, or unmounted");
}

bool LogDirectory::is_failed_by(const Fault& fault) const {
    if (fault.kind == FaultKind::not_found) return failure().has_value();
    return fault.kind == FaultKind::io;
}

Offset LogDirectory::offset_in(Checkpoint which, const TopicPartition& at) const {
    const Offsets& offsets = checkpoints_.at(which);
    const auto found = offsets.find(at);
    return found == offsets.end() ? Offset(0) : found->second;
}

LoadedLog LogDirectory::load_one(const Found& found, const LogConfig& config, std::int64_t now_ms,
                                 std::uint64_t seed) const {
    LoadedLog loaded{.at = found.at, .topic_id = found.topic_id, .directory = found.directory};
    if (found.fault) {
        loaded.fault = found.fault;
        return loaded;
    }
    auto log = Log::open(disk_, files_,
                         {.directory = found.directory,
                          .config = config,
                          .recovery_point = offset_in(Checkpoint::recovery_point, found.at),
                          .log_start_offset = offset_in(Checkpoint::log_start, found.at),
                          .cleaned_to = offset_in(Checkpoint::cleaner, found.at),
                          .was_clean = was_clean_,
                          .now_ms = now_ms,
                          .seed = seed ^ std::hash<TopicPartition>()(found.at)},
                         &loaded.report);
    if (!log) {
        loaded.fault = log.error();
        return loaded;
    }
    loaded.log = std::move(*log);
    loaded.high_watermark = std::clamp(offset_in(Checkpoint::high_watermark, found.at),
                                       loaded.log->log_start_offset(), loaded.log->end_offset());
    return loaded;
}

Result<std::vector<LoadedLog>, Fault> LogDirectory::load(const ConfigOf& config_of,
                                                         std::size_t threads, std::int64_t now_ms,
                                                         std::uint64_t seed,
                                                         const Progress& progress) {
    if (auto done = take_marker(); !done) return Unexpected(done.error());
    struct Work {
        const Found* found;
        LogConfig config;
    };
    std::vector<Work> work;
    for (const Found& found : partitions_) {
        if (const auto config = config_of(found.at)) {
            work.push_back({&found, *config});
        } else {
            not_loaded_.insert(found.at);
        }
    }

    std::vector<LoadedLog> loaded(work.size());
    std::atomic<std::size_t> next = 0;
    std::atomic<std::size_t> finished = 0;
    const auto take_turns = [&] {
        for (std::size_t index = next++; index < work.size(); index = next++) {
            loaded[index] = load_one(*work[index].found, work[index].config, now_ms, seed);
            if (progress) progress(++finished, work.size());
        }
    };
    {
        std::vector<std::jthread> others;
        for (std::size_t i = 1; i < std::min(threads, work.size()); ++i) {
            others.emplace_back(take_turns);
        }
        take_turns();
    }
    for (const LoadedLog& one : loaded) {
        if (!one.fault) continue;
        if (is_failed_by(*one.fault)) return Unexpected(*one.fault);
        not_loaded_.insert(one.at);
    }
    return loaded;
}

Result<std::unique_ptr<Log>, Fault> LogDirectory::make(const TopicPartition& at,
                                                       const fs::path& directory,
                                                       const std::optional<base::Uuid>& topic_id,
                                                       const LogOptions& options) {
    // Positions of an earlier partition of that name are none of this one.
    if (auto done = forget(at); !done) return Unexpected(done.error());
    if (auto done = disk_.make_directory(directory); !done) return Unexpected(done.error());
    if (topic_id) {
        if (auto done = write_new_topic_id(disk_, directory / partition_metadata_file, *topic_id);
            !done) {
            return Unexpected(done.error());
        }
    }
    return Log::open(disk_, files_, options);
}

Result<std::unique_ptr<Log>, Fault> LogDirectory::create(const TopicPartition& at,
                                                         const std::optional<base::Uuid>& topic_id,
                                                         const LogConfig& config,
                                                         std::int64_t now_ms, std::uint64_t seed) {
    const fs::path directory = directory_of(at);
    const auto there = exists(disk_, directory);
    if (!there) return Unexpected(there.error());
    if (*there) {
        return Unexpected(Fault(FaultKind::busy, directory.string() + " exists already"));
    }
    return make(at, directory, topic_id,
                {.directory = directory,
                 .config = config,
                 .was_clean = false,
                 .is_new = true,
                 .now_ms = now_ms,
                 .seed = seed ^ std::hash<TopicPartition>()(at)});
}

Result<void, Fault> LogDirectory::forget(const TopicPartition& at) {
    const std::lock_guard lock(mutex_);
    not_loaded_.erase(at);
    for (auto& [which, offsets] : checkpoints_) {
        if (offsets.erase(at) == 0) continue;
        if (auto done = write_offsets(disk_, path_ / name_of(which), offsets); !done) return done;
    }
    return {};
}

Result<void, Fault> LogDirectory::retire(const TopicPartition& at, Log* log,
                                         const base::Uuid& unique, DirectoryKind kind) {
    if (auto done = rename_away(at, directory_of(at), log, unique, kind); !done) return done;
    const std::lock_guard lock(mutex_);
    not_loaded_.erase(at);
    return {};
}

Result<void, Fault> LogDirectory::rename_away(const TopicPartition& at, const fs::path& from,
                                              Log* log, const base::Uuid& unique,
                                              DirectoryKind kind) {
    base::ensure(kind == DirectoryKind::deleted || kind == DirectoryKind::stray,
                 "a partition retires as deleted or as stray");
    const fs::path to = path_ / directory_name(at, kind, unique);
    if (auto done = disk_.rename(from, to); !done) return done;
    if (log != nullptr) log->moved_to(to);
    return disk_.sync_directory(path_);
}

Result<std::unique_ptr<Log>, Fault> LogDirectory::create_copy(
    const TopicPartition& at, const std::optional<base::Uuid>& topic_id, Offset start,
    const LogConfig& config, std::int64_t now_ms, const base::Uuid& unique) {
    const fs::path directory = path_ / directory_name(at, DirectoryKind::future, unique);
    return make(at, directory, topic_id,
                {.directory = directory,
                 .config = config,
                 .recovery_point = start,
                 .log_start_offset = start,
                 .was_clean = false,
                 .is_new = true,
                 .now_ms = now_ms});
}

Result<std::unique_ptr<Log>, Fault> LogDirectory::load_copy(const Found& found,
                                                            const LogConfig& config,
                                                            std::int64_t now_ms) {
    return Log::open(disk_, files_,
                     {.directory = found.directory,
                      .config = config,
                      .recovery_point = offset_in(Checkpoint::recovery_point, found.at),
                      .log_start_offset = offset_in(Checkpoint::log_start, found.at),
                      .was_clean = false,
                      .now_ms = now_ms});
}

Result<void, Fault> LogDirectory::promote(const TopicPartition& at, Log& copy) {
    const fs::path to = directory_of(at);
    const auto there = exists(disk_, to);
    if (!there) return Unexpected(there.error());
    if (*there) return Unexpected(Fault(FaultKind::busy, to.string() + " exists already"));
    if (auto done = disk_.rename(copy.directory(), to); !done) return done;
    copy.moved_to(to);
    return {};
}

Result<void, Fault> LogDirectory::retire_copy(const TopicPartition& at, const fs::path& copy,
                                              const base::Uuid& unique, DirectoryKind kind) {
    return rename_away(at, copy, nullptr, unique, kind);
}

Result<std::size_t, Fault> LogDirectory::purge() {
    const auto entries = disk_.list(path_);
    if (!entries) return Unexpected(entries.error());
    std::size_t removed = 0;
    for (const DirectoryEntry& entry : *entries) {
        if (!entry.is_directory ||
            parse_directory_name(entry.name).kind != DirectoryKind::deleted) {
            continue;
        }
        if (auto done = remove_tree(disk_, path_ / entry.name); !done) {
            return Unexpected(done.error());
        }
        ++removed;
    }
    return removed;
}

Result<void, Fault> LogDirectory::set_topic_id(const TopicPartition& at, const base::Uuid& id) {
    const fs::path name = directory_of(at) / partition_metadata_file;
    const auto known = read_topic_id(disk_, name);
    if (known) return {};
    if (known.error().kind == FaultKind::io || known.error().kind == FaultKind::foreign)
        return Unexpected(known.error());
    return write_topic_id(disk_, name, id);
}

Result<void, Fault> LogDirectory::forget_topic_id(const TopicPartition& at) {
    const auto done = disk_.remove_file(directory_of(at) / partition_metadata_file);
    if (!done && done.error().kind != FaultKind::not_found) return done;
    return {};
}

Result<void, Fault> LogDirectory::checkpoint(Checkpoint which, const Offsets& offsets) {
    const std::lock_guard lock(mutex_);
    Offsets& last = checkpoints_[which];
    Offsets all = offsets;
    for (const TopicPartition& at : not_loaded_) {
        const auto before = last.find(at);
        if (before != last.end()) all.insert(*before);
    }
    if (auto done = write_offsets(disk_, path_ / name_of(which), all); !done) return done;
    last = std::move(all);
    return {};
}

Result<void, Fault> LogDirectory::mark_clean(std::int64_t broker_epoch) {
    const std::string text = "{\"version\":0,\"brokerEpoch\":" + std::to_string(broker_epoch) + "}";
    return replace_file(disk_, path_ / clean_stop_file, std::as_bytes(std::span(text)));
}

}  // namespace storage
