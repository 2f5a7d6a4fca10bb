// Server: the broker process. Its parts are members in the order in which they depend on one
// another: what is declared first is built first and destroyed last. There is no other wiring.
//
//     start   log directories, metadata, logs; then the listeners are bound; then the broker
//             is registered; then connections are accepted
//             and, of ZooKeeper's clients, on the metadata service's own port
//     stop    no new connections; connections closed; logs closed; metadata closed
//
// Threads: start and stop are the main thread's.
#pragma once

#include "broker/api/fetch_sessions.h"
#include "broker/api/services.h"
#include "broker/cluster/producer_ids.h"
#include "broker/groups/group_coordinator.h"
#include "broker/server/acceptor.h"
#include "broker/server/io_threads.h"
#include "coordinator/metadata/server/server.h"
#include "protocol/base/result.h"

#include <functional>
#include <memory>
#include <string>

namespace broker {

class Server {
public:
    // `on_fatal` is called from any thread when the process cannot go on, and says why.
    // The error is one line for people.
    [[nodiscard]] static base::Result<std::unique_ptr<Server>, std::string> start(
        std::shared_ptr<const BrokerConfig> config, std::function<void(std::string)> on_fatal);
    ~Server();

    void stop();

    // "PLAINTEXT://127.0.0.1:9092, EXTERNAL://[::1]:9093": the listeners with their actual ports.
    std::string serving() const;

private:
    Server(std::shared_ptr<const BrokerConfig> config, std::unique_ptr<Cluster> cluster,
           std::unique_ptr<boost::asio::thread_pool> disk);

    [[nodiscard]] base::Result<void, std::string> open();
    [[nodiscard]] base::Result<void, std::string> serve_metadata();
    std::vector<BrokerEndpoint> endpoints() const;

    std::shared_ptr<const BrokerConfig> config_;
    std::unique_ptr<boost::asio::thread_pool> disk_;
    boost::asio::thread_pool cpu_;
    std::unique_ptr<Cluster> cluster_;
    Authorizer authorizer_;
    Quotas quotas_;
    FetchSessions fetch_sessions_;
    ProducerIds producer_ids_;
    GroupCoordinator groups_;
    Services services_;
    IoThreads threads_;
    Acceptor acceptor_;
    std::unique_ptr<coordinator::MetadataServer> metadata_server_;  // Null with port -1.
    bool opened_ = false;
    bool stopped_ = false;
};

}  // namespace broker
