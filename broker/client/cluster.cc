#include "broker/client/cluster.h"

#include "protocol/schema/api/find_coordinator.h"

#include <algorithm>

namespace broker::inline client {

using protocol::ErrorCode;

ClientResult<Connection*> Cluster::any() {
    if (first_) return &*first_;
    auto addresses = settings_.bootstrap;
    std::ranges::rotate(addresses, addresses.begin() + static_cast<std::ptrdiff_t>(
                                                           next_bootstrap_++ % addresses.size()));
    for (const auto& [id, node] : view_.nodes) addresses.push_back(node.address);
    std::string reasons;
    for (const auto& address : addresses) {
        auto connection =
            Connection::open(address, settings_.client_id, after(settings_.connect_timeout));
        if (connection) {
            first_ = std::move(*connection);
            return &*first_;
        }
        if (connection.error().kind == ClientFault::Kind::broken_answer)
            return base::Unexpected(connection.error());
        reasons += (reasons.empty() ? "" : "; ") + connection.error().detail;
    }
    return base::Unexpected(ClientFault{.kind = ClientFault::Kind::unreachable, .detail = reasons});
}

ClientResult<Connection*> Cluster::broker(base::BrokerId id) {
    if (const auto open = connections_.find(id); open != connections_.end()) return &open->second;
    auto node = view_.nodes.find(id);
    if (node == view_.nodes.end()) {
        const auto refreshed = refresh(std::vector<std::string>());
        if (!refreshed) return base::Unexpected(refreshed.error());
        node = view_.nodes.find(id);
    }
    if (node == view_.nodes.end()) {
        return base::Unexpected(ClientFault{
            .kind = ClientFault::Kind::unreachable,
            .detail = "broker " + std::to_string(id.value()) + " is not in the cluster now"});
    }
    auto opened = Connection::open(node->second.address, settings_.client_id,
                                   after(settings_.connect_timeout));
    if (!opened) return base::Unexpected(opened.error());
    return &connections_.insert_or_assign(id, std::move(*opened)).first->second;
}

ClientResult<Connection*> Cluster::controller() {
    if (view_.controller.value() < 0) {
        const auto refreshed = refresh(std::vector<std::string>());
        if (!refreshed) return base::Unexpected(refreshed.error());
    }
    if (view_.controller.value() < 0)
        return base::Unexpected(refused(ErrorCode::not_controller, "there is no controller now"));
    return broker(view_.controller);
}

ClientResult<Node> Cluster::coordinator_node(const std::string& group_id) {
    if (const auto known = coordinators_.find(group_id); known != coordinators_.end())
        return known->second;
    protocol::FindCoordinatorRequest request;
    request.key = group_id;
    const auto answer =
        call<protocol::FindCoordinatorApi, protocol::FindCoordinatorResponse>(any(), request, 3);
    if (!answer) return base::Unexpected(answer.error());
    const auto& found = **answer;
    if (found.error_code != ErrorCode::none) {
        return base::Unexpected(
            refused(found.error_code, found.error_message ? found.error_message->str() : ""));
    }
    const Node node{found.node_id, {found.host.str(), static_cast<std::uint16_t>(found.port)}, {}};
    coordinators_[group_id] = node;
    view_.nodes.insert_or_assign(node.id, node);
    return node;
}

ClientResult<Connection*> Cluster::coordinator(const std::string& group_id) {
    const auto node = coordinator_node(group_id);
    if (!node) return base::Unexpected(node.error());
    auto connection = broker(node->id);
    if (!connection) forget_coordinator(group_id);
    return connection;
}

ClientResult<void> Cluster::refresh(const std::optional<std::vector<std::string>>& topics,
                                    bool create_missing) {
    protocol::MetadataRequest request;
    request.allow_auto_topic_creation = create_missing;
    if (topics) {
        for (const auto& name : *topics) request.topics->emplace_back().name = wire::Text(name);
    } else {
        request.topics.reset();
    }
    const auto answer = call<protocol::MetadataApi, protocol::MetadataResponse>(any(), request);
    if (!answer) return base::Unexpected(answer.error());
    if ((*answer)->error_code != ErrorCode::none)
        return base::Unexpected(refused((*answer)->error_code));

    ClusterView fresh;
    fresh.cluster_id = (*answer)->cluster_id ? (*answer)->cluster_id->str() : "";
    fresh.controller = (*answer)->controller_id;
    for (const auto& each : (*answer)->brokers) {
        const Address address{each.host.str(), static_cast<std::uint16_t>(each.port)};
        fresh.nodes[each.node_id] = {each.node_id, address,
                                     each.rack ? std::optional(each.rack->str()) : std::nullopt};
        const auto before = view_.nodes.find(each.node_id);
        if (before != view_.nodes.end() && before->second.address != address)
            connections_.erase(each.node_id);
    }
    for (const auto& each : (*answer)->topics) {
        TopicView topic{each.error_code,
                        each.name ? each.name->str() : "",
                        each.topic_id,
                        each.is_internal,
                        {}};
        for (const auto& partition : each.partitions) {
            topic.partitions.push_back({partition.error_code, partition.partition_index,
                                        partition.leader_id, partition.leader_epoch,
                                        partition.replica_nodes, partition.isr_nodes,
                                        partition.offline_replicas});
        }
        std::ranges::sort(topic.partitions, {}, &PartitionView::index);
        fresh.topics.insert_or_assign(topic.name, std::move(topic));
    }
    view_ = std::move(fresh);
    return {};
}

void Cluster::forget(base::BrokerId id) {
    connections_.erase(id);
}

void Cluster::forget_all() {
    connections_.clear();
    coordinators_.clear();
    first_.reset();
    view_.controller = base::BrokerId(-1);
}

void Cluster::drop(const Connection* connection) {
    if (first_ && connection == &*first_) first_.reset();
    std::erase_if(connections_, [&](const auto& each) { return &each.second == connection; });
}

void Cluster::before_next_attempt(const ClientFault& fault) {
    if (fault.kind == ClientFault::Kind::unreachable) {
        if (!silent_ && settings_.warn) settings_.warn(fault.detail);
        silent_ = true;
    }
    coordinators_.clear();
    view_.controller = base::BrokerId(-1);
    wait_for(settings_.retry_backoff);
}

}  // namespace broker
