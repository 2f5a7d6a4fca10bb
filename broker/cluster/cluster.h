// Cluster: this broker's part in the cluster, and the cluster's controller when it is that.
//
//     MetadataStore (the tree) <--- commit --- controller thread <--- run_on --- handlers
//            |                                        ^    |
//            +------------- what others wrote --------+    +--- publish ---> ClusterImage --->
//            every request
//                            (TreeWatcher)
//
//     Membership        who we are, /brokers/ids, /controller
//     TopicLoader       the tree and the log directories become the first image
//     TopicControl      topics created, extended, deleted
//     ConfigControl     configurations stored and put in force
//     TreeWatcher       what others write is acted on
//     ReplicaControl    in company: what the controller says is led, followed and told to clients
//     ControllerOffice  in company: stands for election, and is controller when it wins
//
// Alone, this broker is its own controller and carries everything out at once. In company, which
// is where other brokers live or have replicas, any of them may be controller, this one too
// (has_company()). One who is alone has company from the moment another registers.
//
// A change is first durable in the tree, then carried out on the logs, then published, then
// answered. A crash in between leaves what the start finishes: a topic without logs gets
// them, a topic marked in /admin/delete_topics is deleted.
//
// Threads: image() and config() from any thread. Functions under "controller thread" block
// and are called there only: co_await run_on(cluster.controller(), …).
#pragma once

#include "broker/cluster/admin.h"
#include "broker/cluster/cluster_settings.h"
#include "broker/cluster/image.h"
#include "broker/cluster/run_on.h"
#include "broker/replica/log_manager.h"
#include "broker/replica/replication_quota.h"
#include "protocol/base/result.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace coordinator {
class MetadataService;
}

namespace coordinator::controller {
enum class ElectionKind;
struct AlterPartitionAnswer;
struct ElectLeadersAnswer;
struct IsrChange;
struct MovesAnswer;
struct Reassignment;
struct ReassignmentAnswer;
struct ShutdownAnswer;
}  // namespace coordinator::controller

namespace protocol {
struct LeaderAndIsrRequest;
struct LeaderAndIsrResponse;
struct StopReplicaRequest;
struct StopReplicaResponse;
struct UpdateMetadataRequest;
struct UpdateMetadataResponse;
}  // namespace protocol

namespace broker {

class MetadataStore;

namespace control = coordinator::controller;

constexpr std::int64_t producer_ids_per_block = 1000;

class Cluster {
public:
    using Settings = ClusterSettings;

    // Take the log directories, open the metadata, load everything. The error is one line for
    // people with file and remedy.
    [[nodiscard]] static base::Result<std::unique_ptr<Cluster>, std::string> start(
        Settings settings, boost::asio::thread_pool& disk);
    ~Cluster();

    // Make this broker known under /brokers/ids and, alone, become controller and lead. In company
    // it leads and follows from now on what the controller says.
    [[nodiscard]] base::Result<void, std::string> register_broker(
        std::vector<BrokerEndpoint> endpoints);

    // In company: have the controller give to others what this broker leads, while it still
    // serves (controlled.shutdown.*), and be none any more. Whoever waits is answered. Blocks.
    void hand_over();

    // Take leave and close everything durably; nobody may use partitions any more.
    void stop();

    // The cluster now.
    ImagePointer image() const;
    std::shared_ptr<const BrokerConfig> config() const { return image()->config; }
    base::BrokerId self() const noexcept;
    LogManager& logs() noexcept;
    // What followers that are not in sync take from here: leader.replication.throttled.rate.
    ReplicationQuota& leader_quota() noexcept { return leader_quota_; }
    MetadataStore& store() noexcept;
    // The service in this process; null where the tree is elsewhere.
    coordinator::MetadataService* metadata() noexcept;

    boost::asio::thread_pool& controller() noexcept { return controller_; }

    // Whether any broker may be the controller, this one too. Once it is so it stays so.
    bool has_company() const noexcept;

    // Called on the controller's thread with topics that somebody deleted from the tree, and when
    // another broker's word has changed what is led here. Set them before register_broker().
    void when_topics_go(std::function<void(const std::set<std::string>&)> call);
    void when_roles_move(std::function<void()> call);

    // ---- Controller thread. Outcomes are in the order of the request.

