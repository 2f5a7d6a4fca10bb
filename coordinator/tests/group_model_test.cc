// Consumers that follow the protocol, crash, pause and come back, over a coordinator that
// restarts and a journal that fails: from a seed, over simulated time.
//
// SEED=n in the environment runs that seed alone.

#include "coordinator/tests/group_fixture.h"

#include <cstdlib>
#include <random>

using namespace test;

namespace {

constexpr int partitions = 8;
const std::string group = "g";

struct Consumer {
    enum class Stage { out, joining, syncing, in };

    std::string client;
    std::optional<std::string> instance;
    int version = 3;
    Stage stage = Stage::out;
    std::string member_id;
    std::int32_t generation = -1;
    Ticket ticket = 0;
    std::map<int, std::int64_t> positions;  // Of what it owns.
    std::int64_t sleeps_until_ms = 0;       // Paused: it does nothing, and knows nothing of it.

    MemberIdentity identity() const { return {member_id, instance}; }
};

struct Simulation {
    explicit Simulation(std::uint64_t seed) : random(seed), in(settings()) {
        for (int i = 0; i < 5; ++i) {
            auto& consumer = consumers.emplace_back();
            consumer.client = "c" + std::to_string(i);
            if (i >= 3) consumer.instance = "i" + std::to_string(i);
            consumer.version = i % 2 == 0 ? 9 : 3;
        }
    }

    static coordinator::GroupSettings settings() {
        coordinator::GroupSettings settings;
        settings.initial_rebalance_delay_ms = 500;
        return settings;
    }

    std::mt19937_64 random;
    GroupFixture in;
    std::vector<Consumer> consumers;
    std::map<std::int32_t, std::map<int, std::string>> owners;  // By generation, then partition.
    std::map<Ticket, std::pair<int, std::int64_t>> commits;     // Not answered yet.
    std::map<int, std::int64_t> acknowledged;
    std::map<int, std::int64_t> seen;
    Ticket first_ticket = 1;  // Since the coordinator started.
    int rebalances = 0, refused = 0, accepted = 0;

    std::uint64_t draw(std::uint64_t below) { return random() % below; }

    void forget_membership(Consumer& consumer) {
        consumer.stage = Consumer::Stage::out;
        consumer.member_id.clear();
        consumer.positions.clear();
    }

    void rejoin(Consumer& consumer) {
        Joins says;
        says.member_id = consumer.member_id;
        says.instance = consumer.instance;
        says.client = consumer.client;
        says.version = consumer.version;
        says.rebalance_ms = 20'000;
        // A static member that sleeps stays in the group, in generations it never heard of.
        if (consumer.instance) says.session_ms = 60'000;
        consumer.stage = Consumer::Stage::joining;
        consumer.ticket = in.join(group, says);
    }

    void see_join(Consumer& consumer) {
        const JoinReply reply = in.joined(consumer.ticket);
        switch (reply.error) {
            case ErrorCode::none: break;
            case ErrorCode::member_id_required:
                consumer.member_id = reply.member_id;
                return rejoin(consumer);
            case ErrorCode::unknown_member_id:
            case ErrorCode::fenced_instance_id: return forget_membership(consumer);
            default: consumer.stage = Consumer::Stage::out; return;
        }
        consumer.member_id = reply.member_id;
        consumer.generation = reply.generation;
        std::vector<std::pair<std::string, Blob>> assignments;
        if (!reply.members.empty() && !reply.skip_assignment) {
            ++rebalances;
            std::map<std::string, std::string> made;
            for (int p = 0; p < partitions; ++p) {
                made[reply.members[static_cast<std::size_t>(p) % reply.members.size()].member_id] += std::to_string(p);
            }
            for (const auto& [id, assigned] : made) assignments.emplace_back(id, blob(assigned));
        }
        consumer.stage = Consumer::Stage::syncing;
        consumer.ticket = in.sync(group, consumer.identity(), consumer.generation, std::move(assignments));
    }

    void see_sync(Consumer& consumer) {
        const SyncReply reply = in.synced(consumer.ticket);
        if (reply.error == ErrorCode::unknown_member_id || reply.error == ErrorCode::fenced_instance_id) {
            return forget_membership(consumer);
        }
        if (reply.error != ErrorCode::none) {
            consumer.stage = Consumer::Stage::out;
            return;
        }
        consumer.stage = Consumer::Stage::in;
        consumer.positions.clear();
        // A static member keeps what is its own under each of its ids.
        const auto name = consumer.instance ? *consumer.instance : consumer.member_id;
        for (const char digit : text(reply.assignment)) {
            const int p = digit - '0';
            const auto [owner, is_new] = owners[consumer.generation].try_emplace(p, name);
            REQUIRE_MESSAGE(owner->second == name, "a partition has one owner in a generation");
            consumer.positions[p] = std::max<std::int64_t>(in.fetched(group, at("t", p)), 0);
        }
    }

    void beat(Consumer& consumer) {
        switch (in.heartbeat(group, consumer.identity(), consumer.generation)) {
            case ErrorCode::none: return;
            case ErrorCode::rebalance_in_progress: return rejoin(consumer);
            default: return forget_membership(consumer);
        }
    }

    void commit(Consumer& consumer) {
        if (consumer.positions.empty()) return;
        auto& [p, position] = *std::next(consumer.positions.begin(), static_cast<std::ptrdiff_t>(draw(consumer.positions.size())));
        position += static_cast<std::int64_t>(1 + draw(5));
        const auto ticket = in.commit(group, consumer.identity(), consumer.generation, {{at("t", p), in.committed(position)}});
        commits[ticket] = {p, position};
    }

