#include "broker/config/load.h"
#include "broker/import/kraft_source.h"
#include "broker/import/plan.h"
#include "broker/import/transactional_ids.h"
#include "broker/import/zookeeper_source.h"
#include "protocol/records/batch_builder.h"
#include "protocol/schema/journal/client_quota_record.h"
#include "protocol/schema/journal/remove_user_scram_credential_record.h"
#include "protocol/schema/journal/transaction_log_key.h"
#include "protocol/schema/journal/transaction_log_value.h"
#include "protocol/schema/journal/user_scram_credential_record.h"
#include "protocol/schema/journal_record.h"
#include "protocol/tests/hex.h"
#include "storage/names.h"
#include "storage/tests/scratch.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <fstream>
#include <netinet/in.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

using base::BrokerId;
using base::LeaderEpoch;
using base::Offset;
using base::PartitionIndex;
using base::ProducerId;
using broker::KraftImage;
using broker::Source;
using broker::SurveyedDirectory;
namespace znodes = broker::znodes;

namespace {

// Values of records that Apache Kafka 4.3.1 wrote to __cluster_metadata.
const std::string topic_none = "0102000b636f6465632e6e6f6e65ace21e3b6b1b4cb9859de98ba12ec21d00";
const std::string none_0 =
    "01030200000000ace21e3b6b1b4cb9859de98ba12ec21d020000000102000000010101000000010000000000000000"
    "0"
    "25535a9987218ae842276144bb1a30a5000";
const std::string none_1 =
    "01030200000001ace21e3b6b1b4cb9859de98ba12ec21d020000000102000000010101000000010000000000000000"
    "0"
    "25535a9987218ae842276144bb1a30a5000";
// No broker is left in sync, broker 1 is eligible.
const std::string none_1_left =
    "010502"
    "00000001"
    "ace21e3b6b1b4cb9859de98ba12ec21d"
    "04"
    "000101"
    "0104ffffffff"
    "06050200000001"
    "07050200000001";
const std::string topic_gone = "01020005676f6e65fee28a30b70d4ef48fc198bc09a2f45100";
const std::string gone_removed = "010900fee28a30b70d4ef48fc198bc09a2f45100";
const std::string config_segments =
    "01040002097365676d656e74730e7365676d656e742e6279746573083130343835373600";
const std::string config_cluster = "0104000401146d696e2e696e73796e632e7265706c69636173023100";
const std::string producer_ids = "010f0000000001000000000000000d00000000000003e800";
const std::string begin = "01170001001212426f6f747374726170207265636f726473";
const std::string end = "01180000";
const std::string abort_transaction = "0119000000";

base::Result<void, std::string> put_in(KraftImage& image, const std::string& hex) {
    return image.apply(test::hex(hex));
}

Source source_of(const std::vector<std::string>& values) {
    KraftImage image;
    for (const auto& value : values) REQUIRE(put_in(image, value));
    return std::move(image).take("a test");
}

// A file of batches, one a record, whose values are given; the first at `base`.
void write_records(const std::filesystem::path& file, const std::vector<std::string>& values,
                   std::int64_t base = 0) {
    std::ofstream out(file, std::ios::binary);
    for (const auto& value : values) {
        records::BatchSettings settings;
        settings.base_offset = Offset(base++);
        records::BatchBuilder builder(settings);
        const auto bytes = test::hex(value);
        builder.append({.timestamp = 1, .key = std::nullopt, .value = bytes});
        const auto batch = builder.finish();
        out.write(reinterpret_cast<const char*>(batch.data()),
                  static_cast<std::streamsize>(batch.size()));
    }
}

storage::SurveyedPartition partition(const std::string& topic, std::int32_t index, std::uint8_t id,
                                     std::int32_t epoch = 0) {
    storage::SurveyedPartition made;
    made.at = {topic, PartitionIndex(index)};
    if (id != 0) made.topic_id = base::Uuid{std::byte{id}};
    made.max_leader_epoch = LeaderEpoch(epoch);
    made.bytes = 100;
    return made;
}

SurveyedDirectory directory(std::vector<storage::SurveyedPartition> partitions,
                            std::int32_t broker = 7, const std::string& cluster = "abc",
                            const std::string& path = "/logs") {
    SurveyedDirectory made;
    made.path = path;
    made.survey.identity = storage::Identity{BrokerId(broker), cluster, 0, {}};
    made.survey.partitions = std::move(partitions);
    return made;
}

struct Import {
    std::vector<SurveyedDirectory> directories;
    std::optional<Source> source = std::nullopt;
    coordinator::Tree tree = {};
    bool accept = false;
    ProducerId max_producer{-1};
    std::shared_ptr<const broker::BrokerConfig> config =
        broker::load_config({"t", "log.dirs=/logs\n", {}, {}}).config;

