// LogDirectory: one entry of log.dirs, with everything of it that is not inside a log.
//
//     open        takes .lock, reads meta.properties; changes nothing that was there
//     load        takes .kafka_cleanshutdown away and opens the logs of all partitions, on as
//                 many threads as it is given
//     create      makes a partition's directory and its empty log
//     retire      renames it to …-delete; purge() removes what has that name
//     create_copy makes …-future, a partition that is on its way here from another directory;
//                 promote gives it the partition's name
//     checkpoint  recovery points, high watermarks, log starts, each in its file
//     close       .kafka_cleanshutdown, when every log was closed without a fault
//     failure     why nothing in it can be relied on any more; is_failed_by says of which faults
//                 that is the reason
//
// Threads: functions are called one at a time, but create() and retire() may run beside one
// another for different partitions. All of them block: the disk pool's work.
//
// On disk: facts/kafka.md §2.1 to §2.6; names.h, checkpoint.h.
#pragma once

#include "storage/checkpoint.h"
#include "storage/file_cache.h"
#include "storage/log.h"
#include "storage/names.h"

#include <array>
#include <functional>
#include <mutex>
#include <set>

namespace storage {

// A partition as a load found it.
struct LoadedLog {
    base::TopicPartition at;
    std::optional<base::Uuid> topic_id;  // From partition.metadata.
    std::filesystem::path directory;
    std::unique_ptr<Log> log;       // Null when it could not be loaded:
    std::optional<Fault> fault;     // corrupt: this partition only; io: the whole directory.
    base::Offset high_watermark{};  // From the checkpoint, clamped to the log.
    RecoveryReport report;
};

class LogDirectory {
public:
    // Faults: locked, io, foreign, corrupt (meta.properties); each says which file, and what
    // to do about it. The directory is made if it is not there.
    [[nodiscard]] static base::Result<std::unique_ptr<LogDirectory>, Fault> open(
        Disk& disk, FileCache& files, const std::filesystem::path& path);

    const std::filesystem::path& path() const noexcept { return path_; }
    Disk& disk() const noexcept { return disk_; }

    // What meta.properties said; nothing in a new directory. The broker holds it against
    // its configuration and its cluster, then claims the directory.
    const std::optional<Identity>& identity() const noexcept { return identity_; }
    // Write meta.properties if it is not there. An existing one is left as it is.
    [[nodiscard]] base::Result<void, Fault> claim(const Identity& identity);

    // Why the directory cannot be used any more, an io fault; nothing while it can. One that was
    // removed, renamed or unmounted while files in it are open is noticed here, and at every name
    // that is looked for in it.
    std::optional<Fault> failure() const;
    // Whether a fault that was met in the directory is the directory's own, and so takes all of its
    // partitions with it: io; not_found, when failure() is the reason. All else is of one file, or
    // passes.
    bool is_failed_by(const Fault& fault) const;

    bool was_clean() const noexcept { return was_clean_; }
    bool has_partitions() const noexcept { return !partitions_.empty(); }
    // Directories whose names Apache Kafka would refuse, which are left alone.
    const std::vector<std::string>& unknown_directories() const noexcept { return unknown_; }

    // What is there, from names and partition.metadata alone; opens no log.
    struct Found {
        base::TopicPartition at;
        std::optional<base::Uuid> topic_id;
        std::filesystem::path directory;
        std::optional<Fault> fault = {};  // foreign: of a newer format; its log is left alone.
    };
    const std::vector<Found>& partitions() const noexcept { return partitions_; }
    // The same of copies that were being made here when the last process ended.
    const std::vector<Found>& copies() const noexcept { return copies_; }

    // The settings of a partition's log; nothing to leave its directory as it is. Called by
    // the thread that calls load().
    using ConfigOf = std::function<std::optional<LogConfig>(const base::TopicPartition&)>;
    // Called from several threads at once, while the load runs, for progress lines.
    using Progress = std::function<void(std::size_t loaded, std::size_t of)>;

    // Open the logs of all partitions, on `threads` threads that end before it returns.
    // A partition that fails stands in the result with its fault; its lines in the
    // checkpoints stay, so that a later start judges it by the same recovery point.
    [[nodiscard]] base::Result<std::vector<LoadedLog>, Fault> load(const ConfigOf& config_of,
                                                                   std::size_t threads,
                                                                   std::int64_t now_ms,
                                                                   std::uint64_t seed,
                                                                   const Progress& progress = {});

    // Make the directory of a partition, and its empty log. It waits for no sync: directory and
    // files are durable as soon as anything in the log is, and the metadata knows of it anyway.
    // Faults: io, no_space; busy when it exists.
    [[nodiscard]] base::Result<std::unique_ptr<Log>, Fault> create(
        const base::TopicPartition& at, const std::optional<base::Uuid>& topic_id,
        const LogConfig& config, std::int64_t now_ms, std::uint64_t seed);

