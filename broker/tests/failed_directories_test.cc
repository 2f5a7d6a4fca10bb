// Log directories that fail while they are in use: what goes offline, who is told, and when the
// process has to end.

#include "broker/tests/log_directories.h"

#include <doctest/doctest.h>

#include <atomic>
#include <mutex>
#include <optional>
#include <vector>

namespace {

namespace fs = std::filesystem;
using broker::Partition;
using protocol::ErrorCode;
using test::append;
using test::wait_until;

const base::Uuid topic_id{std::byte{1}, std::byte{2}};

// Whether the keeper looks at the directories too. Without it only who has to do with one finds
// out.
enum class Keeper { looks, is_away };

// Three partitions, two of them in a, so that the next one is made in b.
struct Fixture : test::LogDirectories {
    explicit Fixture(Keeper keeper, std::optional<std::string> metadata = {}) {
        auto with = settings();
        with.high_watermark_checkpoint_ms = 10;
        with.on_failed = [this] { ++failures; };
        with.on_last_failed = [this](const std::string& why) {
            const std::lock_guard lock(mutex);
            last_words = why;
        };
        if (metadata) with.metadata_directory = path(*metadata);
        open(std::move(with));
        REQUIRE(logs->load([](const base::TopicPartition&) { return std::nullopt; }));
        for (int i = 0; i < 3; ++i) made.push_back(create());
        REQUIRE(made[0]->directory().parent_path() == path("a"));
        REQUIRE(made[1]->directory().parent_path() == path("b"));
        REQUIRE(made[2]->directory().parent_path() == path("a"));
        if (keeper == Keeper::looks) logs->start_keeper();
    }
    ~Fixture() {
        for (const auto& each : made) each->resign();
        made.clear();
        logs.reset();
        pool.join();
    }

    std::shared_ptr<Partition> create() {
        auto one = logs->create({"orders", base::PartitionIndex(next++)}, topic_id,
                                {.segment_bytes = 1000});
        REQUIRE(one);
        (*one)->become_leader(base::LeaderEpoch(0));
        REQUIRE(append(**one) == ErrorCode::none);
        return *one;
    }
    // With all that is in it, at once.
    void take_away(const std::string& name) {
        const auto aside = scratch.file("aside");
        fs::rename(path(name), aside);
        fs::remove_all(aside);
    }
    bool is_offline(std::size_t directory) const {
        return logs->directories().at(directory).offline;
    }
    std::string words() {
        const std::lock_guard lock(mutex);
        return last_words;
    }

    std::int32_t next = 0;
    std::vector<std::shared_ptr<Partition>> made;
    std::atomic<int> failures = 0;
    std::mutex mutex;
    std::string last_words;
};

}  // namespace

TEST_CASE("a directory that is removed goes offline, though nothing is written in it") {
    Fixture in(Keeper::looks);
    in.take_away("b");
    wait_until([&] { return in.failures == 1; });
    CHECK(in.is_offline(1));
    CHECK(in.made[1]->is_offline());
    CHECK(append(*in.made[1]) == ErrorCode::kafka_storage_error);
    CHECK_FALSE(in.is_offline(0));
    CHECK(append(*in.made[0]) == ErrorCode::none);
    CHECK(in.create()->directory().parent_path() == in.path("a"));
    CHECK(in.failures == 1);
    CHECK(in.words().empty());
}

TEST_CASE("what is kept beside the logs is kept where there is a directory") {
    Fixture in(Keeper::looks);
    CHECK(in.logs->first_online() == in.path("a"));
    in.take_away("a");
    wait_until([&] { return in.failures == 1; });
    CHECK(in.logs->first_online() == in.path("b"));
}

TEST_CASE("an empty directory in its place, as an unmount leaves one, is not taken for it") {
    Fixture in(Keeper::looks);
    fs::rename(in.path("b"), in.path("elsewhere"));
    fs::create_directory(in.path("b"));
    wait_until([&] { return in.failures == 1; });
    CHECK(in.made[1]->is_offline());
}

TEST_CASE("what cannot be made in a directory that is gone is made in the next one") {
    Fixture in(Keeper::is_away);
    in.take_away("b");
    CHECK(in.create()->directory().parent_path() == in.path("a"));
    CHECK(in.is_offline(1));
    CHECK(in.made[1]->is_offline());
    CHECK(in.failures == 1);
}

TEST_CASE("a segment that cannot be begun takes the directory offline that is gone") {
    Fixture in(Keeper::is_away);
    in.take_away("b");
    CHECK(append(*in.made[1]) == ErrorCode::kafka_storage_error);
    CHECK(in.is_offline(1));
    CHECK(in.failures == 1);
}

TEST_CASE("a partition that cannot be deleted takes the directory offline that is gone") {
    Fixture in(Keeper::is_away);
    in.take_away("b");
    in.made[1]->resign();
    in.logs->retire(in.made[1], topic_id);
    CHECK(in.is_offline(1));
    CHECK(in.failures == 1);
}

TEST_CASE("a partition whose own files are gone goes offline alone, and that is told") {
    Fixture in(Keeper::is_away);
    fs::remove_all(in.made[2]->directory());
    CHECK(append(*in.made[2]) == ErrorCode::kafka_storage_error);
    CHECK(in.made[2]->is_offline());
    CHECK(in.failures >= 1);
    CHECK_FALSE(in.is_offline(0));
    CHECK(append(*in.made[0]) == ErrorCode::none);
}

TEST_CASE("when the last directory is removed, the process has to end") {
    Fixture in(Keeper::looks);
    in.take_away("b");
    wait_until([&] { return in.failures == 1; });
    CHECK(in.logs->first_online() == in.path("a"));
    in.take_away("a");
    wait_until([&] { return !in.words().empty(); });
    CHECK(in.words().contains("all log directories have failed"));
    CHECK(in.made[0]->is_offline());
}

TEST_CASE("when the directory with the metadata is removed, the process has to end") {
    Fixture in(Keeper::looks, "a/metadata");
    in.take_away("b");
    wait_until([&] { return in.failures == 1; });
    CHECK(in.words().empty());
    Fixture other(Keeper::looks, "a");
    other.take_away("a");
    wait_until([&] { return !other.words().empty(); });
    CHECK(other.words().contains("metadata"));
    CHECK_FALSE(other.is_offline(1));
}
