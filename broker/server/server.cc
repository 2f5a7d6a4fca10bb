#include "broker/server/server.h"

#include "broker/server/machine.h"
#include "protocol/base/log.h"
#include "protocol/base/random.h"

#include <boost/asio/ip/host_name.hpp>

namespace broker {

using base::Result;
using base::Unexpected;

namespace {

unsigned io_threads(const BrokerConfig& config) {
    return config.milena_io_threads ? static_cast<unsigned>(*config.milena_io_threads) : usable_cores();
}

}  // namespace

Server::Server(std::shared_ptr<const BrokerConfig> config, std::unique_ptr<Cluster> cluster,
               std::unique_ptr<boost::asio::thread_pool> disk)
    : config_(std::move(config)),
      disk_(std::move(disk)),
      cpu_(io_threads(*config_)),
      cluster_(std::move(cluster)),
      fetch_sessions_({config_->max_incremental_fetch_session_cache_slots, monotonic_ms, base::random_bytes}),
      producer_ids_(*cluster_),
      groups_(*cluster_, *disk_, {wall_ms, monotonic_ms, base::random_bytes}),
      services_{*cluster_, authorizer_, quotas_, fetch_sessions_, groups_, producer_ids_, *disk_, cpu_},
      threads_(io_threads(*config_)),
      acceptor_(threads_, services_) {}

Server::~Server() {
    stop();
}

Result<std::unique_ptr<Server>, std::string> Server::start(std::shared_ptr<const BrokerConfig> config,
                                                           std::function<void(std::string)> on_fatal) {
    constexpr std::size_t disk_threads = 4;
    auto disk = std::make_unique<boost::asio::thread_pool>(disk_threads);
    Cluster::Settings settings;
    settings.config = config;
    settings.wall_ms = wall_ms;
    settings.monotonic_ms = monotonic_ms;
    settings.random = base::random_bytes;
    settings.on_fatal = std::move(on_fatal);
    auto cluster = Cluster::start(std::move(settings), *disk);
    if (!cluster) return Unexpected(cluster.error());
    std::unique_ptr<Server> server(new Server(std::move(config), std::move(*cluster), std::move(disk)));
    if (auto opened = server->open(); !opened) return Unexpected(opened.error());
    return server;
}

Result<void, std::string> Server::open() {
    if (auto bound = acceptor_.bind(config_->endpoints(), config_->socket_listen_backlog_size); !bound) return bound;
    cluster_->when_topics_go([this](const std::set<std::string>& topics) { groups_.forget_topics(topics); });
    cluster_->when_roles_move([this] { groups_.look_again(); });
    if (auto registered = cluster_->register_broker(endpoints()); !registered) return registered;
    if (auto served = serve_metadata(); !served) return served;
    groups_.start();
    threads_.start();
    acceptor_.start();
    opened_ = true;
    return {};
}

// The metadata tree for ZooKeeper's clients. Whoever reaches it can change the cluster, so it is
// for this machine only unless told otherwise.
Result<void, std::string> Server::serve_metadata() {
    if (config_->milena_metadata_port < 0 || !cluster_->metadata()) return {};
    coordinator::MetadataServer::Settings settings;
    settings.hosts = {"127.0.0.1", "::1"};
    const auto& listener = config_->milena_metadata_listener;
    if (listener && !listener->empty()) settings.hosts = {*listener};
    settings.port = static_cast<std::uint16_t>(config_->milena_metadata_port);
    settings.wall_ms = wall_ms;
    settings.monotonic_ms = monotonic_ms;
    auto started = coordinator::MetadataServer::start(*cluster_->metadata(), std::move(settings));
    if (!started) {
        // Nobody asked for it: a broker beside a ZooKeeper, or beside another broker, starts.
        const bool asked = config_->set_value("milena.metadata.port") || config_->set_value("milena.metadata.listener");
        if (asked) return Unexpected(started.error());
        base::log_warn("metadata", "ZooKeeper's clients are not served: " + started.error());
        return {};
    }
    metadata_server_ = std::move(*started);
    base::log_info("metadata", "ZooKeeper's clients are served on " + metadata_server_->serving());
    if (!metadata_server_->is_local()) {
        base::log_warn("metadata", "milena.metadata.listener is not an address of this machine alone: whoever "
                                   "reaches port " + std::to_string(metadata_server_->port()) +
                                       " can change the cluster");
    }
    return {};
}

// What /brokers/ids and other brokers are told: Kafka's default is the listener's own host, or
// the machine's name where it listens on every interface.
std::vector<BrokerEndpoint> Server::endpoints() const {
    std::vector<BrokerEndpoint> all;
    for (const auto& bound : acceptor_.bound()) {
        const Listener& listener = bound.listener;
        if (listener.advertised) {
            all.push_back({listener.name, listener.advertised->host, listener.advertised->port});
            continue;
        }
        boost::system::error_code error;
        std::string host = listener.host.empty() ? boost::asio::ip::host_name(error) : listener.host;
        all.push_back({listener.name, error ? "localhost" : std::move(host), bound.port});
    }
    return all;
}

std::string Server::serving() const {
    std::string text;
    for (const auto& bound : acceptor_.bound()) {
        Listener actual = bound.listener;
        actual.port = bound.port;
        text += (text.empty() ? "" : ", ") + to_string(actual);
    }
    return text;
}

void Server::stop() {
    if (std::exchange(stopped_, true)) return;
    if (opened_) cluster_->hand_over();
    groups_.stop();
    acceptor_.stop();
    if (metadata_server_) metadata_server_->stop();
    threads_.stop();
    cpu_.join();
    cluster_->stop();
    disk_->join();
}

}  // namespace broker