    base::Result<broker::ImportPlan, std::string> plan() {
        auto identity = broker::identify(directories, BrokerId(-1));
        if (!identity) return base::Unexpected(identity.error());
        broker::ImportInput input{.identity = *identity,
                                  .directories = directories,
                                  .source = source ? &*source : nullptr,
                                  .config = *config,
                                  .max_producer = max_producer,
                                  .accept = accept,
                                  .draw_uuid = [] { return base::Uuid{std::byte{99}}; }};
        return broker::plan_import(input, tree);
    }

    void carry_out(const std::vector<coordinator::Op>& ops) {
        const auto decision = tree.decide(ops, coordinator::ourselves(), 1);
        REQUIRE(decision);
        tree.apply(decision->transaction);
    }

    broker::ImportPlan run() {
        auto made = plan();
        REQUIRE_MESSAGE(made, std::string(made ? "" : made.error()));
        for (const auto& ops : made->transactions) carry_out(ops);
        return *made;
    }

    std::string data(const std::string& path) const {
        const auto node = tree.get(path);
        return node && node->data ? *node->data : "";
    }
    znodes::TopicAssignment topic(const std::string& name) const {
        const auto parsed = znodes::parse_topic(data(znodes::path::topic(name)));
        REQUIRE(parsed);
        return *parsed;
    }
    znodes::PartitionState state(const std::string& name, std::int32_t index) const {
        const auto parsed = znodes::parse_partition_state(
            data(znodes::path::partition_state(name, PartitionIndex(index))));
        REQUIRE(parsed);
        return *parsed;
    }
    znodes::Config configuration(const std::string& name) const {
        const auto parsed = znodes::parse_config(data("/config/topics/" + name));
        REQUIRE(parsed);
        return *parsed;
    }
    bool is_held(const std::string& name) const {
        return tree.exists(znodes::path::held_topic(name)).has_value();
    }
};

// A peer that says its piece to whoever connects, and hangs up.
class OneAnswer {
public:
    explicit OneAnswer(std::vector<std::byte> answer)
        : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t length = sizeof address;
        REQUIRE(::bind(listener_, reinterpret_cast<sockaddr*>(&address), length) == 0);
        REQUIRE(::listen(listener_, 1) == 0);
        REQUIRE(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length) == 0);
        port_ = ntohs(address.sin_port);
        thread_ = std::thread([this, answer = std::move(answer)] {
            const int peer = ::accept(listener_, nullptr, nullptr);
            if (peer < 0) return;
            static_cast<void>(::send(peer, answer.data(), answer.size(), MSG_NOSIGNAL));
            ::shutdown(peer, SHUT_WR);
            // Until it hangs up too: closing with bytes unread would take ours away from it.
            std::array<std::byte, 512> rest;
            while (::recv(peer, rest.data(), rest.size(), 0) > 0) {
            }
            ::close(peer);
        });
    }
    ~OneAnswer() {
        ::shutdown(listener_, SHUT_RDWR);
        thread_.join();
        ::close(listener_);
    }
    OneAnswer(const OneAnswer&) = delete;
    OneAnswer& operator=(const OneAnswer&) = delete;

    std::uint16_t port() const noexcept { return port_; }

