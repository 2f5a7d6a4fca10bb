// LogCleaner: which logs its threads compact, and what happens when one cannot be.

#include "broker/replica/log_cleaner.h"

#include "protocol/records/batch_builder.h"
#include "storage/cleaning.h"
#include "storage/names.h"
#include "storage/tests/scratch.h"

#include <doctest/doctest.h>

#include <chrono>
#include <fstream>
#include <future>

namespace {

using base::Offset;
using broker::Partition;

std::vector<std::byte> one(const std::string& key, const std::string& value) {
    records::BatchBuilder builder;
    builder.append(
        {.timestamp = 1000, .key = records::bytes_of(key), .value = records::bytes_of(value)});
    return builder.finish();
}

struct Fixture {
    // A log with `writes` records of one key, each in a segment of its own.
    std::shared_ptr<Partition> add(const std::string& topic, int writes) {
        const auto directory = scratch.folder() / (topic + "-0");
        std::filesystem::create_directory(directory);
        auto log = storage::Log::open(storage::real_disk(), files,
                                      {.directory = directory,
                                       .config = {.segment_bytes = 100,
                                                  .deletes = false,
                                                  .compacts = true,
                                                  .min_cleanable_dirty_ratio = 0.1}});
        REQUIRE(log);
        for (int i = 0; i < writes; ++i) {
            auto bytes = one("key", std::to_string(i));
            REQUIRE((*log)->append({bytes, storage::Origin::client, base::LeaderEpoch(0)}, 1000));
        }
        auto plan = (*log)->begin_flush(storage::FlushKind::checkpoint);
        REQUIRE((*log)->flush(*plan));
        (*log)->finish_flush(std::move(*plan), true);
        auto partition = std::make_shared<Partition>(
            base::TopicPartition{topic, base::PartitionIndex(0)}, base::Uuid{}, std::move(*log),
            disk, pace,
            Partition::Hooks{.failed = [](const storage::Fault&) {},
                             .dirtied = [](std::uint64_t, std::int64_t) {}});
        partition->become_leader(base::LeaderEpoch(1));
        partitions.push_back(partition);
        return partition;
    }

    broker::LogCleaner::Ports ports() {
        broker::LogCleaner::Ports made;
        made.settings = [this] { return settings; };
        made.partitions = [this] { return partitions; };
        made.replaced = [](Partition&, storage::Dropped dropped) { REQUIRE(dropped.remove()); };
        made.cleaned = [this](Partition& partition) {
            const std::lock_guard lock(mutex);
            cleaned.push_back(partition.id().topic);
            if (cleaned.size() == wanted) enough.set_value();
        };
        made.wall_ms = [] { return std::int64_t{2000}; };
        made.monotonic_ms = [] { return std::int64_t{0}; };
        return made;
    }

    // Until so many logs were compacted.
    std::vector<std::string> run(std::size_t count) {
        wanted = count;
        broker::LogCleaner cleaner(ports());
        cleaner.start();
        REQUIRE(enough.get_future().wait_for(std::chrono::seconds(60)) ==
                std::future_status::ready);
        cleaner.stop();
        return cleaned;
    }

    test::Scratch scratch;
    storage::FileCache files{storage::real_disk(), 100};
    boost::asio::thread_pool disk{1};
    broker::WritePace pace;
    std::vector<std::shared_ptr<Partition>> partitions;
    broker::LogCleaner::Settings settings{.backoff_ms = 1};
    std::mutex mutex;
    std::size_t wanted = 0;
    std::vector<std::string> cleaned;
    std::promise<void> enough;
};

Offset cleaned_to(const Partition& partition) {
    return partition.checkpoint_positions().cleaned_to;
}

}  // namespace

TEST_SUITE("broker/cleaner") {
    TEST_CASE("every log that is dirty enough is compacted, whoever of the threads takes it") {
        Fixture in;
        in.settings.threads = 2;
        const auto first = in.add("orders", 20);
        const auto second = in.add("users", 5);
        CHECK(in.run(2).size() == 2);
        CHECK(cleaned_to(*first) == Offset(19));
        CHECK(cleaned_to(*second) == Offset(4));
        CHECK(first->look([](const storage::Log& log) { return log.size_bytes(); }) < 200);
    }

    TEST_CASE("a damaged log is set aside, and the others go on") {
        Fixture in;
        const auto damaged = in.add("damaged", 20);
        const auto name = damaged->directory() / storage::file_name(Offset(0), ".log");
        {
            std::fstream file(name, std::ios::in | std::ios::out | std::ios::binary);
            file.seekp(65);
            file.put('\x7f');
        }
        const auto before = damaged->size_bytes();
        in.add("whole", 5);
        CHECK(in.run(1) == std::vector<std::string>{"whole"});
        CHECK(cleaned_to(*damaged) == Offset(0));
        CHECK(damaged->size_bytes() == before);
    }

    TEST_CASE("a log that is deleted while it is compacted lets go") {
        Fixture in;
        const auto partition = in.add("orders", 5);
        auto directory =
            storage::LogDirectory::open(storage::real_disk(), in.files, in.scratch.folder());
        REQUIRE(directory);
        partition->resign();
        REQUIRE(partition->retire(**directory, base::Uuid{std::byte{7}}));
        const auto report = partition->compact({}, {}, 2000);
        REQUIRE_FALSE(report);
        CHECK(report.error().kind == storage::FaultKind::busy);
    }

    TEST_CASE("an allowance lets so many bytes a second through, and saves nothing up") {
        broker::Allowance allowance;
        CHECK(allowance.spend(500, 1000, 10'000) == 500);
        CHECK(allowance.spend(500, 1000, 10'100) == 900);
        CHECK(allowance.spend(0, 1000, 60'000) == 0);
        CHECK(allowance.spend(100, 1000, 60'000) == 100);
        for (int i = 0; i < 10; ++i) CHECK(allowance.spend(1, 10'000, 90'000) <= 1);
        CHECK(allowance.spend(90, 10'000, 90'000) == 10);
    }
}
