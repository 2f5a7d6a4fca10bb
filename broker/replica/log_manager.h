// LogManager: the log directories of this broker, and the background work on their logs.
//
//     open      locks every directory and reads whose it is
//     load      opens all logs, in parallel
//     keeper    one thread: flushes what is dirty, drops what retention lets go, writes the
//               checkpoints, removes deleted files (log_manager_keeping.cc)
//     cleaner   its own threads: compaction
//     mover     its own threads: partitions move to other directories (log_manager_moves.cc)
//     stop      closes every log; a directory whose logs all closed is marked clean
//
// A directory that fails, as LogDirectory::is_failed_by says of a fault in it, goes offline with
// all its partitions, and on_failed is told; when the last one does, or the one that holds the
// metadata, on_last_failed is, and the process ends. The keeper looks at idle ones too.
//
// Threads: create and retire from one thread at a time (the controller's); everything else
// as it says. Blocking work is the keeper's or the caller's.
#pragma once

#include "broker/replica/log_cleaner.h"
#include "broker/replica/log_move.h"
#include "broker/replica/log_mover.h"
#include "broker/replica/partition.h"
#include "protocol/schema/error_code.h"
#include "storage/flusher.h"
#include "storage/log_directory.h"

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace broker {

class LogManager {
public:
    struct Settings {
        std::vector<std::string> directories;  // log.dirs
        std::size_t recovery_threads = 1;      // num.recovery.threads.per.data.dir
        std::size_t files_max = 1000;          // Descriptors of segment files kept open.
        std::int64_t retention_check_ms = 300'000;
        std::int64_t high_watermark_checkpoint_ms = 5'000;
        std::int64_t log_start_checkpoint_ms = 60'000;
        std::int64_t recovery_point_checkpoint_ms = 60'000;
        std::function<std::int64_t()> wall_ms;
        std::function<std::int64_t()> monotonic_ms;
        std::function<base::Uuid()> random_id;
        std::uint64_t seed = 0;
        // Replicas are lost: a directory's, or one whose files are damaged or gone. Any thread; it
        // must not wait.
        std::function<void()> on_failed = [] {};
        std::function<void(std::string)> on_last_failed;
        // Where this broker's metadata is, when it has some.
        std::optional<std::string> metadata_directory = {};
        std::function<LogCleaner::Settings()> cleaner;   // In force now; any thread.
        std::size_t mover_threads = 1;                   // num.replica.alter.log.dirs.threads
        std::function<double()> moved_bytes_per_second;  // In force now; any thread.
        // How much of a log directory's file system is free, in percent; any thread. What has less
        // than the minimum (milena.log.dir.free.percentage.min) gets no new partition.
        std::function<double(const std::string& directory)> free_percentage;
        double free_percentage_min = 0;
        // Whether directories say whose they are, in partition.metadata; those that a former start
        // wrote go otherwise. inter.broker.protocol.version
        bool keeps_topic_ids = true;
    };

    struct Directory {
        std::string path;
        bool offline = false;
        std::vector<std::shared_ptr<Partition>> partitions;
        struct Copy {
            base::TopicPartition at;
            std::uint64_t bytes;
            std::int64_t lag;  // Records that it lacks.
        };
        std::vector<Copy> copies;  // Of partitions that move here.

        // As clients name it.
        std::string name() const;
    };

    // Lock the directories. One that cannot be used is offline and said so in the log; the
    // error is for when none can, or one belongs to somebody else.
    [[nodiscard]] static base::Result<std::unique_ptr<LogManager>, std::string> open(
        Settings settings, boost::asio::thread_pool& disk);
    ~LogManager();

    // What meta.properties of the directories say; they agree. Nothing when all are new.
    const std::optional<storage::Identity>& identity() const noexcept { return identity_; }
    [[nodiscard]] base::Result<void, std::string> claim(const storage::Identity& identity);

    // Whether any directory holds partitions, from names alone.
    bool has_partitions() const noexcept;
    // Where something beside the logs may be kept. Any thread.
    const std::string& first_online() const noexcept;

    struct Loaded {
        base::TopicPartition at;
        std::optional<base::Uuid> topic_id;
        std::shared_ptr<Partition> partition;  // Null when it cannot be opened: see fault.
        std::string fault;
    };
    using TopicOf = std::function<std::optional<std::pair<base::Uuid, storage::LogConfig>>(
        const base::TopicPartition&)>;

    // Open the logs. `topic_of` says id and configuration of a partition, or nothing when this
    // broker should not have it: such a directory is left as it is and not in the result.
    [[nodiscard]] base::Result<std::vector<Loaded>, std::string> load(const TopicOf& topic_of);

    // The ids of topics, as the directories said when they were opened.
    std::map<std::string, base::Uuid> topic_ids() const;

    // The topic of a partition has an id from now on. Requires that it had none.
    void name_topic(Partition& partition, const base::Uuid& id);

    // Whether a log directory is offline: what is in it is not known to be anywhere.
    bool has_failed() const;

    // Whether a log directory may get new partitions: it is online and not nearly full.
    bool has_room() const;

    // Make a new, empty partition in the directory with the fewest, of those that have room if
    // there are any; where that one fails at it, in the next. Errors: one sentence.
    [[nodiscard]] base::Result<std::shared_ptr<Partition>, std::string> create(
        const base::TopicPartition& at, const base::Uuid& topic_id,
        const storage::LogConfig& config);

    // Delete a partition's files: renamed now, removed by the keeper. Requires that the
    // partition has resigned.
    void retire(const std::shared_ptr<Partition>& partition, const base::Uuid& unique);

    // The same for every directory of a topic whose logs are not open.
    void retire_unopened(const std::string& topic, const base::Uuid& unique);

    // Give the directory of a partition whose log is not open the suffix -stray: it is no topic's
    // of this cluster, and nobody deletes it.
    void set_aside(const base::TopicPartition& at, const base::Uuid& unique);

    // AlterReplicaLogDirs: begin to move a partition to the directory that clients call
    // `directory`; a move to another one ends, and if it is there already nothing begins.
    // `partition` is null when this broker has none: should it be made, it is made there. Errors:
    // log_dir_not_found; invalid_topic_exception, its name is too long; kafka_storage_error, one of
    // the directories or the partition is offline; replica_not_available, it is null.
    protocol::ErrorCode move(const base::TopicPartition& at,
                             const std::shared_ptr<Partition>& partition,
                             const std::string& directory);

    // Begin the background work.
    void start_keeper();

    // End it, close all logs, mark the directories clean. Requires that all have resigned.
    void stop(std::int64_t broker_epoch);

    // For DescribeLogDirs. Any thread.
    std::vector<Directory> directories() const;

private:
    struct Held {
        std::unique_ptr<storage::LogDirectory> directory;  // Null: it could not be opened.
        std::string path;
        std::atomic<bool> offline = false;
        storage::Flusher flusher;
        std::unordered_map<storage::Flusher::LogId, std::shared_ptr<Partition>> partitions;
        storage::Offsets last_high_watermarks;
        storage::Offsets last_log_starts;
        storage::Offsets last_cleaned;
        std::atomic<bool> was_read = false;  // Its logs are loaded: checkpoints may be written.
        std::set<base::TopicPartition> left_out;  // What stands in another directory as well.
        WritePace pace;
    };

    struct Doomed {
        storage::Dropped files;
        std::int64_t due_ms;  // Monotonic.
    };

    LogManager(Settings settings, boost::asio::thread_pool& disk);

    using Moves = std::map<base::TopicPartition, std::shared_ptr<LogMove>>;

    std::shared_ptr<Partition> adopt(Held& held, const base::TopicPartition& at,
                                     const base::Uuid& topic_id, std::unique_ptr<storage::Log> log,
                                     std::optional<base::Offset> high_watermark);
    void note_topic_id(Held& held, const base::TopicPartition& at, const base::Uuid& id);
    void forget_topic_id(Held& held, storage::LoadedLog& log);
    Held* home_of(storage::Flusher::LogId number);
    Held* home_of(const Partition& partition);
    Held* find(const std::string& directory);
    Held* choose_directory(const base::TopicPartition& at);
    std::set<const Held*> roomy() const;
    void settle_duplicates(const TopicOf& topic_of, std::vector<Loaded>& all);
    void resume_moves(const TopicOf& topic_of, const std::vector<Loaded>& all);
    void resume_move(Held& target, const storage::LogDirectory::Found& found,
                     const std::shared_ptr<Partition>& partition);
    LogMove::Target target_of(Held& target);
    void start_mover();
    LogMover::Ports::Outcome advance(const std::shared_ptr<LogMove>& move, std::size_t bytes);
    LogMover::Ports::Outcome move_failed(const LogMove& move, const LogMove::Failure& failure);
    void moved(LogMove& move);
    void end_move(const base::TopicPartition& at);
    std::shared_ptr<LogMove> move_of(const base::TopicPartition& at) const;
    Moves moves_to(const Held& held) const;
    void keep();
    void look_after(Held& held);
    void flush_round(Held& held, std::int64_t now_ms);
    void retention_round();
    void checkpoint_round(Held& held, storage::Checkpoint which);
    void write_checkpoint(Held& held, storage::Checkpoint which, const storage::Offsets& offsets);
    void doom(const Partition& partition, storage::Dropped dropped);
    void remove_doomed(std::int64_t now_ms, bool all);
    void start_cleaner();
    std::vector<std::shared_ptr<Partition>> compacted_partitions() const;
    bool take_fault(Held& held, const storage::Fault& fault);
    void partition_failed(Held& held, storage::Flusher::LogId number, const storage::Fault& fault);
    void fail_directory(Held& held, const std::string& detail);
    bool holds_metadata(const Held& held) const;
    std::vector<std::shared_ptr<Partition>> partitions_of(const Held& held) const;
    storage::Offsets positions_of(const Held& held, storage::Checkpoint which) const;

    const Settings settings_;
    boost::asio::thread_pool& disk_;
    storage::FileCache files_;
    std::optional<storage::Identity> identity_;

    // Held while a cleaner thread writes its checkpoints; mutex_ is taken under it. What was looked
    // at later is written later.
    std::mutex cleaned_;
    mutable std::mutex mutex_;  // Of what is below, and of each Held's flusher and partitions.
    std::vector<std::unique_ptr<Held>> held_;
    storage::Flusher::LogId next_log_ = 1;
    std::vector<Doomed> doomed_;
    Moves moves_;
    std::map<base::TopicPartition, std::string> wanted_;  // Directories of partitions to be made.
    bool purge_ = false;
    bool stopping_ = false;
    std::condition_variable changed_;
    std::thread keeper_;
    std::unique_ptr<LogCleaner> cleaner_;
    std::unique_ptr<LogMover> mover_;
};

// The settings that a configuration comes to.
class BrokerConfig;
class TopicConfig;
LogCleaner::Settings cleaner_settings(const BrokerConfig& broker);
storage::LogConfig log_config(const TopicConfig& topic, std::int64_t producer_id_expiration_ms);

}  // namespace broker
