// Cluster: this broker's part in the cluster, and the cluster's controller when it is that.
//
//     metadata tree (znodes) <---- one transaction per change ---- controller thread
//           |                                                          ^
//           v                                                          |  run_on(controller())
//     ClusterImage  --- published ---> every request               handlers
//
// A change is first durable in the tree, then carried out on the logs, then published, then
// answered. A crash in between leaves what the start finishes: a topic without logs gets
// them, a topic marked in /admin/delete_topics is deleted.
//
// Threads: image() and config() from any thread. Functions under "controller thread" block
// and are called there only: co_await run_on(cluster.controller(), …).
#pragma once

#include "broker/cluster/image.h"
#include "broker/cluster/run_on.h"
#include "broker/cluster/session_key.h"
#include "broker/cluster/topic_rules.h"
#include "broker/cluster/znodes.h"
#include "broker/replica/log_manager.h"
#include "coordinator/metadata/service.h"
#include "protocol/base/result.h"
#include "protocol/schema/error_code.h"

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace broker {

// What one item of an admin request came to.
struct AdminOutcome {
    protocol::ErrorCode error = protocol::ErrorCode::none;
    std::string message;  // Empty with none.
};

struct CreatedTopic {
    AdminOutcome outcome;
    base::Uuid id{};
    std::int32_t partitions = -1;
    std::int16_t replication_factor = -1;
    std::shared_ptr<const TopicConfig> config;  // Null with an error.
};

struct NewPartitions {
    std::string topic;
    std::int32_t count = 0;  // In all, not in addition.
    std::optional<std::vector<std::vector<base::BrokerId>>> assignments;  // Of the new ones.
};

constexpr std::int64_t producer_ids_per_block = 1000;

class Cluster {
public:
    struct Settings {
        std::shared_ptr<const BrokerConfig> config;
        std::function<std::int64_t()> wall_ms;
        std::function<std::int64_t()> monotonic_ms;
        std::function<void(std::span<std::byte>)> random;
        std::function<void(std::string)> on_fatal;  // The process cannot go on; says why.
    };

    // Take the log directories, start the metadata service, load everything. The error is one
    // line for people with file and remedy.
    [[nodiscard]] static base::Result<std::unique_ptr<Cluster>, std::string> start(
        Settings settings, boost::asio::thread_pool& disk);
    ~Cluster();

    // Make this broker known under /brokers/ids and become controller. From now on it leads.
    [[nodiscard]] base::Result<void, std::string> register_broker(std::vector<BrokerEndpoint> endpoints);

    // Take leave and close everything durably; nobody may use partitions any more.
    void stop();

    // The cluster now.
    ImagePointer image() const;
    std::shared_ptr<const BrokerConfig> config() const { return image()->config; }
    base::BrokerId self() const noexcept { return self_; }
    LogManager& logs() noexcept { return *logs_; }
    coordinator::MetadataService& metadata() noexcept { return *metadata_; }

    boost::asio::thread_pool& controller() noexcept { return controller_; }

    // ---- Controller thread. Outcomes are in the order of the request.

    std::vector<CreatedTopic> create_topics(const std::vector<NewTopic>& topics, bool validate_only);
    std::vector<AdminOutcome> delete_topics(const std::vector<std::string>& topics);
    std::vector<AdminOutcome> create_partitions(const std::vector<NewPartitions>& wanted, bool validate_only);

    // Store what AlterConfigs made of a topic's or broker's configuration, and put it in force.
    AdminOutcome set_topic_config(const std::string& topic, const ConfigMap& overrides);
    // `broker`: nothing for the cluster-wide default.
    AdminOutcome set_broker_config(std::optional<base::BrokerId> broker, const ConfigMap& configs);

    // A block of producer ids that nobody else will get: [first, first + 1000).
    [[nodiscard]] base::Result<base::ProducerId, protocol::ErrorCode> take_producer_ids();

    // ---- Any thread.

    // Create topics with the broker's defaults in the background, as Metadata does for names
    // that clients ask for. Internal ones get their own settings. Names that are being
    // created already are left out.
    void auto_create(const std::vector<std::string>& names);

private:
    Cluster(Settings settings, boost::asio::thread_pool& disk);

    [[nodiscard]] base::Result<void, std::string> load();
    std::string never_imported() const;
    [[nodiscard]] base::Result<void, std::string> identify();
    [[nodiscard]] base::Result<void, std::string> attach_session();
    [[nodiscard]] base::Result<void, std::string> finish_deletions();
    [[nodiscard]] base::Result<void, std::string> open_logs();
    void publish(ClusterImage next);
    AdminOutcome create_partitions(const NewPartitions& wanted, PartitionBudget& budget, bool validate_only);
    AdminOutcome store_config(const std::string& node, const znodes::ConfigEntity& entity,
                              const ConfigMap& configs);
    coordinator::Op state_op(const std::string& topic, base::PartitionIndex index,
                             const PartitionImage& partition, bool exists) const;
    void add_topic_ops(const TopicImage& topic, const ConfigMap& configs,
                       std::vector<coordinator::Op>& ops) const;
    bool remove_topic_nodes(const std::string& topic);
    base::Uuid random_uuid();

    Settings settings_;
    boost::asio::thread_pool& disk_;
    boost::asio::thread_pool controller_{1};
    base::BrokerId self_{-1};
    std::string cluster_id_;
    std::int32_t controller_epoch_ = 0;
    coordinator::SessionKey session_;
    std::int64_t broker_epoch_ = -1;

    std::unique_ptr<LogManager> logs_;
    std::unique_ptr<coordinator::MetadataService> metadata_;

    mutable std::mutex mutex_;  // Of image_ and creating_.
    ImagePointer image_;
    std::atomic<std::uint64_t> version_{0};
    std::set<std::string> creating_;
    bool stopped_ = false;
};

}  // namespace broker