private:
    int listener_;
    std::uint16_t port_ = 0;
    std::thread thread_;
};

// A source that knows topic "t" with partitions 0 and 1 on broker 7.
Source knows_t() {
    Source source;
    source.where = "a source";
    source.cluster_id = "abc";
    auto& topic = source.topics["t"];
    topic.id = base::Uuid{std::byte{1}};
    topic.config = {{"retention.ms", "-1"}};
    for (std::int32_t index : {0, 1}) {
        auto& one = topic.partitions[PartitionIndex(index)];
        one.replicas = one.isr = {BrokerId(7)};
        one.leader_epoch = LeaderEpoch(20);
    }
    return source;
}

}  // namespace

TEST_CASE(
    "records of Apache Kafka's metadata log come to topics, configurations and producer ids") {
    const auto source = source_of({topic_none, none_0, none_1, config_segments, config_cluster,
                                   topic_gone, gone_removed, producer_ids, none_1_left});
    REQUIRE(source.topics.size() == 1);
    const auto& topic = source.topics.at("codec.none");
    CHECK(storage::uuid_text(*topic.id) == "rOIeO2sbTLmFnemLoS7CHQ");
    REQUIRE(topic.partitions.size() == 2);
    CHECK(topic.partitions.at(PartitionIndex(0)).isr == std::vector{BrokerId(1)});
    CHECK(topic.partitions.at(PartitionIndex(0)).leader_epoch == LeaderEpoch(0));
    CHECK(topic.partitions.at(PartitionIndex(0)).directories.size() == 1);
    CHECK(topic.partitions.at(PartitionIndex(1)).isr.empty());
    CHECK(topic.partitions.at(PartitionIndex(1)).eligible == std::vector{BrokerId(1)});
    CHECK(topic.partitions.at(PartitionIndex(1)).leader_epoch == LeaderEpoch(1));
    CHECK(source.brokers.at("<default>") == znodes::Config{{"min.insync.replicas", "1"}});
    CHECK(source.next_producer == ProducerId(1000));
}

TEST_CASE("quotas and SCRAM credentials become the nodes that ZooKeeper would hold") {
    const auto value = [](const auto& record) {
        std::vector<std::byte> out;
        wire::Writer writer(out);
        writer.unsigned_varint(1);
        writer.unsigned_varint(static_cast<std::uint32_t>(record.record_type));
        writer.unsigned_varint(0);
        record.write(writer, 0);
        return out;
    };
    protocol::ClientQuotaRecord quota;
    quota.entity = {{"user", "alice"}, {"client-id", std::nullopt}};
    quota.key = "producer_byte_rate";
    quota.value = 1048576;
    protocol::ClientQuotaRecord percent;
    percent.entity = {{"ip", "10.0.0.1"}};
    percent.key = "connection_creation_rate";
    percent.value = 12.5;
    const std::vector<std::byte> five(5, std::byte{0xff});
    protocol::UserScramCredentialRecord scram;
    scram.name = "alice";
    scram.mechanism = 1;
    scram.salt = scram.stored_key = scram.server_key = wire::Payload::copied(five);
    scram.iterations = 4096;
    KraftImage image;
    REQUIRE(image.apply(value(quota)));
    REQUIRE(image.apply(value(percent)));
    REQUIRE(image.apply(value(scram)));
    auto source = KraftImage(image).take("");
    CHECK(source.nodes.at("/config/users/alice/clients/<default>") ==
          R"({"version":1,"config":{"producer_byte_rate":"1048576"}})");
    CHECK(source.nodes.at("/config/ips/10.0.0.1") ==
          R"({"version":1,"config":{"connection_creation_rate":"12.5"}})");
    CHECK(znodes::parse_config(source.nodes.at("/config/users/alice"))->at("SCRAM-SHA-256") ==
          "salt=//////8=,stored_key=//////8=,server_key=//////8=,iterations=4096");
    quota.remove = true;
    REQUIRE(image.apply(value(quota)));
    protocol::RemoveUserScramCredentialRecord gone;
    gone.name = "alice";
    gone.mechanism = 1;
    REQUIRE(image.apply(value(gone)));
    source = std::move(image).take("");
    CHECK(source.nodes.size() == 1);
}