    // What a consumer does next, as its stage has it.
    void step(Consumer& consumer) {
        if (consumer.sleeps_until_ms > in.now.steady_ms) return;
        switch (consumer.stage) {
            case Consumer::Stage::out: return rejoin(consumer);
            case Consumer::Stage::joining:
                if (!in.waits(consumer.ticket)) see_join(consumer);
                return;
            case Consumer::Stage::syncing:
                if (!in.waits(consumer.ticket)) see_sync(consumer);
                return;
            case Consumer::Stage::in:
                commit(consumer);
                beat(consumer);
        }
    }

    void fault(Consumer& consumer) {
        switch (draw(8)) {
            case 0: forget_membership(consumer); break;  // Crashed: a new process knows nothing.
            case 1:
                if (consumer.stage != Consumer::Stage::in || consumer.instance) break;
                in.leave(group, {consumer.identity()});
                forget_membership(consumer);
                break;
            case 2: consumer.sleeps_until_ms = in.now.steady_ms + static_cast<std::int64_t>(draw(40'000)); break;
            case 3: in.refuses = ErrorCode::not_enough_replicas; break;
            case 4:
            case 5:
                in.refuses.reset();
                in.holds_commits = false;
                in.commit_all();
                break;
            case 6: in.holds_commits = true; break;
            default:
                if (draw(4) == 0) restart();
        }
    }

    void restart() {
        in.holds_commits = false;
        in.refuses.reset();
        in.restart();
        first_ticket = in.tickets + 1;
        commits.clear();
        for (auto& consumer : consumers) {
            const bool waits = consumer.stage == Consumer::Stage::joining || consumer.stage == Consumer::Stage::syncing;
            if (waits) consumer.stage = Consumer::Stage::out;  // The connection is gone.
        }
    }

    void check() {
        for (auto commit = commits.begin(); commit != commits.end();) {
            if (in.waits(commit->first)) {
                ++commit;
                continue;
            }
            const auto error = in.answer<PartitionsReply>(commit->first).partitions.at(0);
            const auto [p, offset] = commit->second;
            if (error == ErrorCode::none) acknowledged[p] = std::max(acknowledged[p], offset);
            error == ErrorCode::none ? ++accepted : ++refused;
            commit = commits.erase(commit);
        }
        for (int p = 0; p < partitions; ++p) {
            const auto offset = in.fetched(group, at("t", p));
            if (acknowledged.contains(p)) {
                REQUIRE_MESSAGE(offset >= acknowledged[p], "what was acknowledged is there");
            }
            if (seen.contains(p)) REQUIRE_MESSAGE(offset >= seen[p], "a committed offset never goes back");
            if (offset >= 0) seen[p] = offset;
        }
        in.shard->read([](const GroupShard& s) {
            if (const auto* live = s.find(group)) REQUIRE(live->check_invariants());
        });
        if (in.in_flight.empty() && draw(20) == 0) {
            coordinator::GroupLog replayed;
            for (const auto& record : in.journal) replayed.apply(record);
            in.shard->read([&](const GroupShard& s) { REQUIRE(replayed == s.log()); });
        }
    }

    // All faults end; whoever sleeps wakes up.
    void heal() {
        in.refuses.reset();
        in.holds_commits = false;
        in.commit_all();
        for (auto& consumer : consumers) consumer.sleeps_until_ms = 0;
    }

    bool all_in() const {
        return std::ranges::all_of(consumers, [](const Consumer& c) { return c.stage == Consumer::Stage::in; });
    }

    void run() {
        for (int turn = 0; turn < 1500; ++turn) {
            in.pass(static_cast<std::int64_t>(draw(1500)));
            step(consumers[draw(consumers.size())]);
            if (draw(12) == 0) fault(consumers[draw(consumers.size())]);
            check();
        }
        heal();
        int calm = 0;
        for (int turn = 0; turn < 500 && calm < 20; ++turn) {
            in.pass(500);
            for (auto& consumer : consumers) step(consumer);
            check();
            calm = all_in() ? calm + 1 : 0;
        }
        REQUIRE_MESSAGE(calm == 20, "the group settles");
        CHECK(in.state(group) == "Stable");
        std::set<int> owned;
        for (const auto& consumer : consumers) {
            for (const auto& [p, position] : consumer.positions) CHECK(owned.insert(p).second);
        }
        CHECK(owned.size() == partitions);
        for (Ticket ticket = first_ticket; ticket <= in.tickets; ++ticket) {
            REQUIRE_MESSAGE(!in.waits(ticket), "every request is answered");
        }
        CHECK(rebalances > 5);
        CHECK(accepted > 20);
    }
};

}  // namespace

TEST_SUITE("coordinator/group model") {
    TEST_CASE("consumers that come, go, crash and sleep never share a partition nor lose an offset") {
        std::uint64_t from = 1, to = 40;
        if (const char* seed = std::getenv("SEED")) from = to = std::strtoull(seed, nullptr, 10);
        int refused = 0;
        for (std::uint64_t seed = from; seed <= to; ++seed) {
            CAPTURE(seed);
            Simulation simulation(seed);
            simulation.run();
            refused += simulation.refused;
        }
        CHECK(refused > 0);
    }
}
