// ZkKafka: a Kafka cluster as its ZooKeeper shows it, for the tools that Kafka of 0.8 to 2.8
// gave `--zookeeper`: they wrote their wishes into znodes, and the controller followed.
//
// All functions throw ToolError when ZooKeeper refuses or cannot be reached.
// Threads: one at a time.
#pragma once

#include "broker/cluster/znodes.h"
#include "broker/tools/options.h"
#include "coordinator/metadata/client/client.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace broker {

class ZkKafka {
public:
    using OnEvent = std::function<void(const coordinator::WatchEvent&)>;

    // "host:port,host:port/chroot"; waits for a session. Events of watches come on the client's
    // own thread.
    explicit ZkKafka(const std::string& connect, OnEvent on_event = {});

    // Ends the session.
    ~ZkKafka();

    coordinator::MetadataClient& client() { return *client_; }
    void wait_connected();

    // ---- Nodes. Data of no node and null are nothing.

    std::optional<std::string> get(const std::string& path);
    std::vector<std::optional<std::string>> get_all(const std::vector<std::string>& paths);
    bool exists(const std::string& path);
    std::vector<std::string> children(const std::string& path);  // Sorted; none of no node.

    // Create with missing parents. False when it is there.
    bool create(const std::string& path, const coordinator::Data& data,
                coordinator::NodeKind kind = coordinator::NodeKind::persistent);
    void set(const std::string& path, const std::string& data);  // Of a node that is there.
    void put(const std::string& path, const std::string& data);  // Set or create.
    void remove(const std::string& path);                        // No node is fine.
    void remove_below(const std::string& path);                  // It too.

    // ---- Kafka's.

    std::map<base::BrokerId, znodes::BrokerRegistration> brokers();
    std::vector<base::BrokerId> broker_ids();  // Sorted.

    // "host:port,host:port" of the brokers, for a client of Kafka's protocol.
    std::string bootstrap();

    std::vector<std::string> topics() { return children(std::string(znodes::path::topics)); }

    // Nothing for a topic that is not there; ToolError for one that does not parse.
    std::optional<znodes::TopicAssignment> topic(const std::string& name);
    std::map<base::PartitionIndex, znodes::PartitionState> states(
        const std::string& topic, const znodes::TopicAssignment& assignment);
    znodes::Config config(const znodes::ConfigEntity& entity);

    // Write a configuration and tell the brokers.
    void change_config(const znodes::ConfigEntity& entity, const znodes::Config& config);

private:
    [[noreturn]] static void fail(coordinator::ZkError error, const std::string& path);

    const std::string connect_;
    std::unique_ptr<coordinator::MetadataClient> client_;
};

}  // namespace broker