TEST_CASE(
    "what a metadata transaction holds counts from its end on, and not at all when it is aborted") {
    CHECK(source_of({begin, topic_none, none_0}).topics.empty());
    CHECK(source_of({begin, topic_none, none_0, end}).topics.size() == 1);
    CHECK(source_of({begin, topic_none, abort_transaction, topic_gone}).topics.contains("gone"));
}

TEST_CASE(
    "metadata records that are cut, newer than known, or of nothing are refused with a reason") {
    KraftImage image;
    CHECK(put_in(image, "").error() == "a record is cut short");
    CHECK(put_in(image, "020200").error().find("frame version 2") != std::string::npos);
    CHECK(put_in(image, "010201" + topic_none.substr(6)).error().find("has version 1") !=
          std::string::npos);
    CHECK(put_in(image, none_0).error().find("never created") != std::string::npos);
    const auto whole = test::hex(topic_none);
    for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
        CHECK_FALSE(KraftImage().apply(std::span(whole).first(bytes)));
    }
    CHECK(put_in(image,
                 "017f00"
                 "1234"));  // A type of a later Kafka that says nothing of topics.
}

TEST_CASE("the newest snapshot is read first, then what the log has behind it") {
    const test::Scratch scratch;
    const auto folder = scratch.folder();
    write_records(folder / "00000000000000000001-0000000001.checkpoint", {topic_gone});
    write_records(folder / "00000000000000000003-0000000001.checkpoint", {topic_none, none_0});
    write_records(folder / "00000000000000000002.log", {topic_gone, none_1, producer_ids}, 2);
    const auto source = broker::read_kraft_source(storage::real_disk(), folder);
    REQUIRE_MESSAGE(source, std::string(source ? "" : source.error()));
    CHECK(source->topics.size() == 1);
    CHECK(source->topics.at("codec.none").partitions.size() == 2);
    CHECK(source->next_producer == ProducerId(1000));

    SUBCASE("a torn end of the log was never finished") {
        const auto log = folder / "00000000000000000002.log";
        std::filesystem::resize_file(log, std::filesystem::file_size(log) - 1);
        const auto torn = broker::read_kraft_source(storage::real_disk(), folder);
        REQUIRE(torn);
        CHECK(torn->next_producer == ProducerId(0));
    }
    SUBCASE("a damaged snapshot is named") {
        std::filesystem::resize_file(folder / "00000000000000000003-0000000001.checkpoint", 100);
        const auto damaged = broker::read_kraft_source(storage::real_disk(), folder);
        REQUIRE_FALSE(damaged);
        CHECK(
            damaged.error().find("00000000000000000003-0000000001.checkpoint is damaged at byte") !=
            std::string::npos);
    }
    SUBCASE("a log whose front is gone without a snapshot is refused") {
        std::filesystem::remove(folder / "00000000000000000003-0000000001.checkpoint");
        std::filesystem::remove(folder / "00000000000000000001-0000000001.checkpoint");
        const auto gap = broker::read_kraft_source(storage::real_disk(), folder);
        REQUIRE_FALSE(gap);
        CHECK(gap.error().find("no snapshot") != std::string::npos);
    }
}

