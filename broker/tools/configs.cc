// milena configs: kafka-configs.sh. Configurations of topics and brokers.

#include "broker/tools/configs.h"

#include "broker/tools/admin.h"
#include "broker/tools/commands.h"

#include <algorithm>
#include <iostream>

namespace broker {
namespace {

struct Entity {
    ResourceType type{};
    std::optional<std::string>
        name;  // Nothing: the default of all brokers, or every one when describing.
    bool is_default = false;
};

void declare(Options& options) {
    add_cluster_options(options);
    options.value("bootstrap-controller", "host:port", "Accepted: any broker passes a request on.");
    options.value("zookeeper", "host:port",
                  "Instead of brokers, the ZooKeeper; as in Kafka to 3.9.");
    options.flag("alter", "Change configurations.");
    options.flag("describe", "Show configurations.");
    options.value("entity-type", "type", "topics or brokers.");
    options.value("entity-name", "name", "The topic's name, or the broker's id.");
    options.flag("entity-default", "What holds for all brokers.");
    options.value("topic", "name", "The same as --entity-type topics --entity-name.");
    options.value("broker", "id", "The same as --entity-type brokers --entity-name.");
    options.flag("broker-defaults", "The same as --entity-type brokers --entity-default.");
    options.value("broker-logger,user,client,ip,group,client-metrics", "name",
                  "Other entities, which these tools do not know yet.");
    options.flag("user-defaults,client-defaults,ip-defaults", "Likewise.");
    options.value("add-config", "k1=v1,k2=[a,b]",
                  "Set these; a value with commas stands in brackets.");
    options.value("add-config-file", "file", "Set what the file has.");
    options.value("delete-config", "k1,k2", "Go back to the default of these.");
    options.flag("all", "Also what has its default.");
    options.flag("force", "Accepted: nothing is asked.");
}

Entity entity_of(const Options& options) {
    for (const char* other : {"broker-logger", "user-defaults"}) {
        if (options.has(other))
            throw UsageError("these tools know the entities topics and brokers only");
    }
    if (const auto topic = options.get("topic")) return {ResourceType::topic, topic};
    if (const auto broker = options.get("broker")) return {ResourceType::broker, broker};
    if (options.has("broker-defaults")) return {ResourceType::broker, {}, true};
    const auto type = options.get("entity-type");
    if (!type)
        throw UsageError(
            "At least one entity type must be specified: --entity-type topics or brokers");
    Entity entity;
    if (*type == "topics") {
        entity.type = ResourceType::topic;
    } else if (*type == "brokers") {
        entity.type = ResourceType::broker;
    } else {
        throw UsageError("Invalid entity type " + *type + ", these tools know topics and brokers");
    }
    entity.name = options.get("entity-name");
    entity.is_default = options.has("entity-default") || (entity.name && entity.name->empty());
    if (entity.is_default) entity.name.reset();
    if (entity.is_default && entity.type == ResourceType::topic)
        throw UsageError("topics have no default entity");
    if (entity.type == ResourceType::broker && entity.name && !to_integer(*entity.name)) {
        throw UsageError(
            "The entity name for brokers must be a valid integer broker id, but it is: " +
            *entity.name);
    }
    return entity;
}

}  // namespace

std::vector<ConfigChange> parse_added(std::string_view text) {
    std::vector<ConfigChange> changes;
    while (!text.empty()) {
        const auto equals = text.find('=');
        if (equals == std::string_view::npos)
            throw UsageError(
                "Invalid entity config: all configs to be added must be in the format "
                "\"key=val\".");
        const auto name = trim(text.substr(0, equals));
        text.remove_prefix(equals + 1);
        std::size_t end = text.find(',');
        std::string value;
        if (text.starts_with('[')) {
            const auto close = text.find(']');
            if (close == std::string_view::npos)
                throw UsageError("the [ of " + name + " is not closed");
            value = text.substr(1, close - 1);
            end = text.find(',', close);
        } else {
            value = trim(text.substr(0, end));
        }
        changes.push_back({name, value, ConfigOperation::set});
        text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    }
    return changes;
}

namespace {

std::string_view source_name(ConfigSource source, ResourceType type) {
    switch (source) {
        case ConfigSource::dynamic_topic:
            return "DYNAMIC_TOPIC_CONFIG";
        case ConfigSource::dynamic_broker:
            return "DYNAMIC_BROKER_CONFIG";
        case ConfigSource::dynamic_default_broker:
            return "DYNAMIC_DEFAULT_BROKER_CONFIG";
        case ConfigSource::static_broker:
            return "STATIC_BROKER_CONFIG";
        case ConfigSource::default_config:
            return "DEFAULT_CONFIG";
        case ConfigSource::unknown:
            break;
    }
    return type == ResourceType::broker_logger ? "DYNAMIC_BROKER_LOGGER_CONFIG" : "UNKNOWN";
}

void print_entries(const std::vector<ConfigEntry>& entries, ResourceType type) {
    for (const auto& entry : entries) {
        std::cout << "  " << entry.name << "="
                  << entry.value.value_or(entry.is_sensitive ? "null" : "")
                  << " sensitive=" << (entry.is_sensitive ? "true" : "false") << " synonyms={";
        bool is_first = true;
        for (const auto& synonym : entry.synonyms) {
            std::cout << (is_first ? "" : ", ") << source_name(synonym.source, type) << ":"
                      << synonym.name << "="
                      << synonym.value.value_or(entry.is_sensitive ? "null" : "");
            is_first = false;
        }
        std::cout << "}\n";
    }
}

void describe_one(Cluster& cluster, ResourceType type, const std::string& name, bool all) {
    const bool is_default = type == ResourceType::broker && name.empty();
    if (is_default) {
        std::cout << "Default configs for brokers in the cluster are:" << std::endl;
    } else {
        std::cout << (all ? "All" : "Dynamic") << " configs for "
                  << (type == ResourceType::topic ? "topic " : "broker ") << name
                  << " are:" << std::endl;
    }
    auto entries = need(describe_configs(cluster, type, {name}, true))[name];
    if (!all || is_default) {
        const auto wanted = type == ResourceType::topic ? ConfigSource::dynamic_topic
                            : is_default                ? ConfigSource::dynamic_default_broker
                                                        : ConfigSource::dynamic_broker;
        std::erase_if(entries, [&](const ConfigEntry& entry) { return entry.source != wanted; });
    }
    print_entries(entries, type);
}

int describe(Cluster& cluster, const Options& options) {
    const auto entity = entity_of(options);
    const bool all = options.has("all");
    if (entity.name || entity.is_default) {
        describe_one(cluster, entity.type, entity.name.value_or(""), all);
    } else if (entity.type == ResourceType::topic) {
        for (const auto& topic : need(all_topics(cluster)))
            describe_one(cluster, entity.type, topic.name, all);
    } else {
        need(cluster.retry([&] { return cluster.refresh(std::vector<std::string>()); }));
        std::vector<std::string> ids;
        for (const auto& [id, node] : cluster.view().nodes)
            ids.push_back(std::to_string(id.value()));
        for (const auto& id : ids) describe_one(cluster, entity.type, id, all);
        describe_one(cluster, entity.type, "", all);
    }
    return 0;
}

int alter(Cluster& cluster, const Options& options) {
    const auto entity = entity_of(options);
    if (!options.has("add-config") && !options.has("add-config-file") &&
        !options.has("delete-config")) {
        throw UsageError(
            "At least one of --add-config, --add-config-file, or --delete-config must be specified "
            "with --alter");
    }
    if (!entity.name && !entity.is_default) {
        throw UsageError("an entity name must be specified with --alter of topics or brokers");
    }
    std::vector<ConfigChange> changes;
    for (const auto& text : options.all("add-config"))
        std::ranges::move(parse_added(text), std::back_inserter(changes));
    if (const auto path = options.get("add-config-file")) {
        for (const auto& [key, value] : read_properties(*path))
            changes.push_back({key, value, ConfigOperation::set});
    }
    const auto name = entity.name.value_or("");
    std::vector<std::string> removed;
    for (const auto& text : options.all("delete-config")) {
        for (const auto& key : split(text, ',')) removed.push_back(trim(key));
    }
    if (!removed.empty()) {
        const auto entries = need(describe_configs(cluster, entity.type, {name}, false))[name];
        const auto own = entity.type == ResourceType::topic ? ConfigSource::dynamic_topic
                         : entity.is_default                ? ConfigSource::dynamic_default_broker
                                                            : ConfigSource::dynamic_broker;
        std::vector<std::string> unknown;
        for (const auto& key : removed) {
            const bool is_set = std::ranges::any_of(entries, [&](const ConfigEntry& entry) {
                return entry.name == key && entry.source == own;
            });
            if (!is_set) unknown.push_back(key);
        }
        if (!unknown.empty()) {
            throw ToolError("Invalid config(s): " + join(unknown, ","));
        }
    }
    for (const auto& key : removed) changes.push_back({key, "", ConfigOperation::remove});
    need(alter_configs(cluster, entity.type, name, changes));
    if (entity.is_default) {
        std::cout << "Completed updating default config for brokers in the cluster.\n";
    } else {
        std::cout << "Completed updating config for "
                  << (entity.type == ResourceType::topic ? "topic " : "broker ") << name << ".\n";
    }
    return 0;
}

}  // namespace

int run_configs(const Words& words) {
    Options options(
        "This tool helps to manipulate and describe entity config for a topic or broker");
    declare(options);
    return run_tool(options, words, [&] {
        if (options.has("alter") == options.has("describe")) {
            throw UsageError("Command must include exactly one action: --describe, --alter");
        }
        try {
            if (options.has("zookeeper")) return run_zk_configs(options);
            options.required("bootstrap-server");
            Cluster cluster(settings_of(options, "milena-configs"));
            return options.has("alter") ? alter(cluster, options) : describe(cluster, options);
        } catch (const ToolError& error) {
            if (error.kind().empty()) throw;
            std::cout.flush();
            std::cerr << "Error while executing config command with args '" << join(words, " ")
                      << "'\n";
            throw;
        }
    });
}

}  // namespace broker
