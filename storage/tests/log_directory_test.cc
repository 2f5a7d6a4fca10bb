#include "storage/log_directory.h"

#include "storage/file_slice.h"
#include "storage/survey.h"
#include "storage/tests/batches.h"
#include "storage/tests/scratch.h"
#include "storage/tests/simulated_disk.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <fstream>
#include <thread>
#include <unistd.h>

using base::LeaderEpoch;
using base::Offset;
using base::PartitionIndex;
using base::TopicPartition;
using storage::DirectoryKind;
using storage::FaultKind;
using storage::Log;
using storage::LogDirectory;
using storage::Origin;

namespace {

const TopicPartition orders{"orders", PartitionIndex(0)};
const TopicPartition others{"others", PartitionIndex(3)};
const base::Uuid some_id{std::byte{1}, std::byte{2}};

// A broker's way through one log directory, on any disk.
struct Broker {
    Broker(storage::Disk& on, std::filesystem::path at) : disk(on), path(std::move(at)) {}

    void start() {
        auto opened = LogDirectory::open(disk, files, path);
        INFO(std::string(opened ? "" : opened.error().detail));
        REQUIRE(opened);
        directory = std::move(*opened);
        // The simulated disk has no lock.
        const std::size_t threads = &disk == &storage::real_disk() ? 3 : 1;
        auto loaded = directory->load([](const auto&) { return storage::LogConfig{}; }, threads, 1000, 1);
        REQUIRE(loaded);
        all = std::move(*loaded);
        for (auto& one : all) {
            if (one.log) logs[one.at] = std::move(one.log);
        }
    }
    void create(const TopicPartition& at, const std::optional<base::Uuid>& id = std::nullopt) {
        auto log = directory->create(at, id, {}, 1000, 1);
        INFO(std::string(log ? "" : log.error().detail));
        REQUIRE(log);
        logs[at] = std::move(*log);
    }
    Offset append(const TopicPartition& at) {
        buffers.push_back(test::batch({.count = 2}));
        const auto done = logs[at]->append({buffers.back(), Origin::client, LeaderEpoch(0)}, 1000);
        REQUIRE(done);
        return done->first;
    }
    void checkpoint() {
        storage::Offsets recovery, high, start;
        for (const auto& [at, log] : logs) {
            auto plan = log->begin_flush(storage::FlushKind::checkpoint);
            if (plan) {
                REQUIRE(log->flush(*plan));
                log->finish_flush(std::move(*plan), true);
            }
            recovery[at] = log->recovery_point();
            high[at] = log->end_offset();
            if (log->log_start_offset() > log->first_base()) start[at] = log->log_start_offset();
        }
        REQUIRE(directory->checkpoint(storage::Checkpoint::recovery_point, recovery));
        REQUIRE(directory->checkpoint(storage::Checkpoint::high_watermark, high));
        REQUIRE(directory->checkpoint(storage::Checkpoint::log_start, start));
    }
    void stop() {
        for (const auto& [at, log] : logs) REQUIRE(log->close());
        checkpoint();
        REQUIRE(directory->mark_clean(7));
        kill();
    }
    void kill() {
        logs.clear();
        all.clear();
        directory.reset();
    }

    storage::Disk& disk;
    std::filesystem::path path;
    storage::FileCache files{disk, 20};
    std::unique_ptr<LogDirectory> directory;
    std::vector<storage::LoadedLog> all;
    std::map<TopicPartition, std::unique_ptr<Log>> logs;
    std::deque<std::vector<std::byte>> buffers;
};

std::string text_of(const std::filesystem::path& name) {
    std::ifstream in(name);
    return std::string(std::istreambuf_iterator<char>(in), {});
}

}  // namespace