TEST_CASE("topics come from directory names, above every epoch and producer id, and are held") {
    Import in{{directory({partition("t", 0, 1, 4), partition("t", 1, 1, 9),
                          partition("__consumer_offsets", 0, 2)})}};
    in.directories[0].survey.max_producer = ProducerId(4711);
    const auto plan = in.run();
    CHECK(plan.topics == 2);
    CHECK(plan.partitions == 3);
    CHECK(plan.bytes == 300);
    CHECK(plan.held == 2);
    CHECK(in.topic("t").topic_id == base::Uuid{std::byte{1}});
    CHECK(in.topic("t").partitions.at(PartitionIndex(1)) == std::vector{BrokerId(7)});
    CHECK(in.state("t", 1).leader_epoch == LeaderEpoch(10));
    CHECK(in.state("t", 1).leader == BrokerId(7));
    CHECK(in.is_held("t"));
    CHECK(in.configuration("__consumer_offsets").at("cleanup.policy") == "compact");
    CHECK(znodes::parse_cluster_id(in.data("/cluster/id")) == "abc");
    CHECK(znodes::parse_producer_id_block(in.data("/latest_producer_id_block"))->first >
          ProducerId(std::int64_t{1} << 39));

    SUBCASE("a second import has nothing to do") {
        CHECK(in.run().transactions.empty());
    }
    SUBCASE("--accept frees them") {
        in.accept = true;
        CHECK(in.run().accepted == 2);
        CHECK_FALSE(in.is_held("t"));
        CHECK(in.run().transactions.empty());
    }
    SUBCASE("a source that comes later configures them") {
        in.source = knows_t();
        const auto later = in.run();
        CHECK(later.configured == 1);
        CHECK(later.held == 1);
        CHECK_FALSE(in.is_held("t"));
        CHECK(in.configuration("t").at("retention.ms") == "-1");
    }
    SUBCASE("directories that came since then are added") {
        in.directories[0].survey.partitions.push_back(partition("t", 2, 1, 3));
        in.directories[0].survey.partitions.push_back(partition("u", 0, 3));
        in.run();
        CHECK(in.topic("t").partitions.size() == 3);
        CHECK(in.state("t", 2).leader_epoch == LeaderEpoch(4));
        CHECK(in.topic("u").partitions.size() == 1);
    }
}

TEST_CASE("an import that did not finish is made whole by the next one") {
    Import in{{directory({partition("t", 0, 1), partition("u", 0, 2)})}};
    auto plan = in.plan();
    REQUIRE(plan);
    REQUIRE(plan->transactions.size() == 1);
    auto ops = plan->transactions.front();
    ops.resize(ops.size() -
               3);  // The process died before /cluster/id, and before some of the rest.
    in.carry_out(ops);
    in.source = knows_t();
    in.source->topics.at("t").partitions.erase(PartitionIndex(1));
    in.run();
    CHECK(in.tree.exists("/cluster/id"));
    CHECK(in.configuration("t").at("retention.ms") == "-1");
    CHECK_FALSE(in.is_held("t"));
    CHECK(in.run().transactions.empty());
}

