// Cluster: a client's picture of a cluster, and connections to its brokers.
//
//     bootstrap addresses → any broker → Metadata → broker 3, the controller,
//                                                   the coordinator of a group
//
// Connections are opened when they are needed and kept; one that fails is forgotten, and
// so is what was known about the cluster. retry() repeats an attempt until it succeeds,
// fails for good, or settings.api_timeout passes.
//
// Threads: one at a time.
#pragma once

#include "broker/client/connection.h"
#include "protocol/base/types.h"
#include "protocol/schema/api/metadata.h"

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace broker::inline client {

struct ClientSettings {
    std::vector<Address> bootstrap;
    std::string client_id = "milena";
    std::chrono::milliseconds connect_timeout{10'000};
    std::chrono::milliseconds request_timeout{30'000};
    std::chrono::milliseconds api_timeout{60'000};
    std::chrono::milliseconds retry_backoff{100};

    // Told once per silence that nobody answers and that the client goes on trying.
    std::function<void(const std::string& sentence)> warn = {};
};

struct Node {
    base::BrokerId id;
    Address address;
    std::optional<std::string> rack;
};

struct PartitionView {
    protocol::ErrorCode error{};
    base::PartitionIndex index;
    base::BrokerId leader;
    base::LeaderEpoch leader_epoch;
    std::vector<base::BrokerId> replicas;
    std::vector<base::BrokerId> isr;
    std::vector<base::BrokerId> offline;
};

struct TopicView {
    protocol::ErrorCode error{};
    std::string name;
    base::Uuid id{};
    bool is_internal = false;
    std::vector<PartitionView> partitions;  // By index, ascending.
};

struct ClusterView {
    std::string cluster_id;
    base::BrokerId controller{-1};
    std::map<base::BrokerId, Node> nodes;
    std::map<std::string, TopicView> topics;
};

class Cluster {
public:
    explicit Cluster(ClientSettings settings) : settings_(std::move(settings)) {}

    const ClientSettings& settings() const noexcept { return settings_; }

    // Ask for these topics, or for all. What is learnt replaces the view; a topic that has an
    // error keeps it in TopicView::error.
    [[nodiscard]] ClientResult<void> refresh(const std::optional<std::vector<std::string>>& topics,
                                             bool create_missing = false);
    const ClusterView& view() const noexcept { return view_; }

    // Connections, valid until the next fault on them. any() has one of its own, so that
    // requests may be under way to brokers while the cluster is asked about.
    // Requires, for any(), that there is a bootstrap address.
    [[nodiscard]] ClientResult<Connection*> any();
    [[nodiscard]] ClientResult<Connection*> broker(base::BrokerId id);
    [[nodiscard]] ClientResult<Connection*> controller();
    [[nodiscard]] ClientResult<Connection*> coordinator(const std::string& group_id);
    [[nodiscard]] ClientResult<Node> coordinator_node(const std::string& group_id);

    // After a fault: open anew, ask anew.
    void forget(base::BrokerId id);
    void forget_coordinator(const std::string& group_id) { coordinators_.erase(group_id); }
    void forget_all();

    // One request to `to`, which is any(), controller() and so on; forgets the connection
    // when it fails.
    template <class Api, class Response, class Request>
    [[nodiscard]] ClientResult<Answer<Response>> call(ClientResult<Connection*> to,
                                                      const Request& request,
                                                      std::int16_t version_cap = Api::version_max) {
        if (!to) return base::Unexpected(to.error());
        auto answer = (*to)->template call<Api, Response>(request, after(settings_.request_timeout),
                                                          version_cap);
        if (!answer && answer.error().kind != ClientFault::Kind::unsupported) drop(*to);
        return answer;
    }

    // Repeat `attempt`, which gives a ClientResult, while its fault may heal. A topic that is
    // not there does not come by waiting.
    template <class Attempt>
    std::invoke_result_t<Attempt> retry(Attempt attempt) {
        const auto deadline = after(settings_.api_timeout);
        while (true) {
            auto result = attempt();
            if (result) silent_ = false;
            const bool again =
                !result && may_heal(result.error()) &&
                result.error().code != protocol::ErrorCode::unknown_topic_or_partition;
            if (!again) return result;
            if (milliseconds_left(deadline) == 0) {
                auto fault = result.error();
                return base::Unexpected(std::move(fault));
            }
            before_next_attempt(result.error());
        }
    }

private:
    void drop(const Connection* connection);
    void before_next_attempt(const ClientFault& fault);

    ClientSettings settings_;
    ClusterView view_;
    std::optional<Connection> first_;  // any()'s.
    std::map<base::BrokerId, Connection> connections_;
    std::map<std::string, Node> coordinators_;
    std::size_t next_bootstrap_ = 0;
    bool silent_ = false;  // Nobody answered, and that was said.
};

}  // namespace broker