    std::vector<CreatedTopic> create_topics(const std::vector<NewTopic>& topics,
                                            bool validate_only);
    std::vector<AdminOutcome> delete_topics(const std::vector<std::string>& topics);
    std::vector<AdminOutcome> create_partitions(const std::vector<NewPartitions>& wanted,
                                                bool validate_only);

    // Store what AlterConfigs made of a topic's or broker's configuration, and put it in force.
    AdminOutcome set_topic_config(const std::string& topic, const ConfigMap& overrides);
    // `broker`: nothing for the cluster-wide default.
    AdminOutcome set_broker_config(std::optional<base::BrokerId> broker, const ConfigMap& configs);

    // AlterReplicaLogDirs of one partition: as LogManager::move, and unknown_topic_or_partition.
    protocol::ErrorCode move_log(const base::TopicPartition& at, const std::string& directory);

    // What the cluster's controller says, when it is another. Requires has_company().
    protocol::LeaderAndIsrResponse apply(const protocol::LeaderAndIsrRequest& request);
    protocol::UpdateMetadataResponse apply(const protocol::UpdateMetadataRequest& request);
    protocol::StopReplicaResponse apply(const protocol::StopReplicaRequest& request);

    // A block of producer ids that nobody else will get: [first, first + 1000).
    [[nodiscard]] base::Result<base::ProducerId, protocol::ErrorCode> take_producer_ids();
    // The same for another broker, whose controller this one is. Errors: not_controller,
    // stale_broker_epoch.
    [[nodiscard]] base::Result<base::ProducerId, protocol::ErrorCode> allocate_producer_ids(
        base::BrokerId broker, std::int64_t broker_epoch);

    // ---- What is asked of the cluster's controller. Any thread, from a coroutine. The error of
    // the whole is not_controller when this broker is none, or is none any more before the answer.
    // Alone nobody may change an ISR, and the rest is answered with what one broker can do.

    boost::asio::awaitable<control::AlterPartitionAnswer> alter_partition(
        base::BrokerId broker, std::int64_t broker_epoch, std::vector<control::IsrChange> changes);
    // Nothing: of all partitions, as for list_reassignments().
    boost::asio::awaitable<control::ElectLeadersAnswer> elect_leaders(
        control::ElectionKind kind, std::optional<std::vector<base::TopicPartition>> partitions);
    boost::asio::awaitable<control::ReassignmentAnswer> reassign(
        std::vector<control::Reassignment> reassignments);
    boost::asio::awaitable<control::ShutdownAnswer> shut_down(base::BrokerId broker,
                                                              std::int64_t broker_epoch);
    boost::asio::awaitable<control::MovesAnswer> list_reassignments(
        std::optional<std::vector<base::TopicPartition>> partitions);

    // ---- Any thread.

    // Wait until the image is so, which is asked on the controller's thread. False when it was not
    // within `patience`.
    boost::asio::awaitable<bool> until(std::function<bool(const ClusterImage&)> holds,
                                       std::chrono::milliseconds patience);

    // Ask the controller for the ISR that a follower's Fetch has made possible. Requires
    // has_company().
    void ask_for_isr(const std::shared_ptr<Partition>& partition, IsrRequest request);

    // Create topics with the broker's defaults in the background, as Metadata does for names
    // that clients ask for. Internal ones get their own settings. Names that are being
    // created already are left out.
    void auto_create(const std::vector<std::string>& names);

private:
    struct Parts;

    explicit Cluster(Settings settings);

    [[nodiscard]] base::Result<void, std::string> load(boost::asio::thread_pool& disk);
    void lead_everything();
    void leave_office();
    [[nodiscard]] base::Result<base::ProducerId, protocol::ErrorCode> next_producer_ids(
        base::BrokerId broker);
    bool may_change_topics() const;
    template <class Answer, class Call>
    boost::asio::awaitable<Answer> ask(Call call);
    void create_for_clients(const std::vector<NewTopic>& wanted);

    boost::asio::thread_pool controller_{1};
    ReplicationQuota leader_quota_;
    std::unique_ptr<Parts> parts_;

    std::mutex mutex_;  // Of creating_.
    std::set<std::string> creating_;
    bool stopped_ = false;
};

}  // namespace broker