TEST_SUITE("storage/log_directory") {
    TEST_CASE("partitions are found again after a clean stop, with ids and high watermarks") {
        const test::Scratch scratch;
        Broker in(storage::real_disk(), scratch.file("kafka-logs"));
        in.start();
        CHECK_FALSE(in.directory->identity());
        REQUIRE(in.directory->claim({.broker = base::BrokerId(4), .cluster = "abc", .version = 0, .directory = ""}));
        in.create(orders, some_id);
        in.create(others);
        for (int i = 0; i < 5; ++i) in.append(orders);
        in.stop();
        CHECK(text_of(in.path / ".kafka_cleanshutdown") == "{\"version\":0,\"brokerEpoch\":7}");
        CHECK(text_of(in.path / "meta.properties") == "version=0\nbroker.id=4\ncluster.id=abc\n");
        CHECK(text_of(in.path / "recovery-point-offset-checkpoint") == "0\n2\norders 0 10\nothers 3 0\n");
        CHECK(text_of(in.path / "orders-0" / "leader-epoch-checkpoint") == "0\n1\n0 0\n");
        in.start();
        CHECK(in.directory->was_clean());
        CHECK_FALSE(std::filesystem::exists(in.path / ".kafka_cleanshutdown"));
        CHECK(in.directory->identity()->broker == base::BrokerId(4));
        REQUIRE(in.all.size() == 2);
        CHECK(in.all[0].at == orders);
        CHECK(in.all[0].topic_id == some_id);
        CHECK(in.all[0].high_watermark == Offset(10));
        CHECK_FALSE(in.all[1].topic_id);
        CHECK(in.logs[orders]->end_offset() == Offset(10));
        CHECK(in.append(orders) == Offset(10));
    }

    TEST_CASE("a log directory and what it lies in are made, by a relative path too") {
        test::SimulatedDisk disk;
        REQUIRE(disk.make_directory("."));
        storage::FileCache files(disk, 5);
        CHECK(LogDirectory::open(disk, files, "logs"));
        CHECK(disk.has("logs/.lock"));
        CHECK(LogDirectory::open(disk, files, "/a/b/logs/"));
        CHECK(disk.has("/a/b/logs/.lock"));
    }

    TEST_CASE("a high watermark beyond the log is its end") {
        const test::Scratch scratch;
        Broker in(storage::real_disk(), scratch.file("logs"));
        in.start();
        in.create(orders);
        in.append(orders);
        REQUIRE(in.directory->checkpoint(storage::Checkpoint::high_watermark, {{orders, Offset(100)}}));
        in.kill();
        in.start();
        CHECK(in.all[0].high_watermark == Offset(2));
    }

    TEST_CASE("one process holds a log directory") {
        const test::Scratch scratch;
        Broker in(storage::real_disk(), scratch.file("logs"));
        in.start();
        // An open-file-description lock excludes another open file of the same process too.
        const auto second = LogDirectory::open(in.disk, in.files, in.path);
        REQUIRE_FALSE(second);
        CHECK(second.error().kind == FaultKind::locked);
        CHECK(second.error().detail.contains(".lock is held by another process"));
        in.kill();
        CHECK(LogDirectory::open(in.disk, in.files, in.path));
    }

    TEST_CASE("a fault is the directory's own when the disk fails, or the directory is gone") {
        test::SimulatedDisk disk;
        Broker in(disk, "/logs");
        in.start();
        auto& directory = *in.directory;
        const auto takes_all = [&](FaultKind kind) {
            return directory.is_failed_by(storage::Fault(kind, ""));
        };
        REQUIRE(directory.claim({.broker = base::BrokerId(1), .cluster = "c", .version = 0, .directory = ""}));
        for (const auto* gone : {"", ".lock"}) {
            if (*gone) REQUIRE(disk.remove_file(directory.path() / gone));
            CHECK_FALSE(directory.failure());
            CHECK(takes_all(FaultKind::io));
            for (const auto kind : {FaultKind::not_found, FaultKind::no_space, FaultKind::corrupt, FaultKind::busy})
                CHECK_FALSE(takes_all(kind));
        }
        REQUIRE(disk.remove_file(directory.path() / "meta.properties"));
        REQUIRE(directory.failure());
        CHECK(directory.failure()->kind == FaultKind::io);
        CHECK(directory.failure()->detail.contains("/logs"));
        CHECK(takes_all(FaultKind::not_found));
        for (const auto kind : {FaultKind::no_space, FaultKind::corrupt, FaultKind::busy})
            CHECK_FALSE(takes_all(kind));
    }

    TEST_CASE("a directory that is renamed, replaced by a new one, or by a file, has failed") {
        test::Scratch scratch;
        const auto path = scratch.file("logs");
        const auto aside = scratch.file("aside");
        Broker in(storage::real_disk(), path);
        in.start();
        const storage::Fault missing(FaultKind::not_found, "");
        CHECK_FALSE(in.directory->is_failed_by(missing));
        std::filesystem::rename(path, aside);
        CHECK(in.directory->is_failed_by(missing));
        std::filesystem::create_directory(path);
        CHECK(in.directory->is_failed_by(missing));
        std::filesystem::remove(path);
        std::ofstream(path) << "no directory";
        CHECK(in.directory->is_failed_by(missing));
        std::filesystem::remove(path);
        std::filesystem::rename(aside, path);
        CHECK_FALSE(in.directory->is_failed_by(missing));
    }

    TEST_CASE("a deleted partition's directory is renamed, and its readers go on") {
        const test::Scratch scratch;
        Broker in(storage::real_disk(), scratch.file("logs"));
        in.start();
        in.create(orders);
        in.append(orders);
        auto& log = *in.logs[orders];
        const auto plan = log.locate(Offset(0), {.bound = Offset(2), .bytes_max = 1000});
        const auto held = log.read(*plan);
        REQUIRE(in.directory->retire(orders, &log, some_id));
        CHECK(std::filesystem::exists(in.path / "orders-0.01020000000000000000000000000000-delete"));
        CHECK(log.read(*log.locate(Offset(0), {.bound = Offset(2), .bytes_max = 1000})));
        in.logs.clear();
        CHECK(in.directory->purge() == std::size_t(1));
        CHECK_FALSE(std::filesystem::exists(in.path / "orders-0.01020000000000000000000000000000-delete"));
        std::vector<std::byte> bytes(held->size());
        CHECK(held->slice->read(0, bytes));
        in.kill();
        in.start();
        CHECK(in.all.empty());
    }

    TEST_CASE("a partition that is made again has none of the positions of its namesake") {
        const test::Scratch scratch;
        Broker in(storage::real_disk(), scratch.file("logs"));
        in.start();
        in.create(orders);
        for (int i = 0; i < 50; ++i) in.append(orders);
        in.logs[orders]->advance_log_start(Offset(20));
        in.checkpoint();
        REQUIRE(in.directory->retire(orders, in.logs[orders].get(), some_id));
        in.create(orders);
        in.append(orders);
        in.kill();
        in.start();
        REQUIRE(in.all.size() == 1);
        CHECK_FALSE(in.all[0].fault);
        CHECK(in.logs[orders]->end_offset() == Offset(2));
        CHECK(in.logs[orders]->log_start_offset() == Offset(0));
    }

    TEST_CASE("a damaged partition is told, all others live, and its checkpoint lines stay") {
        const test::Scratch scratch;
        Broker in(storage::real_disk(), scratch.file("logs"));
        in.start();
        in.create(orders);
        in.create(others);
        for (int i = 0; i < 5; ++i) in.append(orders);
        in.append(others);
        in.checkpoint();
        in.kill();
        const auto name = in.path / "orders-0" / "00000000000000000000.log";
        std::filesystem::resize_file(name, std::filesystem::file_size(name) - 20);
        const auto size = std::filesystem::file_size(name);
        for (int round = 0; round < 3; ++round) {
            in.start();
            REQUIRE(in.all.size() == 2);
            REQUIRE(in.all[0].fault);
            CHECK(in.all[0].fault->kind == FaultKind::corrupt);
            CHECK(in.logs.contains(others));
            CHECK_FALSE(in.logs.contains(orders));
            in.append(others);
            in.checkpoint();
            in.kill();
            CHECK(std::filesystem::file_size(name) == size);
        }
        CHECK(text_of(in.path / "recovery-point-offset-checkpoint").contains("orders 0 10"));
    }

    TEST_CASE("what is not to be loaded is left as it is") {
        const test::Scratch scratch;
        Broker in(storage::real_disk(), scratch.file("logs"));
        in.start();
        in.create(orders);
        in.create(others);
        in.kill();
        auto opened = LogDirectory::open(in.disk, in.files, in.path);
        REQUIRE(opened);
        const auto loaded = (*opened)->load(
            [](const TopicPartition& at) -> std::optional<storage::LogConfig> {
                if (at == orders) return std::nullopt;
                return storage::LogConfig{};
            },
            1, 1000, 1);
        REQUIRE(loaded);
        REQUIRE(loaded->size() == 1);
        CHECK(loaded->front().at == others);
    }

    TEST_CASE("directories that are no partitions are named, and left alone") {
        const test::Scratch scratch;
        std::filesystem::create_directories(scratch.file("logs/lost+found"));
        std::filesystem::create_directories(scratch.file("logs/__cluster_metadata-0"));
        std::filesystem::create_directories(
            scratch.file("logs/orders-0.01020000000000000000000000000000-stray"));
        Broker in(storage::real_disk(), scratch.file("logs"));
        in.start();
        CHECK(in.all.empty());
        CHECK(in.directory->unknown_directories() == std::vector<std::string>{"lost+found"});
        CHECK(in.directory->purge() == std::size_t(0));
    }

    TEST_CASE("a checkpoint that cannot be read is taken as empty, and said") {
        const test::Scratch scratch;
        Broker in(storage::real_disk(), scratch.file("logs"));
        in.start();
        in.create(orders);
        in.append(orders);
        in.checkpoint();
        in.kill();
        std::ofstream(in.path / "recovery-point-offset-checkpoint") << "0\n5\n";
        in.start();
        CHECK(in.logs[orders]->end_offset() == Offset(2));
        REQUIRE(in.directory->notes().size() == 1);
        CHECK(in.directory->notes()[0].contains("recovery-point-offset-checkpoint"));
    }

    TEST_CASE("a partition whose partition.metadata is of a newer version is left as it is") {
        const test::Scratch scratch;
        Broker in(storage::real_disk(), scratch.file("logs"));
        in.start();
        in.create(orders);
        in.append(orders);
        in.kill();
        const auto file = in.path / "orders-0" / "partition.metadata";
        std::ofstream(file) << "version: 9\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ";
        in.start();
        REQUIRE(in.all.size() == 1);
        REQUIRE(in.all.front().fault);
        CHECK(in.all.front().fault->kind == FaultKind::foreign);
        CHECK(in.all.front().fault->detail == file.string() + " has version 9; this program knows 0");
        CHECK(in.directory->set_topic_id(orders, some_id).error().kind == FaultKind::foreign);
        CHECK(text_of(file).starts_with("version: 9"));
    }

    TEST_CASE("a meta.properties that cannot be read stops the start") {
        const test::Scratch scratch;
        std::filesystem::create_directories(scratch.file("logs"));
        std::ofstream(scratch.file("logs/meta.properties")) << "version=9\n";
        storage::FileCache files(storage::real_disk(), 5);
        const auto opened = LogDirectory::open(storage::real_disk(), files, scratch.file("logs"));
        REQUIRE_FALSE(opened);
        CHECK(opened.error().kind == FaultKind::foreign);
    }

    TEST_CASE("a partition is made without waiting for a sync, and is there for good with its first records") {
        for (std::uint64_t seed = 1; seed <= 40; ++seed) {
            CAPTURE(seed);
            test::SimulatedDisk disk(seed);
            disk.settle();
            Broker in(disk, "/logs");
            in.start();
            const auto before = disk.syncs();
            in.create(orders, some_id);
            in.create(others, some_id);
            CHECK(disk.syncs() == before);
            in.buffers.push_back(test::batch());
            REQUIRE(in.logs[orders]->append({in.buffers.back(), Origin::client, LeaderEpoch(0)}, 0));
            auto plan = in.logs[orders]->begin_flush(storage::FlushKind::records);
            REQUIRE(in.logs[orders]->flush(*plan));
            in.logs[orders]->finish_flush(std::move(*plan), true);
            in.kill();
            disk.lose_power();
            in.start();
            REQUIRE(in.logs.contains(orders));
            CHECK(in.logs[orders]->end_offset() == Offset(1));
            const auto id = storage::read_topic_id(disk, in.path / "orders-0" / storage::partition_metadata_file);
            REQUIRE(id);
            CHECK(*id == some_id);
            // What the power cut left of the other one is mended.
            REQUIRE(disk.make_directory(in.path / "others-3"));
            REQUIRE(in.directory->set_topic_id(others, some_id));
            CHECK(storage::read_topic_id(disk, in.path / "others-3" / storage::partition_metadata_file).has_value());
        }
    }

    TEST_CASE("killed at any call of create, checkpoint, delete and stop, a directory opens again") {
        bool is_synced = false;
        const auto life = [&](Broker& in) {
            auto opened = LogDirectory::open(in.disk, in.files, in.path);
            if (!opened) return false;
            in.directory = std::move(*opened);
            if (!in.directory->claim({.broker = base::BrokerId(1), .cluster = "c", .version = 0, .directory = ""})) return false;
            if (!in.directory->load([](const auto&) { return storage::LogConfig{}; }, 1, 0, 1)) return false;
            for (const auto& at : {orders, others}) {
                auto log = in.directory->create(at, some_id, {}, 0, 1);
                if (!log) return false;
                in.logs[at] = std::move(*log);
                in.buffers.push_back(test::batch({.count = 2}));
                if (!in.logs[at]->append({in.buffers.back(), Origin::client, LeaderEpoch(0)}, 0)) return false;
            }
            auto plan = in.logs[orders]->begin_flush(storage::FlushKind::checkpoint);
            const bool flushed = in.logs[orders]->flush(*plan).has_value();
            in.logs[orders]->finish_flush(std::move(*plan), flushed);
            if (!flushed) return false;
            is_synced = true;
            if (!in.directory->checkpoint(storage::Checkpoint::recovery_point, {{orders, Offset(2)}, {others, Offset(0)}})) return false;
            if (!in.directory->retire(others, in.logs[others].get(), some_id)) return false;
            in.logs.erase(others);
            if (!in.directory->purge()) return false;
            if (!in.logs[orders]->close()) return false;
            if (!in.directory->checkpoint(storage::Checkpoint::recovery_point, {{orders, Offset(2)}})) return false;
            return in.directory->mark_clean(1).has_value();
        };
        std::uint64_t calls = 0;
        for (std::uint64_t call = 0;; ++call) {
            for (const bool power : {false, true}) {
                CAPTURE(call);
                CAPTURE(power);
                test::SimulatedDisk disk(call + 1);
                disk.settle();
                Broker in(disk, "/logs");
                disk.kill_at(disk.changes() + call);
                is_synced = false;
                const bool finished = life(in);
                in.kill();
                if (power) disk.lose_power();
                disk.revive();
                in.start();
                for (const auto& one : in.all) {
                    INFO(std::string(one.fault ? one.fault->detail : ""));
                    CHECK_FALSE(one.fault);
                }
                if (in.logs.contains(orders)) CHECK(in.logs[orders]->end_offset() <= Offset(2));
                if (is_synced) {
                    REQUIRE(in.logs.contains(orders));
                    CHECK(in.logs[orders]->end_offset() == Offset(2));
                    CHECK(storage::read_topic_id(in.disk, in.path / "orders-0" / storage::partition_metadata_file).has_value());
                }
                if (finished) {
                    CHECK(in.logs.at(orders)->end_offset() == Offset(2));
                    CHECK_FALSE(in.logs.contains(others));
                    CHECK(in.directory->was_clean());
                }
                if (finished && power) {
                    calls = call;
                    break;
                }
            }
            if (calls > 0) break;
            REQUIRE(call < 500);
        }
        CHECK(calls > 50);
    }

    TEST_CASE("a survey finds out what a directory holds without changing it") {
        const test::Scratch scratch;
        Broker in(storage::real_disk(), scratch.file("logs"));
        in.start();
        REQUIRE(in.directory->claim({.broker = base::BrokerId(4), .cluster = "abc", .version = 0, .directory = ""}));
        in.create(orders, some_id);
        in.create(others);
        in.buffers.push_back(test::batch({.producer = 4711}));
        REQUIRE(in.logs[orders]->append({in.buffers.back(), Origin::client, LeaderEpoch(17)}, 0));
        in.append(others);
        in.stop();
        std::filesystem::create_directories(in.path / "__cluster_metadata-0");
        const auto found = storage::survey(storage::real_disk(), in.path);
        REQUIRE(found);
        CHECK(found->identity->broker == base::BrokerId(4));
        CHECK(found->was_clean);
        CHECK(found->has_cluster_metadata);
        CHECK(found->max_producer == base::ProducerId(4711));
        REQUIRE(found->partitions.size() == 2);
        CHECK(found->partitions[0].at == orders);
        CHECK(found->partitions[0].topic_id == some_id);
        CHECK(found->partitions[0].max_leader_epoch == LeaderEpoch(17));
        CHECK(found->partitions[1].bytes > 0);
        CHECK(std::filesystem::exists(in.path / ".kafka_cleanshutdown"));
    }

    TEST_CASE("a slice of a real file has a descriptor that outlives the cache's") {
        const test::Scratch scratch;
        Broker in(storage::real_disk(), scratch.file("logs"));
        in.start();
        std::vector<std::shared_ptr<const wire::Slice>> held;
        for (int i = 0; i < 40; ++i) {
            const TopicPartition at{"t", PartitionIndex(i)};
            in.create(at);
            in.append(at);
            const auto plan = in.logs[at]->locate(Offset(0), {.bound = Offset(2), .bytes_max = 1000});
            held.push_back(in.logs[at]->read(*plan)->slice);
        }
        CHECK(in.files.open_files() <= 20);
        for (const auto& slice : held) {
            const auto range = slice->file();
            REQUIRE(range);
            std::vector<std::byte> bytes(slice->size());
            CHECK(::pread(range->descriptor, bytes.data(), bytes.size(), off_t(range->position)) ==
                  ssize_t(bytes.size()));
            CHECK(records::Batch::read(bytes));
        }
    }

    TEST_CASE("readers and a writer work side by side") {
        const test::Scratch scratch;
        Broker in(storage::real_disk(), scratch.file("logs"));
        in.start();
        auto made = in.directory->create(orders, std::nullopt,
                                         {.segment_bytes = 20'000, .index_interval_bytes = 500}, 0, 1);
        REQUIRE(made);
        Log& log = **made;
        std::mutex mutex;
        std::atomic<bool> stop = false;
        std::atomic<int> wrong = 0;
        std::vector<std::jthread> readers;
        for (int reader = 0; reader < 2; ++reader) {
            readers.emplace_back([&, reader] {
                std::mt19937 random(unsigned(reader) + 1);
                while (!stop) {
                    std::optional<storage::ReadPlan> plan;
                    Offset from;
                    {
                        const std::lock_guard lock(mutex);
                        if (log.end_offset() == Offset(0)) continue;
                        from = Offset(std::int64_t(random() % std::uint64_t(log.end_offset().value())));
                        plan = *log.locate(from, {.bound = log.end_offset(), .bytes_max = 3000,
                                                  .at_least_one_batch = true});
                    }
                    const auto result = log.read(*plan);
                    std::vector<std::byte> bytes(result ? result->size() : 0);
                    if (!result || !result->slice->read(0, bytes)) {
                        ++wrong;
                        continue;
                    }
                    const auto batch = records::Batch::read(bytes);
                    if (!batch || batch->base_offset() > from || batch->last_offset() < from) ++wrong;
                }
            });
        }
        for (int i = 0; i < 3000; ++i) {
            auto bytes = test::batch({.count = 3});
            std::optional<storage::AppendGroup> group;
            {
                const std::lock_guard lock(mutex);
                REQUIRE(log.reserve({bytes, Origin::client, LeaderEpoch(0)}));
                group = log.take_group(0);
            }
            REQUIRE(group);
            REQUIRE(log.write(*group));
            {
                const std::lock_guard lock(mutex);
                log.commit(std::move(*group));
            }
            if (i % 100 != 99) continue;
            std::optional<storage::FlushPlan> plan;
            {
                const std::lock_guard lock(mutex);
                plan = log.begin_flush(storage::FlushKind::checkpoint);
            }
            const bool done = log.flush(*plan).has_value();
            const std::lock_guard lock(mutex);
            log.finish_flush(std::move(*plan), done);
        }
        stop = true;
        readers.clear();
        CHECK(wrong == 0);
        CHECK(log.end_offset() == Offset(9000));
    }
}
