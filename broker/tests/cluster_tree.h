// ClusterTree: a metadata tree for tests of the controller, with brokers and topics put into it.
//
// The store is the broker's own kind over a metadata service in memory; its connection can be cut.
#pragma once

#include "broker/cluster/cluster_core.h"
#include "broker/cluster/embedded_store.h"
#include "broker/cluster/znodes.h"
#include "coordinator/tests/sim_disk.h"

#include <doctest/doctest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace test {

// A store whose connection comes and goes.
class CutStore final : public broker::MetadataStore {
public:
    explicit CutStore(std::unique_ptr<broker::EmbeddedStore> store) : store_(std::move(store)) {}

    bool is_cut = false;             // Nothing gets through.
    bool loses_next_answer = false;  // The next commit is done, but nobody hears of it.

    using MetadataStore::children;
    using MetadataStore::get;
    [[nodiscard]] base::Result<std::vector<std::optional<coordinator::NodeView>>,
                               coordinator::ZkError>
    get(std::span<const std::string> paths) override {
        if (is_cut) return base::Unexpected(coordinator::ZkError::connection_loss);
        return store_->get(paths);
    }
    [[nodiscard]] base::Result<std::vector<std::optional<std::vector<std::string>>>,
                               coordinator::ZkError>
    children(std::span<const std::string> paths) override {
        if (is_cut) return base::Unexpected(coordinator::ZkError::connection_loss);
        return store_->children(paths);
    }
    [[nodiscard]] base::Result<coordinator::Committed, coordinator::Refused> commit(
        std::vector<coordinator::Op> ops) override {
        const coordinator::Refused lost{coordinator::ZkError::connection_loss};
        if (is_cut) return base::Unexpected(lost);
        auto done = store_->commit(std::move(ops));
        if (std::exchange(loses_next_answer, false)) return base::Unexpected(lost);
        return done;
    }
    std::size_t transaction_bytes_max() const override { return bytes_max; }
    coordinator::SessionKey session() const override { return store_->session(); }
    [[nodiscard]] base::Result<void, coordinator::ZkError> watch(std::vector<std::string> roots,
                                                                 Tell tell) override {
        return store_->watch(std::move(roots), std::move(tell));
    }
    bool end_session() override { return store_->end_session(); }
    void stop() override { store_->stop(); }

    coordinator::MetadataService& service() { return store_->service(); }

    std::size_t bytes_max = 1 << 20;

private:
    std::unique_ptr<broker::EmbeddedStore> store_;
};

class ClusterTree {
public:
    ClusterTree() {
        coordinator::MetadataService::Settings settings;
        settings.disk = &disk_;
        settings.directory = "/d";
        settings.wall_ms = [] { return std::int64_t{1'000'000}; };
        settings.monotonic_ms = [] { return std::int64_t{1'000'000}; };
        settings.random = [](std::span<std::byte> bytes) {
            for (std::byte& byte : bytes) byte = std::byte{7};
        };
        auto service = coordinator::MetadataService::start(settings);
        REQUIRE(service);
        auto opened = broker::EmbeddedStore::open(std::move(*service), {}, 10'000);
        REQUIRE_MESSAGE(opened, opened.error());
        store_ = std::make_unique<CutStore>(std::move(*opened));
        std::vector<coordinator::Op> ops;
        for (const auto& each : broker::znodes::persistent_paths()) {
            ops.push_back(broker::persistent(each));
        }
        write(std::move(ops));
    }

    CutStore& store() { return *store_; }

    // By somebody else.
    void write(std::vector<coordinator::Op> ops) {
        const auto done = store_->service().submit_and_wait(std::move(ops));
        REQUIRE_MESSAGE(done, coordinator::to_string(done.error().error));
    }
    void create(std::string where, std::string data) {
        write({broker::persistent(std::move(where), std::move(data))});
    }
    void set(std::string where, std::string data) {
        write({coordinator::SetData{std::move(where), std::move(data)}});
    }
    void remove(std::string where) { write({coordinator::Delete{std::move(where)}}); }
    // In a session of its own, which is answered.
    coordinator::SessionId create_ephemeral(std::string where, std::string data) {
        const auto key = store_->service().open_session(10'000);
        REQUIRE(key);
        coordinator::Create node;
        node.path = std::move(where);
        node.data = std::move(data);
        node.kind = coordinator::NodeKind::ephemeral;
        const auto done =
            store_->service().submit_and_wait({node}, coordinator::ourselves(key->id));
        REQUIRE(done);
        return key->id;
    }
    void end(coordinator::SessionId session) { REQUIRE(store_->service().close_session(session)); }

    void add_broker(std::int32_t id) {
        broker::znodes::BrokerRegistration broker;
        broker.endpoints.push_back({"PLAINTEXT", "host" + std::to_string(id), 9092, "PLAINTEXT"});
        sessions_[id] = create_ephemeral(broker::znodes::path::broker(base::BrokerId(id)),
                                         broker::znodes::write(broker));
    }
    void kill_broker(std::int32_t id) { end(sessions_.extract(id).mapped()); }

    void add_topic(const std::string& name, const std::string& json) {
        create(broker::znodes::path::topic(name), json);
    }

    std::optional<coordinator::NodeView> get(const std::string& where) {
        const auto seen = store_->service().read([&](const coordinator::Tree& tree) {
            auto node = tree.get(where);
            return node ? std::optional(*std::move(node)) : std::nullopt;
        });
        REQUIRE(seen);
        return *seen;
    }
    broker::znodes::PartitionState state(const std::string& topic, std::int32_t partition) {
        const auto node =
            get(broker::znodes::path::partition_state(topic, base::PartitionIndex(partition)));
        REQUIRE(node);
        return broker::znodes::parse_partition_state(node->data.value()).value();
    }
    broker::znodes::TopicAssignment topic(const std::string& name) {
        return broker::znodes::parse_topic(
                   get(broker::znodes::path::topic(name)).value().data.value())
            .value();
    }

private:
    sim::SimDisk disk_;
    std::unique_ptr<CutStore> store_;
    std::map<std::int32_t, coordinator::SessionId> sessions_;
};

}  // namespace test
