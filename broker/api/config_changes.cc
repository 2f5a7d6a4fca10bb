#include "broker/api/config_changes.h"

#include "broker/cluster/run_on.h"
#include "broker/config/value.h"

#include <map>
#include <utility>

namespace broker {

using base::BrokerId;
using protocol::ErrorCode;

namespace {

AdminOutcome refused(ErrorCode error, std::string message) {
    return {error, std::move(message)};
}

AdminOutcome refused(const AlterFault& fault) {
    const bool is_config = fault.kind == AlterFault::Kind::invalid_config;
    return refused(is_config ? ErrorCode::invalid_config : ErrorCode::invalid_request,
                   fault.message);
}

// On the controller's thread.
AdminOutcome change_topic(Cluster& cluster, ChangeStyle style, const ConfigChange& change,
                          bool validate_only) {
    if (change.name.empty())
        return refused(ErrorCode::invalid_request, "a topic has a name; there is no default topic");
    const ImagePointer image = cluster.image();
    const TopicPointer topic = image->share_topic(change.name);
    if (!topic) {
        return refused(ErrorCode::unknown_topic_or_partition,
                       "there is no topic named " + change.name);
    }
    const auto altered =
        style == ChangeStyle::replace
            ? replace_topic_configs(*image->config, change.wanted)
            : alter_topic_configs(*image->config, topic->config->overrides(), change.wanted);
    if (!altered) return refused(altered.error());
    return validate_only ? AdminOutcome() : cluster.set_topic_config(change.name, *altered);
}

// On the controller's thread.
AdminOutcome change_broker(Cluster& cluster, ChangeStyle style, const ConfigChange& change,
                           bool validate_only) {
    const auto broker = broker_named(change.name, cluster.self());
    if (!broker) return broker.error();
    const auto config = cluster.config();
    const BrokerScope scope = *broker ? BrokerScope::one_broker : BrokerScope::cluster_default;
    const ConfigMap& stored = *broker ? config->dynamic_broker() : config->dynamic_cluster();
    const auto altered = style == ChangeStyle::replace
                             ? replace_broker_configs(*config, scope, stored, change.wanted)
                             : alter_broker_configs(*config, scope, stored, change.wanted);
    if (!altered) return refused(altered.error());
    return validate_only ? AdminOutcome() : cluster.set_broker_config(*broker, *altered);
}

AdminOutcome change(Cluster& cluster, ChangeStyle style, const ConfigChange& one,
                    bool validate_only) {
    switch (one.type) {
        case ConfigResource::topic:
            return change_topic(cluster, style, one, validate_only);
        case ConfigResource::broker:
            return change_broker(cluster, style, one, validate_only);
        case ConfigResource::broker_logger:
            return refused(ErrorCode::invalid_request,
                           "the levels of loggers cannot be changed by clients");
        case ConfigResource::client_metrics:
            return refused(ErrorCode::invalid_request, "this cluster takes no metrics of clients");
        case ConfigResource::group:
            break;
    }
    return refused(ErrorCode::invalid_request,
                   "only topics and brokers have configurations here, not resources of type " +
                       std::to_string(std::to_underlying(one.type)));
}

bool may_alter(const RequestContext& context, const ConfigChange& change) {
    if (change.type == ConfigResource::topic) {
        return context.authorise(Operation::alter_configs, ResourceType::topic, change.name);
    }
    return context.authorise(Operation::alter_configs, ResourceType::cluster, cluster_resource);
}

AdminOutcome unauthorised(const ConfigChange& change) {
    return change.type == ConfigResource::topic
               ? refused(ErrorCode::topic_authorization_failed,
                         "you may not change the configuration of this topic")
               : refused(ErrorCode::cluster_authorization_failed,
                         "you may not change the configuration of the cluster");
}

}  // namespace

base::Result<std::optional<BrokerId>, AdminOutcome> broker_named(std::string_view name,
                                                                 BrokerId self) {
    if (name.empty()) return std::nullopt;
    const auto number = parse_integer(name);
    if (!number) {
        return base::Unexpected(
            refused(ErrorCode::invalid_request,
                    "a broker is named by its number, not by " + std::string(name)));
    }
    if (*number != self.value()) {
        return base::Unexpected(refused(ErrorCode::invalid_request,
                                        "this is broker " + std::to_string(self.value()) +
                                            ", not " + std::string(name) + "; ask that one"));
    }
    return self;
}

boost::asio::awaitable<std::vector<AdminOutcome>> change_configs(RequestContext context,
                                                                 ChangeStyle style,
                                                                 std::vector<ConfigChange> changes,
                                                                 bool validate_only) {
    std::vector<AdminOutcome> outcomes(changes.size());
    std::vector<bool> judged(changes.size());
    std::map<std::pair<ConfigResource, std::string_view>, int> seen;
    for (const ConfigChange& one : changes) ++seen[{one.type, one.name}];
    for (std::size_t i = 0; i < changes.size(); ++i) {
        const bool twice = seen[{changes[i].type, changes[i].name}] > 1;
        judged[i] = twice || !may_alter(context, changes[i]);
        if (twice) {
            outcomes[i] =
                refused(ErrorCode::invalid_request, "a resource may stand in a request once");
        } else if (judged[i]) {
            // Copied, not moved: g++ 12 warns of bounds in its own move here.
            const AdminOutcome refusal = unauthorised(changes[i]);
            outcomes[i] = refusal;
        }
    }
    Cluster& cluster = context.services.cluster;
    auto work = [&] {
        for (std::size_t i = 0; i < changes.size(); ++i) {
            if (!judged[i]) outcomes[i] = change(cluster, style, changes[i], validate_only);
        }
        return true;
    };
    co_await run_on(cluster.controller(), work);
    co_return outcomes;
}

}  // namespace broker