    // Give the directory of a partition the suffix -delete (or -stray), durable when this
    // returns. The log moves along; readers that hold slices of it go on. `unique` is a
    // random id. `log` may be null (a partition that failed to load).
    [[nodiscard]] base::Result<void, Fault> retire(const base::TopicPartition& at, Log* log,
                                                   const base::Uuid& unique,
                                                   DirectoryKind kind = DirectoryKind::deleted);

    // ---- Partitions that move here from another log directory.
    // Make the directory of a copy, and its empty log that begins at `start`. `unique` is a random
    // id. Requires can_name_copy(at). Faults: io, no_space.
    [[nodiscard]] base::Result<std::unique_ptr<Log>, Fault> create_copy(
        const base::TopicPartition& at, const std::optional<base::Uuid>& topic_id,
        base::Offset start, const LogConfig& config, std::int64_t now_ms, const base::Uuid& unique);
    // Open one of copies(). A torn tail is cut. Faults: those of Log::open.
    [[nodiscard]] base::Result<std::unique_ptr<Log>, Fault> load_copy(const Found& found,
                                                                      const LogConfig& config,
                                                                      std::int64_t now_ms);
    // Give the copy the partition's own name, durable after the next sync of this directory.
    // Faults: io; busy when a directory of that name is here.
    [[nodiscard]] base::Result<void, Fault> promote(const base::TopicPartition& at, Log& copy);
    // As retire(), for the directory of a copy.
    [[nodiscard]] base::Result<void, Fault> retire_copy(
        const base::TopicPartition& at, const std::filesystem::path& copy, const base::Uuid& unique,
        DirectoryKind kind = DirectoryKind::deleted);

    // Remove all -delete directories that are there. Faults: io.
    [[nodiscard]] base::Result<std::size_t, Fault> purge();

    // Write partition.metadata into a directory that has none (adopted data), or one that a power
    // cut left half written.
    [[nodiscard]] base::Result<void, Fault> set_topic_id(const base::TopicPartition& at,
                                                         const base::Uuid& id);

    // Remove its partition.metadata, if there is one. Faults: io.
    [[nodiscard]] base::Result<void, Fault> forget_topic_id(const base::TopicPartition& at);

    // Write a checkpoint. Partitions that are not listed are forgotten in it, but those that load()
    // left alone or could not load.
    [[nodiscard]] base::Result<void, Fault> checkpoint(Checkpoint which, const Offsets& offsets);

    // Checkpoints that could not be read when the directory was opened, one line each.
    const std::vector<std::string>& notes() const noexcept { return notes_; }

    // Sync all of the file system that holds the directory (a flush round above the
    // flusher's limit).
    [[nodiscard]] base::Result<void, Fault> sync_everything() {
        return disk_.sync_everything(path_);
    }

    // The clean-stop marker. Call it last, only when every log's close() succeeded and the
    // checkpoints are written.
    [[nodiscard]] base::Result<void, Fault> mark_clean(std::int64_t broker_epoch);

private:
    LogDirectory(Disk& disk, FileCache& files, std::filesystem::path path)
        : disk_(disk), files_(files), path_(std::move(path)) {}

    [[nodiscard]] base::Result<void, Fault> look_around();
    [[nodiscard]] base::Result<void, Fault> take_marker();
    [[nodiscard]] base::Result<void, Fault> forget(const base::TopicPartition& at);
    [[nodiscard]] base::Result<std::unique_ptr<Log>, Fault> make(
        const base::TopicPartition& at, const std::filesystem::path& directory,
        const std::optional<base::Uuid>& topic_id, const LogOptions& options);
    [[nodiscard]] base::Result<void, Fault> rename_away(const base::TopicPartition& at,
                                                        const std::filesystem::path& from, Log* log,
                                                        const base::Uuid& unique,
                                                        DirectoryKind kind);
    LoadedLog load_one(const Found& found, const LogConfig& config, std::int64_t now_ms,
                       std::uint64_t seed) const;
    base::Offset offset_in(Checkpoint which, const base::TopicPartition& at) const;
    std::filesystem::path directory_of(const base::TopicPartition& at) const {
        return path_ / directory_name(at);
    }

    Disk& disk_;
    FileCache& files_;
    std::filesystem::path path_;
    std::unique_ptr<FileLock> lock_;
    std::optional<Identity> identity_;
    bool was_clean_ = false;
    std::vector<Found> partitions_;
    std::vector<Found> copies_;
    std::vector<std::string> unknown_;
    std::vector<std::string> notes_;
    mutable std::mutex mutex_;  // Guards what follows; held while a checkpoint is written.
    std::map<Checkpoint, Offsets> checkpoints_;  // All of them, as last read or written.
    std::set<base::TopicPartition> not_loaded_;
};

}  // namespace storage