TEST_CASE("a source gives configurations, partitions elsewhere, and epochs") {
    Import in{
        {directory({partition("t", 0, 1, 4), partition("t", 1, 1, 40), partition("stray", 0, 5)})}};
    in.source = knows_t();
    in.source->topics.at("t").partitions[PartitionIndex(2)] = {
        {BrokerId(8)}, {BrokerId(8)}, {}, LeaderEpoch(3), {}};
    in.source->brokers["7"] = {{"log.cleaner.threads", "2"}};
    in.source->nodes["/config/users/alice"] = "{}";
    in.source->next_producer = ProducerId(20'000);
    in.source->controller_epoch = 12;
    const auto plan = in.run();
    CHECK(plan.held == 0);
    CHECK(in.configuration("t").at("retention.ms") == "-1");
    CHECK(in.state("t", 0).leader_epoch == LeaderEpoch(21));
    CHECK(in.state("t", 1).leader_epoch == LeaderEpoch(41));
    CHECK(in.state("t", 2).leader == BrokerId(-1));
    CHECK_FALSE(in.tree.exists("/brokers/topics/stray"));
    CHECK(std::ranges::any_of(plan.notes,
                              [](const auto& line) { return line.starts_with("/logs/stray-0"); }));
    CHECK(in.tree.exists("/config/brokers/7"));
    CHECK(in.tree.exists("/config/users/alice"));
    CHECK(in.data("/controller_epoch") == "12");
    CHECK(znodes::parse_producer_id_block(in.data("/latest_producer_id_block"))->first >
          ProducerId(std::int64_t{1} << 39));
}

TEST_CASE("a partition that no directory holds has no leader, and no number is left out") {
    Import in{{directory({partition("t", 2, 1)})}};
    const auto plan = in.run();
    CHECK(in.topic("t").partitions.size() == 3);
    CHECK(in.topic("t").partitions.at(PartitionIndex(0)).empty());
    CHECK(in.state("t", 0).leader == BrokerId(-1));
    CHECK(plan.notes.size() == 2);
}

TEST_CASE("a topic without an id gets one") {
    Import in{{directory({partition("old", 0, 0)})}};
    in.run();
    CHECK(in.topic("old").topic_id == base::Uuid{std::byte{99}});
}

TEST_CASE(
    "what would lose or mix up records is refused, with file and remedy, and changes nothing") {
    const auto refused = [](Import in, const std::string& why) {
        const auto plan = in.plan();
        REQUIRE_FALSE(plan);
        CHECK_MESSAGE(plan.error().find(why) != std::string::npos, plan.error());
    };
    refused(
        {{directory({partition("t", 0, 1)}), directory({partition("u", 0, 2)}, 7, "xyz", "/more")}},
        "/more/meta.properties is of cluster xyz, /logs/meta.properties of abc");
    refused(
        {{directory({partition("t", 0, 1)}), directory({partition("u", 0, 2)}, 8, "abc", "/more")}},
        "/more/meta.properties is of broker 8, /logs/meta.properties of broker 7");
    refused(
        {{directory({partition("t", 0, 1)}), directory({partition("t", 0, 1)}, 7, "abc", "/more")}},
        "t-0 is in /logs and in /more");
    refused({{directory({partition("t", 0, 1), partition("t", 1, 2)})}}, "two topics of that name");
    auto nameless = directory({partition("t", 0, 1)});
    nameless.survey.identity.reset();
    refused({{nameless}}, "/logs/meta.properties is missing");
    refused({{}}, "nothing to import");
    auto damaged = partition("t", 0, 0);
    damaged.fault =
        storage::Fault(storage::FaultKind::corrupt, "/logs/t-0/partition.metadata: no topic id");
    refused({{directory({damaged})}}, "/logs/t-0/partition.metadata: no topic id; put it back");

    refused({{directory({partition("t", 0, 1)})}, knows_t()}, "a source has t-1 on this broker");
    auto other = knows_t();
    other.cluster_id = "xyz";
    refused({{directory({partition("t", 0, 1), partition("t", 1, 1)})}, other},
            "is of cluster xyz");
    auto behind = knows_t();
    behind.topics.at("t").partitions.at(PartitionIndex(0)).isr = {BrokerId(9)};
    refused({{directory({partition("t", 0, 1), partition("t", 1, 1)})}, behind},
            "was behind that of broker 9");
    auto elsewhere = knows_t();
    elsewhere.topics.at("t").partitions.at(PartitionIndex(1)).directories = {
        base::Uuid{std::byte{1}, std::byte{2}}};
    refused({{directory({partition("t", 0, 1), partition("t", 1, 1)})}, elsewhere},
            "which is not in log.dirs");
}

TEST_CASE("broker.id has to be that of meta.properties") {
    const std::vector directories{directory({partition("t", 0, 1)})};
    CHECK(broker::identify(directories, BrokerId(7)));
    CHECK(broker::identify(directories, BrokerId(-1))->broker == BrokerId(7));
    CHECK(broker::identify(directories, BrokerId(3)).error() ==
          "/logs/meta.properties is of broker 7, but broker.id is 3; set broker.id to that or use "
          "other log.dirs");
}

TEST_CASE("a cluster of many partitions is imported in several transactions, its id in the last") {
    Import in{{directory({})}};
    for (std::int32_t i = 0; i < 20'000; ++i) {
        in.directories[0].survey.partitions.push_back(
            partition("topic-" + std::to_string(i / 10), i % 10, 1));
    }
    const auto plan = in.run();
    CHECK(plan.transactions.size() > 1);
    CHECK(plan.topics == 2000);
    CHECK(in.topic("topic-1999").partitions.size() == 10);
    const auto& last = std::get<coordinator::Create>(plan.transactions.back().back());
    CHECK(last.path == "/cluster/id");
}

TEST_CASE("producer ids of transactional ids are found in __transaction_state") {
    const test::Scratch scratch;
    std::filesystem::create_directories(scratch.file("__transaction_state-3"));
    protocol::TransactionLogValue value;
    value.producer_id = ProducerId(815);
    records::BatchBuilder builder;
    const auto key = protocol::encode_key(protocol::TransactionLogKey{"me"});
    const auto bytes = protocol::encode_value(value, 0);
    builder.append({.timestamp = 1, .key = key, .value = bytes});
    const auto batch = builder.finish();
    std::ofstream(scratch.file("__transaction_state-3/00000000000000000000.log"), std::ios::binary)
        .write(reinterpret_cast<const char*>(batch.data()),
               static_cast<std::streamsize>(batch.size()));
    const std::vector directories{
        directory({partition("__transaction_state", 3, 1)}, 7, "abc", scratch.folder().string())};
    CHECK(broker::highest_transactional_producer(storage::real_disk(), directories) ==
          ProducerId(815));
}

TEST_CASE("whatever answers in ZooKeeper's place, the import ends with one line about it") {
    const auto said = [](const std::string& answers) {
        OneAnswer peer(test::hex(answers));
        const broker::ZookeeperAddress at{{{"127.0.0.1", peer.port()}}, ""};
        const auto source =
            broker::read_zookeeper_source(at, broker::after(std::chrono::seconds(10)));
        REQUIRE_FALSE(source);
        CHECK(source.error().find('\n') == std::string::npos);
        return source.error().substr(source.error().find(": ") + 2);
    };
    const std::string session =
        "00000025 00000000 00007530 0000000000000001 00000010"
        "00000000000000000000000000000000 00";
    CHECK(said("") != "");
    CHECK(said("7fffffff 00000000") == "this is no ZooKeeper");
    CHECK(said("ffffffff") == "this is no ZooKeeper");
    CHECK(said("00000008 00000000 00000000") == "it gives no session");
    const std::string header = "00000001 0000000000000005 00000000";
    CHECK(said(session + "00000010 00000009 0000000000000005 00000000") == "this is no ZooKeeper");
    CHECK(said(session + "00000010" + header) == "the answer about /cluster/id does not decode");
    CHECK(said(session + "00000018" + header + "7fffffff 00000000").ends_with("does not decode"));
    CHECK(said(session + "00000010 00000001 0000000000000005 ffffff9a")
              .starts_with("its ACL lets nobody read /cluster/id"));
    CHECK(said(session + "00000010 00000001 0000000000000005 ffffff9b")
              .starts_with("/cluster/id holds no cluster id"));
}

TEST_CASE("zookeeper.connect is read as Kafka reads it") {
    const auto plain = broker::parse_zookeeper("zk1:2182,[::1]:2183,zk3/kafka/a/");
    REQUIRE(plain);
    CHECK(plain->chroot == "/kafka/a");
    REQUIRE(plain->servers.size() == 3);
    CHECK(plain->servers[0].port == 2182);
    CHECK(plain->servers[1].host == "::1");
    CHECK(plain->servers[2].port == 2181);
    CHECK(broker::parse_zookeeper("[::1]")->servers[0].port == 2181);
    CHECK_FALSE(broker::parse_zookeeper(""));
    CHECK_FALSE(broker::parse_zookeeper("zk:port"));
}
