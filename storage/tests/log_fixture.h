// LogFixture: a log on a simulated disk, and short verbs to work with it.
#pragma once

#include "storage/log.h"
#include "storage/tests/batches.h"
#include "storage/tests/simulated_disk.h"

#include <doctest/doctest.h>

namespace test {

inline const std::filesystem::path log_folder = "/logs/orders-0";

struct LogFixture {
    explicit LogFixture(storage::LogConfig with = {}, std::uint64_t seed = 1)
        : own(seed), disk(own), config(with) {
        REQUIRE(disk.make_directory("/logs"));
        REQUIRE(disk.make_directory(log_folder));
        disk.settle();
        open();
    }
    // A log that lies on another disk already; it is opened by open() or try_open().
    LogFixture(SimulatedDisk& on, storage::LogConfig with) : own(1), disk(on), config(with) {}

    base::Result<void, storage::Fault> try_open() {
        log.reset();
        report = {};
        auto opened = storage::Log::open(disk, files,
                                         {.directory = log_folder,
                                          .config = config,
                                          .recovery_point = recovery_point,
                                          .log_start_offset = log_start,
                                          .was_clean = was_clean,
                                          .now_ms = now_ms,
                                          .seed = 7},
                                         &report);
        if (!opened) return base::Unexpected(opened.error());
        log = std::move(*opened);
        was_clean = false;
        return {};
    }
    void open() {
        const auto opened = try_open();
        INFO(std::string(opened ? "" : opened.error().detail));
        REQUIRE(opened);
    }
    // The process is gone, the page cache is not. The checkpoint was written last when
    // remember() was called.
    void kill_and_open() {
        log.reset();
        open();
    }
    void remember() { recovery_point = log->recovery_point(); }
    void close_and_open() {
        REQUIRE(log->close());
        remember();
        was_clean = true;
        open();
    }

    base::Result<storage::Reserved, storage::Refusal> try_append(
        std::vector<std::byte> bytes, storage::Origin origin = storage::Origin::client) {
        buffers.push_back(std::move(bytes));
        return log->append({buffers.back(), origin, base::LeaderEpoch(leader_epoch)}, now_ms);
    }
    base::Offset append(std::vector<std::byte> bytes,
                        storage::Origin origin = storage::Origin::client) {
        const auto reserved = try_append(std::move(bytes), origin);
        INFO(std::string(reserved ? "" : reserved.error().detail));
        REQUIRE(reserved);
        return reserved->first;
    }
    base::Offset add(const BatchOf& of = {}) { return append(batch(of)); }
    base::Offset end_transaction(std::int64_t producer, bool commit) {
        return append(marker(producer, commit), storage::Origin::coordinator);
    }
    void flush(storage::FlushKind kind = storage::FlushKind::checkpoint) {
        auto plan = log->begin_flush(kind);
        if (!plan) return;
        const bool done = log->flush(*plan).has_value();
        log->finish_flush(std::move(*plan), done);
        REQUIRE(done);
    }
    void truncate(base::Offset target) {
        auto plan = log->begin_truncation(target);
        auto cut = log->truncate(plan);
        REQUIRE(cut);
        log->finish_truncation(std::move(plan), std::move(*cut));
    }

    base::Result<storage::ReadResult, storage::Fault> try_read(base::Offset from,
                                                               storage::ReadLimits limits) {
        const auto plan = log->locate(from, limits);
        if (!plan) return base::Unexpected(plan.error());
        return log->read(*plan);
    }
    storage::ReadResult read(base::Offset from, std::size_t bytes_max = std::size_t{1} << 30) {
        auto result = try_read(from, {.bound = log->end_offset(),
                                      .bytes_max = bytes_max,
                                      .at_least_one_batch = true});
        INFO(std::string(result ? "" : result.error().detail));
        REQUIRE(result);
        return std::move(*result);
    }
    static std::vector<std::byte> bytes_of(const storage::ReadResult& result) {
        std::vector<std::byte> bytes(result.size());
        if (result.slice) REQUIRE(result.slice->read(0, bytes));
        return bytes;
    }
    // The base offsets of all batches from an offset on.
    std::vector<std::int64_t> bases(base::Offset from) {
        std::vector<std::int64_t> all;
        while (from < log->end_offset()) {
            const auto bytes = bytes_of(read(from));
            if (bytes.empty()) break;
            for (auto rest = std::span(bytes); !rest.empty();) {
                const auto one = records::Batch::read(rest);
                REQUIRE(one);
                all.push_back(one->base_offset().value());
                from = one->last_offset() + 1;
                rest = rest.subspan(one->size());
            }
        }
        return all;
    }

    SimulatedDisk own;
    SimulatedDisk& disk;
    storage::LogConfig config;
    storage::FileCache files{disk, 100};
    base::Offset recovery_point{};
    base::Offset log_start{};
    bool was_clean = false;
    std::int64_t now_ms = 1000;
    std::int32_t leader_epoch = 0;
    storage::RecoveryReport report;
    std::unique_ptr<storage::Log> log;
    std::deque<std::vector<std::byte>> buffers;
};

}  // namespace test
