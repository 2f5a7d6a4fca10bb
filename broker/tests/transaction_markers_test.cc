// WriteTxnMarkers through handle(), on a partition that has an open transaction.

#include "broker/tests/broker_fixture.h"
#include "broker/tests/wait_until.h"
#include "coordinator/group/group_id.h"
#include "coordinator/group/group_record_format.h"
#include "protocol/records/batch_builder.h"
#include "protocol/schema/api/write_txn_markers.h"

#include <doctest/doctest.h>

namespace {

using base::Offset;
using base::PartitionIndex;
using base::ProducerId;
using protocol::ErrorCode;
using test::BrokerFixture;

constexpr ProducerId producer(9);

struct Fixture {
    Fixture() { in.create_topic("t"); }

    // Append as Produce would, were there a coordinator that has begun the transaction.
    void begin_transaction(const std::string& topic, std::int32_t index,
                           const records::NewRecord& record) {
        records::BatchSettings settings;
        settings.producer_id = producer;
        settings.producer_epoch = 0;
        settings.base_sequence = 0;
        settings.transactional = true;
        records::BatchBuilder builder(settings);
        builder.append(record);
        auto batch = std::make_shared<std::vector<std::byte>>(builder.finish());
        const auto image = in.cluster().image();
        const auto* known = image->find_topic(topic);
        REQUIRE(known);
        std::promise<ErrorCode> written;
        storage::AppendRequest request;
        request.batches = *batch;
        request.origin = storage::Origin::coordinator;
        const auto appended =
            known->find(PartitionIndex(index))
                ->local->append(request, broker::Acks::all, 1000,
                                [&, batch](ErrorCode error) { written.set_value(error); });
        REQUIRE(appended);
        REQUIRE(written.get_future().get() == ErrorCode::none);
    }

    ErrorCode end_transaction(const std::string& topic, std::int32_t index, bool commits,
                              std::int32_t coordinator_epoch = 3) {
        protocol::WriteTxnMarkersRequest request;
        auto& marker = request.markers.emplace_back();
        marker.producer_id = producer;
        marker.producer_epoch = 0;
        marker.transaction_result = commits;
        marker.coordinator_epoch = coordinator_epoch;
        auto& asked = marker.topics.emplace_back();
        asked.name = wire::Text(topic);
        asked.partition_indexes = {PartitionIndex(index)};
        const auto response = in.call(std::move(request), 1);
        REQUIRE(response.markers.size() == 1);
        CHECK(response.markers[0].producer_id == producer);
        const auto& answer = response.markers.at(0).topics.at(0);
        CHECK(answer.name == topic);
        CHECK(answer.partitions.at(0).partition_index == PartitionIndex(index));
        return answer.partitions.at(0).error_code;
    }

    broker::Positions positions() {
        const auto image = in.cluster().image();
        return *image->find_topic("t")->find(PartitionIndex(0))->local->positions();
    }

    BrokerFixture in;
};

records::NewRecord some_record() {
    static const std::string value = "a";
    records::NewRecord record;
    record.timestamp = 1000;
    record.value = std::as_bytes(std::span(value));
    return record;
}

}  // namespace

TEST_CASE("a marker ends a transaction: what is behind it can be read as committed") {
    Fixture in;
    in.begin_transaction("t", 0, some_record());
    CHECK(in.positions().last_stable == Offset(0));
    CHECK(in.end_transaction("t", 0, true) == ErrorCode::none);
    CHECK(in.positions().last_stable == Offset(2));
    CHECK(in.positions().log_end == Offset(2));
    // The coordinator did not hear the answer and asks again.
    CHECK(in.end_transaction("t", 0, true) == ErrorCode::none);
}

TEST_CASE("a marker of a coordinator that is none any more is refused") {
    Fixture in;
    in.begin_transaction("t", 0, some_record());
    CHECK(in.end_transaction("t", 0, false, 3) == ErrorCode::none);
    CHECK(in.end_transaction("t", 0, true, 2) == ErrorCode::transaction_coordinator_fenced);
}

TEST_CASE("a marker for a partition that is not there is refused, and the others are written") {
    Fixture in;
    CHECK(in.end_transaction("t", 7, true) == ErrorCode::unknown_topic_or_partition);
    CHECK(in.end_transaction("nobody", 0, true) == ErrorCode::unknown_topic_or_partition);
}

TEST_CASE("offsets of a transaction count when its marker commits it, and are forgotten when not") {
    for (const bool commits : {true, false}) {
        CAPTURE(commits);
        Fixture in;
        // Four partitions, which a cluster makes when somebody asks for a group.
        in.in.create_topic("__consumer_offsets", 4);
        const coordinator::OffsetRecord offset{
            "g", {"t", PartitionIndex(0)}, coordinator::CommittedOffset{.offset = Offset(5)}};
        const auto encoded = coordinator::encode(coordinator::Record(offset));
        records::NewRecord record;
        record.timestamp = 1000;
        record.key = encoded.key;
        record.value = *encoded.value;
        const auto index = coordinator::partition_of("g", 4);
        in.begin_transaction("__consumer_offsets", index.value(), record);
        in.in.restart();  // It is loaded with the transaction open.
        const auto fetched = [&] {
            Offset committed;
            test::wait_until([&] {
                const auto found = in.in.services().groups.fetch_offsets(
                    "g", std::vector<base::TopicPartition>{{"t", PartitionIndex(0)}}, false);
                if (found.error == ErrorCode::coordinator_load_in_progress) return false;
                committed = found.offsets.at(0).offset;
                return true;
            });
            return committed;
        };
        CHECK(fetched() == Offset(-1));
        CHECK(in.end_transaction("__consumer_offsets", index.value(), commits) == ErrorCode::none);
        CHECK(fetched() == Offset(commits ? 5 : -1));
    }
}
