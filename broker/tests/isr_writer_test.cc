// isr_writer, on a metadata tree in memory.

#include "broker/cluster/isr_writer.h"

#include "broker/tests/cluster_tree.h"

#include <doctest/doctest.h>

namespace {

using base::BrokerId;
using base::LeaderEpoch;
using base::PartitionIndex;
using broker::Isr;
using coordinator::ZkError;

const base::TopicPartition at{"t", PartitionIndex(0)};
constexpr BrokerId self(1);

struct Fixture : test::ClusterTree {
    Fixture() { create(where, state_of(1, 3, {BrokerId(1), BrokerId(2)})); }

    static std::string state_of(std::int32_t leader, std::int32_t epoch, Isr::Brokers isr) {
        return broker::znodes::write(
            broker::znodes::PartitionState{7, BrokerId(leader), LeaderEpoch(epoch), isr});
    }
    auto write_isr(std::int32_t epoch, std::int32_t version, Isr::Brokers isr) {
        return broker::write_isr(store(), self, at,
                                 {LeaderEpoch(epoch), {std::move(isr), version}});
    }

    const std::string where = broker::znodes::path::partition_state("t", PartitionIndex(0));
};

}  // namespace

TEST_CASE("a leader writes the ISR where the state is as it knows it") {
    Fixture in;
    const auto now = in.write_isr(3, 0, {BrokerId(1)});
    REQUIRE(now);
    REQUIRE(*now);
    CHECK((*now)->isr == Isr::Brokers{BrokerId(1)});
    CHECK((*now)->partition_epoch == 1);
    const auto state = in.state("t", 0);
    CHECK(state.isr == Isr::Brokers{BrokerId(1)});
    CHECK(state.leader_epoch == LeaderEpoch(3));
    CHECK(state.controller_epoch == 7);
}

TEST_CASE("where the state has moved on, the leader learns it and writes nothing") {
    Fixture in;
    in.set(in.where, Fixture::state_of(1, 3, {BrokerId(1), BrokerId(3)}));
    const auto now = in.write_isr(3, 0, {BrokerId(1)});
    REQUIRE(now);
    REQUIRE(*now);
    CHECK((*now)->isr == Isr::Brokers{BrokerId(1), BrokerId(3)});
    CHECK((*now)->partition_epoch == 1);
    CHECK(in.state("t", 0).isr == Isr::Brokers{BrokerId(1), BrokerId(3)});
}

TEST_CASE("who is not the leader of that term writes nothing") {
    Fixture in;
    SUBCASE("another term") {
        in.set(in.where, Fixture::state_of(1, 4, {BrokerId(1)}));
    }
    SUBCASE("another leader") {
        in.set(in.where, Fixture::state_of(2, 3, {BrokerId(2)}));
    }
    SUBCASE("the topic is gone") {
        in.remove(in.where);
    }
    const auto now = in.write_isr(3, 1, {BrokerId(1), BrokerId(9)});
    REQUIRE(now);
    CHECK_FALSE(*now);
}

TEST_CASE("what was written without an answer is written once") {
    Fixture in;
    in.store().loses_next_answer = true;
    CHECK(in.write_isr(3, 0, {BrokerId(1)}) == base::Unexpected(ZkError::connection_loss));
    const auto now = in.write_isr(3, 0, {BrokerId(1)});
    REQUIRE(now);
    REQUIRE(*now);
    CHECK((*now)->isr == Isr::Brokers{BrokerId(1)});
    CHECK((*now)->partition_epoch == 1);
    in.store().is_cut = true;
    CHECK(in.write_isr(3, 1, {BrokerId(1)}) == base::Unexpected(ZkError::connection_loss));
}

TEST_CASE("the controller finds a note of the partitions to read again") {
    Fixture in;
    REQUIRE(broker::note_isr_changes(in.store(), {}));
    REQUIRE(broker::note_isr_changes(in.store(), {at}));
    const auto notes = in.store().children("/isr_change_notification");
    REQUIRE(notes);
    REQUIRE(notes->size() == 1);
    CHECK(notes->front() == "isr_change_0000000000");
    const auto note = in.get("/isr_change_notification/" + notes->front());
    REQUIRE(note);
    CHECK(broker::znodes::parse_partitions(note->data.value()) == std::vector{at});
}

TEST_CASE("very many partitions are noted in parts") {
    Fixture in;
    std::vector<base::TopicPartition> all;
    for (std::int32_t i = 0; i < 2'500; ++i) all.push_back({"t", PartitionIndex(i)});
    REQUIRE(broker::note_isr_changes(in.store(), all));
    std::vector<base::TopicPartition> noted;
    const auto notes = in.store().children("/isr_change_notification");
    REQUIRE(notes);
    CHECK(notes->size() == 3);
    for (const auto& name : *notes) {
        const auto note = in.get("/isr_change_notification/" + name);
        const auto some = broker::znodes::parse_partitions(note->data.value());
        REQUIRE(some);
        noted.insert(noted.end(), some->begin(), some->end());
    }
    CHECK(noted == all);
}
