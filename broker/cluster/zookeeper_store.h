// ZookeeperStore: a ZooKeeper ensemble as the broker's store.
//
// The client finds a server, comes back to the session and sets the watches again. What it cannot
// do is done here: changes that went by while no server was reached are told as missed, and an
// expired session is followed by a new one, told as lost.
//
// Limits: an ensemble takes a packet of 1 MiB (jute.maxbuffer), so a transaction stays well below.
#pragma once

#include "broker/cluster/metadata_store.h"
#include "broker/cluster/one_shot_watches.h"
#include "coordinator/metadata/client/client.h"

#include <atomic>
#include <memory>
#include <mutex>
#include <set>

namespace broker {

class ZookeeperStore final : public MetadataStore {
public:
    struct Settings {
        std::string connect;  // As zookeeper.connect.
        std::int32_t session_timeout_ms = 18'000;
        std::int32_t connection_timeout_ms = 18'000;
        std::optional<coordinator::SessionKey> last = {};  // To come back to.
        std::function<void(std::span<std::byte>)> random;
    };

    // Wait for a server, and make the chroot. The error is one line for people.
    [[nodiscard]] static base::Result<std::unique_ptr<ZookeeperStore>, std::string> open(
        Settings settings);
    ~ZookeeperStore() override;

    using MetadataStore::children;
    using MetadataStore::get;
    [[nodiscard]] base::Result<std::vector<std::optional<coordinator::NodeView>>,
                               coordinator::ZkError>
    get(std::span<const std::string> paths) override;
    [[nodiscard]] base::Result<std::vector<std::optional<std::vector<std::string>>>,
                               coordinator::ZkError>
    children(std::span<const std::string> paths) override;
    [[nodiscard]] base::Result<coordinator::Committed, coordinator::Refused> commit(
        std::vector<coordinator::Op> ops) override;
    std::size_t transaction_bytes_max() const override { return 700'000; }
    coordinator::SessionKey session() const override { return client_->session(); }
    [[nodiscard]] base::Result<void, coordinator::ZkError> watch(std::vector<std::string> roots,
                                                                 Tell tell) override;
    bool end_session() override;
    void stop() override;

private:
    using Nodes = std::vector<std::optional<coordinator::NodeView>>;

    explicit ZookeeperStore(Settings settings) : settings_(std::move(settings)) {}

    [[nodiscard]] base::Result<void, std::string> connect();
    void state_changed(coordinator::MetadataClient::State state);
    void event_happened(const coordinator::WatchEvent& event);
    void add_watches();
    void watch_one_by_one();
    void tell(const StoreEvent& event);
    [[nodiscard]] base::Result<Nodes, coordinator::ZkError> get_by_many(
        std::span<const std::string> paths);
    [[nodiscard]] base::Result<std::set<std::string>, coordinator::ZkError> missing_parents(
        const std::vector<coordinator::Op>& ops);

    const Settings settings_;
    std::mutex mutex_;  // Of the two below.
    std::vector<std::string> roots_;
    Tell tell_;

    // Of the client's thread.
    std::unique_ptr<OneShotWatches> one_shot_;  // Where the server knows no others.
    bool is_away_ = false;
    bool is_lost_ = false;

    std::atomic<bool> reads_many_ = false;  // The server, by one request.

    std::unique_ptr<coordinator::MetadataClient> client_;  // Last: its thread calls the above.
};

}  // namespace broker
