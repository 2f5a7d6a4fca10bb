#include "broker/tools/admin.h"

#include <algorithm>

namespace broker::inline tools {

using protocol::ErrorCode;

ClientResult<std::map<std::string, std::vector<ConfigEntry>>> describe_configs(
    Cluster& cluster, ResourceType type, const std::vector<std::string>& names, bool synonyms) {
    std::map<std::string, std::vector<ConfigEntry>> found;
    const auto ask = [&](const std::vector<std::string>& some,
                         std::optional<base::BrokerId> at) -> ClientResult<void> {
        protocol::DescribeConfigsRequest request;
        request.include_synonyms = synonyms;
        for (const auto& name : some) {
            auto& resource = request.resources.emplace_back();
            resource.resource_type = static_cast<std::int8_t>(type);
            resource.resource_name = wire::Text(name);
            resource.configuration_keys.reset();
        }
        const auto answer =
            cluster.call<protocol::DescribeConfigsApi, protocol::DescribeConfigsResponse>(
                at ? cluster.broker(*at) : cluster.any(), request);
        if (!answer) return base::Unexpected(answer.error());
        for (const auto& result : (*answer)->results) {
            if (result.error_code != ErrorCode::none) {
                return base::Unexpected(refused(
                    result.error_code, result.error_message ? result.error_message->str() : ""));
            }
            auto& entries = found[result.resource_name.str()];
            entries.clear();
            for (const auto& config : result.configs) {
                ConfigEntry entry{config.name.str(),
                                  config.value ? std::optional(config.value->str()) : std::nullopt,
                                  static_cast<ConfigSource>(config.config_source),
                                  config.is_sensitive,
                                  config.read_only,
                                  {}};
                if (answer->version == 0) {
                    entry.source = config.is_default             ? ConfigSource::default_config
                                   : type == ResourceType::topic ? ConfigSource::dynamic_topic
                                                                 : ConfigSource::static_broker;
                }
                for (const auto& synonym : config.synonyms) {
                    entry.synonyms.push_back(
                        {synonym.name.str(),
                         synonym.value ? std::optional(synonym.value->str()) : std::nullopt,
                         static_cast<ConfigSource>(synonym.source)});
                }
                entries.push_back(std::move(entry));
            }
            std::ranges::sort(entries, {}, &ConfigEntry::name);
        }
        return {};
    };
    if (names.empty()) return found;
    if (type == ResourceType::topic) {
        const auto done = cluster.retry([&] { return ask(names, {}); });
        if (!done) return base::Unexpected(done.error());
        return found;
    }
    for (const auto& name : names) {
        const auto id = to_integer(name);
        const auto at =
            id ? std::optional(base::BrokerId(static_cast<std::int32_t>(*id))) : std::nullopt;
        const auto done = cluster.retry([&] { return ask({name}, at); });
        if (!done) return base::Unexpected(done.error());
    }
    return found;
}

ClientResult<void> alter_configs(Cluster& cluster, ResourceType type, const std::string& name,
                                 const std::vector<ConfigChange>& changes) {
    protocol::IncrementalAlterConfigsRequest request;
    auto& resource = request.resources.emplace_back();
    resource.resource_type = static_cast<std::int8_t>(type);
    resource.resource_name = wire::Text(name);
    for (const auto& change : changes) {
        auto& config = resource.configs.emplace_back();
        config.name = wire::Text(change.name);
        config.config_operation = static_cast<std::int8_t>(change.operation);
        if (change.operation == ConfigOperation::remove) {
            config.value.reset();
        } else {
            config.value = wire::Text(change.value);
        }
    }
    return cluster.retry([&]() -> ClientResult<void> {
        const auto id = type == ResourceType::topic ? std::nullopt : to_integer(name);
        const auto answer = cluster.call<protocol::IncrementalAlterConfigsApi,
                                         protocol::IncrementalAlterConfigsResponse>(
            id ? cluster.broker(base::BrokerId(static_cast<std::int32_t>(*id)))
               : cluster.controller(),
            request);
        if (!answer) return base::Unexpected(answer.error());
        for (const auto& each : (*answer)->responses) {
            if (each.error_code != ErrorCode::none) {
                return base::Unexpected(
                    refused(each.error_code, each.error_message ? each.error_message->str() : ""));
            }
        }
        return {};
    });
}

ClientResult<std::vector<TopicView>> all_topics(Cluster& cluster) {
    const auto refreshed = cluster.retry([&] { return cluster.refresh(std::nullopt); });
    if (!refreshed) return base::Unexpected(refreshed.error());
    std::vector<TopicView> topics;
    for (const auto& [name, topic] : cluster.view().topics) {
        if (topic.error == ErrorCode::none) topics.push_back(topic);
    }
    return topics;
}

}  // namespace broker
